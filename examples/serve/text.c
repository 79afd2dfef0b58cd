#include <string.h>
#include <strings.h>

#include "text.h"

struct text text_of(const char *word)
{
	return (struct text){ word, strlen(word) };
}

bool text_is(struct text text, const char *word)
{
	return strlen(word) == text.bytes && memcmp(text.at, word, text.bytes) == 0;
}

bool text_is_nocase(struct text text, const char *word)
{
	return strlen(word) == text.bytes && strncasecmp(text.at, word, text.bytes) == 0;
}

bool text_line(const char *data, size_t bytes, size_t *at, struct text *line)
{
	const char *end = (const char *)memchr(data + *at, '\n', bytes - *at);

	if (end == NULL)
		return false;
	line->at = data + *at;
	line->bytes = (size_t)(end - line->at);
	*at += line->bytes + 1;
	if (line->bytes > 0 && line->at[line->bytes - 1] == '\r')
		line->bytes--;
	return true;
}
