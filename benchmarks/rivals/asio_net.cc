/*
 * Boost.Asio's sockets.  Used as its documentation says is fastest: an io_context for one thread,
 * without locks, sockets that name their executor's type, operations that live in memory of our
 * own; sends that are plain calls on a socket that does not block.
 *
 * Echo: both ends on one io_context.  2t: it is polled without waiting.
 *
 * What differs: a receive is tried at once, and finds nothing, before the reactor waits for it.
 * Left out: partial sends (64 bytes are taken whole, or the row fails), time-outs.
 */
#include "asio.h"

extern "C" {
#include "../bench_net_2t.h"
}

#include <fcntl.h>
#include <sys/socket.h>

namespace {

template <typename Protocol>
using socket_of = typename Protocol::socket::template rebind_executor<executor>::other;

/* The pair keeps its descriptor; asio closes its own. */
template <typename Protocol>
void adopt(socket_of<Protocol> &socket, int fd)
{
	socket.assign(Protocol::v4(), fcntl(fd, F_DUPFD_CLOEXEC, 0));
	socket.non_blocking(true);
}

template <typename Protocol> struct echoing {
	echoing(bench *b) : b(b), client(context), server(context) {}

	void await_client()
	{
		client.async_receive(asio::buffer(buf),
			handler<echoing, &echoing::on_client>{ this, &client_place });
	}
	void await_server()
	{
		server.async_receive(asio::buffer(buf),
			handler<echoing, &echoing::on_server>{ this, &server_place });
	}
	void send_from(socket_of<Protocol> &socket)
	{
		boost::system::error_code err;

		if (socket.send(asio::buffer(buf, ECHO_BYTES), 0, err) != ECHO_BYTES)
			broke(err);
	}
	void on_client(boost::system::error_code err, std::size_t got)
	{
		if (err || got != ECHO_BYTES)
			return broke(err);
		bench_sample(b, 1);
		if (!bench_more(b))
			return context.stop();
		send_from(client);
		await_client();
	}
	void on_server(boost::system::error_code err, std::size_t got)
	{
		if (err || got != ECHO_BYTES)
			return broke(err);
		send_from(server);
		await_server();
	}
	void broke(boost::system::error_code err)
	{
		bench_fail(b, "an echo of %d bytes broke: %s", ECHO_BYTES, err.message().c_str());
		context.stop();
	}
	void run(const echo_pair &pair)
	{
		adopt<Protocol>(client, pair.client);
		adopt<Protocol>(server, pair.server);
		await_client();
		await_server();
		bench_more(b);
		send_from(client);
		context.run();
	}

	bench *b;
	room client_place = {}, server_place = {};
	lone_context context;
	socket_of<Protocol> client, server;
	char buf[2 * ECHO_BYTES] = {};
};

void echo_any(bench *b)
{
	echo_pair pair;

	if (echo_pair_open(b, &pair) != 0)
		return;
	if (b->arg == ECHO_UDP)
		echoing<asio::ip::udp>(b).run(pair);
	else
		echoing<asio::ip::tcp>(b).run(pair);
	echo_pair_close(b, &pair);
}
NET_PEER("asio", echo_any);

/* ---- a server on another processor -------------------------------------------- */

struct server {
	server(struct echo_2t *echo) : echo(echo), socket(context) {}

	void await()
	{
		socket.async_receive(asio::buffer(buf),
			handler<server, &server::on_request>{ this, &place });
	}
	void on_request(boost::system::error_code err, std::size_t got)
	{
		over = err || got == 0;
		if (over)
			return;
		if (socket.send(asio::buffer(buf, got), 0, err) != got) {
			echo->failed = "the echo";
			over = true;
			return;
		}
		await();
	}
	void run()
	{
		adopt<asio::ip::tcp>(socket, echo->server);
		await();
		while (!over)
			context.poll();
	}

	struct echo_2t *echo;
	room place = {};
	lone_context context;
	socket_of<asio::ip::tcp> socket;
	bool over = false;
	char buf[2 * ECHO_BYTES] = {};
};

void *serve(void *arg)
{
	struct echo_2t *echo = static_cast<struct echo_2t *>(arg);

	server(echo).run();
	if (echo->failed != nullptr)
		shutdown(echo->server, SHUT_RDWR);
	return nullptr;
}

void tcp_echo_2t(bench *b)
{
	echo_2t(b, serve);
}
BENCH_ENTRANT(tcp_echo_2t, .row = "net/tcp_echo_2t", .who = "asio", .run = tcp_echo_2t,
	.arg = 0);

} // namespace
