/*
 * Question   what does a program pay for its loop in size, and its author in waiting for the
 *            compiler?
 * Unit       size/hello: bytes of code and constants, as size(1) counts `text`.  static: of the
 *            whole program, the C library included; own: where that alone is shared.
 *            build/hello: ms to compile and link it (own), by the compiler of this build, -O2.
 * Rival      benchmarks/hello: the same program by hand and with each peer; ours is
 *            examples/hello.c.  Two lines, and a tenth of a second between them.
 * Not shown  what a larger program uses more of; data, and what is allocated: memory/.
 */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Three builds a repetition are enough. */
#define BUILD_BUDGET_NS 30000000

BENCH_ROW(size_static, .name = "size/hello/static", .unit = "bytes");
BENCH_ROW(size_own, .name = "size/hello/own", .unit = "bytes");
BENCH_ROW(build_hello, .name = "build/hello", .unit = "ms", .budget_ns = BUILD_BUDGET_NS,
	.repeat_max = 3);

struct program {
	const char *source;   /* of the source tree */
	const char *libraries;
};

enum { OF_APUS, OF_LIMIT, OF_LIBEV, OF_LIBUV, OF_LIBEVENT, OF_COUNT };

static const struct program programs[OF_COUNT] = {
	[OF_APUS] = { "examples/hello.c", BENCH_BUILDDIR "/lib/.libs/libapus.a " BENCH_BACKEND_LIBS },
	[OF_LIMIT] = { "benchmarks/hello/limit.c", "" },
	[OF_LIBEV] = { "benchmarks/hello/libev.c", "-lev" },
	[OF_LIBUV] = { "benchmarks/hello/libuv.c", "-luv_a" },
	[OF_LIBEVENT] = { "benchmarks/hello/libevent.c", "-levent_core" },
};

struct workshop {
	char folder[64];
	char command[1024];
};

static bool workshop_open(struct bench *b, struct workshop *shop, bool all_static)
{
	const struct program *program = &programs[b->arg];

	snprintf(shop->folder, sizeof shop->folder, "/tmp/apus-bench.XXXXXX");
	if (mkdtemp(shop->folder) == NULL) {
		bench_skip(b, "no folder in /tmp");
		return false;
	}
	snprintf(shop->command, sizeof shop->command,
		"%s -O2 %s -I'%s/include' -o %s/hello '%s/%s' -Wl,-Bstatic %s %s -lm -pthread "
		"2>/dev/null", BENCH_CC, all_static ? "-static" : "", BENCH_SRCDIR, shop->folder,
		BENCH_SRCDIR, program->source, program->libraries,
		all_static ? "" : "-Wl,-Bdynamic");
	return true;
}

static void workshop_close(struct workshop *shop)
{
	char path[80];

	snprintf(path, sizeof path, "%s/hello", shop->folder);
	unlink(path);
	rmdir(shop->folder);
}

static bool program_build(struct bench *b, const struct workshop *shop)
{
	if (system(shop->command) == 0)
		return true;
	bench_skip(b, "%s and its static libraries cannot be built here",
		programs[b->arg].source);
	return false;
}

/* The second line of size(1) begins with it; 0: there is none. */
static double text_bytes(const struct workshop *shop)
{
	char command[128], line[256];
	double bytes = 0;
	FILE *from;

	snprintf(command, sizeof command, "size %s/hello 2>/dev/null", shop->folder);
	from = popen(command, "r");
	if (from == NULL)
		return 0;
	while (fgets(line, sizeof line, from) != NULL)
		bytes = strtod(line, NULL);
	pclose(from);
	return bytes;
}

/* The same in every repetition, so it is built in the first. */
static void size_of(struct bench *b, bool all_static)
{
	static double known[2][OF_COUNT];
	double *bytes = &known[all_static][b->arg];
	struct workshop shop;

	if (*bytes == 0 && workshop_open(b, &shop, all_static)) {
		if (program_build(b, &shop) && (*bytes = text_bytes(&shop)) == 0)
			bench_skip(b, "size (binutils) is not installed");
		workshop_close(&shop);
	}
	if (*bytes != 0)
		bench_constant(b, *bytes);
}

static void size_static(struct bench *b)
{
	size_of(b, true);
}

static void size_own(struct bench *b)
{
	size_of(b, false);
}

static void build(struct bench *b)
{
	struct workshop shop;

	if (!workshop_open(b, &shop, false))
		return;
	while (bench_more(b) && program_build(b, &shop))
		bench_sample(b, 1000000); /* a sample is in ns, the row in ms */
	workshop_close(&shop);
}

#define PROGRAM(name, which)                                                            \
	BENCH_ENTRANT(static_##name, .row = "size/hello/static", .who = #name,          \
		.run = size_static, .arg = which);                                      \
	BENCH_ENTRANT(own_##name, .row = "size/hello/own", .who = #name, .run = size_own, \
		.arg = which);                                                          \
	BENCH_ENTRANT(build_##name, .row = "build/hello", .who = #name, .run = build, .arg = which)
PROGRAM(apus, OF_APUS);
PROGRAM(limit, OF_LIMIT);
PROGRAM(libev, OF_LIBEV);
PROGRAM(libuv, OF_LIBUV);
PROGRAM(libevent, OF_LIBEVENT);
