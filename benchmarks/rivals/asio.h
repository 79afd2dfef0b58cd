/*
 * asio.h - what the files of Boost.Asio share: its io_context for one thread, and the room that
 * a pending operation lives in.
 */
#ifndef RIVAL_ASIO_H
#define RIVAL_ASIO_H

#include <utility> /* which Boost 1.74 forgets */

#include <boost/asio.hpp>

#include <cstddef>
#include <new>

#include <x86intrin.h>

extern "C" {
#include "../bench.h"
}

namespace asio = boost::asio;

namespace {

/* One thread runs it, and nobody else calls it: no locks. */
struct lone_context : asio::io_context {
	lone_context() : asio::io_context(BOOST_ASIO_CONCURRENCY_HINT_UNSAFE) {}
};

/* The type of the executor is named, where the default hides it behind virtual calls. */
using executor = asio::io_context::executor_type;

/* Where an operation lives that is begun again when it has ended: its handler's allocator. */
struct room {
	alignas(std::max_align_t) unsigned char bytes[192];
	bool taken;
};

template <typename T> struct room_allocator {
	using value_type = T;

	explicit room_allocator(room *at) : at(at) {}
	template <typename U> room_allocator(const room_allocator<U> &other) : at(other.at) {}

	T *allocate(std::size_t count)
	{
		if (at->taken || count * sizeof(T) > sizeof at->bytes)
			throw std::bad_alloc();
		at->taken = true;
		return reinterpret_cast<T *>(at->bytes);
	}
	void deallocate(T *, std::size_t)
	{
		at->taken = false;
	}
	bool operator==(const room_allocator &other) const
	{
		return at == other.at;
	}

	room *at;
};

/* A handler that calls a member of `self`, and whose operation lives in a room. */
template <typename Self, void (Self::*then)(boost::system::error_code, std::size_t)>
struct handler {
	using allocator_type = room_allocator<void>;

	allocator_type get_allocator() const noexcept
	{
		return allocator_type(at);
	}
	void operator()(boost::system::error_code err, std::size_t bytes = 0)
	{
		(self->*then)(err, bytes);
	}

	Self *self;
	room *at;
};

} // namespace

#endif
