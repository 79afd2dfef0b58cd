/*
 * The table of a loop's file handles: what the loop opens and closes.
 */
#ifndef FILE_TABLE_H
#define FILE_TABLE_H

#include "apus/file.h"

/* 0 or -errno; sets cx->files. */
int apusi_files_open(struct apus_cx *cx, uint32_t count, bool at_once);

/* Closes every descriptor that is owned and that no helper is left with. */
void apusi_files_close(struct apus_cx *cx);

/* Handles that are open. */
uint32_t apusi_files_count(const struct apus_cx *cx);

#endif
