/*
 * test_resolve.c - names to addresses, and connecting to a name.
 *
 * libc's getaddrinfo is replaced in this program for the names under ".script": what they
 * are, and how long that takes, is the test's to say.  Other names go to the system's.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <pthread.h>

#include "apus/resolve.h"
#include "sockets.h"

/* ---- the resolver --------------------------------------------------------------------- */

static uint32_t asked, gate_open, last_was_a_helper;

static void wait_for(const uint32_t *flag)
{
	while (!apus_load_acquire(flag))
		usleep(100);
}

/* As glibc makes them, so that its freeaddrinfo takes them. */
static struct addrinfo *entry(const char *text, struct addrinfo *next)
{
	struct apus_address address = address_of(text);
	struct addrinfo *info = calloc(1, sizeof *info + sizeof address);

	info->ai_family = address.any.sa_family;
	info->ai_addr = (struct sockaddr *)(info + 1);
	info->ai_addrlen = address.bytes;
	memcpy(info->ai_addr, &address.storage, address.bytes);
	info->ai_next = next;
	return info;
}

/* Set by the tests: what "list.script" has, first to last. */
static struct apus_address list[APUS_RESOLVE_MAX + 4];
static int list_count;

static struct addrinfo *list_make(uint16_t port)
{
	struct addrinfo *all = NULL;
	int i;

	for (i = list_count; i-- > 0;) {
		char text[APUS_ADDRESS_TEXT_BYTES];

		if (port != 0)
			apus_address_set_port(&list[i], port);
		apus_address_format(&list[i], text, sizeof text);
		all = entry(text, all);
	}
	return all;
}

static int script(const char *name, const char *service, struct addrinfo **out)
{
	uint16_t port = service != NULL ? (uint16_t)atoi(service) : 0;

	if (strcmp(name, "gone.script") == 0)
		return EAI_NONAME;
	if (strcmp(name, "empty.script") == 0)
		return EAI_NODATA;
	if (strcmp(name, "deaf.script") == 0)
		return EAI_AGAIN;
	if (strcmp(name, "broken.script") == 0)
		return EAI_FAIL;
	if (strcmp(name, "slow.script") == 0)
		wait_for(&gate_open);
	*out = list_make(port);
	return 0;
}

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
	struct addrinfo **out)
{
	int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
	const char *end = strstr(name, ".script");

	apus_store_release(&last_was_a_helper, gettid() != getpid());
	__atomic_fetch_add(&asked, 1, __ATOMIC_ACQ_REL);
	if (end != NULL && end[7] == '\0')
		return script(name, service, out);
	*(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
	return real(name, service, hints, out);
}

static void list_set(const char *const *texts, int count)
{
	for (list_count = 0; list_count < count; list_count++)
		list[list_count] = address_of(texts[list_count]);
}

#define LIST(...)                                                          \
	do {                                                               \
		const char *const texts_[] = { __VA_ARGS__ };              \
		list_set(texts_, (int)(sizeof texts_ / sizeof *texts_));   \
	} while (0)

static uint64_t threads_now(void)
{
	struct apus_counters counters;

	apus_counters_read(main_loop, &counters);
	return counters.offload_threads;
}

static int join_run(struct apus_join join, apus_poll *result)
{
	int err;

	while ((err = apus_try_join(main_loop, join, result)) == -EAGAIN)
		apus_turn(main_loop);
	return err;
}

/* ---- resolving in a task ------------------------------------------------------------------ */

static struct apus_resolve resolving;
static struct apus_address found[APUS_RESOLVE_MAX];

struct asker {
	struct apus_frame frame;
	const char *text;
	int family;
	uint32_t count;
	int64_t limit_ns;
	apus_poll answer;
};

APUS_TASK(asker, struct asker)
{
	APUS_BEGIN(cx, self);
	APUS_AWAIT(self->answer, apus_timeout(cx, self->limit_ns, apus_resolve(cx, &resolving,
		self->text, self->family, found, self->count)));
	APUS_END(self->answer);
}

static apus_poll resolve_some(const char *text, int family, uint32_t count)
{
	memset(&resolving, 0, sizeof resolving);
	return apus_run(main_loop, asker, (&(struct asker){ .text = text, .family = family,
		.count = count, .limit_ns = 50 * APUS_SEC }));
}

static apus_poll resolve(const char *text)
{
	return resolve_some(text, 0, APUS_RESOLVE_MAX);
}

static bool found_is(int i, const char *text)
{
	struct apus_address address = address_of(text);

	return apus_address_is_same(&found[i], &address);
}

/* P14: what needs no helper starts none. */
START_TEST(a_numeric_address_is_answered_at_once_and_without_a_thread)
{
	loop_open();
	ck_assert_int_eq((int)resolve("127.0.0.1:80"), 1);
	ck_assert(found_is(0, "127.0.0.1:80"));
	ck_assert_int_eq((int)resolve("[::1]:7"), 1);
	ck_assert(found_is(0, "[::1]:7"));
	ck_assert_int_eq((int)resolve("unix:@here"), 1);
	ck_assert(found_is(0, "unix:@here"));
	ck_assert_int_eq((int)resolve_some("127.0.0.1:80", AF_INET6, 1), -ENODATA);
	ck_assert_int_eq((int)resolve_some("[::1]:80", AF_INET6, 1), 1);
	ck_assert_uint_eq(asked, 0);
	ck_assert_uint_eq(threads_now(), 0);
	LIST("10.0.0.1:0");
	ck_assert_int_eq((int)resolve("list.script:1"), 1);
	ck_assert_uint_eq(threads_now(), 1);
	ck_assert_uint_eq(last_was_a_helper, 1);
	loop_close();
}
END_TEST

START_TEST(what_is_no_name_and_no_address_is_einval)
{
	static const char *const texts[] = { "", ":80", "name:", "a:b:c", "::zz", "[::1", "[::1]80",
		"a/b:80", "a b", "name:80:90", "unix:@" };
	char longer[APUS_RESOLVE_TEXT_BYTES + 1];
	size_t i;

	loop_open();
	for (i = 0; i < sizeof texts / sizeof *texts; i++)
		ck_assert_msg(resolve(texts[i]) == -EINVAL, "%s", texts[i]);
	memset(longer, 'a', sizeof longer - 1);
	longer[sizeof longer - 1] = '\0';
	ck_assert_int_eq((int)resolve(longer), -EINVAL);
	ck_assert_int_eq((int)resolve_some("a", 0, 0), -EINVAL);
	ck_assert_int_eq((int)resolve_some("a", AF_UNIX, 1), -EINVAL);
	ck_assert_uint_eq(asked, 0);
	/* The longest that is taken. */
	longer[APUS_RESOLVE_TEXT_BYTES - 1] = '\0';
	memcpy(longer + APUS_RESOLVE_TEXT_BYTES - 8, ".script", 7);
	LIST("10.0.0.1:0");
	ck_assert_int_eq((int)resolve(longer), 1);
	loop_close();
}
END_TEST

START_TEST(a_name_has_several_addresses_in_order_and_no_more_than_there_is_room_for)
{
	char text[32];
	int i;

	loop_open();
	LIST("[2001:db8::1]:0", "10.0.0.1:0", "10.0.0.2:0");
	ck_assert_int_eq((int)resolve("list.script:80"), 3);
	ck_assert(found_is(0, "[2001:db8::1]:80"));
	ck_assert(found_is(1, "10.0.0.1:80"));
	ck_assert(found_is(2, "10.0.0.2:80"));
	found[2] = address_of("1.1.1.1:1");
	ck_assert_int_eq((int)resolve_some("list.script", 0, 2), 2);
	ck_assert(found_is(2, "1.1.1.1:1"));
	for (list_count = 0; list_count < APUS_RESOLVE_MAX + 4; list_count++) {
		snprintf(text, sizeof text, "10.0.0.%d", list_count + 1);
		list[list_count] = address_of(text);
	}
	ck_assert_int_eq((int)resolve("list.script:80"), APUS_RESOLVE_MAX);
	ck_assert(found_is(APUS_RESOLVE_MAX - 1, "10.0.0.16:80"));
	for (i = 0; i < 500; i++) /* nothing of it stays behind */
		ck_assert_int_eq((int)resolve("list.script:80"), APUS_RESOLVE_MAX);
	loop_close();
}
END_TEST

START_TEST(what_the_resolver_refuses_is_an_errno_and_its_own_word)
{
	loop_open();
	ck_assert_int_eq((int)resolve("gone.script:80"), -ENOENT);
	ck_assert_int_eq(resolving.said, EAI_NONAME);
	ck_assert_int_eq((int)resolve("empty.script:80"), -ENODATA);
	ck_assert_int_eq(resolving.said, EAI_NODATA);
	ck_assert_int_eq((int)resolve("deaf.script:80"), -EAGAIN);
	ck_assert_int_eq(resolving.said, EAI_AGAIN);
	ck_assert_int_eq((int)resolve("broken.script:80"), -EIO);
	ck_assert_int_eq(resolving.said, EAI_FAIL);
	ck_assert_int_eq((int)resolve("localhost:no-such-service"), -EINVAL);
	ck_assert_int_eq(resolving.said, EAI_SERVICE);
	list_count = 0;
	ck_assert_int_eq((int)resolve("list.script:80"), -ENODATA);
	ck_assert_int_eq(resolving.said, 0);
	loop_close();
}
END_TEST

/* Of the real resolver: no network is needed. */
START_TEST(localhost_has_a_loopback_address)
{
	apus_poll count, i;

	loop_open();
	count = resolve("localhost:http");
	ck_assert_int_ge((int)count, 1);
	for (i = 0; i < count; i++)
		ck_assert(found_is((int)i, "127.0.0.1:80") || found_is((int)i, "[::1]:80"));
	ck_assert_int_ge((int)resolve_some("localhost:80", AF_INET, 4), 1);
	ck_assert(found_is(0, "127.0.0.1:80"));
	loop_close();
}
END_TEST

/* The first name of /etc/hosts that is not localhost; false: none. */
static bool hosts_entry(char address[128], char name[128])
{
	FILE *file = fopen("/etc/hosts", "r");
	char line[512];
	bool has = false;

	while (file != NULL && !has && fgets(line, sizeof line, file) != NULL)
		has = sscanf(line, "%127[0-9.] %127[^# \t\n]", address, name) == 2 &&
			strcmp(name, "localhost") != 0;
	if (file != NULL)
		fclose(file);
	return has;
}

START_TEST(a_name_of_etc_hosts_is_found)
{
	char address[128], name[128];
	apus_poll count, i;
	bool is_there = false;

	if (!hosts_entry(address, name))
		TEST_SKIP("/etc/hosts has no name but localhost");
	loop_open();
	count = resolve_some(name, AF_INET, APUS_RESOLVE_MAX);
	for (i = 0; i < count; i++)
		is_there = is_there || found_is((int)i, address);
	ck_assert_msg(is_there, "%s: %d addresses, not %s", name, (int)count, address);
	loop_close();
}
END_TEST

/* RFC 2606: never there.  Without a network nobody can say so. */
START_TEST(a_name_that_does_not_exist_is_refused)
{
	apus_poll answer;

	loop_open();
	answer = resolve("no-such-host.invalid:80");
	ck_assert_msg(answer == -ENOENT || answer == -EAGAIN || answer == -ENODATA, "%d", (int)answer);
	ck_assert_int_ne(resolving.said, 0);
	loop_close();
}
END_TEST

START_TEST(another_tasks_object_is_eperm)
{
	struct asker init = { .text = "slow.script:80", .count = 1, .limit_ns = APUS_NEVER };
	apus_poll result;
	struct apus_join join;

	loop_open();
	LIST("10.0.0.1:0");
	ck_assert_int_eq(apus_spawn_slab(main_loop, asker, &init, &join), 0);
	turns();
	ck_assert_int_eq((int)apus_run(main_loop, asker, &init), -EPERM);
	apus_store_release(&gate_open, 1);
	ck_assert_int_eq(join_run(join, &result), 0);
	ck_assert_int_eq((int)result, 1);
	loop_close();
}
END_TEST

/* ---- losing, cancelling, ending --------------------------------------------------------------- */

struct patient {
	struct apus_frame frame;
	apus_poll first, other, again, last;
};

static struct apus_resolve patients;

APUS_TASK(patient, struct patient)
{
	APUS_BEGIN(cx, self);
	APUS_AWAIT(self->first, apus_timeout(cx, APUS_MSEC,
		apus_resolve(cx, &patients, "slow.script:80", 0, found, 1)));
	APUS_AWAIT(self->other, apus_resolve(cx, &patients, "list.script:80", 0, found, 1));
	apus_store_release(&gate_open, 1);
	APUS_AWAIT(self->again, apus_resolve(cx, &patients, "slow.script:80", 0, found, 1));
	APUS_AWAIT(self->last, apus_resolve(cx, &patients, "list.script:81", 0, found, 1));
	ck_assert_int_eq((int)self->first, -ETIME);
	ck_assert_int_eq((int)self->other, -EBUSY);
	ck_assert_int_eq((int)self->again, 1);
	ck_assert_int_eq((int)self->last, 1);
	APUS_END(found_is(0, "10.0.0.1:81"));
}

/* Promise 5: the operation names its state, and losing drops only the wait. */
START_TEST(a_wait_that_loses_may_be_awaited_again_and_another_text_is_ebusy)
{
	loop_open();
	LIST("10.0.0.1:0");
	ck_assert_int_eq((int)apus_run(main_loop, patient, (&(struct patient){ .first = 0 })), 1);
	ck_assert_uint_eq(asked, 2);
	loop_close();
}
END_TEST

struct leaver {
	struct apus_frame frame;
	apus_poll which, count;
};

APUS_TASK(leaver, struct leaver)
{
	APUS_BEGIN(cx, self);
	APUS_AWAIT(self->which, APUS_SELECT(self->count,
		apus_resolve(cx, &resolving, "slow.script:80", 0, found, 1),
		apus_cancelled(cx, apus_loop_token(cx->loop))));
	apus_resolve_drop(cx, &resolving);
	APUS_END(self->which);
}

static void one_helper(struct apus_config *config)
{
	config->offload_threads = 1;
	config->offload_count = 2;
	config->close_wait_ns = 50 * APUS_SEC;
}

/* The stop's token wins; what runs is waited for at close, and nothing of it is left. */
START_TEST(a_stop_in_the_middle_of_resolving_is_honoured)
{
	struct apus_join join;
	apus_poll result;

	loop_open_with(one_helper);
	LIST("10.0.0.1:0");
	ck_assert_int_eq(apus_spawn_slab(main_loop, leaver, NULL, &join), 0);
	turns();
	wait_for(&asked);
	apus_stop(main_loop);
	turns();
	ck_assert_int_eq(apus_try_join(main_loop, join, &result), 0);
	ck_assert_int_eq((int)result, 1);
	ck_assert(!apus_op_is_busy(&resolving.op));
	apus_store_release(&gate_open, 1);
	loop_close();
}
END_TEST

START_TEST(a_task_that_is_aborted_in_the_middle_of_resolving_leaves_nothing)
{
	struct asker slow = { .text = "slow.script:80", .count = 1, .limit_ns = APUS_NEVER };
	struct apus_join join;
	int i;

	loop_open_with(one_helper);
	LIST("10.0.0.1:0");
	for (i = 0; i < 20; i++) {
		memset(&resolving, 0, sizeof resolving);
		asked = 0;
		gate_open = 0;
		ck_assert_int_eq(apus_spawn_slab(main_loop, asker, &slow, &join), 0);
		turns();
		if (i % 2)
			wait_for(&asked);
		ck_assert_int_eq(apus_abort(main_loop, join), 1);
		turns();
		ck_assert_int_eq(apus_try_join(main_loop, join, NULL), -ECANCELED);
		apus_store_release(&gate_open, 1);
		/* The one helper is free again, and both requests. */
		ck_assert_int_eq((int)resolve("list.script:80"), 1);
	}
	loop_close();
}
END_TEST

static void hasty(struct apus_config *config)
{
	config->close_wait_ns = APUS_MSEC;
}

/* S1: nobody can interrupt the resolver: close says so, and what comes late touches nothing. */
START_TEST(a_close_in_the_middle_of_resolving_gives_it_up_and_says_so)
{
	struct asker slow = { .text = "slow.script:80", .count = 1, .limit_ns = APUS_NEVER };
	struct apus_counters last;

	loop_open_with(hasty);
	ck_assert_int_eq(apus_spawn_slab(main_loop, asker, &slow, NULL), 0);
	turns();
	wait_for(&asked);
	ck_assert_int_eq(apus_close(main_loop, &last), -EBUSY);
	ck_assert_uint_eq(last.offload_leaked, 1);
	LIST("10.0.0.1:0");
	apus_store_release(&gate_open, 1);
	usleep(20000); /* the helper ends in the meantime, and the sanitizers look */
	loop_open();
	ck_assert_int_eq((int)resolve("list.script:80"), 1);
	loop_close();
}
END_TEST

static void tiny(struct apus_config *config)
{
	config->offload_bytes = 64;
}

static void helpless(struct apus_config *config)
{
	config->offload_threads = 0;
}

START_TEST(without_room_or_helpers_names_are_refused_and_addresses_are_not)
{
	loop_open_with(tiny);
	ck_assert_int_eq((int)resolve("list.script:80"), -EMSGSIZE);
	ck_assert_int_eq((int)resolve("10.0.0.1:80"), 1);
	loop_close();
	loop_open_with(helpless);
	ck_assert_int_eq((int)resolve("list.script:80"), -ENOTSUP);
	ck_assert_int_eq((int)resolve("10.0.0.1:80"), 1);
	loop_close();
}
END_TEST

static struct apus_resolve many[3];

struct many_asker {
	struct apus_frame frame;
	int number;
	apus_poll answer;
};

APUS_TASK(many_asker, struct many_asker)
{
	APUS_BEGIN(cx, self);
	APUS_AWAIT(self->answer, apus_resolve(cx, &many[self->number], "slow.script:80", 0, found, 1));
	APUS_END(self->answer);
}

/* Exhaustion: a third request is refused, and taken once one has come back. */
START_TEST(more_names_than_requests_are_eagain)
{
	struct apus_join joins[2];
	apus_poll result;
	int i;

	loop_open_with(one_helper);
	LIST("10.0.0.1:0");
	for (i = 0; i < 2; i++)
		ck_assert_int_eq(apus_spawn_slab(main_loop, many_asker,
			(&(struct many_asker){ .number = i }), &joins[i]), 0);
	turns();
	ck_assert_int_eq((int)apus_run(main_loop, many_asker, (&(struct many_asker){ .number = 2 })),
		-EAGAIN);
	ck_assert(!apus_op_is_busy(&many[2].op));
	ck_assert_int_eq(many[2].said, 0);
	apus_store_release(&gate_open, 1);
	for (i = 0; i < 2; i++) {
		ck_assert_int_eq(join_run(joins[i], &result), 0);
		ck_assert_int_eq((int)result, 1);
	}
	ck_assert_int_eq((int)apus_run(main_loop, many_asker, (&(struct many_asker){ .number = 2 })), 1);
	loop_close();
}
END_TEST

/* ---- connecting ------------------------------------------------------------------------------------ */

static struct apus_connect connecting;
static struct apus_tcp connected;

struct dialer {
	struct apus_frame frame;
	const char *text;
	int64_t attempt_ns, limit_ns;
	apus_poll answer;
};

static void dialer_close(struct apus_cx *cx, struct dialer *self)
{
	(void)self;
	apus_tcp_close(cx->loop, connected);
}

APUS_TASK(dialer, struct dialer, dialer_close)
{
	APUS_BEGIN(cx, self);
	APUS_AWAIT(self->answer, apus_timeout(cx, self->limit_ns, apus_tcp_connect_name(cx,
		&connecting, self->text, self->attempt_ns, &connected)));
	if (self->answer == 0) {
		struct apus_address peer;

		ck_assert_int_eq(apus_tcp_peer(cx->loop, connected, &peer), 0);
		self->answer = apus_address_port(&peer);
	}
	APUS_END(self->answer);
}

static apus_poll dial(const char *text, int64_t attempt_ns)
{
	struct dialer init = { .text = text, .attempt_ns = attempt_ns, .limit_ns = 50 * APUS_SEC };

	memset(&connecting, 0, sizeof connecting);
	return apus_run(main_loop, dialer, &init);
}

static apus_poll dial_port(const char *name, uint16_t port, int64_t attempt_ns)
{
	char text[APUS_RESOLVE_TEXT_BYTES];

	snprintf(text, sizeof text, "%s:%u", name, port);
	return dial(text, attempt_ns);
}

/* A port that nobody listens on. */
static uint16_t dead_port(void)
{
	struct apus_address where;
	struct apus_listener listener = listener_open("127.0.0.1:0", &where);

	apus_listener_close(main_loop, listener);
	return apus_address_port(&where);
}

static uint32_t sockets_now(void)
{
	return apusi_io_socket_count(loop_io());
}

START_TEST(a_name_or_a_numeric_address_is_connected_to)
{
	struct apus_address where;
	struct apus_listener listener;
	uint16_t port;

	loop_open();
	listener = listener_open("127.0.0.1:0", &where);
	port = apus_address_port(&where);
	ck_assert_int_eq((int)dial_port("127.0.0.1", port, APUS_NEVER), port);
	ck_assert_uint_eq(asked, 0);
	ck_assert_int_eq((int)dial_port("localhost", port, APUS_SEC * 20), port);
	ck_assert_uint_eq(asked, 1);
	ck_assert_uint_eq(sockets_now(), 1); /* the listener */
	ck_assert_int_eq((int)dial("127.0.0.1", APUS_SEC), -EINVAL);
	ck_assert_int_eq((int)dial("localhost", APUS_SEC), -EINVAL);
	ck_assert_int_eq((int)dial("a:b:c", APUS_SEC), -EINVAL);
	ck_assert_int_eq((int)dial_port("localhost", port, 0), -EINVAL);
	ck_assert_int_eq((int)dial("gone.script:80", APUS_SEC), -ENOENT);
	ck_assert_int_eq(connecting.resolve.said, EAI_NONAME);
	apus_listener_close(main_loop, listener);
	loop_close();
}
END_TEST

START_TEST(a_unix_address_is_connected_to_as_well)
{
	struct apus_address where;
	struct apus_listener listener;

	loop_open();
	listener = listener_open("unix:@apus-test-resolve", &where);
	ck_assert_int_eq((int)dial("unix:@apus-test-resolve", APUS_SEC), 0);
	ck_assert_uint_eq(sockets_now(), 1);
	apus_listener_close(main_loop, listener);
	ck_assert_int_eq((int)dial("unix:@apus-test-resolve", APUS_SEC), -ECONNREFUSED);
	loop_close();
}
END_TEST

START_TEST(addresses_are_tried_in_turn_until_one_answers)
{
	struct apus_address where;
	struct apus_listener listener;
	uint16_t port;

	loop_open();
	listener = listener_open("127.0.0.3:0", &where);
	port = apus_address_port(&where);
	LIST("[::1]:0", "127.0.0.2:0", "127.0.0.3:0", "127.0.0.4:0");
	ck_assert_int_eq((int)dial_port("list.script", port, 20 * APUS_SEC), port);
	ck_assert_uint_eq(sockets_now(), 1);
	LIST("127.0.0.2:0", "127.0.0.4:0");
	ck_assert_int_eq((int)dial_port("list.script", port, 20 * APUS_SEC), -ECONNREFUSED);
	ck_assert_uint_eq(sockets_now(), 1);
	ck_assert_uint_eq(connected.token, 0);
	apus_listener_close(main_loop, listener);
	loop_close();
}
END_TEST

/* An address whose backlog is full: the kernel drops what comes.  False: this one does not. */
static bool mute_open(const char *at, struct apus_address *where, int fds[8])
{
	struct apus_address address = address_of(at);
	int i, error = 0;

	fds[0] = socket(AF_INET, SOCK_STREAM, 0);
	ck_assert_int_eq(bind(fds[0], &address.any, address.bytes), 0);
	ck_assert_int_eq(listen(fds[0], 0), 0);
	where->bytes = sizeof where->storage;
	ck_assert_int_eq(getsockname(fds[0], &where->any, &where->bytes), 0);
	for (i = 1; i < 8; i++) {
		fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		connect(fds[i], &where->any, where->bytes);
	}
	usleep(10000);
	/* The last of them still waits. */
	error = connect(fds[7], &where->any, where->bytes) == 0 ? 0 : errno;
	return error == EALREADY || error == EINPROGRESS;
}

static void mute_close(int fds[8])
{
	int i;

	for (i = 0; i < 8; i++)
		close(fds[i]);
}

START_TEST(an_attempt_that_takes_too_long_is_given_up_for_the_next)
{
	struct apus_address where;
	int fds[8];
	uint16_t port;

	loop_open();
	if (!mute_open("127.0.0.2:0", &where, fds)) {
		loop_close();
		TEST_SKIP("a full backlog does not keep connections waiting here");
	}
	port = apus_address_port(&where);
	LIST("127.0.0.2:0");
	ck_assert_int_eq((int)dial_port("list.script", port, 5 * APUS_MSEC), -ETIME);
	ck_assert_int_eq((int)dial_port("127.0.0.2", port, 5 * APUS_MSEC), -ETIME);
	LIST("127.0.0.2:0", "127.0.0.3:0");
	ck_assert_int_eq((int)dial_port("list.script", port, 5 * APUS_MSEC), -ECONNREFUSED);
	ck_assert_uint_eq(sockets_now(), 0);
	mute_close(fds);
	loop_close();
}
END_TEST

struct quitter {
	struct apus_frame frame;
	const char *text;
	apus_poll first;
};

APUS_TASK(quitter, struct quitter)
{
	APUS_BEGIN(cx, self);
	do {
		APUS_AWAIT(self->first, apus_timeout(cx, 5 * APUS_MSEC, apus_tcp_connect_name(cx,
			&connecting, self->text, APUS_NEVER, &connected)));
		ck_assert_int_eq((int)self->first, -ETIME);
	} while (connected.token == 0);
	ck_assert_uint_eq(sockets_now(), 1);
	apus_tcp_connect_drop(cx, &connecting, &connected);
	ck_assert_uint_eq(sockets_now(), 0);
	ck_assert_uint_eq(connected.token, 0);
	apus_tcp_connect_drop(cx, &connecting, &connected); /* idle: harmless */
	APUS_END(apus_op_is_busy(&connecting.resolve.op));
}

START_TEST(what_was_given_up_leaves_no_socket_and_neither_does_what_was_aborted)
{
	struct apus_address where;
	struct apus_join join;
	char text[64];
	int fds[8];

	loop_open();
	if (!mute_open("127.0.0.2:0", &where, fds)) {
		loop_close();
		TEST_SKIP("a full backlog does not keep connections waiting here");
	}
	LIST("127.0.0.2:0", "127.0.0.3:0");
	snprintf(text, sizeof text, "list.script:%u", apus_address_port(&where));
	ck_assert_int_eq((int)apus_run(main_loop, quitter, (&(struct quitter){ .text = text })), 0);
	memset(&connecting, 0, sizeof connecting);
	ck_assert_int_eq(apus_spawn_slab(main_loop, dialer, (&(struct dialer){ .text = text,
		.attempt_ns = APUS_NEVER, .limit_ns = APUS_NEVER }), &join), 0);
	while (connected.token == 0)
		apus_turn(main_loop);
	turns();
	ck_assert_int_eq(apus_abort(main_loop, join), 1);
	turns();
	ck_assert_int_eq(apus_try_join(main_loop, join, NULL), -ECANCELED);
	ck_assert_uint_eq(sockets_now(), 0);
	mute_close(fds);
	loop_close();
}
END_TEST

/* Whoever closes the socket means it: no further address is tried. */
START_TEST(a_socket_that_is_closed_meanwhile_ends_the_connecting)
{
	struct apus_address where;
	struct apus_join join;
	apus_poll result;
	char text[64];
	int fds[8];

	loop_open();
	if (!mute_open("127.0.0.2:0", &where, fds)) {
		loop_close();
		TEST_SKIP("a full backlog does not keep connections waiting here");
	}
	LIST("127.0.0.2:0", "127.0.0.2:0");
	snprintf(text, sizeof text, "list.script:%u", apus_address_port(&where));
	memset(&connecting, 0, sizeof connecting);
	ck_assert_int_eq(apus_spawn_slab(main_loop, dialer, (&(struct dialer){ .text = text,
		.attempt_ns = APUS_NEVER, .limit_ns = APUS_NEVER }), &join), 0);
	while (connected.token == 0)
		apus_turn(main_loop);
	turns();
	ck_assert_int_eq(apus_tcp_close(main_loop, connected), 0);
	ck_assert_int_eq(join_run(join, &result), 0);
	ck_assert_msg(result == -EPIPE || result == -ESTALE, "%d", (int)result);
	ck_assert_uint_eq(sockets_now(), 0);
	mute_close(fds);
	loop_close();
}
END_TEST

static void one_socket(struct apus_config *config)
{
	config->socket_count = 1;
}

START_TEST(without_a_socket_left_connecting_is_enospc)
{
	struct apus_address where;
	struct apus_listener listener;

	loop_open_with(one_socket);
	listener = listener_open("127.0.0.1:0", &where);
	ck_assert_int_eq((int)dial_port("localhost", apus_address_port(&where), APUS_SEC), -ENOSPC);
	apus_listener_close(main_loop, listener);
	ck_assert_int_eq((int)dial_port("localhost", dead_port(), APUS_SEC), -ECONNREFUSED);
	loop_close();
}
END_TEST

TEST_MAIN("resolve", a_numeric_address_is_answered_at_once_and_without_a_thread,
	what_is_no_name_and_no_address_is_einval,
	a_name_has_several_addresses_in_order_and_no_more_than_there_is_room_for,
	what_the_resolver_refuses_is_an_errno_and_its_own_word, localhost_has_a_loopback_address,
	a_name_of_etc_hosts_is_found, a_name_that_does_not_exist_is_refused,
	another_tasks_object_is_eperm,
	a_wait_that_loses_may_be_awaited_again_and_another_text_is_ebusy,
	a_stop_in_the_middle_of_resolving_is_honoured,
	a_task_that_is_aborted_in_the_middle_of_resolving_leaves_nothing,
	a_close_in_the_middle_of_resolving_gives_it_up_and_says_so,
	without_room_or_helpers_names_are_refused_and_addresses_are_not,
	more_names_than_requests_are_eagain, a_name_or_a_numeric_address_is_connected_to,
	a_unix_address_is_connected_to_as_well, addresses_are_tried_in_turn_until_one_answers,
	an_attempt_that_takes_too_long_is_given_up_for_the_next,
	what_was_given_up_leaves_no_socket_and_neither_does_what_was_aborted,
	a_socket_that_is_closed_meanwhile_ends_the_connecting,
	without_a_socket_left_connecting_is_enospc)
