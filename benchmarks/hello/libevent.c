/*
 * hello of libevent: two lines, and a timer between them.
 */
#include <event2/event.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/time.h>

static int64_t now_us(void)
{
	struct timeval now;

	gettimeofday(&now, NULL);
	return (int64_t)now.tv_sec * 1000000 + now.tv_usec;
}

static void later(evutil_socket_t fd, short events, void *began)
{
	(void)fd;
	(void)events;
	printf("hello again, %" PRId64 " us later\n", now_us() - *(int64_t *)began);
}

int main(void)
{
	struct event_base *base = event_base_new();
	struct timeval after = { 0, 100000 };
	int64_t began_us = now_us();
	struct event *timer;

	if (base == NULL)
		return 1;
	puts("hello");
	timer = evtimer_new(base, later, &began_us);
	evtimer_add(timer, &after);
	event_base_dispatch(base);
	event_free(timer);
	event_base_free(base);
	return 0;
}
