#include <cpuid.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/clock_source.h"

#define CLOCKSOURCES "/sys/devices/system/clocksource/clocksource0/available_clocksource"

uint64_t apusi_machine_ticks(void *arg)
{
	(void)arg;
	return __builtin_ia32_rdtsc();
}

/* Leaf 0x80000007, EDX bit 8: the same rate in every P-, C- and T-state. */
static bool cpu_says_invariant(void)
{
	unsigned a, b, c, d;

	return __get_cpuid(0x80000007, &a, &b, &c, &d) && (d & (1u << 8));
}

/*
 * The kernel watches the counter, also across sockets, and takes it off this list when it
 * finds it unstable.  A guest that runs on kvm-clock still lists a good one.
 */
static bool kernel_lists_tsc(void)
{
	char text[256];
	ssize_t got;
	int fd = open(CLOCKSOURCES, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return true; /* no /sys: the processor's word has to do */
	got = read(fd, text, sizeof text - 1);
	close(fd);
	if (got <= 0)
		return true;
	text[got] = '\0';
	return strstr(text, "tsc") != NULL;
}

bool apusi_machine_ticks_are_invariant(void *arg)
{
	(void)arg;
	return cpu_says_invariant() && kernel_lists_tsc();
}
