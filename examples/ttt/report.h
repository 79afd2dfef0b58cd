/*
 * report.h - the two sides compared, and told: for a person, and as a line of JSON.
 */
#ifndef TTT_REPORT_H
#define TTT_REPORT_H

#include "options.h"
#include "side.h"

#include <stdio.h>

/* What differs, in words, a line each, to out (NULL: nobody); true when nothing does. */
bool report_compare(const struct shared *shared, uint32_t symbol_count, FILE *out);

/* What is told so far, by the engine alone: its side is being filled in. */
void report_print_engine(const struct shared *shared, const struct options *options, FILE *out);

/* One side, or both and what became of the comparison. */
void report_print(const struct shared *shared, const struct options *options, bool agree,
	FILE *out);
void report_json(const struct shared *shared, const struct options *options, bool agree,
	FILE *out);

#endif
