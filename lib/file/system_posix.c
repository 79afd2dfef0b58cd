/*
 * A system with POSIX and no more: nothing tells what is cached, and copies are made by hand.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file/inner.h"

apus_poll apusi_system_read_cached(int fd, const struct iovec *list, int count, uint64_t offset)
{
	(void)fd, (void)list, (void)count, (void)offset;
	return -EOPNOTSUPP;
}

apus_poll apusi_system_append(int fd, const struct iovec *list, int count)
{
	(void)fd, (void)list, (void)count;
	return -ENOTSUP;
}

int apusi_system_allocate_mode(enum apus_allocate how)
{
	return (int)how;
}

/* Only this way of the three is in POSIX, and macOS has not even that. */
int apusi_system_allocate(int fd, enum apus_allocate how, uint64_t offset, uint64_t bytes)
{
#ifdef HAVE_POSIX_FALLOCATE
	if (how == APUS_ALLOCATE_EXTEND)
		return -posix_fallocate(fd, (off_t)offset, (off_t)bytes);
#endif
	(void)fd, (void)how, (void)offset, (void)bytes;
	return -ENOTSUP;
}

#if defined(__APPLE__)
#define st_atim st_atimespec
#define st_mtim st_mtimespec
#define st_ctim st_ctimespec
#endif

static int64_t ns_of(struct timespec time)
{
	return time.tv_sec * APUS_SEC + time.tv_nsec;
}

int apusi_system_stat_flags(const char *path, bool follow)
{
	(void)path;
	(void)follow;
	return 0;
}

bool apusi_system_stat_ask(uint32_t *mask)
{
	*mask = 0;
	return false;
}

void apusi_system_stat_read(const void *answer, struct apus_stat *out)
{
	(void)answer;
	(void)out;
}

int apusi_system_stat(int fd, const char *path, bool follow, struct apus_stat *out)
{
	struct stat found;
	int outcome = path == NULL ? fstat(fd, &found) :
		      follow ? stat(path, &found) : lstat(path, &found);

	if (outcome < 0)
		return -errno;
	out->bytes = (uint64_t)found.st_size;
	out->stored_bytes = (uint64_t)found.st_blocks * 512;
	out->inode = found.st_ino;
	out->device = (uint64_t)found.st_dev;
	out->link_count = found.st_nlink;
	out->mode = found.st_mode;
	out->owner = found.st_uid;
	out->group = found.st_gid;
	out->direct_align = 0;
	out->read_ns = ns_of(found.st_atim);
	out->written_ns = ns_of(found.st_mtim);
	out->changed_ns = ns_of(found.st_ctim);
	out->born_ns = 0;
	return 0;
}

apus_poll apusi_system_copy(int from, uint64_t from_offset, int to, uint64_t to_offset, size_t bytes)
{
	(void)from, (void)from_offset, (void)to, (void)to_offset, (void)bytes;
	return -EOPNOTSUPP;
}

apus_poll apusi_system_send(int to, int from, uint64_t offset, size_t bytes)
{
	(void)to, (void)from, (void)offset, (void)bytes;
	return -EOPNOTSUPP;
}
