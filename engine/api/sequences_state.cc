// The C API's saved states of sequences.
#include <vector>

#include "engine/api/c_api.h"
#include "engine/api/sequences_handle.h"
#include "engine/base/error.h"
#include "engine/file/input_file.h"
#include "engine/file/output_file.h"

using namespace headlane::c_api;  // NOLINT(google-build-using-namespace): what this file is of

namespace {

std::vector<std::byte> state_of(const headlane_sequences* sequences, int64_t sequence) {
  require(sequences, "sequences");
  std::vector<std::byte> state;
  while (true) {
    state.resize(sequences->sequences.save(sequence, {}));
    try {
      state.resize(sequences->sequences.save(sequence, state));
      return state;
    } catch (const headlane::Error& error) {
      // A step of another thread has made it longer since.
      if (error.status() != headlane::Status::kTooLarge) throw;
    }
  }
}

}  // namespace

headlane_status headlane_sequences_save(const headlane_sequences* sequences, int64_t sequence,
                                        void* state, size_t capacity, size_t* n_bytes) {
  return guarded([&] {
    require(sequences, "sequences");
    require(n_bytes, "n_bytes");
    if (capacity > 0) require(state, "state");
    *n_bytes = sequences->sequences.save(sequence, {});
    if (capacity == 0) return;
    *n_bytes = sequences->sequences.save(sequence, {static_cast<std::byte*>(state), capacity});
  });
}

headlane_status headlane_sequences_load(headlane_sequences* sequences, const void* state,
                                        size_t n_bytes, int64_t* sequence) {
  return guarded([&] {
    require(sequences, "sequences");
    require(sequence, "sequence");
    if (n_bytes > 0) require(state, "state");
    *sequence = sequences->sequences.load({static_cast<const std::byte*>(state), n_bytes});
  });
}

headlane_status headlane_sequences_save_file(const headlane_sequences* sequences, int64_t sequence,
                                             const char* path) {
  return guarded([&] {
    require(path, "path");
    const std::vector<std::byte> state = state_of(sequences, sequence);
    headlane::OutputFile file(path);
    file.write(state);
    file.commit();
  });
}

headlane_status headlane_sequences_load_file(headlane_sequences* sequences, const char* path,
                                             int64_t* sequence) {
  return guarded([&] {
    require(sequences, "sequences");
    require(path, "path");
    require(sequence, "sequence");
    const headlane::InputFile file(path);
    std::vector<std::byte> state(static_cast<size_t>(file.bytes()));
    file.read(0, state);
    *sequence = sequences->sequences.load(state);
  });
}
