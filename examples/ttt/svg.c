/* svg.c - a picture of latency. */
#include "svg.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>

/* The plot's frame within the picture. */
enum { WIDTH = 760, HEIGHT = 420, LEFT = 80, TOP = 50, PLOT_WIDTH = 640, PLOT_HEIGHT = 310 };

/* From 0 to so many nines; from 100 ns to a second. */
#define NINES 5.0
#define LOW_NS 1e2
#define DECADES 7.0

/* 0 is the left; 90 % is one nine, 99 % two. */
static double x_of(double percent)
{
	double nines = percent >= 100 ? NINES : -log10(1 - percent / 100);

	return LEFT + PLOT_WIDTH * (nines < NINES ? nines : NINES) / NINES;
}

static double y_of(double ns)
{
	double decades = ns <= LOW_NS ? 0 : log10(ns / LOW_NS);

	return TOP + PLOT_HEIGHT * (1 - (decades < DECADES ? decades : DECADES) / DECADES);
}

static void write_grid(FILE *file)
{
	static const char *const percents[] = {"0", "90", "99", "99.9", "99.99", "99.999"};
	static const char *const times[] = {"100 ns", "1 us", "10 us", "100 us", "1 ms", "10 ms",
		"100 ms", "1 s"};

	for (int nines = 0; nines <= (int)NINES; nines++) {
		double x = LEFT + PLOT_WIDTH * nines / NINES;

		fprintf(file, "<path d='M%.1f %d V%d' stroke='#ddd'/>"
			"<text x='%.1f' y='%d' text-anchor='middle'>%s %%</text>\n", x, TOP,
			TOP + PLOT_HEIGHT, x, TOP + PLOT_HEIGHT + 20, percents[nines]);
	}
	for (int decade = 0; decade <= (int)DECADES; decade++) {
		double y = TOP + PLOT_HEIGHT * (1 - decade / DECADES);

		fprintf(file, "<path d='M%d %.1f H%d' stroke='#ddd'/>"
			"<text x='%d' y='%.1f' text-anchor='end'>%s</text>\n", LEFT, y,
			LEFT + PLOT_WIDTH, LEFT - 8, y + 4, times[decade]);
	}
}

/* Up to the percentile that one sample in all of them decides. */
static void write_curve(FILE *file, const struct svg_curve *curve, int place)
{
	double count = (double)apus_histogram_count(curve->latency);
	double last = log10(count) < NINES ? log10(count) : NINES;

	fprintf(file, "<polyline fill='none' stroke='%s' stroke-width='2' points='", curve->colour);
	for (double nines = 0; nines <= last + 1e-9; nines += 0.02) {
		double percent = 100 * (1 - pow(10, -nines));

		fprintf(file, "%.1f,%.1f ", x_of(percent), y_of((double)
			apus_histogram_percentile(curve->latency, percent)));
	}
	fprintf(file, "'/>\n<path d='M%d %d h24' stroke='%s' stroke-width='2'/>"
		"<text x='%d' y='%d'>%s, p50 %lld ns</text>\n", LEFT + 12, TOP + 16 + 18 * place,
		curve->colour, LEFT + 42, TOP + 20 + 18 * place, curve->name,
		(long long)apus_histogram_percentile(curve->latency, 50));
}

int svg_write(const char *path, const char *title, const struct svg_curve *curves, int count)
{
	FILE *file = fopen(path, "w");
	int place = 0, failed;

	if (file == NULL)
		return -errno;
	fprintf(file, "<svg xmlns='http://www.w3.org/2000/svg' width='%d' height='%d' "
		"font-family='sans-serif' font-size='12'>\n<rect width='100%%' height='100%%' "
		"fill='white'/>\n<text x='%d' y='28' font-size='16'>%s</text>\n", WIDTH, HEIGHT,
		LEFT, title);
	write_grid(file);
	for (int at = 0; at < count; at++)
		if (apus_histogram_count(curves[at].latency) > 0)
			write_curve(file, &curves[at], place++);
	fputs("</svg>\n", file);
	failed = ferror(file);
	return fclose(file) != 0 || failed ? -EIO : 0;
}
