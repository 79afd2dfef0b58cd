#include "io/backend.h"

/* Known by name, and not built in: see libev.c. */
const struct apusi_backend apusi_backend_libev = { .name = "libev" };
