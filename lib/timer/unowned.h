/*
 * unowned.h - timers in slots of the wheel, for callers who have nowhere to put one.
 */
#ifndef APUSI_UNOWNED_H
#define APUSI_UNOWNED_H

#include "apus/timer.h"

int apusi_unowned_init(struct apus_wheel *wheel, uint32_t count);
void apusi_unowned_deinit(struct apus_wheel *wheel);

#endif
