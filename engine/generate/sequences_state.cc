// Sequences that are saved, and taken up again.
#include <algorithm>

#include "engine/base/error.h"
#include "engine/generate/sequence_request.h"
#include "engine/generate/sequence_state.h"
#include "engine/generate/sequences.h"

namespace headlane {
namespace {

using ll = long long;

}  // namespace

size_t Sequences::save(int64_t number, std::span<std::byte> bytes) const {
  const std::lock_guard lock(mutex_);
  const Sequence& sequence = *find(number);
  if (sequence.place < 0 || sequence.n_computed == 0) {
    fail(Status::kInvalidArgument,
         "sequence %lld has nothing in the cache; keep makes one that has ended stay there",
         ll{number});
  }
  SavedState state = state_of(model_, limits_.step.run.precision, limits_.cache);
  state.n_ids = sequence.length();
  state.n_computed = sequence.n_computed;
  state.window_first = std::min(cache_.first_in_windows(sequence.place), state.n_computed);
  state.room = sequence.room;
  const size_t n_bytes = state_bytes(state, limits_.cache);
  if (bytes.empty()) return n_bytes;
  if (bytes.size() < n_bytes) {
    fail(Status::kTooLarge, "capacity is %zu, but the state has %zu bytes", bytes.size(), n_bytes);
  }
  write_head(state, sequence.ids, bytes.data());
  copy_rows_out(state, cache_, sequence.place, bytes.data());
  write_checksum(bytes.first(n_bytes));
  return n_bytes;
}

int64_t Sequences::load(std::span<const std::byte> bytes) {
  SequenceRequest request = default_request(model_.config());
  const SavedState own = state_of(model_, limits_.step.run.precision, limits_.cache);
  const SavedState state = read_state(bytes, own, limits_.cache, &request.ids);
  const int64_t vocab_size = model_.config().decoder.vocab_size;
  if (std::ranges::any_of(request.ids, [&](int32_t id) { return id < 0 || id >= vocab_size; })) {
    fail(Status::kBadFile, "the saved state has ids that the vocabulary lacks");
  }
  request.generates = false;
  request.keeps = true;
  const std::shared_ptr<Sequence> sequence = make(std::move(request));
  sequence->room = state.room;
  const std::lock_guard lock(mutex_);
  if (cache_.n_free_places() == 0 || state.n_ids > cache_.n_free_rows()) {
    fail(Status::kTooLarge,
         "the saved state has %lld tokens, and the cache has room for %lld more in %lld more "
         "sequences",
         ll{state.n_ids}, ll{cache_.n_free_rows()}, ll{cache_.n_free_places()});
  }
  sequence->number = ++last_number_;
  sequences_.emplace(sequence->number, sequence);
  take_place(sequence.get());
  // These may keep less of what is before the window than those that saved it.
  const int64_t kept = state.n_computed - limits_.cache.window - limits_.cache.slack;
  cache_.restore(sequence->place, sequence->length(), state.n_computed,
                 std::max(state.window_first, kept));
  copy_rows_in(state, cache_, sequence->place, bytes.data());
  cache_.end_tokens(sequence->place, state.n_computed);
  sequence->n_computed = sequence->n_shared = state.n_computed;
  sequence->end(Finish::kLength);
  return sequence->number;
}

}  // namespace headlane
