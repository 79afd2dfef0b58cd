#include "apus/fanout.h"

#define CHANNEL(name, type) APUS_FANOUT(name, type, 16)
#define RD(verb) apus_fanout_##verb
#define START(reader, channel) apus_fanout_reader_init(reader, channel, 0)
#define FIRSTS { 0, UINT64_C(0xfffffff0), UINT64_C(0xfffffffffffffff0) }
#define PUBLISH(channel, messages, count)                                            \
	do {                                                                         \
		if ((count) == 1)                                                    \
			apus_fanout_publish((channel), (messages)[0]);               \
		else                                                                 \
			apus_fanout_publish_many((channel), (messages), (count));    \
	} while (0)
#include "readers_race.h"

int main(int argc, char **argv)
{
	return readers_race(argc, argv, "fanout");
}
