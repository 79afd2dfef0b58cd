/* scribe.c - the thread that writes: a loop with one task. */
#include "scribe.h"

#include <apus/loop.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NAP_NS (100 * APUS_USEC)
#define FULL_NAP_NS (10 * APUS_MSEC)

static void nap(int64_t ns)
{
	nanosleep(&(struct timespec){.tv_nsec = ns}, NULL);
}

/* What a record takes of the ring: its header, and the padding to 16 bytes. */
static uint64_t ring_bytes_of(size_t size)
{
	return (APUS_RING_HEADER_BYTES + size + 15) & ~(uint64_t)15;
}

/* ---- the engine's end ------------------------------------------------------------------- */

uint64_t scribe_room(const struct scribe *scribe)
{
	uint64_t capacity = scribe->ring.mask + 1;
	uint64_t used = scribe->told_bytes - apus_load_acquire(&scribe->written_bytes); /* [R] */

	/* A record lies in one piece: at the ring's end the longest may not fit. */
	return capacity - used > 2 * TAP_BYTES_MAX ? capacity - used - 2 * TAP_BYTES_MAX : 0;
}

int scribe_tap(struct scribe *scribe, const struct tap *tap, const void *bytes)
{
	struct apus_claim claim;
	int err = apus_ring_try_claim(&scribe->ring, sizeof(*tap) + tap->size, &claim);

	if (err)
		return err;
	memcpy(claim.data, tap, sizeof(*tap));
	memcpy((uint8_t *)claim.data + sizeof(*tap), bytes, tap->size);
	scribe->told_bytes += ring_bytes_of(claim.bytes);
	return apus_ring_commit(&scribe->ring, &claim);
}

/* ---- the scribe's: a loop of its own, with one task ------------------------------------------ */

/* One of the two has no room: then neither takes it. */
static bool put(struct scribe *scribe, const struct tap *tap, const uint8_t *bytes)
{
	const size_t most = 4 * TAP_BYTES_MAX;

	if ((scribe->has_journal && sink_room(&scribe->journal_sink) < most) ||
	    (scribe->has_pcap && sink_room(&scribe->pcap_sink) < most))
		return false;
	if (scribe->has_journal)
		journal_put(&scribe->journal_sink, scribe->record_count, tap, bytes);
	if (scribe->has_pcap)
		pcap_put(&scribe->pcap, &scribe->pcap_sink, tap, bytes);
	scribe->record_count++;
	return true;
}

/* From the ring into the buffers, as much as there is, or as there is room for: false. */
static bool take(struct scribe *scribe)
{
	struct apus_record *record = &scribe->record;
	struct tap tap;

	for (;;) {
		/* One that was read and had no room is the next; the ring has it until released. */
		if (!scribe->has_record && apus_ring_try_read(&scribe->ring, record) != 0)
			return true;
		memcpy(&tap, record->data, sizeof(tap));
		scribe->has_record = !put(scribe, &tap, (const uint8_t *)record->data + sizeof(tap));
		if (scribe->has_record)
			return false;
		apus_ring_release(&scribe->ring, record);
		apus_store_release(&scribe->written_bytes, scribe->written_bytes +
			ring_bytes_of(record->bytes)); /* [W] */
	}
}

/* A disk that is full is an alarm; anything else is, and will be the reason in the end. */
static void note(struct scribe *scribe, apus_poll wrote)
{
	bool is_full = wrote == -ENOSPC || wrote == -EDQUOT || wrote == -EFBIG;

	if (wrote < 0 && !is_full && scribe->error == 0)
		scribe->error = (int)wrote;
	if (wrote < 0 && !apus_load_relaxed(&scribe->is_full))
		scribe->full_count++;
	apus_store_release(&scribe->is_full, wrote < 0);
}

/* All that was put is in the file, and now on the disk; or it never will be. */
static void note_sync(struct scribe *scribe, apus_poll synced)
{
	if (synced == 0) {
		apus_store_release(&scribe->durable_count, scribe->record_count);
		return;
	}
	scribe->is_in_doubt = true;
	if (scribe->error == 0)
		scribe->error = (int)synced;
}

static bool is_to_be_synced(const struct scribe *scribe)
{
	return scribe->syncs && scribe->has_journal && !scribe->is_in_doubt &&
	       scribe->durable_count != scribe->record_count;
}

struct write {
	struct apus_frame frame;
	struct scribe *scribe;
	struct apus_op op;
	struct sink *sink;
	bool is_all;
	uint32_t stopping;
	int at;
	apus_poll wrote;
};

APUS_TASK(write, struct write)
{
	struct scribe *scribe = self->scribe;
	struct sink *const sinks[] = {&scribe->journal_sink, &scribe->pcap_sink};

	APUS_BEGIN(cx, self);
	/* The first operation starts the helper that does them, which takes memory: not later. */
	self->sink = scribe->has_journal ? sinks[0] : sinks[1];
	APUS_AWAIT(self->wrote, apus_file_sync_data(cx, &self->op, self->sink->file));
	apus_store_release(&scribe->is_ready, 1);
	for (;;) {
		/* Before the look, so that nothing told before the stop is left. */
		self->stopping = apus_load_acquire(&scribe->is_stopping);
		self->is_all = take(scribe);
		for (self->at = 0; self->at < 2; self->at++) {
			self->sink = sinks[self->at];
			while (self->sink->begin < self->sink->end) {
				APUS_AWAIT(self->wrote, apus_file_append(cx, &self->op,
					self->sink->file, self->sink->bytes + self->sink->begin,
					self->sink->end - self->sink->begin));
				note(scribe, self->wrote);
				if (self->wrote > 0) {
					sink_wrote(self->sink, (size_t)self->wrote);
					continue;
				}
				if (apus_load_acquire(&scribe->is_stopping) == 2)
					return -ENOSPC;
				APUS_WAIT(apus_sleep(cx, FULL_NAP_NS));
			}
		}
		if (is_to_be_synced(scribe)) {
			APUS_AWAIT(self->wrote, apus_file_sync_data(cx, &self->op,
				scribe->journal_sink.file));
			note_sync(scribe, self->wrote);
		}
		if (self->is_all && self->stopping)
			return 0;
		/* Not by a wait on the ring: then the engine would have to ring a bell. */
		if (self->is_all)
			APUS_WAIT(apus_sleep(cx, NAP_NS));
	}
	APUS_END(0);
}

int scribe_begin(struct apus_loop *loop, struct scribe *scribe, struct apus_join *join)
{
	const struct write init = {.scribe = scribe};

	return apus_spawn_slab(loop, write, &init, join);
}

static int adopt(struct apus_loop *loop, struct sink *sink)
{
	return sink->fd < 0 ? 0 : apus_file_adopt(loop, sink->fd, APUS_BORROWED, &sink->file);
}

static int run(struct scribe *scribe, struct apus_loop *loop)
{
	int err = adopt(loop, &scribe->journal_sink);

	if (!err)
		err = adopt(loop, &scribe->pcap_sink);
	return err ? err : (int)apus_run(loop, write, &(struct write){.scribe = scribe});
}

static void *scribe_run(void *arg)
{
	struct scribe *scribe = arg;
	struct apus_config config;
	struct apus_loop *loop;
	int err;

	apus_config_init(&config);
	config.idle = APUS_IDLE_PARK;
	config.cpu = scribe->cpu;
	err = apus_open(&loop, &config);
	if (!err) {
		err = run(scribe, loop);
		apus_close(loop, NULL);
	}
	if (err && scribe->error == 0)
		scribe->error = err;
	apus_store_release(&scribe->is_ready, 1);
	return NULL;
}

/* ---- start and stop --------------------------------------------------------------------------- */

static int complain(const char *path, int err)
{
	fprintf(stderr, "tick_to_trade: %s: %s\n", path, strerror(-err));
	return err;
}

static int open_files(struct scribe *scribe, const struct scribe_config *config)
{
	int err = 0;

	scribe->journal_sink.fd = scribe->pcap_sink.fd = -1;
	if (config->journal != NULL) {
		err = sink_open(&scribe->journal_sink, config->journal);
		if (err)
			return complain(config->journal, err);
		scribe->has_journal = true;
	}
	if (config->pcap != NULL) {
		err = sink_open(&scribe->pcap_sink, config->pcap);
		if (err)
			return complain(config->pcap, err);
		scribe->has_pcap = true;
		pcap_begin(&scribe->pcap, &scribe->pcap_sink);
	}
	return 0;
}

/* Signals are for the engine's thread, not for this one. */
static int start_thread(struct scribe *scribe)
{
	sigset_t all, before;
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = -pthread_create(&scribe->thread, NULL, scribe_run, scribe);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	scribe->has_thread = err == 0;
	if (err)
		return err;
	while (!apus_load_acquire(&scribe->is_ready))
		nap(NAP_NS);
	if (scribe->error)
		fprintf(stderr, "tick_to_trade: the scribe's loop: %s\n", strerror(-scribe->error));
	return scribe->error;
}

int scribe_start(struct scribe *scribe, const struct scribe_config *config)
{
	size_t bytes = APUS_RING_BYTES(config->ring_bytes);
	int err;

	memset(scribe, 0, sizeof(*scribe));
	scribe->cpu = config->cpu;
	scribe->patience_ns = config->patience_ns;
	scribe->syncs = config->syncs;
	err = open_files(scribe, config);
	if (!err && posix_memalign(&scribe->memory, APUS_CACHE_LINE, bytes) != 0)
		err = -ENOMEM;
	if (!err) {
		memset(scribe->memory, 0xff, bytes); /* so that no page faults later */
		err = apus_ring_init(&scribe->ring, scribe->memory, config->ring_bytes, 0);
	}
	/* A file that has reached the limit of its size is a full disk, not the end of us. */
	signal(SIGXFSZ, SIG_IGN);
	if (!err)
		err = start_thread(scribe);
	if (err)
		scribe_stop(scribe);
	return err;
}

/* All that was told is written, or the disk is full for longer than the patience lasts. */
static void join(struct scribe *scribe)
{
	apus_store_release(&scribe->is_stopping, 1);
	for (int64_t waited = 0; waited < scribe->patience_ns; waited += FULL_NAP_NS) {
		if (!apus_load_acquire(&scribe->is_full))
			break;
		nap(FULL_NAP_NS);
	}
	if (apus_load_acquire(&scribe->is_full))
		apus_store_release(&scribe->is_stopping, 2);
	pthread_join(scribe->thread, NULL);
}

int scribe_stop(struct scribe *scribe)
{
	bool has_lost;
	int err, other;

	if (scribe->has_thread)
		join(scribe);
	has_lost = scribe->told_bytes != scribe->written_bytes ||
		scribe->journal_sink.begin < scribe->journal_sink.end ||
		scribe->pcap_sink.begin < scribe->pcap_sink.end;
	err = sink_close(&scribe->journal_sink);
	other = sink_close(&scribe->pcap_sink);
	if (scribe->has_thread)
		apus_ring_deinit(&scribe->ring);
	free(scribe->memory);
	scribe->memory = NULL;
	scribe->has_thread = false;
	err = err ? err : other ? other : scribe->error;
	return err ? err : has_lost ? -ENOSPC : 0;
}
