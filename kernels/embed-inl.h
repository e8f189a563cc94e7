// y[row] = scale * word[id] + type[type_id] + position[pos]: a gather of table rows, bound by
// memory. Not fused: the same bits in every table.
#pragma once

#include "kernels/gemm_grouped-inl.h"
#include "kernels/loops-inl.h"

namespace headlane::kernels::HEADLANE_ISA {

// The same of a table in groups; they hold whole vectors.
inline F32 load_group_word(const EmbedF32Args& args, int64_t r, int64_t i, int64_t n) {
  const int64_t group = args.ids[r] * groups_in(args.d) + i / kGroupSize;
  return load_weights(args.word_format, args.word, group, i % kGroupSize, n);
}

// Elements from `first` on of the table of words; row r's word says their scale.
inline F32 load_word(const EmbedF32Args& args, int64_t r, int64_t first, int64_t n) {
  if (args.word_format == Format::kBf16) {
    const Bf16* word = static_cast<const Bf16*>(args.word) + first;
    return n == kWidth ? load_bf16(word) : load_bf16_n(word, n);
  }
  if (args.word_format == Format::kS8) {
    const int8_t* word = static_cast<const int8_t*>(args.word) + first;
    return load_s8_n(word, n) * broadcast(args.word_scale[args.ids[r]]);
  }
  return load_up_to(static_cast<const float*>(args.word) + first, n);
}

inline void embed_f32(const EmbedF32Args& args) {
  const bool grouped = are_in_groups(args.word_format);
  for (int64_t r = 0; r < args.rows; ++r) {
    const int64_t first = args.ids[r] * args.d;
    const float* position = args.position ? args.position + args.positions[r] * args.d : nullptr;
    const float* type = args.type ? args.type + (args.types ? args.types[r] : 0) * args.d : nullptr;
    float* y = args.y + r * args.ldy;
    for_each_vector(args.d, [&](int64_t i, int64_t n) {
      const F32 word = grouped ? load_group_word(args, r, i, n) : load_word(args, r, first + i, n);
      F32 sum = word * broadcast(args.scale);
      if (type) sum = sum + load_up_to(type + i, n);
      if (position) sum = sum + load_up_to(position + i, n);
      store_up_to(y + i, sum, n);
    });
  }
}

}  // namespace headlane::kernels::HEADLANE_ISA
