#include <unistd.h>

#include "wait/futex.h"
#include "wait/port.h"
#include "wait/process.h"
#include "wait/wake.h"

/* In `entered`: the loop waits until the count below it is 0. */
#define CLOSING (UINT32_C(1) << 31)

/* What makes a loop's id unique; also a child of fork() goes on counting from here. */
static uint64_t port_loop_ids;

/* Bits left at close are for a loop that is no more. */
static void control_take(struct apus_cx *cx, struct apus_inbox_node *node)
{
	struct apusi_port *port = apus_container_of(node, struct apusi_port, control);
	uint32_t bits = apus_exchange_full(&port->bits, 0);

	if (cx != NULL)
		cx->bits(cx, bits);
}

static struct apusi_port *port_new(struct apusi_process *process)
{
	struct apusi_port *port;
	int ends[2], err = apusi_wake_open(ends);

	if (err) {
		errno = -err;
		return NULL;
	}
	port = (struct apusi_port *)apusi_process_map(sizeof *port);
	if (port == NULL) {
		close(ends[0]);
		if (ends[1] != ends[0])
			close(ends[1]);
		errno = ENOMEM;
		return NULL;
	}
	port->wake_fd = ends[0];
	port->ring_fd = ends[1];
	port->control.take = control_take;
	apusi_inbox_init(&port->inbox);
	process->port_count++;
	return port;
}

static int port_claim(struct apusi_port **out)
{
	struct apusi_process *process = apusi_process();
	struct apusi_port *port;
	int err = 0;

	if (process == NULL)
		return -ENOMEM;
	apusi_process_lock(process);
	port = process->port_free;
	if (port != NULL)
		process->port_free = port->next_free;
	else
		port = port_new(process);
	if (port == NULL)
		err = -errno;
	apusi_process_unlock(process);
	*out = port;
	return err;
}

/* A recycled port keeps its inbox: what was late for the last loop is this one's to recycle. */
int apusi_port_open(struct apus_cx *cx, uint32_t waker_count)
{
	struct apusi_port *port;
	int err = port_claim(&port);

	if (err)
		return err;
	port->next_free = NULL;
	apus_store_relaxed(&port->abort_on_second, false);
	apus_store_relaxed(&port->signals, 0);
	apus_store_relaxed(&port->pending, 0);
	cx->port = port;
	cx->loop_id = apus_add_relaxed(&port_loop_ids, 1) + 1;
	apus_exchange_full(&port->parked, 0);
	apus_store_release(&port->loop_id, cx->loop_id);
	return apusi_waker_cells_open(cx, waker_count);
}

/*
 * With cx NULL a node only answers and lets go.  A waker that stands between its two steps
 * hides the nodes behind its own, so this waits for it.
 */
static void inbox_flush(struct apusi_port *port)
{
	struct apus_inbox_node *node;
	uint32_t turns = 0;

	while (!apusi_inbox_is_empty(&port->inbox)) {
		node = apusi_inbox_pop(&port->inbox);
		if (node == NULL)
			apusi_back_off(&turns);
		else
			node->take(NULL, node);
	}
}

/* Sleeps until the last who entered has left: it may be of a lower priority than we are. */
static void port_wait_left(struct apusi_port *port)
{
	uint32_t entered = __atomic_or_fetch(&port->entered, CLOSING, __ATOMIC_SEQ_CST);

	while (entered != CLOSING) {
		apusi_futex_wait(&port->entered, entered, APUS_NEVER, false);
		entered = apus_load_full(&port->entered);
	}
	__atomic_fetch_and(&port->entered, ~CLOSING, __ATOMIC_SEQ_CST);
}

void apusi_port_close(struct apus_cx *cx)
{
	struct apusi_process *process = apusi_process();
	struct apusi_port *port = cx->port;

	/* [E] Closed first, then wait for who entered before: pairs with [F]. */
	apus_exchange_full(&port->loop_id, 0);
	port_wait_left(port);
	inbox_flush(port);
	apusi_waker_cells_close(cx);
	apusi_process_lock(process);
	port->next_free = process->port_free;
	process->port_free = port;
	apusi_process_unlock(process);
	cx->port = NULL;
}

bool apusi_port_enter(struct apusi_port *port, uint64_t loop_id)
{
	if (port == NULL || loop_id == 0)
		return false;
	/* [F] Entered first, then looked: pairs with [E]. */
	__atomic_fetch_add(&port->entered, 1, __ATOMIC_SEQ_CST);
	if (apus_load_full(&port->loop_id) == loop_id)
		return true;
	apusi_port_leave(port);
	return false;
}

void apusi_port_leave(struct apusi_port *port)
{
	int saved = errno;

	if (__atomic_fetch_sub(&port->entered, 1, __ATOMIC_SEQ_CST) != (CLOSING | 1))
		return;
	apusi_futex_wake_all(&port->entered, false);
	errno = saved;
}

/*
 * Of a counter that is full the write is refused, and a refused write is no edge (epoll.c [F]).
 * It takes 2^64 writes; who meets it nevertheless begins again.  A full pipe is being emptied.
 */
static APUS_COLD void port_ring_full(struct apusi_port *port)
{
	const uint64_t one = 1;
	uint64_t count;

	if (apusi_wake_counts() && read(port->ring_fd, &count, sizeof count) > 0 &&
	    write(port->ring_fd, &one, sizeof one) < 0)
		return; /* somebody else has filled it, whose write was the edge */
}

/*
 * [B] in lib/loop/idle.c sets `parked` with a full exchange and then looks at the inbox; we
 * have published with a full exchange, and now look at `parked`.  One sees the other.  Only
 * who takes the flag writes, so a burst of wakes is one write.
 */
void apusi_port_ring(struct apusi_port *port)
{
	const uint64_t one = 1;
	int saved = errno;

	if (apus_load_full(&port->parked) == 0 || apus_exchange_full(&port->parked, 0) == 0)
		return;
	if (apus_unlikely(write(port->ring_fd, &one, sizeof one) < 0 && errno == EAGAIN))
		port_ring_full(port);
	errno = saved;
}

void apusi_port_push(struct apusi_port *port, struct apus_inbox_node *node)
{
	apusi_inbox_push(&port->inbox, node);
	apusi_port_ring(port);
}

/* Whoever finds no bit set pushes the node; it is off the queue before bits are cleared. */
void apusi_port_post(struct apusi_port *port, uint32_t bits)
{
	if (apusi_port_is_inherited(port))
		return;
	if (__atomic_fetch_or(&port->bits, bits, __ATOMIC_SEQ_CST) == 0)
		apusi_port_push(port, &port->control);
}

uint32_t apusi_port_drain(struct apus_cx *cx, uint32_t budget)
{
	struct apus_inbox_node *node;
	uint32_t taken = 0;

	while (taken < budget && (node = apusi_inbox_pop(&cx->port->inbox)) != NULL) {
		node->take(cx, node);
		taken++;
	}
	return taken;
}
