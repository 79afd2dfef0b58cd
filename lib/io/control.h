/*
 * io/control.h - the room that control messages of a datagram get.
 *
 *   Units      bytes.
 *   Threads    any: it is only memory.
 */
#ifndef APUSI_IO_CONTROL_H
#define APUSI_IO_CONTROL_H

#include <stdint.h>
#include <sys/socket.h>
#include <time.h>

/* For a time stamp and a drop counter, aligned as control messages want it. */
struct apusi_control {
	_Alignas(struct cmsghdr) unsigned char
		bytes[CMSG_SPACE(sizeof(struct timespec)) + CMSG_SPACE(sizeof(uint32_t))];
};

#endif
