#include <algorithm>
#include <utility>

#include "engine/ops/ops.h"

namespace headlane {
namespace {

// The elements of a cache's rows that take as much room as a float.
template <typename T>
constexpr int64_t kPerFloat = sizeof(float) / sizeof(T);

// x, and `n` elements on.
const void* behind(const void* x, Element element, int64_t n) {
  const int64_t size = element == Element::kBf16 ? sizeof(kernels::Bf16) : sizeof(float);
  return static_cast<const char*>(x) + n * size;
}
void* behind(void* x, Element element, int64_t n) {
  return const_cast<void*>(behind(static_cast<const void*>(x), element, n));
}

template <typename T>
constexpr auto kDecodeSlot = nullptr;
template <>
constexpr auto kDecodeSlot<float> = &kernels::Table::decode_attention_f32;
template <>
constexpr auto kDecodeSlot<kernels::Bf16> = &kernels::Table::decode_attention_bf16;
template <>
constexpr auto kDecodeSlot<int8_t> = &kernels::Table::decode_attention_s8;

// Whether maps of this layer are wanted.
bool has_layer(const LayerMaps* maps, int64_t layer) {
  return maps && layer >= maps->first_layer && layer - maps->first_layer < maps->n_layers;
}

// Head by head, since only some heads' maps may be wanted; `head` is the first one's number.
template <typename T>
void attend_with_maps(const kernels::Table& kernels, kernels::DecodeAttentionArgs<T> args,
                      const AttentionMaps& maps, int64_t head, int64_t target) {
  const int64_t sharing = std::exchange(args.kv_sharing, 1);
  const int64_t n_heads = std::exchange(args.n_heads, 1);
  for (int64_t i = 0; i < n_heads; ++i, ++head) {
    args.p = nullptr;
    if (maps.has(head)) {
      args.p = maps.p.at(target, head - maps.first_head, args.q_offset, 0);
      args.ldp = maps.p.query_stride;
    }
    (kernels.*kDecodeSlot<T>)(args);
    args.q = behind(args.q, args.element, args.head_dim);
    args.o = behind(args.o, args.element, args.v_dim);
    if (args.relative_bias) args.relative_bias += args.ld_relative_bias;
    if (args.key_bias) args.key_bias += args.ld_key_bias;
    if (args.alibi_slopes) ++args.alibi_slopes;
    if (args.sinks) ++args.sinks;
    if ((i + 1) % sharing != 0) continue;
    args.k += args.head_dim;
    args.v += args.v_dim;
    if (args.k_scales) ++args.k_scales, ++args.v_scales;
  }
}

AttentionSpec without_rotary(AttentionSpec spec) {
  spec.rotary = {};
  return spec;
}

}  // namespace

// Keys are turned when they are kept, so attention itself needs no table of rotary positions.
DecodeAttention::DecodeAttention(const AttentionSpec& spec, const AttentionWeights& weights,
                                 Over over, int64_t layer, Element element, int64_t first_of_v)
    : spec_(without_rotary(spec)),
      table_memory_(static_cast<size_t>(attention_table_floats(spec_)) * sizeof(float)),
      tables_(fill_attention_tables(spec_, weights, static_cast<float*>(table_memory_.data()))),
      over_(over),
      layer_(layer),
      element_(element),
      first_of_v_(first_of_v) {}

DecodeAttention::Parts DecodeAttention::parts(const Run& run) const {
  constexpr int64_t kQueries = 32;  // beneath, a part has more to read than to compute
  // One thread goes over the rows of the cache from end to end, all heads at once.
  const int64_t wanted = run.n_threads == 1 ? 1 : 4 * run.n_threads;
  Parts parts;
  if (run.n_seqs == 0 || run.n_seqs >= wanted) return parts;
  const auto needed = [&](int64_t so_far) { return (wanted + so_far - 1) / so_far; };
  parts.heads = std::min(needed(run.n_seqs), spec_.n_heads / sharing());
  parts.queries =
      std::min(needed(run.n_seqs * parts.heads), (run.longest + kQueries - 1) / kQueries);
  return parts;
}

int64_t DecodeAttention::scratch_floats(const kernels::Table& kernels, const Limits&) const {
  return kernels::round_up_to(kernels.decode_scratch_floats(spec_.head_dim, spec_.v_dim),
                              kernels::kRowAlign);
}

double DecodeAttention::flops(const Run& run, int64_t) const {
  return attention_flops(spec_, over_ == Over::kSelf ? run.n_pairs : run.n_cross_pairs);
}

void DecodeAttention::run_task(const Run& run, int64_t task, std::span<const View> inputs,
                               View output, float* scratch) const {
  const Parts n = parts(run);
  const int64_t target = task / (n.heads * n.queries), part = task % (n.heads * n.queries);
  Range heads = part_of(spec_.n_heads / sharing(), {part % n.heads, n.heads});
  heads = {heads.begin * sharing(), heads.end * sharing()};
  const int64_t first = run.offsets[target];
  const Range of_target = part_of(run.offsets[target + 1] - first, {part / n.heads, n.queries});
  const Range tokens = {first + of_target.begin, first + of_target.end};
  if (tokens.begin == tokens.end) return;
  const KeyRows& rows = (over_ == Over::kSelf ? run.step->self : run.step->cross)[layer_];
  if (rows.format == kernels::Format::kS8) {
    run_on<int8_t>(run, rows, target, heads, tokens, inputs[0], output, scratch);
  } else if (rows.format == kernels::Format::kBf16) {
    run_on<kernels::Bf16>(run, rows, target, heads, tokens, inputs[0], output, scratch);
  } else {
    run_on<float>(run, rows, target, heads, tokens, inputs[0], output, scratch);
  }
}

template <typename T>
void DecodeAttention::run_on(const Run& run, const KeyRows& rows, int64_t target, Range heads,
                             Range tokens, View input, View output, float* scratch) const {
  const DecodeStep& step = *run.step;
  const bool self = over_ == Over::kSelf;
  const int64_t position = run.positions[tokens.begin], q_len = tokens.end - tokens.begin;
  const int64_t* source = self ? nullptr : step.source_offsets + step.sources[target];
  const int64_t head = heads.begin, n_heads = heads.end - heads.begin;
  const int64_t kv_head = head * spec_.n_kv_heads / spec_.n_heads;
  const int64_t ld_rows = rows.ld * kPerFloat<T>;
  const T* k = reinterpret_cast<const T*>(rows.data) + (self ? 0 : source[0] * ld_rows);
  const int64_t per_float = element_ == Element::kBf16 ? 2 : 1;
  kernels::DecodeAttentionArgs<T> args = {
      .n_heads = n_heads,
      .kv_sharing = spec_.n_kv_heads == 1 ? n_heads : sharing(),
      .layer_sharing = spec_.n_heads / spec_.n_kv_heads,
      .head_dim = spec_.head_dim,
      .v_dim = spec_.v_dim,
      .scale = spec_.scale,
      .softcap = spec_.softcap,
      .q_len = q_len,
      .element = element_,
      .q = behind(input.data + tokens.begin * input.ld, element_, head * spec_.head_dim),
      .ldq = input.ld * per_float,
      .kv_len = self ? position + q_len : source[1] - source[0],
      .q_offset = position,
      .causal = self,
      .window_left = spec_.window_left,
      .rows = self ? step.rows_of(layer_).histories[target] : nullptr,
      .k = k + kv_head * spec_.head_dim,
      .ldk = ld_rows,
      .v = k + first_of_v_ + kv_head * spec_.v_dim,
      .ldv = ld_rows,
      .ld_relative_bias = spec_.relative.stride(),
      .key_bias = tables_.key_bias ? tables_.key_bias + head * spec_.key_alibi.max_len : nullptr,
      .ld_key_bias = spec_.key_alibi.max_len,
      .alibi_slopes = tables_.alibi_slopes ? tables_.alibi_slopes + head : nullptr,
      .sinks = tables_.sinks ? tables_.sinks + head : nullptr,
      .o = behind(output.data + tokens.begin * output.ld, element_, head * spec_.v_dim),
      .ldo = output.ld * per_float,
      .scratch = scratch,
  };
  if constexpr (sizeof(T) == sizeof(int8_t)) {
    const int64_t width = spec_.k_width() + spec_.v_width();
    args.k_scales = rows.data + KeyRows::scales_offset(width) + kv_head;
    args.v_scales = args.k_scales + spec_.n_kv_heads;
    args.ld_scales = rows.ld;
  }
  if (tables_.relative_bias) {
    args.relative_bias =
        tables_.relative_bias + head * args.ld_relative_bias + spec_.relative.zero();
  }
  const LayerMaps* maps = self ? step.self_maps : step.cross_maps;
  if (!has_layer(maps, layer_)) return (run.kernels->*kDecodeSlot<T>)(args);
  AttentionMaps of_layer = maps->maps;
  of_layer.p.data += (layer_ - maps->first_layer) * maps->layer_stride;
  attend_with_maps(*run.kernels, args, of_layer, head, step.first_target + target);
}

}  // namespace headlane
