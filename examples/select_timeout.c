/*
 * select_timeout - whatever comes first: a quote, an alarm, or nothing for too long.
 *
 * The arms are awaitables.  They are evaluated from left to right up to the first that is
 * ready, so an arm that was not reached has taken nothing: no quote is lost to an alarm.  A
 * timeout is one more function around an awaitable; there is no timer to set or to clear.
 *
 * The clock is virtual: an idle loop jumps to the next deadline, so the seconds below take no
 * time, and every run makes the same steps.
 */
#include <apus.h>
#include <stdio.h>

struct quote {
	uint64_t number;
};

APUS_CHANNEL(quotes, struct quote, 16)

/* What the two tasks share. */
struct desk {
	struct quotes quotes;
	struct apus_notify alarm;
};

/* Three quotes, an alarm, two more quotes, then silence. */
struct market {
	struct apus_frame frame;
	struct desk *desk;
	uint64_t number;
	apus_poll err;
};

APUS_TASK(market, struct market)
{
	APUS_BEGIN(cx, self);
	for (self->number = 1; self->number <= 5; self->number++) {
		APUS_WAIT(apus_sleep(cx, 100 * APUS_MSEC));
		APUS_TRY(self->err, apus_send(cx, &self->desk->quotes,
			(struct quote){ self->number }));
		if (self->number == 3)
			apus_notify_one(&self->desk->alarm); /* together with a quote */
	}
	APUS_END(0);
}

struct watch {
	struct apus_frame frame;
	struct desk *desk;
	struct quote quote;
	apus_poll which, answer;
	uint64_t quotes, alarms;
};

enum { QUOTE, ALARM }; /* the arms, in their order */

APUS_TASK(watch, struct watch)
{
	APUS_BEGIN(cx, self);
	for (;;) {
		APUS_AWAIT(self->which, apus_timeout(cx, APUS_SEC,
			APUS_SELECT(self->answer,
				apus_recv(cx, &self->desk->quotes, &self->quote),
				apus_notified(cx, &self->desk->alarm))));
		if (self->which == -ETIME)
			break;
		if (self->answer < 0)
			return self->answer; /* the channel's own error */
		self->quotes += self->which == QUOTE;
		self->alarms += self->which == ALARM;
	}
	printf("%llu quotes, %llu alarm, then nothing for a second\n",
		(unsigned long long)self->quotes, (unsigned long long)self->alarms);
	APUS_END(self->quotes == 5 && self->alarms == 1 ? 0 : -EBADMSG);
}

int main(void)
{
	static struct desk desk;
	struct market market = { .desk = &desk };
	struct watch watch = { .desk = &desk };
	struct apus_config config;
	struct apus_loop *loop;
	apus_poll result;

	apus_config_init(&config);
	config.clock = APUS_CLOCK_VIRTUAL;
	if (apus_channel_init(&desk.quotes) != 0 || apus_open(&loop, &config) != 0)
		return 1;
	result = apus_spawn_slab(loop, market, &market, NULL);
	if (result == 0)
		result = apus_run(loop, watch, &watch);
	apus_close(loop, NULL);
	apus_channel_deinit(&desk.quotes);
	apus_notify_deinit(&desk.alarm);
	return result != 0;
}
