#include "nest.h"

const struct nest_host nest_libuv = { .name = "libuv" };
