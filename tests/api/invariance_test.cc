// On every instruction set and in every precision, results have the same bits for any number of
// threads and in any company: random ragged batches, long enough that the other threads are woken
// (headlane.h promises it of encode, forward, generate and attention).
#include <algorithm>
#include <cstring>
#include <numeric>
#include <random>

#include "tests/api/generator.h"
#include "tests/api/layer.h"
#include "tests/api/precision.h"
#include "tests/support/isas.h"

namespace headlane::test {
namespace {

constexpr const char* kPrecisions[] = {"f32", "bf16", "int8"};
constexpr int kMostThreads = 4;

// The result of one sequence alone on one thread, and the results of sequences put together in the
// order of `which` on some number of threads, one behind the other.
struct Computation {
  std::function<Floats(size_t i)> alone;
  std::function<Floats(const std::vector<size_t>& which, int n_threads)> together;
};

void expect_same_bits(size_t n, const Computation& computation, std::mt19937& random) {
  std::vector<Floats> alone;
  for (size_t i = 0; i < n; ++i) alone.push_back(computation.alone(i));
  for (int n_threads = 1; n_threads <= kMostThreads; ++n_threads) {
    // All of them, and a random part, with repetitions.
    std::vector<size_t> all(n), some(1 + random() % n);
    std::iota(all.begin(), all.end(), size_t{0});
    std::shuffle(all.begin(), all.end(), random);
    for (size_t& i : some) i = random() % n;
    for (const std::vector<size_t>& which : {all, some}) {
      Floats expected;
      for (const size_t i : which) {
        expected.insert(expected.end(), alone[i].begin(), alone[i].end());
      }
      const Floats got = computation.together(which, n_threads);
      ASSERT_EQ(got.size(), expected.size());
      ASSERT_EQ(std::memcmp(got.data(), expected.data(), got.size() * sizeof(float)), 0)
          << n_threads << " threads, " << which.size() << " sequences";
    }
  }
}

// Lengths of sequences, some of them empty.
std::vector<int64_t> random_lengths(size_t n, int64_t longest, std::mt19937& random) {
  std::vector<int64_t> lengths(n);
  for (int64_t& length : lengths) length = static_cast<int64_t>(random() % (longest + 1));
  return lengths;
}

class Invariance : public AttentionTest {
 protected:
  // Another batch in each run of the tests; the seed is printed with a failure.
  Invariance() { RecordProperty("seed", std::to_string(seed_)); }

  const uint32_t seed_ = std::random_device()();
  std::mt19937 random_{seed_};
  const testing::ScopedTrace trace_{__FILE__, __LINE__, "seed " + std::to_string(seed_)};
  const TempDir temp_;
};

class EncoderInvariance : public Invariance {
 protected:
  void expect_same_bits_of(const std::string& golden);
};

void EncoderInvariance::expect_same_bits_of(const std::string& golden) {
  SCOPED_TRACE(golden);
  const std::string path = temp_.file("model.headlane");
  convert_to(golden_encoder(golden), path, "");
  const ModelHandle model = open_model(path, GetParam());
  const headlane_model_facts facts = facts_of(model.get());
  Sequences ids;
  for (const int64_t length : random_lengths(60, facts.max_positions, random_)) {
    ids.emplace_back(static_cast<size_t>(length));
    for (int32_t& id : ids.back()) id = static_cast<int32_t>(random_() % facts.vocab_size);
  }
  for (const char* precision : kPrecisions) {
    if (!has_kernels_of_its_own(GetParam(), precision)) continue;
    SCOPED_TRACE(precision);
    std::vector<SessionHandle> sessions;
    for (int n_threads = 1; n_threads <= kMostThreads; ++n_threads) {
      sessions.push_back(session_of(model.get(), precision, n_threads, facts.max_positions * 60));
    }
    const auto result = [&](const Sequences& seqs, int n_threads) {
      return encode(sessions[static_cast<size_t>(n_threads - 1)].get(), facts, seqs);
    };
    const auto chosen = [&](const std::vector<size_t>& which) {
      Sequences seqs;
      for (const size_t i : which) seqs.push_back(ids[i]);
      return seqs;
    };
    expect_same_bits(ids.size(),
                     {[&](size_t i) { return result({ids[i]}, 1).hidden; },
                      [&](const std::vector<size_t>& which, int n_threads) {
                        return result(chosen(which), n_threads).hidden;
                      }},
                     random_);
    expect_same_bits(ids.size(),
                     {[&](size_t i) { return result({ids[i]}, 1).pooled; },
                      [&](const std::vector<size_t>& which, int n_threads) {
                        return result(chosen(which), n_threads).pooled;
                      }},
                     random_);
  }
}

TEST_P(EncoderInvariance, EncodedBitsDoNotDependOnTheBatch) {
  expect_same_bits_of("bert/head_dim_16_mean_normalize");
}

// Positions that are counted from token to token, with padding at random places.
TEST_P(EncoderInvariance, BitsDoNotDependOnTheBatchWithPaddingInside) {
  expect_same_bits_of("encoders/xlm_roberta_padding_0");
}

// Relative biases that all layers share.
TEST_P(EncoderInvariance, BitsDoNotDependOnTheBatchWithRelativeBiases) {
  expect_same_bits_of("encoders/mpnet_masked_lm");
}

TEST_P(EncoderInvariance, BitsDoNotDependOnTheBatchWithRotaryPositions) {
  expect_same_bits_of("encoders/nomic_bert_masked_lm");
}

TEST_P(EncoderInvariance, BitsDoNotDependOnTheBatchWithProjectedTables) {
  expect_same_bits_of("encoders/electra_narrow_tables");
}

// x of each sequence in `xs`, through a session.
Floats forward(headlane_session* session, const std::vector<const Floats*>& xs, int64_t d) {
  Floats x;
  std::vector<int64_t> offsets = {0};
  for (const Floats* seq : xs) {
    x.insert(x.end(), seq->begin(), seq->end());
    offsets.push_back(std::ssize(x) / d);
  }
  Floats out(x.size());
  headlane_forward_batch batch = HEADLANE_INIT(headlane_forward_batch);
  batch.n_seqs = std::ssize(xs);
  batch.q_offsets = offsets.data();
  batch.x.data = x.data();
  batch.out.data = out.data();
  check(headlane_session_forward(session, &batch));
  return out;
}

TEST_P(Invariance, ALayersBitsDoNotDependOnTheBatch) {
  constexpr int64_t kD = 160;
  Layer layer(kD, 4, 40, seed_);
  layer.options.norm = HEADLANE_NORM_PRE;
  layer.options.residual = 1;
  layer.attention.causal = HEADLANE_CAUSAL_UPPER_LEFT;
  const ModelHandle model = create_layer(layer.fill(), GetParam());
  std::vector<Floats> seqs;
  for (const int64_t length : random_lengths(12, 90, random_)) {
    seqs.push_back(layer.numbers(length * kD, 1));
  }
  for (const char* precision : kPrecisions) {
    if (!has_kernels_of_its_own(GetParam(), precision)) continue;
    SCOPED_TRACE(precision);
    std::vector<SessionHandle> sessions;
    for (int n_threads = 1; n_threads <= kMostThreads; ++n_threads) {
      sessions.push_back(create_session(model.get(), false, n_threads, 12 * 90, precision));
    }
    const auto together = [&](const std::vector<size_t>& which, int n_threads) {
      std::vector<const Floats*> xs;
      for (const size_t i : which) xs.push_back(&seqs[i]);
      return forward(sessions[static_cast<size_t>(n_threads - 1)].get(), xs, kD);
    };
    expect_same_bits(seqs.size(), {[&](size_t i) { return together({i}, 1); }, together}, random_);
  }
}

TEST_P(Invariance, AttentionsBitsDoNotDependOnTheBatch) {
  if (!has_kernels_of_its_own(GetParam(), "f32")) GTEST_SKIP() << "its kernels are those below";
  headlane_attention_options of = options(3, 32);
  std::vector<Sequence> seqs;
  for (const int64_t length : random_lengths(10, 300, random_)) {
    seqs.push_back(random_sequence(of, length, static_cast<int64_t>(random_() % 300),
                                   static_cast<uint32_t>(random_())));
  }
  for (const headlane_causal causal : {HEADLANE_CAUSAL_NONE, HEADLANE_CAUSAL_LOWER_RIGHT}) {
    of.causal = causal;
    const auto together = [&](const std::vector<size_t>& which, int n_threads) {
      of.n_threads = n_threads;
      std::vector<Sequence> some;
      some.reserve(which.size());
      for (const size_t i : which) some.push_back(seqs[i]);
      Floats results;
      for (const auto& o : attend(of, some)) results.insert(results.end(), o.begin(), o.end());
      return results;
    };
    expect_same_bits(seqs.size(), {[&](size_t i) { return together({i}, 1); }, together}, random_);
  }
}

// So many rows that a step is worth waking other threads for. Beams end at times of their own.
TEST_P(Invariance, AnswersDoNotDependOnTheBatch) {
  constexpr size_t kSources = 150;
  for (const char* precision : kPrecisions) {
    if (!has_kernels_of_its_own(GetParam(), precision)) continue;
    SCOPED_TRACE(precision);
    const ModelHandle model = open_model(golden_file("marian_shared"), GetParam(), precision);
    const headlane_model_facts facts = facts_of(model.get());
    const Sequences sources = random_sources(kSources, facts.vocab_size, 20, seed_);
    const GeneratorHandle one = create_generator(model.get(), generator_options(1, 4, 1));
    Answers alone;
    for (const auto& source : sources) {
      alone.push_back(generate(one.get(), {source}, beams(4, 2))[0]);
    }
    for (const int n_threads : {2, kMostThreads}) {
      const GeneratorHandle many =
          create_generator(model.get(), generator_options(kSources, 4, n_threads));
      EXPECT_EQ(generate(many.get(), sources, beams(4, 2)), alone) << n_threads << " threads";
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Isa, EncoderInvariance, testing::ValuesIn(kIsas),
                         [](const auto& info) { return std::string(info.param); });
INSTANTIATE_TEST_SUITE_P(Isa, Invariance, testing::ValuesIn(kIsas),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace headlane::test
