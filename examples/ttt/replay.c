/* replay.c - a loop with a virtual clock, on which a day takes as long as its work does. */
#include "replay.h"

#include "engine.h"
#include "journal.h"
#include "pcap.h"
#include "player.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* A file of either kind. */
struct recording {
	const uint8_t *bytes;
	size_t size;
	bool is_journal;
	struct journal_reader journal;
	struct pcap_reader pcap;
};

static int recording_map(struct recording *recording, const char *path)
{
	struct stat stat;
	void *bytes;
	int fd = open(path, O_RDONLY | O_CLOEXEC), err = 0;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &stat) != 0)
		err = -errno;
	else if (stat.st_size == 0)
		err = -ENODATA;
	if (!err) {
		bytes = mmap(NULL, (size_t)stat.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
		err = bytes == MAP_FAILED ? -errno : 0;
		recording->bytes = err ? NULL : bytes;
		recording->size = (size_t)stat.st_size;
	}
	close(fd);
	return err;
}

static int recording_open(struct recording *recording, const char *path)
{
	int err;

	memset(recording, 0, sizeof(*recording));
	err = recording_map(recording, path);
	if (err)
		return err;
	journal_open(&recording->journal, recording->bytes, recording->size);
	recording->is_journal = pcap_open(&recording->pcap, recording->bytes, recording->size) != 0;
	return 0;
}

static int recording_next(struct recording *recording, struct tap *tap, const uint8_t **bytes)
{
	return recording->is_journal ? journal_next(&recording->journal, tap, bytes) :
		pcap_next(&recording->pcap, tap, bytes);
}

/* ---- the task ---------------------------------------------------------------------------- */

struct replay {
	struct apus_frame frame;
	struct recording *recording;
	struct player *player;
	struct tap tap;
	const uint8_t *bytes;
	apus_poll got;
};

APUS_TASK(replay, struct replay)
{
	APUS_BEGIN(cx, self);
	while ((self->got = recording_next(self->recording, &self->tap, &self->bytes)) == 1) {
		/* With nothing else to do the clock jumps to it. */
		APUS_WAIT(apus_sleep_until(cx, self->tap.now_ns));
		player_take(self->player, &self->tap, self->bytes);
	}
	APUS_END(self->got);
}

static int run(struct recording *recording, struct player *player)
{
	struct apus_config config;

	apus_config_init(&config);
	config.clock = APUS_CLOCK_VIRTUAL;
	config.backend = APUS_IO_NONE;
	return (int)apus_main(&config, replay, &(struct replay){.recording = recording,
		.player = player});
}

/* ---- before and after ------------------------------------------------------------------------- */

static void tell(const struct recording *recording, const struct player *player)
{
	const uint64_t *taps = player->taps;

	printf("replay: %s: %" PRIu64 " packets, %" PRIu64 " requests, %" PRIu64 " connections, %"
		PRIu64 " reads, %" PRIu64 " sent%s\n", recording->is_journal ? "journal" : "pcap",
		taps[TAP_PACKET], taps[TAP_REQUEST], taps[TAP_CONNECT], taps[TAP_RECEIVED],
		taps[TAP_SENT], recording->journal.is_cut ? "; cut within a record" : "");
	printf("replay: %" PRIu64 " orders decided again as they were, %" PRIu64 " cancels taken as "
		"they came, %" PRIu64 " different\n\n", player->orders, player->cancels,
		player->different);
}

static int play(const struct options *options, struct shared *shared, struct desk *desk,
	struct recording *recording)
{
	static struct player player;
	int err;

	player_init(&player, desk);
	err = run(recording, &player);
	engine_fill_side(&shared->engine, desk, options);
	shared->engine.books_checksum = books_checksum(&desk->books);
	shared->engine.repeated = player.session.repeated;
	tell(recording, &player);
	return err;
}

int replay_run(const struct options *options, struct shared *shared)
{
	struct desk *desk = calloc(1, sizeof(*desk));
	struct recording recording = {0};
	struct desk_config config;
	int err = desk == NULL ? -ENOMEM : recording_open(&recording, options->replay);

	if (!err) {
		engine_desk_config(&config, options);
		err = desk_init(desk, &config);
	}
	if (!err) {
		err = play(options, shared, desk, &recording);
		desk_deinit(desk);
	}
	if (recording.bytes != NULL)
		munmap((void *)recording.bytes, recording.size);
	free(desk);
	return err;
}
