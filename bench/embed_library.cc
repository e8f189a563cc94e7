// headlane_session_embed with a clock inside, for what calls it from Python (python_calls.py): what
// a call takes beyond it is Python's.
#include <chrono>
#include <cstdint>

#include "headlane/embed.h"

namespace {

using Embed = headlane_status(headlane_session*, const headlane_texts*,
                              const headlane_embed_options*, float*, int64_t);

Embed* g_embed = nullptr;
double g_seconds = 0;

}  // namespace

// embed: headlane_session_embed of any build.
extern "C" __attribute__((visibility("default"))) void headlane_bench_set_embed(Embed* embed) {
  g_embed = embed;
}

extern "C" __attribute__((visibility("default"))) headlane_status headlane_bench_embed(
    headlane_session* session, const headlane_texts* texts, const headlane_embed_options* options,
    float* vectors, int64_t stride) {
  const auto begin = std::chrono::steady_clock::now();
  const headlane_status status = g_embed(session, texts, options, vectors, stride);
  g_seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return status;
}

// Returns what the last call took.
extern "C" __attribute__((visibility("default"))) double headlane_bench_embed_seconds() {
  return g_seconds;
}
