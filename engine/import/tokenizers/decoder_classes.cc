#include "engine/import/tokenizers/decoder_classes.h"

#include <algorithm>
#include <iterator>

#include "engine/base/error.h"
#include "engine/file/input_file.h"
#include "engine/file/json_fields.h"
#include "engine/file/limits.h"
#include "engine/import/tokenizers/tokens.h"

namespace headlane {
namespace {

using json = Json;

constexpr ClassTokens::Named kBloomTokens[] = {
    {"unk_token", "<unk>"}, {"bos_token", "<s>"}, {"eos_token", "</s>"}, {"pad_token", "<pad>"}};

constexpr FileClass kFileClasses[] = {{"LlamaTokenizer", kLlamaTokens, true},
                                      {"GPT2Tokenizer", kGpt2Tokens, false},
                                      {"BloomTokenizer", kBloomTokens, false}};

// Families whose folders have tokenizer.json obeyed by transformers 5 whatever class they name.
constexpr std::string_view kFileFamilies[] = {"mistral", "mixtral", "phi3",  "glm",
                                              "glm4",    "olmo2",   "olmo3", "granite"};

constexpr const char* kQwen2Words =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*)"
    R"(|\s*[\r\n]+|\s+(?!\S)|\s+)";

json step(const char* type) { return {{"type", type}}; }

// Tokens of bytes become text again.
json byte_fallback_steps() {
  return json::array({{{"type", "Replace"}, {"pattern", {{"String", kSign}}}, {"content", " "}},
                      step("ByteFallback"),
                      step("Fuse")});
}

json pieces_model(const json& unk_token) {
  return {{"type", "BPE"},         {"unk_token", unk_token},
          {"fuse_unk", true},      {"continuing_subword_prefix", nullptr},
          {"byte_fallback", true}, {"end_of_word_suffix", nullptr},
          {"ignore_merges", false}};
}

json special_item(const json& token, int type) {
  return {{"SpecialToken", {{"id", token[0]}, {"type_id", type}}}};
}

json text_item(const char* id, int type) { return {{"Sequence", {{"id", id}, {"type_id", type}}}}; }

}  // namespace

const FileClass* find_file_class(std::string_view name) {
  for (const FileClass& known : kFileClasses) {
    if (known.name == name) return &known;
  }
  return nullptr;
}

bool obeys_tokenizer_json(const TokenizerFiles& files) {
  const std::string& name = files.tokenizer_class();
  if (find_file_class(name) == nullptr || !files.has_file("tokenizer.json")) return false;
  if (name == "BloomTokenizer") return true;  // transformers 5 has no such class any more
  if (std::find(std::begin(kFileFamilies), std::end(kFileFamilies), files.model_type()) !=
      std::end(kFileFamilies)) {
    return true;
  }
  // transformers 5 looks for the word in the file, wherever it stands.
  return name == "LlamaTokenizer" && class_of_family(files).empty() &&
         (!files.names_class() ||
          read_whole_file(files.path("tokenizer.json"), file_limits::kJsonFileBytes)
                  .find("\"ByteLevel\"") != std::string::npos);
}

std::string_view class_of_family(const TokenizerFiles& files) {
  return files.model_type() == "qwen2" ? "Qwen2Tokenizer" : "";
}

json ends_of_settings(const TokenizerFiles& files, const FolderTokens& tokens) {
  json single = json::array(), pair = json::array(), ids = json::object(), behind = json::array();
  const auto has = [&](const char* key, bool otherwise) {
    return json_bool(files.config(), key, files.config_path(), otherwise);
  };
  const auto add = [&](const json& token, int type, json* items) {
    ids.emplace(token[0].text(), json({{"ids", json::array({token[1]})}}));
    items->push_back(special_item(token, type));
  };
  if (has("add_bos_token", true)) add(tokens.named_id("bos_token"), 0, &single);
  single.push_back(text_item("A", 0));
  if (has("add_eos_token", false)) add(tokens.named_id("eos_token"), 0, &single);
  for (const json& item : single) pair.push_back(item);
  if (has("add_bos_token", true)) add(tokens.named_id("bos_token"), 1, &pair);
  pair.push_back(text_item("B", 1));
  if (has("add_eos_token", false)) add(tokens.named_id("eos_token"), 1, &pair);
  return {
      {"type", "TemplateProcessing"}, {"single", single}, {"pair", pair}, {"special_tokens", ids}};
}

json llama_parts(const TokenizerFiles& files, const FolderTokens& tokens) {
  const auto setting = [&](const char* key, bool otherwise) {
    return json_has(files.config(), key, files.config_path())
               ? json_bool(files.config(), key, files.config_path())
               : otherwise;
  };
  const bool prefix = setting("add_prefix_space", true), legacy = setting("legacy", false);
  const json blanks = {{"type", "Metaspace"},
                       {"replacement", kSign},
                       {"prepend_scheme", !prefix  ? "never"
                                          : legacy ? "always"
                                                   : "first"},
                       {"split", false}};
  json steps = byte_fallback_steps();
  if (prefix) {
    steps.push_back({{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
  }
  return {{"model", pieces_model(nullptr)},
          {"normalizer", nullptr},
          {"pre_tokenizer", blanks},
          {"decoder", {{"type", "Sequence"}, {"decoders", steps}}},
          {"post_processor", ends_of_settings(files, tokens)}};
}

json qwen2_parts(const TokenizerFiles& files, const FolderTokens& /*tokens*/) {
  for (const char* key : {"add_bos_token", "add_eos_token"}) {
    if (json_bool(files.config(), key, files.config_path(), false)) {
      unsupported(files.config_path(), key, "true");
    }
  }
  const json words = {{"type", "Split"},
                      {"pattern", {{"Regex", kQwen2Words}}},
                      {"behavior", "Isolated"},
                      {"invert", false}};
  const bool prefix = json_has(files.config(), "add_prefix_space", files.config_path()) &&
                      json_bool(files.config(), "add_prefix_space", files.config_path());
  const json bytes = {{"type", "ByteLevel"},
                      {"add_prefix_space", prefix},
                      {"trim_offsets", true},
                      {"use_regex", false}};
  const json model = {{"type", "BPE"},          {"unk_token", nullptr},
                      {"fuse_unk", false},      {"continuing_subword_prefix", nullptr},
                      {"byte_fallback", false}, {"end_of_word_suffix", nullptr},
                      {"ignore_merges", false}};
  return {{"model", model},
          {"normalizer", step("NFC")},
          {"pre_tokenizer", {{"type", "Sequence"}, {"pretokenizers", json::array({words, bytes})}}},
          {"decoder", bytes},
          {"post_processor", nullptr}};
}

json gemma_parts(const TokenizerFiles& files, const FolderTokens& tokens) {
  const json words = {{"type", "Split"},
                      {"pattern", {{"String", " "}}},
                      {"behavior", "MergedWithPrevious"},
                      {"invert", false}};
  return {{"model", pieces_model(tokens.special("unk_token"))},
          {"normalizer", {{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", kSign}}},
          {"pre_tokenizer", words},
          {"decoder", {{"type", "Sequence"}, {"decoders", byte_fallback_steps()}}},
          {"post_processor", ends_of_settings(files, tokens)}};
}

json plain_part(json part) {
  if (part.is_array() || part.is_object()) {
    for (json& inner : part) inner = plain_part(inner);
  }
  if (!part.is_object() || !part.contains("type")) return part;
  const json type = part["type"];
  if (type == json("ByteLevel")) {
    part.erase("trim_offsets");
    if (!part.contains("use_regex")) part["use_regex"] = true;
  } else if (type == json("BPE")) {
    for (const char* affix : {"continuing_subword_prefix", "end_of_word_suffix"}) {
      if (part[affix] == json("")) part[affix] = nullptr;
    }
  } else if (type == json("Split") && !part.contains("invert")) {
    part["invert"] = false;
  }
  return part;
}

}  // namespace headlane
