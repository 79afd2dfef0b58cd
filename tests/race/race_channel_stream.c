#include "apus/channel_stream.h"

#define CHANNEL APUS_STREAM
#define CH(verb) apus_stream_##verb
#define FIRSTS { 0, UINT64_C(0xfffffff8), UINT64_C(0xfffffffffffffff8) }
#include "channel_race.h"

int main(int argc, char **argv)
{
	return test_run(argc, argv, race_case("channel_stream"));
}
