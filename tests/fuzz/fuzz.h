/*
 * fuzz.h - what the fuzz targets share: bytes read as a program, and a claim that must hold.
 *
 * A target is one file.  It has a name, under which its seeds are kept in tests/fuzz/seeds,
 * and a function that takes any bytes at all:
 *
 *	const char *const fuzz_name = "wheel";
 *
 *	int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
 *
 * Where the compiler brings libFuzzer, that calls it and looks for bytes that reach new code;
 * elsewhere replay.c calls it with the seeds and with changed ones.  Run without arguments,
 * either way, a target makes its short run, the same each time, and ends.
 *
 * A target keeps nothing from one call to the next, so what failed fails alone.  What it
 * hands to a parser lies in a block of just its size, so that a sanitizer sees one byte too
 * many.
 */
#ifndef APUS_FUZZ_H
#define APUS_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FUZZ_UNUSED __attribute__((__unused__))

enum { FUZZ_RUNS = 10000, FUZZ_BYTES_MAX = 4096 };

extern const char *const fuzz_name;
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FUZZ_MUST(claim)                                                             \
	do {                                                                         \
		if (!(claim)) {                                                      \
			fprintf(stderr, "%s:%d: broken: %s\n", __FILE__, __LINE__, #claim); \
			abort();                                                     \
		}                                                                    \
	} while (0)

/* ---- a program: whoever asks for more than there is gets zeros ---------------------- */

struct fuzz_program {
	const uint8_t *at;
	size_t left;
};

FUZZ_UNUSED static bool fuzz_has_more(const struct fuzz_program *program)
{
	return program->left > 0;
}

FUZZ_UNUSED static uint8_t fuzz_byte(struct fuzz_program *program)
{
	if (program->left == 0)
		return 0;
	program->left--;
	return *program->at++;
}

/* The number that so many bytes make, the lowest first. */
FUZZ_UNUSED static uint64_t fuzz_number(struct fuzz_program *program, unsigned bytes)
{
	uint64_t number = 0;
	unsigned i;

	for (i = 0; i < bytes; i++)
		number |= (uint64_t)fuzz_byte(program) << 8 * i;
	return number;
}

/* 0 <= answer < bound <= 256. */
FUZZ_UNUSED static unsigned fuzz_below(struct fuzz_program *program, unsigned bound)
{
	return fuzz_byte(program) % bound;
}

/* Of any magnitude: a byte says how many bits, and those follow. */
FUZZ_UNUSED static int64_t fuzz_span(struct fuzz_program *program)
{
	unsigned bits = fuzz_below(program, 63);
	uint64_t number = fuzz_number(program, (bits + 7) / 8);

	return (int64_t)(number & ((UINT64_C(1) << bits) - 1));
}

/* ---- blocks of just their size --------------------------------------------------------- */

/* To be freed; of no bytes: a block that nothing may be read of. */
FUZZ_UNUSED static uint8_t *fuzz_exact(const void *data, size_t size)
{
	uint8_t *exact = (uint8_t *)calloc(1, size);

	FUZZ_MUST(exact != NULL || size == 0);
	if (size > 0)
		memcpy(exact, data, size);
	return exact;
}

/* That many bytes at `at` lie within the block. */
FUZZ_UNUSED static bool fuzz_is_within(const void *at, size_t bytes, const void *block, size_t size)
{
	uintptr_t offset = (uintptr_t)at - (uintptr_t)block;

	return offset <= size && bytes <= size - offset;
}

#endif
