#include <string.h>

#include "io/sim.h"

#define SYN_NS APUS_SEC /* a connect that hears nothing asks again, later and later */

enum { SYN_TRIES = 6, BACKLOG_MAX = 4096 };

/* ---- listening ---------------------------------------------------------------------- */

int apusi_sim_listen(const struct apusi_slot *slot, int backlog)
{
	struct sim_socket *end = slot->backend;
	int err = 0;

	if (end->type != SOCK_STREAM)
		return -EOPNOTSUPP;
	if (end->state != SIM_NEW && end->state != SIM_LISTENS)
		return -EINVAL;
	if (end->local.port == 0 && end->local.family != AF_UNIX)
		err = apusi_sim_bind_to(end, &end->local);
	if (err)
		return err;
	end->state = SIM_LISTENS;
	end->backlog_limit = backlog < BACKLOG_MAX ? (uint32_t)backlog + 1 : BACKLOG_MAX;
	apusi_sim_step(end->world, "listen", end, end->local.port);
	return 0;
}

/* Nobody will accept them any more. */
void apusi_sim_backlog_drop(struct sim_socket *end)
{
	struct sim_socket *waiting;

	while ((waiting = end->backlog_head) != NULL) {
		end->backlog_head = waiting->next;
		waiting->is_queued = false;
		apusi_sim_stream_close(waiting);
	}
	end->backlog_tail = &end->backlog_head;
	end->backlog_count = 0;
}

static void backlog_put(struct sim_socket *listener, struct sim_socket *end)
{
	end->next = NULL;
	end->is_queued = true;
	*listener->backlog_tail = end;
	listener->backlog_tail = &end->next;
	listener->backlog_count++;
	apusi_sim_wake_reader(listener);
}

static struct sim_socket *backlog_take(struct sim_socket *listener)
{
	struct sim_socket *end = listener->backlog_head;

	listener->backlog_head = end->next;
	if (end->next == NULL)
		listener->backlog_tail = &listener->backlog_head;
	listener->backlog_count--;
	end->is_queued = false;
	end->next = NULL;
	return end;
}

/* ---- accepting -------------------------------------------------------------------------- */

/* ECONNABORTED: the first is gone, and the next is looked at, as the caller of accept(2) does. */
static int accept_refused(struct sim_socket *listener)
{
	static const int ways[] = { EMFILE, ENFILE, ENOBUFS, ENOMEM, ECONNABORTED };
	struct sim_world *world = listener->world;
	int err = apusi_sim_scripted(world, APUS_SIM_ACCEPT);

	if (err == 0 && apusi_sim_hits(world, world->config.accept_ppm)) {
		world->counts.accept_errors++;
		err = ways[apusi_sim_below(world, sizeof ways / sizeof *ways)];
	}
	if (err != 0)
		apusi_sim_step(world, "accept", listener, -err);
	if (err == ECONNABORTED)
		apusi_sim_stream_close(backlog_take(listener));
	return err;
}

int apusi_sim_accept(struct sim_socket *listener)
{
	struct sim_world *world = listener->world;
	int err, number;

	if (listener->state != SIM_LISTENS)
		return -EINVAL;
	for (;;) {
		if (listener->backlog_head == NULL)
			return -EAGAIN;
		err = accept_refused(listener);
		if (err == 0)
			break;
		if (err != ECONNABORTED)
			return -err;
	}
	number = apusi_sim_number_give(world, listener->backlog_head);
	if (number < 0)
		return number;
	(void)backlog_take(listener);
	world->counts.connections++;
	apusi_sim_step(world, "accept", listener, number);
	return number;
}

/* ---- connecting ---------------------------------------------------------------------------- */

/* Told once, to who asks again; then the socket may be used for another try. */
static int connect_answer(struct sim_socket *end)
{
	int err = end->error;

	if (end->state == SIM_CONNECTING)
		return -EALREADY;
	if (err != 0) {
		end->error = 0;
		return -err;
	}
	if (end->state != SIM_CONNECTED || end->is_asked)
		return -EISCONN;
	end->is_asked = true;
	return 0;
}

static int connect_refused(struct sim_socket *end)
{
	struct sim_world *world = end->world;
	int err = apusi_sim_scripted(world, APUS_SIM_CONNECT);

	if (err == 0 && apusi_sim_hits(world, world->config.refuse_ppm)) {
		world->counts.refused++;
		err = ECONNREFUSED;
	}
	return err;
}

/* A Unix socket meets its listener at once, or not. */
static int connect_unix(struct sim_socket *end)
{
	const struct sim_event event = { .kind = SIM_SYN };
	struct sim_socket *listener = apusi_sim_bound(end->world, SOCK_STREAM, &end->remote);

	if (listener == NULL)
		return -ECONNREFUSED;
	if (listener->backlog_count >= listener->backlog_limit)
		return -EAGAIN;
	apusi_sim_syn_arrives(end, &event);
	return end->state == SIM_CONNECTED ? 0 : -ECONNREFUSED;
}

static int connect_begin(struct sim_socket *end, const struct sim_name *to)
{
	struct sim_world *world = end->world;
	int err = apusi_sim_bind_to(end, to);

	if (err)
		return err;
	end->remote = *to;
	err = connect_refused(end);
	if (to->family == AF_UNIX)
		return err != 0 ? -err : connect_unix(end);
	end->state = SIM_CONNECTING;
	apusi_sim_cut_by_chance(world, &end->local, to);
	apusi_sim_tell_later(end, err != 0 ? SIM_REFUSED : SIM_SYN, (uint32_t)err);
	return -EINPROGRESS;
}

static int connect_datagram(struct sim_socket *end, const struct sim_name *to)
{
	int err = apusi_sim_bind_to(end, to);

	if (err)
		return err;
	if (apusi_sim_name_is_wild(&end->local))
		memcpy(end->local.ip, to->ip, sizeof to->ip);
	end->remote = *to;
	return 0;
}

int apusi_sim_connect(const struct apusi_slot *slot, const struct sockaddr *to, socklen_t bytes)
{
	struct sim_socket *end = slot->backend;
	struct sim_name name;
	int err = apusi_sim_name_of(end->world, to, bytes, &name);

	if (err)
		return err;
	if ((name.family == AF_UNIX) != (end->local.family == AF_UNIX))
		return -EAFNOSUPPORT;
	if (end->type == SOCK_DGRAM)
		err = connect_datagram(end, &name);
	else if (end->state == SIM_NEW && end->error == 0)
		err = connect_begin(end, &name);
	else
		err = connect_answer(end);
	apusi_sim_step(end->world, "connect", end, err);
	return err;
}

/* The other half of a connection, which waits to be accepted. */
static struct sim_socket *other_half(struct sim_socket *end, const struct sim_socket *listener)
{
	struct sim_socket *half = apusi_sim_end_new(end->world, listener->local.family, SOCK_STREAM);

	if (half == NULL)
		return NULL;
	half->state = SIM_CONNECTED;
	half->local = end->remote;
	half->local.family = listener->local.family;
	half->remote = end->local;
	half->in.capacity = listener->in.capacity;
	half->peer = end;
	end->peer = half;
	return half;
}

static void syn_again(struct sim_socket *end, const struct sim_event *event)
{
	if (apusi_sim_retry(end->world, event, SYN_NS, SYN_TRIES))
		return;
	end->world->counts.timeouts++;
	apusi_sim_connect_ends(end, ETIMEDOUT);
}

void apusi_sim_syn_arrives(struct sim_socket *end, const struct sim_event *event)
{
	struct sim_world *world = end->world;
	struct sim_socket *listener, *half;

	if (apusi_sim_is_cut(world, &end->local, &end->remote)) {
		syn_again(end, event);
		return;
	}
	listener = apusi_sim_bound(world, SOCK_STREAM, &end->remote);
	if (listener == NULL) {
		apusi_sim_tell_later(end, SIM_REFUSED, ECONNREFUSED);
		return;
	}
	half = listener->backlog_count < listener->backlog_limit ? other_half(end, listener) : NULL;
	if (half == NULL) {
		syn_again(end, event);
		return;
	}
	backlog_put(listener, half);
	if (end->local.family == AF_UNIX) {
		apusi_sim_connect_ends(end, 0);
		return;
	}
	end->in.last_ns = apusi_sim_now(world) + apusi_sim_travel_ns(world);
	apusi_sim_tell(end, SIM_ESTABLISHED, end->in.last_ns, 0);
}

void apusi_sim_connect_ends(struct sim_socket *end, int err)
{
	apusi_sim_step(end->world, err ? "refused" : "established", end, err);
	end->error = err;
	end->state = err ? SIM_NEW : SIM_CONNECTED;
	apusi_sim_wake_writer(end);
	apusi_sim_wake_reader(end);
}
