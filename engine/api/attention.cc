// The C API's attention on the caller's buffers, and what all its attention has in common.
#include <algorithm>
#include <cmath>

#include "engine/api/c_api.h"
#include "engine/base/cpus.h"
#include "engine/file/json_fields.h"
#include "engine/run/attention_call.h"
#include "engine/spec/isa.h"

using headlane::fail;
using headlane::Status;
using namespace headlane::c_api;  // NOLINT(google-build-using-namespace): what this file is of

// A call on rows of one element or another.
struct headlane_attention {
  virtual ~headlane_attention() = default;
  virtual void run(const headlane_attention_batch& batch) = 0;
  virtual void set_cancelled(bool cancelled) = 0;
};

namespace {

using ll = long long;
using headlane::Causal;
using headlane::RotaryScaling;
using headlane::Score;
using headlane::kernels::Bf16;

static_assert(static_cast<int>(Causal::kUpperLeft) == HEADLANE_CAUSAL_UPPER_LEFT);
static_assert(static_cast<int>(Causal::kLowerRight) == HEADLANE_CAUSAL_LOWER_RIGHT);
static_assert(static_cast<int>(Score::kDot) == HEADLANE_SCORE_DOT);
static_assert(static_cast<int>(Score::kBilinear) == HEADLANE_SCORE_BILINEAR);
static_assert(static_cast<int>(Score::kAdditive) == HEADLANE_SCORE_ADDITIVE);
static_assert(static_cast<int>(RotaryScaling::kLinear) == HEADLANE_ROTARY_LINEAR);
static_assert(static_cast<int>(RotaryScaling::kNtk) == HEADLANE_ROTARY_NTK);
static_assert(static_cast<int>(RotaryScaling::kYarn) == HEADLANE_ROTARY_YARN);
static_assert(static_cast<int>(RotaryScaling::kLlama3) == HEADLANE_ROTARY_LLAMA3);

int64_t window_of(const char* name, int64_t window) {
  if (window < -1) {
    fail(Status::kInvalidArgument, "%s is %lld; it must be -1 or more", name, ll{window});
  }
  if (window == -1) return 0;
  constexpr int64_t kUnlimited = headlane::kernels::AttentionF32Args::kUnlimited;
  return window == 0 ? kUnlimited : std::min(window, kUnlimited);  // positions are added to it
}

headlane::RotarySpec rotary_of(const headlane_rotary* options, int64_t head_dim) {
  headlane::RotarySpec rotary;
  if (options == nullptr) return rotary;
  const headlane_rotary in = read_struct(options, "headlane_rotary");
  const auto either = [](double value, double otherwise) { return value != 0 ? value : otherwise; };
  const auto scaling = read_enum("rotary.scaling", in.scaling, HEADLANE_ROTARY_LLAMA3);
  rotary.dims = in.dims ? in.dims : head_dim;
  rotary.interleaved = in.interleaved != 0;
  rotary.base = either(in.base, rotary.base);
  rotary.max_positions = in.max_positions;
  rotary.scaling = static_cast<RotaryScaling>(scaling);
  rotary.factor = either(in.factor, rotary.factor);
  rotary.original_max_positions = in.original_max_positions;
  rotary.beta_fast = either(in.beta_fast, rotary.beta_fast);
  rotary.beta_slow = either(in.beta_slow, rotary.beta_slow);
  rotary.attention_factor = in.attention_factor;
  rotary.low_freq_factor = either(in.low_freq_factor, rotary.low_freq_factor);
  rotary.high_freq_factor = either(in.high_freq_factor, rotary.high_freq_factor);
  rotary.truncate = in.untruncated == 0;
  return rotary;
}

// Numbers of a program are looked at; those of a file may be any (docs/files.md).
void check_numbers_of_heads(const headlane::AttentionWeights& weights, int64_t n_heads) {
  for (int64_t head = 0; weights.alibi_slopes && head < n_heads; ++head) {
    if (std::isfinite(weights.alibi_slopes[head])) continue;
    fail(Status::kInvalidArgument, "alibi_slopes[%lld] is %g; it must be finite", ll{head},
         double{weights.alibi_slopes[head]});
  }
  for (int64_t head = 0; weights.sinks && head < n_heads; ++head) {
    if (weights.sinks[head] < INFINITY) continue;  // false for NaN
    fail(Status::kInvalidArgument,
         "sinks[%lld] is %g; it must be finite, or -infinity, which takes no share", ll{head},
         double{weights.sinks[head]});
  }
}

headlane::RelativeBiasSpec relative_of(const headlane_relative_bias* options) {
  headlane::RelativeBiasSpec relative;
  if (options == nullptr) return relative;
  const headlane_relative_bias in = read_struct(options, "headlane_relative_bias");
  if (in.n_buckets == 0) {
    fail(Status::kInvalidArgument, "relative_bias.n_buckets is 0; it must be 2 or more");
  }
  relative.n_buckets = in.n_buckets;
  relative.max_distance = in.max_distance;
  relative.bidirectional = in.bidirectional != 0;
  relative.max_len = in.max_len;
  return relative;
}

// Bilinear scores need weights, so a call on buffers has none.
headlane::AttentionSpec spec_of_call(const headlane_attention_options& options) {
  const headlane::AttentionSpec spec = read_spec(options);
  if (spec.score == Score::kBilinear) {
    fail(Status::kInvalidArgument,
         "score is bilinear, which is for layers: there W is folded into the projection of Q "
         "(headlane_model_create_layer)");
  }
  return spec;
}

Threads threads_of(const headlane_attention_options& options) {
  Threads threads = read_threads(options.n_threads, options.pool);
  if (threads.count == 0) threads.count = headlane::available_cpus();
  return threads;
}

const headlane::kernels::Table& kernels_of(const headlane_attention_options& options) {
  return headlane::kernels_for(options.isa ? options.isa : "");
}

// Whether the caller's rows are bf16, which some scores and machines cannot be computed on.
bool takes_bf16(const headlane_attention_options& options, const headlane::AttentionSpec& spec,
                const headlane::kernels::Table& kernels) {
  const std::string precision = options.precision ? options.precision : "f32";
  if (precision == "f32") return false;
  if (precision != "bf16") {
    fail(Status::kInvalidArgument,
         "option precision is \"%s\"; an attention's must be \"f32\" or \"bf16\"",
         headlane::printable(precision).c_str());
  }
  if (spec.score == Score::kAdditive) {
    fail(Status::kUnsupported, "precision is bf16, but additive scores are computed in f32 alone");
  }
  if (kernels.attention_bf16 == nullptr) {
    fail(Status::kUnsupported, "precision is bf16, but the kernels \"%s\" have no products of bf16",
         kernels.isa);
  }
  return true;
}

// Data of the precision that the call is not in would be ignored.
void require_none(const void* data, const char* name, const char* precision) {
  if (data == nullptr) return;
  fail(Status::kInvalidArgument, "%s must be null: the attention's precision is %s", name,
       precision);
}

template <typename T, typename Heads>
headlane::Heads<T> heads_of(T* data, const Heads& heads) {
  return {data, heads.seq_stride, heads.token_stride, heads.head_stride};
}

void set_heads(const headlane_attention_batch& in, headlane::AttentionBatch<float>* batch) {
  require_none(in.q_bf16, "q_bf16", "f32");
  require_none(in.k_bf16, "k_bf16", "f32");
  require_none(in.v_bf16, "v_bf16", "f32");
  require_none(in.o_bf16, "o_bf16", "f32");
  batch->q = heads_of(in.q.data, in.q);
  batch->k = heads_of(in.k.data, in.k);
  batch->v = heads_of(in.v.data, in.v);
  batch->o = heads_of(in.o.data, in.o);
}

void set_heads(const headlane_attention_batch& in, headlane::AttentionBatch<Bf16>* batch) {
  require_none(in.q.data, "q.data", "bf16");
  require_none(in.k.data, "k.data", "bf16");
  require_none(in.v.data, "v.data", "bf16");
  require_none(in.o.data, "o.data", "bf16");
  batch->q = heads_of(in.q_bf16, in.q);
  batch->k = heads_of(in.k_bf16, in.k);
  batch->v = heads_of(in.v_bf16, in.v);
  batch->o = heads_of(in.o_bf16, in.o);
}

template <typename T>
class AttentionOn final : public headlane_attention {
 public:
  AttentionOn(const headlane::AttentionSpec& spec, const headlane::AttentionWeights& weights,
              const headlane::kernels::Table& kernels, const Threads& threads, void* memory)
      : call_(spec, weights, kernels, threads.count, memory, threads.pool),
        n_heads_(spec.n_heads) {}

  void set_cancelled(bool cancelled) override { call_.set_cancelled(cancelled); }

  void run(const headlane_attention_batch& in) override {
    const headlane::LayerMaps maps = read_maps(in.maps, INT64_MAX, n_heads_);
    headlane::AttentionBatch<T> batch;
    batch.n_seqs = in.n_seqs;
    batch.q_rows = read_q_rows(in);
    batch.kv_rows = read_kv_rows(in);
    set_heads(in, &batch);
    batch.scores = read_scores(in, batch.q_rows, batch.kv_rows);
    call_.run(batch, maps.maps);
  }

 private:
  headlane::AttentionCall<T> call_;
  int64_t n_heads_;
};

// What options say, all of it checked except the caller's memory, so that a size is given only for
// options that an attention can be made of.
struct CheckedOptions {
  headlane_attention_options read;
  headlane::AttentionSpec spec;
  headlane::AttentionWeights weights;
  const headlane::kernels::Table& kernels;
  bool is_bf16;
  Threads threads;

  size_t bytes() const {
    return is_bf16 ? headlane::AttentionCall<Bf16>::bytes(spec, kernels, threads.count)
                   : headlane::AttentionCall<float>::bytes(spec, kernels, threads.count);
  }
};

CheckedOptions check_options(const headlane_attention_options* options) {
  require(options, "options");
  const auto read = read_struct(options, "headlane_attention_options");
  const headlane::AttentionSpec spec = spec_of_call(read);
  const headlane::AttentionWeights weights = read_weights(read, spec);
  const auto& kernels = kernels_of(read);
  return {read, spec, weights, kernels, takes_bf16(read, spec, kernels), threads_of(read)};
}

}  // namespace

headlane::AttentionSpec headlane::c_api::read_spec(const headlane_attention_options& options) {
  AttentionSpec spec;
  spec.n_heads = options.n_heads;
  spec.n_kv_heads = options.n_kv_heads ? options.n_kv_heads : options.n_heads;
  spec.head_dim = options.head_dim;
  spec.v_dim = options.v_dim ? options.v_dim : options.head_dim;
  spec.score = static_cast<Score>(read_enum("score", options.score, HEADLANE_SCORE_ADDITIVE));
  spec.scale = options.scale;
  if (spec.scale == 0 && spec.score != Score::kScaledDot) spec.scale = 1;
  if (spec.scale == 0 && spec.head_dim > 0) {
    spec.scale = 1.0f / std::sqrt(static_cast<float>(spec.head_dim));
  }
  spec.softcap = options.softcap;
  spec.causal =
      static_cast<Causal>(read_enum("causal", options.causal, HEADLANE_CAUSAL_LOWER_RIGHT));
  spec.window_left = window_of("window_left", options.window_left);
  spec.window_right = window_of("window_right", options.window_right);
  spec.rotary = rotary_of(options.rotary, spec.head_dim);
  spec.relative = relative_of(options.relative_bias);
  spec.check();
  return spec;
}

headlane::AttentionWeights headlane::c_api::read_weights(const headlane_attention_options& options,
                                                         const AttentionSpec& spec) {
  AttentionWeights weights;
  if (options.relative_bias) {
    weights.relative_bias = read_struct(options.relative_bias, "headlane_relative_bias").table;
  }
  weights.additive = options.additive;
  weights.alibi_slopes = options.alibi_slopes;
  weights.sinks = options.sinks;
  check_weights(spec, weights);
  check_numbers_of_heads(weights, spec.n_heads);
  return weights;
}

headlane::LayerMaps headlane::c_api::read_maps(const headlane_attention_maps* maps,
                                               int64_t n_layers, int64_t n_heads) {
  LayerMaps result;
  if (maps == nullptr) return result;
  const headlane_attention_maps in = read_struct(maps, "headlane_attention_maps");
  require(in.data, "maps.data");
  const auto part = [](const char* what, int64_t first, int64_t n, int64_t all) {
    if (first < 0 || first >= all || n < 0 || n > all - first) {
      fail(Status::kInvalidArgument, "maps want %lld %s from %lld on; there are %lld", ll{n}, what,
           ll{first}, ll{all});
    }
    return n ? n : all - first;
  };
  result.first_layer = in.first_layer;
  result.n_layers = part("layers", in.first_layer, in.n_layers, n_layers);
  result.layer_stride = in.layer_stride;
  result.maps.p = {in.data, in.seq_stride, in.head_stride, in.query_stride};
  result.maps.first_head = in.first_head;
  result.maps.n_heads = part("heads", in.first_head, in.n_heads, n_heads);
  return result;
}

headlane_status headlane_alibi_slopes(int64_t n_heads, float* slopes) {
  return guarded([&] {
    if (n_heads < 1) fail(Status::kInvalidArgument, "n_heads is %lld", ll{n_heads});
    require(slopes, "slopes");
    headlane::fill_alibi_slopes(n_heads, slopes);
  });
}

headlane_status headlane_attention_bytes(const headlane_attention_options* options, size_t* out) {
  return guarded([&] {
    const CheckedOptions checked = check_options(options);
    require(out, "out");
    *out = checked.bytes();
  });
}

headlane_status headlane_attention_create(const headlane_attention_options* options,
                                          headlane_attention** out) {
  return guarded([&] {
    const CheckedOptions checked = check_options(options);
    require(out, "out");
    const auto& [read, spec, weights, kernels, is_bf16, threads] = checked;
    check_memory(read.memory, read.memory_bytes, checked.bytes());
    if (is_bf16) {
      *out = new AttentionOn<Bf16>(spec, weights, kernels, threads, read.memory);
    } else {
      *out = new AttentionOn<float>(spec, weights, kernels, threads, read.memory);
    }
  });
}

void headlane_attention_destroy(headlane_attention* attention) { delete attention; }

headlane_status headlane_attention_set_cancelled(headlane_attention* attention, int32_t cancelled) {
  return guarded([&] {
    require(attention, "attention");
    attention->set_cancelled(cancelled != 0);
  });
}

headlane_status headlane_attention_run(headlane_attention* attention,
                                       const headlane_attention_batch* batch) {
  return guarded([&] {
    require(attention, "attention");
    require(batch, "batch");
    attention->run(read_struct(batch, "headlane_attention_batch"));
  });
}
