#define _GNU_SOURCE
#include <netdb.h>
#include <string.h>

#include "apus/resolve.h"
#include "io/backend.h"
#include "offload/pool.h"

/* An address without the room that sockaddr_storage has for others. */
struct place {
	unsigned char host[16];
	uint32_t scope;
	uint16_t port;
	uint16_t family;
};

/* A request's data: the function reads the upper half, and writes the lower. */
struct query {
	int family;
	char text[APUS_RESOLVE_TEXT_BYTES]; /* as it was given */
	char name[APUS_RESOLVE_TEXT_BYTES]; /* its name, and behind it the service, or nothing */
	const char *service;                /* NULL: none */

	int said;
	uint32_t count;
	struct place places[APUS_RESOLVE_MAX];
};

/* ---- on a helper ------------------------------------------------------------------ */

static int errno_of(int said)
{
	switch (said) {
	case EAI_NONAME:
		return -ENOENT;
	case EAI_NODATA:
	case EAI_ADDRFAMILY:
		return -ENODATA;
	case EAI_AGAIN:
		return -EAGAIN;
	case EAI_MEMORY:
		return -ENOMEM;
	case EAI_SYSTEM:
		return errno > 0 ? -errno : -EIO;
	case EAI_SERVICE:
	case EAI_FAMILY:
		return -EINVAL;
	default:
		return -EIO;
	}
}

static bool place_set(struct place *place, const struct addrinfo *info)
{
	const struct sockaddr_in *ip4 = (const struct sockaddr_in *)(void *)info->ai_addr;
	const struct sockaddr_in6 *ip6 = (const struct sockaddr_in6 *)(void *)info->ai_addr;

	place->family = (uint16_t)info->ai_family;
	if (info->ai_family == AF_INET) {
		place->port = ip4->sin_port;
		memcpy(place->host, &ip4->sin_addr, sizeof ip4->sin_addr);
		return true;
	}
	if (info->ai_family != AF_INET6)
		return false;
	place->port = ip6->sin6_port;
	place->scope = ip6->sin6_scope_id;
	memcpy(place->host, &ip6->sin6_addr, sizeof ip6->sin6_addr);
	return true;
}

static apus_poll query_run(void *self)
{
	struct query *query = self;
	const struct addrinfo hints = { .ai_family = query->family, .ai_socktype = SOCK_STREAM };
	struct addrinfo *all = NULL, *each;

	query->said = getaddrinfo(query->name, query->service, &hints, &all);
	if (query->said != 0)
		return errno_of(query->said);
	for (each = all; each != NULL && query->count < APUS_RESOLVE_MAX; each = each->ai_next)
		query->count += place_set(&query->places[query->count], each);
	if (all != NULL)
		freeaddrinfo(all);
	return query->count != 0 ? (apus_poll)query->count : -ENODATA;
}

static const struct apus_offload_kind query_kind = {
	.run = query_run, .name = "resolve", .bytes = sizeof(struct query),
};

/* ---- texts -------------------------------------------------------------------------- */

/* 1: *address is what the text says.  0: it has a name.  -EINVAL, -ENODEV. */
static int text_parse(const char *text, struct apus_address *address)
{
	int err = apus_address_parse(address, text);

	if (err != -EINVAL)
		return err ? err : 1;
	if (strncmp(text, "unix:", 5) == 0 || strpbrk(text, "[]/%\\ \t\r\n") != NULL)
		return -EINVAL;
	/* Nothing on one side of the colon; or a second one: an IPv6 address that is none. */
	if (*text == '\0' || *text == ':' || text[strlen(text) - 1] == ':')
		return -EINVAL;
	return strchr(text, ':') == strrchr(text, ':') ? 0 : -EINVAL;
}

static void query_fill(struct query *query, const char *text, int family)
{
	char *colon;

	memset(query, 0, sizeof *query);
	query->family = family;
	memcpy(query->text, text, strlen(text) + 1);
	memcpy(query->name, text, strlen(text) + 1);
	colon = strchr(query->name, ':');
	if (colon == NULL)
		return;
	*colon = '\0';
	query->service = colon + 1;
}

/* ---- looking ---------------------------------------------------------------------------- */

/* The same for all: what is asked for is told apart by its text. */
static const struct apusi_call query_call = { .verb = &query_kind };

static int query_start(struct apus_cx *cx, struct apus_resolve *resolve, const char *text,
	int family)
{
	struct apusi_offload_request *request;
	int err = strlen(text) < APUS_RESOLVE_TEXT_BYTES ? 0 : -EINVAL;

	if (!err)
		err = apusi_offload_claim(cx, &resolve->op, &query_kind, &query_call, &request);
	if (err)
		return err;
	query_fill((struct query *)(void *)request->data, text, family);
	return apusi_offload_submit(cx, &resolve->op);
}

static struct query *query_of(const struct apus_resolve *resolve)
{
	return apusi_offload_data(resolve->op.request);
}

static bool query_is(const struct query *query, const char *text, int family)
{
	return query->family == family && strcmp(query->text, text) == 0;
}

/*
 * Starts it if it is idle.  The answer stays, with *query, until it is released; without a
 * *query there is nothing to release.
 */
static apus_poll query_await(struct apus_cx *cx, struct apus_resolve *resolve, const char *text,
	int family, struct query **query)
{
	bool answered;
	apus_poll answer = apusi_op_look(cx, &resolve->op, &query_call, &answered);
	int err;

	*query = NULL;
	if (answer == APUSI_OP_IDLE) {
		err = query_start(cx, resolve, text, family);
		if (err)
			return err;
		answer = apusi_op_look(cx, &resolve->op, &query_call, &answered);
	}
	if (!answered && answer != APUS_PENDING)
		return answer;
	if (!query_is(query_of(resolve), text, family))
		return -EBUSY;
	if (answered) {
		*query = query_of(resolve);
		resolve->said = (*query)->said;
	}
	return answer;
}

static void address_get(struct apus_address *address, const struct place *place)
{
	memset(address, 0, sizeof *address);
	address->any.sa_family = place->family;
	if (place->family == AF_INET) {
		address->ip4.sin_port = place->port;
		memcpy(&address->ip4.sin_addr, place->host, sizeof address->ip4.sin_addr);
		address->bytes = sizeof address->ip4;
		return;
	}
	address->ip6.sin6_port = place->port;
	address->ip6.sin6_scope_id = place->scope;
	memcpy(&address->ip6.sin6_addr, place->host, sizeof address->ip6.sin6_addr);
	address->bytes = sizeof address->ip6;
}

static apus_poll resolve_named(struct apus_cx *cx, struct apus_resolve *resolve,
	const char *text, int family, struct apus_address *addresses, uint32_t count)
{
	struct query *query;
	apus_poll answer = query_await(cx, resolve, text, family, &query);
	uint32_t i;

	if (query == NULL)
		return answer;
	if (answer > (apus_poll)count)
		answer = count;
	for (i = 0; (apus_poll)i < answer; i++)
		address_get(&addresses[i], &query->places[i]);
	apusi_op_release(cx, &resolve->op);
	return answer;
}

apus_poll apus_resolve(struct apus_cx *cx, struct apus_resolve *resolve, const char *text,
	int family, struct apus_address *addresses, uint32_t count)
{
	struct apus_address address;
	int numeric;

	if (apus_op_is_busy(&resolve->op))
		return resolve_named(cx, resolve, text, family, addresses, count);
	resolve->said = 0;
	if (count == 0 || (family != 0 && family != AF_INET && family != AF_INET6))
		return -EINVAL;
	numeric = text_parse(text, &address);
	if (numeric == 0)
		return resolve_named(cx, resolve, text, family, addresses, count);
	if (numeric < 0)
		return numeric;
	if (family != 0 && address.any.sa_family != family)
		return -ENODATA;
	addresses[0] = address;
	return 1;
}

void apus_resolve_drop(struct apus_cx *cx, struct apus_resolve *resolve)
{
	if (apusi_op_request(cx, &resolve->op) != NULL)
		apusi_op_abandon(cx, &resolve->op);
	else
		memset(&resolve->op, 0, sizeof resolve->op);
}

/* ---- connecting ----------------------------------------------------------------------------- */

/*
 * How many addresses there are to try: *numeric if *query is NULL, else those of the query,
 * which stays until we are done.  APUS_PENDING, or why there are none.
 */
static apus_poll addresses_await(struct apus_cx *cx, struct apus_connect *connect,
	const char *text, struct apus_address *numeric, struct query **query)
{
	apus_poll answer = text_parse(text, numeric);

	*query = NULL;
	if (answer < 0)
		return answer;
	if (answer == 1)
		return numeric->any.sa_family != AF_UNIX && apus_address_port(numeric) == 0 ? -EINVAL : 1;
	if (strchr(text, ':') == NULL)
		return -EINVAL; /* no port */
	return query_await(cx, &connect->resolve, text, 0, query);
}

static apus_poll attempt(struct apus_cx *cx, struct apus_connect *connect,
	const struct apus_address *address, int64_t attempt_ns, struct apus_tcp *out)
{
	apus_poll answer;

	if (!connect->is_connecting) {
		answer = apus_tcp_open(cx->loop, address->any.sa_family, out);
		if (answer)
			return answer;
		connect->is_connecting = true;
		connect->until_ns = apus_ns_add(cx->now_ns, attempt_ns);
	}
	answer = apus_tcp_connect(cx, *out, address);
	if (answer != APUS_PENDING)
		return answer;
	if (cx->now_ns >= connect->until_ns)
		return -ETIME;
	apus_task_wake_at(cx, connect->until_ns);
	return APUS_PENDING;
}

static void attempt_end(struct apus_cx *cx, struct apus_connect *connect, struct apus_tcp *out)
{
	if (connect->is_connecting)
		apus_tcp_close(cx->loop, *out);
	out->token = 0;
	connect->is_connecting = false;
	connect->next++;
}

/* 0, APUS_PENDING, or what the last one answered. */
static apus_poll attempts(struct apus_cx *cx, struct apus_connect *connect,
	const struct query *query, const struct apus_address *numeric, int64_t attempt_ns,
	struct apus_tcp *out)
{
	uint32_t count = query != NULL ? query->count : 1;
	struct apus_address address = *numeric;
	apus_poll answer;

	do {
		if (query != NULL)
			address_get(&address, &query->places[connect->next]);
		answer = attempt(cx, connect, &address, attempt_ns, out);
		if (answer == 0 || answer == APUS_PENDING)
			return answer;
		attempt_end(cx, connect, out);
		/* Closed by somebody else: that is meant. */
	} while (connect->next < count && answer != -ESTALE && answer != -EPIPE);
	return answer;
}

static void connect_reset(struct apus_cx *cx, struct apus_connect *connect)
{
	apus_resolve_drop(cx, &connect->resolve);
	connect->until_ns = 0;
	connect->next = 0;
	connect->is_connecting = false;
}

apus_poll apus_tcp_connect_name(struct apus_cx *cx, struct apus_connect *connect,
	const char *text, int64_t attempt_ns, struct apus_tcp *out)
{
	struct apus_address numeric;
	struct query *query;
	apus_poll answer;

	if (attempt_ns <= 0)
		return -EINVAL;
	if (!connect->is_connecting)
		out->token = 0;
	answer = addresses_await(cx, connect, text, &numeric, &query);
	if (answer > 0)
		answer = attempts(cx, connect, query, &numeric, attempt_ns, out);
	else if (query == NULL && answer != -ESTALE)
		return answer; /* nothing has ended: it waits, or was refused */
	if (answer != APUS_PENDING)
		connect_reset(cx, connect);
	return answer;
}

void apus_tcp_connect_drop(struct apus_cx *cx, struct apus_connect *connect, struct apus_tcp *out)
{
	if (connect->is_connecting)
		attempt_end(cx, connect, out);
	connect_reset(cx, connect);
}
