// A cache in bf16 and in int8: what transformers makes with keys and values that are rounded alike,
// its size, and the same bits however sequences are computed.
#include <nlohmann/json.hpp>

#include "tests/api/generator_step.h"
#include "tests/api/sequences.h"
#include "tests/support/lines.h"

namespace headlane::test {
namespace {

// As in tests/api/sequences_golden_test.cc.
constexpr double kCacheOrders = 4;

const std::string kCacheModels = HEADLANE_GOLDEN_DIR "/language_models/";

struct CacheCase {
  const char *model, *cache;
};
std::ostream& operator<<(std::ostream& out, const CacheCase& of) {
  return out << of.model << "_" << of.cache;
}

class SequencesCache : public testing::TestWithParam<CacheCase> {
 protected:
  headlane_sequences_options sizes() const {
    headlane_sequences_options sizes = sequences_options(8, 6000);
    sizes.cache = GetParam().cache;
    return sizes;
  }
  static headlane_sequence_options with_logprobs() {
    headlane_sequence_options options = sequence_options(12);
    options.logprobs = 1;
    return options;
  }
  size_t bytes_of(const char* cache) const {
    headlane_sequences_options of = sizes();
    of.cache = cache;
    size_t bytes = 0;
    check(headlane_sequences_bytes(model_.get(), &of, &bytes));
    return bytes;
  }

  const std::string folder_ = kCacheModels + GetParam().model;
  const nlohmann::json expected_ = nlohmann::json::parse(
      read_file(kCacheModels + "caches.json"))[GetParam().model][GetParam().cache];
  const std::vector<Ids> prompts_ = read_ids(folder_ + "/prompts.txt");
  const ModelHandle model_ = open_model(language_model_file(GetParam().model));
};

// Two orders of summation round a number to neighbours, rarely, and later numbers then differ by as
// much as they are rounded by. So logits may be off by what twice all roundings move them by, and
// all log-probabilities together must be nearer to those with the same rounding than to those
// without any. Some answers have no such number: they are as near as with a cache in f32.
TEST_P(SequencesCache, TokensAreThoseOfTransformersWithTheSameRounding) {
  const nlohmann::json manifest = nlohmann::json::parse(read_file(folder_ + "/manifest.json"));
  const double of_float32 = manifest["float32_from_float64"]["logits"];
  const double near = 2 * kCacheOrders * of_float32 +
                      static_cast<double>(facts_of(model_.get()).decoder_vocab_size) *
                          std::numeric_limits<float>::epsilon();
  const double bound = 4 * expected_["rounding"].get<double>();  // of a logit, and of their sum
  double squares = 0, squares_from_plain = 0;
  size_t n_near = 0;
  const auto lines = expected_["lines"].get<std::vector<size_t>>();
  ASSERT_GE(lines.size(), 3u);
  for (size_t i = 0; i < lines.size(); ++i) {
    Growing growing(model_.get(), sizes());
    const int64_t number = growing.add(prompts_[lines[i]], with_logprobs());
    growing.finish();
    const Grown grown = growing.grown(number, with_logprobs());
    const auto ids = expected_["ids"][i].get<Ids>();
    // generate() goes on behind an end; sequences do not.
    ASSERT_TRUE(std::equal(grown.ids.begin(), grown.ids.end(), ids.begin())) << lines[i];
    double largest = 0;
    for (size_t k = 0; k < grown.ids.size(); ++k) {
      const double off = double{grown.logprobs[k]} - expected_["logprobs"][i][k].get<double>();
      const double from_plain = double{grown.logprobs[k]} - expected_["plain"][i][k].get<double>();
      EXPECT_LE(std::fabs(off), bound) << lines[i] << ", " << k;
      largest = std::max(largest, std::fabs(off));
      squares += off * off;
      squares_from_plain += from_plain * from_plain;
    }
    n_near += largest <= near;
  }
  EXPECT_LT(squares, squares_from_plain);
  EXPECT_GE(n_near, 1u);
}

// A row for a token and layer is padded to 64 bytes.
TEST_P(SequencesCache, TakesLessMemory) {
  const headlane_model_facts facts = facts_of(model_.get());
  const bool is_bf16 = std::string(GetParam().cache) == "bf16";
  const int64_t bytes = is_bf16 ? facts.cache_token_bytes_bf16 : facts.cache_token_bytes_int8;
  const int64_t width = 2 * facts.n_kv_heads * facts.head_dim;
  const int64_t row = is_bf16 ? 2 * width : width + 8 * facts.n_kv_heads;
  EXPECT_EQ(bytes, facts.n_decoder_layers * ((row + 63) / 64 * 64));
  EXPECT_EQ(facts.cache_token_bytes, facts.cache_token_bytes_f32);
  EXPECT_EQ(bytes_of(nullptr), bytes_of("f32"));
  EXPECT_LT(bytes_of(GetParam().cache), bytes_of("f32"));
}

// Of beams, too: rows that hypotheses share are as good as their own.
TEST_P(SequencesCache, GeneratorsAgree) {
  headlane_generator_options options = HEADLANE_INIT(headlane_generator_options);
  options.max_sources = 4;
  options.max_source_len = 620;
  options.max_beams = 3;
  options.max_new_tokens = 12;
  options.n_threads = 2;
  options.cache = GetParam().cache;
  headlane_generator* made = nullptr;
  check(headlane_generator_create(model_.get(), &options, &made));
  const GeneratorHandle generator(made);
  Growing growing(model_.get(), sizes());
  const std::vector<Ids> prompts(prompts_.end() - 4, prompts_.end());
  for (const int64_t n_beams : {1, 3}) {
    headlane_generate_options search = HEADLANE_INIT(headlane_generate_options);
    search.n_beams = n_beams;
    search.length_penalty = 1;
    const FlatSequences sources(prompts);
    const headlane_batch batch = sources.batch();
    check(headlane_generator_generate(generator.get(), &batch, &search));
    const auto answers = answers_of(generator.get(), 4);
    for (size_t i = 0; i < prompts.size(); ++i) {
      if (n_beams == 1) {
        const int64_t number = growing.add(prompts[i], sequence_options(12));
        growing.finish();
        EXPECT_EQ(growing.ids(number), answers[i][0].ids) << i;
        continue;
      }
      // The score of the best beam is the likelihood of its tokens, which sequences tell, too.
      Ids whole = prompts[i];
      whole.insert(whole.end(), answers[i][0].ids.begin(), answers[i][0].ids.end());
      headlane_sequence_options given = sequence_options(HEADLANE_NO_NEW_TOKENS);
      given.prompt_logprobs = 1;
      const int64_t number = growing.add(whole, given);
      growing.finish();
      const std::vector<float> logprobs = growing.grown(number, given).logprobs;
      const size_t n = answers[i][0].ids.size();
      double sum = 0;
      for (size_t k = logprobs.size() - n; k < logprobs.size(); ++k) sum += double{logprobs[k]};
      const double score = double{answers[i][0].score};
      EXPECT_NEAR(sum / static_cast<double>(n), score, 1e-5 * (1 + std::fabs(score))) << i;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Models, SequencesCache,
                         testing::Values(CacheCase{"gemma3", "bf16"}, CacheCase{"gemma3", "int8"},
                                         CacheCase{"llama_3_1", "bf16"},
                                         CacheCase{"llama_3_1", "int8"},
                                         CacheCase{"gemma2", "bf16"}, CacheCase{"gemma2", "int8"},
                                         CacheCase{"bloom", "bf16"}, CacheCase{"bloom", "int8"},
                                         CacheCase{"gpt2", "bf16"}, CacheCase{"gpt2", "int8"},
                                         CacheCase{"qwen2_window", "bf16"},
                                         CacheCase{"qwen2_window", "int8"}),
                         testing::PrintToStringParamName());

}  // namespace
}  // namespace headlane::test
