/*
 * Which backend a loop has: the one that was asked for, or the best that can be had.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/slot.h"

static const char *const kind_names[] = {
	[APUS_IO_AUTO] = "auto", [APUS_IO_EPOLL] = "epoll", [APUS_IO_URING] = "uring",
	[APUS_IO_LIBEV] = "libev", [APUS_IO_SIM] = "sim", [APUS_IO_NONE] = "none",
};

enum { KIND_COUNT = sizeof kind_names / sizeof *kind_names };

static const struct apusi_backend *const backends[KIND_COUNT] = {
	[APUS_IO_EPOLL] = &apusi_backend_epoll,
	[APUS_IO_URING] = &apusi_backend_uring,
	[APUS_IO_LIBEV] = &apusi_backend_libev,
	[APUS_IO_SIM] = &apusi_backend_sim,
	[APUS_IO_NONE] = &apusi_backend_none,
};

const char *apus_io_kind_name(enum apus_io_kind kind)
{
	return (unsigned)kind < KIND_COUNT ? kind_names[kind] : "unknown";
}

static bool kind_is_built(enum apus_io_kind kind)
{
	return backends[kind] != NULL && backends[kind]->open != NULL;
}

static int kind_parse(const char *name, enum apus_io_kind *kind)
{
	int i;

	for (i = APUS_IO_AUTO; i < KIND_COUNT; i++)
		if (strcmp(name, kind_names[i]) == 0) {
			*kind = (enum apus_io_kind)i;
			return 0;
		}
	return -EINVAL;
}

/* The environment replaces AUTO only: a program that names a backend means it. */
int apusi_io_choose(struct apus_io *io, char *reason, size_t reason_bytes)
{
	const char *name = getenv("APUS_BACKEND");

	io->kind = io->config.kind;
	if (io->kind != APUS_IO_AUTO || name == NULL || *name == '\0')
		return 0;
	if (kind_parse(name, &io->kind)) {
		snprintf(reason, reason_bytes, "APUS_BACKEND=%s names no backend", name);
		return -EINVAL;
	}
	io->from_environment = io->kind != APUS_IO_AUTO;
	return 0;
}

bool apusi_io_wants_sim(enum apus_io_kind kind)
{
	const char *name = kind == APUS_IO_AUTO ? getenv("APUS_BACKEND") : NULL;

	return kind == APUS_IO_SIM || (name != NULL && strcmp(name, kind_names[APUS_IO_SIM]) == 0);
}

static int kind_open(struct apus_io *io, enum apus_io_kind kind, char *reason, size_t reason_bytes)
{
	io->kind = kind;
	if ((unsigned)kind >= KIND_COUNT || !kind_is_built(kind)) {
		snprintf(reason, reason_bytes, "the %s backend is not built in",
			apus_io_kind_name(kind));
		return -ENOTSUP;
	}
	io->backend = backends[kind];
	return io->backend->open(io, reason, reason_bytes);
}

/*
 * What is built and can be had, best first; why the others cannot is kept for the log.  A
 * loop that never parks asks its backend in each turn, and io_uring for the price of a look at
 * memory; to one that parks epoll costs least.  See doc/adr/0062.
 */
static int kind_open_best(struct apus_io *io, char *reason, size_t reason_bytes)
{
	static const enum apus_io_kind orders[][4] = {
		{ APUS_IO_URING, APUS_IO_EPOLL, APUS_IO_LIBEV, APUS_IO_NONE },
		{ APUS_IO_EPOLL, APUS_IO_URING, APUS_IO_LIBEV, APUS_IO_NONE },
	};
	const enum apus_io_kind *order = orders[io->config.parks];
	int i, err = -ENOTSUP;

	for (i = 0; i < 4 && err != 0; i++) {
		if (!kind_is_built(order[i]))
			continue;
		err = kind_open(io, order[i], reason, reason_bytes);
		if (err && io->fallback[0] == '\0')
			snprintf(io->fallback, sizeof io->fallback, "%s cannot be had: %s",
				apus_io_kind_name(order[i]), reason);
	}
	return err;
}

int apusi_io_open_backend(struct apus_io *io, char *reason, size_t reason_bytes)
{
	if (io->kind == APUS_IO_AUTO)
		return kind_open_best(io, reason, reason_bytes);
	return kind_open(io, io->kind, reason, reason_bytes);
}
