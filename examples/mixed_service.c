/*
 * mixed_service.c - a service on libuv whose hot path runs on a pinned apus loop.
 *
 * libuv has the sockets, and whatever else the service was made of before: it reads requests,
 * hands them over through a channel, and writes the answers.  What must not wait for any of
 * that, here the price of an order, is a task on a loop of apus, on a core of its own.  An
 * answer comes back through a second channel, and uv_async_send tells libuv to look there.
 *
 * So that it checks itself, the program is also its own client.
 */
#define _GNU_SOURCE
#include <apus.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

enum { REQUESTS = 300, TICK = 25 };

struct order {
	uint64_t number, quantity;
};

struct priced {
	uint64_t number, price;
};

APUS_SPSC(orders, struct order, 256)
APUS_SPSC(prices, struct priced, 256)

struct service {
	struct orders orders; /* libuv's thread sends, apus receives */
	struct prices prices; /* the other way */
	uv_async_t priced;
	struct apus_config config;
	apus_poll ended; /* what the hot path ended with */

	/* libuv's */
	uv_loop_t uv;
	uv_tcp_t listener, session, client;
	uv_connect_t connect;
	size_t order_bytes, answer_bytes; /* of a message that has not come whole */
	struct order order;
	struct priced answer;
	uint64_t asked, answered, wrong;
};

/* ---- the hot path: a task on a loop of apus ------------------------------------- */

struct pricer {
	struct apus_frame frame;
	struct service *service;
	struct order order;
	apus_poll err;
};

APUS_TASK(pricer, struct pricer)
{
	APUS_BEGIN(cx, self);
	for (;;) {
		APUS_AWAIT(self->err, apus_spsc_recv(cx, &self->service->orders, &self->order));
		if (self->err)
			return self->err == -EPIPE ? 0 : self->err; /* the service ends */
		APUS_TRY(self->err, apus_spsc_send(cx, &self->service->prices,
			(struct priced){ self->order.number, self->order.quantity * TICK }));
		uv_async_send(&self->service->priced);
	}
	APUS_END(0);
}

/*
 * Busy on a core of its own, the last that we may run on, and libuv's thread on the others;
 * parked where there is none to have.
 */
static void hot_config(struct service *service)
{
	cpu_set_t allowed;
	int cpu;

	apus_config_init(&service->config);
	service->config.idle = APUS_IDLE_PARK;
	if (sched_getaffinity(0, sizeof allowed, &allowed) != 0 || CPU_COUNT(&allowed) < 2)
		return;
	service->config.idle = APUS_IDLE_BUSY;
	for (cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &allowed))
			service->config.cpu = cpu;
	CPU_CLR(service->config.cpu, &allowed);
	sched_setaffinity(0, sizeof allowed, &allowed);
}

static void *hot_path(void *arg)
{
	struct service *service = arg;
	struct pricer init = { .service = service };
	struct apus_loop *loop;

	service->ended = apus_open(&loop, &service->config);
	if (service->ended == -ENOTSUP) { /* this system has no call to pin a thread with */
		service->config.cpu = -1;
		service->ended = apus_open(&loop, &service->config);
	}
	if (service->ended == 0) {
		service->ended = apus_run(loop, pricer, &init);
		apus_close(loop, NULL);
	} else {
		fprintf(stderr, "apus: %s\n", service->config.reason);
	}
	/* Or the service would wait for us. */
	apus_spsc_close(&service->orders);
	apus_spsc_close(&service->prices);
	uv_async_send(&service->priced);
	return NULL;
}

/* ---- the service: libuv's thread ---------------------------------------------------- */

static void written(uv_write_t *write, int status)
{
	(void)status;
	free(write);
}

/* A message of a few bytes, which is copied behind its request. */
static void send_message(uv_tcp_t *to, const void *data, size_t bytes)
{
	uv_write_t *write = malloc(sizeof *write + bytes);
	uv_buf_t buffer;

	if (write == NULL)
		abort();
	memcpy(write + 1, data, bytes);
	buffer = uv_buf_init((char *)(write + 1), (unsigned)bytes);
	if (uv_write(write, (uv_stream_t *)to, &buffer, 1, written) != 0)
		free(write);
}

/* Each read goes on where the message before it, or its beginning, has ended. */
static void order_room(uv_handle_t *handle, size_t size, uv_buf_t *buffer)
{
	struct service *service = handle->loop->data;

	(void)size;
	*buffer = uv_buf_init((char *)&service->order + service->order_bytes,
		(unsigned)(sizeof service->order - service->order_bytes));
}

static void order_read(uv_stream_t *stream, ssize_t got, const uv_buf_t *buffer)
{
	struct service *service = stream->loop->data;

	(void)buffer;
	if (got < 0) {
		uv_read_stop(stream);
		return;
	}
	service->order_bytes += (size_t)got;
	if (service->order_bytes < sizeof service->order)
		return;
	service->order_bytes = 0;
	/* The client waits for each answer, so there is room. */
	if (apus_spsc_wait_send(&service->orders, 10 * APUS_SEC, service->order) != 0)
		uv_stop(stream->loop);
}

/* Any number of prices may have come since the last call: coalesced as wakes are. */
static void answers_send(uv_async_t *async)
{
	struct service *service = async->loop->data;
	struct priced priced;
	int err;

	while ((err = apus_spsc_try_recv(&service->prices, &priced)) == 0)
		send_message(&service->session, &priced, sizeof priced);
	if (err == -EPIPE) /* the hot path has ended */
		uv_stop(async->loop);
}

static void session_begin(uv_stream_t *listener, int status)
{
	struct service *service = listener->loop->data;

	if (status != 0 || uv_tcp_init(listener->loop, &service->session) != 0 ||
	    uv_accept(listener, (uv_stream_t *)&service->session) != 0 ||
	    uv_read_start((uv_stream_t *)&service->session, order_room, order_read) != 0)
		uv_stop(listener->loop);
}

/* ---- the client ------------------------------------------------------------------------- */

static void ask(struct service *service)
{
	struct order order = { .number = ++service->asked };

	order.quantity = order.number % 100;
	send_message(&service->client, &order, sizeof order);
}

static void answer_room(uv_handle_t *handle, size_t size, uv_buf_t *buffer)
{
	struct service *service = handle->loop->data;

	(void)size;
	*buffer = uv_buf_init((char *)&service->answer + service->answer_bytes,
		(unsigned)(sizeof service->answer - service->answer_bytes));
}

static void answer_read(uv_stream_t *stream, ssize_t got, const uv_buf_t *buffer)
{
	struct service *service = stream->loop->data;

	(void)buffer;
	service->answer_bytes += got > 0 ? (size_t)got : 0;
	if (got >= 0 && service->answer_bytes < sizeof service->answer)
		return;
	service->answer_bytes = 0;
	service->answered++;
	service->wrong += got < 0 || service->answer.number != service->answered ||
		service->answer.price != service->answered % 100 * TICK;
	if (got < 0 || service->asked == REQUESTS)
		uv_stop(stream->loop);
	else
		ask(service);
}

static void client_begin(uv_connect_t *connect, int status)
{
	struct service *service = connect->handle->loop->data;

	if (status != 0 ||
	    uv_read_start((uv_stream_t *)&service->client, answer_room, answer_read) != 0)
		uv_stop(connect->handle->loop);
	else
		ask(service);
}

/* ---- both --------------------------------------------------------------------------------- */

static int service_open(struct service *service)
{
	struct sockaddr_in at;
	int bytes = sizeof at, err = uv_loop_init(&service->uv);

	service->uv.data = service;
	if (!err)
		err = uv_async_init(&service->uv, &service->priced, answers_send);
	if (!err)
		err = uv_tcp_init(&service->uv, &service->listener);
	if (!err)
		err = uv_ip4_addr("127.0.0.1", 0, &at);
	if (!err)
		err = uv_tcp_bind(&service->listener, (struct sockaddr *)&at, 0);
	if (!err)
		err = uv_listen((uv_stream_t *)&service->listener, 8, session_begin);
	if (!err)
		err = uv_tcp_getsockname(&service->listener, (struct sockaddr *)&at, &bytes);
	if (!err)
		err = uv_tcp_init(&service->uv, &service->client);
	if (!err)
		err = uv_tcp_connect(&service->connect, &service->client, (struct sockaddr *)&at,
			client_begin);
	return err;
}

static void handle_close(uv_handle_t *handle, void *arg)
{
	(void)arg;
	if (!uv_is_closing(handle))
		uv_close(handle, NULL);
}

/* The hot path has ended: nobody calls uv_async_send any more. */
static void service_close(struct service *service)
{
	uv_walk(&service->uv, handle_close, NULL);
	uv_run(&service->uv, UV_RUN_DEFAULT);
	uv_loop_close(&service->uv);
}

int main(void)
{
	static struct service service;
	pthread_t hot;
	int err;

	apus_spsc_init(&service.orders);
	apus_spsc_init(&service.prices);
	err = service_open(&service);
	if (err) {
		fprintf(stderr, "libuv: %s\n", uv_strerror(err));
		return 1;
	}
	hot_config(&service);
	if (pthread_create(&hot, NULL, hot_path, &service) != 0)
		return 1;
	uv_run(&service.uv, UV_RUN_DEFAULT);
	apus_spsc_close(&service.orders);
	pthread_join(hot, NULL);
	service_close(&service);
	apus_spsc_deinit(&service.orders);
	apus_spsc_deinit(&service.prices);
	printf("%llu orders priced, %llu wrong\n", (unsigned long long)service.answered,
		(unsigned long long)service.wrong);
	return service.ended != 0 || service.answered != REQUESTS || service.wrong != 0;
}
