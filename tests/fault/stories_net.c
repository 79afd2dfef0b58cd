/* Sockets: a connection, datagrams, Unix sockets, what is adopted, and names. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <unistd.h>

#include "story.h"

/* ---- a connection over TCP -------------------------------------------------------------- */

struct stream {
	struct apus_frame frame;
	struct apus_address at;
	struct apus_listener listener;
	struct apus_tcp a, b;
	struct apus_write write;
	struct apus_segment segment;
	struct iovec parts[2];
	int64_t got;
	char sent[64], received[64];
};

static void stream_end(struct apus_cx *cx, struct stream *self)
{
	if (self->segment.data != NULL)
		apus_segment_release(cx->loop, &self->segment);
	apus_tcp_close(cx->loop, self->a);
	apus_tcp_close(cx->loop, self->b);
	apus_listener_close(cx->loop, self->listener);
}

static int64_t stream_listen(struct apus_loop *loop, struct stream *self)
{
	const struct apus_listen_config config = { .receive_buffer_bytes = 65536,
		.send_buffer_bytes = 65536, .reuse_port = true };
	struct apus_address any;

	DO(apus_address_parse(&any, "127.0.0.1:0"));
	DO(apus_tcp_listen(loop, &any, &config, &self->listener));
	DO(apus_listener_local(loop, self->listener, &self->at));
	DO(apus_tcp_open(loop, AF_INET, &self->a));
	DO(apus_address_parse(&any, "127.0.0.1:0"));
	DO(apus_tcp_bind(loop, self->a, &any));
	return 0;
}

static int64_t stream_tune(struct apus_loop *loop, struct stream *self)
{
	int value;

	DO(apus_tcp_set_nodelay(loop, self->a, true));
	DO(apus_socket_get(loop, self->a.token, IPPROTO_TCP, TCP_NODELAY, &value));
	DO(apus_tcp_set_keepalive(loop, self->a, 10, 10, 3));
	DO(apus_tcp_peer(loop, self->b, &self->at));
	return 0;
}

APUS_TASK(stream, struct stream, stream_end)
{
	APUS_BEGIN(cx, self);
	if (stream_listen(cx->loop, self) < 0)
		return 0;
	STEP(self->got, apus_tcp_connect(cx, self->a, &self->at));
	STEP(self->got, apus_tcp_accept(cx, self->listener, &self->b, &self->at));
	if (stream_tune(cx->loop, self) < 0)
		return 0;
	STEP(self->got, apus_tcp_write(cx, self->a, self->sent, 8));
	STEP(self->got, apus_tcp_read(cx, self->b, self->received, 64));
	self->parts[0] = (struct iovec){ self->sent, 4 };
	self->parts[1] = (struct iovec){ self->sent + 4, 4 };
	STEP(self->got, apus_tcp_writev(cx, self->a, self->parts, 2));
	STEP(self->got, apus_tcp_readv(cx, self->b, self->parts, 2));
	STEP(self->got, apus_tcp_write_all(cx, self->b, &self->write, self->sent, 64));
	STEP(self->got, apus_tcp_read_segment(cx, self->a, &self->segment));
	DO(apus_tcp_shutdown(cx->loop, self->a, SHUT_WR));
	STEP(self->got, apus_tcp_read(cx, self->b, self->received, 64));
	APUS_END(0);
}
STORY_BEGIN(stream)

/* ---- datagrams ----------------------------------------------------------------------------- */

struct datagrams {
	struct apus_frame frame;
	struct apus_address at;
	struct apus_udp a, b;
	struct apus_packet packet;
	struct apus_batch batch;
	int64_t got;
	char sent[64], received[64];
};

static void datagrams_end(struct apus_cx *cx, struct datagrams *self)
{
	apus_udp_close(cx->loop, self->a);
	apus_udp_close(cx->loop, self->b);
	apus_batch_deinit(&self->batch);
}

static int64_t datagrams_open(struct apus_loop *loop, struct datagrams *self)
{
	const struct apus_udp_config config = { .receive_buffer_bytes = 65536, .reuse_address = true,
		.reuse_port = true, .timestamps = true, .drops = true };
	struct apus_address any;

	DO(apus_address_parse(&any, "127.0.0.1:0"));
	DO(apus_udp_open(loop, &any, &config, &self->a));
	DO(apus_udp_open(loop, &any, NULL, &self->b));
	DO(apus_udp_local(loop, self->b, &self->at));
	DO(apus_udp_drops(loop, self->a));
	DO(apus_batch_init(&self->batch, 2, 64));
	return 0;
}

APUS_TASK(datagrams, struct datagrams, datagrams_end)
{
	APUS_BEGIN(cx, self);
	if (datagrams_open(cx->loop, self) < 0)
		return 0;
	STEP(self->got, apus_udp_send(cx, self->a, self->sent, 8, &self->at));
	STEP(self->got, apus_udp_recv(cx, self->b, self->received, 64, &self->packet));
	STEP(self->got, apus_udp_send(cx, self->b, self->sent, 8, &self->packet.address));
	STEP(self->got, apus_udp_recv(cx, self->a, self->received, 64, NULL));
	DO(apus_udp_connect(cx->loop, self->a, &self->at));
	STEP(self->got, apus_udp_send(cx, self->a, self->sent, 8, NULL));
	STEP(self->got, apus_udp_recv_batch(cx, self->b, &self->batch));
	STEP(self->got, apus_udp_send_batch(cx, self->b, &self->batch, 0, 1));
	STEP(self->got, apus_udp_recv(cx, self->a, self->received, 64, &self->packet));
	APUS_END(0);
}
STORY_BEGIN(datagrams)

/* ---- Unix sockets --------------------------------------------------------------------------- */

static int64_t local_listen(struct apus_loop *loop, struct stream *self)
{
	const struct apus_listen_config config = { .unlink = true };

	DO(apus_address_parse(&self->at, "unix:socket"));
	DO(apus_tcp_listen(loop, &self->at, &config, &self->listener));
	DO(apus_tcp_open(loop, AF_UNIX, &self->a));
	return 0;
}

/* A path that is left over is removed first. */
static void path_make(void)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX, .sun_path = "socket" };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	unlink("socket");
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&name, sizeof name), 0);
	close(fd);
}

static void path_remove(void)
{
	unlink("socket");
}

APUS_TASK(local, struct stream, stream_end)
{
	struct apus_unix_peer peer;

	APUS_BEGIN(cx, self);
	if (local_listen(cx->loop, self) < 0)
		return 0;
	STEP(self->got, apus_tcp_connect(cx, self->a, &self->at));
	STEP(self->got, apus_tcp_accept(cx, self->listener, &self->b, NULL));
	DO(apus_unix_peer(cx->loop, self->b, &peer));
	STEP(self->got, apus_tcp_write(cx, self->a, self->sent, 8));
	STEP(self->got, apus_tcp_read(cx, self->b, self->received, 64));
	APUS_END(0);
}
STORY_BEGIN(local)

APUS_TASK(local_datagrams, struct datagrams, datagrams_end)
{
	APUS_BEGIN(cx, self);
	DO(apus_unix_pair_datagram(cx->loop, &self->a, &self->b));
	STEP(self->got, apus_udp_send(cx, self->a, self->sent, 8, NULL));
	STEP(self->got, apus_udp_recv(cx, self->b, self->received, 64, &self->packet));
	APUS_END(0);
}
STORY_BEGIN(local_datagrams)

/* ---- who waits first ---------------------------------------------------------------------------- */

/* Awaited before there is anything, so that the backend is asked for it; then it comes. */
#define EARLY(got, ...)                                                         \
	do {                                                                    \
		APUS_AWAIT(got, apus_timeout(cx, APUS_USEC, (__VA_ARGS__)));    \
		if (got != -ETIME && tell(got) < 0)                             \
			return got;                                             \
	} while (0)

APUS_TASK(early, struct stream, stream_end)
{
	APUS_BEGIN(cx, self);
	if (stream_listen(cx->loop, self) < 0)
		return 0;
	EARLY(self->got, apus_tcp_accept(cx, self->listener, &self->b, NULL));
	STEP(self->got, apus_tcp_connect(cx, self->a, &self->at));
	/* One that seems to be gone is dropped, and no other comes. */
	STEP(self->got, apus_timeout(cx, 200 * APUS_MSEC,
		apus_tcp_accept(cx, self->listener, &self->b, &self->at)));
	EARLY(self->got, apus_tcp_read(cx, self->b, self->received, 64));
	STEP(self->got, apus_tcp_write(cx, self->a, self->sent, 8));
	STEP(self->got, apus_tcp_read(cx, self->b, self->received, 64));
	EARLY(self->got, apus_tcp_read_segment(cx, self->a, &self->segment));
	STEP(self->got, apus_tcp_write(cx, self->b, self->sent, 8));
	STEP(self->got, apus_tcp_read_segment(cx, self->a, &self->segment));
	APUS_END(0);
}
STORY_BEGIN(early)

APUS_TASK(early_datagrams, struct datagrams, datagrams_end)
{
	APUS_BEGIN(cx, self);
	if (datagrams_open(cx->loop, self) < 0)
		return 0;
	EARLY(self->got, apus_udp_recv(cx, self->b, self->received, 64, &self->packet));
	STEP(self->got, apus_udp_send(cx, self->a, self->sent, 8, &self->at));
	STEP(self->got, apus_udp_recv(cx, self->b, self->received, 64, &self->packet));
	APUS_END(0);
}
STORY_BEGIN(early_datagrams)

/* ---- without a copy -------------------------------------------------------------------------------- */

static void zero_copy(struct apus_config *config)
{
	config->uring.zero_copy_bytes = 1;
}

struct sending {
	struct stream stream;
	struct apus_op op;
};

static void sending_end(struct apus_cx *cx, struct sending *self)
{
	stream_end(cx, &self->stream);
}

APUS_TASK(sending, struct sending, sending_end)
{
	APUS_BEGIN(cx, &self->stream);
	if (stream_listen(cx->loop, &self->stream) < 0)
		return 0;
	STEP(self->stream.got, apus_tcp_connect(cx, self->stream.a, &self->stream.at));
	STEP(self->stream.got, apus_tcp_accept(cx, self->stream.listener, &self->stream.b, NULL));
	STEP(self->stream.got, apus_tcp_write_zero_copy(cx, self->stream.a, &self->op,
		self->stream.sent, 64));
	STEP(self->stream.got, apus_tcp_read(cx, self->stream.b, self->stream.received, 64));
	APUS_END(0);
}
STORY_BEGIN(sending)

/* ---- adopted ----------------------------------------------------------------------------------------- */

static int ends[2];

static void pipe_make(void)
{
	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
}

static void pair_make(void)
{
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
}

static void ends_close(void)
{
	close(ends[0]);
	close(ends[1]);
}

struct adopter {
	struct apus_frame frame;
	struct apus_fd a, b;
	struct apus_tcp socket;
	struct apus_source source;
	int64_t got;
	char data[8];
	bool is_added;
};

static void adopter_end(struct apus_cx *cx, struct adopter *self)
{
	if (self->is_added)
		apus_source_remove(cx->loop, &self->source);
	apus_fd_close(cx->loop, self->a);
	apus_fd_close(cx->loop, self->b);
	apus_tcp_close(cx->loop, self->socket);
}

APUS_TASK(pipes, struct adopter, adopter_end)
{
	APUS_BEGIN(cx, self);
	DO(apus_fd_adopt(cx->loop, ends[0], APUS_BORROWED, &self->a));
	DO(apus_fd_adopt(cx->loop, ends[1], APUS_BORROWED, &self->b));
	EARLY(self->got, apus_fd_readable(cx, self->a));
	STEP(self->got, apus_fd_writable(cx, self->b));
	STEP(self->got, apus_fd_write(cx, self->b, self->data, 8));
	STEP(self->got, apus_fd_readable(cx, self->a));
	STEP(self->got, apus_fd_read(cx, self->a, self->data, 8));
	DO(apus_fd_set_hot(cx->loop, self->a, true));
	EARLY(self->got, apus_fd_read(cx, self->a, self->data, 8));
	DO(apus_fd_set_hot(cx->loop, self->a, false));
	APUS_END(0);
}
STORY_BEGIN(pipes)

APUS_TASK(sockets, struct adopter, adopter_end)
{
	APUS_BEGIN(cx, self);
	DO(apus_tcp_adopt(cx->loop, ends[0], APUS_BORROWED, &self->socket));
	STEP(self->got, apus_tcp_write(cx, self->socket, self->data, 8));
	APUS_END(0);
}
STORY_BEGIN(sockets)

static uint32_t source_poll(struct apus_cx *cx, struct apus_source *source)
{
	(void)cx, (void)source;
	return 0;
}

APUS_TASK(lender, struct adopter, adopter_end)
{
	APUS_BEGIN(cx, self);
	self->source.poll = source_poll;
	DO(apus_source_add(cx->loop, &self->source));
	self->is_added = true;
	DO(apus_source_lend(cx->loop, &self->source, ends[0]));
	STEP(self->got, apus_sleep(cx, APUS_USEC));
	APUS_END(0);
}
STORY_BEGIN(lender)

/* ---- interfaces and names ---------------------------------------------------------------------------- */

static int64_t groups_join(struct apus_loop *loop, struct datagrams *self)
{
	const struct apus_udp_config config = { .sent_stamps = true };
	struct apus_address any, group;

	DO(apus_address_parse(&any, "0.0.0.0:0"));
	DO(apus_udp_open(loop, &any, &config, &self->a));
	DO(apus_address_parse(&group, "239.1.2.3:0"));
	DO(apus_udp_join(loop, self->a, &group, NULL, "lo"));
	DO(apus_udp_set_multicast(loop, self->a, "127.0.0.1", 1, true));
	DO(apus_udp_leave(loop, self->a, &group, NULL, "lo"));
	return 0;
}

static int64_t zones(void)
{
	char text[APUS_ADDRESS_TEXT_BYTES];
	struct apus_address address;

	DO(apus_address_parse(&address, "[fe80::1%lo]:80"));
	DO(apus_address_format(&address, text, sizeof text));
	return 0;
}

APUS_TASK(groups, struct datagrams, datagrams_end)
{
	struct apus_sent sent;

	if (groups_join(cx->loop, self) < 0 || zones() < 0)
		return 0;
	self->got = apus_udp_try_sent(cx->loop, self->a, &sent);
	if (self->got != -EAGAIN)
		tell(self->got);
	return 0;
}
STORY_BEGIN(groups)

struct asker {
	struct apus_frame frame;
	struct apus_resolve resolve;
	struct apus_address found[2];
	int64_t got;
};

APUS_TASK(asker, struct asker)
{
	APUS_BEGIN(cx, self);
	STEP(self->got, apus_resolve(cx, &self->resolve, "localhost:80", AF_INET, self->found, 2));
	APUS_END(0);
}
STORY_BEGIN(asker)

/* ---- devices that are polled ---------------------------------------------------------------------------- */

static void device_before(void)
{
	fault_pretend(FAULT_ioctl, 0);
}

static void napi(struct apus_config *config)
{
	config->uring.napi_usec = 1;
}

struct polling {
	struct apus_frame frame;
	char reason[128];
	int64_t got;
};

APUS_TASK(polling, struct polling)
{
	self->got = apus_io_set_busy_poll(cx->loop, 1, 0, false, self->reason, sizeof self->reason);
	if (self->got != -ENOTSUP)
		tell(self->got);
	return 0;
}
STORY_BEGIN(polling)

const struct story stories_net[] = {
	{ .name = "stream", .begin = begin_stream, .needs_sockets = true },
	{ .name = "datagrams", .begin = begin_datagrams, .needs_sockets = true },
	{ .name = "Unix stream", .before = path_make, .begin = begin_local, .after = path_remove,
		.needs_sockets = true },
	{ .name = "Unix datagrams", .begin = begin_local_datagrams, .needs_sockets = true },
	{ .name = "early reader", .begin = begin_early, .needs_sockets = true },
	{ .name = "early reader of datagrams", .begin = begin_early_datagrams,
		.needs_sockets = true },
	{ .name = "zero copy", .configure = zero_copy, .begin = begin_sending,
		.needs_sockets = true },
	{ .name = "pipe", .before = pipe_make, .begin = begin_pipes, .after = ends_close,
		.needs_sockets = true },
	{ .name = "adopt a socket", .before = pair_make, .begin = begin_sockets,
		.after = ends_close, .needs_sockets = true },
	{ .name = "lent descriptor", .before = pair_make, .begin = begin_lender,
		.after = ends_close, .needs_sockets = true },
	{ .name = "multicast", .begin = begin_groups, .needs_sockets = true },
	{ .name = "resolve", .begin = begin_asker, .needs_helpers = true },
	{ .name = "devices", .before = device_before, .configure = napi, .begin = begin_polling,
		.needs_sockets = true },
	{ .name = NULL },
};
