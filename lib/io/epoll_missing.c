#include "io/backend.h"

/* Known by name, and not built in: see epoll.c. */
const struct apusi_backend apusi_backend_epoll = { .name = "epoll" };
