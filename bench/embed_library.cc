// How long a call of the C API takes within C, beside the same call from Python (python_calls.py).
#include <chrono>
#include <cstdint>

#include "headlane/embed.h"

using Embed = headlane_status(headlane_session*, const headlane_texts*,
                              const headlane_embed_options*, float*, int64_t);

// Seconds of one call of `embed`, which is headlane_session_embed of any build; less than 0 if it
// fails.
extern "C" __attribute__((visibility("default"))) double headlane_bench_time_embed(
    Embed* embed, headlane_session* session, const headlane_texts* texts,
    const headlane_embed_options* options, float* vectors, int64_t stride) {
  const auto begin = std::chrono::steady_clock::now();
  const headlane_status status = embed(session, texts, options, vectors, stride);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
  return status == HEADLANE_OK ? seconds.count() : -1;
}
