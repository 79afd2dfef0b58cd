/*
 * nested - a whole loop as a guest of somebody else's.
 *
 * Here the host is poll(2) with a pipe of its own; libev, libuv and GLib have the same places
 * for it: prepare is called last before the host waits (a prepare watcher), the descriptor and
 * the wait are what it waits for beside its own (an io watcher, a timer), and a turn comes
 * first after that (a check watcher).
 */
#include <apus.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

enum { TICKS = 20 };

APUS_SPSC(words, uint64_t, 8)

/* Two tasks of ours: one waits for the clock, one for another thread. */
struct ticker {
	struct apus_frame frame;
	uint32_t count;
};

APUS_TASK(ticker, struct ticker)
{
	APUS_BEGIN(cx, self);
	while (self->count++ < TICKS)
		APUS_WAIT(apus_sleep(cx, APUS_MSEC));
	APUS_END(0);
}

struct listener {
	struct apus_frame frame;
	struct words *words;
	uint64_t word, sum;
};

APUS_TASK(listener, struct listener)
{
	apus_poll err;

	APUS_BEGIN(cx, self);
	for (;;) {
		APUS_AWAIT(err, apus_spsc_recv(cx, self->words, &self->word));
		if (err)
			return (apus_poll)self->sum;
		self->sum += self->word;
	}
	APUS_END(0);
}

/* The host's own business: somebody writes into a pipe now and then. */
struct host {
	int pipe[2];
	struct words *words;
	uint32_t read;
};

static void *outside(void *arg)
{
	struct host *host = arg;
	uint64_t i;

	for (i = 1; i <= 10; i++) {
		usleep(1000);
		if (write(host->pipe[1], "x", 1) != 1 ||
		    apus_spsc_wait_send(host->words, APUS_NEVER, i) != 0)
			break;
	}
	apus_spsc_close(host->words);
	close(host->pipe[1]);
	return NULL;
}

/* poll(2) counts milliseconds: rounded up, since a turn that comes early has nothing to do. */
static int milliseconds(int64_t wait_ns)
{
	return wait_ns > 60 * APUS_SEC ? 60000 : (int)((wait_ns + APUS_MSEC - 1) / APUS_MSEC);
}

static void host_read(struct host *host, struct pollfd *theirs)
{
	char byte;

	if (read(host->pipe[0], &byte, 1) == 1)
		host->read++;
	else
		theirs->fd = -1; /* the end; poll passes over it */
}

/* The host's loop, until both of ours have ended. */
static void host_run(struct host *host, struct apus_loop *loop, struct apus_join *joins)
{
	struct pollfd waits[] = {
		{ .fd = host->pipe[0], .events = POLLIN },
		{ .fd = apus_loop_fd(loop), .events = POLLIN },
	};
	int64_t wait_ns;

	while (!apus_join_is_finished(loop, joins[0]) || !apus_join_is_finished(loop, joins[1]) ||
	       waits[0].fd >= 0) {
		wait_ns = apus_loop_prepare(loop);
		poll(waits, 2, milliseconds(wait_ns)); /* 0: the loop has something to do */
		apus_turn(loop);
		if (waits[0].revents != 0)
			host_read(host, &waits[0]);
	}
}

int main(void)
{
	static struct words words;
	struct host host = { .words = &words };
	struct listener init = { .words = &words };
	struct apus_join joins[2];
	struct apus_loop *loop;
	apus_poll sum = 0;
	pthread_t thread;

	if (pipe(host.pipe) != 0 || apus_spsc_init(&words) != 0 || apus_open(&loop, NULL) != 0)
		return 1;
	if (apus_loop_fd(loop) == -ENOTSUP) {
		apus_close(loop, NULL);
		return 77; /* this backend has no descriptor to show */
	}
	if (apus_spawn_slab(loop, ticker, NULL, &joins[0]) != 0 ||
	    apus_spawn_slab(loop, listener, &init, &joins[1]) != 0 ||
	    pthread_create(&thread, NULL, outside, &host) != 0)
		return 1;
	host_run(&host, loop, joins);
	pthread_join(thread, NULL);
	apus_try_join(loop, joins[1], &sum);
	printf("the host read %u bytes, our tasks heard %lld\n", host.read, (long long)sum);
	apus_close(loop, NULL);
	return host.read != 10 || sum != 55;
}
