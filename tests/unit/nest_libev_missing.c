#include "nest.h"

const struct nest_host nest_libev = { .name = "libev" };
