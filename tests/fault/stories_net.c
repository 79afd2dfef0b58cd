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

const struct story stories_net[] = {
	{ .name = "stream", .begin = begin_stream, .needs_sockets = true },
	{ .name = "datagrams", .begin = begin_datagrams, .needs_sockets = true },
	{ .name = NULL },
};
