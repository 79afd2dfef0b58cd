/*
 * hello by hand: two lines, and a timer between them that an epoll waits for.
 */
#include <inttypes.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int main(void)
{
	struct itimerspec after = { .it_value.tv_nsec = 100000000 };
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	struct epoll_event event = { .events = EPOLLIN };
	int64_t began_ns = now_ns();

	puts("hello");
	if (epoll < 0 || timer < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, timer, &event) != 0 ||
	    timerfd_settime(timer, 0, &after, NULL) != 0 || epoll_wait(epoll, &event, 1, -1) != 1)
		return 1;
	printf("hello again, %" PRId64 " us later\n", (now_ns() - began_ns) / 1000);
	close(timer);
	close(epoll);
	return 0;
}
