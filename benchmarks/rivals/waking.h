/*
 * waking.h - one thread calls another's loop, by what a peer has for that; the same for every
 * peer whose loop calls back.  Included by a file that has defined
 *
 *	PEER                               its name
 *	struct peer                        a loop, and what wakes it
 *	bool peer_open(peer, fn, arg)      fn(arg) is to be called after each wake
 *	void peer_wake(peer)               from any thread
 *	void peer_turn(peer)               a turn that waits for nothing
 *	void peer_sleep(peer)              a turn that waits for a wake
 *	void peer_close(peer)              in the bench's thread, when the other has ended
 *
 * What is told is a word beside the loop, written before the wake: there is never more than one
 * message on its way, so that it needs no lock.
 */
#ifndef RIVAL_WAKING_H
#define RIVAL_WAKING_H

#include "../bench_cross.h"

#include <string.h>

#define word_load(p) __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define word_store(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)

/* ---- one way: the loop turns without waiting ------------------------------------- */

struct catcher {
	struct oneway way;
	struct peer peer;
	uint64_t stamp __attribute__((__aligned__(64)));
};

static int catcher_send(struct oneway *way, uint64_t stamp)
{
	struct catcher *catcher = (struct catcher *)way->channel;

	word_store(&catcher->stamp, stamp);
	peer_wake(&catcher->peer);
	return 0;
}

static void catcher_catch(void *arg)
{
	struct catcher *catcher = (struct catcher *)arg;

	oneway_saw(&catcher->way, word_load(&catcher->stamp));
}

static void oneway_peer(struct bench *b)
{
	static struct catcher catcher;

	memset(&catcher.way, 0, sizeof catcher.way);
	catcher.way.b = b;
	catcher.way.send = catcher_send;
	catcher.way.channel = &catcher;
	if (!peer_open(&catcher.peer, catcher_catch, &catcher)) {
		bench_skip(b, PEER " opened no loop");
		return;
	}
	if (oneway_begin(&catcher.way)) {
		while (!bench_stopping(b))
			peer_turn(&catcher.peer);
		oneway_end(&catcher.way);
	}
	peer_close(&catcher.peer);
}
BENCH_ENTRANT(oneway_of_peer, .row = "cross/oneway", .who = PEER, .run = oneway_peer, .arg = 0);

/* ---- there and back: both turn without waiting ------------------------------------ */

struct player {
	struct peer peer;
	struct player *other;
	uint64_t ball __attribute__((__aligned__(64))); /* what has come */
	uint64_t seen;
	uint32_t over;
};

static void player_hit(struct player *player, uint64_t ball)
{
	word_store(&player->other->ball, ball);
	peer_wake(&player->other->peer);
}

static void player_sees(void *arg)
{
	struct player *player = (struct player *)arg;

	player->seen = word_load(&player->ball);
}

static void player_returns(void *arg)
{
	struct player *player = (struct player *)arg;

	player_sees(player);
	player_hit(player, player->seen);
}

static void *player_run(void *arg)
{
	struct player *player = (struct player *)arg;

	while (!word_load(&player->over))
		peer_turn(&player->peer);
	return NULL;
}

static void rally(struct bench *b, struct player *here, struct player *there)
{
	pthread_t thread;
	uint64_t want = 0;

	if (!wake_thread(b, &thread, player_run, there))
		return;
	while (bench_more(b)) {
		for (uint32_t i = 0; i < b->batch; i++) {
			player_hit(here, ++want);
			while (here->seen != want)
				peer_turn(&here->peer);
		}
		bench_sample(b, b->batch);
	}
	word_store(&there->over, 1);
	pthread_join(thread, NULL);
	if (there->seen != want)
		bench_fail(b, "a message was lost");
}

static void pingpong_peer(struct bench *b)
{
	static struct player here, there;

	here.ball = here.seen = there.ball = there.seen = 0;
	here.over = there.over = 0;
	here.other = &there;
	there.other = &here;
	if (!peer_open(&here.peer, player_sees, &here)) {
		bench_skip(b, PEER " opened no loop");
		return;
	}
	if (peer_open(&there.peer, player_returns, &there)) {
		rally(b, &here, &there);
		peer_close(&there.peer);
	} else {
		bench_skip(b, PEER " opened no second loop");
	}
	peer_close(&here.peer);
}
BENCH_ENTRANT(pingpong_of_peer, .row = "cross/pingpong", .who = PEER, .run = pingpong_peer,
	.arg = 0);

/* ---- asleep ------------------------------------------------------------------------ */

struct waking {
	struct wake wake;
	struct peer peer;
};

static void waking_ring(struct wake *wake)
{
	peer_wake(&((struct waking *)wake)->peer);
}

static void waking_wakes(void *arg)
{
	(void)wake_seen(&((struct waking *)arg)->wake);
}

static void wake_peer(struct bench *b)
{
	static struct waking waking;

	memset(&waking.wake, 0, sizeof waking.wake);
	if (!peer_open(&waking.peer, waking_wakes, &waking)) {
		bench_skip(b, PEER " opened no loop");
		return;
	}
	if (wake_begin(b, &waking.wake, waking_ring, false)) {
		while (!bench_stopping(b))
			peer_sleep(&waking.peer);
		wake_end(&waking.wake);
	}
	peer_close(&waking.peer);
}
BENCH_ENTRANT(wake_of_peer, .row = "cross/wake_parked/plain", .who = PEER, .run = wake_peer,
	.arg = 0);

#endif
