/*
 * Boost.Asio's tasks: C++20 coroutines, spawned with co_spawn; and handlers that post themselves
 * again, which yield.  Used as its documentation says is fastest: an io_context for one thread,
 * without locks, and executors whose type is named.  Frames of coroutines come from malloc;
 * the library keeps what a finished handler lived in for the next.
 *
 * spawn_join: a coroutine that awaits co_spawn.  spawn_batch: the last of a thousand to end
 * begins the next thousand, for there is nothing that joins many.
 *
 * What differs: a handler that posts itself is called after all that were ready before it; since
 * nothing was asked of the kernel, it is not asked for anything either, nor for the time.
 */
#include "asio.h"

extern "C" {
#include "../bench_task.h"
}

namespace {

template <typename T> using awaitable = asio::awaitable<T, executor>;

awaitable<int> child()
{
	co_return 1;
}

/* ---- spawn_join ----------------------------------------------------------- */

awaitable<void> parent(bench *b, executor on)
{
	while (bench_more(b)) {
		for (std::uint32_t i = 0; i < b->batch; i++)
			if (co_await asio::co_spawn(on, child(), asio::use_awaitable_t<executor>()) != 1)
				bench_fail(b, "a coroutine gave what it was not asked for");
		bench_sample(b, b->batch);
	}
}

void spawn_join(bench *b)
{
	lone_context context;
	bool ended = false;

	asio::co_spawn(context.get_executor(), parent(b, context.get_executor()),
		[&ended](std::exception_ptr err) { ended = err == nullptr; });
	context.run();
	if (!ended)
		bench_fail(b, "the parent did not end");
}
BENCH_ENTRANT(spawn_join, .row = "task/spawn_join", .who = "asio", .run = spawn_join, .arg = 0);

/* ---- spawn_batch ---------------------------------------------------------- */

struct batches {
	void spawn()
	{
		left = TASK_BATCH;
		for (int i = 0; i < TASK_BATCH; i++)
			asio::co_spawn(context.get_executor(), child(),
				[this](std::exception_ptr err, int result) { join(err, result); });
	}
	void join(std::exception_ptr err, int result)
	{
		if (err != nullptr || result != 1)
			bench_fail(b, "a coroutine gave what it was not asked for");
		if (--left > 0)
			return;
		bench_sample(b, TASK_BATCH);
		if (bench_more(b))
			spawn();
	}

	bench *b;
	lone_context context;
	std::uint32_t left = 0;
};

void spawn_batch(bench *b)
{
	batches batches{ b, {} };

	asio::post(batches.context, [&batches] {
		if (bench_more(batches.b))
			batches.spawn();
	});
	batches.context.run();
	if (batches.left != 0)
		bench_fail(b, "%u coroutines left", batches.left);
}
BENCH_ENTRANT(spawn_batch, .row = "task/spawn_batch", .who = "asio", .run = spawn_batch,
	.arg = 0);

/* ---- yield ----------------------------------------------------------------- */

struct baton {
	void operator()()
	{
		if (relay_pass(relay, i))
			asio::post(on, *this);
	}

	executor on;
	struct relay *relay;
	std::uint32_t i;
};

void yields(bench *b)
{
	static struct relay relay;
	lone_context context;

	relay_begin(&relay, b);
	for (std::uint32_t i = 0; i < relay.crowd; i++)
		asio::post(context.get_executor(), baton{ context.get_executor(), &relay, i });
	context.run();
	relay_end(&relay);
}
TASK_PEER_YIELDS("asio", yields);

} // namespace
