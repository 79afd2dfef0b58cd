/*
 * The awaitables of open files: what can be done at once is, the rest is a work for a helper.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "file/inner.h"
#include "file/native.h"
#include "io/files.h"

/* A read of more is a copy that would keep the turn too long. */
enum { CACHED_BYTES_MAX = 128 * 1024 };

/* ---- works ------------------------------------------------------------------------ */

static apus_poll work_run(void *data)
{
	struct apusi_work *work = (struct apusi_work *)data;

	return work->verb->run(work);
}

/* What it opened is nobody's; on the helper's thread if the loop has closed. */
static void work_discard(void *data, apus_poll result)
{
	struct apusi_work *work = (struct apusi_work *)data;

	if (work->verb == &apusi_verb_send && work->other_fd >= 0)
		close(work->other_fd);
	if (!work->opens || result < 0)
		return;
	if (work->stream != NULL)
		closedir(work->stream);
	else
		close((int)result);
}

static const struct apus_offload_kind work_kind = { work_run, work_discard, "file",
	sizeof(struct apusi_work) };

void apusi_file_use_end(struct apus_cx *cx, struct apusi_file *file, bool closed)
{
	if (file != NULL && --file->uses == 0 && file->flags & APUSI_FILE_DROPPED)
		apusi_file_free(cx, file, closed);
}

/* No helper has it any more: it was carried out, or will not be. */
static void work_returned(struct apus_cx *cx, void *data)
{
	struct apusi_work *work = (struct apusi_work *)data;

	if (work->verb == &apusi_verb_send && work->other_fd >= 0) {
		close(work->other_fd); /* a duplicate, for this work alone */
		work->other_fd = -1;
	}
	if (work->verb == &apusi_verb_list)
		work->file->entry = work->entry;
	apusi_file_use_end(cx, work->file, work->verb == &apusi_verb_close && work->fd < 0);
	apusi_file_use_end(cx, work->other, false);
}

static int file_use(struct apusi_file *file)
{
	if (file == NULL)
		return -1;
	file->uses++;
	return file->fd;
}

int apusi_work_claim(struct apus_cx *cx, struct apus_op *op, const struct apusi_call *call,
	struct apusi_file *file, struct apusi_file *other, struct apusi_work **out)
{
	struct apusi_offload_request *request;
	struct apusi_work *work;
	int err = apusi_offload_claim(cx, op, &work_kind, call, &request);

	if (err)
		return err;
	request->returned = work_returned;
	work = (struct apusi_work *)(void *)request->data;
	memset(work, 0, sizeof *work);
	work->verb = (const struct apusi_file_verb *)call->verb;
	work->file = file;
	work->other = other;
	work->fd = file_use(file);
	work->other_fd = file_use(other);
	work->bytes = call->bytes;
	work->offset = call->offset;
	*out = work;
	return 0;
}

void apusi_work_lend(const struct apus_cx *cx, struct apus_op *op, const void *data)
{
	apusi_op_lend(cx, op->request, data);
}

apus_poll apusi_work_submit(struct apus_cx *cx, struct apus_op *op)
{
	bool answered;
	int err = apusi_offload_submit(cx, op);

	return err ? err : apusi_op_look(cx, op, NULL, &answered);
}

/* ---- reading and writing -------------------------------------------------------------- */

/* What a transfer is: of one buffer, which `one` describes, or of a list. */
struct transfer {
	struct apusi_call call;
	uint64_t fixed; /* the kernel was shown file and buffer under this token; 0: not */
	struct iovec one;
	const struct iovec *list; /* NULL: one */
	uint32_t count;
};

static const struct iovec *transfer_list(const struct transfer *asked)
{
	return asked->list != NULL ? asked->list : &asked->one;
}

static apus_poll transfer_submit(struct apus_cx *cx, struct apus_op *op, struct apusi_file *file,
	const struct transfer *asked);

/* What the kernel has been asked for; -ENOTSUP: nothing. */
static apus_poll transfer_native(struct apus_cx *cx, struct apus_op *op, struct apusi_file *file,
	const struct transfer *asked, bool whole)
{
	int err = apusi_file_native_transfer(cx, op, file, &asked->call, transfer_list(asked),
		asked->count, asked->fixed, whole);
	bool answered;

	return err ? err : apusi_op_look(cx, op, NULL, &answered);
}

static apus_poll transfer_begin(struct apus_cx *cx, struct apus_op *op, struct apusi_file *file,
	const struct transfer *asked)
{
	apus_poll answer = asked->count == 0 ? -ENOTSUP :
		transfer_native(cx, op, file, asked, false);

	return answer == -ENOTSUP ? transfer_submit(cx, op, file, asked) : answer;
}

static apus_poll transfer_submit(struct apus_cx *cx, struct apus_op *op, struct apusi_file *file,
	const struct transfer *asked)
{
	struct apusi_work *work;
	uint32_t i;
	int err;

	if (cx->files->is_sim)
		return transfer_native(cx, op, file, asked, true);
	err = apusi_work_claim(cx, op, &asked->call, file, NULL, &work);
	if (err)
		return err;
	work->one = asked->one;
	work->list = asked->list != NULL ? asked->list : &work->one;
	work->count = asked->count;
	work->flags = (int)file->flags;
	if (asked->list != NULL)
		apusi_work_lend(cx, op, asked->list);
	for (i = 0; i < work->count; i++)
		apusi_work_lend(cx, op, work->list[i].iov_base);
	return apusi_work_submit(cx, op);
}

static size_t list_bytes(const struct iovec *list, uint32_t count)
{
	size_t bytes = 0;
	uint32_t i;

	for (i = 0; i < count; i++)
		if (__builtin_add_overflow(bytes, list[i].iov_len, &bytes))
			return SIZE_MAX;
	return bytes;
}

/* A range that a file can have. */
static bool range_is_valid(uint64_t offset, uint64_t bytes)
{
	return offset <= INT64_MAX && bytes <= INT64_MAX - offset;
}

/* Of the simulated files, or of the system's. */
static apus_poll read_cached(const struct apus_cx *cx, const struct apusi_file *file,
	const struct iovec *list, uint32_t count, uint64_t offset)
{
	if (cx->files->is_sim)
		return apusi_sim_file_cached(cx->io, file->fd, list, (int)count, offset);
	return apusi_system_read_cached(file->fd, list, (int)count, offset);
}

/*
 * The cache answered fewer bytes than were asked for, or a refusal: a second look tells whether
 * that was the end of the file.
 */
static APUS_COLD apus_poll read_less(const struct apus_cx *cx, struct apusi_file *file,
	apus_poll got, uint64_t offset)
{
	char one_more;
	const struct iovec behind = { &one_more, 1 };

	if (got > 0)
		return read_cached(cx, file, &behind, 1, offset + (uint64_t)got) == 0 ? got :
			-EAGAIN;
	if (got != -EOPNOTSUPP && got != -ENOSYS)
		return got;
	file->flags |= APUSI_FILE_SLOW;
	return -EAGAIN;
}

/* What the cache may be asked about, without a word on what is wrong with the rest. */
static bool may_be_cached(const struct apus_cx *cx, const struct apusi_file *file, size_t bytes,
	uint64_t offset)
{
	return (file->flags & (APUSI_FILE_DIRECT | APUSI_FILE_SLOW)) == 0 &&
	       bytes <= CACHED_BYTES_MAX && offset <= INT64_MAX - CACHED_BYTES_MAX &&
	       !cx->files->at_once;
}

/*
 * What most reads of a running system end with, before anything is written down about the
 * call: -EAGAIN if it is not to be had this way, for whatever reason.
 */
static inline apus_poll read_now(struct apus_cx *cx, uint64_t token, const struct iovec *list,
	uint32_t count, size_t bytes, uint64_t offset)
{
	struct apusi_file *file = apusi_file_find(cx->files, token);
	apus_poll got;

	if (apus_unlikely(file == NULL || !may_be_cached(cx, file, bytes, offset)))
		return -EAGAIN;
	got = apusi_system_read_cached(file->fd, list, (int)count, offset);
	return apus_likely(got == (apus_poll)bytes) ? got : read_less(cx, file, got, offset);
}

/* The same of simulated files, whose cache may have it or not. */
static apus_poll read_now_sim(struct apus_cx *cx, struct apusi_file *file,
	const struct transfer *asked, size_t bytes)
{
	apus_poll got;

	if (!cx->files->is_sim || asked->call.verb != &apusi_verb_read ||
	    file->flags & APUSI_FILE_DIRECT || bytes > CACHED_BYTES_MAX)
		return -EAGAIN;
	got = read_cached(cx, file, transfer_list(asked), asked->count, asked->call.offset);
	return got == (apus_poll)bytes ? got : read_less(cx, file, got, asked->call.offset);
}

/* An idle object, of what the cache does not have. */
static apus_poll transfer_start(struct apus_cx *cx, struct apus_op *op,
	const struct transfer *asked, size_t bytes)
{
	struct apusi_file *file = apusi_file_find(cx->files, asked->call.object);
	apus_poll got;

	if (file == NULL)
		return -ESTALE;
	if (!range_is_valid(asked->call.offset, bytes))
		return -EINVAL;
	got = read_now_sim(cx, file, asked, bytes);
	return got != -EAGAIN ? got : transfer_begin(cx, op, file, asked);
}

/* The kernel moves what it can at once; the end of the file is the only good reason for less. */
static bool is_whole(const struct apus_cx *cx, const struct apusi_op *request,
	const struct apusi_file *file, const struct transfer *asked, size_t bytes, apus_poll moved)
{
	char one_more;
	const struct iovec behind = { &one_more, 1 };

	if (moved == -EAGAIN || moved == -EINTR)
		return false;
	if (moved <= 0 || moved == (apus_poll)bytes)
		return true;
	if (cx->files->is_sim && apusi_sim_file_is_whole(request))
		return true;
	if (asked->call.verb != &apusi_verb_read)
		return false;
	return file->flags & APUSI_FILE_DIRECT || read_cached(cx, file, &behind, 1,
		asked->call.offset + (uint64_t)moved) == 0;
}

/* What look answered.  A transfer that fell short in the kernel is made again by a helper. */
static apus_poll transfer_end(struct apus_cx *cx, struct apus_op *op, const struct transfer *asked,
	size_t bytes, apus_poll answer, bool answered)
{
	struct apusi_file *file = apusi_file_find(cx->files, asked->call.object);
	bool native = answered && !apusi_offload_has(op->request);
	bool whole = !native || file == NULL || op->request->cancelled ||
		     is_whole(cx, op->request, file, asked, bytes, answer);

	apusi_work_end(cx, op, answer, answered);
	return whole ? answer : transfer_submit(cx, op, file, asked);
}

/* Asks for it, or awaits what was asked for. */
static apus_poll read_await(struct apus_cx *cx, struct apus_op *op, const struct transfer *asked,
	size_t bytes)
{
	bool answered;
	apus_poll answer = apusi_op_look(cx, op, &asked->call, &answered);

	if (answer == APUSI_OP_IDLE)
		return transfer_start(cx, op, asked, bytes);
	return transfer_end(cx, op, asked, bytes, answer, answered);
}

static APUS_COLD apus_poll read_slowly(struct apus_cx *cx, struct apus_op *op, uint64_t token,
	void *data, size_t bytes, uint64_t offset, uint64_t fixed)
{
	const struct transfer asked = {
		.call = { &apusi_verb_read, token, data, bytes, offset },
		.fixed = fixed,
		.one = { data, bytes },
		.count = 1,
	};

	return read_await(cx, op, &asked, bytes);
}

apus_poll apusi_file_read(struct apus_cx *cx, struct apus_op *op, struct apus_file file,
	void *data, size_t bytes, uint64_t offset, uint64_t fixed)
{
	const struct iovec one = { data, bytes };
	apus_poll got = -EAGAIN;

	if (apus_likely(!apus_op_is_busy(op)))
		got = read_now(cx, file.token, &one, 1, bytes, offset);
	if (apus_likely(got != -EAGAIN))
		return got;
	return read_slowly(cx, op, file.token, data, bytes, offset, fixed);
}

apus_poll apus_file_read_at(struct apus_cx *cx, struct apus_op *op, struct apus_file file,
	void *data, size_t bytes, uint64_t offset)
{
	return apusi_file_read(cx, op, file, data, bytes, offset, 0);
}

apus_poll apusi_file_write(struct apus_cx *cx, struct apus_op *op, struct apus_file file,
	const void *data, size_t bytes, uint64_t offset, uint64_t fixed)
{
	const struct transfer asked = {
		.call = { &apusi_verb_write, file.token, data, bytes, offset },
		.fixed = fixed,
		.one = { (void *)(uintptr_t)data, bytes },
		.count = 1,
	};
	bool answered;
	apus_poll answer = apusi_op_look(cx, op, &asked.call, &answered);

	if (answer == APUSI_OP_IDLE)
		return transfer_start(cx, op, &asked, bytes);
	return transfer_end(cx, op, &asked, bytes, answer, answered);
}

apus_poll apus_file_write_at(struct apus_cx *cx, struct apus_op *op, struct apus_file file,
	const void *data, size_t bytes, uint64_t offset)
{
	return apusi_file_write(cx, op, file, data, bytes, offset, 0);
}

apus_poll apus_file_append(struct apus_cx *cx, struct apus_op *op, struct apus_file file,
	const void *data, size_t bytes)
{
	const struct transfer asked = {
		.call = { &apusi_verb_append, file.token, data, bytes, 0 },
		.one = { (void *)(uintptr_t)data, bytes },
		.count = 1,
	};
	bool answered;
	apus_poll answer = apusi_op_look(cx, op, &asked.call, &answered);

	if (answer == APUSI_OP_IDLE)
		return transfer_start(cx, op, &asked, bytes);
	return transfer_end(cx, op, &asked, bytes, answer, answered);
}

static struct transfer transfer_of(const struct apusi_file_verb *verb, struct apus_file file,
	const struct iovec *list, uint32_t count, uint64_t offset)
{
	const struct transfer asked = {
		.call = { verb, file.token, list, count, offset },
		.list = list,
		.count = count,
	};

	return asked;
}

apus_poll apus_file_readv_at(struct apus_cx *cx, struct apus_op *op, struct apus_file file,
	const struct iovec *list, uint32_t count, uint64_t offset)
{
	const struct transfer asked = transfer_of(&apusi_verb_read, file, list, count, offset);
	size_t bytes = count <= IOV_MAX ? list_bytes(list, count) : SIZE_MAX;
	apus_poll got = -EAGAIN;

	if (!apus_op_is_busy(op))
		got = count <= IOV_MAX ? read_now(cx, file.token, list, count, bytes, offset) :
			-EINVAL;
	return got != -EAGAIN ? got : read_await(cx, op, &asked, bytes);
}

apus_poll apus_file_writev_at(struct apus_cx *cx, struct apus_op *op, struct apus_file file,
	const struct iovec *list, uint32_t count, uint64_t offset)
{
	const struct transfer asked = transfer_of(&apusi_verb_write, file, list, count, offset);
	bool answered;
	apus_poll answer = apusi_op_look(cx, op, &asked.call, &answered);

	if (answer != APUSI_OP_IDLE)
		return transfer_end(cx, op, &asked, answered ? list_bytes(list, count) : 0, answer,
			answered);
	if (count > IOV_MAX)
		return -EINVAL;
	return transfer_start(cx, op, &asked, list_bytes(list, count));
}

/* ---- what lends nothing ------------------------------------------------------------------ */

/* A call of a file without a buffer; `flags` is the verb's own. */
static apus_poll plain(struct apus_cx *cx, struct apus_op *op, const struct apusi_call *call,
	int flags)
{
	bool answered;
	apus_poll answer = apusi_op_look(cx, op, call, &answered);
	struct apusi_file *file;
	struct apusi_work *work;
	int err;

	if (answer != APUSI_OP_IDLE)
		return apusi_work_end(cx, op, answer, answered);
	file = apusi_file_find(cx->files, call->object);
	if (file == NULL)
		return -ESTALE;
	err = apusi_file_native_plain(cx, op, file, call, flags);
	if (err != -ENOTSUP)
		return err ? err : apusi_op_look(cx, op, call, &answered);
	err = apusi_work_claim(cx, op, call, file, NULL, &work);
	if (err)
		return err;
	work->flags = flags;
	return apusi_work_submit(cx, op);
}

apus_poll apus_file_sync(struct apus_cx *cx, struct apus_op *op, struct apus_file file)
{
	const struct apusi_call call = { &apusi_verb_sync, file.token, NULL, 0, 0 };

	return plain(cx, op, &call, 0);
}

apus_poll apus_file_sync_data(struct apus_cx *cx, struct apus_op *op, struct apus_file file)
{
	const struct apusi_call call = { &apusi_verb_sync_data, file.token, NULL, 0, 0 };

	return plain(cx, op, &call, 0);
}

apus_poll apus_file_truncate(struct apus_cx *cx, struct apus_op *op, struct apus_file file,
	uint64_t bytes)
{
	const struct apusi_call call = { &apusi_verb_truncate, file.token, NULL, bytes, 0 };

	return bytes > INT64_MAX ? -EINVAL : plain(cx, op, &call, 0);
}

apus_poll apus_file_allocate(struct apus_cx *cx, struct apus_op *op, struct apus_file file,
	enum apus_allocate how, uint64_t offset, uint64_t bytes)
{
	const struct apusi_call call = { &apusi_verb_allocate, file.token, NULL, bytes, offset };

	if ((unsigned)how > APUS_ALLOCATE_PUNCH || bytes == 0 || !range_is_valid(offset, bytes))
		return -EINVAL;
	return plain(cx, op, &call, (int)how);
}

apus_poll apus_file_stat(struct apus_cx *cx, struct apus_op *op, struct apus_file file,
	struct apus_stat *out)
{
	const struct apusi_call call = { &apusi_verb_stat, file.token, out, 0, 0 };
	const struct apusi_op *request = apusi_op_request(cx, op);

	/* Before the request is given back. */
	if (request != NULL && request->owner == cx->task && request->answered &&
	    request->call.verb == call.verb && request->call.data == out && request->result == 0)
		apusi_file_stat_take(cx, op->request, out);
	return plain(cx, op, &call, 0);
}

/* ---- two files --------------------------------------------------------------------------- */

static apus_poll copy_begin(struct apus_cx *cx, struct apus_op *op, const struct apusi_call *call,
	uint64_t to, uint64_t to_offset)
{
	struct apusi_file *in = apusi_file_find(cx->files, call->object);
	struct apusi_file *out = apusi_file_find(cx->files, to);
	struct apusi_work *work;
	bool answered;
	int err;

	if (in == NULL || out == NULL)
		return -ESTALE;
	if (!range_is_valid(call->offset, call->bytes) || !range_is_valid(to_offset, call->bytes))
		return -EINVAL;
	if (in == out && call->offset < to_offset + call->bytes && to_offset < call->offset + call->bytes)
		return -EINVAL;
	if (cx->files->is_sim) {
		err = apusi_file_sim_copy(cx, op, call, in, out, to_offset);
		return err ? err : apusi_op_look(cx, op, call, &answered);
	}
	err = apusi_work_claim(cx, op, call, in, out, &work);
	if (err)
		return err;
	work->other_offset = to_offset;
	return apusi_work_submit(cx, op);
}

/* A call has no place for all that a copy is of: the last of it is in the work. */
static bool copy_is_another(const struct apus_cx *cx, const struct apus_op *op, uint64_t to_offset)
{
	struct apusi_op *request = apusi_op_request(cx, op);

	return request != NULL && request->owner == cx->task &&
	       request->call.verb == &apusi_verb_copy &&
	       apusi_file_copy_to(cx, request) != to_offset;
}

apus_poll apus_file_copy(struct apus_cx *cx, struct apus_op *op, struct apus_file from,
	uint64_t from_offset, struct apus_file to, uint64_t to_offset, uint64_t bytes)
{
	const struct apusi_call call = { &apusi_verb_copy, from.token,
		(const void *)(uintptr_t)to.token, bytes, from_offset };
	bool answered;
	apus_poll answer;

	if (copy_is_another(cx, op, to_offset))
		return -EBUSY;
	answer = apusi_op_look(cx, op, &call, &answered);
	if (answer != APUSI_OP_IDLE)
		return apusi_work_end(cx, op, answer, answered);
	return copy_begin(cx, op, &call, to.token, to_offset);
}

/* ---- closing ------------------------------------------------------------------------------- */

static apus_poll close_begin(struct apus_cx *cx, struct apus_op *op, const struct apusi_call *call)
{
	struct apusi_file *file = apusi_file_find(cx->files, call->object);
	struct apusi_work *work;
	bool answered;
	int err;

	if (file == NULL || file->flags & APUSI_FILE_DIRECTORY)
		return -ESTALE;
	if (file->uses != 0)
		return -EBUSY;
	if (!(file->flags & APUSI_FILE_OWNED))
		return apus_file_drop(cx->loop, (struct apus_file){ call->object });
	err = apusi_file_native_close(cx, op, file, call);
	if (!err) {
		apusi_file_retire(cx, file);
		return apusi_op_look(cx, op, call, &answered);
	}
	if (err != -ENOTSUP)
		return err;
	err = apusi_work_claim(cx, op, call, file, NULL, &work);
	if (err)
		return err;
	apusi_file_retire(cx, file);
	return apusi_work_submit(cx, op);
}

apus_poll apus_file_close(struct apus_cx *cx, struct apus_op *op, struct apus_file file)
{
	const struct apusi_call call = { &apusi_verb_close, file.token, NULL, 0, 0 };
	bool answered;
	apus_poll answer = apusi_op_look(cx, op, &call, &answered);

	if (answer == APUSI_OP_IDLE)
		return close_begin(cx, op, &call);
	return apusi_work_end(cx, op, answer, answered);
}
