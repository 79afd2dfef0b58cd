/*
 * Ports: what other threads, other loops and signal handlers reach a loop through.  They
 * are recycled and never freed, and their eventfds never closed: a wake that comes late
 * meets a port, if not its loop, and never a stranger's descriptor.
 *
 *   Threads    open, close, drain: the loop's.  post, ring, enter, leave: any; post and ring
 *              also signal handlers.
 */
#ifndef WAIT_PORT_H
#define WAIT_PORT_H

#include "wait/inbox.h"

enum apusi_port_bits {
	APUSI_PORT_STOP = 1 << 0, /* apus_stop was called, or a first signal came */
	APUSI_PORT_ABORT = 1 << 1, /* a second signal, under apus_main */
	APUSI_PORT_SIGNAL = 1 << 2 /* `pending` has more */
};

enum { APUSI_REMOTE_CHUNKS = 24 }; /* of remote nodes; each is twice the one before */

struct apus_waker_cell;

struct apusi_port {
	/* others write */
	struct apusi_inbox inbox;
	uint32_t bits;    /* of the control node; 0: it is not queued */
	uint32_t signals; /* how many came that stop */
	uint64_t pending; /* signals that came and that tasks may await */
	uint32_t entered; /* threads between enter and leave; a futex while it closes */
	/* the loop writes */
	uint32_t parked __attribute__((__aligned__(APUS_CACHE_LINE)));
	int wake_fd, ring_fd; /* what is waited for, and written to: see wake.h */
	uint64_t loop_id; /* of the loop that has it, unique in the process; 0: closed */
	bool abort_on_second; /* apus_main's way with signals */
	uint64_t stop_set, signal_set; /* signals that stop, and that are awaited */
	/* nodes for remote spawns: pushed by any thread, popped between enter and leave */
	uint64_t remote_free __attribute__((__aligned__(APUS_CACHE_LINE)));
	struct apus_remote_task *remote_chunks[APUSI_REMOTE_CHUNKS];
	uint32_t remote_count;
	struct apus_inbox_node control;
	struct apusi_port *next_free;
};

/* 0, or -errno: no descriptor or no memory is left.  Sets cx->port and cx->loop_id. */
int apusi_port_open(struct apus_cx *cx, uint32_t waker_count);

/* From here on remotes answer -ESHUTDOWN; what was pushed before is taken with cx NULL. */
void apusi_port_close(struct apus_cx *cx);

/* Pushes a node and wakes the loop if it is parked. */
void apusi_port_push(struct apusi_port *port, struct apus_inbox_node *node);

/* A child of fork() finds its parent's ports empty: they are of no loop of its own. */
static inline bool apusi_port_is_inherited(const struct apusi_port *port)
{
	return apus_load_relaxed(&port->inbox.head) == NULL;
}

/* Hands bits to cx->bits, through the inbox. */
void apusi_port_post(struct apusi_port *port, uint32_t bits);

/* Wakes the loop if it is parked, after something that it looks at itself was published. */
void apusi_port_ring(struct apusi_port *port);

/*
 * Between the two the loop cannot finish closing: what is pushed will be taken.  False: the
 * loop that had this id has closed.
 */
bool apusi_port_enter(struct apusi_port *port, uint64_t loop_id);
void apusi_port_leave(struct apusi_port *port);

/* Takes at most budget nodes; how many. */
uint32_t apusi_port_drain(struct apus_cx *cx, uint32_t budget);

/* waker.c: the task has ended; a cell in the inbox is recycled by whoever pops it. */
void apusi_waker_retire(struct apus_cx *cx, struct apus_waker_cell *cell);

/* Cells of the pool, for a loop to keep while it is open.  0 or -ENOMEM. */
int apusi_waker_cells_open(struct apus_cx *cx, uint32_t count);
void apusi_waker_cells_close(struct apus_cx *cx);

#endif
