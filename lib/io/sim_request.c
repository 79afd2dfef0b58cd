#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>

#include "io/sim_disk.h"

static struct sim_request *request_of(struct apusi_op *op)
{
	return (struct sim_request *)(void *)op;
}

static struct sim_world *world_of(const struct apus_cx *cx)
{
	return apusi_sim_world_of(cx->io);
}

/* ---- the pool ------------------------------------------------------------------------- */

static struct sim_request *request_make(struct sim_disk *disk)
{
	struct sim_request *request = apusi_sim_memory(NULL, sizeof *request);

	if (disk->request_count == disk->request_room) {
		disk->request_room = disk->request_room != 0 ? 2 * disk->request_room : 8;
		disk->requests = apusi_sim_memory(disk->requests,
			disk->request_room * sizeof(struct sim_request *));
	}
	*request = (struct sim_request){ .index = disk->request_count };
	disk->requests[disk->request_count++] = request;
	return request;
}

/* As many as are in flight at once were ever made, up to the limit; NULL there. */
static struct sim_request *request_claim(struct sim_disk *disk)
{
	struct sim_request *request = disk->free_requests;

	if (request != NULL)
		disk->free_requests = request->next_free;
	else if (disk->request_count < disk->world->config.request_count)
		request = request_make(disk);
	return request;
}

static void request_free(struct sim_disk *disk, struct sim_request *request)
{
	request->is_live = false;
	request->generation++;
	request->next_free = disk->free_requests;
	disk->free_requests = request;
}

/* ---- carrying out ------------------------------------------------------------------------ */

static const char *name_of(const struct apusi_native *asked)
{
	static const char *const names[] = {
		[APUSI_NATIVE_READV] = "file readv",
		[APUSI_NATIVE_WRITEV] = "file writev",
		[APUSI_NATIVE_FSYNC] = "file sync",
		[APUSI_NATIVE_READ_FIXED] = "file read fixed",
		[APUSI_NATIVE_WRITE_FIXED] = "file write fixed",
		[APUSI_NATIVE_FALLOCATE] = "file allocate",
		[APUSI_NATIVE_OPENAT] = "file open",
		[APUSI_NATIVE_CLOSE] = "file close",
		[APUSI_NATIVE_STATX] = "file stat",
		[APUSI_NATIVE_READ] = "file read",
		[APUSI_NATIVE_WRITE] = "file write",
		[APUSI_NATIVE_RENAMEAT] = "file rename",
		[APUSI_NATIVE_UNLINKAT] = "file unlink",
		[APUSI_NATIVE_MKDIRAT] = "file mkdir",
		[APUSI_NATIVE_FTRUNCATE] = "file truncate",
		[APUSI_NATIVE_APPEND] = "file append",
		[APUSI_NATIVE_COPY] = "file copy",
		[APUSI_NATIVE_SEND] = "file send",
		[APUSI_NATIVE_LIST] = "file list",
	};

	return asked->opcode < sizeof names / sizeof *names ? names[asked->opcode] : NULL;
}

static void file_back(struct sim_disk *disk, struct sim_file *file)
{
	if (file == NULL)
		return;
	file->uses--;
	apusi_sim_file_let_go(disk, file);
}

/* What it held is let go. */
static void files_back(struct sim_disk *disk, struct sim_request *request)
{
	file_back(disk, request->file);
	file_back(disk, request->other);
	if (request->fixed != NULL)
		apusi_sim_fixed_back(disk, request->fixed);
}

/* What it answers; nobody touches what it was lent from here on. */
static int64_t carry_out(struct sim_disk *disk, struct sim_request *request, bool is_dropped)
{
	int number = request->file != NULL ? request->file->number : -1;
	uint64_t inode = request->file != NULL ? request->file->inode->number : 0;
	int64_t result = -ECANCELED;

	if (!is_dropped)
		result = request->forced != 0 ? -request->forced : apusi_sim_carry_out(disk, request);
	apusi_sim_step_of(disk->world, name_of(&request->asked), number, inode, result);
	request->is_over = true;
	disk->in_flight--;
	disk->world->io->watched_count--;
	files_back(disk, request);
	return result;
}

/* An opened file that nobody asks for any more is closed. */
static void undo(struct sim_world *world, const struct apusi_op *op)
{
	if (op->owns && op->result >= 0)
		apusi_sim_file_close(world->io, (int)op->result);
}

static void answer(struct apus_cx *cx, struct sim_request *request, int64_t result)
{
	struct apusi_op *op = &request->native.op;
	bool is_nobodys = op->owner == NULL;

	if (request->native.returned != NULL)
		request->native.returned(cx, request->native.arg, result);
	apusi_op_answer(cx, op, result);
	if (!is_nobodys)
		return;
	undo(world_of(cx), op);
	request_free(world_of(cx)->disk, request);
}

void apusi_sim_request_due(struct sim_world *world, const struct sim_event *event)
{
	struct sim_request *request = world->disk->requests[event->index];

	if (!request->is_live || request->generation != event->generation || request->is_over)
		return;
	answer(world->io->cx, request, carry_out(world->disk, request, false));
}

/* ---- the verbs of wait/op.h -------------------------------------------------------------- */

static void op_release(struct apus_cx *cx, struct apusi_op *op)
{
	request_free(world_of(cx)->disk, request_of(op));
}

/* One that is on its way does what it does. */
static void op_abandon(struct apus_cx *cx, struct apusi_op *op)
{
	if (!op->answered)
		return;
	undo(world_of(cx), op);
	op_release(cx, op);
}

/* It was not begun yet, or it is too late, by the draw. */
static void op_cancel(struct apus_cx *cx, struct apusi_op *op)
{
	struct sim_world *world = world_of(cx);
	struct sim_request *request = request_of(op);

	answer(cx, request, carry_out(world->disk, request, apusi_sim_below(world, 2) == 0));
}

static const struct apusi_op_verbs verbs = { op_cancel, op_abandon, op_release };

bool apusi_sim_file_is_whole(const struct apusi_op *op)
{
	return ((const struct sim_request *)(const void *)op)->asked.apart;
}

/* ---- beginning ------------------------------------------------------------------------------ */

bool apusi_sim_has_native(const struct apus_io *io, uint8_t opcode)
{
	const struct apusi_native asked = { .opcode = opcode };

	(void)io;
	return name_of(&asked) != NULL;
}

static int64_t due_ns(struct sim_world *world)
{
	const struct apus_sim_config *config = &world->config;
	int64_t wait_ns = config->disk_latency_ns + apusi_sim_up_to(world, config->disk_jitter_ns);

	if (apusi_sim_hits(world, config->slow_ppm)) {
		world->counts.slow++;
		wait_ns += apusi_sim_up_to(world, config->slow_ns);
	}
	return apus_ns_add(apusi_sim_now(world), wait_ns);
}

static void post(struct sim_world *world, const struct sim_request *request, int64_t at_ns)
{
	const struct sim_event event = {
		.ns = at_ns,
		.index = request->index,
		.generation = request->generation,
		.kind = SIM_REQUEST,
	};

	apusi_sim_post(world, &event);
}

static struct sim_file *file_use(struct sim_world *world, int number)
{
	struct sim_file *file = apusi_sim_file_find(world, number);

	if (file != NULL)
		file->uses++;
	return file;
}

static bool is_fixed(const struct apusi_native *asked)
{
	return asked->opcode == APUSI_NATIVE_READ_FIXED || asked->opcode == APUSI_NATIVE_WRITE_FIXED;
}

/* The file is that of the place, whatever number stands beside it. */
static int fixed_use(struct sim_disk *disk, struct sim_request *request)
{
	int err = apusi_sim_fixed_use(disk, &request->asked, &request->fixed);

	if (err)
		return err;
	request->file = request->fixed->file;
	request->file->uses++;
	return 0;
}

/* The paths are those of calls without a number, which say so as io_uring wants it. */
static int files_use(struct sim_world *world, struct sim_request *request)
{
	const struct apusi_native *asked = &request->asked;

	request->file = request->other = NULL;
	request->fixed = NULL;
	if (asked->fd == AT_FDCWD)
		return 0;
	if (is_fixed(asked))
		return fixed_use(world->disk, request);
	request->file = file_use(world, asked->fd);
	if (request->file == NULL)
		return -EBADF;
	if (asked->opcode != APUSI_NATIVE_COPY)
		return 0;
	request->other = file_use(world, (int)asked->index);
	if (request->other != NULL)
		return 0;
	file_back(world->disk, request->file);
	return -EBADF;
}

int apusi_sim_begin_native(struct apus_cx *cx, struct apus_op *op, const struct apusi_call *call,
	const struct apusi_native *native)
{
	struct sim_world *world = world_of(cx);
	struct sim_disk *disk = apusi_sim_disk(world);
	struct sim_request *request;
	int err;

	if (!apusi_sim_has_native(cx->io, native->opcode))
		return -ENOTSUP;
	request = request_claim(disk);
	if (request == NULL)
		return -EAGAIN;
	request->asked = *native;
	err = files_use(world, request);
	if (err) {
		request_free(disk, request);
		return err;
	}
	request->native.returned = native->returned;
	request->native.arg = native->arg;
	request->forced = 0;
	request->is_live = true;
	request->is_over = false;
	apusi_op_begin(cx, op, &request->native.op, &verbs, call);
	request->native.op.owns = native->owns;
	if (native->lent != NULL)
		apusi_op_lend(cx, &request->native.op, native->lent);
	disk->in_flight++;
	cx->io->watched_count++; /* there is something to reap */
	post(world, request, due_ns(world));
	return 0;
}

void apusi_sim_requests_end(struct sim_disk *disk)
{
	uint32_t i;

	for (i = 0; i < disk->request_count; i++) {
		struct sim_request *request = disk->requests[i];

		if (!request->is_live || request->is_over)
			continue;
		files_back(disk, request);
	}
}

/* ---- the power fails ------------------------------------------------------------------------- */

/* Some were carried out before, for nobody who would be told. */
void apusi_sim_requests_cut(struct sim_disk *disk)
{
	struct sim_world *world = disk->world;
	uint32_t i;

	for (i = 0; i < disk->request_count; i++) {
		struct sim_request *request = disk->requests[i];
		bool is_close = request->asked.opcode == APUSI_NATIVE_CLOSE;
		int64_t result;

		if (!request->is_live || request->is_over || is_close || request->forced != 0)
			continue;
		if (apusi_sim_below(world, 2) == 0) {
			result = apusi_sim_carry_out(disk, request);
			if (request->asked.owns && result >= 0)
				apusi_sim_file_close(world->io, (int)result);
		}
		request->forced = EIO;
		post(world, request, apusi_sim_now(world));
	}
}
