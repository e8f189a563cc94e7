// A state is what a sequence has in the cache, as bytes that another run of the program can go on
// from.
//
//   magic "HLSTATE", and the version, 1           8 bytes
//   the model's identity                         16
//   the names of the precision of products and
//   of the cache's format, ended by zeros        16 each
//   floats of a row, layers, tokens, tokens that are computed, the first one that layers with a
//   window have, room                            6 times i64
//   ids                                          i32 of each token
//   rows of keys and values                      of each layer, of each token that it has
//   checksum: XXH3, 128 bits, of all before      16
//
// Numbers are as the machine has them. A state is hostile until checked.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "engine/generate/sequence_cache.h"
#include "engine/model/model.h"

namespace headlane {

struct SavedState {
  std::array<char, 8> magic = {'H', 'L', 'S', 'T', 'A', 'T', 'E', 1};
  std::array<std::byte, 16> model = {};
  std::array<char, 16> precision = {}, format = {};
  int64_t row_floats = 0, n_layers = 0;
  int64_t n_ids = 0, n_computed = 0, window_first = 0, room = 0;
};

// A state of this model and these limits, without its numbers of tokens. Throws Error(kUnsupported)
// for a model whose file has no checksum.
SavedState state_of(const Model& model, Precision precision, const SequenceCacheLimits& limits);

// The bytes of a state whose numbers of tokens are set.
size_t state_bytes(const SavedState& state, const SequenceCacheLimits& limits);

// Checks a state, all of it, and copies its head and ids. `own`: a state of this model, as of
// state_of. Throws Error: kBadFile for what is no state or is damaged, kUnsupported for one of
// another model, precision or format of the cache.
SavedState read_state(std::span<const std::byte> bytes, const SavedState& own,
                      const SequenceCacheLimits& limits, std::vector<int32_t>* ids);

// Copies the rows of a place to the state's part for them, [state_bytes], or from there.
void copy_rows_out(const SavedState& state, const SequenceCache& cache, int32_t place,
                   std::byte* bytes);
void copy_rows_in(const SavedState& state, const SequenceCache& cache, int32_t place,
                  const std::byte* bytes);

// Writes head and ids, and, of what is there then, the checksum.
void write_head(const SavedState& state, std::span<const int32_t> ids, std::byte* bytes);
void write_checksum(std::span<std::byte> bytes);

}  // namespace headlane
