/*
 * hello - the smallest program: a root task that sleeps between two lines.
 *
 * apus_main opens a loop, runs one task on it until it has ended, and closes the loop.
 */
#include <apus.h>
#include <inttypes.h>
#include <stdio.h>

/* What must outlive an await lies here; a local would be lost. */
struct hello {
	struct apus_frame frame; /* first: where the function resumes */
	int64_t began_ns;
};

APUS_TASK(hello, struct hello)
{
	APUS_BEGIN(cx, self);
	self->began_ns = cx->now_ns;
	puts("hello");
	/* Leaves the function here; the loop comes back to this line when it is time. */
	APUS_WAIT(apus_sleep(cx, 100 * APUS_MSEC));
	printf("hello again, %" PRId64 " us later\n", (cx->now_ns - self->began_ns) / APUS_USEC);
	/* Never early: a result of a task is what it returns. */
	APUS_END(cx->now_ns - self->began_ns >= 100 * APUS_MSEC ? 0 : -ETIME);
}

int main(void)
{
	return apus_main(NULL, hello, NULL) == 0 ? 0 : 1;
}
