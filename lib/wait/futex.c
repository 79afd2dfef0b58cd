#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "wait/futex.h"

int apusi_futex_wait(uint32_t *word, uint32_t value, int64_t timeout_ns, bool shared)
{
	struct timespec timeout = {
		.tv_sec = timeout_ns / APUS_SEC,
		.tv_nsec = timeout_ns % APUS_SEC,
	};
	int op = shared ? FUTEX_WAIT : FUTEX_WAIT_PRIVATE;

	if (timeout_ns <= 0)
		return -ETIME;
	if (syscall(SYS_futex, word, op, value, timeout_ns == APUS_NEVER ? NULL : &timeout, NULL,
		    0) == 0)
		return 0;
	return errno == ETIMEDOUT ? -ETIME : 0;
}

static void futex_wake(uint32_t *word, int count, bool shared)
{
	syscall(SYS_futex, word, shared ? FUTEX_WAKE : FUTEX_WAKE_PRIVATE, count, NULL, NULL, 0);
}

void apusi_futex_wake_one(uint32_t *word, bool shared)
{
	futex_wake(word, 1, shared);
}

void apusi_futex_wake_all(uint32_t *word, bool shared)
{
	futex_wake(word, INT_MAX, shared);
}
