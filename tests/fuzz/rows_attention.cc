// Attention of floats and of bf16, its probabilities, and that of decoding.
#include <memory>

#include "tests/fuzz/rows.h"
#include "tests/support/attention_narrow.h"
#include "tests/support/attention_operands.h"
#include "tests/support/decode_operands.h"

namespace headlane::fuzz {
namespace {

using kernels::Bf16;
using test::Expected;
using test::GuardedFloats;
using test::kLeastNormal;
using test::Problem;

// Operands and options of one head, each there or not.
struct Attention {
  explicit Attention(Problems* problems)
      : p(problems->size(40), problems->size(problems->flag() ? 300 : 20), problems->size(70),
          problems->size(40), problems->spread()),
        bias(p.args.q_len * p.args.kv_len),
        additive(p.args.head_dim),
        mask(p.args.q_len * p.args.kv_len),
        dims(problems->from(0, p.args.head_dim / 2) * 2),
        table(p.args.q_len + p.args.kv_len + 20, std::max<int64_t>(dims, 2)) {
    for (int64_t i = 0; i < mask.size(); ++i) mask[i] = !problems->random().one_in(4);
    problems->fill(&bias, false);
    for (int64_t i = 0; i < bias.size(); i += 1 + int64_t(problems->random().below(9))) {
      if (problems->random().one_in(3)) bias[i] = problems->flag() ? -INFINITY : -3.4028235e38f;
    }
    problems->fill(&additive, false);
    set(problems);
  }

  void set(Problems* problems) {
    auto& args = p.args;
    if (problems->flag()) {
      args.mask = mask.data();
      args.ld_mask = problems->flag() ? args.kv_len : 0;
    }
    if (problems->flag()) {
      args.bias = bias.data();
      args.ld_bias = problems->flag() ? args.kv_len : 0;
    }
    if (problems->flag()) args.softcap = 2.5f;
    if (problems->flag()) args.sink = &sink;
    if (problems->flag()) args.alibi_slope = 0.25f;
    if (problems->flag()) args.q_offset = problems->from(0, 60) - 30;
    if (problems->flag()) args.window_left = problems->from(0, 40);
    if (problems->flag()) args.window_right = problems->from(0, 40);
    if (problems->flag()) args.prefix_len = problems->from(0, 40);
    args.causal = problems->flag();
    if (dims > 0 && problems->flag()) {
      test::set_rotary(&p, &table, dims, problems->flag());
      args.q_position = problems->from(0, 9);
      args.k_position = problems->from(0, 9);
    } else if (problems->from(0, 3) == 3) {
      args.additive = additive.data();
      args.scale = 1;
    }
    if (problems->flag()) {
      relative = std::make_unique<test::RelativeBias>(args);
      args.relative_bias = relative->centre(args);
    }
  }

  Problem p;
  GuardedFloats bias, additive;
  test::Guarded<uint8_t> mask;
  int64_t dims;
  test::RotaryTable table;
  std::unique_ptr<test::RelativeBias> relative;
  const float sink = 0.7f;
};

void check_row(const Place& place, const Expected& e, const float* o, const float* p) {
  for (size_t c = 0; c < e.o.size(); ++c) {
    check_near(place, o[c], e.o[c], e.bound[c] + kLeastNormal);
  }
  for (size_t j = 0; j < e.p.size(); ++j) {
    check_near(place, p[j], e.p[j], e.p_bound[j] + kLeastNormal);
  }
}

void check_f32(const kernels::Table& table, Problem& p) {
  const auto& args = p.args;
  GuardedFloats probabilities(args.q_len * args.kv_len);
  p.run(table);
  p.run_probabilities(table, probabilities.data(), args.kv_len);
  for (int64_t i = 0; i < args.q_len; ++i) {
    check_row({table, "attention_f32"}, test::reference(args, i), &p.o[i * args.ldo],
              &probabilities[i * args.kv_len]);
  }
}

// The problem is rounded to bf16 in place.
void check_bf16(const kernels::Table& table, Problem& p) {
  const auto& args = p.args;
  test::NarrowCopy narrow(&p);
  GuardedFloats probabilities(args.q_len * args.kv_len);
  narrow.run(table);
  narrow.run_probabilities(table, probabilities.data(), args.kv_len);
  for (int64_t i = 0; i < args.q_len; ++i) {
    const Expected e = test::reference(args, i, test::kBf16Roundings);
    for (int64_t j = 0; j < args.kv_len; ++j) {
      check_near({table, "attention_probabilities_bf16"}, probabilities[i * args.kv_len + j],
                 e.p[j], e.p_bound[j] + kLeastNormal);
    }
    for (int64_t c = 0; c < args.v_dim; ++c) {
      check_near({table, "attention_bf16"}, kernels::widen(narrow.o[i * args.ldo + c]), e.o[c],
                 e.bound[c] + kLeastNormal);
    }
  }
}

// A NaN in a key, or in its value, shows in all of what the queries get that see it, and in nothing
// else, whatever its weight is.
void check_nan(const kernels::Table& table, Problem& p, int64_t key) {
  const auto& args = p.args;
  const float key_before = p.k[key * args.head_dim];
  const std::vector<float> value_before(&p.v[key * args.v_dim],
                                        &p.v[key * args.v_dim] + args.v_dim);
  std::vector<float> clean(args.q_len * args.v_dim);
  p.run(table);
  std::copy_n(p.o.data(), clean.size(), clean.begin());
  for (const bool of_value : {false, true}) {
    if (of_value) std::fill_n(&p.v[key * args.v_dim], args.v_dim, std::nanf(""));
    p.k[key * args.head_dim] = of_value ? key_before : std::nanf("");
    p.run(table);
    for (int64_t i = 0; i < args.q_len * args.v_dim; ++i) {
      if (!test::sees(args, i / args.v_dim, key)) {
        check_bits({table, "attention_f32 of an unseen NaN"}, p.o[i], clean[i]);
      } else if (!std::isnan(p.o[i])) {
        finding("attention_f32", of_value ? "a NaN in a value that is seen does not show"
                                          : "a NaN in a key that is seen does not show");
      }
    }
  }
  std::copy(value_before.begin(), value_before.end(), &p.v[key * args.v_dim]);
}

template <typename T, typename Q>
void check_decode(const kernels::Table& table, test::Decode<T, Q>* decode) {
  const test::DecodeSizes& s = decode->sizes;
  GuardedFloats p(s.n_heads * s.q_len * s.kv_len);
  decode->args.p = p.data();
  decode->args.p_head_stride = s.q_len * s.kv_len;
  decode->args.ldp = s.kv_len;
  decode->run(table);
  for (int64_t h = 0; h < s.n_heads; ++h) {
    for (int64_t i = 0; i < s.q_len; ++i) {
      std::vector<float> o(s.v_dim);
      for (int64_t c = 0; c < s.v_dim; ++c) {
        o[c] = test::get(decode->o[i * decode->ldo + h * s.v_dim + c]);
      }
      check_row({table, "decode_attention"}, decode->expected(h, i), o.data(),
                &p[(h * s.q_len + i) * s.kv_len]);
    }
  }
}

// The last query is computed again alone: its bits must be the same.
template <typename T, typename Q>
void check_alone(const kernels::Table& table, test::Decode<T, Q>* decode) {
  const test::DecodeSizes& s = decode->sizes;
  const auto args = decode->args;
  const int64_t last = s.q_len - 1, width = s.n_heads * s.v_dim;
  Q* o = decode->result(last);
  const std::vector<Q> together(o, o + width);
  decode->args.q_len = 1;
  decode->args.q = decode->query(last);
  decode->args.q_offset = args.q_offset + last;
  decode->args.o = o;
  decode->args.p = nullptr;
  decode->run(table);
  decode->args = args;
  for (int64_t c = 0; c < width; ++c) {
    check_bits({table, "decode_attention of a query alone"}, test::get(o[c]),
               test::get(together[c]));
  }
}

template <typename T, typename Q>
void compare_decoding(Problems* problems) {
  const int64_t sharing = problems->size(3);
  test::DecodeSizes sizes{sharing * problems->size(3), sharing,
                          problems->size(problems->flag() ? 300 : 20), problems->size(140),
                          problems->size(140)};
  if (problems->flag()) sizes.q_len = problems->size(sizes.kv_len);
  test::Decode<T, Q> decode(sizes, problems->spread());
  GuardedFloats bias(sizes.n_heads * sizes.kv_len), sinks(sizes.n_heads), slopes(sizes.n_heads);
  problems->fill(&bias, false);
  problems->fill(&sinks, false);
  problems->fill(&slopes, false);
  decode.args.causal = problems->flag();
  if (problems->flag()) decode.args.window_left = problems->size(sizes.kv_len) - 1;
  if (decode.args.causal && problems->flag()) {
    decode.args.relative_bias = bias.data() + sizes.kv_len - 1;
    decode.args.ld_relative_bias = sizes.kv_len;
  }
  if (problems->flag()) {
    decode.args.key_bias = bias.data();
    decode.args.ld_key_bias = sizes.kv_len;
  }
  if (problems->flag()) decode.args.alibi_slopes = slopes.data();
  if (problems->flag()) decode.args.sinks = sinks.data();
  if (problems->flag()) decode.args.softcap = 3.0f;
  for (const kernels::Table* table : rows_to_compare()) {
    check_decode(*table, &decode);
    check_alone(*table, &decode);
  }
}

void compare_attention(Problems* problems) {
  Attention attention(problems);
  Problem& p = attention.p;
  const int64_t key = static_cast<int64_t>(problems->random().below(p.args.kv_len));
  for (const kernels::Table* table : rows_to_compare()) {
    if (!problems->odd()) check_f32(*table, p);
    if (problems->odd()) check_nan(*table, p, key);
  }
  if (p.args.additive != nullptr || problems->odd()) return;
  for (const kernels::Table* table : rows_to_compare()) {
    if (table->attention_bf16 != nullptr) check_bf16(*table, p);
  }
}

void compare_decode_attention(Problems* problems) {
  const int64_t form = problems->from(0, 5);
  int64_t i = 0;
  test::for_each_form([&]<typename T, typename Q>() {
    if (i++ == form) compare_decoding<T, Q>(problems);
  });
}

// Codes of a head are those of its turned floats y.
void check_codes(const kernels::Table& table, kernels::RotateArgs args, GuardedFloats* y) {
  test::Guarded<int8_t> turned(args.head_dim), codes(args.head_dim);
  float scale = 0, scale_of_turned = 0;
  args.y = turned.data();
  args.scales = &scale_of_turned;
  table.rotate(args);
  table.quantize_weights(y->data(), args.head_dim, codes.data(), &scale);
  check_bits({table, "rotate to s8"}, scale_of_turned, scale);
  for (int64_t i = 0; i < args.head_dim; ++i) {
    check_bits({table, "rotate to s8"}, turned[i], codes[i]);
  }
}

// Each turned element is a sum of two products.
void compare_rotate(Problems* problems) {
  const int64_t half = problems->size(70), head_dim = 2 * half + problems->size(20) - 1;
  const bool interleaved = problems->flag();
  GuardedFloats x(head_dim), table(2 * half);
  problems->fill(&x, false);
  problems->fill(&table, false);
  for (const kernels::Table* row : rows_to_compare()) {
    GuardedFloats y(head_dim);
    row->rotate({.n_heads = 1,
                 .head_dim = head_dim,
                 .rotary = table.data(),
                 .rotary_dims = 2 * half,
                 .interleaved = interleaved,
                 .x = x.data(),
                 .y = y.data()});
    for (int64_t c = 0; c < half; ++c) {
      const int64_t i = interleaved ? 2 * c : c, partner = interleaved ? i + 1 : c + half;
      const double cosine = table[c], sine = table[half + c];
      const double bound = 2 * test::kEps * (std::fabs(x[i]) + std::fabs(x[partner])) *
                               (std::fabs(cosine) + std::fabs(sine)) +
                           kLeastNormal;
      check_near({*row, "rotate"}, y[i], x[i] * cosine - x[partner] * sine, bound);
      check_near({*row, "rotate"}, y[partner], x[partner] * cosine + x[i] * sine, bound);
    }
    for (int64_t i = 2 * half; i < head_dim; ++i) check_bits({*row, "rotate"}, y[i], x[i]);
    check_codes(*row,
                {.n_heads = 1,
                 .head_dim = head_dim,
                 .rotary = table.data(),
                 .rotary_dims = 2 * half,
                 .interleaved = interleaved,
                 .x = x.data(),
                 .format = kernels::Format::kS8},
                &y);
  }
}

constexpr Row kRows[] = {
    {"attention_f32 attention_probabilities_f32", compare_attention},
    {"attention_bf16 attention_probabilities_bf16", compare_attention},
    {"decode_attention_f32 decode_attention_bf16 decode_attention_s8", compare_decode_attention},
    {"rotate", compare_rotate},
};

}  // namespace

std::span<const Row> attention_rows() { return kRows; }

}  // namespace headlane::fuzz
