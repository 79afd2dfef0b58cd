/*
 * Boost.Asio's timers: a binary heap in the reactor.  Used as its documentation says is
 * fastest: an io_context for one thread, without locks; timers that name their executor's type
 * and are begun again; operations that live in memory of our own; deadlines from a time that
 * was read once a batch.
 *
 * What differs: each deadline that becomes the earliest is told to the kernel, a timerfd_settime
 * that no other peer makes.  A wait that is cancelled calls its handler all the same: arm_disarm
 * goes on from there, so that each pair costs a turn.  It lives by the real clock: the wait for a
 * batch is cut out of the sample, as for all.
 */
#include "asio.h"

extern "C" {
#include "../bench_timer.h"
}

#include <chrono>

namespace {

using std::chrono::nanoseconds;
using std::chrono::steady_clock;
using steady_timer = asio::basic_waitable_timer<steady_clock, asio::wait_traits<steady_clock>,
	executor>;

struct alarm_clock {
	alarm_clock(asio::io_context &context) : timer(context), place() {}

	steady_timer timer;
	room place;
};

struct crowd {
	crowd(bench *b) : b(b), work(context.get_executor()) {}

	void on_timer(boost::system::error_code err, std::size_t)
	{
		fired += !err;
	}
	void arm(alarm_clock *alarm, nanoseconds delay)
	{
		alarm->timer.expires_at(now + delay);
		alarm->timer.async_wait(handler<crowd, &crowd::on_timer>{ this, &alarm->place });
	}
	alarm_clock *open(std::size_t far, std::size_t more);
	void close();
	void fire(std::uint64_t want);

	bench *b;
	lone_context context;
	asio::executor_work_guard<executor> work;
	steady_clock::time_point now = steady_clock::now();
	alarm_clock *alarms = nullptr;
	std::size_t count = 0;
	std::uint64_t fired = 0;
};

/* `far` ones that are armed, then `more` that are not; the latter are returned. */
alarm_clock *crowd::open(std::size_t far, std::size_t more)
{
	std::uint64_t state = BENCH_SEED;

	count = far + more;
	alarms = static_cast<alarm_clock *>(bench_pages(b, count * sizeof *alarms));
	if (alarms == nullptr)
		return nullptr;
	for (std::size_t i = 0; i < count; i++)
		new (&alarms[i]) alarm_clock(context);
	for (std::size_t i = 0; i < far; i++)
		arm(&alarms[i], nanoseconds(timer_delay_far(&state)));
	return &alarms[far];
}

void crowd::close()
{
	for (std::size_t i = 0; i < count; i++)
		alarms[i].timer.cancel();
	context.poll();
	for (std::size_t i = 0; i < count; i++)
		alarms[i].~alarm_clock();
	bench_pages_free(alarms, count * sizeof *alarms);
}

/* ---- armed and disarmed ------------------------------------------------------- */

struct pairs {
	void next()
	{
		alarm->timer.expires_at(now + nanoseconds(delays[i % TIMER_DELAYS]));
		alarm->timer.async_wait(handler<pairs, &pairs::on_cancel>{ this, &alarm->place });
		alarm->timer.cancel();
	}
	void on_cancel(boost::system::error_code err, std::size_t)
	{
		if (err != asio::error::operation_aborted)
			bench_fail(b, "a timer that was cancelled has fired");
		if (++i < b->batch)
			return next();
		bench_sample(b, b->batch);
		i = 0;
		if (bench_more(b)) {
			now = steady_clock::now();
			next();
		} else {
			alarm->timer.get_executor().context().stop();
		}
	}

	bench *b;
	alarm_clock *alarm;
	steady_clock::time_point now = steady_clock::now();
	std::int64_t delays[TIMER_DELAYS] = {};
	std::uint32_t i = 0;
};

void arm_disarm(bench *b)
{
	crowd crowd(b);
	pairs pairs = { b, crowd.open(static_cast<std::size_t>(b->arg), 1) };

	if (pairs.alarm == nullptr)
		return;
	timer_delays_near(pairs.delays);
	bench_more(b);
	pairs.next();
	crowd.context.run();
	crowd.context.restart();
	crowd.close();
}

/* ---- armed and fired ---------------------------------------------------------- */

/* One call of poll, unless the kernel's timer is late. */
void crowd::fire(std::uint64_t want)
{
	steady_clock::time_point late = now + std::chrono::seconds(10);

	do
		context.poll();
	while (fired < want && steady_clock::now() < late);
}

void check_fired(const crowd &crowd, std::uint64_t want)
{
	if (crowd.fired != want)
		bench_fail(crowd.b, "asio fired %llu of %llu",
			static_cast<unsigned long long>(crowd.fired),
			static_cast<unsigned long long>(want));
}

void wait_due(const crowd &crowd)
{
	while (steady_clock::now() < crowd.now + nanoseconds(TIMER_MS + 1000))
		;
}

void arm_fire(bench *b)
{
	crowd crowd(b);
	alarm_clock *alarms = crowd.open(static_cast<std::size_t>(b->arg), TIMER_BATCH);
	std::int64_t delays[TIMER_DELAYS];

	if (alarms == nullptr)
		return;
	timer_delays_soon(delays);
	while (bench_more(b)) {
		std::uint64_t want = crowd.fired + TIMER_BATCH;

		crowd.now = steady_clock::now();
		for (int i = 0; i < TIMER_BATCH; i++)
			crowd.arm(&alarms[i], nanoseconds(delays[i]));
		bench_pause(b);
		wait_due(crowd);
		bench_resume(b);
		crowd.fire(want);
		bench_sample(b, TIMER_BATCH);
		check_fired(crowd, want);
	}
	crowd.close();
}

/* All of a million in one go: they are all ready before the first handler is called. */
void worst_turn(bench *b)
{
	std::size_t count = static_cast<std::size_t>(b->arg);
	crowd crowd(b);
	alarm_clock *alarms = crowd.open(0, count);

	if (alarms == nullptr)
		return;
	while (!bench_stopping(b)) {
		std::uint64_t want = crowd.fired + count;

		crowd.now = steady_clock::now();
		for (std::size_t i = 0; i < count; i++)
			crowd.arm(&alarms[i], nanoseconds(TIMER_MS));
		wait_due(crowd);
		bench_more(b);
		crowd.fire(want);
		bench_sample(b, 1);
		check_fired(crowd, want);
	}
	crowd.close();
}

TIMER_PEER("asio");

} // namespace
