/*
 * tls_echo - TLS over a bare descriptor: another library does the I/O, apus the waiting.
 *
 *   tls_echo [--port N] [--backend NAME] [--cpu N] [--sessions N]
 *
 * OpenSSL reads and writes the descriptor itself and says what it waits for; that is all an
 * awaitable needs.  Each call is evaluated again when its task wakes, and OpenSSL keeps its
 * own progress.  The certificate is made when the program starts.
 */
#include <apus.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "serve/serve.h"

enum { SILENCE_S = 30 };

static SSL_CTX *tls_context;
static uint64_t byte_count;

/* ---- OpenSSL's calls as awaitables ------------------------------------------------------ */

/* What OpenSSL answered: its result, or what it waits for, or an end. */
static apus_poll tls_answer(struct apus_cx *cx, SSL *tls, struct apus_fd fd, int result)
{
	apus_poll ready;

	switch (SSL_get_error(tls, result)) {
	case SSL_ERROR_NONE:
		return result;
	case SSL_ERROR_WANT_READ:
		ready = apus_fd_readable(cx, fd);
		break;
	case SSL_ERROR_WANT_WRITE:
		ready = apus_fd_writable(cx, fd);
		break;
	case SSL_ERROR_ZERO_RETURN:
		return 0;
	default:
		return -EPROTO;
	}
	if (ready != 0)
		return ready; /* pending, or why it cannot be awaited */
	/* It became ready since OpenSSL looked: come back at once. */
	return apus_again(cx);
}

static apus_poll tls_accept(struct apus_cx *cx, SSL *tls, struct apus_fd fd)
{
	ERR_clear_error();
	return tls_answer(cx, tls, fd, SSL_accept(tls));
}

static apus_poll tls_read(struct apus_cx *cx, SSL *tls, struct apus_fd fd, void *data, int bytes)
{
	ERR_clear_error();
	return tls_answer(cx, tls, fd, SSL_read(tls, data, bytes));
}

/* OpenSSL takes all of it or nothing. */
static apus_poll tls_write(struct apus_cx *cx, SSL *tls, struct apus_fd fd, const void *data,
	int bytes)
{
	ERR_clear_error();
	return tls_answer(cx, tls, fd, SSL_write(tls, data, bytes));
}

/* ---- a session ------------------------------------------------------------------------------ */

struct session {
	struct apus_frame frame;
	struct apus_fd fd;
	SSL *tls;
	apus_poll which, bytes;
	char buffer[2048];
};

static void session_cleanup(struct apus_cx *cx, struct session *self)
{
	SSL_free(self->tls);
	apus_fd_close(cx->loop, self->fd);
}

static apus_poll session_read(struct apus_cx *cx, struct session *self)
{
	self->which = APUS_SELECT(self->bytes,
		tls_read(cx, self->tls, self->fd, self->buffer, sizeof self->buffer),
		apus_cancelled(cx, apus_loop_token(cx->loop)));
	if (self->which == APUS_PENDING)
		return APUS_PENDING;
	return self->which == 0 ? self->bytes : 0;
}

APUS_TASK(session, struct session, session_cleanup)
{
	APUS_BEGIN(cx, self);
	APUS_TRY(self->bytes, apus_timeout(cx, SILENCE_S * APUS_SEC,
		tls_accept(cx, self->tls, self->fd)));
	for (;;) {
		APUS_TRY(self->bytes, apus_timeout(cx, SILENCE_S * APUS_SEC,
			session_read(cx, self)));
		if (self->bytes == 0)
			break;
		byte_count += (uint64_t)self->bytes;
		APUS_TRY(self->bytes, apus_timeout(cx, SILENCE_S * APUS_SEC,
			tls_write(cx, self->tls, self->fd, self->buffer, (int)self->bytes)));
	}
	SSL_shutdown(self->tls); /* says goodbye, and does not wait for an answer */
	APUS_END(0);
}

/* The connection becomes a bare descriptor of this loop. */
static int session_start(struct apus_loop *loop, struct apus_tcp conn)
{
	struct session init = { .tls = SSL_new(tls_context) };
	int fd = apus_tcp_release(loop, conn);
	int err = fd < 0 ? fd : apus_fd_adopt(loop, fd, APUS_OWNED, &init.fd);

	if (err) {
		if (fd >= 0)
			close(fd);
	} else if (init.tls == NULL || SSL_set_fd(init.tls, fd) != 1) {
		err = -ENOMEM;
	} else {
		err = apus_spawn_slab(loop, session, &init, NULL);
	}
	if (err) {
		apus_fd_close(loop, init.fd); /* zero is no handle: nothing happens */
		SSL_free(init.tls);
	}
	return err;
}

/* ---- the certificate ---------------------------------------------------------------------- */

static bool certificate_sign(X509 *certificate, EVP_PKEY *key)
{
	X509_NAME *name = X509_get_subject_name(certificate);

	ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
	X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
	X509_gmtime_adj(X509_getm_notAfter(certificate), 24 * 3600);
	X509_set_pubkey(certificate, key);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"localhost",
		-1, -1, 0);
	X509_set_issuer_name(certificate, name);
	return X509_sign(certificate, key, EVP_sha256()) != 0;
}

static bool context_make(void)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *certificate = X509_new();
	bool is_made;

	tls_context = SSL_CTX_new(TLS_server_method());
	is_made = tls_context != NULL && key != NULL && certificate != NULL &&
		  certificate_sign(certificate, key) &&
		  SSL_CTX_use_certificate(tls_context, certificate) == 1 &&
		  SSL_CTX_use_PrivateKey(tls_context, key) == 1;
	X509_free(certificate);
	EVP_PKEY_free(key);
	return is_made;
}

static void report(const struct apus_counters *counters)
{
	printf("%llu bytes echoed, %llu slots still used\n", (unsigned long long)byte_count,
		(unsigned long long)counters->slots_used);
}

int main(int argc, char **argv)
{
	static const struct serve serve = {
		.name = "tls_echo",
		.state_bytes = sizeof(struct session),
		.session_count = 1024,
		.start = session_start,
		.report = report,
	};
	int status;

	signal(SIGPIPE, SIG_IGN); /* OpenSSL writes with write(2) */
	if (!context_make()) {
		fprintf(stderr, "tls_echo: no certificate\n");
		return 1;
	}
	status = serve_main(&serve, argc, argv);
	SSL_CTX_free(tls_context);
	return status;
}
