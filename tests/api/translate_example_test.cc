// The model of examples/translate, in whatever precision its file is, on the sentences that its
// training held out: the ids that transformers generates (510 of 512 are right translations).
#include <cstdlib>
#include <filesystem>

#include "tests/api/generator.h"
#include "tests/support/isas.h"

namespace headlane::test {
namespace {

const char* const kFile = HEADLANE_EXAMPLES_DIR "/translate/zh-en.headlane";

std::string held_out(const std::string& name) {
  return std::string(HEADLANE_GOLDEN_DIR "/translate/") + name;
}

class TranslateExample : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(kFile)) GTEST_SKIP() << kFile << " is not there";
    if (!runs(kFile, GetParam())) {
      GTEST_SKIP() << "this machine (or HEADLANE_MAX_ISA) lacks " << GetParam();
    }
  }
};

// All of them take plain loops, and an emulated machine, minutes.
bool takes_long(const std::string& isa) {
  return isa == "ref" || std::getenv("HEADLANE_EMULATED") != nullptr;
}

TEST_P(TranslateExample, HeldOutSentencesComeOutAsFromTransformers) {
  Sequences sources = read_ids(held_out("source_ids.txt"));
  const size_t n_held_out = sources.size();
  if (takes_long(GetParam())) sources.resize(24);
  for (const char* precision : {"f32", "bf16", "int8"}) {
    if (!has_kernels_of_its_own(GetParam(), precision)) continue;
    SCOPED_TRACE(precision);
    const ModelHandle model = open_model(kFile, GetParam(), precision);
    for (const auto& [n_beams, name] :
         {std::pair<int64_t, const char*>{1, "greedy_ids.txt"}, {4, "beam4_ids.txt"}}) {
      const Sequences expected = read_ids(held_out(name));
      ASSERT_EQ(expected.size(), n_held_out);
      const GeneratorHandle generator =
          create_generator(model.get(), generator_options(128, n_beams, 2));
      for (size_t first = 0; first < sources.size(); first += 128) {
        const size_t last = std::min(first + 128, sources.size());
        const Answers answers = generate(generator.get(),
                                         {sources.begin() + static_cast<int64_t>(first),
                                          sources.begin() + static_cast<int64_t>(last)},
                                         beams(n_beams));
        for (size_t i = first; i < last; ++i) {
          EXPECT_EQ(answers[i - first][0].ids, expected[i]) << name << ", line " << i + 1;
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Isa, TranslateExample, testing::ValuesIn(kIsas),
                         [](auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace headlane::test
