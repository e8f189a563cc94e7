// Structs of other versions: of labels and of calls that make scores. A test is called as its
// struct is.
#include "tests/api/encoder.h"
#include "tests/api/struct_versions.h"
#include "tests/support/temp_dir.h"

namespace headlane::test {
namespace {

// Three texts, the second of them empty, and all that can be asked of their scores.
class StructVersionsOfScores : public testing::Test {
 protected:
  StructVersionsOfScores() : encoder_(path(), "", 1) {
    texts_.n_texts = 3;
    texts_.data = "we a cat";
    texts_.data_bytes = 8;
    texts_.offsets_32 = offsets_;
    tokenize_.max_len = 20;
    tokenize_.prompt = "the ";
  }
  static std::string path() {
    static const TempDir dir;
    static const std::string converted = [] {
      const std::string to = dir.file("scores.headlane");
      check(headlane_convert(HEADLANE_GOLDEN_DIR "/classify/bert_nli", to.c_str(), nullptr));
      return to;
    }();
    return converted;
  }
  // In a version of the struct without `user`, nobody is told.
  static int32_t on_progress(void* user, const headlane_embed_progress* progress) {
    if (user)
      static_cast<std::string*>(user)->append(std::to_string(progress->n_texts)).append(";");
    return 0;
  }

  Encoder encoder_;
  const int32_t offsets_[4] = {0, 2, 2, 8};
  headlane_texts texts_ = HEADLANE_INIT(headlane_texts);
  headlane_tokenize_options tokenize_ = HEADLANE_INIT(headlane_tokenize_options);
  std::string told_;
};

TEST_F(StructVersionsOfScores, headlane_label_facts) {
  expect_all_versions_written<headlane_label_facts>("headlane_label_facts", [&](auto* facts) {
    return headlane_model_get_label(encoder_.model(), 2, facts);
  });
}

TEST_F(StructVersionsOfScores, headlane_classify_options) {
  headlane_classify_options full = HEADLANE_INIT(headlane_classify_options);
  full.outcome = HEADLANE_OUTCOME_RAW;
  full.tokenize = &tokenize_;
  full.second = &texts_;
  full.on_progress = on_progress;
  full.user = &told_;
  expect_all_versions_read("headlane_classify_options", full, [&](const auto* options) {
    told_.clear();
    std::vector<float> scores(9);
    Outcome outcome(
        headlane_session_classify(encoder_.session(), &texts_, options, scores.data(), 3));
    return outcome << scores << told_;
  });
}

TEST_F(StructVersionsOfScores, headlane_zero_shot_options) {
  headlane_zero_shot_options full = HEADLANE_INIT(headlane_zero_shot_options);
  full.tokenize = &tokenize_;
  full.hypothesis = "about {}";
  full.multi_label = 1;
  full.on_progress = on_progress;
  full.user = &told_;
  expect_all_versions_read("headlane_zero_shot_options", full, [&](const auto* options) {
    told_.clear();
    std::vector<float> scores(9);
    Outcome outcome(headlane_session_zero_shot(encoder_.session(), &texts_, &texts_, options,
                                               scores.data(), 3));
    return outcome << scores << told_;
  });
}

}  // namespace
}  // namespace headlane::test
