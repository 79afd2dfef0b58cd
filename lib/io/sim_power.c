#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "io/sim_disk.h"

/* ---- the disk ------------------------------------------------------------------------- */

struct sim_disk *apusi_sim_disk(struct sim_world *world)
{
	struct sim_disk *disk = world->disk;

	if (disk != NULL)
		return disk;
	disk = apusi_sim_memory(NULL, sizeof *disk);
	memset(disk, 0, sizeof *disk);
	disk->world = world;
	disk->inodes_end = &disk->inodes;
	world->disk = disk;
	disk->root = apusi_sim_inode_new(disk, S_IFDIR | 0755);
	disk->root->parent = disk->root;
	disk->root->links = 1;
	return disk;
}

void apusi_sim_disk_close(struct sim_world *world)
{
	struct sim_disk *disk = world->disk;
	uint32_t i;

	if (disk == NULL)
		return;
	apusi_sim_requests_end(disk);
	apusi_sim_fixed_end(disk);
	for (i = 0; i < disk->record_count; i++) {
		free(disk->records[i].from.name);
		free(disk->records[i].to.name);
	}
	while (disk->inodes != NULL)
		apusi_sim_inode_free(disk->inodes);
	for (i = 0; i < disk->file_count; i++)
		free(disk->files[i]);
	for (i = 0; i < disk->request_count; i++)
		free(disk->requests[i]);
	free(disk->files);
	free(disk->requests);
	free(disk);
	world->disk = NULL;
}

/* ---- the power fails ------------------------------------------------------------------- */

/* Names that were lost take files along: what is left of the others is drawn in their order. */
static void disk_cut(struct sim_disk *disk)
{
	struct sim_inode *inode;
	uint32_t i;

	apusi_sim_requests_cut(disk);
	apusi_sim_tree_cut(disk);
	for (inode = disk->inodes; inode != NULL; inode = inode->next)
		apusi_sim_inode_cut(inode);
	for (i = 0; i < disk->file_count; i++)
		if (disk->files[i] != NULL)
			disk->files[i]->is_dead = true;
}

int apus_sim_power_cut(struct apus_loop *loop)
{
	struct sim_world *world;
	int err = apusi_sim_enter(loop, &world);

	if (err)
		return err;
	world->counts.power_cuts++;
	apusi_sim_step(world, "power cut", NULL, (int64_t)world->counts.power_cuts);
	disk_cut(apusi_sim_disk(world));
	return 0;
}

/* ---- what is on the disk ------------------------------------------------------------------ */

/* What is missing on the way there is made: the way to its last name. */
static int way_make(struct sim_disk *disk, const char *path, struct sim_way *way)
{
	char part[SIM_PATH_MAX];
	size_t at, bytes = strlen(path);
	int err = 0;

	if (bytes >= sizeof part)
		return -ENAMETOOLONG;
	for (at = 1; at < bytes && !err; at++) {
		if (path[at] != '/')
			continue;
		memcpy(part, path, at);
		part[at] = '\0';
		err = apusi_sim_walk(disk, part, way);
		if (!err && way->inode == NULL)
			(void)apusi_sim_make(disk, way, S_IFDIR | 0755);
	}
	if (!err)
		err = apusi_sim_walk(disk, path, way);
	if (!err && (way->is_directory || (way->inode != NULL && S_ISDIR(way->inode->mode))))
		err = -EISDIR;
	return err;
}

static int file_make(struct sim_disk *disk, const char *path, const void *data, size_t bytes)
{
	struct sim_way way;
	int err = way_make(disk, path, &way);

	if (err)
		return err;
	if (way.inode == NULL)
		way.inode = apusi_sim_make(disk, &way, S_IFREG | 0644);
	apusi_sim_inode_truncate(way.inode, 0);
	if (apusi_sim_inode_write(way.inode, data, bytes, 0) != (int64_t)bytes)
		err = -ENOSPC;
	apusi_sim_inode_sync(way.inode);
	for (; way.dir != way.dir->parent; way.dir = way.dir->parent)
		apusi_sim_tree_sync(disk, way.dir);
	apusi_sim_tree_sync(disk, way.dir);
	return err;
}

int apus_sim_file_make(struct apus_loop *loop, const char *path, const void *data, size_t bytes)
{
	struct sim_world *world;
	int err = apusi_sim_enter(loop, &world);

	if (err)
		return err;
	err = file_make(apusi_sim_disk(world), path, data, bytes);
	apusi_sim_step(world, "file make", NULL, err ? err : (int64_t)bytes);
	return err;
}

int64_t apus_sim_file_look(struct apus_loop *loop, const char *path, void *data, size_t bytes)
{
	struct sim_world *world;
	struct sim_way way;
	int err = apusi_sim_enter(loop, &world);

	if (!err)
		err = apusi_sim_walk(apusi_sim_disk(world), path, &way);
	if (!err && way.inode == NULL)
		err = -ENOENT;
	if (!err && S_ISDIR(way.inode->mode))
		err = -EISDIR;
	if (err)
		return err;
	if (bytes > way.inode->bytes)
		bytes = (size_t)way.inode->bytes;
	apusi_sim_inode_read(way.inode, data, bytes, 0);
	return (int64_t)way.inode->bytes;
}
