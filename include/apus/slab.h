/*
 * apus/slab.h - equal slots at stable addresses.
 *
 *   Units      sizes in bytes, counts and indices in slots.
 *   Errors     init: 0 or -errno, and apus_slab_reason says it in words.
 *              claim: NULL when full, which is not an error.
 *   Ownership  the slab owns the memory; the caller owns a slot from claim to release.
 *   Threads    one at a time; nothing here is atomic.
 *   Order      last released, first claimed; then fresh slots by rising index.
 *   Cost       claim, release: under ten instructions; no call, no atomic.  The first
 *              claim of a slot is one short call, and the first of a chunk a system call.
 *   Source     the free list through the slots: Bonwick, 1994; type-stable memory:
 *              Greenwald and Cheriton, 1996; division by multiplying with the inverse:
 *              Granlund and Montgomery, 1994.
 *
 * The whole address range is reserved by init and opened a chunk at a time, so slots
 * never move, and an index is a multiplication away from its slot.  Memory goes back
 * at deinit only, and a free slot keeps its bytes: the free list takes the first eight,
 * every other byte of a released slot is what it was, and of a never-claimed one zero.
 * So a serial kept behind the first eight bytes outlives the slot's owner.
 */
#ifndef APUS_SLAB_H
#define APUS_SLAB_H

#include "apus/base.h"

struct apus_slab_config {
	size_t slot_bytes;   /* rounded up to slot_align, and to the eight of the free list */
	size_t slot_align;   /* a power of two up to 4096; 0: 16 */
	uint32_t slot_count; /* a chunk */
	uint32_t chunk_max;  /* 0 or 1: bounded; more: grows by chunks of slot_count */
	bool prefault;       /* touch every page when its chunk is opened; from 2 MiB on in */
	                     /* transparent huge pages, if the kernel has some then */
	bool lock;           /* mlock every chunk, which touches it too, and in the same way */
	bool huge_pages;     /* from the kernel's pool of huge pages, touched at once */
	bool huge_try;       /* as huge_pages, but transparent or plain pages will do */
	bool numa_bind;      /* all pages on numa_node, or an error */
	int numa_node;       /* read only with numa_bind, so -1 or 0 without it says "none" */
};

/* A free slot.  It aliases whatever the slot's owner keeps in these bytes. */
struct __attribute__((__may_alias__)) apus_slab_slot {
	struct apus_slab_slot *next;
};

/* All but the counts is private, and open only so that the hot half can be inline. */
struct apus_slab {
	struct apus_slab_slot *free_head;
	uint32_t live_count; /* read: slots claimed and not released */
	uint32_t used_count; /* read: slots ever handed out, which is live_count's high water */
	unsigned char *base;
	size_t stride;
	uint64_t stride_inverse; /* of stride's odd part, modulo 2^64 */
	uint32_t stride_shift;   /* its power of two */
	uint32_t open_count;     /* read: slots in the chunks opened so far */
	uint64_t *debug_live;    /* a bit a slot; NULL unless the library is a debug build */
	uint32_t capacity;       /* read: slots when every chunk is open */
	uint32_t chunk_count;    /* read: chunks opened; beyond 1 the slab has grown */
	struct apus_slab_config config;
	unsigned char *map;
	size_t map_bytes;
	size_t page_bytes;
	size_t open_bytes;
	const char *reason;
};

APUS_BEGIN_DECLS

/*
 * -EINVAL   size 0, count 0, an alignment that is none, slots x size beyond the address
 *           space or beyond 2^32 - 1 slots.
 * -ENOMEM   no memory, no huge pages (huge_pages), or over the limit of locked memory.
 * -EPERM    not allowed to lock or to bind memory.
 * -ENODEV   numa_node is not there.
 * A slab whose init failed may be deinitialized, and holds nothing but the reason.
 */
APUS_API int apus_slab_init(struct apus_slab *slab, const struct apus_slab_config *config);

/* All slots at once, claimed or not. */
APUS_API void apus_slab_deinit(struct apus_slab *slab);

/* The cold half of claim: the next fresh slot, of a new chunk if need be; NULL when full. */
APUS_API APUS_COLD void *apus_slab_refill(struct apus_slab *slab);

/* The debug half: a slot claimed twice or released twice, and what never was a slot, panic. */
APUS_API void apus_slab_debug_claim(struct apus_slab *slab, const void *slot);
APUS_API void apus_slab_debug_release(struct apus_slab *slab, const void *slot);

APUS_END_DECLS

/* Why init failed or the slab last failed to grow; never NULL. */
APUS_INLINE const char *apus_slab_reason(const struct apus_slab *slab)
{
	return slab->reason != NULL ? slab->reason : "";
}

/* NULL when full.  The bytes behind the first eight are as their last owner left them. */
APUS_INLINE void *apus_slab_claim(struct apus_slab *slab)
{
	struct apus_slab_slot *slot = slab->free_head;

	if (apus_unlikely(slot == NULL))
		return apus_slab_refill(slab);
#if APUS_DEBUG
	apus_slab_debug_claim(slab, slot);
#endif
	slab->free_head = slot->next;
	slab->live_count++;
	return slot;
}

APUS_INLINE void apus_slab_release(struct apus_slab *slab, void *memory)
{
	struct apus_slab_slot *slot = (struct apus_slab_slot *)memory;

#if APUS_DEBUG
	apus_slab_debug_release(slab, slot);
#endif
	slot->next = slab->free_head;
	slab->free_head = slot;
	slab->live_count--;
}

/*
 * The quotient of an offset and the stride without a division.  What is no multiple of
 * the stride, or lies below the base, gives a number beyond every capacity.
 */
APUS_INLINE uint64_t apus_slab_quotient(const struct apus_slab *slab, const void *slot)
{
	uint64_t offset = (uint64_t)((uintptr_t)slot - (uintptr_t)slab->base);
	uint64_t product = offset * slab->stride_inverse;

	return product >> slab->stride_shift | product << (-slab->stride_shift & 63);
}

/* True for the address of a slot, claimed or free, of an opened chunk. */
APUS_INLINE bool apus_slab_owns(const struct apus_slab *slab, const void *slot)
{
	return apus_slab_quotient(slab, slot) < slab->open_count;
}

/* The index of one of this slab's slots, 0 to capacity - 1. */
APUS_INLINE uint32_t apus_slab_index(const struct apus_slab *slab, const void *slot)
{
	APUS_DEBUG_ASSERT(apus_slab_owns(slab, slot));
	return (uint32_t)apus_slab_quotient(slab, slot);
}

/* The slot, claimed or free, or NULL for an index beyond the chunks opened so far. */
APUS_INLINE void *apus_slab_at(const struct apus_slab *slab, uint32_t index)
{
	if (apus_unlikely(index >= slab->open_count))
		return NULL;
	return slab->base + index * slab->stride;
}

#endif
