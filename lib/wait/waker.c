#include "apus/waker.h"
#include "wait/port.h"
#include "wait/process.h"

enum { QUEUED = 1 }; /* in word, below the serial: in an inbox, or about to be */
enum { CELL_CHUNK = 64 };

/*
 * Recycled and never freed, so that a stale waker always finds a cell and its word.
 *
 *   word       any thread, by compare-and-swap
 *   port       constant while a loop has the cell; read between setting QUEUED and the push
 *   task       the loop's thread; NULL: retired while queued
 */
struct apus_waker_cell {
	struct apus_inbox_node node;
	uint64_t word; /* serial << 1 | QUEUED */
	struct apusi_port *port;
	struct apus_task *task;
	struct apus_waker_cell *next_free;
} __attribute__((__aligned__(APUS_CACHE_LINE)));

int apus_waker(struct apus_cx *cx, struct apus_waker *waker)
{
	struct apus_task *task = cx->task;
	struct apus_waker_cell *cell;

	APUS_ASSERT(task != NULL);
	apus_task_extend(task);
	cell = task->waker;
	if (cell == NULL) {
		cell = cx->cells;
		if (cell == NULL) {
			cx->counts.refusals++;
			return -ENOBUFS;
		}
		cx->cells = cell->next_free;
		cx->wakers_out++;
		cell->task = task;
		task->waker = cell;
	}
	waker->cell = cell;
	waker->serial = apus_load_relaxed(&cell->word) >> 1;
	return 0;
}

int apus_wake(struct apus_waker waker)
{
	struct apus_waker_cell *cell = waker.cell;
	uint64_t word;

	if (cell == NULL)
		return -ESTALE;
	word = apus_load_relaxed(&cell->word);
	/*
	 * [A] Also when it is queued already the word is written, unchanged: the exchange [B]
	 * that clears it then sees what we wrote before, and so does the poll that follows.
	 */
	do {
		if (word >> 1 != waker.serial)
			return -ESTALE;
	} while (!apus_swap_acq_rel(&cell->word, &word, word | QUEUED));
	/* Queued by us, the cell is nobody else's until it is popped. */
	if (!(word & QUEUED))
		apusi_port_push(cell->port, &cell->node);
	return 0;
}

bool apus_waker_is_stale(struct apus_waker waker)
{
	return waker.cell == NULL || apus_load_acquire(&waker.cell->word) >> 1 != waker.serial;
}

static void cell_recycle(struct apus_cx *cx, struct apus_waker_cell *cell)
{
	struct apusi_process *process;

	if (cx != NULL && cell->port == cx->port) {
		cell->next_free = cx->cells;
		cx->cells = cell;
		return;
	}
	process = apusi_process();
	apusi_process_lock(process);
	cell->next_free = process->cell_free;
	process->cell_free = cell;
	apusi_process_unlock(process);
}

/* The node is off the queue by now: only then may QUEUED go, or it would be pushed twice. */
static void cell_take(struct apus_cx *cx, struct apus_inbox_node *node)
{
	struct apus_waker_cell *cell = apus_container_of(node, struct apus_waker_cell, node);
	struct apus_task *task = cell->task;

	__atomic_fetch_and(&cell->word, ~(uint64_t)QUEUED, __ATOMIC_ACQ_REL); /* [B] */
	if (task == NULL)
		cell_recycle(cx, cell);
	else if (cx != NULL)
		apus_task_wake(cx, task);
}

/* From the swap on every copy of the waker is stale. */
void apusi_waker_retire(struct apus_cx *cx, struct apus_waker_cell *cell)
{
	uint64_t word = apus_load_relaxed(&cell->word);

	cell->task = NULL;
	cx->wakers_out--;
	while (!apus_swap_acq_rel(&cell->word, &word, word + 2))
		;
	if (!(word & QUEUED))
		cell_recycle(cx, cell);
}

/* ---- the pool ------------------------------------------------------------------- */

/* Cells come by the chunk, in memory that a child of fork() finds empty: all are stale there. */
static bool cells_new(struct apusi_process *process)
{
	struct apus_waker_cell *cells;
	uint32_t i;

	cells = (struct apus_waker_cell *)apusi_process_map(CELL_CHUNK * sizeof *cells);
	if (cells == NULL)
		return false;
	for (i = 0; i < CELL_CHUNK; i++) {
		cells[i].node.take = cell_take;
		cells[i].word = 2; /* serial 1: a waker of zeros is stale */
		cells[i].next_free = process->cell_free;
		process->cell_free = &cells[i];
	}
	process->cell_count += CELL_CHUNK;
	return true;
}

int apusi_waker_cells_open(struct apus_cx *cx, uint32_t count)
{
	struct apusi_process *process = apusi_process();
	struct apus_waker_cell *cell;

	apusi_process_lock(process);
	for (; count > 0; count--) {
		if (process->cell_free == NULL && !cells_new(process))
			break;
		cell = process->cell_free;
		process->cell_free = cell->next_free;
		cell->port = cx->port;
		cell->next_free = cx->cells;
		cx->cells = cell;
	}
	apusi_process_unlock(process);
	return count ? -ENOMEM : 0;
}

void apusi_waker_cells_close(struct apus_cx *cx)
{
	struct apusi_process *process = apusi_process();
	struct apus_waker_cell *cell;

	apusi_process_lock(process);
	while ((cell = cx->cells) != NULL) {
		cx->cells = cell->next_free;
		cell->next_free = process->cell_free;
		process->cell_free = cell;
	}
	apusi_process_unlock(process);
}
