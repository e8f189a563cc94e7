#include "engine/text/decoders.h"

#include <algorithm>
#include <iterator>
#include <numeric>
#include <string_view>
#include <utility>

#include "engine/base/error.h"
#include "engine/file/json_fields.h"
#include "engine/file/limits.h"
#include "engine/text/byte_characters.h"
#include "engine/text/byte_tokens.h"
#include "engine/text/metaspace.h"
#include "engine/text/spec_fields.h"
#include "engine/text/split_patterns.h"
#include "engine/text/unicode.h"

namespace headlane {
namespace {

using json = Json;
using Tokens = std::vector<std::string>;

std::string valid(const std::string& text) {
  return valid_utf8_prefix(text) == text.size() ? text : replace_invalid_utf8(text);
}

std::string replaced(std::string_view text, const SplitPattern& what, std::string_view content) {
  std::string out;
  size_t pos = 0;
  std::vector<TextMatch> matches;
  what.find_all(text, &matches);
  for (const TextMatch match : matches) {
    out.append(text.substr(pos, match.begin - pos)).append(content);
    pos = match.end;
  }
  return out.append(text.substr(pos));
}

std::unique_ptr<SplitPattern> string_pattern(const std::string& what, const std::string& where) {
  return read_pattern(json::object({{"String", what}}), where);
}

using JoinedWords = std::vector<std::pair<std::unique_ptr<SplitPattern>, const char*>>;

// English words and signs before which a blank falls away.
JoinedWords joined_words(const std::string& where) {
  constexpr std::pair<const char*, const char*> kJoined[] = {
      {" .", "."},   {" ?", "?"},     {" !", "!"},    {" ,", ","},
      {" ' ", "'"},  {" n't", "n't"}, {" 'm", "'m"},  {" do not", " don't"},
      {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
  JoinedWords joined;
  for (const auto& [from, to] : kJoined) joined.emplace_back(string_pattern(from, where), to);
  return joined;
}

class ByteLevelDecoder : public TokenDecoder {
 public:
  void decode(Tokens* tokens) const override {
    std::string bytes;
    for (const std::string& token : *tokens) append_bytes_of_characters(token, &bytes);
    *tokens = {valid(bytes)};
  }
  std::optional<Part> decode_part(const Part& part) const override {
    if (part.joined) return std::nullopt;
    std::string bytes;
    append_bytes_of_characters(part.bytes, &bytes);
    return Part{bytes, true};
  }
};

class MetaspaceDecoder : public TokenDecoder {
 public:
  explicit MetaspaceDecoder(const MetaspaceOptions& options, const std::string& where)
      : sign_(string_pattern(options.sign, where)),
        adds_sign_(options.prepend != MetaspaceOptions::Prepend::kNever) {}
  void decode(Tokens* tokens) const override {
    for (size_t i = 0; i < tokens->size(); ++i) {
      (*tokens)[i] = replaced((*tokens)[i], *sign_, i == 0 && adds_sign_ ? "" : " ");
    }
  }
  std::optional<Part> decode_part(const Part& part) const override {
    if (part.joined) return std::nullopt;
    return Part{replaced(part.bytes, *sign_, " "), false};
  }

 private:
  std::unique_ptr<SplitPattern> sign_;
  bool adds_sign_;
};

class WordPiece : public TokenDecoder {
 public:
  WordPiece(std::string prefix, bool cleanup, const std::string& where)
      : prefix_(std::move(prefix)) {
    if (cleanup) joined_ = joined_words(where);
  }
  void decode(Tokens* tokens) const override {
    for (std::string& token : *tokens) {
      const bool first = &token == tokens->data();
      if (!first && token.starts_with(prefix_)) {
        token.erase(0, prefix_.size());
      } else if (!first) {
        token.insert(0, 1, ' ');
      }
      for (const auto& [from, to] : joined_) token = replaced(token, *from, to);
    }
  }

 private:
  std::string prefix_;
  JoinedWords joined_;
};

class BpeDecoder : public TokenDecoder {
 public:
  BpeDecoder(const std::string& suffix, const std::string& where)
      : suffix_(string_pattern(suffix, where)) {}
  void decode(Tokens* tokens) const override {
    for (std::string& token : *tokens) {
      token = replaced(token, *suffix_, &token == &tokens->back() ? "" : " ");
    }
  }

 private:
  std::unique_ptr<SplitPattern> suffix_;
};

class ByteFallback : public TokenDecoder {
 public:
  void decode(Tokens* tokens) const override {
    Tokens out;
    std::string bytes;
    const auto flush = [&] {
      if (valid_utf8_prefix(bytes) != bytes.size()) {
        out.insert(out.end(), bytes.size(), "\xEF\xBF\xBD");
      } else if (!bytes.empty()) {
        out.push_back(bytes);
      }
      bytes.clear();
    };
    for (std::string& token : *tokens) {
      const int byte = byte_of_token(token);
      if (byte >= 0) {
        bytes.push_back(static_cast<char>(byte));
        continue;
      }
      flush();
      out.push_back(std::move(token));
    }
    flush();
    *tokens = std::move(out);
  }
  std::optional<Part> decode_part(const Part& part) const override {
    if (part.joined) return std::nullopt;
    const int byte = byte_of_token(part.bytes);
    if (byte < 0) return part;
    return Part{std::string(1, static_cast<char>(byte)), false};
  }
};

// Tokens of a sound: equal neighbours count as one, and a sign stands for none.
class Ctc : public TokenDecoder {
 public:
  Ctc(const std::string& pad, const std::string& delimiter, bool cleanup, const std::string& where)
      : pad_(string_pattern(pad, where)) {
    if (!cleanup) return;
    joined_ = joined_words(where);
    joined_.emplace_back(string_pattern(delimiter, where), " ");
  }
  void decode(Tokens* tokens) const override {
    tokens->erase(std::unique(tokens->begin(), tokens->end()), tokens->end());
    for (std::string& token : *tokens) {
      token = replaced(token, *pad_, "");
      for (const auto& [from, to] : joined_) token = replaced(token, *from, to);
    }
    std::erase(*tokens, std::string());
  }

 private:
  std::unique_ptr<SplitPattern> pad_;
  JoinedWords joined_;
};

class Fuse : public TokenDecoder {
 public:
  void decode(Tokens* tokens) const override {
    *tokens = {std::accumulate(tokens->begin(), tokens->end(), std::string())};
  }
  std::optional<Part> decode_part(const Part& part) const override {
    return Part{part.bytes, true};
  }
};

class StripDecoder : public TokenDecoder {
 public:
  StripDecoder(std::string content, int64_t start, int64_t stop)
      : content_(std::move(content)), start_(start), stop_(stop) {}
  void decode(Tokens* tokens) const override {
    for (std::string& token : *tokens) token = stripped(token);
  }
  std::optional<Part> decode_part(const Part& part) const override {
    if (!part.joined) return Part{stripped(part.bytes), false};
    if (stop_ > 0) return std::nullopt;
    return part;  // a joined text is stripped at its beginning, where others are
  }

 private:
  std::string stripped(std::string_view rest) const {
    for (int64_t i = 0; i < start_ && rest.starts_with(content_); ++i) {
      rest.remove_prefix(content_.size());
    }
    for (int64_t i = 0; i < stop_ && rest.ends_with(content_); ++i) {
      rest.remove_suffix(content_.size());
    }
    return std::string(rest);
  }

  std::string content_;
  int64_t start_, stop_;
};

class ReplaceDecoder : public TokenDecoder {
 public:
  ReplaceDecoder(std::unique_ptr<SplitPattern> pattern, std::string content)
      : pattern_(std::move(pattern)), content_(std::move(content)) {}
  void decode(Tokens* tokens) const override {
    for (std::string& token : *tokens) token = replaced(token, *pattern_, content_);
  }
  std::optional<Part> decode_part(const Part& part) const override {
    if (part.joined) return std::nullopt;
    return Part{replaced(part.bytes, *pattern_, content_), false};
  }

 private:
  std::unique_ptr<SplitPattern> pattern_;
  std::string content_;
};

using MadeDecoder = std::unique_ptr<TokenDecoder>;

template <typename Step>
MadeDecoder make_plain_decoder(const json& /*spec*/, const std::string& /*where*/) {
  return std::make_unique<Step>();
}

MadeDecoder read_metaspace_decoder(const json& spec, const std::string& where) {
  return std::make_unique<MetaspaceDecoder>(read_metaspace_options(spec, where), where);
}

MadeDecoder read_wordpiece_decoder(const json& spec, const std::string& where) {
  return std::make_unique<WordPiece>(read_step_text(spec, "prefix", where),
                                     json_bool(spec, "cleanup", where), where);
}

MadeDecoder read_bpe(const json& spec, const std::string& where) {
  return std::make_unique<BpeDecoder>(read_step_text(spec, "suffix", where), where);
}

MadeDecoder read_ctc(const json& spec, const std::string& where) {
  return std::make_unique<Ctc>(read_step_text(spec, "pad_token", where),
                               read_step_text(spec, "word_delimiter_token", where),
                               json_bool(spec, "cleanup", where), where);
}

MadeDecoder read_strip_decoder(const json& spec, const std::string& where) {
  const std::string content = read_step_text(spec, "content", where);
  if (content.empty()) fail(Status::kBadFile, "%s field \"content\" is empty", where.c_str());
  return std::make_unique<StripDecoder>(content, json_int(spec, "start", where),
                                        json_int(spec, "stop", where));
}

MadeDecoder read_replace_decoder(const json& spec, const std::string& where) {
  return std::make_unique<ReplaceDecoder>(
      read_pattern(json_field(spec, "pattern", where), where + " field \"pattern\""),
      read_step_text(spec, "content", where));
}

struct DecoderKind {
  std::string_view type;
  MadeDecoder (*read)(const json& spec, const std::string& where);
};
constexpr DecoderKind kDecoderKinds[] = {
    {"BPEDecoder", read_bpe},
    {"CTC", read_ctc},
    {"ByteFallback", make_plain_decoder<ByteFallback>},
    {"ByteLevel", make_plain_decoder<ByteLevelDecoder>},
    {"Fuse", make_plain_decoder<Fuse>},
    {"Metaspace", read_metaspace_decoder},
    {"Replace", read_replace_decoder},
    {"Strip", read_strip_decoder},
    {"WordPiece", read_wordpiece_decoder},
};

// A Sequence may hold others; the parser of JSON bounds how deep.
void add_decoders(const json& spec, const std::string& where, TokenDecoders* steps) {
  const std::string type = json_string(spec, "type", where);
  if (type == "Sequence") {
    const json& inner = json_field(spec, "decoders", where);
    if (!inner.is_array()) fail(Status::kBadFile, "%s: no list of steps", where.c_str());
    for (const json& step : inner) add_decoders(step, where, steps);
    return;
  }
  if (std::ssize(*steps) == file_limits::kTokenizerSteps) {
    fail(Status::kBadFile, "%s has more than %d steps", where.c_str(),
         static_cast<int>(file_limits::kTokenizerSteps));
  }
  const auto* const kind =
      std::find_if(std::begin(kDecoderKinds), std::end(kDecoderKinds),
                   [&](const DecoderKind& known) { return known.type == type; });
  if (kind == std::end(kDecoderKinds)) {
    fail(Status::kUnsupported, "%s: Headlane does not support a step of type \"%s\"", where.c_str(),
         printable(type).c_str());
  }
  steps->push_back(kind->read(spec, where + " \"" + type + "\""));
}

}  // namespace

TokenDecoders read_decoders(const json& spec, const std::string& where) {
  TokenDecoders steps;
  add_decoders(spec, where, &steps);
  return steps;
}

}  // namespace headlane
