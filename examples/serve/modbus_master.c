/*
 * modbus_master - what a libmodbus client sees of modbus_loop, for the tests.
 *
 *   modbus_master PORT      prints "agreed", or what was wrong
 */
#include <errno.h>
#include <modbus/modbus.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int complain(const char *what)
{
	printf("%s: %s\n", what, modbus_strerror(errno));
	return 1;
}

/* The position comes to where it is told to be. */
static int follow(modbus_t *bus, uint16_t set_point)
{
	uint16_t position = 0;
	int tries;

	if (modbus_write_register(bus, 0, set_point) != 1)
		return complain("write one");
	for (tries = 0; tries < 1000; tries++) {
		if (modbus_read_input_registers(bus, 0, 1, &position) != 1)
			return complain("read input");
		if (abs(position - set_point) <= 1)
			return 0;
		usleep(10000);
	}
	printf("the position is %u, and should be %u\n", position, set_point);
	return 1;
}

/* What is not there is refused with the exception that says so. */
static int refusals(modbus_t *bus)
{
	uint16_t values[4] = { 0 };
	uint8_t bits[8];

	if (modbus_read_registers(bus, 14, 4, values) != -1 || errno != EMBXILADD)
		return complain("beyond the table");
	if (modbus_read_bits(bus, 0, 8, bits) != -1 || errno != EMBXILFUN)
		return complain("a function that there is not");
	return 0;
}

static int several(modbus_t *bus)
{
	const uint16_t sent[3] = { 11, 22, 33 };
	uint16_t got[3] = { 0 };

	if (modbus_write_registers(bus, 4, 3, sent) != 3)
		return complain("write several");
	if (modbus_read_registers(bus, 4, 3, got) != 3)
		return complain("read several");
	return got[0] != 11 || got[1] != 22 || got[2] != 33;
}

int main(int argc, char **argv)
{
	modbus_t *bus = modbus_new_tcp("127.0.0.1", argc > 1 ? atoi(argv[1]) : 502);
	int failed;

	if (bus == NULL || modbus_connect(bus) != 0)
		return complain("connect");
	failed = several(bus) || refusals(bus) || follow(bus, 2000) || follow(bus, 500);
	modbus_close(bus);
	modbus_free(bus);
	if (!failed)
		puts("agreed");
	return failed;
}
