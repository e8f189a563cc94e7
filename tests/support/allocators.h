// The allocators of a program that links allocators.cc: those of the C library, counted, and made
// to fail when a test says so. Threads count as allocations: each is a stack.
#pragma once

#include <cstdint>

namespace headlane::test {

// Since the program began: how many were asked for; how many blocks and mappings there are now.
int64_t n_allocations();
int64_t n_live_allocations();

// From now on, the n-th allocation of any thread fails (1: the next), and all that follow it too if
// `and_later`; n = 0: none fails any more.
void fail_allocation(int64_t n, bool and_later);
// Allocations of this library, by a part of its file's name, do not fail: "libsentencepiece".
void spare_library(const char* name);
// How many have failed since then.
int64_t n_failed_allocations();
// How many were let through since then, though it was their turn.
int64_t n_spared_allocations();

}  // namespace headlane::test
