#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "http.h"

/* ---- parts of a line --------------------------------------------------------------- */

/* What stands before the first `mark`; the rest stays in text. */
static bool text_split(struct text *text, char mark, struct text *before)
{
	const char *at = (const char *)memchr(text->at, mark, text->bytes);

	if (at == NULL)
		return false;
	before->at = text->at;
	before->bytes = (size_t)(at - text->at);
	text->at = at + 1;
	text->bytes -= before->bytes + 1;
	return true;
}

static struct text text_trim(struct text text)
{
	while (text.bytes > 0 && (*text.at == ' ' || *text.at == '\t')) {
		text.at++;
		text.bytes--;
	}
	while (text.bytes > 0 &&
	       (text.at[text.bytes - 1] == ' ' || text.at[text.bytes - 1] == '\t'))
		text.bytes--;
	return text;
}

/* ---- the head --------------------------------------------------------------------- */

struct head {
	uint64_t body_bytes;
	bool has_length, has_coding;
};

static bool is_token(struct text text)
{
	size_t i;

	for (i = 0; i < text.bytes; i++)
		if (text.at[i] <= ' ' || text.at[i] > '~' || strchr("\"(),/:;<=>?@[\\]{}", text.at[i]))
			return false;
	return text.bytes > 0;
}

static int request_line(struct text line, struct http_request *request)
{
	if (!text_split(&line, ' ', &request->method) || !is_token(request->method) ||
	    !text_split(&line, ' ', &request->target) || request->target.bytes == 0)
		return -400;
	if (text_is(line, "HTTP/1.1"))
		request->keeps_alive = true;
	else if (text_is(line, "HTTP/1.0"))
		request->keeps_alive = false;
	else
		return line.bytes > 5 && memcmp(line.at, "HTTP/", 5) == 0 ? -505 : -400;
	request->is_head = text_is(request->method, "HEAD");
	return 0;
}

static int length_field(struct text value, struct head *head)
{
	uint64_t length = 0;
	size_t i;

	if (value.bytes == 0 || value.bytes > 18)
		return -400;
	for (i = 0; i < value.bytes; i++) {
		if (value.at[i] < '0' || value.at[i] > '9')
			return -400;
		length = length * 10 + (uint64_t)(value.at[i] - '0');
	}
	/* Twice, and not the same: who passes such a thing on means to smuggle. */
	if (head->has_length && head->body_bytes != length)
		return -400;
	head->has_length = true;
	head->body_bytes = length;
	return 0;
}

static int field(struct text line, struct head *head, struct http_request *request)
{
	struct text name;

	if (!text_split(&line, ':', &name) || !is_token(name))
		return -400;
	line = text_trim(line);
	if (text_is_nocase(name, "content-length"))
		return length_field(line, head);
	if (text_is_nocase(name, "transfer-encoding"))
		head->has_coding = true;
	else if (text_is_nocase(name, "connection") && text_is_nocase(line, "close"))
		request->keeps_alive = false;
	else if (text_is_nocase(name, "connection") && text_is_nocase(line, "keep-alive"))
		request->keeps_alive = true;
	return 0;
}

/* The bytes of the head, 0: not there yet, or a negative status. */
static ssize_t head_parse(const char *data, size_t bytes, struct head *head,
	struct http_request *request)
{
	struct text line;
	size_t at = 0;
	int err;

	/* Empty lines before a request are passed over (RFC 9112, 2.2). */
	do
		if (!text_line(data, bytes, &at, &line))
			return 0;
	while (line.bytes == 0);
	err = request_line(line, request);
	while (!err) {
		if (!text_line(data, bytes, &at, &line))
			return 0;
		if (line.bytes == 0)
			return (ssize_t)at;
		err = field(line, head, request);
	}
	return err;
}

ssize_t http_parse(const char *data, size_t bytes, size_t head_bytes_max, size_t body_bytes_max,
	struct http_request *request)
{
	struct head head = { 0, false, false };
	ssize_t head_bytes = head_parse(data, bytes, &head, request);

	if (head_bytes == 0)
		return bytes > head_bytes_max ? -431 : 0;
	if (head_bytes < 0)
		return head_bytes;
	if ((size_t)head_bytes > head_bytes_max)
		return -431;
	if (head.has_coding)
		return -501;
	if (head.body_bytes > body_bytes_max)
		return -413;
	if (bytes - (size_t)head_bytes < head.body_bytes)
		return 0;
	request->body.at = data + head_bytes;
	request->body.bytes = (size_t)head.body_bytes;
	return head_bytes + (ssize_t)head.body_bytes;
}

/* ---- answers ------------------------------------------------------------------------ */

static const char *status_text(int status)
{
	switch (status) {
	case 200: return "OK";
	case 400: return "Bad Request";
	case 404: return "Not Found";
	case 405: return "Method Not Allowed";
	case 413: return "Content Too Large";
	case 431: return "Request Header Fields Too Large";
	case 501: return "Not Implemented";
	default: return "HTTP Version Not Supported";
	}
}

size_t http_answer(char *out, size_t room, int status, struct text body,
	const struct http_request *request)
{
	size_t body_bytes = request->is_head ? 0 : body.bytes;
	int head = snprintf(out, room,
		"HTTP/1.1 %d %s\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n%s\r\n",
		status, status_text(status), body.bytes,
		request->keeps_alive ? "" : "Connection: close\r\n");

	if (head < 0 || (size_t)head + body_bytes > room)
		return 0;
	memcpy(out + head, body.at, body_bytes);
	return (size_t)head + body_bytes;
}
