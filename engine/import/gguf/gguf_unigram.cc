// Tokenizers of the model "t5" in GGUF files: those of XLM-RoBERTa's relatives, which choose the
// likeliest pieces of a word.
#include <cstdint>
#include <string>

#include "engine/base/error.h"
#include "engine/file/json_fields.h"
#include "engine/import/gguf/gguf_tokenizer.h"
#include "engine/import/gguf/gguf_vocabulary.h"

namespace headlane {
namespace {

using json = Json;

std::string base64_of(const json& bytes) {
  constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  const auto n = static_cast<int64_t>(bytes.size());
  for (int64_t i = 0; i < n; i += 3) {
    uint32_t three = 0;
    for (int64_t j = i; j < i + 3; ++j) {
      three = three << 8 | (j < n ? static_cast<uint32_t>(bytes[j].get<int64_t>() & 0xFF) : 0);
    }
    for (int64_t j = 0; j < 4; ++j) {
      const auto digit = static_cast<size_t>(three >> (18 - 6 * j) & 0x3F);
      text += i + j <= n ? kDigits[digit] : '=';
    }
  }
  return text;
}

// The character map of SentencePiece, or nothing.
json normalizer_of(const json& fields, const std::string& path) {
  constexpr const char* kMap = "tokenizer.ggml.precompiled_charsmap";
  if (!json_has(fields, kMap, path)) return {};
  const json& bytes = fields[kMap];
  if (!bytes.is_array() || bytes.empty()) return {};
  for (const json& byte : bytes) {
    if (byte.is_number_integer()) continue;
    fail(Status::kBadFile, "%s field \"%s\" has a value that is no byte", path.c_str(), kMap);
  }
  return {{"type", "Precompiled"}, {"precompiled_charsmap", base64_of(bytes)}};
}

// The pieces and their scores. The last rows of a table that nothing stands for are no tokens: one
// of them would count where characters that no piece has are weighed.
json pieces_of(const GgufVocabulary& vocabulary, const std::string& path) {
  constexpr const char* kScores = "tokenizer.ggml.scores";
  const json* scores = vocabulary.array_of_tokens(kScores);
  if (scores == nullptr) {
    fail(Status::kBadFile, "%s has no field \"%s\"", path.c_str(), kScores);
  }
  int64_t n = vocabulary.size();
  while (n > 0 && vocabulary.type(n - 1) == kUnused) --n;
  json pieces = json::array();
  for (int64_t id = 0; id < n; ++id) {
    pieces.push_back(json::array({vocabulary.token(id), (*scores)[id].get<double>()}));
  }
  return pieces;
}

// The first and the last token of a text, and of a pair between its texts the last one twice.
json template_of(const GgufVocabulary& vocabulary, const std::string& path) {
  json around[2], tokens = json::object();
  const char* const roles[] = {"bos", "eos"};
  for (int i = 0; i < 2; ++i) {
    const std::string* token = vocabulary.special(roles[i]);
    const std::string flag = std::string("add_") + roles[i] + "_token";
    if (token == nullptr || !vocabulary.flag(flag.c_str(), true)) {
      fail(Status::kUnsupported,
           "%s field \"tokenizer.ggml.%s\" is false, or there is no such token; it must be added",
           path.c_str(), flag.c_str());
    }
    around[i] = {{"SpecialToken", {{"id", *token}, {"type_id", 0}}}};
    tokens[*token] = {{"id", *token},
                      {"ids", json::array({vocabulary.find(*token)})},
                      {"tokens", json::array({*token})}};
  }
  const auto text = [](const char* name) {
    return json({{"Sequence", {{"id", name}, {"type_id", 0}}}});
  };
  return {{"type", "TemplateProcessing"},
          {"single", json::array({around[0], text("A"), around[1]})},
          {"pair", json::array({around[0], text("A"), around[1], around[1], text("B"), around[1]})},
          {"special_tokens", std::move(tokens)}};
}

}  // namespace

// White space is as these models have it in their folders, whatever "remove_extra_whitespaces"
// says: llama.cpp's converter takes it from a field that concerns decoding.
json read_gguf_unigram(const json& fields, const std::string& path) {
  const GgufVocabulary vocabulary(fields, path);
  const bool is_usual = vocabulary.flag("add_space_prefix", true) &&
                        !vocabulary.flag("treat_whitespace_as_suffix", false);
  const std::string* unknown = vocabulary.unknown();
  if (!is_usual || unknown == nullptr) {
    fail(
        Status::kUnsupported,
        "%s: a tokenizer of the model \"t5\" that puts no blank before a text, or has no token for "
        "what it does not know, is not supported",
        path.c_str());
  }
  const json sign = {{"type", "Metaspace"},
                     {"replacement", "\xE2\x96\x81"},
                     {"prepend_scheme", "always"},
                     {"split", true}};
  return {{"added_tokens", vocabulary.added()},
          {"normalizer", normalizer_of(fields, path)},
          {"pre_tokenizer",
           {{"type", "Sequence"},
            {"pretokenizers", json::array({{{"type", "WhitespaceSplit"}}, sign})}}},
          {"post_processor", template_of(vocabulary, path)},
          {"decoder", sign},
          {"model",
           {{"type", "Unigram"},
            {"unk_id", vocabulary.find(*unknown)},
            {"vocab", pieces_of(vocabulary, path)},
            {"byte_fallback", false}}}};
}

}  // namespace headlane
