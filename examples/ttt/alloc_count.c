/* alloc_count.c - glibc's allocator behind a counter. */
#include "alloc_count.h"

#include <errno.h>
#include <stddef.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#endif

#ifdef SANITIZED

uint64_t alloc_count(void)
{
	return 0;
}

bool alloc_is_counted(void)
{
	return false;
}

#else

/* What glibc's own malloc and so on are called underneath. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *memory, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

/* Visible, so that libc's own calls count too: the build hides what does not say so. */
#pragma GCC visibility push(default)
void *malloc(size_t size);
void *calloc(size_t count, size_t size);
void *realloc(void *memory, size_t size);
void *aligned_alloc(size_t alignment, size_t size);
void *memalign(size_t alignment, size_t size);
int posix_memalign(void **out, size_t alignment, size_t size);
#pragma GCC visibility pop

static uint64_t calls;

static void count_call(void)
{
	__atomic_fetch_add(&calls, 1, __ATOMIC_RELAXED);
}

uint64_t alloc_count(void)
{
	return __atomic_load_n(&calls, __ATOMIC_RELAXED);
}

bool alloc_is_counted(void)
{
	return true;
}

void *malloc(size_t size)
{
	count_call();
	return __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
	count_call();
	return __libc_calloc(count, size);
}

void *realloc(void *memory, size_t size)
{
	count_call();
	return __libc_realloc(memory, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
	count_call();
	return __libc_memalign(alignment, size);
}

void *memalign(size_t alignment, size_t size)
{
	count_call();
	return __libc_memalign(alignment, size);
}

int posix_memalign(void **out, size_t alignment, size_t size)
{
	void *memory;

	count_call();
	if (alignment % sizeof(void *) != 0 || (alignment & (alignment - 1)) != 0 || alignment == 0)
		return EINVAL;
	memory = __libc_memalign(alignment, size);
	if (memory == NULL)
		return ENOMEM;
	*out = memory;
	return 0;
}

#endif
