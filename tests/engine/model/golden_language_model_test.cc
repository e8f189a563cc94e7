// Small language models against transformers: logits within the rounding of float32, and
// greedy and beam search id for id; and the same bits, whatever a prompt is computed beside.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "engine/generate/generator.h"
#include "engine/import/convert.h"
#include "engine/model/model.h"
#include "tests/support/isas.h"
#include "tests/support/lines.h"
#include "tests/support/npy.h"
#include "tests/support/sanitizers.h"
#include "tests/support/temp_dir.h"

namespace headlane {
namespace {

using Ids = std::vector<int32_t>;
using test::Npy;

constexpr const char* kModels[] = {"llama_3_1",
                                   "llama_2",
                                   "llama_linear",
                                   "llama_yarn",
                                   "llama_dynamic",
                                   "mistral",
                                   "mistral_no_window",
                                   "mistral_window_2",
                                   "qwen2",
                                   "qwen2_window",
                                   "qwen2_layer_types",
                                   "gpt2",
                                   "gpt2_own_head",
                                   "gpt2_bf16",
                                   "qwen3",
                                   "qwen3_window",
                                   "qwen3_layer_types",
                                   "gemma",
                                   "gemma_one_kv",
                                   "gemma_linear",
                                   "gemma2",
                                   "gemma2_no_caps",
                                   "gemma2_old",
                                   "gemma3",
                                   "gemma3_old",
                                   "gemma3_layer_types",
                                   "gemma3_images",
                                   "gemma3_images_head",
                                   "gemma3_images_old",
                                   "phi3",
                                   "phi3_odd",
                                   "phi3_old",
                                   "phi3_longrope",
                                   "phi3_su",
                                   "smollm3",
                                   "smollm3_window",
                                   "smollm3_layer_types",
                                   "olmo2",
                                   "olmo2_odd",
                                   "olmo2_llama3",
                                   "glm",
                                   "glm_odd",
                                   "glm_old",
                                   "glm4",
                                   "glm4_odd",
                                   "glm4_old",
                                   "falcon",
                                   "falcon_new",
                                   "falcon_one_norm",
                                   "falcon_sequential",
                                   "bloom",
                                   "bloom_odd",
                                   "bloom_old",
                                   "baichuan_7b",
                                   "baichuan_13b",
                                   "baichuan2_7b",
                                   "baichuan2_13b",
                                   "falcon_alibi",
                                   "falcon_alibi_rw",
                                   "falcon_alibi_new",
                                   "mixtral",
                                   "mixtral_window",
                                   "mixtral_all",
                                   "qwen2_moe",
                                   "qwen2_moe_sparse",
                                   "qwen2_moe_all",
                                   "qwen3_moe",
                                   "qwen3_moe_dense",
                                   "qwen3_moe_all",
                                   "olmoe",
                                   "olmoe_odd",
                                   "olmoe_all",
                                   "glm4_moe",
                                   "glm4_moe_groups",
                                   "glm4_moe_all",
                                   "gpt_oss",
                                   "gpt_oss_odd",
                                   "gpt_oss_mxfp4",
                                   "deepseek_v3",
                                   "deepseek_v3_all",
                                   "deepseek_v2",
                                   "deepseek_v2_groups",
                                   "deepseek_v2_all",
                                   "deepseek_v3_wide"};

// Another order of summation than that of transformers' own float32 may be off by a small multiple
// of what that is off by (tests/golden/README.md).
constexpr double kPromptOrders = 4;

// Searches answer each prompt; under AddressSanitizer each eighth, since it touches the same
// memory.
constexpr size_t kPromptStep = kUnderAddressSanitizer ? 8 : 1;

std::vector<Ids> searched(const std::vector<Ids>& lines) {
  std::vector<Ids> some;
  for (size_t i = 0; i < lines.size(); i += kPromptStep) some.push_back(lines[i]);
  return some;
}

class GoldenLanguageModel : public testing::TestWithParam<const char*> {
 protected:
  GoldenLanguageModel()
      : folder_(std::string(HEADLANE_GOLDEN_DIR) + "/language_models/" + GetParam()),
        manifest_(nlohmann::json::parse(std::ifstream(folder_ + "/manifest.json"))),
        prompts_(test::read_ids(folder_ + "/prompts.txt")),
        greedy_(test::read_ids(folder_ + "/greedy.txt")),
        n_detailed_(manifest_["n_detailed"].get<size_t>()) {}

  std::unique_ptr<Model> open(Precision precision = Precision::kF32, const std::string& isa = "",
                              const char* run_in = "") const {
    const std::string file = dir_.file(std::string("m.") + name_of(precision));
    if (!std::ifstream(file)) {
      ConvertOptions options;
      options.precision = precision;
      convert_model(folder_, file, options);
    }
    ModelOptions options;
    options.isa = isa;
    options.precision = run_in;
    return Model::open(file, options);
  }

  GeneratorLimits limits(const Model& model, int64_t n_prompts, int64_t n_threads = 1) const {
    GeneratorOptions options;
    options.max_sources = n_prompts;
    options.max_source_len = 600;
    options.max_source_tokens = 600 * n_prompts;
    options.max_beams = manifest_["n_beams"].get<int64_t>();
    options.max_new_tokens = manifest_["max_new_tokens"].get<int64_t>();
    options.all_logits = true;
    options.n_threads = n_threads;
    return generator_limits(model, options);
  }

  // In less than f32, a router that chooses some experts may choose other ones than in f32.
  bool compares_narrow() const { return !manifest_.contains("chooses_experts"); }

  double bound(const char* what) const {
    return kPromptOrders * manifest_["float32_from_float64"][what].get<double>();
  }

  // The logits that each id of a line was chosen by: the prompt is a step, and each id is one.
  std::vector<std::vector<float>> logits(Decoder* decoder, const Ids& prompt, const Ids& line,
                                         int64_t first_step) const {
    const int64_t vocab_size = decoder->model().config().decoder.vocab_size;
    const int64_t offsets[] = {0, std::ssize(prompt)};
    TokenBatch batch;
    batch.n_seqs = 1;
    batch.offsets = offsets;
    batch.ids = prompt.data();
    decoder->encode(batch, nullptr, nullptr);
    Ids ids = prompt;
    ids.insert(ids.end(), line.begin(), line.end() - 1);
    std::vector<std::vector<float>> rows;
    for (int64_t begin = 0, end = first_step; begin < std::ssize(ids); begin = end++) {
      const int64_t step_offsets[] = {0, end - begin};
      StepBatch step;
      step.n_rows = 1;
      step.offsets = step_offsets;
      step.ids = ids.data() + begin;
      const int64_t room = std::ssize(prompt) + manifest_["max_new_tokens"].get<int64_t>();
      step.rooms = &room;  // as generate() has it
      step.k = 1;
      step.all_logits = true;
      decoder->step(step);
      if (end < std::ssize(prompt)) continue;
      const float* all = decoder->next(0).all;
      rows.emplace_back(all, all + vocab_size);
    }
    return rows;
  }

  std::vector<Ids> generate(const Model& model, const std::vector<Ids>& prompts, int64_t n_beams,
                            int64_t n_threads, std::vector<float>* scores) const {
    Generator generator(model, limits(model, std::ssize(prompts), n_threads), nullptr, {});
    Ids all;
    std::vector<int64_t> offsets = {0};
    for (const Ids& prompt : prompts) {
      all.insert(all.end(), prompt.begin(), prompt.end());
      offsets.push_back(std::ssize(all));
    }
    Request request;
    request.sources.n_seqs = std::ssize(prompts);
    request.sources.offsets = offsets.data();
    request.sources.ids = all.data();
    request.search = default_search(model.config(), generator.limits());
    request.search.n_beams = n_beams;
    request.search.length_penalty = manifest_["length_penalty"];
    generator.generate(request);
    std::vector<Ids> answers;
    for (int64_t i = 0; i < std::ssize(prompts); ++i) {
      const Answer answer = generator.answer(i, 0);
      answers.emplace_back(answer.ids.begin(), answer.ids.end());
      scores->push_back(answer.score);
    }
    return answers;
  }

  const std::string folder_;
  const nlohmann::json manifest_;
  const std::vector<Ids> prompts_, greedy_;
  const size_t n_detailed_;
  const TempDir dir_;
};

// Prompts come in one step, or their tokens one by one: the numbers are transformers', and each
// time the same bits.
TEST_P(GoldenLanguageModel, Logits) {
  const Npy expected = test::read_npy(folder_ + "/logits.npy");
  for (const kernels::Table* table : kernels::supported()) {
    const std::string isa = table->isa;
    if (!test::has_kernels_of_its_own(isa, "f32")) continue;
    const std::unique_ptr<Model> model = open(Precision::kF32, isa);
    Generator generator(*model, limits(*model, 1), nullptr, {});
    size_t at = 0;
    for (size_t i = 0; i < n_detailed_; ++i) {
      const Ids &prompt = prompts_[i], &line = greedy_[i];
      const auto whole = logits(&generator.decoder(), prompt, line, std::ssize(prompt));
      ASSERT_EQ(whole.size(), line.size());
      for (const std::vector<float>& row : whole) {
        for (const float logit : row) {
          ASSERT_NEAR(logit, expected.data[at], bound("logits")) << isa << ", prompt " << i;
          ++at;
        }
      }
      EXPECT_EQ(logits(&generator.decoder(), prompt, line, 1), whole) << isa << ", prompt " << i;
    }
    EXPECT_EQ(at, expected.data.size());
  }
}

TEST_P(GoldenLanguageModel, Greedy) {
  ASSERT_GE(prompts_.size(), 16u);
  const std::unique_ptr<Model> model = open();
  const std::vector<Ids> prompts = searched(prompts_), expected = searched(greedy_);
  std::vector<float> scores;
  EXPECT_EQ(generate(*model, prompts, 1, 2, &scores), expected);
  // Alone, each has the same bits.
  for (size_t i = 0; i < prompts.size(); i += 11) {
    std::vector<float> alone;
    EXPECT_EQ(generate(*model, {prompts[i]}, 1, 1, &alone)[0], expected[i]);
    EXPECT_EQ(alone[0], scores[i]) << "prompt " << i;
  }
}

TEST_P(GoldenLanguageModel, Beams) {
  const std::unique_ptr<Model> model = open();
  const Npy expected = test::read_npy(folder_ + "/beam_scores.npy");
  std::vector<float> scores;
  const int64_t n_beams = manifest_["n_beams"];
  EXPECT_EQ(generate(*model, searched(prompts_), n_beams, 1, &scores),
            searched(test::read_ids(folder_ + "/beam.txt")));
  for (size_t i = 0; i < scores.size(); ++i) {
    EXPECT_NEAR(scores[i], expected.data[i * kPromptStep], bound("scores")) << "prompt " << i;
  }
}

// A row of logits is off by no more of its length than hidden states of that many layers are
// (docs/precision.md), the head being one more product; in int8, its direction is near.
TEST_P(GoldenLanguageModel, NarrowLogits) {
  const Npy expected = test::read_npy(folder_ + "/logits.npy");
  for (const Precision precision : {Precision::kBf16, Precision::kInt8}) {
    const std::unique_ptr<Model> model = open(precision);
    Generator generator(*model, limits(*model, 1), nullptr, {});
    const double layers = static_cast<double>(model->config().decoder.n_layers);
    size_t at = 0;
    for (size_t i = 0; i < n_detailed_; ++i) {
      const Ids& prompt = prompts_[i];
      const auto whole = logits(&generator.decoder(), prompt, greedy_[i], std::ssize(prompt));
      for (const std::vector<float>& row : whole) {
        double dot = 0, own = 0, exact = 0, off = 0;
        for (const float logit : row) {
          const double x = logit, y = expected.data[at++];
          dot += x * y, own += x * x, exact += y * y, off += (x - y) * (x - y);
        }
        if (!compares_narrow()) continue;
        if (precision == Precision::kBf16) {
          EXPECT_LE(std::sqrt(off / exact), (10 * layers + 2) / 256) << "prompt " << i;
        } else {
          EXPECT_GT(dot / std::sqrt(own * exact), 0.95) << "prompt " << i;
        }
      }
      EXPECT_EQ(logits(&generator.decoder(), prompt, greedy_[i], 1), whole)
          << name_of(precision) << ", prompt " << i;
    }
  }
}

// Beside the same weights in f32. A product in groups reads rows whose elements are off by 1 / 254
// of the largest of their 32, so their lengths by sqrt(32) times that at most, where those of bf16
// are off by 1 / 256: logits may be off by so many times what those of bf16 are.
TEST_P(GoldenLanguageModel, LogitsOfWeightsInGroups) {
  for (const Precision precision :
       {Precision::kInt8Groups, Precision::kInt6, Precision::kInt5, Precision::kInt4}) {
    const std::unique_ptr<Model> model = open(precision), twin = open(precision, "", "f32");
    EXPECT_EQ(model->precision(), precision);
    Generator generator(*model, limits(*model, 1), nullptr, {});
    Generator in_f32(*twin, limits(*twin, 1), nullptr, {});
    const double layers = static_cast<double>(model->config().decoder.n_layers);
    for (size_t i = 0; i < n_detailed_; ++i) {
      const Ids& prompt = prompts_[i];
      const int64_t size = std::ssize(prompt);
      const auto whole = logits(&generator.decoder(), prompt, greedy_[i], size);
      const auto expected = logits(&in_f32.decoder(), prompt, greedy_[i], size);
      for (size_t row = 0; compares_narrow() && row < whole.size(); ++row) {
        double exact = 0, off = 0;
        for (size_t c = 0; c < whole[row].size(); ++c) {
          const double x = whole[row][c], y = expected[row][c];
          exact += y * y, off += (x - y) * (x - y);
        }
        EXPECT_LE(std::sqrt(off / exact), std::sqrt(32.0) * (10 * layers + 2) / 254)
            << name_of(precision) << ", prompt " << i << ", row " << row;
      }
      EXPECT_EQ(logits(&generator.decoder(), prompt, greedy_[i], 1), whole)
          << name_of(precision) << ", prompt " << i;
    }
  }
}

// A prompt near the end of the context has an answer as long as there is room.
TEST_P(GoldenLanguageModel, AnswersEndWhereTheContextDoes) {
  const std::unique_ptr<Model> model = open();
  GeneratorOptions options;
  options.max_sources = 2;
  options.max_source_len = 639;
  options.max_new_tokens = 20;
  const GeneratorLimits limits = generator_limits(*model, options);
  EXPECT_EQ(limits.search.max_len, 640);
  Generator generator(*model, limits, nullptr, {});
  Ids ids(639 + 3, 7);
  const int64_t offsets[] = {0, 639, 642};
  Request request;
  request.sources.n_seqs = 2;
  request.sources.offsets = offsets;
  request.sources.ids = ids.data();
  request.search = default_search(model->config(), limits);
  request.search.end_ids = {};
  generator.generate(request);
  EXPECT_EQ(generator.answer(0, 0).ids.size(), 1u);
  EXPECT_EQ(generator.answer(1, 0).ids.size(), 20u);
  EXPECT_EQ(generator.answer(1, 0).finish, Finish::kLength);
}

INSTANTIATE_TEST_SUITE_P(Models, GoldenLanguageModel, testing::ValuesIn(kModels),
                         [](const auto& param) { return std::string(param.param); });

}  // namespace
}  // namespace headlane
