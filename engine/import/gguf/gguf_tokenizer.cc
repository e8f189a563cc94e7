#include "engine/import/gguf/gguf_tokenizer.h"

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>

#include "engine/base/error.h"
#include "engine/file/json_fields.h"
#include "engine/import/gguf/gguf_vocabulary.h"

namespace headlane {
namespace {

using json = Json;
using Vocabulary = GgufVocabulary;

// The regular expressions by which byte-level tokenizers split texts, as their tokenizer.json has
// them.
#define HEADLANE_CONTRACTIONS "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define HEADLANE_WORDS "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|"
#define HEADLANE_REST "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define HEADLANE_UPPER "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define HEADLANE_LOWER "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
constexpr const char* kThreeDigits =
    HEADLANE_CONTRACTIONS HEADLANE_WORDS "\\p{N}{1,3}" HEADLANE_REST;
constexpr const char* kOneDigit = HEADLANE_CONTRACTIONS HEADLANE_WORDS "\\p{N}" HEADLANE_REST;
constexpr const char* kCases =
    "[^\\r\\n\\p{L}\\p{N}]?" HEADLANE_UPPER "*" HEADLANE_LOWER "+" HEADLANE_CONTRACTIONS
    "?|[^\\r\\n\\p{L}\\p{N}]?" HEADLANE_UPPER "+" HEADLANE_LOWER "*" HEADLANE_CONTRACTIONS
    "?|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
constexpr const char* kBloomWords =
    " ?[^(\\s|.,!?\xE2\x80\xA6\xE3\x80\x82\xEF\xBC\x8C\xE3\x80\x81\xE0\xA5\xA4\xDB\x94\xD8\x8C)]+";
#undef HEADLANE_CONTRACTIONS
#undef HEADLANE_WORDS
#undef HEADLANE_REST
#undef HEADLANE_UPPER
#undef HEADLANE_LOWER

json split_by(const char* regex) {
  return {{"type", "Split"},
          {"pattern", {{"Regex", regex}}},
          {"behavior", "Isolated"},
          {"invert", false}};
}

json digits(bool one_by_one) { return {{"type", "Digits"}, {"individual_digits", one_by_one}}; }

// The steps between the text and its bytes, and those behind these.
struct Steps {
  json before = json::array();
  bool words = false;  // the bytes' own step splits as GPT-2 does
  json after = json::array();
};

Steps gpt2_steps() { return {.words = true}; }
Steps three_digits_steps() { return {.before = json::array({split_by(kThreeDigits)})}; }
Steps one_digit_steps() { return {.before = json::array({split_by(kOneDigit)})}; }
Steps cases_steps() { return {.before = json::array({split_by(kCases)})}; }
Steps bloom_steps() { return {.before = json::array({split_by(kBloomWords)})}; }
Steps smollm_steps() { return {.before = json::array({digits(true)}), .words = true}; }
Steps falcon_steps() {
  return {.before = json::array({{{"type", "Punctuation"}, {"behavior", "Contiguous"}}}),
          .words = true,
          .after = json::array({digits(false), split_by("[0-9][0-9][0-9]")})};
}

// "tokenizer.ggml.pre" names one of these: llama.cpp's converter knows a tokenizer by the ids that
// it gives to a text.
struct KnownSplit {
  const char* name;
  Steps (*steps)();
  bool composes = false;     // it begins with NFC
  bool whole_words = false;  // a word that is a token is that token, whatever the merges make of it
  bool begins = false;       // it puts the first token in front where the file does not say
};
constexpr KnownSplit kSplits[] = {
    {.name = "gpt-2", .steps = gpt2_steps},
    {.name = "llama-bpe", .steps = three_digits_steps, .whole_words = true, .begins = true},
    {.name = "qwen2", .steps = one_digit_steps, .composes = true},
    {.name = "dbrx", .steps = three_digits_steps},
    {.name = "smaug-bpe", .steps = three_digits_steps},
    {.name = "glm4", .steps = three_digits_steps, .whole_words = true},
    {.name = "gpt-4o", .steps = cases_steps},
    {.name = "smollm", .steps = smollm_steps},
    {.name = "falcon", .steps = falcon_steps},
    {.name = "bloom", .steps = bloom_steps}};

// Puts the first and the last token around texts, as far as the file asks for them.
json template_of(const Vocabulary& vocabulary, bool begins) {
  json around[2] = {json::array(), json::array()}, tokens = json::object();
  const std::pair<const char*, bool> roles[] = {{"bos", vocabulary.flag("add_bos_token", begins)},
                                                {"eos", vocabulary.flag("add_eos_token", false)}};
  for (int i = 0; i < 2; ++i) {
    const std::string* token = vocabulary.special(roles[i].first);
    if (!roles[i].second || token == nullptr) continue;
    around[i].push_back({{"SpecialToken", {{"id", *token}, {"type_id", 0}}}});
    tokens[*token] = {{"id", *token},
                      {"ids", json::array({vocabulary.find(*token)})},
                      {"tokens", json::array({*token})}};
  }
  if (tokens.empty()) return {};
  const auto sequence = [&](const char* name, int type) {
    json items = around[0];
    items.push_back({{"Sequence", {{"id", name}, {"type_id", type}}}});
    for (const json& item : around[1]) items.push_back(item);
    return items;
  };
  json pair = sequence("A", 0);
  for (const json& item : sequence("B", 1)) pair.push_back(item);
  return {{"type", "TemplateProcessing"},
          {"single", sequence("A", 0)},
          {"pair", std::move(pair)},
          {"special_tokens", std::move(tokens)}};
}

const KnownSplit& find_split(const json& fields, const std::string& path) {
  constexpr const char* kKey = "tokenizer.ggml.pre";
  const std::string name = json_string(fields, kKey, path, "");
  std::string known;
  for (const KnownSplit& split : kSplits) {
    if (name == split.name) return split;
    known += (known.empty() ? "" : ", ") + std::string(split.name);
  }
  fail(Status::kUnsupported, "%s field \"%s\" is \"%s\", not one of: %s", path.c_str(), kKey,
       printable(name).c_str(), known.c_str());
}

// Pairs of tokens are merged in the order of the file's list.
json byte_level(const json& fields, const std::string& path) {
  const KnownSplit& split = find_split(fields, path);
  const Vocabulary vocabulary(fields, path);
  const Steps steps = split.steps();
  const json bytes = {{"type", "ByteLevel"},
                      {"add_prefix_space", vocabulary.flag("add_space_prefix", false)},
                      {"trim_offsets", true},
                      {"use_regex", steps.words}};
  json all = steps.before;
  all.push_back(bytes);
  for (const json& step : steps.after) all.push_back(step);
  return {{"added_tokens", vocabulary.added()},
          {"normalizer", split.composes ? json({{"type", "NFC"}}) : json()},
          {"pre_tokenizer", {{"type", "Sequence"}, {"pretokenizers", std::move(all)}}},
          {"post_processor", template_of(vocabulary, split.begins)},
          {"decoder", bytes},
          {"model",
           {{"type", "BPE"},
            {"ignore_merges", split.whole_words},
            {"vocab", vocabulary.ids()},
            {"merges", json_field(fields, "tokenizer.ggml.merges", path)}}}};
}

struct Merge {
  double score;
  int64_t left, right;
  size_t left_chars, right_chars;
};

// A SentencePiece model merges the neighbours whose token has the highest score: all pairs of
// tokens that make a token, the best first.
std::vector<Merge> merges_of(const Vocabulary& vocabulary, const json& scores) {
  std::vector<Merge> merges;
  for (int64_t id = 0; id < vocabulary.size(); ++id) {
    const int64_t type = vocabulary.type(id);
    if (type == kControl || type == kUnknown || type == kByte) continue;
    const std::string& token = vocabulary.token(id);
    std::vector<size_t> borders;
    for (size_t i = 0; i <= token.size(); ++i) {
      const bool inside = i < token.size() && (static_cast<uint8_t>(token[i]) & 0xC0) == 0x80;
      if (!inside) borders.push_back(i);
    }
    const auto first = static_cast<ptrdiff_t>(merges.size());
    for (size_t i = 1; i + 1 < borders.size(); ++i) {
      const int64_t left = vocabulary.find(token.substr(0, borders[i]));
      const int64_t right = vocabulary.find(token.substr(borders[i]));
      if (left < 0 || right < 0) continue;
      merges.push_back({scores[id].get<double>(), left, right, i, borders.size() - 1 - i});
    }
    std::sort(merges.begin() + first, merges.end(), [](const Merge& a, const Merge& b) {
      return std::pair(a.left, a.right) < std::pair(b.left, b.right);
    });
  }
  std::stable_sort(merges.begin(), merges.end(), [](const Merge& a, const Merge& b) {
    return std::tuple(b.score, b.left_chars, b.right_chars) <
           std::tuple(a.score, a.left_chars, a.right_chars);
  });
  return merges;
}

// A BPE of SentencePiece's, whose blanks are U+2581 and whose unknown characters are bytes.
json sentencepiece(const json& fields, const std::string& path) {
  constexpr const char *kBlank = "\xE2\x96\x81", *kScores = "tokenizer.ggml.scores";
  const Vocabulary vocabulary(fields, path);
  const json* scores = vocabulary.array_of_tokens(kScores);
  const std::string* unknown = vocabulary.unknown();
  if (scores == nullptr || unknown == nullptr) {
    fail(Status::kBadFile, "%s: a tokenizer \"llama\" needs \"%s\" and an unknown token",
         path.c_str(), kScores);
  }
  json merges = json::array();
  for (const Merge& merge : merges_of(vocabulary, *scores)) {
    const std::string &left = vocabulary.token(merge.left), &right = vocabulary.token(merge.right);
    // As one string where it can be: it takes a fifth of the memory.
    const bool blank = (left + right).find(' ') != std::string::npos;
    merges.push_back(blank ? json::array({left, right}) : json(left + " " + right));
  }
  const bool prefixed = vocabulary.flag("add_space_prefix", true);
  json normalizers = json::array(), decoders = json::array();
  if (prefixed) normalizers.push_back({{"type", "Prepend"}, {"prepend", kBlank}});
  normalizers.push_back({{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", kBlank}});
  decoders.push_back({{"type", "Replace"}, {"pattern", {{"String", kBlank}}}, {"content", " "}});
  decoders.push_back({{"type", "ByteFallback"}});
  decoders.push_back({{"type", "Fuse"}});
  if (prefixed) {
    decoders.push_back({{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
  }
  return {{"added_tokens", vocabulary.added()},
          {"normalizer", {{"type", "Sequence"}, {"normalizers", std::move(normalizers)}}},
          {"pre_tokenizer", nullptr},
          {"post_processor", template_of(vocabulary, true)},
          {"decoder", {{"type", "Sequence"}, {"decoders", std::move(decoders)}}},
          {"model",
           {{"type", "BPE"},
            {"unk_token", *unknown},
            {"fuse_unk", true},
            {"byte_fallback", true},
            {"ignore_merges", false},
            {"vocab", vocabulary.ids()},
            {"merges", std::move(merges)}}}};
}

// A token that continues a word is there without BERT's mark, and one that begins a word has
// SentencePiece's.
std::string in_word_piece(const Vocabulary& vocabulary, int64_t id) {
  constexpr std::string_view kBlank = "\xE2\x96\x81";
  const std::string& token = vocabulary.token(id);
  const int64_t type = vocabulary.type(id);
  if (type == kControl || type == kUnknown) return token;
  if (token.starts_with('[') && token.ends_with(']'))
    return token;  // llama.cpp marks none of these
  return token.starts_with(kBlank) ? token.substr(kBlank.size()) : "##" + token;
}

// The token with a role, by the file's field or by the name that BERT has for it.
json role_of(const Vocabulary& vocabulary, std::initializer_list<const char*> roles,
             const char* name, const std::string& path) {
  const std::string* token = nullptr;
  for (const char* role : roles) {
    if (token == nullptr) token = vocabulary.special(role);
  }
  if (token == nullptr && vocabulary.find(name) < 0) {
    fail(Status::kBadFile, "%s: its tokenizer has no token in the place of \"%s\"", path.c_str(),
         name);
  }
  const std::string text = token == nullptr ? name : *token;
  return json::array({text, vocabulary.find(text)});
}

// BERT's WordPiece.
json word_piece(const json& fields, const std::string& path) {
  const Vocabulary vocabulary(fields, path);
  for (const char* key : {"add_bos_token", "add_sep_token"}) {
    if (vocabulary.flag(key, true)) continue;
    fail(Status::kUnsupported, "%s field \"tokenizer.ggml.%s\" is false; only true is supported",
         path.c_str(), key);
  }
  json tokens = json::object();
  for (int64_t id = 0; id < vocabulary.size(); ++id) {
    const std::string token = in_word_piece(vocabulary, id);
    if (tokens.emplace(token, static_cast<uint64_t>(id)).second) continue;
    fail(Status::kBadFile, "%s field \"tokenizer.ggml.tokens\" has \"%s\" twice", path.c_str(),
         printable(token).c_str());
  }
  const bool lowercase = vocabulary.flag("normalizer.lowercase", true);
  return {{"added_tokens", vocabulary.added()},
          {"normalizer",
           {{"type", "BertNormalizer"},
            {"clean_text", true},
            {"handle_chinese_chars", true},
            {"strip_accents", vocabulary.flag("normalizer.strip_accents", lowercase)},
            {"lowercase", lowercase}}},
          {"pre_tokenizer", {{"type", "BertPreTokenizer"}}},
          {"post_processor",
           {{"type", "BertProcessing"},
            {"sep", role_of(vocabulary, {"seperator"}, "[SEP]", path)},
            {"cls", role_of(vocabulary, {"cls", "bos"}, "[CLS]", path)}}},
          {"decoder", {{"type", "WordPiece"}, {"prefix", "##"}, {"cleanup", true}}},
          {"model",
           {{"type", "WordPiece"},
            {"unk_token", role_of(vocabulary, {"unknown"}, "[UNK]", path)[0]},
            {"continuing_subword_prefix", "##"},
            {"max_input_chars_per_word", 100},
            {"vocab", std::move(tokens)}}}};
}

}  // namespace

json read_gguf_tokenizer(const json& fields, const std::string& path) {
  constexpr const char* kModel = "tokenizer.ggml.model";
  const std::string model = json_string(fields, kModel, path, "none");
  if (model == "none" || model == "no_vocab") return {};
  if (model == "bert") return word_piece(fields, path);
  if (model == "t5") return read_gguf_unigram(fields, path);
  for (const char* key :
       {"add_sep_token", "remove_extra_whitespaces", "treat_whitespace_as_suffix"}) {
    const std::string field = std::string("tokenizer.ggml.") + key;
    if (!json_bool(fields, field.c_str(), path, false)) continue;
    fail(Status::kUnsupported, "%s field \"%s\" is true; only false is supported", path.c_str(),
         field.c_str());
  }
  if (model == "llama") return sentencepiece(fields, path);
  if (model == "gpt2") return byte_level(fields, path);
  fail(Status::kUnsupported, "%s field \"%s\" is \"%s\", not one of: llama, gpt2, bert, t5",
       path.c_str(), kModel, printable(model).c_str());
}

}  // namespace headlane
