#include "apus/channel_spsc.h"

#define CHANNEL APUS_SPSC
#define CH(verb) apus_spsc_##verb
#define FIRSTS { 0, UINT64_C(0xfffffff0), UINT64_C(0xfffffffffffffff0) }
#include "channel_race.h"

int main(int argc, char **argv)
{
	return test_run(argc, argv, race_case("channel_spsc"));
}
