/*
 * resp.h - commands of the Redis protocol (RESP2) out of a stream of bytes, and its replies.
 *
 * The parser keeps nothing: a command is there whole, or it is asked again when more has
 * come.  Words point into the caller's bytes.  Inline commands ("PING\r\n") are taken too.
 */
#ifndef SERVE_RESP_H
#define SERVE_RESP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "text.h"

enum { RESP_WORDS_MAX = 64 };

struct resp_command {
	size_t count; /* 0: nothing was asked */
	struct text words[RESP_WORDS_MAX];
};

/*
 * The bytes that the first command takes; 0: it is not all there yet; -1: this is no RESP, or
 * has too many words, and what follows cannot be made out.
 */
ssize_t resp_parse(const char *data, size_t bytes, struct resp_command *command);

/* A whole number in decimal; false: it is none, or too large. */
bool resp_number(struct text text, int64_t *number);

/* Replies.  One that has no room is not begun, and `is_full` says so. */
struct resp_out {
	char *at;
	size_t bytes, room;
	bool is_full;
};

void resp_line(struct resp_out *out, char kind, const char *text); /* '+' or '-' */
void resp_integer(struct resp_out *out, int64_t number);
void resp_bulk(struct resp_out *out, struct text text);
void resp_nil(struct resp_out *out);
void resp_array(struct resp_out *out, size_t count);

#endif
