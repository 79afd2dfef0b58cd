/*
 * world - what every task may ask for, by name and type, without a global.
 *
 * A world is built before the loop and may outlive it.  Tests build a small one; two loops of
 * one process may have one each.
 */
#include <apus.h>
#include <stdio.h>

struct book {
	int64_t best_bid, best_ask;
};

struct journal {
	uint64_t lines;
	bool is_closed;
};

/* These two would stand in a header ... */
APUS_RESOURCE(book, struct book)
APUS_RESOURCE(journal, struct journal)

/* ... and these in one file of the program. */
APUS_RESOURCE_DEFINE(book)
APUS_RESOURCE_DEFINE(journal)

static void journal_close(struct journal *journal)
{
	journal->is_closed = true;
}

struct quote {
	int64_t bid, ask;
};

/* A task without a frame: it never waits, so there is nowhere to resume. */
APUS_TASK(quote, struct quote)
{
	/* A name that nobody has put panics here, and is named. */
	struct book *book = apus_get(cx->world, book);
	/* This one may be missing: then nothing is logged. */
	struct journal *journal = apus_find(cx->world, journal);

	book->best_bid = self->bid;
	book->best_ask = self->ask;
	if (journal != NULL)
		journal->lines++;
	return book->best_ask - book->best_bid;
}

static apus_poll spread_in(struct apus_world *world)
{
	struct quote init = { 99, 101 };
	struct apus_config config;
	struct apus_loop *loop;
	apus_poll spread;

	apus_config_init(&config);
	config.world = world;
	if (apus_open(&loop, &config) != 0)
		return -ENOMEM;
	spread = apus_run(loop, quote, &init);
	apus_close(loop, NULL);
	return spread;
}

int main(void)
{
	static struct apus_world full, small;
	struct book book = { 0, 0 };
	struct journal journal = { 0, false };
	apus_poll spread;
	int failed;

	failed = apus_put(&full, book, &book) != 0;
	/* This object's end is the world's to make. */
	failed |= apus_put_with(&full, journal, &journal, journal_close) != 0;
	failed |= apus_put(&full, book, &book) != -EEXIST;
	failed |= apus_put(&small, book, &book) != 0;
	spread = spread_in(&full);
	failed |= spread != 2 || spread_in(&small) != 2;
	apus_world_deinit(&full);
	apus_world_deinit(&small);
	printf("a spread of %d, %d line in the journal\n", (int)spread, (int)journal.lines);
	return failed || journal.lines != 1 || !journal.is_closed;
}
