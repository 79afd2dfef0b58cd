/* The wrappers; see fault.h and calls.def. */
#define _GNU_SOURCE
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>
#ifdef FAULT_LIBEV
struct ev_loop;
#endif
#ifdef FAULT_URING
#include "io/uring.h"
#endif

#include "fault.h"

/* ---- the table --------------------------------------------------------------------- */

static const struct {
	const char *name;
	const int *errors;
	size_t count;
} calls[] = {
#define ROW(name, ...)                                              \
	{ #name, (const int[]){ __VA_ARGS__ },                      \
		sizeof((const int[]){ __VA_ARGS__ }) / sizeof(int) },
#define CALL(way, type, name, params, args, ...) ROW(name, __VA_ARGS__)
#define HAND(name, ...) ROW(name, __VA_ARGS__)
#define PART(name, ...) ROW(name, __VA_ARGS__)
#define ALSO(name)
#include "calls.def"
#undef CALL
#undef HAND
#undef PART
#undef ALSO
};

const char *fault_name(enum fault_call call)
{
	return calls[call].name;
}

const int *fault_errors(enum fault_call call, size_t *count)
{
	*count = calls[call].count;
	return calls[call].errors;
}

/* ---- the fault that is armed ---------------------------------------------------------- */

static struct fault armed;
static bool is_armed, is_paused = true;
static unsigned counted[FAULT_CALLS], hits;

void fault_arm(const struct fault *fault)
{
	is_armed = fault != NULL;
	if (is_armed)
		armed = *fault;
	memset(counted, 0, sizeof counted);
	hits = 0;
	__atomic_store_n(&is_paused, false, __ATOMIC_SEQ_CST);
}

unsigned fault_disarm(void)
{
	__atomic_store_n(&is_paused, true, __ATOMIC_SEQ_CST);
	return fault_hits();
}

unsigned fault_hits(void)
{
	return __atomic_load_n(&hits, __ATOMIC_SEQ_CST);
}

unsigned fault_count(enum fault_call call)
{
	return __atomic_load_n(&counted[call], __ATOMIC_SEQ_CST);
}

void fault_pause(void)
{
	__atomic_store_n(&is_paused, true, __ATOMIC_SEQ_CST);
}

void fault_resume(void)
{
	__atomic_store_n(&is_paused, false, __ATOMIC_SEQ_CST);
}

/* The error that this call has to answer; 0: it is made. */
static int due(enum fault_call call)
{
	unsigned n;

	if (__atomic_load_n(&is_paused, __ATOMIC_SEQ_CST))
		return 0;
	n = __atomic_add_fetch(&counted[call], 1, __ATOMIC_SEQ_CST);
	if (!is_armed || call != armed.call || n != armed.nth)
		return 0;
	__atomic_fetch_add(&hits, 1, __ATOMIC_SEQ_CST);
	return armed.error;
}

/* ---- what is not made at all --------------------------------------------------------- */

static struct {
	bool is_pretended;
	long answer;
} pretended[FAULT_CALLS];

void fault_pretend(enum fault_call call, long answer)
{
	pretended[call].answer = answer;
	pretended[call].is_pretended = true;
}

void fault_pretend_nothing(void)
{
	memset(pretended, 0, sizeof pretended);
}

static bool is_pretended(enum fault_call call, long *answer)
{
	*answer = pretended[call].answer;
	if (!pretended[call].is_pretended)
		return false;
	if (*answer < 0) {
		errno = (int)-*answer;
		*answer = -1;
	}
	return true;
}

/* ---- what is held ----------------------------------------------------------------------- */

static const char *const thing_names[FAULT_THINGS] = {
	[FAULT_BLOCK] = "blocks of memory", [FAULT_MAP] = "maps", [FAULT_THREAD] = "threads",
	[FAULT_ATTR] = "thread attributes", [FAULT_STREAM] = "streams",
	[FAULT_NAMES] = "lists of names", [FAULT_RING] = "rings", [FAULT_PROBE] = "probes",
	[FAULT_DESCRIPTOR] = "descriptors",
};

static long held[FAULT_THINGS];

const char *fault_thing_name(enum fault_thing thing)
{
	return thing_names[thing];
}

static void take(enum fault_thing thing)
{
	__atomic_fetch_add(&held[thing], 1, __ATOMIC_SEQ_CST);
}

static void give(enum fault_thing thing)
{
	__atomic_fetch_sub(&held[thing], 1, __ATOMIC_SEQ_CST);
}

/* A call that was made, and what it answered. */
static void made(enum fault_call call, bool well)
{
	if (!well)
		return;
	switch ((int)call) {
	case FAULT_malloc:
	case FAULT_calloc:
	case FAULT_aligned_alloc:
	case FAULT_posix_memalign:
		take(FAULT_BLOCK);
		break;
	case FAULT_mmap:
		take(FAULT_MAP);
		break;
	case FAULT_munmap:
		give(FAULT_MAP);
		break;
	case FAULT_pthread_create:
		take(FAULT_THREAD);
		break;
	case FAULT_pthread_attr_init:
		take(FAULT_ATTR);
		break;
	case FAULT_fopen:
	case FAULT_fdopendir:
		take(FAULT_STREAM);
		break;
	case FAULT_fclose:
	case FAULT_closedir:
		give(FAULT_STREAM);
		break;
	case FAULT_getaddrinfo:
	case FAULT_getifaddrs:
		take(FAULT_NAMES);
		break;
#ifdef FAULT_URING
	case FAULT_io_uring_queue_init_params:
		take(FAULT_RING);
		break;
	case FAULT_io_uring_get_probe_ring:
		take(FAULT_PROBE);
		break;
#endif
#ifdef FAULT_LIBEV
	case FAULT_ev_loop_new:
		take(FAULT_EV_LOOP);
		break;
#endif
	default:
		break;
	}
}

/* ---- wrappers, a way each -------------------------------------------------------------------- */

#define SAYS(type, name, params, args)                          \
	type __wrap_##name params                               \
	{                                                       \
		int error = due(FAULT_##name);                  \
		type answer;                                    \
		long pretence;                                  \
                                                                \
		if (error) {                                    \
			errno = error;                          \
			return (type)-1;                        \
		}                                               \
		if (is_pretended(FAULT_##name, &pretence))      \
			return (type)pretence;                  \
		answer = __real_##name args;                    \
		made(FAULT_##name, answer != (type)-1);         \
		return answer;                                  \
	}

#define DOES(type, name, params, args)                          \
	type __wrap_##name params                               \
	{                                                       \
		int error = due(FAULT_##name);                  \
		type answer = __real_##name args;               \
                                                                \
		made(FAULT_##name, answer != (type)-1);         \
		if (!error)                                     \
			return answer;                          \
		errno = error;                                  \
		return (type)-1;                                \
	}

#define REFUSES(type, name, params, args, refusal)              \
	type __wrap_##name params                               \
	{                                                       \
		int error = due(FAULT_##name);                  \
		type answer;                                    \
                                                                \
		if (error) {                                    \
			errno = error;                          \
			return refusal;                         \
		}                                               \
		answer = __real_##name args;                    \
		made(FAULT_##name, answer != (refusal));        \
		return answer;                                  \
	}

#define NONE(type, name, params, args) REFUSES(type, name, params, args, NULL)
#define MAPS(type, name, params, args) REFUSES(type, name, params, args, MAP_FAILED)

#define CODE(type, name, params, args)                          \
	type __wrap_##name params                               \
	{                                                       \
		int error = due(FAULT_##name);                  \
		type answer;                                    \
                                                                \
		if (error) {                                    \
			errno = EIO; /* what EAI_SYSTEM means */ \
			return error;                           \
		}                                               \
		answer = __real_##name args;                    \
		made(FAULT_##name, answer == 0);                \
		return answer;                                  \
	}

/* Submits: what is in the queue is looked at first. */
#define RING(type, name, params, args)                          \
	type __wrap_##name params                               \
	{                                                       \
		int error = due(FAULT_##name);                  \
                                                                \
		if (error)                                      \
			return error;                           \
		submissions_see(a);                             \
		return __real_##name args;                      \
	}

#ifdef FAULT_URING
static void submissions_see(struct io_uring *ring);
#endif

#define HAND(name, ...)
#define PART(name, ...)
#define ALSO(name)
#define CALL(way, type, name, params, args, ...) \
	type __real_##name params;               \
	type __wrap_##name params;
#include "calls.def"
#undef CALL
#define CALL(way, type, name, params, args, ...) way(type, name, params, args)
#include "calls.def"
#undef CALL

/* ---- by hand: what takes more than it says ------------------------------------------------------ */

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...)
{
	int error = due(FAULT_open);
	mode_t mode = 0;
	va_list args;
	long pretence;

	if (error) {
		errno = error;
		return -1;
	}
	if (is_pretended(FAULT_open, &pretence))
		return (int)pretence;
	if (flags & O_CREAT) {
		va_start(args, flags);
		mode = va_arg(args, mode_t);
		va_end(args);
	}
	return __real_open(path, flags, mode);
}

int __real_fcntl(int fd, int command, ...);
int __wrap_fcntl(int fd, int command, ...);
int __wrap_fcntl(int fd, int command, ...)
{
	int error = due(FAULT_fcntl);
	long value;
	va_list args;

	if (error) {
		errno = error;
		return -1;
	}
	va_start(args, command);
	value = va_arg(args, long);
	va_end(args);
	return __real_fcntl(fd, command, value);
}

int __real_ioctl(int fd, unsigned long request, ...);
int __wrap_ioctl(int fd, unsigned long request, ...);
int __wrap_ioctl(int fd, unsigned long request, ...)
{
	int error = due(FAULT_ioctl);
	long pretence;
	void *value;
	va_list args;

	if (error) {
		errno = error;
		return -1;
	}
	if (is_pretended(FAULT_ioctl, &pretence))
		return (int)pretence;
	va_start(args, request);
	value = va_arg(args, void *);
	va_end(args);
	return __real_ioctl(fd, request, value);
}

unsigned __real_if_nametoindex(const char *name);
unsigned __wrap_if_nametoindex(const char *name);
unsigned __wrap_if_nametoindex(const char *name)
{
	int error = due(FAULT_if_nametoindex);

	if (!error)
		return __real_if_nametoindex(name);
	errno = error;
	return 0;
}

/* A wait only: that nobody could be woken has no error. */
static int due_of_number(long number, long operation)
{
	switch (number) {
	case SYS_futex:
		return (operation & 127) == 0 ? due(FAULT_futex_wait) : 0;
	case SYS_membarrier:
		return due(FAULT_membarrier);
	case SYS_mbind:
		return due(FAULT_mbind);
	case SYS_preadv2:
		return due(FAULT_preadv2);
#ifdef FAULT_URING
	case SYS_io_uring_register:
		return due(FAULT_io_uring_register);
#endif
	default:
		fprintf(stderr, "syscall %ld is not in calls.def\n", number);
		abort();
	}
}

long __real_syscall(long number, ...);
long __wrap_syscall(long number, ...);
long __wrap_syscall(long number, ...)
{
	long args[6];
	va_list list;
	int i, error;

	va_start(list, number);
	for (i = 0; i < 6; i++)
		args[i] = va_arg(list, long);
	va_end(list);
	error = due_of_number(number, args[1]);
	if (error) {
		errno = error;
		return -1;
	}
	/* A kernel may be built without nodes, or be older than polling for a ring. */
	if (number == SYS_mbind || number == SYS_io_uring_register)
		return 0;
	return __real_syscall(number, args[0], args[1], args[2], args[3], args[4], args[5]);
}

/* ---- what gives back ---------------------------------------------------------------------------- */

void __real_free(void *block);
void __wrap_free(void *block);
void __wrap_free(void *block)
{
	if (block != NULL)
		give(FAULT_BLOCK);
	__real_free(block);
}

void *__real_realloc(void *block, size_t bytes);
void *__wrap_realloc(void *block, size_t bytes);
void *__wrap_realloc(void *block, size_t bytes)
{
	bool is_new = block == NULL;
	void *answer = __real_realloc(block, bytes);

	if (is_new && answer != NULL)
		take(FAULT_BLOCK);
	return answer;
}

int __real_pthread_attr_destroy(pthread_attr_t *attr);
int __wrap_pthread_attr_destroy(pthread_attr_t *attr);
int __wrap_pthread_attr_destroy(pthread_attr_t *attr)
{
	give(FAULT_ATTR);
	return __real_pthread_attr_destroy(attr);
}

int __real_pthread_join(pthread_t thread, void **answer);
int __wrap_pthread_join(pthread_t thread, void **answer);
int __wrap_pthread_join(pthread_t thread, void **answer)
{
	give(FAULT_THREAD);
	return __real_pthread_join(thread, answer);
}

int __real_pthread_detach(pthread_t thread);
int __wrap_pthread_detach(pthread_t thread);
int __wrap_pthread_detach(pthread_t thread)
{
	give(FAULT_THREAD);
	return __real_pthread_detach(thread);
}

void __real_freeaddrinfo(struct addrinfo *list);
void __wrap_freeaddrinfo(struct addrinfo *list);
void __wrap_freeaddrinfo(struct addrinfo *list)
{
	give(FAULT_NAMES);
	__real_freeaddrinfo(list);
}

void __real_freeifaddrs(struct ifaddrs *list);
void __wrap_freeifaddrs(struct ifaddrs *list);
void __wrap_freeifaddrs(struct ifaddrs *list)
{
	give(FAULT_NAMES);
	__real_freeifaddrs(list);
}

#ifdef FAULT_LIBEV
void __real_ev_loop_destroy(struct ev_loop *loop);
void __wrap_ev_loop_destroy(struct ev_loop *loop);
void __wrap_ev_loop_destroy(struct ev_loop *loop)
{
	give(FAULT_EV_LOOP);
	__real_ev_loop_destroy(loop);
}
#endif

/* ---- io_uring ------------------------------------------------------------------------------------- */

#ifdef FAULT_URING
void __real_io_uring_free_probe(struct io_uring_probe *probe);
void __wrap_io_uring_free_probe(struct io_uring_probe *probe);
void __wrap_io_uring_free_probe(struct io_uring_probe *probe)
{
	give(FAULT_PROBE);
	__real_io_uring_free_probe(probe);
}

/*
 * A completion that fails: the n-th submission of its kind is made one of nothing, so that the
 * kernel does none of it, and what is answered to it is told as the error.
 */
static struct {
	bool is_due;
	uint64_t data;
	int error;
	unsigned seen; /* submissions up to here were looked at */
	const struct io_uring *ring;
} spoilt;

static enum fault_call call_of(const struct io_uring_sqe *sqe)
{
	switch (sqe->opcode) {
	case IORING_OP_POLL_ADD:
		return (sqe->user_data & APUSI_URING_KIND_MASK) == APUSI_URING_WAKE ?
			FAULT_uring_wake : FAULT_uring_poll;
	case IORING_OP_RECV:
	case IORING_OP_RECVMSG:
		return FAULT_uring_recv;
	case IORING_OP_ACCEPT:
		return FAULT_uring_accept;
	case IORING_OP_READ:
	case IORING_OP_READV:
	case IORING_OP_READ_FIXED:
		return FAULT_uring_read;
	case IORING_OP_WRITE:
	case IORING_OP_WRITEV:
	case IORING_OP_WRITE_FIXED:
		return FAULT_uring_write;
	case IORING_OP_FSYNC:
		return FAULT_uring_fsync;
	case IORING_OP_FALLOCATE:
		return FAULT_uring_fallocate;
	case IORING_OP_OPENAT:
		return FAULT_uring_openat;
	case IORING_OP_CLOSE:
		return FAULT_uring_close;
	case IORING_OP_STATX:
		return FAULT_uring_statx;
	case IORING_OP_RENAMEAT:
		return FAULT_uring_renameat;
	case IORING_OP_UNLINKAT:
		return FAULT_uring_unlinkat;
	case IORING_OP_MKDIRAT:
		return FAULT_uring_mkdirat;
	case 47: /* IORING_OP_SEND_ZC */
		return FAULT_uring_send;
	case 55: /* IORING_OP_FTRUNCATE, newer than the header */
		return FAULT_uring_ftruncate;
	default:
		return FAULT_CALLS;
	}
}

static void submission_see(struct io_uring_sqe *sqe)
{
	enum fault_call call = call_of(sqe);
	int error = call != FAULT_CALLS ? due(call) : 0;
	uint64_t data = sqe->user_data;

	if (!error)
		return;
	/* Whatever close answers, the number is free. */
	if (call != FAULT_uring_close) {
		memset(sqe, 0, sizeof *sqe);
		sqe->opcode = IORING_OP_NOP;
		sqe->user_data = data;
	}
	spoilt.is_due = true;
	spoilt.data = data;
	spoilt.error = error;
}

static void submissions_see(struct io_uring *ring)
{
	unsigned at = ring->sq.sqe_head;

	if (ring == spoilt.ring && (int)(spoilt.seen - at) > 0)
		at = spoilt.seen;
	for (; at != ring->sq.sqe_tail; at++)
		submission_see(&ring->sq.sqes[at & ring->sq.ring_mask]);
	spoilt.ring = ring;
	spoilt.seen = at;
}

void __real_io_uring_queue_exit(struct io_uring *ring);
void __wrap_io_uring_queue_exit(struct io_uring *ring);
void __wrap_io_uring_queue_exit(struct io_uring *ring)
{
	give(FAULT_RING);
	spoilt.is_due = false;
	spoilt.ring = NULL; /* the next one may lie there */
	__real_io_uring_queue_exit(ring);
}

#define ANSWERED(name)                                                                    \
	void __real_##name(struct apus_io *io, const struct io_uring_cqe *cqe);           \
	void __wrap_##name(struct apus_io *io, const struct io_uring_cqe *cqe);           \
	void __wrap_##name(struct apus_io *io, const struct io_uring_cqe *cqe)            \
	{                                                                                 \
		struct io_uring_cqe own;                                                  \
                                                                                          \
		if (!spoilt.is_due || cqe->user_data != spoilt.data) {                    \
			__real_##name(io, cqe);                                           \
			return;                                                           \
		}                                                                         \
		memcpy(&own, cqe, sizeof own);                                            \
		own.res = -spoilt.error;                                                  \
		spoilt.is_due = false;                                                    \
		__real_##name(io, &own);                                                  \
	}

ANSWERED(apusi_uring_answered)
ANSWERED(apusi_uring_polled)
ANSWERED(apusi_uring_received)
ANSWERED(apusi_uring_accepted)
ANSWERED(apusi_uring_woken)
#endif

/* ---- looking --------------------------------------------------------------------------------------- */

enum { DESCRIPTORS = 256 };

struct fault_held fault_held(void)
{
	struct fault_held now = { { 0 } };
	int i;

	for (i = 0; i < FAULT_THINGS; i++)
		now.count[i] = __atomic_load_n(&held[i], __ATOMIC_SEQ_CST);
	now.count[FAULT_DESCRIPTOR] = 0;
	for (i = 0; i < DESCRIPTORS; i++)
		now.count[FAULT_DESCRIPTOR] += __real_fcntl(i, F_GETFD) >= 0;
	return now;
}
