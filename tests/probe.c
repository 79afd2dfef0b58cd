/* probe - opens a loop over the backend that APUS_BACKEND names: 0, or 77 and the reason. */
#include <stdio.h>

#include "apus/loop.h"

int main(void)
{
	struct apus_config config;
	struct apus_loop *loop;
	int err;

	apus_config_init(&config);
	config.log_fn = NULL;
	err = apus_open(&loop, &config);
	if (err) {
		printf("SKIP: %s\n", config.reason);
		return 77;
	}
	return apus_close(loop, NULL) == 0 ? 0 : 1;
}
