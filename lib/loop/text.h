/*
 * Text that grows in a buffer of the caller's, and counts on when that is full.
 */
#ifndef LOOP_TEXT_H
#define LOOP_TEXT_H

#include <stdarg.h>
#include <stdio.h>

#include "loop/loop.h"

struct text {
	char *at;
	size_t bytes, used;
};

static inline void APUS_PRINTF(2, 3) put(struct text *text, const char *format, ...)
{
	size_t room = text->used < text->bytes ? text->bytes - text->used : 0;
	va_list args;
	int used;

	va_start(args, format);
	used = vsnprintf(room ? text->at + text->used : NULL, room, format, args);
	va_end(args);
	if (used > 0)
		text->used += (size_t)used;
}

/*
 * describe_linux.c or describe_posix.c: what is told of the machine.
 */
void apusi_describe_cpus(struct text *text, const struct apus_loop *loop);
void apusi_describe_class(struct text *text);
/* Behind what the library knows itself, in the same line. */
void apusi_describe_clock(struct text *text);
void apusi_describe_locked(struct text *text);
void apusi_describe_idle(struct text *text);

#endif
