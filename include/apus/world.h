/*
 * apus/world.h - typed resources, one per declared name.
 *
 *   Units      none.
 *   Errors     put: 0; -EEXIST when the world has one of this name; -EINVAL for a NULL
 *              object; -ENOSPC when the process has put APUS_RESOURCE_MAX different
 *              names; -ESHUTDOWN from a destructor.  A wrong type does not compile.
 *              find: NULL when missing.  get: panics with the resource's name.
 *   Ownership  the caller owns the world and the objects; put_with gives an object's end
 *              to its destructor, which deinit calls once.  No memory is allocated.
 *   Threads    put, take and deinit: one thread at a time, while nobody looks.  find and
 *              get: any number of threads.  Worlds of different threads do not meet:
 *              the ids they share are given atomically.
 *   Order      deinit calls the destructors in reverse order of registration; what was
 *              put earlier can still be found meanwhile, the object itself no longer.
 *   Cost       find, get: two loads and a test or two.  put, take, deinit: cold.
 *
 * A name is declared in a header, defined in one file of the program or of a shared
 * object, put before the loop runs, and got in every task as apus_get(cx->world, stats).
 *
 *   Example:
 *	struct stats { int64_t orders; };
 *
 *	APUS_RESOURCE(stats, struct stats)
 *	APUS_RESOURCE_DEFINE(stats)
 *
 *	int main(void)
 *	{
 *		static struct apus_world world;
 *		struct stats stats = { 0 };
 *
 *		if (apus_put(&world, stats, &stats) != 0)
 *			return 1;
 *		apus_get(&world, stats)->orders++;
 *		apus_world_deinit(&world);
 *		return stats.orders == 1 ? 0 : 1;
 *	}
 *
 * A pointer or function type wants a typedef.  An empty world is zero bytes, so a static
 * one needs no init; it serves without a loop just as well, and may outlive one.  A shared
 * object stays loaded as long as a world has destructors of its own.
 */
#ifndef APUS_WORLD_H
#define APUS_WORLD_H

#include "apus/base.h"

/* Names put in any world of this process; a world of that many costs 8 kB. */
#define APUS_RESOURCE_MAX 255

/* A declared name.  The id is given by its first put in any world; 0 until then. */
struct apus_resource {
	uint32_t id;
	const char *name;
};

typedef void apus_destructor_fn(void);

/* Restores a destructor's own type and calls it. */
typedef void apus_destroy_fn(apus_destructor_fn *destructor, void *object);

struct apus_world_entry {
	uint32_t id;
	apus_destroy_fn *destroy; /* NULL: the object is not ours to end */
	apus_destructor_fn *destructor;
};

/* Private, and open only so that find can be inline. */
struct apus_world {
	void *objects[APUS_RESOURCE_MAX + 1]; /* by id; slot 0 is always NULL */
	struct apus_world_entry entries[APUS_RESOURCE_MAX]; /* in the order of put */
	uint32_t entry_count;
	uint32_t closing;
};

APUS_BEGIN_DECLS

APUS_API void apus_world_init(struct apus_world *world);

/* Ends every object that has a destructor and forgets the others; empty afterwards. */
APUS_API void apus_world_deinit(struct apus_world *world);

/* What the typed words below stand on. */
APUS_API int apus_world_put(struct apus_world *world, struct apus_resource *resource, void *object,
	apus_destroy_fn *destroy, apus_destructor_fn *destructor);
APUS_API void *apus_world_take(struct apus_world *world, const struct apus_resource *resource);
APUS_API APUS_COLD void apus_world_missing(const struct apus_resource *resource, const char *file,
	int line) __attribute__((__noreturn__));

APUS_END_DECLS

/* A loop without a world hands out NULL: nothing is found in it. */
APUS_INLINE void *apus_world_find(const struct apus_world *world,
	const struct apus_resource *resource)
{
	if (apus_unlikely(world == NULL))
		return NULL;
	/* Relaxed: whoever may look at an object was told of it by other means. */
	return world->objects[apus_load_relaxed(&resource->id)];
}

#define APUS_UNUSED_INLINE static inline __attribute__((__unused__))

#ifdef __cplusplus
#define APUS_RESOURCE_EXTERN extern "C" APUS_API
#else
#define APUS_RESOURCE_EXTERN extern APUS_API
#endif

/* Declares a resource: once a program for each name, in a header. */
#define APUS_RESOURCE(name_, type)                                                     \
	APUS_RESOURCE_EXTERN struct apus_resource apus_resource_##name_;               \
	typedef type apus_resource_type_##name_;                                       \
	APUS_UNUSED_INLINE type *apus_resource_find_##name_(const struct apus_world *world) \
	{                                                                              \
		return (type *)apus_world_find(world, &apus_resource_##name_);         \
	}                                                                              \
	APUS_UNUSED_INLINE type *apus_resource_get_##name_(const struct apus_world *world, \
		const char *file, int line)                                            \
	{                                                                              \
		type *object = apus_resource_find_##name_(world);                      \
                                                                                       \
		if (apus_unlikely(object == NULL))                                     \
			apus_world_missing(&apus_resource_##name_, file, line);        \
		return object;                                                         \
	}                                                                              \
	APUS_UNUSED_INLINE type *apus_resource_take_##name_(struct apus_world *world)  \
	{                                                                              \
		return (type *)apus_world_take(world, &apus_resource_##name_);         \
	}                                                                              \
	APUS_UNUSED_INLINE void apus_resource_destroy_##name_(                         \
		apus_destructor_fn *destructor, void *object)                          \
	{                                                                              \
		((void (*)(type *))destructor)((type *)object);                        \
	}                                                                              \
	APUS_UNUSED_INLINE int apus_resource_put_##name_(struct apus_world *world,     \
		type *object, void (*destructor)(type *))                              \
	{                                                                              \
		return apus_world_put(world, &apus_resource_##name_, (void *)object,   \
			destructor != NULL ? apus_resource_destroy_##name_ : NULL,     \
			(apus_destructor_fn *)destructor);                             \
	}

/* Defines it: in one file of the program or of one of its shared objects. */
#define APUS_RESOURCE_DEFINE(name_) struct apus_resource apus_resource_##name_ = { 0, #name_ };

/*
 * gcc only warns of a pointer of another type that is passed to a function; a _Generic
 * without a match is an error in every C compiler, as the call itself is in C++.
 */
#ifdef __cplusplus
#define APUS_TYPED(type, ...) (__VA_ARGS__)
#else
#define APUS_TYPED(type, ...) _Generic((__VA_ARGS__), type : (__VA_ARGS__))
#endif

/* int apus_put(struct apus_world *world, NAME, TYPE *object) */
#define apus_put(world, name_, ...)                                                      \
	apus_resource_put_##name_((world),                                               \
		APUS_TYPED(apus_resource_type_##name_ *, __VA_ARGS__), NULL)

/* int apus_put_with(struct apus_world *world, NAME, TYPE *object, void (*destructor)(TYPE *)) */
#define apus_put_with(world, name_, object, ...)                                         \
	apus_resource_put_##name_((world),                                               \
		APUS_TYPED(apus_resource_type_##name_ *, object),                        \
		APUS_TYPED(void (*)(apus_resource_type_##name_ *), __VA_ARGS__))

/* TYPE *apus_find(const struct apus_world *world, NAME): NULL when missing. */
#define apus_find(world, name_) apus_resource_find_##name_(world)

/* TYPE *apus_get(const struct apus_world *world, NAME): a missing one panics by name. */
#define apus_get(world, name_) apus_resource_get_##name_((world), __FILE__, __LINE__)

/*
 * TYPE *apus_take(struct apus_world *world, NAME): out of the world, its destructor not
 * called; NULL when missing.  The object is the caller's, to end or to put elsewhere.
 */
#define apus_take(world, name_) apus_resource_take_##name_(world)

#endif
