#include "engine/text/pre_tokenizers.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <iterator>
#include <utility>

#include "engine/base/error.h"
#include "engine/file/json_fields.h"
#include "engine/file/limits.h"
#include "engine/text/byte_characters.h"
#include "engine/text/metaspace.h"
#include "engine/text/split_patterns.h"
#include "engine/text/unicode.h"
#include "engine/text/unicode_scripts.h"

namespace headlane {
namespace {

using json = Json;

// This becomes of what a step looks for.
enum class Behavior { kRemoved, kIsolated, kMergedWithPrevious, kMergedWithNext, kContiguous };

// A stretch that is one match, or what lies between two; it may be empty.
struct Stretch {
  TextPiece piece;
  bool is_match;
};

// Cuts each piece into stretches, and makes pieces of these.
class Splitter : public PreTokenizer {
 public:
  explicit Splitter(Behavior behavior) : behavior_(behavior) {}

  void split(PieceText* text) const final {
    std::vector<TextPiece> out;
    out.reserve(text->pieces.size() * 2);
    std::vector<Stretch> stretches;
    for (const TextPiece piece : text->pieces) {
      stretches.clear();
      find(text->text, piece, &stretches);
      put(stretches, &out);
    }
    text->pieces = std::move(out);
  }

 private:
  virtual void find(std::string_view text, TextPiece piece, std::vector<Stretch>* out) const = 0;

  void put(const std::vector<Stretch>& stretches, std::vector<TextPiece>* out) const {
    const size_t n_before = out->size();
    for (size_t i = 0; i < stretches.size(); ++i) {
      const Stretch& stretch = stretches[i];
      if (behavior_ == Behavior::kRemoved && stretch.is_match) continue;
      if (out->size() > n_before && joins(stretches, i)) {
        out->back().end = stretch.piece.end;
      } else {
        out->push_back(stretch.piece);
      }
    }
    out->erase(std::remove_if(out->begin() + static_cast<ptrdiff_t>(n_before), out->end(),
                              [](TextPiece piece) { return piece.begin == piece.end; }),
               out->end());
  }

  // Whether it goes on with the piece of the stretch before it.
  bool joins(const std::vector<Stretch>& stretches, size_t i) const {
    const bool is_match = stretches[i].is_match, was_match = stretches[i - 1].is_match;
    switch (behavior_) {
      case Behavior::kContiguous:
        return is_match == was_match;
      case Behavior::kMergedWithPrevious:
        return is_match && !was_match;
      case Behavior::kMergedWithNext:
        return was_match && !is_match;
      case Behavior::kRemoved:
      case Behavior::kIsolated:
        return false;
    }
    return false;
  }

  Behavior behavior_;
};

// At what a pattern finds, or, inverted, at all else.
class PatternSplitter : public Splitter {
 public:
  PatternSplitter(std::unique_ptr<SplitPattern> pattern, Behavior behavior, bool invert)
      : Splitter(behavior), pattern_(std::move(pattern)), invert_(invert) {}

 private:
  void find(std::string_view text, TextPiece piece, std::vector<Stretch>* out) const override {
    const std::string_view inside = text.substr(piece.begin, piece.end - piece.begin);
    size_t pos = 0;
    const auto put = [&](size_t from, size_t to, bool is_match) {
      out->push_back({{piece.begin + from, piece.begin + to}, is_match != invert_});
    };
    std::vector<TextMatch> matches;
    pattern_->find_all(inside, &matches);
    for (const TextMatch match : matches) {
      if (pos < match.begin) put(pos, match.begin, false);
      put(match.begin, match.end, true);
      pos = match.end;
    }
    if (pos < inside.size()) put(pos, inside.size(), false);
  }

  std::unique_ptr<SplitPattern> pattern_;
  bool invert_;
};

// At each character of a kind.
class CharSplitter : public Splitter {
 public:
  CharSplitter(bool (*is_match)(char32_t), Behavior behavior)
      : Splitter(behavior), is_match_(is_match) {
    for (char32_t c = 0; c < ascii_.size(); ++c) ascii_[c] = is_match(c);
  }

 private:
  void find(std::string_view text, TextPiece piece, std::vector<Stretch>* out) const override {
    size_t begin = piece.begin;
    for (size_t pos = piece.begin; pos < piece.end;) {
      const size_t start = pos;
      const uint8_t byte = static_cast<uint8_t>(text[pos]);
      const bool matches =
          byte < ascii_.size() ? (++pos, ascii_[byte]) : is_match_(next_char(text, &pos));
      if (!matches) continue;
      if (begin < start) out->push_back({{begin, start}, false});
      out->push_back({{start, pos}, true});
      begin = pos;
    }
    if (begin < piece.end) out->push_back({{begin, piece.end}, false});
  }

  bool (*is_match_)(char32_t);
  std::array<bool, 128> ascii_;
};

// \w+|[^\w\s]+: runs of word characters, and runs of others; white space is removed.
class WordSplitter : public Splitter {
 public:
  WordSplitter() : Splitter(Behavior::kRemoved) {}

 private:
  void find(std::string_view text, TextPiece piece, std::vector<Stretch>* out) const override {
    enum Kind { kWord, kSpace, kOther };
    Kind last = kSpace;
    for (size_t pos = piece.begin; pos < piece.end;) {
      const size_t start = pos;
      const char32_t c = next_char(text, &pos);
      const Kind kind = is_word(c) ? kWord : is_space(c) ? kSpace : kOther;
      if (kind == last && !out->empty()) {
        out->back().piece.end = pos;
      } else {
        out->push_back({{start, pos}, kind == kSpace});
      }
      last = kind;
    }
  }
};

// Where the script changes. What stands before the first character that has one is removed.
class ScriptSplitter : public Splitter {
 public:
  ScriptSplitter() : Splitter(Behavior::kRemoved) {}

 private:
  void find(std::string_view text, TextPiece piece, std::vector<Stretch>* out) const override {
    int last = 0;
    for (size_t pos = piece.begin; pos < piece.end;) {
      const size_t start = pos;
      const int script = script_of(next_char(text, &pos));
      if (out->empty() || (script != 0 && script != last)) {
        out->push_back({{start, pos}, script == 0});
      } else {
        out->back().piece.end = pos;
      }
      if (script != 0) last = script;
    }
  }
};

// Bytes as characters, after a split at GPT-2's words.
class ByteLevel : public PreTokenizer {
 public:
  ByteLevel(bool add_prefix_space, bool use_regex)
      : add_prefix_space_(add_prefix_space),
        words_(use_regex
                   ? std::make_unique<PatternSplitter>(gpt2_pattern(), Behavior::kIsolated, false)
                   : nullptr) {}

  void split(PieceText* text) const override {
    if (add_prefix_space_) add_spaces(text);
    if (words_) words_->split(text);
    PieceText out;
    out.text.reserve(text->text.size() + text->text.size() / 2);
    out.pieces.reserve(text->pieces.size());
    for (const TextPiece piece : text->pieces) {
      const size_t begin = out.text.size();
      append_byte_characters(text->view(piece), &out.text);
      out.pieces.push_back({begin, out.text.size()});
      if (piece.begin < text->first_bytes) out.first_bytes = out.text.size();
    }
    *text = std::move(out);
  }

 private:
  static void add_spaces(PieceText* text) {
    PieceText out;
    out.text.reserve(text->text.size() + text->pieces.size());
    for (const TextPiece piece : text->pieces) {
      const size_t begin = out.text.size();
      if (!text->view(piece).starts_with(' ')) out.text.push_back(' ');
      out.text.append(text->view(piece));
      out.pieces.push_back({begin, out.text.size()});
      if (piece.begin < text->first_bytes) {
        out.first_bytes = out.text.size() - (piece.end - std::min(piece.end, text->first_bytes));
      }
    }
    *text = std::move(out);
  }

  bool add_prefix_space_;
  std::unique_ptr<PatternSplitter> words_;
};

Behavior read_behavior(const json& spec, const char* otherwise, const std::string& where) {
  constexpr std::pair<std::string_view, Behavior> kNames[] = {
      {"Removed", Behavior::kRemoved},
      {"Isolated", Behavior::kIsolated},
      {"MergedWithPrevious", Behavior::kMergedWithPrevious},
      {"MergedWithNext", Behavior::kMergedWithNext},
      {"Contiguous", Behavior::kContiguous}};
  const std::string name = otherwise == nullptr ? json_string(spec, "behavior", where)
                                                : json_string(spec, "behavior", where, otherwise);
  for (const auto& [known, behavior] : kNames) {
    if (name == known) return behavior;
  }
  fail(Status::kBadFile, "%s field \"behavior\" is \"%s\"", where.c_str(), printable(name).c_str());
}

using MadePreTokenizer = std::unique_ptr<PreTokenizer>;

MadePreTokenizer read_split(const json& spec, const std::string& where) {
  return std::make_unique<PatternSplitter>(
      read_pattern(json_field(spec, "pattern", where), where + " field \"pattern\""),
      read_behavior(spec, nullptr, where), json_bool(spec, "invert", where, false));
}

MadePreTokenizer read_punctuation(const json& spec, const std::string& where) {
  return std::make_unique<CharSplitter>(is_punctuation, read_behavior(spec, "Isolated", where));
}

MadePreTokenizer read_digits(const json& spec, const std::string& where) {
  const bool individual = json_bool(spec, "individual_digits", where);
  return std::make_unique<CharSplitter>(is_numeric,
                                        individual ? Behavior::kIsolated : Behavior::kContiguous);
}

MadePreTokenizer read_byte_level(const json& spec, const std::string& where) {
  return std::make_unique<ByteLevel>(json_bool(spec, "add_prefix_space", where),
                                     json_bool(spec, "use_regex", where, true));
}

MadePreTokenizer read_metaspace(const json& spec, const std::string& where) {
  return std::make_unique<Metaspace>(read_metaspace_options(spec, where));
}

MadePreTokenizer read_scripts(const json& /*spec*/, const std::string& /*where*/) {
  return std::make_unique<ScriptSplitter>();
}

MadePreTokenizer read_whitespace_split(const json& /*spec*/, const std::string& /*where*/) {
  return std::make_unique<CharSplitter>(is_space, Behavior::kRemoved);
}

MadePreTokenizer read_whitespace(const json& /*spec*/, const std::string& /*where*/) {
  return std::make_unique<WordSplitter>();
}

MadePreTokenizer read_bert_punctuation(const json& /*spec*/, const std::string& /*where*/) {
  return std::make_unique<CharSplitter>(is_punctuation, Behavior::kIsolated);
}

struct PreTokenizerKind {
  std::string_view type;
  MadePreTokenizer (*read)(const json& spec, const std::string& where);
};
constexpr PreTokenizerKind kPreTokenizerKinds[] = {
    // BERT's has two rows, which both become steps.
    {"BertPreTokenizer", read_whitespace_split},
    {"BertPreTokenizer", read_bert_punctuation},
    {"ByteLevel", read_byte_level},
    {"Digits", read_digits},
    {"Metaspace", read_metaspace},
    {"Punctuation", read_punctuation},
    {"Split", read_split},
    {"UnicodeScripts", read_scripts},
    {"Whitespace", read_whitespace},
    {"WhitespaceSplit", read_whitespace_split},
};

// A Sequence may hold others; the parser of JSON bounds how deep.
void add_pre_tokenizers(const json& spec, const std::string& where, PreTokenizers* steps) {
  const std::string type = json_string(spec, "type", where);
  if (type == "Sequence") {
    const json& inner = json_field(spec, "pretokenizers", where);
    if (!inner.is_array()) fail(Status::kBadFile, "%s: no list of steps", where.c_str());
    for (const json& step : inner) add_pre_tokenizers(step, where, steps);
    return;
  }
  const size_t n_before = steps->size();
  for (const PreTokenizerKind& kind : kPreTokenizerKinds) {
    if (type == kind.type) steps->push_back(kind.read(spec, where + " \"" + type + "\""));
  }
  if (steps->size() == n_before) {
    fail(Status::kUnsupported, "%s: Headlane does not support a step of type \"%s\"", where.c_str(),
         printable(type).c_str());
  }
  if (std::ssize(*steps) > file_limits::kTokenizerSteps) {
    fail(Status::kBadFile, "%s has more than %d steps", where.c_str(),
         static_cast<int>(file_limits::kTokenizerSteps));
  }
}

}  // namespace

PreTokenizers read_pre_tokenizers(const json& spec, const std::string& where) {
  PreTokenizers steps;
  if (!spec.is_null()) add_pre_tokenizers(spec, where, &steps);
  return steps;
}

}  // namespace headlane
