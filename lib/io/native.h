/*
 * io/native.h - operations that a backend carries out by itself, in the kernel.
 *
 *   Units      bytes; the fields are those of an io_uring submission.
 *   Errors     begin: 0; -ENOTSUP (this backend, or this kernel, has no such operation: do it
 *              another way); -EAGAIN (all requests are in use).  Nothing was begun then.
 *   Ownership  what the fields point to is the kernel's until the operation is answered.
 *   Threads    the loop's thread only.
 *
 * The operation is one of wait/op.h: begin makes it the running task's, under the call that
 * it is awaited with, and its answer is what the kernel says.
 */
#ifndef APUSI_IO_NATIVE_H
#define APUSI_IO_NATIVE_H

#include <string.h>
#include <sys/uio.h>

#include "io/backend.h"
#include "wait/op.h"

struct apusi_uring_fixed;

enum { APUSI_NATIVE_ROOM = 256 };

/* As io_uring numbers them; whether a kernel has one is asked at run time. */
enum apusi_native_opcode {
	APUSI_NATIVE_READV = 1,
	APUSI_NATIVE_WRITEV = 2,
	APUSI_NATIVE_FSYNC = 3,
	APUSI_NATIVE_READ_FIXED = 4,
	APUSI_NATIVE_WRITE_FIXED = 5,
	APUSI_NATIVE_FALLOCATE = 17,
	APUSI_NATIVE_OPENAT = 18,
	APUSI_NATIVE_CLOSE = 19,
	APUSI_NATIVE_STATX = 21,
	APUSI_NATIVE_READ = 22,
	APUSI_NATIVE_WRITE = 23,
	APUSI_NATIVE_RENAMEAT = 35,
	APUSI_NATIVE_UNLINKAT = 36,
	APUSI_NATIVE_MKDIRAT = 37,
	APUSI_NATIVE_SEND_ZC = 47,
	APUSI_NATIVE_FTRUNCATE = 55,

	/* What no kernel has: of the simulated files, see io/sim_file.c. */
	APUSI_NATIVE_APPEND = 200, /* as WRITE, behind what is there */
	APUSI_NATIVE_COPY, /* from fd at offset to the number `index` at `fixed`, bytes in data */
	APUSI_NATIVE_SEND, /* from fd at offset to the socket of the token `fixed`, the same */
	APUSI_NATIVE_LIST  /* of the directory fd into data */
};

/* What the simulated files answer of STATX, as struct apus_stat has it. */
struct apusi_native_stat {
	uint64_t bytes, stored_bytes, inode, link_count;
	uint32_t mode, direct_align;
	int64_t read_ns, written_ns, changed_ns, born_ns;
};

/* What is answered of a listing: struct apus_entry. */
struct apusi_native_entry {
	uint64_t inode;
	uint16_t bytes, name_bytes;
	uint32_t type;
};

/* One entry, its name and what aligns the next: the bytes that it takes; 0: there is no room. */
static inline size_t apusi_native_entry_put(char *to, size_t room, uint64_t inode, uint32_t type,
	const char *name)
{
	struct apusi_native_entry head = { .inode = inode, .type = type };
	size_t name_bytes = strlen(name);
	size_t bytes = (sizeof head + name_bytes + 1 + 7) & ~(size_t)7;

	if (bytes > room)
		return 0;
	head.bytes = (uint16_t)bytes;
	head.name_bytes = (uint16_t)name_bytes;
	memcpy(to, &head, sizeof head);
	memcpy(to + sizeof head, name, name_bytes + 1);
	return bytes;
}

enum apusi_native_type { APUSI_NATIVE_FILE = 1, APUSI_NATIVE_DIRECTORY = 2 };

/* What a send of a file answers where the socket took nothing: -EAGAIN is a lack of requests. */
#define APUSI_NATIVE_SEND_FULL ((int64_t)-EINPROGRESS)

/* The kernel is through with it: `result` is its own word, -ECANCELED if it never began. */
typedef void apusi_native_returned(struct apus_cx *cx, void *arg, int64_t result);

struct apusi_native {
	uint8_t opcode; /* enum apusi_native_opcode, or io_uring_op */
	uint16_t ioprio;
	int fd;
	uint64_t offset;  /* or addr2 */
	const void *data; /* addr */
	uint32_t bytes;   /* len */
	uint32_t flags;   /* the operation's own */
	uint32_t index;   /* splice_fd_in, file_index */
	uint64_t fixed;   /* names a file and the memory that data lies in, instead of fd; or 0 */
	const void *lent; /* what the caller must keep, to be told of a stack; NULL: nothing */
	bool owns;        /* the result is a descriptor: closed if nobody takes it */
	bool apart;       /* not tried on the loop's thread, where it might block; simulated: whole */
	bool answers;     /* the kernel writes more than a number: offset is the request's room */
	apusi_native_returned *returned; /* or NULL */
	void *arg;
};

/* A request in the kernel. */
struct apusi_native_op {
	struct apusi_op op;
	struct apusi_uring_fixed *fixed; /* the place that it names, or NULL */
	bool owes;      /* its cancel could not be asked for yet */
	int64_t result; /* until the kernel has let go of the buffer as well */
	apusi_native_returned *returned;
	void *arg;
	_Alignas(8) unsigned char room[APUSI_NATIVE_ROOM]; /* what it answers besides */
};

/* What an operation that answers has answered, until it is released. */
static inline const void *apusi_native_room(struct apusi_op *request)
{
	return ((struct apusi_native_op *)(void *)request)->room;
}

static inline bool apusi_native_has(const struct apus_io *io, uint8_t opcode)
{
	return io->backend->has_native != NULL && io->backend->has_native(io, opcode);
}

static inline int apusi_native_begin(struct apus_cx *cx, struct apus_op *op,
	const struct apusi_call *call, const struct apusi_native *native)
{
	return cx->io->backend->begin_native == NULL ? -ENOTSUP :
		cx->io->backend->begin_native(cx, op, call, native);
}

/* ---- what is registered ------------------------------------------------------------- */

/*
 * A file and memory that the kernel is to keep at hand for operations, under a token that is
 * never 0.  They belong to `owner`, which is not 0 either.  0; -ENOTSUP (this backend, or this
 * kernel, keeps none), -ENOBUFS (all places are in use), or the kernel's reason, such as
 * -ENOMEM: RLIMIT_MEMLOCK.
 */
static inline int apusi_native_fix(struct apus_io *io, uint64_t owner, int fd,
	const struct iovec *memory, uint64_t *token)
{
	return io->backend->fix == NULL ? -ENOTSUP :
		io->backend->fix(io, owner, fd, memory, token);
}

static inline bool apusi_native_is_fixed(const struct apus_io *io, uint64_t token)
{
	return token != 0 && io->backend->is_fixed != NULL && io->backend->is_fixed(io, token);
}

/* The kernel lets go of both, behind the operations in flight.  Nothing, of a stale token. */
static inline void apusi_native_unfix(struct apus_io *io, uint64_t token)
{
	if (token != 0 && io->backend->unfix != NULL)
		io->backend->unfix(io, token);
}

static inline void apusi_native_unfix_all(struct apus_io *io, uint64_t owner)
{
	if (io->backend->unfix_all != NULL)
		io->backend->unfix_all(io, owner);
}

#endif
