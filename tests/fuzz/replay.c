/*
 * replay.c - a driver for fuzz targets where the compiler brings none.
 *
 *   fuzz_wheel                  the kept seeds, then FUZZ_RUNS inputs made of them and of
 *                               chance, the same each time
 *   fuzz_wheel FILE|FOLDER ...  these alone
 *
 * An input that ends the program is kept in crash-NAME in the working directory.
 */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz.h"
#include "seeds.h"

static struct {
	uint8_t bytes[FUZZ_BYTES_MAX];
	size_t size;
	unsigned count;
} input;

/* ---- what ended the program ------------------------------------------------------------ */

void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((__weak__));

static void put(int fd, const void *bytes, size_t size)
{
	if (write(fd, bytes, size) < 0)
		_exit(99);
}

static void keep_input(void)
{
	char path[64] = "crash-";
	int fd;

	strncat(path, fuzz_name, sizeof path - 8);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
	if (fd < 0)
		return;
	put(fd, input.bytes, input.size);
	close(fd);
	put(STDERR_FILENO, "the input is in ", 16);
	put(STDERR_FILENO, path, strlen(path));
	put(STDERR_FILENO, "\n", 1);
}

static void on_signal(int number)
{
	keep_input();
	signal(number, SIG_DFL);
	raise(number);
}

static void watch_for_the_end(void)
{
	/* A sanitizer has its own handlers of faults, and ends the program itself. */
	if (__sanitizer_set_death_callback != NULL) {
		__sanitizer_set_death_callback(keep_input);
	} else {
		signal(SIGSEGV, on_signal);
		signal(SIGBUS, on_signal);
		signal(SIGFPE, on_signal);
	}
	signal(SIGABRT, on_signal);
}

/* ---- inputs ----------------------------------------------------------------------------- */

static void run(void)
{
	uint8_t *exact = fuzz_exact(input.bytes, input.size);

	LLVMFuzzerTestOneInput(exact, input.size);
	free(exact);
	input.count++;
}

static void load(const char *path)
{
	int fd = open(path, O_RDONLY);
	ssize_t got = fd < 0 ? -1 : read(fd, input.bytes, sizeof input.bytes);

	if (got < 0) {
		perror(path);
		exit(99);
	}
	close(fd);
	input.size = (size_t)got;
}

/* xorshift64* (Vigna, 2016). */
static uint64_t chance(void)
{
	static uint64_t state = UINT64_C(0x9e3779b97f4a7c15);

	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return state * UINT64_C(0x2545f4914f6cdd1d) >> 16;
}

static void splice(const struct seeds *seeds)
{
	static uint8_t front[FUZZ_BYTES_MAX];
	size_t kept = (size_t)(chance() % (input.size + 1)), from, count;

	memcpy(front, input.bytes, kept);
	load(seeds->paths[chance() % seeds->count]);
	from = (size_t)(chance() % (input.size + 1));
	count = input.size - from < sizeof front - kept ? input.size - from : sizeof front - kept;
	memmove(input.bytes + kept, input.bytes + from, count);
	memcpy(input.bytes, front, kept);
	input.size = kept + count;
}

/* A few bytes changed, cut, doubled, or put in. */
static void change(void)
{
	uint64_t times = 1 + chance() % 8;
	size_t at;

	for (; times > 0 && input.size > 0; times--) {
		at = (size_t)(chance() % input.size);
		switch (chance() % 6) {
		case 0:
			input.size = at;
			break;
		case 1:
			input.bytes[at] ^= (uint8_t)(1u << chance() % 8);
			break;
		case 2:
			if (input.size < sizeof input.bytes)
				memmove(input.bytes + at + 1, input.bytes + at, input.size++ - at);
			break;
		case 3:
			memmove(input.bytes + at, input.bytes + at + 1, --input.size - at);
			break;
		default:
			input.bytes[at] = (uint8_t)chance();
		}
	}
}

static void make_up(void)
{
	input.size = (size_t)(chance() % 600);
	for (size_t i = 0; i < input.size; i++)
		input.bytes[i] = (uint8_t)chance();
}

static void short_run(void)
{
	struct seeds seeds;
	unsigned i;

	seeds_find(&seeds, NULL);
	for (i = 0; i < seeds.count; i++) {
		load(seeds.paths[i]);
		run();
	}
	for (i = 0; i < FUZZ_RUNS; i++) {
		if (seeds.count > 0 && i % 8 != 0) {
			load(seeds.paths[chance() % seeds.count]);
			if (chance() % 3 == 0)
				splice(&seeds);
			change();
		} else {
			make_up();
		}
		run();
	}
}

static void run_given(const char *path)
{
	struct seeds seeds;
	struct stat status;

	if (stat(path, &status) != 0 || !S_ISDIR(status.st_mode)) {
		load(path);
		run();
		return;
	}
	seeds_find(&seeds, path);
	for (unsigned i = 0; i < seeds.count; i++) {
		load(seeds.paths[i]);
		run();
	}
}

int main(int argc, char **argv)
{
	watch_for_the_end();
	if (argc == 1)
		short_run();
	for (int i = 1; i < argc; i++)
		run_given(argv[i]);
	printf("%s: %u inputs\n", fuzz_name, input.count);
	return 0;
}
