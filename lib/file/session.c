#include <string.h>
#include <unistd.h>

#include "file/inner.h"

int apus_file_session_init(struct apus_file_session *session, struct apus_file file,
	size_t buffer_bytes, uint32_t buffer_count)
{
	const size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE);
	const struct apus_slab_config config = {
		.slot_bytes = buffer_bytes,
		.slot_align = page_bytes,
		.slot_count = buffer_count,
		.chunk_max = 1,
		.prefault = true,
	};
	int err = -EINVAL;

	memset(session, 0, sizeof *session);
	if (buffer_bytes != 0 && buffer_bytes % page_bytes == 0)
		err = apus_slab_init(&session->buffers, &config);
	if (err)
		return err;
	session->file = file;
	session->buffer_bytes = buffer_bytes;
	return 0;
}

void apus_file_session_deinit(struct apus_file_session *session)
{
	apus_slab_deinit(&session->buffers);
}

apus_poll apus_file_session_read(struct apus_cx *cx, struct apus_op *op,
	struct apus_file_session *session, void *buffer, uint64_t offset)
{
	if (!apus_slab_owns(&session->buffers, buffer))
		return -EINVAL;
	return apus_file_read_at(cx, op, session->file, buffer, session->buffer_bytes, offset);
}
