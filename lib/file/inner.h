/*
 * The file room's inside: the table of handles, and what helpers are given to do.
 *
 *   Ownership  a slot is the loop's.  A work belongs to its offload request: while it is away a
 *              helper may read and write it, but not the slot, which it only carries.
 *   Threads    the functions of work.c and of the system_*.c run on helpers, all others on the
 *              loop's thread.
 */
#ifndef FILE_INNER_H
#define FILE_INNER_H

#include <dirent.h>

#include "apus/file.h"
#include "file/table.h"
#include "offload/pool.h"

enum apusi_file_flags {
	APUSI_FILE_OWNED = 1 << 0,   /* close(2) when the slot ends */
	APUSI_FILE_DIRECT = 1 << 1,  /* O_DIRECT: nothing of it is in the page cache */
	APUSI_FILE_SLOW = 1 << 2,    /* its file system cannot say what is cached */
	APUSI_FILE_APPEND = 1 << 3,  /* O_APPEND */
	APUSI_FILE_DROPPED = 1 << 4, /* no handle names it; the last use closes it */
	APUSI_FILE_DIRECTORY = 1 << 5,
	APUSI_FILE_FIXED = 1 << 6    /* the kernel was shown it, for a session */
};

struct apusi_file {
	void *slab_link; /* the slab's, while free */
	uint32_t generation;
	uint32_t index;
	int fd;         /* -1: free */
	uint32_t flags; /* enum apusi_file_flags */
	uint32_t uses;  /* works that are away with its descriptor */
	DIR *stream;    /* of a directory */
	struct dirent *entry; /* was read from it, and did not fit any more */
};

struct apusi_files {
	struct apus_slab slots;
	bool at_once; /* a virtual clock's loop: nothing depends on what is cached */
	bool is_sim;  /* the files are the backend's own, and no system call is made of them */
};

struct apusi_work;

/* What is to be done; the address of one is the verb of its calls. */
struct apusi_file_verb {
	apus_poll (*run)(struct apusi_work *work);
};

/* All that any of them needs. */
struct apusi_work {
	const struct apusi_file_verb *verb;
	struct apusi_file *file, *other; /* in use until it is back; or NULL */
	int fd, other_fd;
	int flags;
	mode_t mode;
	const char *path, *other_path;
	void *data;
	uint64_t bytes, offset, other_offset;
	struct iovec one;
	const struct iovec *list;
	uint32_t count;
	DIR *stream;
	struct dirent *entry;
	struct apus_stat stat;
	bool opens; /* the result is a descriptor */
};

_Static_assert(sizeof(struct apusi_work) <= 512, "the contract says 512");

/* ---- table.c ------------------------------------------------------------------------ */

/* The slot that a token names, or NULL. */
static inline struct apusi_file *apusi_file_find(struct apusi_files *files, uint64_t token)
{
	uint32_t generation = (uint32_t)(token >> 32);
	struct apusi_file *file = (struct apusi_file *)apus_slab_at(&files->slots, (uint32_t)token);

	if (apus_unlikely(file == NULL || file->generation != generation || generation == 0))
		return NULL;
	return file;
}

static inline uint64_t apusi_file_token(const struct apusi_file *file)
{
	return (uint64_t)file->generation << 32 | file->index;
}

/* 0 or -ENFILE, and the descriptor is still the caller's. */
int apusi_file_slot(struct apusi_files *files, int fd, uint32_t flags, struct apusi_file **out);
bool apusi_file_is_left(const struct apusi_files *files);

/* No handle names it any more, and no session. */
void apusi_file_retire(struct apus_cx *cx, struct apusi_file *file);
/* A retired one goes: closed here, unless its descriptor is somebody else's by now. */
void apusi_file_free(struct apus_cx *cx, struct apusi_file *file, bool closed);

/* ---- file.c --------------------------------------------------------------------------- */

/* A request for a call, to be filled in; both files are in use from here on.  0 or -errno. */
int apusi_work_claim(struct apus_cx *cx, struct apus_op *op, const struct apusi_call *call,
	struct apusi_file *file, struct apusi_file *other, struct apusi_work **out);

/* One work less that is away with it: the last closes what was dropped, unless it was `closed`. */
void apusi_file_use_end(struct apus_cx *cx, struct apusi_file *file, bool closed);

/* The caller's memory is in it: a buffer or a path. */
void apusi_work_lend(const struct apus_cx *cx, struct apus_op *op, const void *data);

/* Hands it over: APUS_PENDING, or -errno. */
apus_poll apusi_work_submit(struct apus_cx *cx, struct apus_op *op);

/* As apus_file_read_at and write_at, of what the kernel was shown as `fixed`; 0: of nothing. */
apus_poll apusi_file_read(struct apus_cx *cx, struct apus_op *op, struct apus_file file, void *data,
	size_t bytes, uint64_t offset, uint64_t fixed);
apus_poll apusi_file_write(struct apus_cx *cx, struct apus_op *op, struct apus_file file,
	const void *data, size_t bytes, uint64_t offset, uint64_t fixed);

/* What look answered, of a call without anything to be kept: an answer is released. */
static inline apus_poll apusi_work_end(struct apus_cx *cx, struct apus_op *op, apus_poll answer,
	bool answered)
{
	if (answered)
		apusi_op_release(cx, op);
	return answer;
}

/* ---- work.c: on a helper ------------------------------------------------------------------ */

extern const struct apusi_file_verb apusi_verb_read, apusi_verb_write, apusi_verb_append,
	apusi_verb_copy, apusi_verb_sync, apusi_verb_sync_data, apusi_verb_allocate,
	apusi_verb_truncate, apusi_verb_stat, apusi_verb_open, apusi_verb_close, apusi_verb_send,
	apusi_verb_path_stat, apusi_verb_link_stat, apusi_verb_rename, apusi_verb_unlink,
	apusi_verb_mkdir, apusi_verb_rmdir, apusi_verb_list;

/* ---- system_linux.c, system_posix.c: what differs ----------------------------------------- */

/* Only what the page cache has: the bytes; -EAGAIN: nothing; -EOPNOTSUPP: it cannot say. */
apus_poll apusi_system_read_cached(int fd, const struct iovec *list, int count, uint64_t offset);
/* At the end of the file, whatever it was opened with: as writev(2), or -ENOTSUP. */
apus_poll apusi_system_append(int fd, const struct iovec *list, int count);
/* What Linux calls it. */
int apusi_system_allocate_mode(enum apus_allocate how);
int apusi_system_allocate(int fd, enum apus_allocate how, uint64_t offset, uint64_t bytes);
/* Of the path, or of fd where that is NULL. */
int apusi_system_stat(int fd, const char *path, bool follow, struct apus_stat *out);
/* What statx(2) is asked for, false: there is none; its flags; and what it answered. */
bool apusi_system_stat_ask(uint32_t *mask);
int apusi_system_stat_flags(const char *path, bool follow);
void apusi_system_stat_read(const void *answer, struct apus_stat *out);
/* As copy_file_range(2); -EOPNOTSUPP: by hand. */
apus_poll apusi_system_copy(int from, uint64_t from_offset, int to, uint64_t to_offset, size_t bytes);
/* As sendfile(2); -EOPNOTSUPP: by hand. */
apus_poll apusi_system_send(int to, int from, uint64_t offset, size_t bytes);

#endif
