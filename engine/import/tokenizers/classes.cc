#include "engine/import/tokenizers/classes.h"

#include <iterator>
#include <span>
#include <utility>

#include "engine/base/error.h"
#include "engine/file/json_fields.h"
#include "engine/import/tokenizers/decoder_classes.h"
#include "engine/import/tokenizers/tokens.h"
#include "engine/text/charsmap.h"
#include "engine/text/unicode.h"

namespace headlane {
namespace {

using json = Json;

constexpr ClassTokens::Named kBertTokens[] = {{"unk_token", "[UNK]"},
                                              {"sep_token", "[SEP]"},
                                              {"pad_token", "[PAD]"},
                                              {"cls_token", "[CLS]"},
                                              {"mask_token", "[MASK]"}};
constexpr ClassTokens::Named kMpnetTokens[] = {
    {"bos_token", "<s>"},   {"eos_token", "</s>"}, {"unk_token", "[UNK]"},  {"sep_token", "</s>"},
    {"pad_token", "<pad>"}, {"cls_token", "<s>"},  {"mask_token", "<mask>"}};
constexpr ClassTokens::Named kRobertaTokens[] = {
    {"bos_token", "<s>"},   {"eos_token", "</s>"}, {"unk_token", "<unk>"},  {"sep_token", "</s>"},
    {"pad_token", "<pad>"}, {"cls_token", "<s>"},  {"mask_token", "<mask>"}};
constexpr const char* kVocabJson = "vocab.json";
constexpr const char* kCamembertMore[] = {"<s>NOTUSED", "</s>NOTUSED", "<unk>NOTUSED"};

// Bytes as characters, split at GPT-2's words.
json byte_parts(const TokenizerFiles& files) {
  const bool blank = json_bool(files.config(), "add_prefix_space", files.config_path(), false);
  const json bytes = {{"type", "ByteLevel"},
                      {"add_prefix_space", blank},
                      {"trim_offsets", true},
                      {"use_regex", true}};
  const json model = {{"type", "BPE"},          {"unk_token", nullptr},
                      {"fuse_unk", false},      {"continuing_subword_prefix", nullptr},
                      {"byte_fallback", false}, {"end_of_word_suffix", nullptr},
                      {"ignore_merges", false}};
  return {{"model", model},
          {"normalizer", nullptr},
          {"pre_tokenizer", bytes},
          {"decoder", bytes},
          {"post_processor", nullptr}};
}

json gpt2_parts(const TokenizerFiles& files, const FolderTokens& /*tokens*/) {
  for (const char* key : {"add_bos_token", "add_eos_token"}) {
    if (json_bool(files.config(), key, files.config_path(), false)) {
      unsupported(files.config_path(), key, "true");
    }
  }
  return byte_parts(files);
}

json roberta_parts(const TokenizerFiles& files, const FolderTokens& tokens) {
  json parts = byte_parts(files);
  parts["post_processor"] = {{"type", "RobertaProcessing"},
                             {"sep", tokens.named_id("sep_token")},
                             {"cls", tokens.named_id("cls_token")}};
  return parts;
}

// <s> text </s>, and two texts as <s> first </s> </s> second </s>.
json bos_and_eos(const FolderTokens& tokens) {
  const auto special = [](const std::string& token) {
    return json({{"SpecialToken", {{"id", token}, {"type_id", 0}}}});
  };
  const auto text = [](const char* id) {
    return json({{"Sequence", {{"id", id}, {"type_id", 0}}}});
  };
  const json bos = tokens.named_id("bos_token"), eos = tokens.named_id("eos_token");
  const json begin = special(bos[0].text()), end = special(eos[0].text());
  json ids = json::object();
  for (const json& token : {bos, eos}) ids[token[0].text()] = {{"ids", json::array({token[1]})}};
  return {{"type", "TemplateProcessing"},
          {"single", json::array({begin, text("A"), end})},
          {"pair", json::array({begin, text("A"), end, end, text("B"), end})},
          {"special_tokens", ids}};
}

json unigram_parts(const TokenizerFiles& files, const FolderTokens& tokens, int64_t unk_id) {
  if (!json_bool(files.config(), "add_prefix_space", files.config_path(), true)) {
    unsupported(files.config_path(), "add_prefix_space",
                "false, which transformers 5 obeys and transformers 4 does not");
  }
  const json metaspace = {
      {"type", "Metaspace"}, {"replacement", kSign}, {"prepend_scheme", "always"}, {"split", true}};
  const json words = json::array({{{"type", "WhitespaceSplit"}}, metaspace});
  return {{"model", {{"type", "Unigram"}, {"unk_id", unk_id}, {"byte_fallback", false}}},
          {"normalizer", {{"type", "Precompiled"}}},
          {"pre_tokenizer", {{"type", "Sequence"}, {"pretokenizers", words}}},
          {"decoder", metaspace},
          {"post_processor", bos_and_eos(tokens)}};
}

json xlm_roberta_parts(const TokenizerFiles& files, const FolderTokens& tokens) {
  return unigram_parts(files, tokens, 3);
}

json camembert_parts(const TokenizerFiles& files, const FolderTokens& tokens) {
  const int64_t unk_id = tokens.tokens().first_id(tokens.special("unk_token"));
  return unigram_parts(files, tokens, unk_id);
}

constexpr TokenizerClass kClasses[] = {
    {"BertTokenizer", {kBertTokens, {}, false}, "WordPiece", nullptr},
    {"DistilBertTokenizer", {kBertTokens, {}, false}, "WordPiece", nullptr},
    {"ElectraTokenizer", {kBertTokens, {}, false}, "WordPiece", nullptr},
    {"MPNetTokenizer", {kMpnetTokens, {}, true}, "WordPiece", nullptr, true},
    {"RobertaTokenizer", {kRobertaTokens, {}, false}, "BPE", roberta_parts, false, kVocabJson},
    {"BartTokenizer", {kRobertaTokens, {}, false}, "BPE", roberta_parts, false, kVocabJson},
    {"GPT2Tokenizer", {kGpt2Tokens, {}, false}, "BPE", gpt2_parts, false, kVocabJson},
    {"XLMRobertaTokenizer",
     {kRobertaTokens, {}, false},
     "Unigram",
     xlm_roberta_parts,
     false,
     kFairseqModel},
    {"CamembertTokenizer",
     {kRobertaTokens, kCamembertMore, true},
     "Unigram",
     camembert_parts,
     false,
     kFairseqModel},
    {"LlamaTokenizer",
     {kLlamaTokens, {}, false},
     "BPE",
     llama_parts,
     false,
     "tokenizer.model",
     true,
     true},
    {"Qwen2Tokenizer", {kQwen2Tokens, {}, false}, "BPE", qwen2_parts, false, kVocabJson, true},
    {"GemmaTokenizer",
     {kGemmaTokens, {}, false},
     "BPE",
     gemma_parts,
     false,
     nullptr,
     true,
     true,
     "mask_token"},
};

bool is_metaspace(json step) {
  // This stands there in files of all ages.
  for (const auto& [key, value] : {std::pair<const char*, json>{"prepend_scheme", "always"},
                                   {"add_prefix_space", true},
                                   {"split", true},
                                   {"str_rep", kSign}}) {
    if (step.contains(key) && step[key] != value) return false;
    step.erase(key);
  }
  return step == json({{"type", "Metaspace"}, {"replacement", kSign}});
}

// White space split at, then Metaspace.
bool has_words(const json& steps) {
  if (!steps.contains("pretokenizers") || steps["pretokenizers"].size() != 2) return false;
  return steps["pretokenizers"][0] == json({{"type", "WhitespaceSplit"}}) &&
         is_metaspace(steps["pretokenizers"][1]);
}

const json& map_step() {
  static const json map = {{"type", "Precompiled"}};
  return map;
}

json blanks_step(const char* content) {
  return {{"type", "Replace"}, {"pattern", {{"Regex", " {2,}"}}}, {"content", content}};
}

// A character map, and at most what makes several blanks one, which changes no words.
bool has_map(const json& normalizer) {
  if (normalizer.is_null() || !normalizer.contains("normalizers")) return normalizer == map_step();
  const json& steps = normalizer["normalizers"];
  return !steps.empty() && steps[0] == map_step() &&
         (steps.size() == 1 || (steps.size() == 2 && steps[1] == blanks_step(" ")));
}

// Whether the normalizer is what transformers 4 makes of a SentencePiece model: it makes several
// blanks one sign and, in files of its later versions, drops white space at the end. Where all
// white space is a blank, the words are the same, except that a blank at the end is one without the
// second step.
bool has_map_of_4(const json& normalizer) {
  const json strip = {{"type", "Strip"}, {"strip_left", false}, {"strip_right", true}};
  for (const json& steps : {json::array({map_step(), strip, blanks_step(kSign)}),
                            json::array({map_step(), blanks_step(kSign)})}) {
    if (normalizer == json({{"type", "Sequence"}, {"normalizers", steps}})) return true;
  }
  return false;
}

// Whether a character map makes all white space blanks, except U+0085, and the sign too.
bool makes_blanks(std::string_view charsmap, const std::string& where) {
  const Charsmap map(std::as_bytes(std::span(charsmap)), where);
  NormalText in, out;
  for (char32_t c = 0; c <= 0x3000; ++c) {
    if ((!is_space(c) && c != 0x2581) || c == 0x85) continue;
    in.text.clear();
    append_char(c, &in.text);
    map.normalize(in, &out);
    if (!out.text.empty() && out.text != " ") return false;
  }
  return true;
}

bool same_unigram(const ClassAndFile& parts, const char* key, const std::string& path) {
  const json& file = parts.file[key];
  const bool of_4 =
      has_map_of_4(parts.file["normalizer"]) && is_metaspace(parts.file["pre_tokenizer"]);
  if (key == std::string_view("pre_tokenizer")) {
    return has_words(file) || (of_4 && makes_blanks(parts.charsmap, path));
  }
  if (key == std::string_view("normalizer")) {
    return of_4 || has_map(file) || (parts.charsmap.empty() && file.is_null());
  }
  return file == parts.own[key];
}

// Whether a blank is added before a text is what tokenizer_config.json says, for both versions.
bool same_bytes(const ClassAndFile& parts, const char* key) {
  json file = parts.file[key];
  if (key == std::string_view("pre_tokenizer")) {
    if (file.is_null() || file["type"] != json("ByteLevel")) return false;
    return !file.contains("use_regex") || file["use_regex"] == json(true);
  }
  if (key == std::string_view("model") && file["type"] == json("BPE")) {
    for (const char* affix : {"continuing_subword_prefix", "end_of_word_suffix"}) {
      if (file[affix] == json("")) file[affix] = nullptr;
    }
    if (parts.has_all_bytes) file["unk_token"] = nullptr;
  }
  return file == parts.own[key];
}

// Compares all steps one by one; of decoders of bytes only the type counts.
bool same_steps(const ClassAndFile& parts, const char* key) {
  json file = plain_part(parts.file[key]), own = plain_part(parts.own[key]);
  if (key == std::string_view("model") && parts.has_all_bytes) {
    file["unk_token"] = nullptr;
    own["unk_token"] = nullptr;
  }
  if (key == std::string_view("decoder") && file.contains("type") &&
      file["type"] == json("ByteLevel")) {
    return own["type"] == json("ByteLevel");
  }
  return file == own;
}

}  // namespace

bool has_llama_steps_of_4(const ClassAndFile& parts) {
  static const json kSteps = {
      {"type", "Sequence"},
      {"normalizers",
       json::array({{{"type", "Prepend"}, {"prepend", kSign}},
                    {{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", kSign}}})}};
  return parts.tokenizer_class.name == "LlamaTokenizer" && parts.file["normalizer"] == kSteps &&
         parts.file["pre_tokenizer"].is_null() &&
         parts.own["pre_tokenizer"]["prepend_scheme"] != json("never");
}

const TokenizerClass* find_tokenizer_class(std::string_view name) {
  for (const TokenizerClass& known : kClasses) {
    if (known.name == name) return &known;
  }
  return nullptr;
}

std::string tokenizer_class_names() {
  std::string names;
  for (const TokenizerClass& known : kClasses) {
    names.append(names.empty() ? "" : ", ").append(known.name);
  }
  return names;
}

void check_same_parts(const ClassAndFile& parts, const std::string& path) {
  const TokenizerClass& own = parts.tokenizer_class;
  const auto is_same = [&](const char* key) {
    if (own.model == "Unigram") return same_unigram(parts, key, path);
    return own.takes_ends ? same_steps(parts, key) : same_bytes(parts, key);
  };
  for (const char* key :
       {"model", "ids_before", "ids_after", "pre_tokenizer", "normalizer", "decoder"}) {
    if ((key == std::string_view("decoder") && !own.takes_ends) || is_same(key)) continue;
    const bool is_step =
        std::string_view(key) == "normalizer" || key == std::string_view("pre_tokenizer");
    if (is_step && has_llama_steps_of_4(parts)) continue;
    const std::string name(parts.tokenizer_class.name);
    fail(Status::kUnsupported,
         "%s: its \"%s\" is not that of %s, the class that the folder's tokenizer has: "
         "transformers 4 obeys the file and transformers 5 the class. If tokenizer.json is right, "
         "set \"tokenizer_class\" to \"PreTrainedTokenizerFast\" in tokenizer_config.json",
         path.c_str(), std::string_view(key).starts_with("ids") ? "post_processor" : key,
         name.c_str());
  }
}

}  // namespace headlane
