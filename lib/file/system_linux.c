#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/falloc.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <unistd.h>

#include "file/inner.h"
#include "io/native.h"

_Static_assert(sizeof(struct statx) <= APUSI_NATIVE_ROOM, "the kernel answers into it");

/* Since Linux 6.1; headers may be older than the kernel. */
#ifndef STATX_DIOALIGN
#define STATX_DIOALIGN 0x2000U
#endif

/*
 * Without the C library's wrapper: that makes it a point of cancellation of threads, for more
 * instructions than all of ours.  The halves of the offset as the kernel wants them: the upper
 * one is looked at where a long has 32 bits.
 */
apus_poll apusi_system_read_cached(int fd, const struct iovec *list, int count, uint64_t offset)
{
	long got;

	do
		got = syscall(SYS_preadv2, fd, list, count, (long)offset, (long)(offset >> 32),
			RWF_NOWAIT);
	while (apus_unlikely(got < 0) && errno == EINTR);
	return apus_likely(got >= 0) ? got : -errno;
}

apus_poll apusi_system_append(int fd, const struct iovec *list, int count)
{
	ssize_t put = pwritev2(fd, list, count, 0, RWF_APPEND);

	return put < 0 ? -errno : put;
}

int apusi_system_allocate_mode(enum apus_allocate how)
{
	static const int modes[] = {
		[APUS_ALLOCATE_EXTEND] = 0,
		[APUS_ALLOCATE_KEEP] = FALLOC_FL_KEEP_SIZE,
		[APUS_ALLOCATE_PUNCH] = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
	};

	return modes[how];
}

int apusi_system_allocate(int fd, enum apus_allocate how, uint64_t offset, uint64_t bytes)
{
	int mode = apusi_system_allocate_mode(how);

	return fallocate(fd, mode, (off_t)offset, (off_t)bytes) ? -errno : 0;
}

static int64_t ns_of(const struct statx_timestamp *time)
{
	return time->tv_sec * APUS_SEC + time->tv_nsec;
}

/* stx_dio_mem_align and stx_dio_offset_align: 12 bytes on, where older headers say spare. */
static uint32_t direct_align_of(const struct statx *found)
{
	uint32_t align[2];

	memcpy(align, (const char *)found + offsetof(struct statx, stx_dev_minor) + 12, sizeof align);
	if (!(found->stx_mask & STATX_DIOALIGN))
		return 0;
	return align[0] > align[1] ? align[0] : align[1];
}

int apusi_system_stat_flags(const char *path, bool follow)
{
	return path == NULL ? AT_EMPTY_PATH : follow ? 0 : AT_SYMLINK_NOFOLLOW;
}

bool apusi_system_stat_ask(uint32_t *mask)
{
	*mask = STATX_BASIC_STATS | STATX_BTIME | STATX_DIOALIGN;
	return true;
}

void apusi_system_stat_read(const void *answer, struct apus_stat *out)
{
	const struct statx *found = (const struct statx *)answer;

	out->bytes = found->stx_size;
	out->stored_bytes = found->stx_blocks * 512;
	out->inode = found->stx_ino;
	out->device = makedev(found->stx_dev_major, found->stx_dev_minor);
	out->link_count = found->stx_nlink;
	out->mode = found->stx_mode;
	out->owner = found->stx_uid;
	out->group = found->stx_gid;
	out->direct_align = direct_align_of(found);
	out->read_ns = ns_of(&found->stx_atime);
	out->written_ns = ns_of(&found->stx_mtime);
	out->changed_ns = ns_of(&found->stx_ctime);
	out->born_ns = found->stx_mask & STATX_BTIME ? ns_of(&found->stx_btime) : 0;
}

int apusi_system_stat(int fd, const char *path, bool follow, struct apus_stat *out)
{
	struct statx found;
	uint32_t mask;

	(void)apusi_system_stat_ask(&mask);
	if (statx(path == NULL ? fd : AT_FDCWD, path == NULL ? "" : path,
			apusi_system_stat_flags(path, follow), mask, &found))
		return -errno;
	apusi_system_stat_read(&found, out);
	return 0;
}

/* What the kernel cannot do for these two files: between file systems, or to a device. */
static bool is_by_hand(int err)
{
	return err == EXDEV || err == EINVAL || err == ENOSYS || err == EOPNOTSUPP;
}

apus_poll apusi_system_copy(int from, uint64_t from_offset, int to, uint64_t to_offset, size_t bytes)
{
	off_t in = (off_t)from_offset, out = (off_t)to_offset;
	ssize_t got = copy_file_range(from, &in, to, &out, bytes, 0);

	if (got < 0)
		return is_by_hand(errno) ? -EOPNOTSUPP : -errno;
	return got;
}

apus_poll apusi_system_send(int to, int from, uint64_t offset, size_t bytes)
{
	off_t at = (off_t)offset;
	ssize_t put = sendfile(to, from, &at, bytes);

	if (put < 0)
		return is_by_hand(errno) ? -EOPNOTSUPP : -errno;
	return put;
}
