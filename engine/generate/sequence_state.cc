#include "engine/generate/sequence_state.h"

#include <algorithm>
#include <cstring>

#include "engine/base/error.h"
#include "engine/file/checksum.h"
#include "engine/file/limits.h"
#include "kernels/format.h"

namespace headlane {
namespace {

constexpr size_t kChecksumBytes = 16;

std::array<std::byte, kChecksumBytes> checksum_of(std::span<const std::byte> bytes) {
  Checksum sum;
  sum.add(bytes);
  return sum.value();
}

// A file's own checksum stands for its weights. Throws Error(kUnsupported) where there is none: the
// header is that of other weights too.
std::array<std::byte, kChecksumBytes> identity_of(const Model& model) {
  const Container& container = model.container();
  const std::string config = container.config().dump();
  Checksum sum;
  sum.add(std::as_bytes(std::span(config)));
  for (const TensorInfo& tensor : container.tensors()) {
    sum.add(std::as_bytes(std::span(tensor.name)));
    const int64_t place[] = {tensor.offset, tensor.bytes};
    sum.add(std::as_bytes(std::span(place)));
  }
  if (container.file() == nullptr || container.checksum_offset() < 0) {
    fail(Status::kUnsupported,
         "%s has no checksum that tells its weights from others, which saved states need; convert "
         "the model again",
         container.path().c_str());
  }
  std::array<std::byte, kChecksumBytes> own;
  container.file()->read(container.checksum_offset(), own);
  sum.add(own);
  return sum.value();
}

void set_name(const std::string& name, std::array<char, 16>* to) {
  std::copy_n(name.begin(), std::min(name.size(), to->size() - 1), to->begin());
}

int64_t tokens_of(const SavedState& state, bool has_window) {
  return state.n_computed - (has_window ? state.window_first : 0);
}

// Calls body(row of a layer, offset of its bytes in the state, their number) for all rows that both
// the state and the place have.
template <typename Body>
void for_each_row(const SavedState& state, const SequenceCache& cache, int32_t place,
                  const Body& body) {
  size_t offset = sizeof state + static_cast<size_t>(state.n_ids) * sizeof(int32_t);
  const size_t row_bytes = static_cast<size_t>(state.row_floats) * sizeof(float);
  for (int64_t layer = 0; layer < state.n_layers; ++layer) {
    const KeyRows& rows = cache.layers()[layer];
    const int32_t* list = rows.has_window ? cache.window_rows(place) : cache.rows(place);
    const int64_t first = rows.has_window ? cache.first_in_windows(place) : 0;
    for (int64_t i = rows.has_window ? state.window_first : 0; i < state.n_computed; ++i) {
      if (i >= first) body(rows.data + list[i] * rows.ld, offset, row_bytes);
      offset += row_bytes;
    }
  }
}

[[noreturn]] void fail_state(Status status, const char* what) {
  fail(status, "the saved state %s", what);
}

}  // namespace

SavedState state_of(const Model& model, Precision precision, const SequenceCacheLimits& limits) {
  SavedState state;
  state.model = identity_of(model);
  set_name(name_of(precision), &state.precision);
  set_name(kernels::name_of(limits.row.format), &state.format);
  state.row_floats = limits.row.floats;
  state.n_layers = std::ssize(limits.has_window);
  return state;
}

size_t state_bytes(const SavedState& state, const SequenceCacheLimits& limits) {
  int64_t n_rows = 0;
  for (const bool has_window : limits.has_window) n_rows += tokens_of(state, has_window);
  return sizeof state + static_cast<size_t>(state.n_ids) * sizeof(int32_t) +
         static_cast<size_t>(n_rows * state.row_floats) * sizeof(float) + kChecksumBytes;
}

SavedState read_state(std::span<const std::byte> bytes, const SavedState& own,
                      const SequenceCacheLimits& limits, std::vector<int32_t>* ids) {
  SavedState state;
  if (bytes.size() < sizeof state + kChecksumBytes ||
      std::memcmp(bytes.data(), own.magic.data(), own.magic.size()) != 0) {
    fail_state(Status::kBadFile, "is none, or of another version of Headlane");
  }
  const auto sum = checksum_of(bytes.first(bytes.size() - kChecksumBytes));
  if (std::memcmp(sum.data(), bytes.last(kChecksumBytes).data(), kChecksumBytes) != 0) {
    fail_state(Status::kBadFile, "is damaged: its checksum does not match");
  }
  std::memcpy(&state, bytes.data(), sizeof state);
  if (state.model != own.model) fail_state(Status::kUnsupported, "is of another model");
  if (state.precision != own.precision) {
    fail_state(Status::kUnsupported, "is of another precision of products");
  }
  if (state.format != own.format || state.row_floats != own.row_floats ||
      state.n_layers != own.n_layers) {
    fail_state(Status::kUnsupported, "is of another format of the cache");
  }
  const auto within = [](int64_t n, int64_t most) { return n >= 0 && n <= most; };
  const bool fits =
      within(state.n_ids, file_limits::kPositions) && within(state.n_computed, state.n_ids) &&
      within(state.window_first, state.n_computed) && within(state.room, file_limits::kPositions) &&
      state.n_computed > 0 &&
      (state.window_first == 0 || state.window_first + limits.window <= state.n_computed);
  if (!fits || state_bytes(state, limits) != bytes.size()) {
    fail_state(Status::kBadFile, "has numbers that do not fit each other");
  }
  ids->resize(static_cast<size_t>(state.n_ids));
  std::memcpy(ids->data(), bytes.data() + sizeof state, ids->size() * sizeof(int32_t));
  return state;
}

void copy_rows_out(const SavedState& state, const SequenceCache& cache, int32_t place,
                   std::byte* bytes) {
  for_each_row(state, cache, place, [&](const float* row, size_t offset, size_t row_bytes) {
    std::memcpy(bytes + offset, row, row_bytes);
  });
}

void copy_rows_in(const SavedState& state, const SequenceCache& cache, int32_t place,
                  const std::byte* bytes) {
  for_each_row(state, cache, place, [&](float* row, size_t offset, size_t row_bytes) {
    std::memcpy(row, bytes + offset, row_bytes);
  });
}

void write_head(const SavedState& state, std::span<const int32_t> ids, std::byte* bytes) {
  std::memcpy(bytes, &state, sizeof state);
  std::memcpy(bytes + sizeof state, ids.data(), ids.size_bytes());
}

void write_checksum(std::span<std::byte> bytes) {
  const auto sum = checksum_of(bytes.first(bytes.size() - kChecksumBytes));
  std::memcpy(bytes.last(kChecksumBytes).data(), sum.data(), sum.size());
}

}  // namespace headlane
