#include "io/backend.h"

/* Known by name, so that asking for it says what is missing. */
const struct apusi_backend apusi_backend_uring = { .name = "uring" };
