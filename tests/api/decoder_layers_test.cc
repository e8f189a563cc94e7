// PyTorch's decoder modules through the C API: what a run promises (any layout of rows, the same
// bits in any company, exact memory), and sentences about what is wrong. golden_layers_test.cc
// holds their numbers against PyTorch.
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/api/layer.h"
#include "tests/api/precision.h"

namespace headlane::test {
namespace {

namespace fs = std::filesystem;

// Rows of x and of the memory that they attend to beside each other.
struct Pair {
  Floats x, key;
};

class DecoderLayers : public AttentionTest {
 protected:
  void SetUp() override {
    AttentionTest::SetUp();
    if (IsSkipped()) return;
    for (const char* module : {"decoder_pre_norm_final_causal", "transformer_post_norm"}) {
      models_.push_back(open(std::string(HEADLANE_GOLDEN_DIR "/layers/") + module));
    }
  }

  ModelHandle open(const std::string& folder) {
    const std::string path = temp_.file("model" + std::to_string(n_files_++) + ".headlane");
    convert_to(folder, path, "");
    return open_model(path, GetParam());
  }
  // The golden module with another argument in its JSON.
  ModelHandle open_with(const std::string& module, const nlohmann::json& change) {
    const std::string folder = temp_.file("folder" + std::to_string(n_files_++));
    fs::copy(HEADLANE_GOLDEN_DIR "/layers/" + module, folder);
    nlohmann::json config = nlohmann::json::parse(std::ifstream(folder + "/config.json"));
    config.update(change);
    std::ofstream(folder + "/config.json") << config;
    return open(folder);
  }

  static int64_t columns(headlane_model* model) { return facts_of(model).d_model; }

  Floats numbers(int64_t n) {
    Floats values(static_cast<size_t>(n));
    for (float& value : values) value = std::normal_distribution<float>()(random_);
    return values;
  }
  std::vector<Pair> random_pairs(int64_t d,
                                 std::initializer_list<std::pair<int64_t, int64_t>> lengths) {
    std::vector<Pair> pairs;
    for (const auto& [n, n_keys] : lengths) pairs.push_back({numbers(n * d), numbers(n_keys * d)});
    return pairs;
  }

  // Sessions of a decoder have rows of memory without being asked.
  static SessionHandle session_on(headlane_model* model, int n_threads,
                                  const char* precision = nullptr) {
    return create_session(model, false, n_threads, 512, precision);
  }

  // The sequences' outputs, one behind the other, ragged.
  static Floats run(const std::vector<Pair>& pairs, int64_t d, headlane_session* session) {
    Floats x, key;
    std::vector<int64_t> offsets = {0}, kv_offsets = {0};
    for (const Pair& pair : pairs) {
      x.insert(x.end(), pair.x.begin(), pair.x.end());
      key.insert(key.end(), pair.key.begin(), pair.key.end());
      offsets.push_back(static_cast<int64_t>(x.size()) / d);
      kv_offsets.push_back(static_cast<int64_t>(key.size()) / d);
    }
    Floats out(x.size());
    headlane_forward_batch batch = HEADLANE_INIT(headlane_forward_batch);
    batch.n_seqs = static_cast<int64_t>(pairs.size());
    batch.q_offsets = offsets.data();
    batch.kv_offsets = kv_offsets.data();
    batch.x.data = x.data();
    batch.key.data = key.data();
    batch.out.data = out.data();
    check(headlane_session_forward(session, &batch));
    return out;
  }

  TempDir temp_;
  int n_files_ = 0;
  std::mt19937 random_{3};
  std::vector<ModelHandle> models_;
};

TEST_P(DecoderLayers, TheSameBitsInAnyCompany) {
  for (const ModelHandle& model : models_) {
    const int64_t d = columns(model.get());
    const std::vector<Pair> pairs =
        random_pairs(d, {{5, 7}, {1, 40}, {0, 3}, {40, 1}, {17, 17}, {3, 0}, {64, 90}, {9, 2}});
    for (const char* precision : {"f32", "bf16", "int8"}) {
      const SessionHandle session = session_on(model.get(), 2, precision);
      const SessionHandle three = session_on(model.get(), 3, precision);
      const Floats together = run(pairs, d, session.get());
      EXPECT_TRUE(same_bits(together, run(pairs, d, three.get()))) << precision;
      Floats alone;
      for (const Pair& pair : pairs) {
        const Floats out = run({pair}, d, session.get());
        alone.insert(alone.end(), out.begin(), out.end());
      }
      EXPECT_TRUE(same_bits(together, alone)) << precision;
    }
  }
}

// Rows of padding, of x and of the memory, hold NaN; those of the output become 0.
TEST_P(DecoderLayers, PaddedRowsOnEitherSide) {
  const int64_t lengths[] = {5, 1, 0, 7}, kv_lengths[] = {2, 9, 4, 0};
  const int64_t len = 8, kv_len = 9;
  for (const ModelHandle& model : models_) {
    const int64_t d = columns(model.get());
    const std::vector<Pair> pairs = random_pairs(d, {{5, 2}, {1, 9}, {0, 4}, {7, 0}});
    const SessionHandle session = session_on(model.get(), 2);
    const Floats expected = run(pairs, d, session.get());
    for (const bool left : {false, true}) {
      GuardedFloats x(4 * len * d), key(4 * kv_len * d), out(4 * len * d);
      const auto first = [&](size_t b) { return left ? len - lengths[b] : 0; };
      for (size_t b = 0; b < 4; ++b) {
        const auto seq = static_cast<int64_t>(b);
        const int64_t first_key = left ? kv_len - kv_lengths[b] : 0;
        std::copy(pairs[b].x.begin(), pairs[b].x.end(), x.data() + (seq * len + first(b)) * d);
        std::copy(pairs[b].key.begin(), pairs[b].key.end(),
                  key.data() + (seq * kv_len + first_key) * d);
      }
      headlane_forward_batch batch = HEADLANE_INIT(headlane_forward_batch);
      batch.n_seqs = 4;
      batch.q_len = len;
      batch.kv_len = kv_len;
      batch.q_lengths = lengths;
      batch.kv_lengths = kv_lengths;
      batch.left_padded = left;
      batch.x.data = x.data();
      batch.key.data = key.data();
      batch.value = batch.key;  // the same rows
      batch.out.data = out.data();
      check(headlane_session_forward(session.get(), &batch));
      const float* right = expected.data();
      for (size_t b = 0; b < 4; ++b) {
        for (int64_t t = 0; t < len; ++t) {
          const bool real = t >= first(b) && t < first(b) + lengths[b];
          const float* row = out.data() + (static_cast<int64_t>(b) * len + t) * d;
          for (int64_t c = 0; c < d; ++c) ASSERT_EQ(row[c], real ? right[c] : 0.0f) << b << t;
          if (real) right += d;
        }
      }
    }
  }
}

TEST_P(DecoderLayers, NanStaysInItsSequence) {
  for (const ModelHandle& model : models_) {
    const int64_t d = columns(model.get());
    std::vector<Pair> pairs = random_pairs(d, {{4, 3}, {6, 8}, {5, 2}});
    const SessionHandle session = session_on(model.get(), 2);
    const Floats before = run(pairs, d, session.get());
    pairs[1].key[static_cast<size_t>(3 * d + 2)] = NAN;
    const Floats after = run(pairs, d, session.get());
    for (size_t e = 0; e < before.size(); ++e) {
      const bool its = e >= static_cast<size_t>(4 * d) && e < static_cast<size_t>(10 * d);
      EXPECT_EQ(std::isnan(after[e]), its) << e;
      if (!its) {
        EXPECT_EQ(after[e], before[e]) << e;
      }
    }
  }
}

// Later rows of x change nothing of those before, where the file or a mask hides them.
TEST_P(DecoderLayers, CausalByTheFileAndByAMask) {
  const ModelHandle free = open_with("decoder_pre_norm_final_causal", {{"causal", false}});
  const int64_t d = columns(free.get()), n = 6, n_keys = 5;
  const size_t first = static_cast<size_t>(4 * d);
  const Floats x = numbers(n * d), key = numbers(n_keys * d);
  Floats changed = x;
  for (size_t e = first; e < changed.size(); ++e) changed[e] += 3;
  std::vector<uint8_t> mask;
  for (int64_t e = 0; e < n * n; ++e) mask.push_back(e % n <= e / n);
  const auto begins_alike = [&](headlane_model* model, const uint8_t* seen) {
    const SessionHandle session = session_on(model, 1);
    Floats results[2];
    for (int i = 0; i < 2; ++i) {
      results[i].resize(x.size());
      headlane_forward_batch batch = HEADLANE_INIT(headlane_forward_batch);
      batch.n_seqs = 1;
      batch.q_len = n;
      batch.kv_len = n_keys;
      batch.x.data = (i == 0 ? x : changed).data();
      batch.key.data = key.data();
      batch.out.data = results[i].data();
      batch.mask = seen;
      batch.mask_query_stride = n;
      check(headlane_session_forward(session.get(), &batch));
    }
    EXPECT_FALSE(same_bits(results[0], results[1]));
    for (Floats& result : results) result.resize(first);
    return same_bits(results[0], results[1]);
  };
  EXPECT_TRUE(begins_alike(models_[0].get(), nullptr));
  EXPECT_TRUE(begins_alike(free.get(), mask.data()));
  EXPECT_FALSE(begins_alike(free.get(), nullptr));
}

// Both inputs get them: the encoder's rows too, which are the keys. The bits are the same as when
// the caller adds them: the doubles of two tables differ by less than their rounding.
TEST_P(DecoderLayers, SinusoidsOfBothInputs) {
  const ModelHandle with =
      open_with("transformer_post_norm", {{"positions", "sinusoidal"}, {"max_positions", 12}});
  const int64_t d = columns(with.get());
  const std::vector<Pair> pairs = random_pairs(d, {{5, 12}, {7, 3}});
  std::vector<Pair> added = pairs;
  for (Pair& pair : added) {
    for (Floats* rows : {&pair.x, &pair.key}) {
      for (size_t e = 0; e < rows->size(); ++e) {
        const int64_t t = static_cast<int64_t>(e) / d, c = static_cast<int64_t>(e) % d;
        const int64_t even = c / 2 * 2;  // sine and cosine of one angle take turns
        const double exponent = static_cast<double>(even) / static_cast<double>(d);
        const double angle = static_cast<double>(t) / std::pow(10000.0, exponent);
        (*rows)[e] += static_cast<float>(c % 2 == 0 ? std::sin(angle) : std::cos(angle));
      }
    }
  }
  const SessionHandle session = session_on(with.get(), 2), plain = session_on(models_[1].get(), 2);
  EXPECT_TRUE(same_bits(run(pairs, d, session.get()), run(added, d, plain.get())));
  headlane_session_options options = HEADLANE_INIT(headlane_session_options);
  options.max_len = 13;
  headlane_session* none = nullptr;
  expect_failure(headlane_session_create(with.get(), &options, &none), HEADLANE_INVALID_ARGUMENT,
                 "max_len is 13");
}

TEST_P(DecoderLayers, MemoryIsExact) {
  models_.push_back(
      open_with("transformer_post_norm", {{"positions", "sinusoidal"}, {"max_positions", 64}}));
  for (const ModelHandle& model : models_) {
    const int64_t d = columns(model.get());
    headlane_session_options options = HEADLANE_INIT(headlane_session_options);
    options.max_tokens = 64;
    options.max_kv_tokens = 100;
    options.n_threads = 2;
    size_t bytes = 0;
    check(headlane_session_bytes(model.get(), &options, &bytes));
    Guarded<char> memory(static_cast<int64_t>((bytes + 63) / 64 * 64));
    options.memory = memory.data();
    options.memory_bytes = bytes;
    headlane_session* session = nullptr;
    check(headlane_session_create(model.get(), &options, &session));
    const SessionHandle owner(session), usual = session_on(model.get(), 2);
    const std::vector<Pair> pairs = random_pairs(d, {{40, 60}, {24, 40}});
    EXPECT_TRUE(same_bits(run(pairs, d, session), run(pairs, d, usual.get())));
    options.memory_bytes = bytes - 1;
    expect_failure(headlane_session_create(model.get(), &options, &session),
                   HEADLANE_INVALID_ARGUMENT, "memory_bytes");
  }
}

TEST_P(DecoderLayers, FactsSayWhatItIs) {
  const headlane_model_facts alone = facts_of(models_[0].get());
  EXPECT_STREQ(alone.architecture, "layers");
  EXPECT_EQ(alone.n_layers, 0);
  EXPECT_EQ(alone.n_decoder_layers, 3);
  EXPECT_EQ(alone.n_decoder_heads, 4);
  EXPECT_EQ(alone.decoder_d_ff, 33);
  EXPECT_EQ(alone.has_decoder, 0);
  EXPECT_EQ(facts_of(models_[1].get()).n_layers, 2);
  headlane_generator* generator = nullptr;
  expect_failure(headlane_generator_create(models_[0].get(), nullptr, &generator),
                 HEADLANE_UNSUPPORTED, "decoder");
}

TEST_P(DecoderLayers, WhatIsWrongIsNamed) {
  const int64_t d = columns(models_[0].get());
  const SessionHandle session = session_on(models_[0].get(), 1);
  const Floats x = numbers(8 * d), key = numbers(8 * d);
  Floats out(x.size());
  headlane_forward_batch good = HEADLANE_INIT(headlane_forward_batch);
  good.n_seqs = 1;
  good.q_len = 8;
  good.kv_len = 4;
  good.x.data = x.data();
  good.key.data = key.data();
  good.out.data = out.data();
  const auto refused = [&](headlane_forward_batch batch, headlane_status status,
                           const std::string& named) {
    Floats untouched(x.size(), 7.0f);
    batch.out.data = untouched.data();
    expect_failure(headlane_session_forward(session.get(), &batch), status, named);
    EXPECT_EQ(std::count(untouched.begin(), untouched.end(), 7.0f), 8 * d) << named;
  };
  headlane_forward_batch bad = good;
  bad.key.data = nullptr;
  refused(bad, HEADLANE_INVALID_ARGUMENT, "key.data is null");
  bad.kv_len = 0;
  refused(bad, HEADLANE_INVALID_ARGUMENT, "key.data is null");
  bad = good;
  bad.value.data = x.data();
  refused(bad, HEADLANE_INVALID_ARGUMENT, "value must be null or the same rows as key");
  bad.value = {key.data(), 0, d + 1};
  refused(bad, HEADLANE_INVALID_ARGUMENT, "value must be null or the same rows as key");
  bad = good;
  bad.kv_len = 513;
  refused(bad, HEADLANE_TOO_LARGE, "513 keys");
  bad = good;
  const int64_t lengths[] = {5};
  bad.kv_lengths = lengths;
  refused(bad, HEADLANE_INVALID_ARGUMENT, "kv_lengths[0] is 5");
  bad = good;
  const int64_t offsets[] = {0, 8}, falling[] = {0, -1};
  bad.q_offsets = offsets;
  bad.kv_offsets = falling;
  refused(bad, HEADLANE_INVALID_ARGUMENT, "kv_offsets[1] is -1");
  headlane_attention_maps maps = HEADLANE_INIT(headlane_attention_maps);
  Floats map(3 * 4 * 64);
  maps.data = map.data();
  maps.first_layer = 3;
  bad = good;
  bad.maps = &maps;
  refused(bad, HEADLANE_INVALID_ARGUMENT, "layers from 3 on; there are 3");
  maps.first_layer = 0;
  maps.layer_stride = 256;
  maps.head_stride = 64;
  maps.query_stride = 4;  // of the memory's rows, where maps are of x's
  refused(bad, HEADLANE_INVALID_ARGUMENT, "strides of maps overlap");
  maps.query_stride = 8;
  check(headlane_session_forward(session.get(), &bad));
  for (size_t row = 0; row < map.size(); row += 8) {
    double sum = 0;
    for (size_t j = row; j < row + 8; ++j) sum += map[j];
    EXPECT_NEAR(sum, 1, 8 * 6e-8) << row;  // eight roundings to 2^-24
  }
}

HEADLANE_FOR_EACH_ISA(DecoderLayers);

}  // namespace
}  // namespace headlane::test
