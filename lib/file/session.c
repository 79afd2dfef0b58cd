#include <string.h>
#include <unistd.h>

#include "file/inner.h"
#include "io/native.h"

/* All of the buffers lie in one piece, which was made whole when the slab was. */
static struct iovec buffers_of(const struct apus_file_session *session)
{
	const struct iovec memory = {
		apus_slab_at(&session->buffers, 0),
		session->buffers.stride * session->buffers.open_count,
	};

	return memory;
}

/* Only the speed hangs on it: what the kernel refuses is kept, to be told. */
static void session_register(struct apus_cx *cx, struct apus_file_session *session,
	struct apusi_file *file)
{
	const struct iovec memory = buffers_of(session);

	session->refused = apusi_native_fix(cx->io, session->file.token, file->fd, &memory,
		&session->registered);
	if (!session->refused)
		file->flags |= APUSI_FILE_FIXED;
}

static int buffers_make(struct apus_file_session *session, size_t buffer_bytes,
	uint32_t buffer_count)
{
	const size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE);
	const struct apus_slab_config config = {
		.slot_bytes = buffer_bytes,
		.slot_align = page_bytes,
		.slot_count = buffer_count,
		.chunk_max = 1,
		.prefault = true,
	};

	if (buffer_bytes == 0 || buffer_bytes % page_bytes != 0)
		return -EINVAL;
	session->buffer_bytes = buffer_bytes;
	return apus_slab_init(&session->buffers, &config);
}

int apus_file_session_init(struct apus_loop *loop, struct apus_file_session *session,
	struct apus_file file, size_t buffer_bytes, uint32_t buffer_count)
{
	struct apus_cx *cx = apus_loop_cx(loop);
	struct apusi_file *found;
	int err;

	memset(session, 0, sizeof *session);
	if (!apus_loop_is_mine(loop))
		return -EPERM;
	found = apusi_file_find(cx->files, file.token);
	if (found == NULL || found->flags & APUSI_FILE_DIRECTORY)
		return -ESTALE;
	err = buffers_make(session, buffer_bytes, buffer_count);
	if (err)
		return err;
	session->file = file;
	session_register(cx, session, found);
	return 0;
}

int apus_file_session_deinit(struct apus_loop *loop, struct apus_file_session *session)
{
	if (!apus_loop_is_mine(loop))
		return -EPERM;
	apusi_native_unfix(apus_loop_cx(loop)->io, session->registered);
	session->registered = 0;
	apus_slab_deinit(&session->buffers);
	return 0;
}

int apus_file_session_registration(struct apus_loop *loop, const struct apus_file_session *session)
{
	struct apus_cx *cx = apus_loop_cx(loop);

	if (!apus_loop_is_mine(loop))
		return -EPERM;
	if (apusi_file_find(cx->files, session->file.token) == NULL)
		return -ESTALE;
	return session->refused;
}

apus_poll apus_file_session_read(struct apus_cx *cx, struct apus_op *op,
	struct apus_file_session *session, void *buffer, uint64_t offset)
{
	if (!apus_slab_owns(&session->buffers, buffer))
		return -EINVAL;
	return apusi_file_read(cx, op, session->file, buffer, session->buffer_bytes, offset,
		session->registered);
}

apus_poll apus_file_session_write(struct apus_cx *cx, struct apus_op *op,
	struct apus_file_session *session, const void *buffer, size_t bytes, uint64_t offset)
{
	if (!apus_slab_owns(&session->buffers, buffer) || bytes > session->buffer_bytes)
		return -EINVAL;
	return apusi_file_write(cx, op, session->file, buffer, bytes, offset, session->registered);
}
