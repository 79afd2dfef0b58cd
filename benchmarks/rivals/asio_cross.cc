/*
 * Boost.Asio's post, from another thread: a handler in memory from malloc, the context's queue
 * under its mutex, and a byte to an eventfd where its thread may be asleep.  The context has its
 * locks here, and knows that one thread runs it.  It is polled without waiting but in wake_parked.
 */
#include "asio.h"

#include <optional>

extern "C" {
#include "../bench_cross.h"
}

#define PEER "asio"

namespace {

struct peer {
	std::optional<asio::io_context> context;
	std::optional<asio::executor_work_guard<executor>> work;
	void (*fn)(void *arg);
	void *arg;
};

bool peer_open(struct peer *peer, void (*fn)(void *arg), void *arg)
{
	peer->fn = fn;
	peer->arg = arg;
	peer->context.emplace(1);
	peer->work.emplace(peer->context->get_executor());
	return true;
}

void peer_wake(struct peer *peer)
{
	asio::post(peer->context->get_executor(), [peer] { peer->fn(peer->arg); });
}

void peer_turn(struct peer *peer)
{
	peer->context->poll();
}

void peer_sleep(struct peer *peer)
{
	peer->context->run_one();
}

void peer_close(struct peer *peer)
{
	peer->work.reset();
	peer->context.reset();
}

#include "waking.h"

} // namespace
