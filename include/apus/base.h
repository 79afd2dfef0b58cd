/*
 * apus/base.h - the words every other room is written in: errors, panics,
 * atomics with a named order, units of time, the log hook.
 *
 *   Units      nanoseconds in int64_t, unless a name says otherwise.
 *   Errors     0 or -errno; a refusal is a value; a broken invariant panics.
 *   Ownership  none: nothing here holds memory.
 *   Threads    any.
 *   Cost       a word is an instruction or two; panics and logs are cold.
 */
#ifndef APUS_BASE_H
#define APUS_BASE_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
/* A function may have the name of its struct: to -Wshadow of g++ it hides a constructor. */
#define APUS_BEGIN_DECLS                             \
	extern "C" {                                 \
	_Pragma("GCC diagnostic push")               \
	_Pragma("GCC diagnostic ignored \"-Wshadow\"")
#define APUS_END_DECLS _Pragma("GCC diagnostic pop") }
#else
#define APUS_BEGIN_DECLS
#define APUS_END_DECLS
#endif

/* Grows when a public layout or an inline's meaning changes; see apus_open. */
#define APUS_ABI 2

/* 1 in a debug build; apus.pc carries the flag of a debug install. */
#ifndef APUS_DEBUG
#define APUS_DEBUG 0
#endif

#define APUS_API __attribute__((__visibility__("default")))

/* A file that defines it as nothing gets linkable copies, for another language to call. */
#ifndef APUS_INLINE
#define APUS_INLINE static inline
#endif

#define APUS_COLD __attribute__((__cold__, __noinline__))
#define APUS_PRINTF(text, first) __attribute__((__format__(__printf__, text, first)))
#define APUS_CACHE_LINE 64

#define apus_likely(x) __builtin_expect(!!(x), 1)
#define apus_unlikely(x) __builtin_expect(!!(x), 0)
#define apus_container_of(ptr, type, member) \
	((type *)(void *)((char *)(ptr) - offsetof(type, member)))

/* A call in which a pointer to another type than the function's is an error, no warning. */
#define APUS_TYPED_(call)                                                            \
	__extension__({                                                              \
		_Pragma("GCC diagnostic push")                                       \
		_Pragma("GCC diagnostic error \"-Wincompatible-pointer-types\"")     \
		_Pragma("GCC diagnostic error \"-Wint-conversion\"")                 \
		__auto_type apus_answer_ = call;                                     \
		_Pragma("GCC diagnostic pop")                                        \
		apus_answer_;                                                        \
	})
#ifdef __cplusplus
#undef APUS_TYPED_
#define APUS_TYPED_(call) call
#endif

/* ---- time ------------------------------------------------------------ */

#define APUS_NSEC INT64_C(1)
#define APUS_USEC INT64_C(1000)
#define APUS_MSEC INT64_C(1000000)
#define APUS_SEC INT64_C(1000000000)
/* A deadline that never comes. */
#define APUS_NEVER INT64_MAX

/*
 * a + b for b >= 0, stopping at APUS_NEVER instead of wrapping.
 *
 * Example, in a function:
 *	int64_t now_ns = 10 * APUS_SEC;
 *	int64_t deadline_ns = apus_ns_add(now_ns, 500 * APUS_USEC);
 *
 *	APUS_ASSERT(deadline_ns > now_ns);
 */
APUS_INLINE int64_t apus_ns_add(int64_t a, int64_t b)
{
	int64_t sum;

	return apus_unlikely(__builtin_add_overflow(a, b, &sum)) ? APUS_NEVER : sum;
}

/* ---- panics ---------------------------------------------------------- */

APUS_BEGIN_DECLS

/*
 * A broken invariant: prints "apus: FILE:LINE: CLAIM" on stderr, in one write,
 * and aborts, before it corrupts a neighbour.
 */
APUS_API APUS_COLD void apus_panic(const char *file, int line, const char *format, ...)
	__attribute__((__noreturn__)) APUS_PRINTF(3, 4);

/* ---- log hook -------------------------------------------------------- */

enum apus_log_level { APUS_LOG_ERROR, APUS_LOG_WARN, APUS_LOG_INFO };

/* Called with one line, without a newline.  Must not block, nor call back. */
typedef void apus_log_fn(void *arg, enum apus_log_level level, const char *line);

/* The default hook: one write to stderr if it can take it at once, else dropped. */
APUS_API void apus_log_stderr(void *arg, enum apus_log_level level, const char *line);

APUS_API APUS_COLD void apus_log(apus_log_fn *fn, void *arg, enum apus_log_level level,
	const char *format, ...) APUS_PRINTF(4, 5);

APUS_END_DECLS

/* Always on: cheap, and what it guards would corrupt memory. */
#define APUS_ASSERT(claim)                                                  \
	do {                                                                \
		if (apus_unlikely(!(claim)))                                \
			apus_panic(__FILE__, __LINE__, "%s", #claim);       \
	} while (0)

/* Dear, or guards what a release build may trust. */
#if APUS_DEBUG
#define APUS_DEBUG_ASSERT(claim) APUS_ASSERT(claim)
#else
#define APUS_DEBUG_ASSERT(claim) ((void)sizeof(!(claim)))
#endif

/* ---- atomics: a handful of words, none with a default order ----------- */

#define apus_load_relaxed(p) __atomic_load_n((p), __ATOMIC_RELAXED)
#define apus_load_acquire(p) __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define apus_store_relaxed(p, v) __atomic_store_n((p), (v), __ATOMIC_RELAXED)
#define apus_store_release(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)
#define apus_exchange_acq_rel(p, v) __atomic_exchange_n((p), (v), __ATOMIC_ACQ_REL)
/* A load that no earlier full exchange of this thread is moved behind. */
#define apus_load_full(p) __atomic_load_n((p), __ATOMIC_SEQ_CST)
/* A full exchange: what the park handshake is built from (no bare fences). */
#define apus_exchange_full(p, v) __atomic_exchange_n((p), (v), __ATOMIC_SEQ_CST)
/* Compare and swap: true when *p was *expected; else *expected is what it was. */
#define apus_swap_relaxed(p, expected, v) \
	__atomic_compare_exchange_n((p), (expected), (v), false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)
#define apus_swap_acq_rel(p, expected, v) \
	__atomic_compare_exchange_n((p), (expected), (v), false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)
/* Sets the bits of v, or keeps only them; what they were.  Full, as the exchange. */
#define apus_or_full(p, v) __atomic_fetch_or((p), (v), __ATOMIC_SEQ_CST)
#define apus_and_full(p, v) __atomic_fetch_and((p), (v), __ATOMIC_SEQ_CST)
/* Holds the compiler to the written order; the processor is another matter: see bell.h. */
#define apus_order_compiler() __atomic_signal_fence(__ATOMIC_SEQ_CST)
#define apus_add_relaxed(p, v) __atomic_fetch_add((p), (v), __ATOMIC_RELAXED)

#endif
