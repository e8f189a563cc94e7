// The C API's attention on the caller's buffers.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>

#include "engine/c_api.h"
#include "engine/isa.h"
#include "engine/layers/attention_call.h"

using headlane::fail;
using headlane::Status;
using namespace headlane::c_api;  // NOLINT(google-build-using-namespace): what this file is of

struct headlane_attention {
  headlane::AttentionCall call;
};

namespace {

static_assert(static_cast<int>(headlane::Causal::kUpperLeft) == HEADLANE_CAUSAL_UPPER_LEFT);
static_assert(static_cast<int>(headlane::Causal::kLowerRight) == HEADLANE_CAUSAL_LOWER_RIGHT);

int64_t window_of(const char* name, int64_t window) {
  if (window < -1) {
    fail(Status::kInvalidArgument, "%s is %lld; it must be -1 or more", name,
         static_cast<long long>(window));
  }
  if (window == -1) return 0;
  constexpr int64_t kUnlimited = headlane::kernels::AttentionF32Args::kUnlimited;
  return window == 0 ? kUnlimited : std::min(window, kUnlimited);  // positions are added to it
}

headlane::AttentionSpec spec_of(const headlane_attention_options& options) {
  int causal = 0;  // C may put any number there; as an enum it could not be looked at
  static_assert(sizeof causal == sizeof options.causal);
  std::memcpy(&causal, &options.causal, sizeof causal);
  if (causal < HEADLANE_CAUSAL_NONE || causal > HEADLANE_CAUSAL_LOWER_RIGHT) {
    fail(Status::kInvalidArgument, "causal is %d; it must be one of headlane_causal", causal);
  }
  headlane::AttentionSpec spec;
  spec.n_heads = options.n_heads;
  spec.n_kv_heads = options.n_kv_heads ? options.n_kv_heads : options.n_heads;
  spec.head_dim = options.head_dim;
  spec.v_dim = options.v_dim ? options.v_dim : options.head_dim;
  spec.scale = options.scale;
  if (spec.scale == 0 && spec.head_dim > 0) {
    spec.scale = 1.0f / std::sqrt(static_cast<float>(spec.head_dim));
  }
  spec.softcap = options.softcap;
  spec.causal = static_cast<headlane::Causal>(causal);
  spec.window_left = window_of("window_left", options.window_left);
  spec.window_right = window_of("window_right", options.window_right);
  headlane::AttentionCall::check(spec);
  return spec;
}

int64_t threads_of(const headlane_attention_options& options) {
  constexpr int kMostThreads = 1024;
  if (options.n_threads < 0 || options.n_threads > kMostThreads) {
    fail(Status::kInvalidArgument, "n_threads is %d; it must be from 0 to %d", options.n_threads,
         kMostThreads);
  }
  return options.n_threads ? options.n_threads : headlane::available_cpus();
}

const headlane::kernels::Table& kernels_of(const headlane_attention_options& options) {
  return headlane::kernels_for(options.isa ? options.isa : "");
}

headlane_attention_options read_options(const headlane_attention_options* options) {
  require(options, "options");
  return read_struct(options, "headlane_attention_options");
}

headlane::Heads<const float> heads_of(const headlane_heads& heads) {
  return {heads.data, heads.seq_stride, heads.token_stride, heads.head_stride};
}

headlane::AttentionBatch batch_of(const headlane_attention_batch& in) {
  headlane::AttentionBatch batch;
  batch.n_seqs = in.n_seqs;
  batch.q_offsets = in.q_offsets;
  batch.kv_offsets = in.kv_offsets ? in.kv_offsets : in.q_offsets;
  batch.q_len = in.q_len;
  batch.kv_len = in.kv_len;
  batch.q_lengths = in.q_lengths;
  batch.kv_lengths = in.kv_lengths;
  batch.left_padded = in.left_padded != 0;
  batch.q = heads_of(in.q);
  batch.k = heads_of(in.k);
  batch.v = heads_of(in.v);
  batch.o = {const_cast<float*>(in.o.data), in.o.seq_stride, in.o.token_stride, in.o.head_stride};
  batch.bias = {in.bias, in.bias_seq_stride, in.bias_head_stride, in.bias_query_stride};
  batch.mask = {in.mask, in.mask_seq_stride, in.mask_head_stride, in.mask_query_stride};
  batch.prefix_lengths = in.prefix_lengths;
  batch.alibi_slopes = in.alibi_slopes;
  batch.sinks = in.sinks;
  return batch;
}

}  // namespace

headlane_status headlane_attention_bytes(const headlane_attention_options* options, size_t* out) {
  return guarded([&] {
    const auto read = read_options(options);
    require(out, "out");
    *out = headlane::AttentionCall::bytes(spec_of(read), kernels_of(read), threads_of(read));
  });
}

headlane_status headlane_attention_create(const headlane_attention_options* options,
                                          headlane_attention** out) {
  return guarded([&] {
    const auto read = read_options(options);
    require(out, "out");
    const headlane::AttentionSpec spec = spec_of(read);
    const auto& kernels = kernels_of(read);
    const int64_t n_threads = threads_of(read);
    check_memory(read.memory, read.memory_bytes,
                 headlane::AttentionCall::bytes(spec, kernels, n_threads));
    *out = new headlane_attention{headlane::AttentionCall(spec, kernels, n_threads, read.memory)};
  });
}

void headlane_attention_destroy(headlane_attention* attention) { delete attention; }

headlane_status headlane_attention_run(headlane_attention* attention,
                                       const headlane_attention_batch* batch) {
  return guarded([&] {
    require(attention, "attention");
    require(batch, "batch");
    attention->call.run(batch_of(read_struct(batch, "headlane_attention_batch")));
  });
}
