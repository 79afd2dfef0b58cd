/*
 * io/sim_disk.h - the inside of the simulated files: a disk, its names, and requests.
 *
 *   Units      bytes; sectors of SIM_SECTOR bytes, each written whole or not at all.
 *   Errors     0, a count, or -errno.
 *   Threads    the loop's thread only.
 *
 * Everything is there twice, as programs see it and as it would be after the power failed.  A
 * file's sectors have a copy for each, which is the same one while nothing of it is to be
 * written.  Names are there once, as they are seen, with a record of each change that is not
 * on the disk yet: a change that the power's failure takes back is undone from its record.
 *
 * sim_inode.c    what a file holds, and what of it is on the disk
 * sim_tree.c     paths, directories, and the records of their changes
 * sim_file.c     open files, and what each call does
 * sim_fixed.c    what sessions have shown
 * sim_request.c  calls on their way: when they are due, what goes wrong with them
 * sim_power.c    the power's failure, and what a test's author calls
 */
#ifndef APUSI_IO_SIM_DISK_H
#define APUSI_IO_SIM_DISK_H

#include "io/files.h"
#include "io/native.h"
#include "io/sim.h"

enum {
	SIM_SECTOR = 512,
	SIM_NAME_MAX = 255,
	SIM_PATH_MAX = 4096,
	SIM_FIXED = 16, /* sessions whose file and memory are kept, as over io_uring */
	SIM_RECORDS = 512, /* changes of names that are kept from the disk, at most */
	SIM_FILE_FIRST = SIM_FIRST + (1 << 28)
};

/* Files are of a day in 2020, on which the virtual clock began. */
#define SIM_EPOCH_NS (1600000000 * APUS_SEC)

struct sim_sector {
	uint64_t number;
	unsigned char *now, *disk; /* NULL: a hole; the same: nothing is to be written */
	bool is_given_up; /* a sync has failed: what is new of it never reaches the disk */
};

struct sim_entry {
	char *name;
	struct sim_inode *inode;
	uint64_t place; /* in the listing; by name among the same */
};

/* A file, or a directory. */
struct sim_inode {
	struct sim_inode *next, **prev; /* of all, in the order they were made */
	struct sim_disk *disk;
	uint64_t number;
	uint32_t mode;
	uint32_t links; /* names */
	uint32_t uses;  /* open files, and records that name it */
	uint64_t bytes, disk_bytes;
	struct sim_sector *sectors; /* by number */
	uint32_t sector_count, sector_room;
	struct sim_entry *entries; /* by place; in any order of their making */
	uint32_t entry_count, entry_room;
	struct sim_inode *parent;
	int64_t read_ns, written_ns, changed_ns, born_ns;
};

/* A name: a directory, and what it is called there. */
struct sim_place {
	struct sim_inode *dir;
	char *name;
};

/* A change of names that is not on the disk: made has no `from`, removed has no `to`. */
struct sim_record {
	struct sim_inode *inode;
	struct sim_inode *replaced; /* had the name before; or NULL */
	struct sim_place from, to;
	bool is_marked;
};

/* An open file. */
struct sim_file {
	struct sim_inode *inode;
	int number; /* -1: closed, and in use by a request */
	int flags;  /* as open(2) had them */
	uint32_t uses;
	bool is_dead; /* it was open when the power failed */
	uint64_t place; /* where the listing goes on: behind this, */
	char name[SIM_NAME_MAX + 1];
};

/* What a session has shown. */
struct sim_fixed {
	uint64_t owner;
	struct sim_file *file; /* NULL: a free place */
	struct iovec memory;
	uint32_t generation;
	uint32_t uses;
	bool is_over;
};

struct sim_request {
	struct apusi_native_op native; /* first */
	struct sim_request *next_free;
	struct apusi_native asked;
	struct sim_file *file, *other; /* or NULL */
	struct sim_fixed *fixed;       /* or NULL */
	uint32_t index, generation;
	int forced;   /* its answer, whatever it does: an errno; 0: its own */
	bool is_live; /* not among the free */
	bool is_over; /* it was carried out, or never will be */
};

struct sim_disk {
	struct sim_world *world;
	struct sim_inode *root, *inodes, **inodes_end;
	uint64_t inode_number;
	uint64_t stored_sectors;
	struct sim_record records[SIM_RECORDS]; /* oldest first */
	uint32_t record_count;
	struct sim_file **files; /* by number - SIM_FILE_FIRST */
	uint32_t file_count, file_room;
	struct sim_fixed fixed[SIM_FIXED];
	struct sim_request **requests; /* all that ever were, by index */
	uint32_t request_count, request_room;
	struct sim_request *free_requests;
	uint32_t in_flight;
};

static inline int64_t apusi_sim_today(const struct sim_disk *disk)
{
	return apus_ns_add(SIM_EPOCH_NS, apusi_sim_now(disk->world));
}

/* Panics where there is none: a disk that forgets is none. */
void *apusi_sim_memory(void *old, size_t bytes);

/* ---- sim_inode.c ---------------------------------------------------------------------- */

struct sim_inode *apusi_sim_inode_new(struct sim_disk *disk, uint32_t mode);
void apusi_sim_inode_use(struct sim_inode *inode);
/* One use less, or one name: without any it goes. */
void apusi_sim_inode_let_go(struct sim_inode *inode);
void apusi_sim_inode_free(struct sim_inode *inode);

void apusi_sim_inode_read(const struct sim_inode *inode, void *data, size_t bytes,
	uint64_t offset);
/* How many were written: fewer, or -ENOSPC, on a disk that is full. */
int64_t apusi_sim_inode_write(struct sim_inode *inode, const void *data, size_t bytes,
	uint64_t offset);
void apusi_sim_inode_truncate(struct sim_inode *inode, uint64_t bytes);
/* Stores the range, as zeros where it was not; 0 or -ENOSPC. */
int apusi_sim_inode_store(struct sim_inode *inode, uint64_t offset, uint64_t bytes);
void apusi_sim_inode_punch(struct sim_inode *inode, uint64_t offset, uint64_t bytes);
uint64_t apusi_sim_inode_stored(const struct sim_inode *inode);

/* All of it is on the disk. */
void apusi_sim_inode_sync(struct sim_inode *inode);
/* Some of it is, without being asked for. */
void apusi_sim_inode_write_back(struct sim_inode *inode);
/* What was to be written never will be. */
void apusi_sim_inode_give_up(struct sim_inode *inode);
/* The power fails: what is left is what is seen. */
void apusi_sim_inode_cut(struct sim_inode *inode);

/* ---- sim_tree.c ------------------------------------------------------------------------- */

/* What a path leads to: the place of its last name, and who has it now, or NULL. */
struct sim_way {
	struct sim_inode *dir;
	struct sim_inode *inode;
	char name[SIM_NAME_MAX + 1];
	bool is_directory; /* it ended with a slash, or names one by dots */
	bool is_dots;      /* the root, "." or "..": no place */
};

int apusi_sim_walk(struct sim_disk *disk, const char *path, struct sim_way *way);
struct sim_inode *apusi_sim_entry_find(const struct sim_inode *dir, const char *name);
/* The first entry behind a place and name, or NULL. */
const struct sim_entry *apusi_sim_entry_behind(const struct sim_inode *dir, uint64_t place,
	const char *name);

/* Each is one change: on the disk, or not, as a whole. */
struct sim_inode *apusi_sim_make(struct sim_disk *disk, const struct sim_way *at, uint32_t mode);
void apusi_sim_remove(struct sim_disk *disk, const struct sim_way *at);
int apusi_sim_move(struct sim_disk *disk, const struct sim_way *from, const struct sim_way *to);

/* The changes of a directory are on the disk, and all that those hang on. */
void apusi_sim_tree_sync(struct sim_disk *disk, const struct sim_inode *dir);
/* The oldest are, without being asked for. */
void apusi_sim_tree_write_back(struct sim_disk *disk, uint32_t count);
void apusi_sim_tree_cut(struct sim_disk *disk);

/* ---- sim_file.c --------------------------------------------------------------------------- */

struct sim_file *apusi_sim_file_find(const struct sim_world *world, int number);
void apusi_sim_file_let_go(struct sim_disk *disk, struct sim_file *file);
void apusi_sim_file_shut(struct sim_disk *disk, struct sim_file *file);
/* Carries it out. */
int64_t apusi_sim_carry_out(struct sim_disk *disk, struct sim_request *request);

/* ---- sim_fixed.c -------------------------------------------------------------------------- */

int apusi_sim_fix(struct apus_io *io, uint64_t owner, int fd, const struct iovec *memory,
	uint64_t *token);
bool apusi_sim_is_fixed(const struct apus_io *io, uint64_t token);
void apusi_sim_unfix(struct apus_io *io, uint64_t token);
void apusi_sim_unfix_all(struct apus_io *io, uint64_t owner);
/* The place that a request names, in use from here on; or -errno. */
int apusi_sim_fixed_use(struct sim_disk *disk, const struct apusi_native *asked,
	struct sim_fixed **out);
void apusi_sim_fixed_back(struct sim_disk *disk, struct sim_fixed *place);
/* All of them end: the disk does. */
void apusi_sim_fixed_end(struct sim_disk *disk);

/* ---- sim_request.c ---------------------------------------------------------------------------- */

bool apusi_sim_has_native(const struct apus_io *io, uint8_t opcode);
int apusi_sim_begin_native(struct apus_cx *cx, struct apus_op *op, const struct apusi_call *call,
	const struct apusi_native *native);
void apusi_sim_request_due(struct sim_world *world, const struct sim_event *event);
/* What they hold is let go: nobody is left to be answered. */
void apusi_sim_requests_end(struct sim_disk *disk);
/* The power has failed: those in flight are answered so, in the next turn. */
void apusi_sim_requests_cut(struct sim_disk *disk);

/* ---- sim_power.c ------------------------------------------------------------------------------ */

/* The world's, made when it is first asked for. */
struct sim_disk *apusi_sim_disk(struct sim_world *world);
void apusi_sim_disk_close(struct sim_world *world);

#endif
