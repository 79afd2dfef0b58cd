#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "io/sim_disk.h"

/* ---- entries --------------------------------------------------------------------------- */

/* A listing is in no order that a program could count on: FNV-1a (Fowler, Noll and Vo). */
static uint64_t place_of(const struct sim_inode *dir, const char *name)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325) ^ dir->disk->world->config.seed;

	for (; *name != '\0'; name++)
		hash = (hash ^ (unsigned char)*name) * UINT64_C(0x100000001b3);
	return hash >> 1;
}

/* The first at that place and name, or behind it. */
static uint32_t entry_place(const struct sim_inode *dir, uint64_t place, const char *name)
{
	uint32_t low = 0, high = dir->entry_count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		const struct sim_entry *entry = &dir->entries[middle];

		if (entry->place < place || (entry->place == place && strcmp(entry->name, name) < 0))
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct sim_entry *entry_of(const struct sim_inode *dir, const char *name)
{
	uint32_t at = entry_place(dir, place_of(dir, name), name);

	return at < dir->entry_count && strcmp(dir->entries[at].name, name) == 0 ?
		&dir->entries[at] : NULL;
}

struct sim_inode *apusi_sim_entry_find(const struct sim_inode *dir, const char *name)
{
	const struct sim_entry *entry = entry_of(dir, name);

	return entry != NULL ? entry->inode : NULL;
}

const struct sim_entry *apusi_sim_entry_behind(const struct sim_inode *dir, uint64_t place,
	const char *name)
{
	uint32_t at = entry_place(dir, place, name);

	if (at < dir->entry_count && dir->entries[at].place == place &&
	    strcmp(dir->entries[at].name, name) == 0)
		at++;
	return at < dir->entry_count ? &dir->entries[at] : NULL;
}

static char *name_copy(const char *name)
{
	size_t bytes = strlen(name) + 1;

	return memcpy(apusi_sim_memory(NULL, bytes), name, bytes);
}

static void dir_changed(struct sim_inode *dir)
{
	dir->written_ns = dir->changed_ns = apusi_sim_today(dir->disk);
}

static void entry_add(struct sim_inode *dir, const char *name, struct sim_inode *inode)
{
	uint64_t place = place_of(dir, name);
	uint32_t at = entry_place(dir, place, name);

	if (dir->entry_count == dir->entry_room) {
		dir->entry_room = dir->entry_room != 0 ? 2 * dir->entry_room : 8;
		dir->entries = apusi_sim_memory(dir->entries,
			dir->entry_room * sizeof *dir->entries);
	}
	memmove(dir->entries + at + 1, dir->entries + at,
		(dir->entry_count - at) * sizeof *dir->entries);
	dir->entry_count++;
	dir->entries[at] = (struct sim_entry){ name_copy(name), inode, place };
	inode->links++;
	if (S_ISDIR(inode->mode))
		inode->parent = dir;
	dir_changed(dir);
}

/* The inode has a name less; it is the caller's to let it go. */
static struct sim_inode *entry_remove(struct sim_inode *dir, const char *name)
{
	struct sim_entry *entry = entry_of(dir, name);
	struct sim_inode *inode;

	APUS_ASSERT(entry != NULL);
	inode = entry->inode;
	free(entry->name);
	dir->entry_count--;
	memmove(entry, entry + 1,
		(size_t)(dir->entries + dir->entry_count - entry) * sizeof *entry);
	inode->links--;
	inode->changed_ns = apusi_sim_today(dir->disk);
	dir_changed(dir);
	return inode;
}

/* ---- records: changes that are not on the disk ---------------------------------------------- */

static struct sim_place place_copy(struct sim_inode *dir, const char *name)
{
	if (dir == NULL)
		return (struct sim_place){ NULL, NULL };
	apusi_sim_inode_use(dir);
	return (struct sim_place){ dir, name_copy(name) };
}

static void use_end(struct sim_inode *inode)
{
	if (inode == NULL)
		return;
	inode->uses--;
	apusi_sim_inode_let_go(inode);
}

static void record_free(struct sim_record *record)
{
	free(record->from.name);
	free(record->to.name);
	use_end(record->from.dir);
	use_end(record->to.dir);
	use_end(record->replaced);
	use_end(record->inode);
}

/* Those that are marked are over. */
static void records_drop(struct sim_disk *disk)
{
	uint32_t from, to = 0;

	for (from = 0; from < disk->record_count; from++) {
		if (disk->records[from].is_marked)
			record_free(&disk->records[from]);
		else
			disk->records[to++] = disk->records[from];
	}
	disk->record_count = to;
}

static void record_add(struct sim_disk *disk, struct sim_inode *inode, struct sim_inode *replaced,
	const struct sim_way *from, const struct sim_way *to)
{
	if (disk->record_count == SIM_RECORDS)
		apusi_sim_tree_write_back(disk, SIM_RECORDS / 4);
	apusi_sim_inode_use(inode);
	if (replaced != NULL)
		apusi_sim_inode_use(replaced);
	disk->records[disk->record_count++] = (struct sim_record){
		.inode = inode,
		.replaced = replaced,
		.from = place_copy(from != NULL ? from->dir : NULL, from != NULL ? from->name : NULL),
		.to = place_copy(to != NULL ? to->dir : NULL, to != NULL ? to->name : NULL),
	};
}

static bool is_same_place(const struct sim_place *a, const struct sim_place *b)
{
	return a->dir != NULL && a->dir == b->dir && strcmp(a->name, b->name) == 0;
}

static bool is_place_in(const struct sim_place *place, const struct sim_inode *dir)
{
	return place->dir != NULL && place->dir == dir;
}

static bool touches(const struct sim_record *record, const struct sim_inode *dir)
{
	return is_place_in(&record->from, dir) || is_place_in(&record->to, dir);
}

static bool is_move(const struct sim_record *record)
{
	return record->from.dir != NULL && record->to.dir != NULL;
}

static bool makes(const struct sim_record *record, const struct sim_inode *dir)
{
	return record->from.dir == NULL && record->inode == dir;
}

static bool names(const struct sim_record *record, const struct sim_inode *inode)
{
	return inode != NULL && (record->inode == inode || record->replaced == inode);
}

/* Of the same file or name: what came second is nothing without the first. */
static bool is_of_the_same(const struct sim_record *a, const struct sim_record *b)
{
	return names(a, b->inode) || names(a, b->replaced) ||
	       is_same_place(&a->from, &b->from) || is_same_place(&a->from, &b->to) ||
	       is_same_place(&a->to, &b->from) || is_same_place(&a->to, &b->to);
}

/* The second removes a directory in which the first happened: it was empty by then. */
static bool is_cleared(const struct sim_record *first, const struct sim_record *second)
{
	return (second->to.dir == NULL && touches(first, second->inode)) ||
	       (second->replaced != NULL && touches(first, second->replaced));
}

/*
 * On the disk the second needs the first.  What was moved may not be lost with a directory that
 * was never there, nor a directory; a new file may.
 */
static bool needs(const struct sim_record *second, const struct sim_record *first)
{
	return is_of_the_same(first, second) || is_cleared(first, second) ||
	       (second->to.dir != NULL && makes(first, second->to.dir) &&
		       (is_move(second) || S_ISDIR(second->inode->mode)));
}

/* Without the first there is no second. */
static bool falls_with(const struct sim_record *second, const struct sim_record *first)
{
	return is_of_the_same(first, second) || is_cleared(first, second) ||
	       (first->from.dir == NULL && touches(second, first->inode));
}

/* From the newest to the oldest: those that are marked, and what they need. */
static void marked_to_disk(struct sim_disk *disk)
{
	uint32_t at = disk->record_count, later;

	while (at-- > 0)
		for (later = at + 1; later < disk->record_count; later++)
			if (disk->records[later].is_marked &&
			    needs(&disk->records[later], &disk->records[at]))
				disk->records[at].is_marked = true;
	records_drop(disk);
}

void apusi_sim_tree_sync(struct sim_disk *disk, const struct sim_inode *dir)
{
	uint32_t i;

	for (i = 0; i < disk->record_count; i++)
		disk->records[i].is_marked = touches(&disk->records[i], dir);
	marked_to_disk(disk);
}

void apusi_sim_tree_write_back(struct sim_disk *disk, uint32_t count)
{
	uint32_t i;

	for (i = 0; i < disk->record_count; i++)
		disk->records[i].is_marked = i < count;
	records_drop(disk);
}

/* A directory that is lost takes along what the disk has of it. */
static void tree_drop(struct sim_inode *dir)
{
	while (dir->entry_count != 0) {
		struct sim_inode *inode = entry_remove(dir, dir->entries[0].name);

		tree_drop(inode);
		apusi_sim_inode_let_go(inode);
	}
}

/* As if it had never been: what falls with it has been undone before. */
static void record_undo(struct sim_record *record)
{
	if (record->to.dir != NULL)
		(void)entry_remove(record->to.dir, record->to.name);
	if (record->from.dir == NULL)
		tree_drop(record->inode);
	else
		entry_add(record->from.dir, record->from.name, record->inode);
	if (record->replaced != NULL)
		entry_add(record->to.dir, record->to.name, record->replaced);
}

static bool falls_with_marked(const struct sim_disk *disk, uint32_t at)
{
	uint32_t i;

	for (i = 0; i < at; i++)
		if (disk->records[i].is_marked &&
		    falls_with(&disk->records[at], &disk->records[i]))
			return true;
	return false;
}

/* All of them are lost, or none, or those behind some, or any, with what hangs on them. */
static void records_draw(struct sim_disk *disk)
{
	struct sim_world *world = disk->world;
	uint64_t fate = apusi_sim_below(world, 4);
	uint64_t first = fate == 0 ? 0 : disk->record_count;
	uint32_t i;

	if (fate == 2)
		first = apusi_sim_below(world, (uint64_t)disk->record_count + 1);
	for (i = 0; i < disk->record_count; i++)
		disk->records[i].is_marked = i >= first ||
			(fate == 3 && apusi_sim_below(world, 2) == 0) ||
			falls_with_marked(disk, i);
}

void apusi_sim_tree_cut(struct sim_disk *disk)
{
	uint32_t at = disk->record_count;

	records_draw(disk);
	while (at-- > 0) {
		if (disk->records[at].is_marked)
			record_undo(&disk->records[at]);
		disk->world->counts.names_lost += disk->records[at].is_marked;
		disk->world->counts.names_kept += !disk->records[at].is_marked;
		disk->records[at].is_marked = true;
	}
	records_drop(disk);
}

/* ---- changes -------------------------------------------------------------------------------- */

struct sim_inode *apusi_sim_make(struct sim_disk *disk, const struct sim_way *at, uint32_t mode)
{
	struct sim_inode *inode = apusi_sim_inode_new(disk, mode);

	entry_add(at->dir, at->name, inode);
	record_add(disk, inode, NULL, NULL, at);
	return inode;
}

void apusi_sim_remove(struct sim_disk *disk, const struct sim_way *at)
{
	record_add(disk, at->inode, NULL, at, NULL);
	(void)entry_remove(at->dir, at->name);
}

/* Does the directory lie within the other, or is it that? */
static bool is_within(const struct sim_inode *dir, const struct sim_inode *outer)
{
	while (dir != outer && dir != dir->parent)
		dir = dir->parent;
	return dir == outer;
}

static int move_check(const struct sim_way *from, const struct sim_way *to)
{
	bool is_dir = S_ISDIR(from->inode->mode);

	if (is_dir && is_within(to->dir, from->inode))
		return -EINVAL;
	if (to->inode == NULL)
		return to->is_directory && !is_dir ? -ENOTDIR : 0;
	if (is_dir != (bool)S_ISDIR(to->inode->mode))
		return is_dir ? -ENOTDIR : -EISDIR;
	return to->inode->entry_count != 0 ? -ENOTEMPTY : 0;
}

int apusi_sim_move(struct sim_disk *disk, const struct sim_way *from, const struct sim_way *to)
{
	int err;

	if (from->inode == to->inode)
		return 0;
	err = move_check(from, to);
	if (err)
		return err;
	record_add(disk, from->inode, to->inode, from, to);
	if (to->inode != NULL)
		(void)entry_remove(to->dir, to->name);
	(void)entry_remove(from->dir, from->name);
	entry_add(to->dir, to->name, from->inode);
	return 0;
}

/* ---- paths ------------------------------------------------------------------------------------ */

static bool is_dots(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* A step from where the way has come to. */
static int step(struct sim_way *way, const char *name, size_t bytes)
{
	if (bytes > SIM_NAME_MAX)
		return -ENAMETOOLONG;
	if (way->inode == NULL)
		return -ENOENT;
	if (!S_ISDIR(way->inode->mode))
		return -ENOTDIR;
	way->dir = way->inode;
	memcpy(way->name, name, bytes);
	way->name[bytes] = '\0';
	way->is_dots = is_dots(way->name);
	if (!way->is_dots)
		way->inode = apusi_sim_entry_find(way->dir, way->name);
	else if (bytes == 2)
		way->inode = way->dir->parent;
	return 0;
}

/* A path that does not begin at the root begins there all the same. */
int apusi_sim_walk(struct sim_disk *disk, const char *path, struct sim_way *way)
{
	size_t bytes = strlen(path);
	int err = 0;

	*way = (struct sim_way){ .dir = disk->root, .inode = disk->root, .is_dots = true };
	if (bytes == 0)
		return -ENOENT;
	if (bytes >= SIM_PATH_MAX)
		return -ENAMETOOLONG;
	while (!err) {
		path += strspn(path, "/");
		if (*path == '\0')
			break;
		bytes = strcspn(path, "/");
		err = step(way, path, bytes);
		path += bytes;
		way->is_directory = *path == '/' || way->is_dots;
	}
	if (!err && way->is_directory && way->inode != NULL && !S_ISDIR(way->inode->mode))
		err = -ENOTDIR;
	return err;
}
