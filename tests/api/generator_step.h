// Single steps of a decoder as the tests of the C API take them.
#pragma once

#include <cmath>

#include "tests/api/generator.h"
#include "tests/support/kernel_test.h"

namespace headlane::test {

// The questions to a step about some rows, and its answers.
struct StepRows {
  StepRows(const headlane_model_facts& facts, size_t n, int64_t k)
      : n(n),
        k(k),
        vocab_size(static_cast<size_t>(facts.decoder_vocab_size)),
        d(static_cast<size_t>(facts.d_model)),
        ids(n),
        sources(n),
        parents(n, -1),
        logits(n * vocab_size),
        hidden(n * d),
        best_ids(n * static_cast<size_t>(k)),
        best_logits(best_ids.size()),
        log_sum_exp(n) {}

  headlane_step step() {
    headlane_step step = HEADLANE_INIT(headlane_step);
    step.n_rows = static_cast<int64_t>(n);
    step.ids = ids.data();
    step.sources = sources.data();
    step.parents = parents.data();
    step.logits = logits.data();
    step.hidden = hidden.data();
    step.k = k;
    step.best_ids = best_ids.data();
    step.best_logits = best_logits.data();
    step.log_sum_exp = log_sum_exp.data();
    return step;
  }
  bool row_equals(size_t row, const StepRows& other, size_t of_other) const {
    const auto same = [&](const auto& a, const auto& b, size_t width) {
      return std::memcmp(&a[row * width], &b[of_other * width], width * sizeof(a[0])) == 0;
    };
    return same(logits, other.logits, vocab_size) && same(hidden, other.hidden, d) &&
           same(best_ids, other.best_ids, static_cast<size_t>(k)) &&
           same(best_logits, other.best_logits, static_cast<size_t>(k)) &&
           same(log_sum_exp, other.log_sum_exp, 1);
  }

  size_t n;
  int64_t k;
  size_t vocab_size, d;
  std::vector<int32_t> ids, sources, parents;
  std::vector<float> logits, hidden;
  std::vector<int32_t> best_ids;
  std::vector<float> best_logits, log_sum_exp;
};

inline void encode_sources(headlane_generator* generator, const Sequences& sources) {
  const FlatSequences flat(sources);
  const headlane_batch batch = flat.batch();
  check(headlane_generator_encode(generator, &batch, nullptr));
}

inline GeneratorHandle step_generator(headlane_model* model, int64_t max_sources, int64_t max_beams,
                                      int n_threads, int64_t max_new_tokens = 12) {
  headlane_generator_options options = generator_options(max_sources, max_beams, n_threads);
  options.all_logits = 1;
  options.max_new_tokens = max_new_tokens;
  return create_generator(model, options);
}

// Maps of all layers and heads of one step's rows, NaN where nothing was written.
struct StepMaps {
  StepMaps(int64_t n_layers, int64_t n_rows, int64_t n_heads, int64_t q_len, int64_t kv_len)
      : n_layers(n_layers),
        n_rows(n_rows),
        n_heads(n_heads),
        q_len(q_len),
        kv_len(kv_len),
        data(static_cast<size_t>(n_layers * n_rows * n_heads * q_len * kv_len), NAN) {}
  headlane_attention_maps maps() {
    headlane_attention_maps maps = HEADLANE_INIT(headlane_attention_maps);
    maps.data = data.data();
    maps.query_stride = kv_len;
    maps.head_stride = q_len * kv_len;
    maps.seq_stride = n_heads * maps.head_stride;
    maps.layer_stride = n_rows * maps.seq_stride;
    return maps;
  }
  const float* row(int64_t layer, int64_t row, int64_t head, int64_t i) const {
    return &data[static_cast<size_t>((((layer * n_rows + row) * n_heads + head) * q_len + i) *
                                     kv_len)];
  }
  // Query i of each layer, row and head: `len(row)` probabilities, whose sum is off by a rounding
  // of each at most, and then nothing.
  template <typename Len>
  void expect_rows(int64_t i, const Len& len) const {
    for (int64_t layer = 0; layer < n_layers; ++layer) {
      for (int64_t r = 0; r < n_rows; ++r) {
        for (int64_t head = 0; head < n_heads; ++head) {
          const float* p = row(layer, r, head, i);
          double sum = 0;
          for (int64_t j = 0; j < len(r); ++j) {
            ASSERT_GE(p[j], 0);
            sum += p[j];
          }
          ASSERT_NEAR(sum, 1, static_cast<double>(len(r) + 8) * kEps);
          for (int64_t j = len(r); j < kv_len; ++j) ASSERT_TRUE(std::isnan(p[j])) << j;
        }
      }
    }
  }
  int64_t n_layers, n_rows, n_heads, q_len, kv_len;
  std::vector<float> data;
};

}  // namespace headlane::test
