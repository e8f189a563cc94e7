// Single steps of a decoder through the C API: targets that branch and end, what a step says of
// each row, and maps of attention.
#include <algorithm>
#include <cmath>
#include <fstream>
#include <random>

#include "tests/api/generator.h"
#include "tests/support/kernel_test.h"

namespace headlane::test {
namespace {

// What a step was asked for, and said, of some rows.
struct Rows {
  Rows(const headlane_model_facts& facts, size_t n, int64_t k)
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
    headlane_step step = HEADLANE_STEP_INIT;
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
  bool row_equals(size_t row, const Rows& other, size_t of_other) const {
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

void encode_sources(headlane_generator* generator, const Sequences& sources) {
  const FlatSequences flat(sources);
  const headlane_batch batch = flat.batch();
  tool::check(headlane_generator_encode(generator, &batch, nullptr));
}

GeneratorHandle step_generator(headlane_model* model, int64_t max_sources, int64_t max_beams,
                               int n_threads, int64_t max_new_tokens = 12) {
  headlane_generator_options options = generator_options(max_sources, max_beams, n_threads);
  options.all_logits = 1;
  options.max_new_tokens = max_new_tokens;
  return create_generator(model, options);
}

class GenerateStep : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (!runs(golden_file("marian_shared"), GetParam())) {
      GTEST_SKIP() << "this machine (or HEADLANE_MAX_ISA) lacks " << GetParam();
    }
  }
};

// A target: of which source, and all its tokens.
struct Target {
  int32_t source = 0;
  std::vector<int32_t> ids;
};

// The last step of a target that grows alone.
Rows grow_alone(headlane_generator* generator, const headlane_model_facts& facts,
                const Sequences& sources, const Target& target, int64_t k) {
  encode_sources(generator, {sources[static_cast<size_t>(target.source)]});
  Rows rows(facts, 1, k);
  for (size_t i = 0; i < target.ids.size(); ++i) {
    rows.ids[0] = target.ids[i];
    rows.parents[0] = i == 0 ? -1 : 0;
    const headlane_step step = rows.step();
    tool::check(headlane_generator_step(generator, &step));
  }
  return rows;
}

// Parents are repeated and dropped, targets begin at any step, sources have any number of them:
// each row has the bits that its tokens have alone.
TEST_P(GenerateStep, TargetsBranchAndEnd) {
  constexpr int64_t kBest = 7;
  std::mt19937 random(11);
  for (const auto& [name, precision] : {std::pair{"marian_shared", "f32"},
                                        {"marian_shared", "bf16"},
                                        {"m2m_100", "int8"},
                                        {"t5_v1_0", "f32"},
                                        {"t5_v1_1", "bf16"},
                                        {"mbart", "f32"}}) {
    SCOPED_TRACE(std::string(name) + " " + precision);
    const tool::Model model = open_model(golden_file(name), GetParam(), precision);
    const headlane_model_facts facts = tool::facts_of(model.get());
    const Sequences sources = random_sources(4, facts.vocab_size, 20, 3);
    const GeneratorHandle many = step_generator(model.get(), 4, 5, 2);
    const GeneratorHandle alone = step_generator(model.get(), 1, 1, 1);
    encode_sources(many.get(), sources);
    std::vector<Target> targets;
    for (int at = 0; at < 8; ++at) {
      Rows rows(facts, 1 + random() % 20, kBest);
      std::vector<Target> next;
      for (size_t r = 0; r < rows.n; ++r) {
        const bool begins = targets.empty() || random() % 8 == 0;
        const size_t parent = begins ? 0 : random() % targets.size();
        Target target = begins ? Target{static_cast<int32_t>(random() % 4), {}} : targets[parent];
        target.ids.push_back(static_cast<int32_t>(random() % rows.vocab_size));
        rows.ids[r] = target.ids.back();
        rows.sources[r] = target.source;
        rows.parents[r] = begins ? -1 : static_cast<int32_t>(parent);
        next.push_back(target);
      }
      const headlane_step step = rows.step();
      tool::check(headlane_generator_step(many.get(), &step));
      targets = next;
      for (size_t r = 0; r < rows.n; ++r) {
        const Rows expected = grow_alone(alone.get(), facts, sources, targets[r], kBest);
        ASSERT_TRUE(rows.row_equals(r, expected, 0)) << "step " << at << ", row " << r;
      }
    }
  }
}

// Of each row the best in order, of equals the lower id first; and the logarithm of the sum of all
// exponentials, whose error is that of top_k_f32 (tests/top_k_test.cc), of a logarithm and a sum.
TEST_P(GenerateStep, BestTokensAndSumsAreThoseOfTheLogits) {
  for (const char* name : {"marian_shared", "marian_separate", "t5_v1_1"}) {
    const tool::Model model = open_model(golden_file(name), GetParam());
    const headlane_model_facts facts = tool::facts_of(model.get());
    const Sequences sources = random_sources(12, facts.vocab_size, 20, 4);
    const GeneratorHandle generator = step_generator(model.get(), 12, 1, 2);
    encode_sources(generator.get(), sources);
    for (const int64_t k : {int64_t{1}, int64_t{5}, int64_t{61}}) {
      Rows rows(facts, 12, k);
      for (int32_t i = 0; i < 12; ++i) {
        rows.ids[static_cast<size_t>(i)] = 3 + i;
        rows.sources[static_cast<size_t>(i)] = i;
      }
      const headlane_step step = rows.step();
      tool::check(headlane_generator_step(generator.get(), &step));
      for (size_t r = 0; r < rows.n; ++r) {
        const float* logits = &rows.logits[r * rows.vocab_size];
        std::vector<int32_t> order(rows.vocab_size);
        for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int32_t>(i);
        std::stable_sort(order.begin(), order.end(),
                         [&](int32_t a, int32_t b) { return logits[a] > logits[b]; });
        double sum = 0, error = 0;
        for (const int32_t id : order) {
          const double below = double{logits[order[0]]} - logits[id], e = std::exp(-below);
          sum += e;
          error += e * (18 + 3 * below + static_cast<double>(rows.vocab_size)) * kEps;
        }
        for (size_t i = 0; i < static_cast<size_t>(k); ++i) {
          const size_t at = r * static_cast<size_t>(k) + i;
          ASSERT_EQ(rows.best_ids[at], order[i]) << name << ", " << r << ", " << i;
          ASSERT_EQ(rows.best_logits[at], logits[order[i]]);
        }
        const double expected = logits[order[0]] + std::log(sum);
        ASSERT_NEAR(rows.log_sum_exp[r], expected,
                    error / sum + 2 * kEps * (std::log(sum) + std::fabs(expected)));
      }
    }
  }
}

// Maps of all layers and heads of one step's rows, NaN where nothing was written.
struct Maps {
  Maps(int64_t n_layers, int64_t n_rows, int64_t n_heads, int64_t q_len, int64_t kv_len)
      : n_layers(n_layers),
        n_rows(n_rows),
        n_heads(n_heads),
        q_len(q_len),
        kv_len(kv_len),
        data(static_cast<size_t>(n_layers * n_rows * n_heads * q_len * kv_len), NAN) {}
  headlane_attention_maps maps() {
    headlane_attention_maps maps = HEADLANE_ATTENTION_MAPS_INIT;
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

// Of one source and one target, what transformers' eager attention says in float64, four times its
// own float32's error about it; and the decoder's last hidden states.
TEST_P(GenerateStep, MapsAndHiddenStatesAreThoseOfTransformers) {
  for (const char* name : {"marian_shared", "m2m_100", "t5_v1_1"}) {
    SCOPED_TRACE(name);
    const GoldenEncoderDecoder golden(name);
    const auto errors = nlohmann::json::parse(std::ifstream(golden.folder + "/attention.json"));
    const auto expect_near = [&](const std::vector<float>& got, const std::string& what) {
      const Npy expected = read_npy(golden.folder + "/" + what + ".npy");
      ASSERT_EQ(got.size(), expected.data.size()) << what;
      const double bound = 4 * errors.at(what).get<double>();
      for (size_t i = 0; i < got.size(); ++i) {
        ASSERT_NEAR(got[i], expected.data[i], bound) << what << ", " << i;
      }
    };
    const tool::Model model = open_model(golden_file(name), GetParam());
    const headlane_model_facts facts = tool::facts_of(model.get());
    const Sequences sources = {golden.sources[0]};
    const std::vector<int32_t> target = golden.generated("greedy")[0];
    const auto source_len = static_cast<int64_t>(sources[0].size()),
               target_len = static_cast<int64_t>(target.size());
    const GeneratorHandle generator = step_generator(model.get(), 1, 1, 1, target_len);
    Maps encoder(facts.n_layers, 1, facts.n_heads, source_len, source_len);
    Maps self(facts.n_decoder_layers, 1, facts.n_decoder_heads, target_len, target_len);
    Maps cross(facts.n_decoder_layers, 1, facts.n_decoder_heads, target_len, source_len);
    std::fill(self.data.begin(), self.data.end(), 0.0f);  // what is masked is not written
    const headlane_attention_maps of_encoder = encoder.maps(), of_self = self.maps(),
                                  of_cross = cross.maps();
    const FlatSequences flat(sources);
    const headlane_batch batch = flat.batch();
    const headlane_outputs outputs{sizeof outputs, nullptr, nullptr, &of_encoder};
    tool::check(headlane_generator_encode(generator.get(), &batch, &outputs));
    std::vector<float> hidden;
    for (int64_t i = 0; i < target_len; ++i) {
      Rows rows(facts, 1, 1);
      rows.ids[0] = i == 0 ? facts.start_id : target[static_cast<size_t>(i - 1)];
      rows.parents[0] = i == 0 ? -1 : 0;
      headlane_step step = rows.step();
      step.self_attention = &of_self;
      step.cross_attention = &of_cross;
      tool::check(headlane_generator_step(generator.get(), &step));
      hidden.insert(hidden.end(), rows.hidden.begin(), rows.hidden.end());
    }
    expect_near(encoder.data, "encoder_attention");
    expect_near(self.data, "decoder_attention");
    expect_near(cross.data, "cross_attention");
    expect_near(hidden, "decoder_hidden");
  }
}

HEADLANE_FOR_EACH_ISA(GenerateStep);

class GenerateSteps : public testing::Test {
 protected:
  const tool::Model model_ = open_model(golden_file("marian_shared"));
  const headlane_model_facts facts_ = tool::facts_of(model_.get());
};

// A caller's own greedy search: finished targets leave.
TEST_F(GenerateSteps, AreWhatGenerateTakes) {
  constexpr int32_t kEnd = 0, kSuppressed = 82;
  const int64_t max_new = facts_.max_new_tokens;
  const Sequences sources = random_sources(20, facts_.vocab_size, 20, 5);
  const GeneratorHandle generator = step_generator(model_.get(), 20, 1, 2, max_new);
  const Answers expected = generate(generator.get(), sources, beams(1));
  encode_sources(generator.get(), sources);
  Sequences ids(20);
  std::vector<double> sums(20);
  std::vector<int32_t> running(20), parents(20, -1);
  for (int32_t i = 0; i < 20; ++i) running[static_cast<size_t>(i)] = i;
  while (!running.empty()) {
    Rows rows(facts_, running.size(), 2);
    rows.sources = running;
    rows.parents = parents;
    for (size_t r = 0; r < rows.n; ++r) {
      const auto& so_far = ids[static_cast<size_t>(running[r])];
      rows.ids[r] = so_far.empty() ? facts_.start_id : so_far.back();
    }
    headlane_step step = rows.step();
    step.logits = nullptr;
    tool::check(headlane_generator_step(generator.get(), &step));
    std::vector<int32_t> still;
    parents.clear();
    for (size_t r = 0; r < rows.n; ++r) {
      const auto source = static_cast<size_t>(running[r]);
      const size_t best = 2 * r + (rows.best_ids[2 * r] == kSuppressed ? 1 : 0);
      const bool is_last = static_cast<int64_t>(ids[source].size()) + 1 == max_new;
      ids[source].push_back(is_last ? kEnd : rows.best_ids[best]);  // the model forces its last
      if (!is_last) sums[source] += rows.best_logits[best] - rows.log_sum_exp[r];
      if (ids[source].back() == kEnd) continue;
      still.push_back(running[r]);
      parents.push_back(static_cast<int32_t>(r));
    }
    running = still;
  }
  for (size_t i = 0; i < 20; ++i) {
    EXPECT_EQ(ids[i], expected[i][0].ids) << i;
    // Each log-probability is near 0 or -10, and rounded twice; so is each of at most 15 sums.
    EXPECT_NEAR(sums[i] / static_cast<double>(ids[i].size()), expected[i][0].score,
                32 * kEps * (1 + std::fabs(sums[i])));
  }
}

TEST_F(GenerateSteps, RowByRowIsTheDefault) {
  const Sequences sources = random_sources(3, facts_.vocab_size, 9, 6);
  const GeneratorHandle generator = step_generator(model_.get(), 3, 1, 1);
  std::vector<Rows> said;
  for (const bool named : {true, false}) {
    encode_sources(generator.get(), sources);
    for (const int32_t parent : {-1, 0}) {
      Rows rows(facts_, 3, 4);
      rows.ids = {82, 7, 9};
      rows.sources = {0, 1, 2};
      if (parent == 0) rows.parents = {0, 1, 2};
      headlane_step step = rows.step();
      if (!named) step.parents = nullptr;
      tool::check(headlane_generator_step(generator.get(), &step));
      said.push_back(rows);
    }
  }
  for (size_t r = 0; r < 3; ++r) {
    EXPECT_TRUE(said[0].row_equals(r, said[2], r));
    EXPECT_TRUE(said[1].row_equals(r, said[3], r));
    EXPECT_FALSE(said[0].row_equals(r, said[1], r));
  }
}

TEST_F(GenerateSteps, MapsSumToOneAndChangeNothing) {
  const Sequences sources = {{4, 5, 6}, {7}, {8, 9, 10, 11, 12, 0}};
  const auto source_len = [&](int64_t row) {
    return static_cast<int64_t>(sources[static_cast<size_t>(row % 3)].size());
  };
  constexpr int64_t kSteps = 6;
  for (const char* precision : {"f32", "bf16", "int8"}) {
    for (const char* name : {"marian_shared", "t5_v1_0"}) {
      SCOPED_TRACE(std::string(name) + " " + precision);
      const tool::Model model = open_model(golden_file(name), "", precision);
      const headlane_model_facts facts = tool::facts_of(model.get());
      const GeneratorHandle generator = step_generator(model.get(), 3, 2, 2);
      const GeneratorHandle plain = step_generator(model.get(), 3, 2, 1);
      encode_sources(generator.get(), sources);
      encode_sources(plain.get(), sources);
      Maps self(facts.n_decoder_layers, 6, facts.n_decoder_heads, kSteps, kSteps);
      Maps cross(facts.n_decoder_layers, 6, facts.n_decoder_heads, kSteps, 6);
      for (int64_t i = 0; i < kSteps; ++i) {
        Rows rows(facts, 6, 3);
        for (int32_t r = 0; r < 6; ++r) {
          const auto at = static_cast<size_t>(r);
          rows.ids[at] = i == 0 ? facts.start_id : static_cast<int32_t>(10 + i + 3 * r);
          rows.sources[at] = r % 3;
          rows.parents[at] = i == 0 ? -1 : r;
        }
        Rows without = rows;
        const headlane_attention_maps self_maps = self.maps(), cross_maps = cross.maps();
        headlane_step step = rows.step();
        step.self_attention = &self_maps;
        step.cross_attention = &cross_maps;
        tool::check(headlane_generator_step(generator.get(), &step));
        self.expect_rows(i, [&](int64_t) { return i + 1; });
        cross.expect_rows(i, source_len);
        step = without.step();
        tool::check(headlane_generator_step(plain.get(), &step));
        for (size_t r = 0; r < 6; ++r) ASSERT_TRUE(rows.row_equals(r, without, r)) << i;
      }
    }
  }
}

// Some layers and heads of all: the same bits, and nothing else written.
TEST_F(GenerateSteps, MapsOfSomeLayersAndHeads) {
  const Sequences sources = {{4, 5, 6, 7, 0}};
  const GeneratorHandle generator = step_generator(model_.get(), 1, 1, 1);
  encode_sources(generator.get(), sources);
  Rows rows(facts_, 1, 1);
  rows.ids = {82};
  const int64_t n_layers = facts_.n_decoder_layers, n_heads = facts_.n_decoder_heads;
  Maps all(n_layers, 1, n_heads, 1, 5);
  headlane_attention_maps of_all = all.maps();
  headlane_step step = rows.step();
  step.cross_attention = &of_all;
  tool::check(headlane_generator_step(generator.get(), &step));
  for (int64_t layer = 0; layer < n_layers; ++layer) {
    for (int64_t head = 0; head < n_heads; ++head) {
      encode_sources(generator.get(), sources);
      Maps some(n_layers, 1, n_heads, 1, 5);
      headlane_attention_maps of_some = some.maps();
      of_some.first_layer = layer;
      of_some.first_head = head;
      of_some.n_layers = of_some.n_heads = 1;
      step.cross_attention = &of_some;
      tool::check(headlane_generator_step(generator.get(), &step));
      EXPECT_EQ(0, std::memcmp(some.data.data(), all.row(layer, 0, head, 0), 5 * sizeof(float)));
      for (size_t i = 5; i < some.data.size(); ++i) EXPECT_TRUE(std::isnan(some.data[i]));
    }
  }
  headlane_attention_maps wrong = all.maps();
  step.cross_attention = &wrong;
  const auto refuse = [&](const std::string& named) {
    encode_sources(generator.get(), sources);
    expect_status(headlane_generator_step(generator.get(), &step), HEADLANE_INVALID_ARGUMENT,
                  named);
  };
  wrong.first_layer = n_layers;
  refuse("layer");
  wrong = all.maps();
  wrong.n_heads = n_heads + 1;
  refuse("head");
  wrong = all.maps();
  wrong.data = nullptr;
  refuse("data");
}

// The encoder's maps, in the call that encodes.
TEST_F(GenerateSteps, EncodersHaveMaps) {
  const std::vector<int32_t> source = {4, 5, 6, 7, 0};
  const GeneratorHandle generator = step_generator(model_.get(), 1, 1, 2);
  Maps all(facts_.n_layers, 1, facts_.n_heads, 5, 5);
  headlane_attention_maps maps = all.maps();
  const int64_t offsets[] = {0, 5};
  const headlane_batch batch{sizeof batch, 1, offsets, source.data(), nullptr};
  const headlane_outputs outputs{sizeof outputs, nullptr, nullptr, &maps};
  tool::check(headlane_generator_encode(generator.get(), &batch, &outputs));
  for (int64_t i = 0; i < 5; ++i) all.expect_rows(i, [](int64_t) { return int64_t{5}; });
}

}  // namespace
}  // namespace headlane::test
