#include "apus/channel_mpsc.h"

#define CHANNEL APUS_MPSC
#define CH(verb) apus_mpsc_##verb
#define FIRSTS { 0, UINT64_C(0xfffffff0), UINT64_C(0xfffffffffffffff0) }
#include "channel_race.h"

/* ---- many senders at once --------------------------------------------------------------- */

enum { CROWD = 5, CROWD_MESSAGES = 600 };

struct member {
	struct lane *lane;
	enum how how;
	uint64_t number;
	uint64_t sent;
	pthread_t thread;
};

/* A message is the sender's number and its own count. */
static uint64_t member_message(const struct member *member)
{
	return member->number << 32 | member->sent;
}

struct shout {
	struct apus_frame frame;
	struct member *member;
	apus_poll err;
};

APUS_TASK(shout, struct shout)
{
	APUS_BEGIN(cx, self);
	while (self->member->sent < CROWD_MESSAGES) {
		/* Some give up at times. */
		APUS_AWAIT(self->err, apus_timeout(cx, 500 * APUS_USEC,
			apus_mpsc_send(cx, self->member->lane, member_message(self->member))));
		if (self->err == 0)
			self->member->sent++;
		else if (self->err != -ETIME)
			break;
	}
	APUS_END(self->err);
}

static void member_shout(struct member *member)
{
	uint64_t batch[2];
	int err = 0;

	while (member->sent < CROWD_MESSAGES && err != -EPIPE) {
		if (member->how == AS_BATCH && member->sent + 2 <= CROWD_MESSAGES) {
			int64_t n;

			batch[0] = member_message(member);
			batch[1] = batch[0] + 1;
			n = apus_mpsc_try_send_many(member->lane, batch, 2);
			member->sent += n > 0 ? (uint64_t)n : 0;
			err = n > 0 ? 0 : (int)n;
		} else {
			err = member->how == AS_THREAD ?
				apus_mpsc_wait_send(member->lane, 300 * APUS_USEC,
					member_message(member)) :
				apus_mpsc_try_send(member->lane, member_message(member));
			member->sent += err == 0;
		}
		if (err == -EAGAIN)
			sched_yield();
	}
}

static void *member_run(void *arg)
{
	struct member *member = arg;
	struct apus_loop *loop;
	struct shout init = { .member = member };

	if (!is_loop(member->how)) {
		member_shout(member);
		return NULL;
	}
	loop = race_loop(member->how);
	apus_run(loop, shout, &init);
	apus_close(loop, NULL);
	return NULL;
}

/* The receiver of the crowd: each member's messages in their order, and all of them. */
struct crowd {
	struct lane lane;
	struct member members[CROWD];
	uint64_t next[CROWD];
	uint64_t received, wrong;
};

static void crowd_take(struct crowd *crowd, uint64_t message)
{
	uint64_t number = message >> 32;

	crowd->wrong += number >= CROWD || crowd->next[number] != (uint32_t)message;
	if (number < CROWD)
		crowd->next[number]++;
	crowd->received++;
}

struct listener {
	struct apus_frame frame;
	struct crowd *crowd;
	uint64_t message;
	apus_poll err;
};

APUS_TASK(listener, struct listener)
{
	APUS_BEGIN(cx, self);
	for (;;) {
		APUS_AWAIT(self->err, apus_mpsc_recv(cx, &self->crowd->lane, &self->message));
		if (self->err != 0)
			break;
		crowd_take(self->crowd, self->message);
	}
	APUS_END(0);
}

static void *crowd_close(void *arg)
{
	struct crowd *crowd = arg;
	int i;

	for (i = 0; i < CROWD; i++)
		pthread_join(crowd->members[i].thread, NULL);
	apus_mpsc_close(&crowd->lane);
	return NULL;
}

/* Threads that try, wait and batch, and tasks of loops that park and that do not. */
START_TEST(many_senders_of_every_kind_lose_nothing)
{
	static const enum how hows[CROWD] = { AS_TRY, AS_THREAD, AS_PARK, AS_BUSY, AS_BATCH };
	static struct crowd crowd;
	struct listener init = { .crowd = &crowd };
	struct apus_loop *loop = race_loop(_i == 0 ? AS_PARK : AS_BUSY);
	pthread_t closer;
	uint64_t i;

	memset(&crowd, 0, sizeof crowd);
	apus_mpsc_init_at(&crowd.lane, UINT64_C(0xfffffffffffffff0));
	for (i = 0; i < CROWD; i++) {
		crowd.members[i] = (struct member){ &crowd.lane, hows[i], i, 0, 0 };
		pthread_create(&crowd.members[i].thread, NULL, member_run, &crowd.members[i]);
	}
	pthread_create(&closer, NULL, crowd_close, &crowd);
	apus_run(loop, listener, &init);
	pthread_join(closer, NULL);
	apus_close(loop, NULL);
	ck_assert_uint_eq(crowd.wrong, 0);
	ck_assert_uint_eq(crowd.received, CROWD * CROWD_MESSAGES);
	ck_assert_uint_eq(crowd.lane.channel.ends.gate.queued, 0);
	ck_assert_int_eq(apus_mpsc_deinit(&crowd.lane), 0);
}
END_TEST

/* What a sender was told 0 for comes out before the end, whenever it is closed. */
START_TEST(closed_in_the_middle_every_message_sent_comes_before_the_end)
{
	static struct crowd crowd;
	uint64_t i, message, sent;
	int round, err;

	for (round = 0; round < 20; round++) {
		memset(&crowd, 0, sizeof crowd);
		apus_mpsc_init(&crowd.lane);
		for (i = 0; i < 3; i++) {
			crowd.members[i] = (struct member){ &crowd.lane,
				i == 0 ? AS_TRY : i == 1 ? AS_THREAD : AS_PARK, i, 0, 0 };
			pthread_create(&crowd.members[i].thread, NULL, member_run,
				&crowd.members[i]);
		}
		while ((err = apus_mpsc_try_recv(&crowd.lane, &message)) != -EPIPE) {
			if (err == 0)
				crowd_take(&crowd, message);
			if (crowd.received >= (uint64_t)round * 10)
				apus_mpsc_close(&crowd.lane);
			if (err == -EAGAIN)
				sched_yield();
		}
		for (sent = i = 0; i < 3; i++) {
			pthread_join(crowd.members[i].thread, NULL);
			sent += crowd.members[i].sent;
		}
		ck_assert_uint_eq(crowd.wrong, 0);
		ck_assert_uint_eq(crowd.received, sent);
		ck_assert_int_eq(apus_mpsc_deinit(&crowd.lane), 0);
	}
}
END_TEST

int main(int argc, char **argv)
{
	TCase *all = race_case("channel_mpsc");

	tcase_add_loop_test(all, many_senders_of_every_kind_lose_nothing, 0, 2);
	tcase_add_test(all, closed_in_the_middle_every_message_sent_comes_before_the_end);
	return test_run(argc, argv, all);
}
