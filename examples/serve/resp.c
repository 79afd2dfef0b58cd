#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "resp.h"

bool resp_number(struct text text, int64_t *number)
{
	bool is_negative = text.bytes > 0 && text.at[0] == '-';
	size_t i = is_negative ? 1 : 0;
	int64_t value = 0;

	if (i == text.bytes)
		return false;
	/* Counted downwards, where there is room for one more. */
	for (; i < text.bytes; i++) {
		if (text.at[i] < '0' || text.at[i] > '9' ||
		    __builtin_mul_overflow(value, 10, &value) ||
		    __builtin_sub_overflow(value, text.at[i] - '0', &value))
			return false;
	}
	if (!is_negative && value == INT64_MIN)
		return false;
	*number = is_negative ? value : -value;
	return true;
}

/* ---- commands ----------------------------------------------------------------------- */

static ssize_t inline_parse(struct text line, size_t at, struct resp_command *command)
{
	size_t i = 0;

	while (i < line.bytes) {
		size_t begin = i;

		while (i < line.bytes && line.at[i] != ' ')
			i++;
		if (i > begin && command->count == RESP_WORDS_MAX)
			return -1;
		if (i > begin)
			command->words[command->count++] =
				(struct text){ line.at + begin, i - begin };
		i++;
	}
	return (ssize_t)at;
}

/* A count or a length behind its mark. */
static bool header_parse(struct text line, char mark, int64_t max, int64_t *number)
{
	struct text digits = { line.at + 1, line.bytes - 1 };

	return line.bytes > 1 && line.at[0] == mark && resp_number(digits, number) &&
	       *number >= 0 && *number <= max;
}

/* The word at *at: 1, 0: not there yet, -1. */
static int word_parse(const char *data, size_t bytes, size_t *at, struct text *word)
{
	struct text line;
	int64_t length;

	if (!text_line(data, bytes, at, &line))
		return 0;
	if (!header_parse(line, '$', INT32_MAX, &length))
		return -1;
	if (bytes - *at < (size_t)length + 2)
		return 0;
	word->at = data + *at;
	word->bytes = (size_t)length;
	*at += (size_t)length + 2;
	return memcmp(word->at + length, "\r\n", 2) == 0 ? 1 : -1;
}

ssize_t resp_parse(const char *data, size_t bytes, struct resp_command *command)
{
	struct text line;
	int64_t count, i;
	size_t at = 0;
	int answer;

	command->count = 0;
	if (!text_line(data, bytes, &at, &line))
		return 0;
	if (line.bytes == 0 || line.at[0] != '*')
		return inline_parse(line, at, command);
	if (!header_parse(line, '*', RESP_WORDS_MAX, &count))
		return -1;
	for (i = 0; i < count; i++) {
		answer = word_parse(data, bytes, &at, &command->words[i]);
		if (answer != 1)
			return answer;
	}
	command->count = (size_t)count;
	return (ssize_t)at;
}

/* ---- replies -------------------------------------------------------------------------- */

static bool out_takes(struct resp_out *out, size_t bytes)
{
	if (out->room - out->bytes < bytes)
		out->is_full = true;
	return !out->is_full;
}

static __attribute__((__format__(__printf__, 2, 3))) void out_print(struct resp_out *out,
	const char *format, ...)
{
	va_list args;
	int bytes;

	va_start(args, format);
	bytes = vsnprintf(out->at + out->bytes, out->room - out->bytes, format, args);
	va_end(args);
	if (bytes > 0 && out_takes(out, (size_t)bytes + 1))
		out->bytes += (size_t)bytes;
}

void resp_line(struct resp_out *out, char kind, const char *text)
{
	out_print(out, "%c%s\r\n", kind, text);
}

void resp_integer(struct resp_out *out, int64_t number)
{
	out_print(out, ":%" PRId64 "\r\n", number);
}

void resp_bulk(struct resp_out *out, struct text text)
{
	if (!out_takes(out, text.bytes + 32))
		return;
	out_print(out, "$%zu\r\n", text.bytes);
	memcpy(out->at + out->bytes, text.at, text.bytes);
	memcpy(out->at + out->bytes + text.bytes, "\r\n", 2);
	out->bytes += text.bytes + 2;
}

void resp_nil(struct resp_out *out)
{
	out_print(out, "$-1\r\n");
}

void resp_array(struct resp_out *out, size_t count)
{
	out_print(out, "*%zu\r\n", count);
}
