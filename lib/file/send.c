/*
 * From a file to a socket: a helper moves what the socket takes, the loop waits while it is full.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <unistd.h>

#include "file/native.h"
#include "io/native.h"

/*
 * The helper gets a duplicate: the handle of the socket may be closed, and its number be a
 * stranger's, before the helper is through.
 */
static apus_poll send_begin(struct apus_cx *cx, struct apus_op *op, const struct apusi_call *call,
	uint64_t to)
{
	struct apusi_file *file = apusi_file_find(cx->files, call->object);
	int number = apus_io_number(cx->loop, to), err;
	struct apusi_work *work;
	bool answered;

	if (file == NULL || number < 0)
		return file == NULL ? -ESTALE : number;
	if (cx->files->is_sim) {
		err = apusi_file_sim_send(cx, op, call, file, to);
		return err ? err : apusi_op_look(cx, op, call, &answered);
	}
	err = apusi_work_claim(cx, op, call, file, NULL, &work);
	if (err)
		return err;
	work->other_fd = fcntl(number, F_DUPFD_CLOEXEC, 0);
	if (work->other_fd < 0) {
		err = -errno;
		apusi_op_abandon(cx, op);
		return err;
	}
	return apusi_work_submit(cx, op);
}

static apus_poll part_await(struct apus_cx *cx, struct apus_file_send *send,
	const struct apusi_call *call, uint64_t to)
{
	bool answered;
	apus_poll answer = apusi_op_look(cx, &send->op, call, &answered);

	if (answer == APUSI_OP_IDLE)
		return send_begin(cx, &send->op, call, to);
	return apusi_work_end(cx, &send->op, answer, answered);
}

/* APUS_PENDING, or an answer to the whole; else what is left is to be tried. */
static bool part_end(struct apus_file_send *send, apus_poll got, uint64_t bytes)
{
	send->is_full = got == APUSI_NATIVE_SEND_FULL;
	if (got > 0)
		send->sent += (uint64_t)got;
	return !send->is_full && (got <= 0 || send->sent == bytes);
}

apus_poll apus_file_send(struct apus_cx *cx, struct apus_file_send *send, uint64_t to,
	struct apus_file file, uint64_t offset, uint64_t bytes)
{
	const struct apus_fd socket = { to };
	apus_poll got;

	if (offset > INT64_MAX || bytes > INT64_MAX - offset)
		return -EINVAL;
	if (!apus_op_is_busy(&send->op) && !send->is_full)
		send->sent = 0;
	for (;;) {
		const struct apusi_call call = { &apusi_verb_send, file.token,
			(const void *)(uintptr_t)to, bytes - send->sent, offset + send->sent };

		if (send->is_full) {
			got = apus_fd_writable(cx, socket);
			if (got != 0)
				break;
			send->is_full = false;
		}
		got = part_await(cx, send, &call, to);
		if (got == APUS_PENDING)
			return got;
		if (part_end(send, got, bytes))
			break;
	}
	if (got != APUS_PENDING)
		send->is_full = false;
	return got < 0 ? got : (apus_poll)send->sent;
}
