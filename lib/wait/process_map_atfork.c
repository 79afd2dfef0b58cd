#include <pthread.h>
#include <sys/mman.h>

#include "wait/process.h"

/*
 * Where the kernel cannot be asked to empty memory in a child: a handler of fork() does it.
 * It maps zeros over each piece before anything else of the child runs.  A child that was made
 * by other means than fork() (vfork, clone) must not touch the parent's loops.
 */

/* In front of each piece, in pages of its own: what it says survives the fork. */
struct piece {
	struct piece *next;
	void *memory;
	size_t bytes;
};

static struct piece *process_pieces; /* never taken out */

static void pieces_empty(void)
{
	struct piece *piece;

	for (piece = apus_load_acquire(&process_pieces); piece != NULL; piece = piece->next)
		(void)mmap(piece->memory, piece->bytes, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
}

static void *map(size_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return memory != MAP_FAILED ? memory : NULL;
}

/* Whoever puts the first one in registers the handler; a second registration would only map again. */
static void piece_push(struct piece *piece)
{
	struct piece *first = apus_load_acquire(&process_pieces);

	do
		piece->next = first;
	while (!apus_swap_acq_rel(&process_pieces, &first, piece));
	if (first == NULL)
		(void)pthread_atfork(NULL, NULL, pieces_empty);
}

void *apusi_process_map(size_t bytes)
{
	struct piece *piece = (struct piece *)map(sizeof *piece);
	void *memory = piece != NULL ? map(bytes) : NULL;

	if (memory == NULL) {
		if (piece != NULL)
			munmap(piece, sizeof *piece);
		return NULL;
	}
	piece->memory = memory;
	piece->bytes = bytes;
	piece_push(piece);
	return memory;
}
