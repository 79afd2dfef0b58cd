/*
 * rude - a client without manners, for the tests: connects, sends what it finds on its
 * standard input, and is gone with a reset, without having read.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	const struct linger at_once = { 1, 0 };
	struct sockaddr_in to = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	char text[512];
	size_t bytes = fread(text, 1, sizeof text, stdin);

	to.sin_port = htons((uint16_t)(argc > 1 ? atoi(argv[1]) : 0));
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) != 0)
		return 1;
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
	if (send(fd, text, bytes, MSG_NOSIGNAL) < 0)
		return 1;
	return close(fd) != 0;
}
