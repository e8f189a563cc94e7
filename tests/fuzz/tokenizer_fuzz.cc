// Tokenizers: the files that they are imported from, one of a golden folder at a time, with texts
// through what comes out; and texts, mutated, through the golden tokenizers.
#include <vector>

#include "engine/base/error.h"
#include "engine/import/tokenizers/tokenizer.h"
#include "engine/text/tokenizer.h"
#include "tests/fuzz/folder_files.h"

namespace headlane::fuzz {
namespace {

constexpr FolderFile kFiles[] = {
    {"bert/head_dim_17_max_normalize", "tokenizer.json"},
    {"bert/head_dim_16_mean_normalize", "vocab.txt"},
    {"bert/head_dim_16_mean_normalize", "tokenizer_config.json"},
    {"sentencepiece/marian", "source.spm"},
    {"sentencepiece/marian", "vocab.json"},
    {"sentencepiece/marian_separate", "target.spm"},
    {"sentencepiece/m2m100", "sentencepiece.bpe.model"},
    {"sentencepiece/m2m100", "special_tokens_map.json"},
    {"sentencepiece/nllb", "tokenizer.json"},
    {"sentencepiece/nllb", "tokenizer_config.json"},
    {"sentencepiece/t5", "spiece.model"},
    {"sentencepiece/t5_bytes", "spiece.model"},
    {"tokenizer_json/xlm_roberta", "tokenizer.json"},
    {"tokenizer_json/t5", "tokenizer.json"},
    {"tokenizer_json/llama2", "tokenizer.json"},
    {"tokenizer_json/llama3", "tokenizer.json"},
    {"tokenizer_json/prefix_bpe", "tokenizer.json"},
    {"tokenizer_json/word_level", "tokenizer.json"},
    {"tokenizer_json/gemma", "tokenizer.json"},
    {"tokenizer_json/word_piece", "tokenizer.json"},
    {"tokenizer_json/o200k", "tokenizer.json"},
};
constexpr uint8_t kText = std::size(kFiles);  // a text, for the tokenizers of all folders

std::unique_ptr<Tokenizer> import_from(const std::string& dir) {
  const ImportedTokenizer imported = import_tokenizer(dir);
  if (imported.spec.is_null()) return nullptr;
  return make_tokenizer(imported.spec, imported.views(), dir);
}

void check_ids(const std::vector<int32_t>& ids, int64_t most, int64_t vocab_size) {
  if (static_cast<int64_t>(ids.size()) > most) finding("encode", "more tokens than max_len");
  for (const int32_t id : ids) {
    if (id < 0 || id >= vocab_size) finding("encode", "an id that is no token");
  }
}

void encode_targets(const Tokenizer& tokenizer, std::string_view text) {
  std::vector<int32_t> ids;
  try {
    tokenizer.encode_target(text, 1000000, &ids);
  } catch (const Error& error) {
    if (error.status() != Status::kUnsupported) finding("encode_target", error.what());
    return;
  }
  check_ids(ids, 1000000, tokenizer.target_vocab_size());
  tokenizer.decode(ids);
}

void use(const Tokenizer& tokenizer, std::string_view text) {
  std::vector<int32_t> ids, some;
  tokenizer.encode(text, 1000000, &ids);
  check_ids(ids, 1000000, tokenizer.vocab_size());
  const int64_t few = tokenizer.n_special() + 3;
  tokenizer.encode(text, few, &some);
  check_ids(some, few, tokenizer.vocab_size());
  if (some.size() > ids.size()) finding("encode", "a cut text has more tokens");
  std::erase_if(ids, [&](int32_t id) { return id >= tokenizer.target_vocab_size(); });
  tokenizer.decode(ids);
  encode_targets(tokenizer, text);
  const auto languages = tokenizer.languages();
  if (languages.empty()) return;
  some.clear();
  const bool of_target = tokenizer.language_use() == LanguageUse::kTargetInText;
  TextLanguages named;
  (of_target ? named.target : named.source) = languages[text.size() % languages.size()];
  tokenizer.encode_with(text, tokenizer.n_special_with(named) + 5, named, &some);
  check_ids(some, tokenizer.n_special_with(named) + 5, tokenizer.vocab_size());
}

using std::literals::operator""sv;
constexpr auto kTexts = {
    ""sv, "a man, Don't\t\x01 stop </s><unk>[SEP]\xc2\xa0!"sv,
    "\xe4\xbd\xa0\xe5\xa5\xbd Caf\xc3\xa9 e\xcc\x81 \xf0\x9f\x98\x80 fi\xef\xac\x81"
    " \xe2\x96\x81 >>fra<< __en__ zho_Hans"sv,
    "\xff\xfe\0 \xed\xa0\x80 \xf4\x90\x80\x80 \xc0\x80"sv};

// The last bytes of a file are a text too: pieces of its own are often there.
void import_and_use(const std::string& dir, std::string_view file) {
  try {
    const std::unique_ptr<Tokenizer> tokenizer = import_from(dir);
    if (!tokenizer) return;
    for (const std::string_view text : kTexts) use(*tokenizer, text);
    use(*tokenizer, file.substr(file.size() - std::min<size_t>(file.size(), 64)));
  } catch (const Error& error) {
    if (error.status() != Status::kBadFile && error.status() != Status::kUnsupported) {
      finding("tokenizer", error.what());
    }
  }
}

std::vector<std::unique_ptr<Tokenizer>> golden_tokenizers(const FilledFolders& folders) {
  std::vector<std::unique_ptr<Tokenizer>> tokenizers;
  std::string last;
  for (const FolderFile& file : kFiles) {
    if (last != file.folder) tokenizers.push_back(import_from(folders.path(file.folder)));
    last = file.folder;
  }
  return tokenizers;
}

}  // namespace
}  // namespace headlane::fuzz

using namespace headlane::fuzz;  // NOLINT(google-build-using-namespace): the entries of libFuzzer

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size,
                                          unsigned int seed) {
  return change_file_input(data, size, max_size, seed);
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static FilledFolders folders(kFiles);
  static const auto tokenizers = golden_tokenizers(folders);
  Input input(data, size);
  const size_t file = input.byte();
  const std::string text = input.text(size);
  if (file < kText) {
    folders.with(kFiles[file], text, [&](const std::string& dir) { import_and_use(dir, text); });
  } else if (file == kText) {
    for (const auto& tokenizer : tokenizers) use(*tokenizer, text);
  }
  return 0;
}
