/*
 * io/uring_kernel.h - what the kernel's io_uring has and Debian's liburing 2.3 does not name.
 *
 * Nothing here is assumed: each is tried when a ring is opened, and refused with a reason
 * where the kernel does not know it.  See include/uapi/linux/io_uring.h of Linux 6.18.
 */
#ifndef APUSI_IO_URING_KERNEL_H
#define APUSI_IO_URING_KERNEL_H

#include <stdint.h>

/* io_uring_register(2), Linux 6.9: the kernel spins on the device while a ring waits. */
#define APUSI_REGISTER_NAPI 27
#define APUSI_UNREGISTER_NAPI 28

struct apusi_uring_napi {
	uint32_t busy_poll_to_us;
	uint8_t prefer_busy_poll;
	uint8_t pad[3];
	uint64_t reserved;
};

#endif
