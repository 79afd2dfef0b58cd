/*
 * test_net_address.c - addresses, read and written.
 */
#include <net/if.h>

#include "apus/net.h"
#include "test.h"

static void round_trip(const char *text, const char *expected, int family, uint16_t port)
{
	struct apus_address address, again;
	char back[APUS_ADDRESS_TEXT_BYTES];

	ck_assert_msg(apus_address_parse(&address, text) == 0, "cannot parse %s", text);
	ck_assert_int_eq(address.any.sa_family, family);
	ck_assert_uint_eq(apus_address_port(&address), port);
	ck_assert_int_eq(apus_address_format(&address, back, sizeof back), (int)strlen(expected));
	ck_assert_str_eq(back, expected);
	ck_assert_int_eq(apus_address_parse(&again, back), 0);
	ck_assert(apus_address_is_same(&address, &again));
}

START_TEST(an_address_is_read_and_written_alike)
{
	round_trip("127.0.0.1:80", "127.0.0.1:80", AF_INET, 80);
	round_trip("10.0.0.1", "10.0.0.1:0", AF_INET, 0);
	round_trip("255.255.255.255:65535", "255.255.255.255:65535", AF_INET, 65535);
	round_trip("[::1]:443", "[::1]:443", AF_INET6, 443);
	round_trip("[2001:DB8::1]", "[2001:db8::1]:0", AF_INET6, 0);
	round_trip("::", "[::]:0", AF_INET6, 0);
	round_trip("::ffff:1.2.3.4", "[::ffff:1.2.3.4]:0", AF_INET6, 0);
	round_trip("unix:/run/a b", "unix:/run/a b", AF_UNIX, 0);
	round_trip("unix:@name", "unix:@name", AF_UNIX, 0);
	round_trip("unix:", "unix:", AF_UNIX, 0);
}
END_TEST

START_TEST(a_scope_is_a_name_or_a_number)
{
	struct apus_address address;
	char text[APUS_ADDRESS_TEXT_BYTES];

	if (if_nametoindex("lo") == 0)
		TEST_SKIP("no interface called lo");
	ck_assert_int_eq(apus_address_parse(&address, "[fe80::1%lo]:5"), 0);
	ck_assert_uint_eq(address.ip6.sin6_scope_id, if_nametoindex("lo"));
	ck_assert_int_gt(apus_address_format(&address, text, sizeof text), 0);
	ck_assert_str_eq(text, "[fe80::1%lo]:5");
	ck_assert_int_eq(apus_address_parse(&address, "[fe80::1%4000000000]:5"), 0);
	ck_assert_int_gt(apus_address_format(&address, text, sizeof text), 0);
	ck_assert_str_eq(text, "[fe80::1%4000000000]:5");
	ck_assert_int_eq(apus_address_parse(&address, "[fe80::1%4294967297]:5"), -ENODEV);
	ck_assert_int_eq(apus_address_parse(&address, "[fe80::1%99999999999999999999]:5"), -ENODEV);
	ck_assert_int_eq(apus_address_parse(&address, "[fe80::1%-1]:5"), -ENODEV);
	ck_assert_int_eq(apus_address_parse(&address, "[fe80::1% 1]:5"), -ENODEV);
	ck_assert_int_eq(apus_address_parse(&address, "[fe80::1%nosuchif]:5"), -ENODEV);
	ck_assert_int_eq(apus_address_parse(&address, "[fe80::1%]:5"), -EINVAL);
}
END_TEST

START_TEST(what_is_no_address_is_refused)
{
	static const char *const wrong[] = {
		"", ":", ":80", "localhost:80", "1.2.3", "1.2.3.4.5:1", "256.0.0.1:1", "1.2.3.4:",
		"1.2.3.4:65536", "1.2.3.4:-1", "1.2.3.4:8o", "1.2.3.4: 80", "[::1", "[::1]80", "[::1]:",
		"[::1]:99999999999999999999", "[]", ":::", "12345::1", "[1.2.3.4]:80", "unix:@",
		"unix", " 1.2.3.4:80",
	};
	char text[APUS_ADDRESS_TEXT_BYTES + 16];
	struct apus_address address;
	size_t i;

	for (i = 0; i < sizeof wrong / sizeof *wrong; i++)
		ck_assert_msg(apus_address_parse(&address, wrong[i]) == -EINVAL, "took \"%s\"",
			wrong[i]);
	memset(text, '1', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	ck_assert_int_eq(apus_address_parse(&address, text), -EINVAL);
	memcpy(text, "unix:/", 6); /* longer than sun_path */
	text[120] = '\0';
	ck_assert_int_eq(apus_address_parse(&address, text), -EINVAL);
}
END_TEST

START_TEST(a_buffer_too_small_is_told)
{
	struct apus_address address;
	char text[12];

	ck_assert_int_eq(apus_address_parse(&address, "127.0.0.1:80"), 0);
	ck_assert_int_eq(apus_address_format(&address, text, sizeof text), -ENOSPC);
	ck_assert_int_eq(apus_address_format(&address, text, 0), -ENOSPC);
	address.bytes = 0;
	ck_assert_int_eq(apus_address_format(&address, text, sizeof text), 4);
	ck_assert_str_eq(text, "none");
}
END_TEST

START_TEST(a_port_is_changed_and_compared)
{
	struct apus_address a, b;

	ck_assert_int_eq(apus_address_parse(&a, "127.0.0.1:80"), 0);
	ck_assert_int_eq(apus_address_parse(&b, "127.0.0.1:81"), 0);
	ck_assert(!apus_address_is_same(&a, &b));
	apus_address_set_port(&b, 80);
	ck_assert(apus_address_is_same(&a, &b));
	ck_assert_int_eq(apus_address_parse(&a, "[::1]:80"), 0);
	ck_assert(!apus_address_is_same(&a, &b));
	ck_assert_int_eq(apus_address_parse(&b, "[::1]"), 0);
	apus_address_set_port(&b, 80);
	ck_assert(apus_address_is_same(&a, &b));
	ck_assert_int_eq(apus_address_parse(&a, "unix:/a"), 0);
	ck_assert_int_eq(apus_address_parse(&b, "unix:/b"), 0);
	ck_assert(!apus_address_is_same(&a, &b));
}
END_TEST

START_TEST(an_interface_is_found_by_name_and_by_address)
{
	int index = (int)if_nametoindex("lo");

	if (index == 0)
		TEST_SKIP("no interface called lo");
	ck_assert_int_eq(apus_interface_index("lo"), index);
	ck_assert_int_eq(apus_interface_index("127.0.0.1"), index);
	ck_assert_int_eq(apus_interface_index("203.0.113.77"), -ENODEV);
	ck_assert_int_eq(apus_interface_index("nosuchif"), -ENODEV);
}
END_TEST

TEST_MAIN("net_address",
	an_address_is_read_and_written_alike,
	a_scope_is_a_name_or_a_number,
	what_is_no_address_is_refused,
	a_buffer_too_small_is_told,
	a_port_is_changed_and_compared,
	an_interface_is_found_by_name_and_by_address)
