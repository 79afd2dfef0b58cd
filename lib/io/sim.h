/*
 * io/sim.h - the inside of the simulated network, shared by the files of that backend.
 *
 *   Threads    the loop's thread only.
 *
 * A socket is an end.  It lives while a descriptor has it, and, of a stream, while the other
 * end does: what is on its way when it closes still arrives.  Bytes lie in the ring of the end
 * that will read them from when they are sent; an event says when so many of them arrive.
 * Events are a heap by time, and by order among the same time.  They name an end by index and
 * generation, so what comes too late for it meets nobody.
 *
 * sim.c         the backend: the verbs that the room calls, and the seed's configuration
 * sim_event.c   chance, the trace, the heap of events, and who may not pass
 * sim_name.c    addresses, in one form
 * sim_socket.c  descriptors: opening, binding, closing
 * sim_option.c  what else can be asked of one
 * sim_connect.c listening, connecting, accepting
 * sim_stream.c  bytes: sent, arriving, read; the end of them, and what breaks
 * sim_datagram.c
 * sim_script.c  what a test's author calls
 *
 * The files are those of sim_disk.h.
 */
#ifndef APUSI_IO_SIM_H
#define APUSI_IO_SIM_H

#include <netinet/in.h>
#include <sys/un.h>

#include "apus/sim.h"
#include "io/backend.h"
#include "io/sockets.h"

enum {
	SIM_FIRST = 1 << 30, /* the first number: no process has so many real descriptors */
	SIM_CUTS = 32,
	SIM_GROUPS = 20 /* that one socket joins: as many as Linux lets it */
};

enum sim_kind {
	SIM_BYTES,       /* value bytes arrive */
	SIM_FIN,         /* the last of them has */
	SIM_RST,
	SIM_SYN,         /* of this end, at whoever listens */
	SIM_ESTABLISHED,
	SIM_REFUSED,
	SIM_WAKE_READER, /* try again */
	SIM_WAKE_WRITER,
	SIM_DATAGRAM,
	SIM_REQUEST      /* of the files: index and generation are the request's */
};

struct sim_datagram;
struct sim_disk;

struct sim_event {
	int64_t ns;
	uint64_t order;
	uint32_t index, generation; /* of the end */
	uint16_t kind, tries;
	uint32_t value;
	struct sim_datagram *datagram;
};

/* An address in one form: IPv4 mapped into IPv6, a Unix path by its number. */
struct sim_name {
	uint16_t family, port; /* 0: none */
	uint8_t ip[16];
};

struct sim_pattern {
	struct sim_name name;
	bool any_ip;
};

struct sim_cut {
	struct sim_pattern a, b;
	int64_t until_ns;
};

struct sim_datagram {
	struct sim_datagram *next;
	struct sim_name from;
	int64_t stamp_ns;
	uint32_t bytes;
	unsigned char data[];
};

/* What an end reads: begin <= arrived <= sent, counted from the first byte. */
struct sim_ring {
	unsigned char *data;
	uint32_t size;     /* a power of two; grows up to what the capacity asks for */
	uint32_t capacity;
	uint64_t begin, arrived, sent;
	int64_t last_ns;   /* nothing that is sent later arrives before */
	bool fin_arrived;
};

struct sim_group {
	struct sim_name group, source; /* family 0: any */
};

enum sim_state { SIM_NEW, SIM_LISTENS, SIM_CONNECTING, SIM_CONNECTED, SIM_OVER };

struct sim_world;

struct sim_socket {
	struct sim_world *world;
	struct apusi_slot *slot;  /* NULL: nobody reads it now */
	struct sim_socket *peer;  /* of a stream */
	struct sim_socket *next;  /* in a backlog, or among the free */
	struct sim_socket *backlog_head, **backlog_tail;
	struct sim_datagram *head, **tail;
	struct sim_name local, remote;
	struct sim_ring in;
	struct sim_group groups[SIM_GROUPS];
	uint32_t group_count;
	uint32_t index, generation;
	uint32_t backlog_count, backlog_limit;
	uint32_t queued_bytes; /* of datagrams */
	uint32_t receive_bytes, send_bytes;
	uint32_t drops;
	int number; /* -1: no descriptor has it */
	int type;
	int error; /* for the next call, an errno */
	enum sim_state state;
	bool is_live, is_queued; /* not among the free; in a backlog */
	bool wants_room, is_shut; /* a writer was refused; no more is written */
	bool is_asked;            /* who connected it has been told */
	bool is_sure;             /* it was said that there is something: the next read has it */
	bool is_shut_read, reuse, reuse_port, only_ip6, lingers, stamps, tells_drops, no_loop;
};

struct sim_world {
	struct apus_io *io;
	struct apus_sim_config config;
	struct apus_sim_counts counts;
	uint64_t random, hash, order;
	struct sim_event *heap;
	uint32_t heap_count, heap_room;
	struct sim_socket **ends;    /* all that ever were, by index */
	uint32_t end_count, end_room;
	struct sim_socket *free_ends;
	struct sim_socket **numbers; /* by number - SIM_FIRST */
	uint32_t number_count, number_room, open_count;
	char **paths;                /* of Unix sockets, by number */
	uint32_t path_count;
	struct sim_cut cuts[SIM_CUTS];
	uint32_t cut_count;
	int64_t stalled_ns; /* no stream delivers before */
	struct {
		int err;
		uint32_t count;
	} failing[APUS_SIM_CALLS];
	uint16_t port_next;
	bool traces_to_stderr;
	struct sim_disk *disk; /* NULL: no file was asked for yet */
};

/* ---- sim_script.c ----------------------------------------------------------------- */

/* 0, -EPERM on a foreign thread, or -ENOTSUP. */
int apusi_sim_enter(struct apus_loop *loop, struct sim_world **world);

/* The defaults of what is 0. */
void apusi_sim_config_fill(struct apus_sim_config *config);
/* A rate over a million, or a time below 0: the field's name, else NULL. */
const char *apusi_sim_config_fault(const struct apus_sim_config *config);

/* ---- sim_event.c ------------------------------------------------------------------ */

uint64_t apusi_sim_draw(struct sim_world *world);

static inline uint64_t apusi_sim_below(struct sim_world *world, uint64_t bound)
{
	return (apusi_sim_draw(world) >> 8) % bound;
}

/* A fault that is off draws nothing. */
static inline bool apusi_sim_hits(struct sim_world *world, uint32_t ppm)
{
	return ppm != 0 && apusi_sim_below(world, 1000000) < ppm;
}

static inline int64_t apusi_sim_up_to(struct sim_world *world, int64_t ns)
{
	return ns > 0 ? (int64_t)apusi_sim_below(world, (uint64_t)ns + 1) : 0;
}

static inline int64_t apusi_sim_now(const struct sim_world *world)
{
	return world->io->cx->now_ns;
}

void apusi_sim_step(struct sim_world *world, const char *what, const struct sim_socket *end,
	int64_t value);

/* The same of a descriptor, or -1, of the index-th of those there are. */
void apusi_sim_step_of(struct sim_world *world, const char *what, int number, uint64_t index,
	int64_t value);

/* The errno that a script wants of this call, or 0. */
int apusi_sim_scripted(struct sim_world *world, enum apus_sim_call call);

void apusi_sim_post(struct sim_world *world, const struct sim_event *event);
/* One way from now. */
void apusi_sim_tell_later(struct sim_socket *end, enum sim_kind kind, uint32_t value);
/* -EAGAIN: it would be refused now, and the event says when to come again. */
int apusi_sim_again(struct sim_socket *end, enum sim_kind kind);
void apusi_sim_tell(struct sim_socket *end, enum sim_kind kind, int64_t at_ns, uint32_t value);
/* The next that is due, or false. */
bool apusi_sim_event_take(struct sim_world *world, struct sim_event *out);

/* What could not pass is sent again later; false: too often. */
bool apusi_sim_retry(struct sim_world *world, const struct sim_event *event, int64_t first_ns,
	uint16_t tries_max);

int64_t apusi_sim_travel_ns(struct sim_world *world);
bool apusi_sim_matches(const struct sim_pattern *pattern, const struct sim_name *name);
bool apusi_sim_is_cut(struct sim_world *world, const struct sim_name *a, const struct sim_name *b);
int apusi_sim_cut_add(struct sim_world *world, const struct sim_pattern *a, const struct sim_pattern *b,
	int64_t for_ns);
/* A message may cut its own way. */
void apusi_sim_cut_by_chance(struct sim_world *world, const struct sim_name *a,
	const struct sim_name *b);

/* ---- sim_name.c ------------------------------------------------------------------- */

int apusi_sim_name_of(struct sim_world *world, const struct sockaddr *from, socklen_t bytes,
	struct sim_name *out);
void apusi_sim_name_write(const struct sim_world *world, const struct sim_name *name, int family,
	struct sockaddr *out, socklen_t *bytes);
bool apusi_sim_name_is_ip4(const struct sim_name *name);
/* The wildcard of the family. */
void apusi_sim_name_init(struct sim_name *name, int family);
bool apusi_sim_name_is_same(const struct sim_name *a, const struct sim_name *b);
bool apusi_sim_name_is_wild(const struct sim_name *name);
bool apusi_sim_name_is_group(const struct sim_name *name);
bool apusi_sim_ip_is_same(const struct sim_name *a, const struct sim_name *b);

/* ---- sim_socket.c ------------------------------------------------------------------- */

struct sim_socket *apusi_sim_end_new(struct sim_world *world, int family, int type);
void apusi_sim_end_free(struct sim_socket *end);
struct sim_socket *apusi_sim_end_find(struct sim_world *world, uint32_t index, uint32_t generation);
struct sim_socket *apusi_sim_number_find(const struct sim_world *world, int number);
int apusi_sim_number_give(struct sim_world *world, struct sim_socket *end);

/* The bound socket of that type that a message to the name reaches, or NULL. */
struct sim_socket *apusi_sim_bound(struct sim_world *world, int type, const struct sim_name *to);
/* Before it sends or connects: a port, and an address of the one it speaks to. */
int apusi_sim_bind_to(struct sim_socket *end, const struct sim_name *to);

void apusi_sim_wake_reader(struct sim_socket *end);
void apusi_sim_wake_writer(struct sim_socket *end);

static inline struct sim_world *apusi_sim_world_of(const struct apus_io *io)
{
	return io->state;
}

/* ---- sim_connect.c -------------------------------------------------------------------- */

void apusi_sim_syn_arrives(struct sim_socket *end, const struct sim_event *event);
void apusi_sim_connect_ends(struct sim_socket *end, int err);
int apusi_sim_accept(struct sim_socket *end);
void apusi_sim_backlog_drop(struct sim_socket *end);

/* ---- sim_stream.c ---------------------------------------------------------------------- */

int64_t apusi_sim_stream_read(struct sim_socket *end, void *data, size_t bytes);
void apusi_sim_stream_event(struct sim_socket *end, const struct sim_event *event);
void apusi_sim_stream_shut(struct sim_socket *end);
void apusi_sim_stream_close(struct sim_socket *end);
/* The connection breaks here, now. */
void apusi_sim_stream_break(struct sim_socket *end, int err);
/* Freed once nobody has an end of it. */
void apusi_sim_stream_reap(struct sim_socket *end);

/* ---- sim_datagram.c -------------------------------------------------------------------- */

int64_t apusi_sim_datagram_read(struct sim_socket *end, struct msghdr *message);
void apusi_sim_datagram_arrives(struct sim_socket *end, struct sim_datagram *datagram);
void apusi_sim_datagram_close(struct sim_socket *end);

#endif
