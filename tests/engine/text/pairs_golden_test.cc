// Ids and types of pairs of texts equal to those of the `tokenizers` library, cut by each strategy
// from each side: golden/tokenizer_json/make_pairs.py has written down hashes of them.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "engine/base/error.h"
#include "engine/import/tokenizers/tokenizer.h"
#include "tests/support/expect_error.h"
#include "tests/support/golden_texts.h"
#include "tests/support/sanitizers.h"
#include "tests/support/tokenizer_testing.h"

namespace headlane {
namespace {

using nlohmann::json;

constexpr size_t kPairs = 6000;

struct Ids {
  std::vector<int32_t> ids, types;
};

std::string repeated(const std::string& text, int n) {
  std::string out;
  for (int i = 0; i < n; ++i) out += text;
  return out;
}

// As texts_of_pair of make_pairs.py.
std::pair<std::string, std::string> texts_of_pair(size_t i, const std::vector<std::string>& texts) {
  std::string first = texts[i * 7 % texts.size()];
  std::string second = texts[(i * 13 + i / 11) % texts.size()];
  if (i >= kPairs - 12) {
    first = repeated(first, i % 3 ? 40 : 1);
    second = repeated(second, i % 2 ? 40 : 1);
  }
  if (i % 50 == 0) {
    if (i % 100 == 0) first.clear();
    if (i % 150 == 0) second.clear();
  }
  return {first, second};
}

struct Cut {
  Truncation truncation = Truncation::kLongestFirst;
  bool left = false;
  int64_t max_len = kNoLimit;
};

// As cut_of_pair of make_pairs.py.
Cut cut_of_pair(size_t i) {
  if (i % 9 == 0) return {};
  constexpr Truncation kAll[] = {Truncation::kLongestFirst, Truncation::kOnlyFirst,
                                 Truncation::kOnlySecond};
  const size_t strategy = i / 3 % 3;
  const size_t n_more = i * i % 61 * (strategy == 0 ? 1 : 6);
  return {kAll[strategy], i / 2 % 2 == 1, static_cast<int64_t>(6 + n_more)};
}

// A tokenizer that cuts at the end, and one that cuts at the beginning.
class PairTokenizers {
 public:
  explicit PairTokenizers(ImportedTokenizer imported)
      : right_(make_tokenizer(imported.spec, imported.views(), "right")) {
    imported.spec["truncation_side"] = "left";
    left_ = make_tokenizer(imported.spec, imported.views(), "left");
  }

  std::optional<Ids> encode(size_t i, const std::vector<std::string>& texts) const {
    const auto [first, second] = texts_of_pair(i, texts);
    const Cut cut = cut_of_pair(i);
    Ids made;
    try {
      (cut.left ? left_ : right_)
          ->encode_pair(first, second, {cut.max_len, cut.truncation}, &made.ids, &made.types);
    } catch (const Error& error) {
      EXPECT_EQ(error.status(), Status::kInvalidArgument) << error.what();
      EXPECT_NE(std::string(error.what()).find("too few to cut"), std::string::npos);
      return {};
    }
    return made;
  }

 private:
  std::unique_ptr<Tokenizer> right_, left_;
};

class PairsGolden : public testing::TestWithParam<const char*> {
 protected:
  static ImportedTokenizer import() {
    const std::string name = GetParam();
    return import_tokenizer(HEADLANE_GOLDEN_DIR +
                            (name == "bert" ? "/tokenizer" : "/tokenizer_json/" + name));
  }
  static json answers() {
    const std::string name = GetParam();
    return json::parse(read_file(HEADLANE_GOLDEN_DIR +
                                 (name == "bert" ? "/tokenizer/many_pairs.json"
                                                 : "/tokenizer_json/" + name + "/pairs.json")));
  }
};

TEST_P(PairsGolden, MatchTheLibrary) {
  const PairTokenizers tokenizers(import());
  const std::vector<std::string> texts = golden_texts();
  const json golden = answers();
  ASSERT_EQ(golden["n_pairs"], kPairs);
  const std::string hashes = golden["hashes"];
  size_t n_cut = 0;
  std::vector<int32_t> five;
  size_t n_made = 0;
  for (size_t i = 0; i < kPairs; ++i) {
    // Five pairs have a hash. Under AddressSanitizer a quarter of them touches the same memory.
    if (kUnderAddressSanitizer && i / 5 % 4 != 0) continue;
    ++n_made;
    const std::optional<Ids> made = tokenizers.encode(i, texts);
    n_cut += made.has_value();
    const auto row = golden["pairs"].find(std::to_string(i));
    if (row != golden["pairs"].end()) {
      ASSERT_EQ(made.has_value(), !row->is_null()) << "pair " << i;
      if (made) {
        EXPECT_EQ(made->ids, (*row)[0].get<std::vector<int32_t>>()) << "pair " << i;
        EXPECT_EQ(made->types, (*row)[1].get<std::vector<int32_t>>()) << "pair " << i;
      }
    }
    const Ids none = {{-1}, {}};
    for (const auto* part : {&(made ? *made : none).ids, &(made ? *made : none).types}) {
      five.insert(five.end(), part->begin(), part->end());
    }
    if (i % 5 < 4) continue;
    EXPECT_EQ(hash_of_ids(five), nth_hash(hashes, i / 5)) << "pairs " << i - 4 << " to " << i;
    five.clear();
  }
  EXPECT_GE(n_cut, n_made * 3 / 4);
}

INSTANTIATE_TEST_SUITE_P(Golden, PairsGolden,
                         testing::Values("bert", "xlm_roberta", "t5", "gpt2", "roberta", "llama3",
                                         "qwen2", "llama2", "suffix_bpe", "prefix_bpe",
                                         "word_level", "word_piece", "gemma", "o200k"),
                         [](const auto& param) { return std::string(param.param); });

}  // namespace
}  // namespace headlane
