#include "loop/loop.h"

/* From here on every claim is refused: no state is small enough. */
static void spawns_end(struct apus_loop *loop)
{
	loop->cx.stopping = true;
	loop->is_ending = true;
	loop->cx.state_bytes_end = 0;
}

void apusi_loop_stop(struct apus_loop *loop)
{
	spawns_end(loop);
	if (loop->stop_ns != APUS_NEVER)
		return;
	loop->stop_ns = loop->cx.now_ns;
	apus_cancel(loop, loop->cancel.root);
}

void apusi_loop_bits(struct apus_cx *cx, uint32_t bits)
{
	struct apus_loop *loop = cx->loop;

	if (bits & (APUSI_PORT_STOP | APUSI_PORT_ABORT))
		apusi_loop_stop(loop);
	if (bits & APUSI_PORT_ABORT)
		loop->abort_root = true;
	if (bits & APUSI_PORT_SIGNAL)
		apusi_signals_came(loop);
}

/*
 * A signal handler on the loop's own thread may have interrupted anything: the token tree is
 * left to the inbox phase, like for the others.  What the flag says holds at once.
 */
void apus_stop(struct apus_loop *loop)
{
	if (apus_loop_is_mine(loop))
		spawns_end(loop);
	apusi_port_post(loop->cx.port, APUSI_PORT_STOP);
}

bool apus_is_stopping(const struct apus_loop *loop)
{
	return loop->cx.stopping;
}

struct apus_token apus_loop_token(struct apus_loop *loop)
{
	return loop->cancel.root;
}
