/*
 * faults.h - what a peer sent that cannot be, counted by kind: a set of these for each socket.
 *
 *	if (err)
 *		faults_count(&faults, err);
 *
 *   Cost       a compare or two, and only when something is wrong.
 */
#ifndef TTT_FAULTS_H
#define TTT_FAULTS_H

#include <errno.h>
#include <stdint.h>

enum fault {
	FAULT_LENGTH,    /* truncated, or not as long as its type is */
	FAULT_OVERSIZED, /* longer than anything that we take */
	FAULT_TYPE,      /* of no type that exists */
	FAULT_FIELD,     /* with a field that cannot be */
	FAULT_SESSION,   /* of another session, or one that is not let in */
	FAULT_STATE,     /* not from that end, or not now */
	FAULTS,
};

struct faults {
	uint64_t counts[FAULTS];
};

/* The kinds as the decoders name them. */
static inline void faults_count(struct faults *faults, int err)
{
	enum fault fault = err == -EMSGSIZE ? FAULT_LENGTH : err == -E2BIG ? FAULT_OVERSIZED :
		err == -EBADMSG ? FAULT_TYPE : err == -ERANGE ? FAULT_FIELD :
		err == -EACCES ? FAULT_SESSION : FAULT_STATE;

	faults->counts[fault]++;
}

static inline uint64_t faults_total(const struct faults *faults)
{
	uint64_t total = 0;

	for (int fault = 0; fault < FAULTS; fault++)
		total += faults->counts[fault];
	return total;
}

static inline const char *fault_name(enum fault fault)
{
	static const char *const names[FAULTS] = {
		"wrong length", "oversized", "wrong type", "wrong field", "wrong session",
		"wrong moment",
	};

	return names[fault];
}

#endif
