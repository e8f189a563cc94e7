// Attention on the caller's buffers refuses these, with a sentence.
#include <functional>

#include "tests/api/attention.h"

namespace headlane::test {
namespace {

class AttentionErrors : public AttentionTest {};

TEST_P(AttentionErrors, BadOptionsAreNamed) {
  using Options = headlane_attention_options;
  const std::pair<const char*, std::function<void(Options&)>> wrongs[] = {
      {"struct_size", [](Options& o) { o.struct_size = 0; }},
      {"n_heads", [](Options& o) { o.n_heads = 0; }},
      {"n_heads", [](Options& o) { o.n_heads = -1; }},
      {"n_kv_heads", [](Options& o) { o.n_kv_heads = 3; }},
      {"n_kv_heads", [](Options& o) { o.n_kv_heads = 8; }},
      {"n_kv_heads", [](Options& o) { o.n_kv_heads = -2; }},
      {"head_dim", [](Options& o) { o.head_dim = 0; }},
      {"head_dim", [](Options& o) { o.head_dim = 257; }},
      {"head_dim", [](Options& o) { o.head_dim = -8; }},
      {"v_dim", [](Options& o) { o.v_dim = 257; }},
      {"v_dim", [](Options& o) { o.v_dim = -1; }},
      {"scale", [](Options& o) { o.scale = kNan; }},
      {"scale", [](Options& o) { o.scale = -1; }},
      {"scale", [](Options& o) { o.scale = kInfinity; }},
      {"softcap", [](Options& o) { o.softcap = kNan; }},
      {"softcap", [](Options& o) { o.softcap = -1; }},
      {"softcap", [](Options& o) { o.softcap = kInfinity; }},
      {"causal", [](Options& o) { std::memset(&o.causal, 3, sizeof o.causal); }},
      {"causal", [](Options& o) { std::memset(&o.causal, 0xff, sizeof o.causal); }},
      {"window_left", [](Options& o) { o.window_left = -2; }},
      {"window_right", [](Options& o) { o.window_right = INT64_MIN; }},
      {"n_threads", [](Options& o) { o.n_threads = -1; }},
      {"n_threads", [](Options& o) { o.n_threads = 1025; }},
      {"sse9", [](Options& o) { o.isa = "sse9"; }},
  };
  for (const auto& [named, spoil] : wrongs) {
    Options of = options(4, 16);
    spoil(of);
    headlane_attention* untouched = reinterpret_cast<headlane_attention*>(1);
    expect_failure(headlane_attention_create(&of, &untouched), HEADLANE_INVALID_ARGUMENT, named);
    EXPECT_EQ(untouched, reinterpret_cast<headlane_attention*>(1));
    size_t bytes = 7;
    expect_failure(headlane_attention_bytes(&of, &bytes), HEADLANE_INVALID_ARGUMENT, named);
    EXPECT_EQ(bytes, 7u);
  }
  const Options fine = options(4, 16);
  headlane_attention* attention = nullptr;
  expect_failure(headlane_attention_create(nullptr, &attention), HEADLANE_INVALID_ARGUMENT,
                 "options");
  expect_failure(headlane_attention_create(&fine, nullptr), HEADLANE_INVALID_ARGUMENT, "out");
  expect_failure(headlane_attention_bytes(nullptr, nullptr), HEADLANE_INVALID_ARGUMENT, "options");
  expect_failure(headlane_attention_bytes(&fine, nullptr), HEADLANE_INVALID_ARGUMENT, "out");
  headlane_attention_destroy(nullptr);
}

TEST_P(AttentionErrors, BadBatchesAreNamedAndNothingIsWritten) {
  using Batch = headlane_attention_batch;
  static const int64_t kOffsets[] = {0, 3, 5}, kNotFromZero[] = {1, 3, 5}, kFalling[] = {0, 3, 2},
                       kHuge[] = {0, 3, INT64_MAX}, kNegative[] = {3, -1}, kTooLong[] = {3, 6};
  const auto ragged = [](Batch& b) { b.q_offsets = b.kv_offsets = kOffsets; };
  const std::pair<const char*, std::function<void(Batch&)>> wrongs[] = {
      {"struct_size", [](Batch& b) { b.struct_size = 4; }},
      {"n_seqs", [](Batch& b) { b.n_seqs = -1; }},
      {"q_len", [](Batch& b) { b.q_len = -1; }},
      {"kv_len", [](Batch& b) { b.kv_len = -1; }},
      {"q.data", [](Batch& b) { b.q.data = nullptr; }},
      {"k.data", [](Batch& b) { b.k.data = nullptr; }},
      {"v.data", [](Batch& b) { b.v.data = nullptr; }},
      {"o.data", [](Batch& b) { b.o.data = nullptr; }},
      {"q_offsets", [](Batch& b) { b.kv_offsets = kOffsets; }},
      {"q_offsets[0]", [](Batch& b) { b.q_offsets = kNotFromZero, b.kv_offsets = kOffsets; }},
      {"q_offsets[2]", [](Batch& b) { b.q_offsets = kFalling, b.kv_offsets = kOffsets; }},
      {"q_offsets[2]", [](Batch& b) { b.q_offsets = kHuge, b.kv_offsets = kOffsets; }},
      {"kv_offsets[2]", [](Batch& b) { b.q_offsets = kOffsets, b.kv_offsets = kFalling; }},
      {"kv_offsets[0]", [](Batch& b) { b.q_offsets = kOffsets, b.kv_offsets = kNotFromZero; }},
      {"q_lengths[1]", [](Batch& b) { b.q_lengths = kNegative; }},
      {"q_lengths[1]", [](Batch& b) { b.q_lengths = kTooLong; }},
      {"kv_lengths[1]", [](Batch& b) { b.kv_lengths = kNegative; }},
      {"kv_lengths[1]", [](Batch& b) { b.kv_lengths = kTooLong; }},
      {"prefix_lengths[1]", [](Batch& b) { b.prefix_lengths = kNegative; }},
      {"strides of o", [](Batch& b) { b.o.token_stride = 0; }},
      {"strides of o", [](Batch& b) { b.o.token_stride = 31; }},
      {"strides of o", [](Batch& b) { b.o.token_stride = -32; }},
      {"strides of o", [](Batch& b) { b.o.head_stride = 15; }},
      {"strides of o", [](Batch& b) { b.o.head_stride = -16; }},
      {"strides of o", [](Batch& b) { b.o.seq_stride = 0; }},
      {"strides of o", [](Batch& b) { b.o.seq_stride = 5 * 32 - 1; }},
      {"stride of o", [](Batch& b) { b.o.token_stride = INT64_MAX; }},
      {"strides of o", [&](Batch& b) { ragged(b), b.o.token_stride = 16; }},
  };
  const headlane_attention_options of = options(2, 16);
  const AttentionHandle attention = create_attention(of);
  const std::vector<float> untouched(2 * 5 * 32, 42.0f);
  std::vector<float> q(untouched), k(untouched), v(untouched), o(untouched);
  const auto fine = [&] {
    Batch batch{};
    batch.struct_size = sizeof batch;
    batch.n_seqs = 2;
    batch.q_len = batch.kv_len = 5;
    batch.q = {q.data(), 5 * 32, 32, 16};
    batch.k = {k.data(), 5 * 32, 32, 16};
    batch.v = {v.data(), 5 * 32, 32, 16};
    batch.o = {o.data(), 5 * 32, 32, 16};
    return batch;
  };
  for (size_t i = 0; i < std::size(wrongs); ++i) {
    SCOPED_TRACE(i);
    Batch batch = fine();
    wrongs[i].second(batch);
    expect_failure(headlane_attention_run(attention.get(), &batch), HEADLANE_INVALID_ARGUMENT,
                   wrongs[i].first);
    EXPECT_EQ(o, untouched);
  }
  const Batch batch = fine();
  expect_failure(headlane_attention_run(nullptr, &batch), HEADLANE_INVALID_ARGUMENT, "attention");
  expect_failure(headlane_attention_run(attention.get(), nullptr), HEADLANE_INVALID_ARGUMENT,
                 "batch");
  std::fill(v.begin(), v.end(), 1.0f);  // it is as good as new
  EXPECT_EQ(headlane_attention_run(attention.get(), &batch), HEADLANE_OK) << headlane_error();
  for (const float value : o) ASSERT_NEAR(value, 1, 1e-6);
}

HEADLANE_FOR_EACH_ISA(AttentionErrors);

}  // namespace
}  // namespace headlane::test
