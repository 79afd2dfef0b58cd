/*
 * svg.h - latency by percentile as a picture: how often (to the right, ever rarer) it was how
 * slow (upwards, each line ten times the one below).
 *
 *   Errors     0 or -errno.
 *   Ownership  the histograms are the caller's.
 */
#ifndef TTT_SVG_H
#define TTT_SVG_H

#include <apus/histogram.h>

struct svg_curve {
	const char *name, *colour;
	const struct apus_histogram *latency; /* one that is empty is left out */
};

int svg_write(const char *path, const char *title, const struct svg_curve *curves, int count);

#endif
