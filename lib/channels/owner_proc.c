#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "channels/owner.h"

/*
 * The field of /proc/PID/stat that follows the state by `skip` fields; the state is the first
 * behind the name, which ends with the last parenthesis.
 */
static const char *stat_field(const char *stat, int skip)
{
	const char *at = strrchr(stat, ')');

	for (skip++; at != NULL && skip > 0; skip--) {
		at = strchr(at, ' ');
		at = at != NULL ? at + 1 : NULL;
	}
	return at;
}

/* What the pid alone tells: without /proc, and when no descriptor is left to look there. */
static uint64_t start_unknown(uint32_t pid)
{
	return kill((pid_t)pid, 0) == 0 || errno == EPERM ? APUSI_START_UNKNOWN : 0;
}

uint64_t apusi_process_start(uint32_t pid)
{
	char path[32], stat[1024];
	const char *state, *start;
	ssize_t got;
	int fd;

	snprintf(path, sizeof path, "/proc/%u/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return start_unknown(pid);
	got = read(fd, stat, sizeof stat - 1);
	close(fd);
	if (got <= 0)
		return start_unknown(pid);
	stat[got] = '\0';
	state = stat_field(stat, 0);
	start = stat_field(stat, 19);
	if (state == NULL || start == NULL || *state == 'Z' || *state == 'X')
		return 0;
	return strtoull(start, NULL, 10) | UINT64_C(1) << 63;
}
