/*
 * http.h - HTTP/1.1 requests out of a stream of bytes, and the heads of answers.
 *
 * The parser looks at what has come so far and keeps nothing: a request is there whole, or
 * it is asked again when more has come.  What it answers points into the caller's bytes.
 */
#ifndef SERVE_HTTP_H
#define SERVE_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "text.h"

struct http_request {
	struct text method, target, body;
	bool keeps_alive;
	bool is_head;
};

/*
 * The bytes that the first request takes; 0: it is not all there yet; or the negative status
 * that refuses it: -400, -413 (the body is longer than body_bytes_max), -431 (the head is
 * longer than head_bytes_max), -501 (a transfer coding), -505 (another version).
 */
ssize_t http_parse(const char *data, size_t bytes, size_t head_bytes_max, size_t body_bytes_max,
	struct http_request *request);

/*
 * Writes an answer's head, and the body behind it unless only the head was asked for: the
 * bytes, or 0: there is not so much room.
 */
size_t http_answer(char *out, size_t room, int status, struct text body,
	const struct http_request *request);

#endif
