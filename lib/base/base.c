#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "apus/base.h"

enum { LINE_MAX_BYTES = 512 }; /* under PIPE_BUF: one write is one line */

/* Appends a newline and writes the line at once; a short write is let go. */
static void line_write(char *line, int used)
{
	ssize_t ignored;

	if (used < 0)
		return;
	if (used > LINE_MAX_BYTES - 2)
		used = LINE_MAX_BYTES - 2;
	line[used++] = '\n';
	ignored = write(STDERR_FILENO, line, (size_t)used);
	(void)ignored;
}

void apus_panic(const char *file, int line, const char *format, ...)
{
	char text[LINE_MAX_BYTES];
	va_list args;
	int used = snprintf(text, sizeof text, "apus: %s:%d: ", file, line);

	if (used < 0 || used > LINE_MAX_BYTES / 2)
		used = 0;
	va_start(args, format);
	used += vsnprintf(text + used, sizeof text - (size_t)used, format, args);
	va_end(args);
	line_write(text, used);
	abort();
}

void apus_log_stderr(void *arg, enum apus_log_level level, const char *line)
{
	static const char *const names[] = { "error", "warning", "info" };
	struct pollfd out = { .fd = STDERR_FILENO, .events = POLLOUT };
	char text[LINE_MAX_BYTES];

	(void)arg;
	if (poll(&out, 1, 0) != 1 || !(out.revents & POLLOUT))
		return;
	line_write(text, snprintf(text, sizeof text, "apus: %s: %s", names[level], line));
}

void apus_log(apus_log_fn *fn, void *arg, enum apus_log_level level, const char *format, ...)
{
	char text[LINE_MAX_BYTES];
	va_list args;

	if (fn == NULL)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	fn(arg, level, text);
}
