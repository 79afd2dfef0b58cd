/*
 * test_ttt_journal.c - the journal of the tick-to-trade example: what was written can be read,
 * to the last whole record, after a crash at any byte and after kill -9; and a disk that is
 * full loses nothing.
 */
#include "../../examples/ttt/scribe.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>

#include "test.h"

enum { RING = 1 << 19 };

/* Record n, whatever n: its size and bytes follow from it. */
static size_t make_record(uint64_t n, struct tap *tap, uint8_t *bytes)
{
	size_t size = n * 37 % 200;

	*tap = (struct tap){.now_ns = (int64_t)n, .kind = (uint8_t)(n % TAP_KINDS),
		.size = (uint16_t)size};
	for (size_t at = 0; at < size; at++)
		bytes[at] = (uint8_t)(n + at);
	return size;
}

/*
 * One claim a record and none where it holds: each is a line in a file of the test runner's,
 * and a journal that was written for as long as a child lived has any number of records.
 */
static void check_record(uint64_t n, const struct tap *tap, const uint8_t *bytes)
{
	uint8_t wanted[256];
	struct tap expected;
	size_t size = make_record(n, &expected, wanted);

	if (memcmp(tap, &expected, sizeof(expected)) != 0 || memcmp(bytes, wanted, size) != 0)
		ck_abort_msg("record %llu is not what was written", (unsigned long long)n);
}

/* How many records there are, each the next; the answer that ended it in *end. */
static uint64_t read_all(const uint8_t *bytes, size_t size, int *end, bool *is_cut)
{
	struct journal_reader reader;
	const uint8_t *at;
	struct tap tap;
	uint64_t count = 0;

	journal_open(&reader, bytes, size);
	while ((*end = journal_next(&reader, &tap, &at)) == 1)
		check_record(count++, &tap, at);
	*is_cut = reader.is_cut;
	return count;
}

/* ---- the format ---------------------------------------------------------------------------- */

/* A sink without a file: what was put is in its buffer. */
static size_t write_some(struct sink *sink, uint64_t count, size_t *ends)
{
	uint8_t bytes[256];
	struct tap tap;

	*sink = (struct sink){.fd = -1, .bytes = malloc(SINK_BYTES)};
	for (uint64_t n = 0; n < count; n++) {
		make_record(n, &tap, bytes);
		ck_assert_int_eq(journal_put(sink, n, &tap, bytes), 0);
		ends[n] = sink->end;
	}
	return sink->end;
}

START_TEST(the_checksum_is_the_published_one)
{
	ck_assert_uint_eq(journal_crc(0, "123456789", 9), 0xe3069283);
	ck_assert_uint_eq(journal_crc(journal_crc(0, "1234", 4), "56789", 5), 0xe3069283);
}
END_TEST

START_TEST(a_journal_cut_at_any_byte_is_read_to_the_last_whole_record)
{
	enum { COUNT = 20 };
	struct sink sink;
	size_t ends[COUNT], size = write_some(&sink, COUNT, ends);
	uint64_t whole = 0;
	bool is_cut;
	int end;

	for (size_t cut = 0; cut <= size; cut++) {
		uint8_t *exact = malloc(cut + (cut == 0));

		memcpy(exact, sink.bytes, cut);
		while (whole < COUNT && ends[whole] <= cut)
			whole++;
		ck_assert_uint_eq(read_all(exact, cut, &end, &is_cut), whole);
		ck_assert_int_eq(end, 0);
		ck_assert_int_eq(is_cut, cut != 0 && (whole == 0 || ends[whole - 1] != cut));
		free(exact);
	}
	free(sink.bytes);
}
END_TEST

START_TEST(a_byte_that_changed_is_found_and_what_was_before_it_is_read)
{
	enum { COUNT = 12 };
	struct sink sink;
	size_t ends[COUNT], size = write_some(&sink, COUNT, ends);
	uint64_t whole = 0;
	bool is_cut;
	int end;

	for (size_t at = 0; at < size; at++) {
		while (ends[whole] <= at)
			whole++;
		for (int bit = 0; bit < 8; bit++) {
			sink.bytes[at] ^= (uint8_t)(1 << bit);
			ck_assert_uint_eq(read_all(sink.bytes, size, &end, &is_cut), whole);
			/* A length that grew beyond the file looks like a cut. */
			ck_assert(end < 0 || is_cut);
			sink.bytes[at] ^= (uint8_t)(1 << bit);
		}
	}
	ck_assert_uint_eq(read_all(sink.bytes, size, &end, &is_cut), COUNT);
	ck_assert_int_eq(end, 0);
	/* Neither is what never was a journal, nor one whose beginning is gone. */
	ck_assert_uint_eq(read_all((const uint8_t *)"what never was a journal at all, nor will be", 44,
		&end, &is_cut), 0);
	ck_assert_int_eq(end, -EPROTO);
	ck_assert_uint_eq(read_all(sink.bytes + ends[0], size - ends[0], &end, &is_cut), 0);
	ck_assert_int_eq(end, -EBADMSG);
	free(sink.bytes);
}
END_TEST

/* ---- the scribe -------------------------------------------------------------------------------- */

static char path[64];

static const char *some_path(void)
{
	snprintf(path, sizeof(path), "/tmp/test_ttt_journal.%ld", (long)getpid());
	return path;
}

static uint8_t *slurp(const char *name, size_t *size)
{
	int fd = open(name, O_RDONLY);
	struct stat stat;
	uint8_t *bytes;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fstat(fd, &stat), 0);
	*size = (size_t)stat.st_size;
	bytes = malloc(*size + 1);
	ck_assert_int_eq(read(fd, bytes, *size), (ssize_t)*size);
	close(fd);
	return bytes;
}

static void tell(struct scribe *scribe, uint64_t n)
{
	uint8_t bytes[256];
	struct tap tap;

	make_record(n, &tap, bytes);
	while (scribe_tap(scribe, &tap, bytes) != 0)
		nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
}

static void check_file(const char *name, uint64_t count)
{
	size_t size;
	uint8_t *bytes = slurp(name, &size);
	bool is_cut;
	int end;

	ck_assert_uint_eq(read_all(bytes, size, &end, &is_cut), count);
	ck_assert_int_eq(end, 0);
	ck_assert(!is_cut);
	free(bytes);
}

START_TEST(everything_that_was_told_is_written_in_order)
{
	struct scribe_config config = {.journal = some_path(), .ring_bytes = RING, .cpu = -1};
	static struct scribe scribe;

	ck_assert_int_eq(scribe_start(&scribe, &config), 0);
	for (uint64_t n = 0; n < 50000; n++)
		tell(&scribe, n);
	ck_assert_int_eq(scribe_stop(&scribe), 0);
	ck_assert_uint_eq(scribe.full_count, 0);
	check_file(config.journal, 50000);
	unlink(config.journal);
}
END_TEST

/* What a power cut leaves of it is for test_ttt_power.c. */
START_TEST(with_sync_all_that_is_written_is_said_to_be_on_the_disk)
{
	struct scribe_config config = {.journal = some_path(), .ring_bytes = RING, .cpu = -1,
		.syncs = true};
	static struct scribe scribe;

	ck_assert_int_eq(scribe_start(&scribe, &config), 0);
	for (uint64_t n = 0; n < 5000; n++) {
		tell(&scribe, n);
		if (apus_load_acquire(&scribe.durable_count) > n + 1)
			ck_abort_msg("more is on the disk than was told");
	}
	ck_assert_int_eq(scribe_stop(&scribe), 0);
	ck_assert_uint_eq(scribe.durable_count, 5000);
	check_file(config.journal, 5000);
	unlink(config.journal);
}
END_TEST

START_TEST(a_file_that_cannot_be_is_refused_with_its_reason)
{
	struct scribe_config config = {.journal = "/no/such/folder/journal", .ring_bytes = RING,
		.cpu = -1};
	static struct scribe scribe;

	ck_assert_int_eq(scribe_start(&scribe, &config), -ENOENT);
	config.journal = some_path();
	config.pcap = "/no/such/folder/pcap";
	ck_assert_int_eq(scribe_start(&scribe, &config), -ENOENT);
	config.pcap = NULL;
	config.ring_bytes = RING - 1;
	ck_assert_int_eq(scribe_start(&scribe, &config), -EINVAL);
	config.ring_bytes = RING;
	config.cpu = 1023; /* that no machine of ours has */
	ck_assert_int_eq(scribe_start(&scribe, &config), -EINVAL);
	unlink(config.journal);
}
END_TEST

/*
 * A file may grow to so many bytes: beyond that the disk is as good as full.  The file of the
 * test runner is one too: while it is so, as few claims as can be.
 */
static void limit_file(rlim_t bytes)
{
	struct rlimit limit;

	ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = bytes < limit.rlim_max ? bytes : limit.rlim_max;
	if (setrlimit(RLIMIT_FSIZE, &limit) != 0)
		ck_abort_msg("setrlimit: %s", strerror(errno));
}

/* Until the scribe does not take any more. */
static uint64_t fill(struct scribe *scribe, uint64_t n)
{
	while (!scribe_is_short(scribe))
		tell(scribe, n++);
	return n;
}

/* What it holds is bounded, its buffer and the ring: until it takes nothing for a while. */
static uint64_t fill_all(struct scribe *scribe, uint64_t n)
{
	for (int still = 0; still < 10;) {
		uint64_t before = n;

		n = fill(scribe, n);
		still = n == before ? still + 1 : 0;
		nanosleep(&(struct timespec){.tv_nsec = 15 * APUS_MSEC}, NULL);
	}
	return n;
}

static void await_full(struct scribe *scribe)
{
	for (int n = 0; n < 10000 && !apus_load_acquire(&scribe->is_full); n++)
		nanosleep(&(struct timespec){.tv_nsec = APUS_MSEC}, NULL);
	ck_assert(apus_load_acquire(&scribe->is_full));
}

START_TEST(a_full_disk_is_an_alarm_and_back_pressure_and_not_a_loss)
{
	struct scribe_config config = {.journal = some_path(), .ring_bytes = RING, .cpu = -1,
		.patience_ns = 20 * APUS_SEC};
	static struct scribe scribe;
	uint64_t n = 0;

	limit_file(100000);
	ck_assert_int_eq(scribe_start(&scribe, &config), 0);
	while (!apus_load_acquire(&scribe.is_full)) {
		/* The scribe has to see the full disk: told with breaks, it flushes. */
		for (int some = 0; some < 100 && !scribe_is_short(&scribe); some++)
			tell(&scribe, n++);
		nanosleep(&(struct timespec){.tv_nsec = APUS_MSEC}, NULL);
	}
	n = fill_all(&scribe, n);
	ck_assert(scribe_is_short(&scribe));
	await_full(&scribe);
	ck_assert_uint_gt(scribe_room(&scribe), 0);
	ck_assert_uint_ge(scribe.full_count, 1);
	limit_file(RLIM_INFINITY);
	ck_assert_int_eq(scribe_stop(&scribe), 0);
	check_file(config.journal, n);
	unlink(config.journal);
}
END_TEST

START_TEST(a_disk_that_stays_full_is_an_error_in_the_end)
{
	struct scribe_config config = {.journal = some_path(), .ring_bytes = RING, .cpu = -1,
		.patience_ns = 50 * APUS_MSEC};
	static struct scribe scribe;
	size_t size;
	uint8_t *bytes;
	bool is_cut;
	int answer, end;

	limit_file(5000);
	ck_assert_int_eq(scribe_start(&scribe, &config), 0);
	for (uint64_t n = 0; n < 1000; n++)
		tell(&scribe, n);
	await_full(&scribe);
	answer = scribe_stop(&scribe);
	limit_file(RLIM_INFINITY);
	ck_assert_int_eq(answer, -ENOSPC);
	bytes = slurp(config.journal, &size);
	ck_assert_uint_eq(size, 5000);
	ck_assert_uint_gt(read_all(bytes, size, &end, &is_cut), 10);
	ck_assert_int_eq(end, 0);
	free(bytes);
	unlink(config.journal);
}
END_TEST

/* ---- kill -9 -------------------------------------------------------------------------------------- */

static void write_until_killed(const char *name)
{
	struct scribe_config config = {.journal = name, .ring_bytes = RING, .cpu = -1};
	static struct scribe scribe;

	if (scribe_start(&scribe, &config) != 0)
		_exit(1);
	for (uint64_t n = 0;; n++)
		tell(&scribe, n);
}

START_TEST(after_kill_9_it_is_readable_to_the_last_whole_record)
{
	struct test_random random = test_random_init(test_seed());
	const char *name = some_path();

	for (int round = 0; round < 10; round++) {
		pid_t child = fork();
		uint8_t *bytes;
		struct stat stat = {.st_size = 0};
		size_t size;
		bool is_cut;
		int end;

		if (child == 0)
			write_until_killed(name);
		while (stat.st_size == 0) /* until it has begun; the timeout of the test bounds it */
			if (lstat(name, &stat) != 0)
				stat.st_size = 0;
		nanosleep(&(struct timespec){.tv_nsec = (long)test_random_below(&random, 20000000)},
			NULL);
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
		bytes = slurp(name, &size);
		ck_assert_uint_gt(read_all(bytes, size, &end, &is_cut), 0);
		ck_assert_int_eq(end, 0);
		free(bytes);
		unlink(name);
	}
}
END_TEST

TEST_MAIN("ttt_journal",
	the_checksum_is_the_published_one,
	a_journal_cut_at_any_byte_is_read_to_the_last_whole_record,
	a_byte_that_changed_is_found_and_what_was_before_it_is_read,
	everything_that_was_told_is_written_in_order,
	with_sync_all_that_is_written_is_said_to_be_on_the_disk,
	a_file_that_cannot_be_is_refused_with_its_reason,
	a_full_disk_is_an_alarm_and_back_pressure_and_not_a_loss,
	a_disk_that_stays_full_is_an_error_in_the_end,
	after_kill_9_it_is_readable_to_the_last_whole_record)
