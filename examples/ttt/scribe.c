/* scribe.c - the thread that writes. */
#define _GNU_SOURCE
#include "scribe.h"

#include <errno.h>
#include <sched.h>
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

/* ---- the scribe's ------------------------------------------------------------------------- */

/* 0, or -EAGAIN: one of the two has no room; the other has not taken it either. */
static int put(struct scribe *scribe, const struct tap *tap, const uint8_t *bytes)
{
	const size_t most = 4 * TAP_BYTES_MAX;

	if ((scribe->has_journal && sink_room(&scribe->journal_sink) < most) ||
	    (scribe->has_pcap && sink_room(&scribe->pcap_sink) < most))
		return -EAGAIN;
	if (scribe->has_journal)
		journal_put(&scribe->journal_sink, scribe->record_count, tap, bytes);
	if (scribe->has_pcap)
		pcap_put(&scribe->pcap, &scribe->pcap_sink, tap, bytes);
	scribe->record_count++;
	return 0;
}

/* As much as there is, or as there is room for. */
static void take(struct scribe *scribe)
{
	struct apus_record record;
	struct tap tap;

	while (apus_ring_try_read(&scribe->ring, &record) == 0) {
		memcpy(&tap, record.data, sizeof(tap));
		/* Not released, it will be read again: the one behind is not looked at. */
		while (put(scribe, &tap, (const uint8_t *)record.data + sizeof(tap)) != 0) {
			if (sink_flush(&scribe->journal_sink) == 0 &&
			    sink_flush(&scribe->pcap_sink) == 0)
				continue;
			apus_store_release(&scribe->is_full, 1);
			if (apus_load_acquire(&scribe->is_stopping) == 2)
				return;
			nap(FULL_NAP_NS);
		}
		apus_ring_release(&scribe->ring, &record);
		apus_store_release(&scribe->written_bytes, scribe->written_bytes +
			ring_bytes_of(record.bytes)); /* [W] */
	}
}

static void note_full(struct scribe *scribe, int err)
{
	if (err == 0) {
		apus_store_release(&scribe->is_full, 0);
		return;
	}
	if (err != -ENOSPC && scribe->error == 0)
		scribe->error = err;
	if (!apus_load_acquire(&scribe->is_full))
		scribe->full_count++;
	apus_store_release(&scribe->is_full, 1);
}

static int flush(struct scribe *scribe)
{
	int err = sink_flush(&scribe->journal_sink);
	int other = sink_flush(&scribe->pcap_sink);

	note_full(scribe, err ? err : other);
	return err ? err : other;
}

static int pin(int cpu)
{
	cpu_set_t set;

	if (cpu < 0)
		return 0;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return sched_setaffinity(0, sizeof(set), &set) != 0 ? -errno : 0;
}

static void *scribe_run(void *arg)
{
	struct scribe *scribe = arg;
	uint32_t stopping;

	scribe->error = pin(scribe->cpu);
	apus_store_release(&scribe->is_ready, 1);
	do {
		/* Before the look, so that nothing told before the stop is left. */
		stopping = apus_load_acquire(&scribe->is_stopping);
		take(scribe);
		if (flush(scribe) != 0)
			stopping = stopping == 2 ? 2 : 0;
		if (!stopping)
			nap(scribe->is_full ? FULL_NAP_NS : NAP_NS);
	} while (!stopping);
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
		fprintf(stderr, "tick_to_trade: the scribe's core: %s\n", strerror(-scribe->error));
	return scribe->error;
}

int scribe_start(struct scribe *scribe, const struct scribe_config *config)
{
	size_t bytes = APUS_RING_BYTES(config->ring_bytes);
	int err;

	memset(scribe, 0, sizeof(*scribe));
	scribe->cpu = config->cpu;
	scribe->patience_ns = config->patience_ns;
	err = open_files(scribe, config);
	if (!err && posix_memalign(&scribe->memory, APUS_CACHE_LINE, bytes) != 0)
		err = -ENOMEM;
	if (!err) {
		memset(scribe->memory, 0xff, bytes); /* so that no page faults later */
		err = apus_ring_init(&scribe->ring, scribe->memory, config->ring_bytes, 0);
	}
	if (config->write != NULL)
		scribe->journal_sink.write = scribe->pcap_sink.write = config->write;
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
	has_lost = scribe->told_bytes != scribe->written_bytes;
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
