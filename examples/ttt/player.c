/* player.c - a desk and a session, told what they were told before. */
#include "player.h"

void player_init(struct player *player, struct desk *desk)
{
	memset(player, 0, sizeof(*player));
	player->desk = desk;
	session_init(&player->session, SESSION_CLIENT, 0);
	desk->gateway.is_connected = false;
}

/* ---- what came --------------------------------------------------------------------------- */

/* As the engine does after each packet; the orders are kept until they are seen to be sent. */
static void trade(struct player *player, int64_t now_ns)
{
	player->different += player->count; /* decided now, and not sent then */
	for (player->first = player->count = 0; player->count < PLAYER_ORDERS; player->count++) {
		uint8_t *bytes = player->decided[player->count].bytes;
		int length = desk_order(player->desk, now_ns, bytes);

		if (length <= 0)
			return;
		player->decided[player->count].length = length;
	}
}

static void on_packet(struct player *player, const struct tap *tap, const uint8_t *bytes)
{
	if (tap->line >= FEED_LINES)
		return; /* of no engine of ours */
	desk_packet(player->desk, (enum feed_line)tap->line, bytes, tap->size, tap->now_ns);
	player->desk->is_held = tap->is_held;
	trade(player, tap->now_ns);
}

static void on_answer(struct player *player, const struct soup_packet *packet, int64_t now_ns)
{
	struct desk *desk = player->desk;

	switch (session_receive(&player->session, packet, now_ns, NULL)) {
	case SESSION_DATA:
		gateway_answer(&desk->gateway, packet->body, packet->body_size);
		return;
	case SESSION_OTHER:
		gateway_abandon(&desk->gateway);
		return;
	case SESSION_CAUGHT_UP:
		gateway_resume(&desk->gateway);
		desk->is_trading = true;
		return;
	case SESSION_REJECTED:
		if (player->session.reject_reason == SOUP_REJECT_NO_SESSION) {
			session_forget(&player->session);
			session_lost(&player->session);
		}
		return;
	default:
		return;
	}
}

static void on_received(struct player *player, const struct tap *tap, const uint8_t *bytes)
{
	struct soup_packet packet;
	size_t room;
	uint8_t *space = soup_stream_space(&player->stream, &room);

	if (tap->size > room)
		return; /* more than a read of the engine's ever brought */
	memcpy(space, bytes, tap->size);
	soup_stream_add(&player->stream, tap->size);
	while (soup_stream_next(&player->stream, &packet) == 1)
		on_answer(player, &packet, tap->now_ns);
}

/* ---- what was sent ---------------------------------------------------------------------------- */

/* The order that was decided next has to be this one. */
static void check_order(struct player *player, const struct tap *tap, const uint8_t *bytes)
{
	uint32_t at = player->first;

	if (player->count == 0 || player->decided[at].length != tap->size ||
	    memcmp(player->decided[at].bytes, bytes, tap->size) != 0) {
		player->different++;
		return;
	}
	player->orders++;
	player->first++;
	player->count--;
}

/* When a cancel is sent hangs on timers, or on a person: it is taken as it came. */
static void take_cancel(struct player *player, const struct tap *tap, const uint8_t *bytes)
{
	struct gateway_handle handle;
	uint8_t again[GATEWAY_PACKET_MAX];

	if (!gateway_parse_token(&player->desk->gateway,
		(const char *)bytes + SOUP_HEADER_SIZE + 1, &handle) ||
	    gateway_cancel(&player->desk->gateway, handle, tap->now_ns, again) != tap->size ||
	    memcmp(again, bytes, tap->size) != 0) {
		player->different++;
		return;
	}
	player->cancels++;
}

static void on_sent(struct player *player, const struct tap *tap, const uint8_t *bytes)
{
	uint8_t scratch[SOUP_PACKET_MAX];
	struct soup_packet packet;

	if (soup_parse(bytes, tap->size, &packet) != tap->size)
		player->different++;
	else if (packet.type == SOUP_LOGIN_REQUEST)
		session_login(&player->session, "", "", scratch, tap->now_ns);
	else if (packet.type == SOUP_LOGOUT)
		session_leave(&player->session, scratch, tap->now_ns);
	else if (packet.type == SOUP_UNSEQUENCED && packet.body[0] == OUCH_CANCEL &&
		 packet.body_size == ouch_request_size(OUCH_CANCEL))
		take_cancel(player, tap, bytes);
	else if (packet.type == SOUP_UNSEQUENCED)
		check_order(player, tap, bytes);
}

static void on_request(struct player *player, const struct tap *tap, const uint8_t *bytes)
{
	uint8_t request[MOLD_HEADER_SIZE];

	if (!desk_request(player->desk, tap->now_ns, request) || tap->size != sizeof(request) ||
	    memcmp(request, bytes, sizeof(request)) != 0)
		player->different++;
}

static void on_hang_up(struct player *player)
{
	struct gateway *gateway = &player->desk->gateway;

	player->desk->is_trading = false;
	player->stream.begin = player->stream.end = 0;
	if (player->session.state == SESSION_OVER) {
		gateway->is_connected = false;
		return;
	}
	session_lost(&player->session);
	gateway_break(gateway);
}

void player_take(struct player *player, const struct tap *tap, const uint8_t *bytes)
{
	uint8_t request[MOLD_HEADER_SIZE];

	player->taps[tap->kind]++;
	switch (tap->kind) {
	case TAP_PACKET:
		on_packet(player, tap, bytes);
		return;
	case TAP_REQUEST:
		on_request(player, tap, bytes);
		return;
	case TAP_GIVE_UP:
		desk_request(player->desk, tap->now_ns, request);
		return;
	case TAP_RECEIVED:
		on_received(player, tap, bytes);
		return;
	case TAP_SENT:
		on_sent(player, tap, bytes);
		return;
	case TAP_HANG_UP:
		on_hang_up(player);
		return;
	}
}
