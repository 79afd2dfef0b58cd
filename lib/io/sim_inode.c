#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "io/sim_disk.h"

static const unsigned char zeros[SIM_SECTOR];

void *apusi_sim_memory(void *old, size_t bytes)
{
	void *memory = realloc(old, bytes);

	if (memory == NULL)
		apus_panic(__FILE__, __LINE__, "no memory for a simulated disk");
	return memory;
}

/* ---- sectors --------------------------------------------------------------------------- */

static bool is_dirty(const struct sim_sector *sector)
{
	return sector->now != sector->disk;
}

/* Those of two copies that are left: one goes, unless the other is the same. */
static void copy_free(unsigned char *copy, const unsigned char *other)
{
	if (copy != other)
		free(copy);
}

static void now_set(struct sim_disk *disk, struct sim_sector *sector, unsigned char *now)
{
	disk->stored_sectors += now != NULL;
	disk->stored_sectors -= sector->now != NULL;
	copy_free(sector->now, sector->disk);
	sector->now = now;
	sector->is_given_up = false;
}

static void disk_set(struct sim_sector *sector, unsigned char *copy)
{
	copy_free(sector->disk, sector->now);
	sector->disk = copy;
}

/* The first with that number or a higher one. */
static uint32_t sector_place(const struct sim_inode *inode, uint64_t number)
{
	uint32_t low = 0, high = inode->sector_count;

	if (high > 0 && inode->sectors[high - 1].number < number)
		return high;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (inode->sectors[middle].number < number)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct sim_sector *sector_find(const struct sim_inode *inode, uint64_t number)
{
	uint32_t at = sector_place(inode, number);

	return at < inode->sector_count && inode->sectors[at].number == number ?
		&inode->sectors[at] : NULL;
}

static struct sim_sector *sector_make(struct sim_inode *inode, uint64_t number)
{
	uint32_t at = sector_place(inode, number);
	struct sim_sector *found = inode->sectors + at;

	if (at < inode->sector_count && found->number == number)
		return found;
	if (inode->sector_count == inode->sector_room) {
		inode->sector_room = inode->sector_room != 0 ? 2 * inode->sector_room : 8;
		inode->sectors = apusi_sim_memory(inode->sectors,
			inode->sector_room * sizeof *inode->sectors);
		found = inode->sectors + at;
	}
	memmove(found + 1, found, (inode->sector_count - at) * sizeof *found);
	inode->sector_count++;
	*found = (struct sim_sector){ .number = number };
	return found;
}

/* A copy to write into, which the disk does not have yet; NULL: the disk is full. */
static unsigned char *sector_own(struct sim_inode *inode, uint64_t number)
{
	struct sim_disk *disk = inode->disk;
	uint64_t limit = disk->world->config.disk_bytes / SIM_SECTOR;
	struct sim_sector *sector = sector_find(inode, number);
	unsigned char *own;

	if (sector != NULL && sector->now != NULL && is_dirty(sector)) {
		sector->is_given_up = false;
		return sector->now;
	}
	if ((sector == NULL || sector->now == NULL) && disk->stored_sectors >= limit)
		return NULL;
	sector = sector_make(inode, number);
	own = apusi_sim_memory(NULL, SIM_SECTOR);
	memcpy(own, sector->now != NULL ? sector->now : zeros, SIM_SECTOR);
	now_set(disk, sector, own);
	return own;
}

/* Holes on both sides need no place. */
static void holes_drop(struct sim_inode *inode)
{
	uint32_t from, to = 0;

	for (from = 0; from < inode->sector_count; from++)
		if (inode->sectors[from].now != NULL || inode->sectors[from].disk != NULL)
			inode->sectors[to++] = inode->sectors[from];
	inode->sector_count = to;
}

/* ---- inodes ------------------------------------------------------------------------------- */

struct sim_inode *apusi_sim_inode_new(struct sim_disk *disk, uint32_t mode)
{
	struct sim_inode *inode = apusi_sim_memory(NULL, sizeof *inode);
	int64_t now_ns = apusi_sim_today(disk);

	*inode = (struct sim_inode){
		.prev = disk->inodes_end,
		.disk = disk,
		.number = ++disk->inode_number,
		.mode = mode,
		.read_ns = now_ns,
		.written_ns = now_ns,
		.changed_ns = now_ns,
		.born_ns = now_ns,
	};
	*disk->inodes_end = inode;
	disk->inodes_end = &inode->next;
	return inode;
}

void apusi_sim_inode_use(struct sim_inode *inode)
{
	inode->uses++;
}

void apusi_sim_inode_let_go(struct sim_inode *inode)
{
	if (inode->links == 0 && inode->uses == 0)
		apusi_sim_inode_free(inode);
}

void apusi_sim_inode_free(struct sim_inode *inode)
{
	struct sim_disk *disk = inode->disk;
	uint32_t i;

	for (i = 0; i < inode->sector_count; i++) {
		now_set(disk, &inode->sectors[i], NULL);
		disk_set(&inode->sectors[i], NULL);
	}
	for (i = 0; i < inode->entry_count; i++)
		free(inode->entries[i].name);
	*inode->prev = inode->next;
	if (inode->next != NULL)
		inode->next->prev = inode->prev;
	else
		disk->inodes_end = inode->prev;
	free(inode->sectors);
	free(inode->entries);
	free(inode);
}

/* ---- as it is seen ------------------------------------------------------------------------- */

/* Of a range the part in its first sector. */
static size_t part_of(uint64_t offset, uint64_t bytes)
{
	size_t part = SIM_SECTOR - offset % SIM_SECTOR;

	return part < bytes ? part : (size_t)bytes;
}

void apusi_sim_inode_read(const struct sim_inode *inode, void *data, size_t bytes,
	uint64_t offset)
{
	unsigned char *to = data;

	while (bytes > 0) {
		const struct sim_sector *sector = sector_find(inode, offset / SIM_SECTOR);
		const unsigned char *from = sector != NULL && sector->now != NULL ?
			sector->now : zeros;
		size_t part = part_of(offset, bytes);

		memcpy(to, from + offset % SIM_SECTOR, part);
		to += part;
		offset += part;
		bytes -= part;
	}
}

static void changed(struct sim_inode *inode)
{
	inode->written_ns = inode->changed_ns = apusi_sim_today(inode->disk);
}

int64_t apusi_sim_inode_write(struct sim_inode *inode, const void *data, size_t bytes,
	uint64_t offset)
{
	const unsigned char *from = data;
	size_t done = 0;

	while (done < bytes) {
		unsigned char *to = sector_own(inode, (offset + done) / SIM_SECTOR);
		size_t part = part_of(offset + done, bytes - done);

		if (to == NULL)
			break;
		memcpy(to + (offset + done) % SIM_SECTOR, from + done, part);
		done += part;
	}
	if (done > 0 && offset + done > inode->bytes)
		inode->bytes = offset + done;
	changed(inode);
	return done > 0 || bytes == 0 ? (int64_t)done : -ENOSPC;
}

int apusi_sim_inode_store(struct sim_inode *inode, uint64_t offset, uint64_t bytes)
{
	uint64_t number, end = (offset + bytes - 1) / SIM_SECTOR;

	for (number = offset / SIM_SECTOR; number <= end; number++)
		if (sector_own(inode, number) == NULL)
			return -ENOSPC;
	inode->changed_ns = apusi_sim_today(inode->disk);
	return 0;
}

/* Within one sector; where there are zeros already, nothing is written. */
static void zeros_put(struct sim_inode *inode, uint64_t offset, size_t bytes)
{
	struct sim_sector *sector = sector_find(inode, offset / SIM_SECTOR);
	size_t at = offset % SIM_SECTOR;

	if (bytes > 0 && sector != NULL && sector->now != NULL &&
	    memcmp(sector->now + at, zeros, bytes) != 0)
		memset(sector_own(inode, offset / SIM_SECTOR) + at, 0, bytes);
}

void apusi_sim_inode_punch(struct sim_inode *inode, uint64_t offset, uint64_t bytes)
{
	uint64_t end = offset + bytes, first = (offset + SIM_SECTOR - 1) / SIM_SECTOR;
	uint32_t i;

	if (first * SIM_SECTOR > end) {
		zeros_put(inode, offset, (size_t)bytes);
	} else {
		zeros_put(inode, offset, (size_t)(first * SIM_SECTOR - offset));
		zeros_put(inode, end - end % SIM_SECTOR, (size_t)(end % SIM_SECTOR));
	}
	for (i = sector_place(inode, first); i < inode->sector_count; i++)
		if (inode->sectors[i].number < end / SIM_SECTOR)
			now_set(inode->disk, &inode->sectors[i], NULL);
	holes_drop(inode);
	changed(inode);
}

/* Nothing is seen of what is stored behind the end, also when a file grows over it. */
static void end_clear(struct sim_inode *inode)
{
	apusi_sim_inode_punch(inode, inode->bytes, (uint64_t)INT64_MAX + 1 - inode->bytes);
}

void apusi_sim_inode_truncate(struct sim_inode *inode, uint64_t bytes)
{
	bool is_shorter = bytes < inode->bytes;

	inode->bytes = bytes;
	if (is_shorter)
		end_clear(inode);
	changed(inode);
}

uint64_t apusi_sim_inode_stored(const struct sim_inode *inode)
{
	uint64_t count = 0;
	uint32_t i;

	for (i = 0; i < inode->sector_count; i++)
		count += inode->sectors[i].now != NULL;
	return count;
}

/* ---- the disk ------------------------------------------------------------------------------- */

void apusi_sim_inode_sync(struct sim_inode *inode)
{
	uint32_t i;

	for (i = 0; i < inode->sector_count; i++)
		if (!inode->sectors[i].is_given_up)
			disk_set(&inode->sectors[i], inode->sectors[i].now);
	inode->disk_bytes = inode->bytes;
	holes_drop(inode);
}

static bool coin(const struct sim_inode *inode)
{
	return apusi_sim_below(inode->disk->world, 2) == 0;
}

/* What a write that nobody asked for has brought out by now, if the power fails. */
void apusi_sim_inode_write_back(struct sim_inode *inode)
{
	uint32_t i;

	for (i = 0; i < inode->sector_count; i++)
		if (is_dirty(&inode->sectors[i]) && !inode->sectors[i].is_given_up && coin(inode))
			disk_set(&inode->sectors[i], inode->sectors[i].now);
	if (inode->disk_bytes != inode->bytes && coin(inode))
		inode->disk_bytes = inode->bytes;
	holes_drop(inode);
}

/* Some is gone at once, the rest is read until then as if it had been written. */
void apusi_sim_inode_give_up(struct sim_inode *inode)
{
	uint32_t i;

	for (i = 0; i < inode->sector_count; i++) {
		struct sim_sector *sector = &inode->sectors[i];

		if (!is_dirty(sector))
			continue;
		if (coin(inode))
			now_set(inode->disk, sector, sector->disk);
		else
			sector->is_given_up = true;
	}
	end_clear(inode);
}

enum fate { KEPT, LOST, MIXED };

static bool is_kept(const struct sim_inode *inode, enum fate fate)
{
	return fate == KEPT || (fate == MIXED && coin(inode));
}

/* Between the two a file that grew has some length; one that was cut off had either. */
static uint64_t length_left(const struct sim_inode *inode, enum fate fate)
{
	uint64_t grown = inode->bytes - inode->disk_bytes, length;

	if (fate != MIXED || inode->bytes == inode->disk_bytes || coin(inode))
		return is_kept(inode, fate) ? inode->bytes : inode->disk_bytes;
	if (inode->bytes < inode->disk_bytes)
		return inode->disk_bytes;
	length = inode->disk_bytes + apusi_sim_below(inode->disk->world, grown);
	length += SIM_SECTOR - 1 - (length + SIM_SECTOR - 1) % SIM_SECTOR;
	return length < inode->bytes ? length : inode->bytes;
}

static void sector_cut(struct sim_inode *inode, struct sim_sector *sector, enum fate fate)
{
	struct apus_sim_counts *counts = &inode->disk->world->counts;

	if (!is_dirty(sector))
		return;
	if (!sector->is_given_up && is_kept(inode, fate)) {
		counts->sectors_kept++;
		disk_set(sector, sector->now);
	} else {
		counts->sectors_lost++;
		now_set(inode->disk, sector, sector->disk);
	}
}

void apusi_sim_inode_cut(struct sim_inode *inode)
{
	enum fate fate = (enum fate)apusi_sim_below(inode->disk->world, 3);
	uint64_t length = length_left(inode, fate);
	uint32_t i;

	for (i = 0; i < inode->sector_count; i++)
		sector_cut(inode, &inode->sectors[i], fate);
	inode->bytes = length;
	end_clear(inode);
	apusi_sim_inode_sync(inode);
}
