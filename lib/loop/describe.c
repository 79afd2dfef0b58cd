#include "loop/text.h"

static void put_clock(struct text *text, const struct apus_loop *loop)
{
	static const char *const names[] = { "auto", "tsc", "monotonic", "virtual" };

	put(text, "clock         %s%s", names[apus_clock_kind_of(&loop->clock)],
		apus_clock_has_fallen_back(&loop->clock) ? " (fell back)" : "");
	apusi_describe_clock(text);
	put(text, "\n");
}

static void put_memory(struct text *text, const struct apus_loop *loop)
{
	put(text, "memory        %u slots of %u bytes, %s", loop->cx.tasks.capacity,
		(unsigned)loop->cx.tasks.stride, loop->config.lock_memory ? "locked" : "not locked");
	apusi_describe_locked(text);
	put(text, "\n");
}

static void put_idle(struct text *text, const struct apus_loop *loop)
{
	static const char *const names[] = { "busy", "pause", "backoff", "park" };

	put(text, "idle          %s", names[loop->idle]);
	apusi_describe_idle(text);
	put(text, ", latency %s\n", loop->machine.latency_fd >= 0 ? "held at 0" : "not held");
}

size_t apus_loop_describe(struct apus_loop *loop, char *out, size_t out_bytes)
{
	struct text text = { out, out_bytes, 0 };

	apusi_describe_cpus(&text, loop);
	put_clock(&text, loop);
	apusi_describe_class(&text);
	put_memory(&text, loop);
	put_idle(&text, loop);
	put(&text, "backend       %s\n", apusi_io_name(loop->cx.io));
	return text.used;
}
