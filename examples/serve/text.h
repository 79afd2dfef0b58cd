/*
 * text.h - bytes of somebody else's buffer, and lines of them.
 */
#ifndef SERVE_TEXT_H
#define SERVE_TEXT_H

#include <stdbool.h>
#include <stddef.h>

struct text {
	const char *at;
	size_t bytes;
};

struct text text_of(const char *word);
bool text_is(struct text text, const char *word);
bool text_is_nocase(struct text text, const char *word);

/* The line at *at, without its end (LF or CR LF), and *at behind it; false: no end yet. */
bool text_line(const char *data, size_t bytes, size_t *at, struct text *line);

#endif
