// Generators whose targets' keys and values are kept in each format: single steps of an
// encoder-decoder, with maps of attention and without.
#include "tests/api/generator_step.h"

namespace headlane::test {
namespace {

struct FormatCase {
  const char *model, *precision, *cache;
};
std::ostream& operator<<(std::ostream& out, const FormatCase& of) {
  return out << of.model << "_" << of.precision << "_cache_" << of.cache;
}

class GenerateCache : public testing::TestWithParam<FormatCase> {
 protected:
  GeneratorHandle generator_of(const char* cache, int64_t max_beams) const {
    headlane_generator_options options = generator_options(4, max_beams, 2);
    options.all_logits = 1;
    options.max_new_tokens = 12;
    options.cache = cache;
    return create_generator(model_.get(), options);
  }

  const ModelHandle model_ = open_model(golden_file(GetParam().model, GetParam().precision));
  const headlane_model_facts facts_ = facts_of(model_.get());
  const Sequences sources_ = random_sources(4, facts_.vocab_size, 12, 6);
};

// What is told of attention does not change what is computed, and probabilities sum to 1: the
// scales of values are no part of them.
TEST_P(GenerateCache, StepsHaveTheSameBitsWithMaps) {
  constexpr int64_t kSteps = 6;
  const int64_t n_heads = facts_.n_decoder_heads, n_layers = facts_.n_decoder_layers;
  StepMaps self(n_layers, 1, n_heads, kSteps, kSteps);
  const headlane_attention_maps maps = self.maps();
  const GeneratorHandle with = generator_of(GetParam().cache, 1),
                        without = generator_of(GetParam().cache, 1);
  encode_sources(with.get(), {sources_[0]});
  encode_sources(without.get(), {sources_[0]});
  for (int64_t i = 0; i < kSteps; ++i) {
    StepRows rows(facts_, 1, 1), plain(facts_, 1, 1);
    rows.ids[0] = plain.ids[0] = i == 0 ? facts_.start_id : static_cast<int32_t>(5 + i);
    rows.parents[0] = plain.parents[0] = i == 0 ? -1 : 0;
    headlane_step step = rows.step(), plain_step = plain.step();
    step.self_attention = &maps;
    check(headlane_generator_step(with.get(), &step));
    check(headlane_generator_step(without.get(), &plain_step));
    EXPECT_TRUE(rows.row_equals(0, plain, 0)) << i;
    self.expect_rows(i, [&](int64_t) { return i + 1; });
  }
}

// Answers do not depend on the sources beside them, and memory follows the format.
TEST_P(GenerateCache, AnswersAreAsAlone) {
  const GeneratorHandle generator = generator_of(GetParam().cache, 3);
  const Answers together = generate(generator.get(), sources_, beams(3, 3));
  for (size_t i = 0; i < sources_.size(); ++i) {
    EXPECT_EQ(generate(generator.get(), {sources_[i]}, beams(3, 3))[0], together[i]) << i;
  }
  const auto bytes_of = [&](const char* cache) {
    headlane_generator_options options = generator_options(4, 3, 2);
    options.cache = cache;
    size_t bytes = 0;
    check(headlane_generator_bytes(model_.get(), &options, &bytes));
    return bytes;
  };
  const bool is_f32 = std::string(GetParam().precision) == "f32";
  EXPECT_EQ(bytes_of(nullptr), bytes_of(is_f32 ? "f32" : "bf16"));
  EXPECT_LT(bytes_of("bf16"), bytes_of("f32"));
  EXPECT_LT(bytes_of("int8"), bytes_of("f32"));
}

INSTANTIATE_TEST_SUITE_P(Models, GenerateCache,
                         testing::Values(FormatCase{"marian_shared", "f32", "bf16"},
                                         FormatCase{"marian_shared", "f32", "int8"},
                                         FormatCase{"t5_v1_1", "f32", "bf16"},
                                         FormatCase{"t5_v1_1", "f32", "int8"},
                                         FormatCase{"marian_shared", "bf16", "f32"},
                                         FormatCase{"marian_shared", "int8", "int8"},
                                         FormatCase{"t5_v1_1", "bf16", "int8"}),
                         testing::PrintToStringParamName());

}  // namespace
}  // namespace headlane::test
