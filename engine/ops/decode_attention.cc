#include <algorithm>
#include <type_traits>

#include "engine/ops/ops.h"

namespace headlane {
namespace {

template <typename T>
constexpr int64_t kPerFloat = std::is_same_v<T, float> ? 1 : 2;

template <typename T>
constexpr auto kDecodeSlot = nullptr;
template <>
constexpr auto kDecodeSlot<float> = &kernels::Table::decode_attention_f32;
template <>
constexpr auto kDecodeSlot<kernels::Bf16> = &kernels::Table::decode_attention_bf16;

// Whether maps of this layer are wanted.
bool has_layer(const LayerMaps* maps, int64_t layer) {
  return maps && layer >= maps->first_layer && layer - maps->first_layer < maps->n_layers;
}

}  // namespace

DecodeAttention::DecodeAttention(const AttentionSpec& spec, const AttentionWeights& weights,
                                 Over over, int64_t layer, Element element)
    : spec_(spec),
      table_memory_(static_cast<size_t>(attention_table_floats(spec)) * sizeof(float)),
      tables_(fill_attention_tables(spec, weights, static_cast<float*>(table_memory_.data()))),
      over_(over),
      layer_(layer),
      element_(element) {}

int64_t DecodeAttention::parts(const Run& run) const {
  const int64_t wanted = 4 * run.n_threads;
  if (run.n_tokens == 0 || run.n_tokens >= wanted) return 1;
  return std::min((wanted + run.n_tokens - 1) / run.n_tokens, spec_.n_kv_heads);
}

int64_t DecodeAttention::scratch_floats(const kernels::Table& kernels, const Limits&) const {
  return kernels.decode_scratch_floats(spec_.head_dim, spec_.v_dim);
}

double DecodeAttention::flops(const Run& run, int64_t) const {
  return attention_flops(spec_, over_ == Over::kSelf ? run.n_pairs : run.n_cross_pairs);
}

void DecodeAttention::run_task(const Run& run, int64_t task, std::span<const View> inputs,
                               View output, float* scratch) const {
  const int64_t n_parts = parts(run);
  const Range kv_heads = part_of(spec_.n_kv_heads, {task % n_parts, n_parts});
  if (element_ == Element::kBf16) {
    run_on<kernels::Bf16>(run, task / n_parts, kv_heads, inputs[0], output, scratch);
  } else {
    run_on<float>(run, task / n_parts, kv_heads, inputs[0], output, scratch);
  }
}

// Leaves the row's own key and value for this step and those after it.
template <typename T>
void DecodeAttention::keep(const Run& run, int64_t row, Range kv_heads, const T* qkv) const {
  const DecodeStep& step = *run.step;
  const KeyRows& rows = step.self[layer_];
  const int64_t own = step.history[row * step.ld_history + run.positions[row]];
  T* kept = reinterpret_cast<T*>(rows.data + own * rows.ld);
  const T* k = qkv + spec_.q_width();
  const int64_t n = kv_heads.end - kv_heads.begin;
  std::copy_n(k + kv_heads.begin * spec_.head_dim, n * spec_.head_dim,
              kept + kv_heads.begin * spec_.head_dim);
  std::copy_n(k + spec_.k_width() + kv_heads.begin * spec_.v_dim, n * spec_.v_dim,
              kept + spec_.k_width() + kv_heads.begin * spec_.v_dim);
}

template <typename T>
void DecodeAttention::run_on(const Run& run, int64_t row, Range kv_heads, View input, View output,
                             float* scratch) const {
  const DecodeStep& step = *run.step;
  const bool self = over_ == Over::kSelf;
  const T* q = reinterpret_cast<const T*>(input.data + row * input.ld);
  const int64_t position = run.positions[row], source = step.sources[row];
  if (self) keep(run, row, kv_heads, q);
  const KeyRows& rows = (self ? step.self : step.cross)[layer_];
  const int64_t first = self ? 0 : step.source_offsets[source];
  const int64_t kv_len = self ? position + 1 : step.source_offsets[source + 1] - first;
  const int64_t sharing = spec_.n_heads / spec_.n_kv_heads;
  int64_t head = kv_heads.begin * sharing;
  const T* k = reinterpret_cast<const T*>(rows.data + first * rows.ld);
  kernels::DecodeAttentionArgs<T> args = {
      .n_heads = (kv_heads.end - kv_heads.begin) * sharing,
      .kv_sharing = sharing,
      .head_dim = spec_.head_dim,
      .v_dim = spec_.v_dim,
      .scale = spec_.scale,
      .softcap = spec_.softcap,
      .q = q + head * spec_.head_dim,
      .kv_len = kv_len,
      .q_offset = position,
      .causal = self,
      .rows = self ? step.history + row * step.ld_history : nullptr,
      .k = k + kv_heads.begin * spec_.head_dim,
      .ldk = rows.ld * kPerFloat<T>,
      .v = k + spec_.k_width() + kv_heads.begin * spec_.v_dim,
      .ldv = rows.ld * kPerFloat<T>,
      .sinks = tables_.sinks ? tables_.sinks + head : nullptr,
      .o = reinterpret_cast<T*>(output.data + row * output.ld) + head * spec_.v_dim,
      .scratch = scratch,
  };
  if (tables_.relative_bias) {
    args.ld_relative_bias = spec_.relative.stride();
    args.relative_bias =
        tables_.relative_bias + head * args.ld_relative_bias + spec_.relative.zero();
  }
  const LayerMaps* maps = self ? step.self_maps : step.cross_maps;
  const auto kernel = run.kernels->*kDecodeSlot<T>;
  if (!has_layer(maps, layer_)) return kernel(args);
  // Head by head, since only some heads' maps may be wanted.
  for (const int64_t last = head + args.n_heads; head < last; ++head) {
    args.n_heads = args.kv_sharing = 1;
    args.p = nullptr;
    if (maps->maps.has(head)) {
      args.p = maps->maps.p.at(row, head - maps->maps.first_head, position, 0) +
               (layer_ - maps->first_layer) * maps->layer_stride;
    }
    kernel(args);
    args.q += spec_.head_dim;
    args.o += spec_.v_dim;
    if (args.relative_bias) args.relative_bias += args.ld_relative_bias;
    if (args.sinks) ++args.sinks;
    if ((head + 1) % sharing != 0) continue;
    args.k += spec_.head_dim;
    args.v += spec_.v_dim;
  }
}

}  // namespace headlane
