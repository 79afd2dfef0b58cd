#include "apus/latest.h"

#define CHANNEL APUS_LATEST
#define RD(verb) apus_latest_##verb
#define START(reader, channel) apus_latest_reader_init(reader, channel)
#define FIRSTS { 0, UINT64_C(0xfffffff1), UINT64_C(0xfffffffffffffff2) }
#define PUBLISH(channel, messages, count)                                \
	do {                                                             \
		uint64_t i_;                                             \
		for (i_ = 0; i_ < (count); i_++)                         \
			apus_latest_publish((channel), (messages)[i_]);  \
	} while (0)
#include "readers_race.h"

int main(int argc, char **argv)
{
	return readers_race(argc, argv, "latest");
}
