// The table that users see is the one that is enforced.
#include "engine/file/limits.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/support/temp_dir.h"

namespace headlane {
namespace {

using namespace file_limits;  // NOLINT(google-build-using-namespace): what this file is of

std::string with_commas(int64_t number) {
  std::string text = std::to_string(number);
  for (auto i = static_cast<int>(text.size()) - 3; i > 0; i -= 3) {
    text.insert(static_cast<size_t>(i), 1, ',');
  }
  return text;
}

TEST(Limits, DocsShowThem) {
  const std::string page = read_file(HEADLANE_GOLDEN_DIR "/../../docs/files.md");
  const std::pair<const char*, int64_t> rows[] = {
      {"bytes of a file", kFileBytes},
      {"bytes of the header", kHeaderBytes},
      {"tensors", kTensors},
      {"dimensions of a tensor", kRank},
      {"bytes of a tensor's name", kNameBytes},
      {"levels of JSON", kJsonDepth},
      {"values of JSON", kJsonValues},
      {"bytes of a JSON file or a vocab.txt", kJsonFileBytes},
      {"bytes of a safetensors header", kSafetensorsHeaderBytes},
      {"bytes of what is in front of the data in a GGUF file", kGgufHeaderBytes},
      {"fields of a GGUF file", kGgufFields},
      {"`vocab_size`", kVocabSize},
      {"`n_types`", kTypes},
      {"positions", kPositions},
      {"layers of a stack", file_limits::kLayers},
      {"`d_model`", kDModel},
      {"`d_ff`", kDFf},
      {"experts of a layer", kExperts},
      {"heads", kHeads},
      {"columns of a head", kHeadDim},
      {"buckets of relative positions", kRelativeBuckets},
      {"names of `higher_precision`, and of `precisions`", kProductNames},
      {"beams, as a file's default", kBeams},
      {"ids of a list of a generation's", kTokenIds},
      {"steps of a head", kHeadSteps},
      {"prompts", kPrompts},
      {"bytes of a prompt or its name", kPromptBytes},
      {"labels", kLabels},
      {"bytes of a label", kLabelBytes},
      {"bytes of computed tables, or the file's size if that is more", kTableBytes},
      {"bytes of a vocabulary", kVocabBytes},
      {"bytes of an added token", kAddedTokenBytes},
      {"characters of a word of WordPiece's", kCharsPerWord},
      {"ids before or after a text", kTemplateIds},
      {"ids around and between two texts, and these", kPairItems},
      {"steps of a normalizer, a pre-tokenizer or a decoder", kTokenizerSteps},
      {"bytes of a text in a step", kStepTextBytes},
      {"bytes of a regular expression", kRegexBytes},
      {"times that steps make a text longer", kTextGrowth},
      {"languages", kLanguages},
      {"bytes of a SentencePiece model", kSentencePieceBytes},
      {"pieces of a SentencePiece model", kPieces},
      {"bytes of a piece", kPieceBytes},
      {"user-defined pieces that begin with each other", kNestedPieces},
      {"bytes of a character map", kCharsmapBytes},
      {"bytes of a rule of it", kRuleBytes},
      {"bytes that a rule makes", kReplacementBytes},
      {"T5's `extra_ids`", kExtraIds},
      {"chat templates", kChatTemplates},
      {"bytes of a chat template", kChatTemplateBytes},
      {"tokens that chat templates know by their roles", kChatTokens},
      {"steps of a run of a chat template", kChatSteps},
      {"bytes of text that a run makes", kChatBytes},
      {"statements or expressions of a chat template in each other", kChatDepth},
      {"both, and calls, in a run", kChatRunDepth},
      {"lists in each other in a run", kChatValueDepth},
  };
  size_t n_shown = 0;
  const std::string table = page.substr(page.find("## Limits"));
  for (size_t at = 0; (at = table.find("\n| ", at)) != std::string::npos; ++at) ++n_shown;
  EXPECT_EQ(n_shown, std::size(rows) + 1) << "rows of the table, its head included";
  for (const auto& [name, limit] : rows) {
    std::string row = "\n| ";
    row.append(name).append(" | ").append(with_commas(limit)).append(" |\n");
    EXPECT_NE(table.find(row), std::string::npos) << row;
  }
}

}  // namespace
}  // namespace headlane
