#include "engine/text/normalizers.h"

#include <algorithm>
#include <iterator>
#include <limits>
#include <utility>

#include "engine/base/error.h"
#include "engine/file/json_fields.h"
#include "engine/file/limits.h"
#include "engine/text/bert_normalizer.h"
#include "engine/text/byte_characters.h"
#include "engine/text/charsmap.h"
#include "engine/text/normal_forms.h"
#include "engine/text/spec_fields.h"
#include "engine/text/split_patterns.h"
#include "engine/text/unicode.h"

namespace headlane {
namespace {

using json = Json;

// A step that does something to each character, whatever stands beside it.
class CharNormalizer : public Normalizer {
 public:
  void normalize(const NormalText& in, NormalText* out) const final {
    *out = {};
    out->text.reserve(in.text.size());
    for (size_t pos = 0; pos < in.text.size();) {
      const size_t start = pos;
      add(next_char(in.text, &pos), &out->text);
      if (start < in.first_bytes) out->first_bytes = out->text.size();
    }
  }

 private:
  virtual void add(char32_t c, std::string* out) const = 0;
};

class Lowercase : public CharNormalizer {
 private:
  void add(char32_t c, std::string* out) const override { append_lower(c, out); }
};

class StripAccents : public CharNormalizer {
 private:
  void add(char32_t c, std::string* out) const override {
    if (!is_combining_mark(c)) append_char(c, out);
  }
};

// SentencePiece's authors drop these in texts of translations, or make a blank of them.
class Nmt : public CharNormalizer {
 private:
  void add(char32_t c, std::string* out) const override {
    const bool dropped = (c >= 0x1 && c <= 0x8) || c == 0xB || (c >= 0xE && c <= 0x1F) ||
                         c == 0x7F || c == 0x8F || c == 0x9F;
    const bool blank = c == 0x9 || c == 0xA || c == 0xC || c == 0xD || c == 0x1680 ||
                       (c >= 0x200B && c <= 0x200F) || c == 0x2028 || c == 0x2029 || c == 0x2581 ||
                       c == 0xFEFF || c == 0xFFFD;
    if (!dropped) append_char(blank ? ' ' : c, out);
  }
};

class Bytes : public CharNormalizer {
 private:
  void add(char32_t c, std::string* out) const override {
    std::string bytes;
    append_char(c, &bytes);
    append_byte_characters(bytes, out);
  }
};

class Form : public Normalizer {
 public:
  explicit Form(NormalForm form) : form_(form) {}
  void normalize(const NormalText& in, NormalText* out) const override {
    *out = {};
    append_normal_form(in.text, form_, &out->text);
    if (in.first_bytes == 0 || out->text.empty()) return;
    std::string first;
    append_normal_form(std::string_view(in.text).substr(0, in.first_bytes), form_, &first);
    out->first_bytes = std::min(first.size(), out->text.size());
  }

 private:
  NormalForm form_;
};

class Bert : public Normalizer {
 public:
  explicit Bert(const BertNormalizer::Options& options) : normalizer_(options) {}
  void normalize(const NormalText& in, NormalText* out) const override {
    constexpr size_t kAll = std::numeric_limits<size_t>::max();
    *out = {};
    normalizer_.normalize(in.text, 0, kAll, &out->text);
    std::string first;
    normalizer_.normalize(std::string_view(in.text).substr(0, in.first_bytes), 0, kAll, &first);
    out->first_bytes = std::min(first.size(), out->text.size());
  }

 private:
  BertNormalizer normalizer_;
};

class Replace : public Normalizer {
 public:
  Replace(std::unique_ptr<SplitPattern> pattern, std::string content)
      : pattern_(std::move(pattern)), content_(std::move(content)) {}
  void normalize(const NormalText& in, NormalText* out) const override {
    *out = {};
    size_t pos = 0;
    const auto copy_to = [&](size_t to) {
      out->text.append(in.text, pos, to - pos);
      if (pos < std::min(to, in.first_bytes)) {
        out->first_bytes = out->text.size() - (to - std::min(to, in.first_bytes));
      }
    };
    std::vector<TextMatch> matches;
    pattern_->find_all(in.text, &matches);
    for (const TextMatch match : matches) {
      copy_to(match.begin);
      out->text.append(content_);
      // It takes the place of the last character that it replaces.
      if (last_char(in.text, match.end) < in.first_bytes) out->first_bytes = out->text.size();
      pos = match.end;
    }
    copy_to(in.text.size());
  }

 private:
  static size_t last_char(std::string_view text, size_t end) {
    if (end == 0) return 0;
    do --end;
    while (end > 0 && (static_cast<uint8_t>(text[end]) & 0xC0) == 0x80);
    return end;
  }

  std::unique_ptr<SplitPattern> pattern_;
  std::string content_;
};

class PrependText : public Normalizer {
 public:
  explicit PrependText(std::string what) : what_(std::move(what)) {}
  void normalize(const NormalText& in, NormalText* out) const override {
    *out = {};
    if (in.text.empty()) return;
    out->text = what_ + in.text;
    if (in.first_bytes > 0) out->first_bytes = what_.size() + in.first_bytes;
  }

 private:
  std::string what_;
};

class Strip : public Normalizer {
 public:
  Strip(bool left, bool right) : left_(left), right_(right) {}
  void normalize(const NormalText& in, NormalText* out) const override {
    size_t begin = in.text.size(), end = 0;
    for (size_t pos = 0; pos < in.text.size();) {
      const size_t start = pos;
      if (is_space(next_char(in.text, &pos))) continue;
      begin = std::min(begin, start);
      end = pos;
    }
    const bool empty = begin == in.text.size();
    if (!left_ && !(empty && right_)) begin = 0;
    if (!right_) end = in.text.size();
    *out = {};
    if (begin >= end) return;
    out->text = in.text.substr(begin, end - begin);
    out->first_bytes = std::min(in.first_bytes, end) - std::min(in.first_bytes, begin);
  }

 private:
  bool left_, right_;
};

using MadeNormalizer = std::unique_ptr<Normalizer>;

MadeNormalizer read_bert(const json& spec, const std::string& where) {
  BertNormalizer::Options options;
  options.clean_text = json_bool(spec, "clean_text", where);
  options.handle_chinese_chars = json_bool(spec, "handle_chinese_chars", where);
  options.lowercase = json_bool(spec, "lowercase", where);
  options.strip_accents = json_bool(spec, "strip_accents", where, options.lowercase);
  return std::make_unique<Bert>(options);
}

MadeNormalizer read_replace(const json& spec, const std::string& where) {
  return std::make_unique<Replace>(
      read_pattern(json_field(spec, "pattern", where), where + " field \"pattern\""),
      read_step_text(spec, "content", where));
}

MadeNormalizer read_prepend(const json& spec, const std::string& where) {
  return std::make_unique<PrependText>(read_step_text(spec, "prepend", where));
}

MadeNormalizer read_strip(const json& spec, const std::string& where) {
  return std::make_unique<Strip>(json_bool(spec, "strip_left", where),
                                 json_bool(spec, "strip_right", where));
}

template <NormalForm form>
MadeNormalizer read_form(const json& /*spec*/, const std::string& /*where*/) {
  return std::make_unique<Form>(form);
}

template <typename Step>
MadeNormalizer read_plain(const json& /*spec*/, const std::string& /*where*/) {
  return std::make_unique<Step>();
}

struct NormalizerKind {
  std::string_view type;
  MadeNormalizer (*read)(const json& spec, const std::string& where);
};
constexpr NormalizerKind kNormalizerKinds[] = {
    {"BertNormalizer", read_bert},
    {"ByteLevel", read_plain<Bytes>},
    {"Lowercase", read_plain<Lowercase>},
    {"NFC", read_form<NormalForm::kC>},
    {"NFD", read_form<NormalForm::kD>},
    {"NFKC", read_form<NormalForm::kKC>},
    {"NFKD", read_form<NormalForm::kKD>},
    {"Nmt", read_plain<Nmt>},
    {"Prepend", read_prepend},
    {"Replace", read_replace},
    {"Strip", read_strip},
    {"StripAccents", read_plain<StripAccents>},
};

class Reader {
 public:
  Reader(std::span<const std::byte> charsmap, const std::string& where)
      : charsmap_(charsmap), where_(where) {}

  // A Sequence may hold others; the parser of JSON bounds how deep.
  void read(const json& spec) {
    const std::string type = json_string(spec, "type", where_);
    if (type == "Sequence") {
      const json& steps = json_field(spec, "normalizers", where_);
      if (!steps.is_array()) fail(Status::kBadFile, "%s: no list of steps", where_.c_str());
      for (const json& step : steps) read(step);
      return;
    }
    if (std::ssize(steps_) == file_limits::kTokenizerSteps) {
      fail(Status::kBadFile, "%s has more than %d steps", where_.c_str(),
           static_cast<int>(file_limits::kTokenizerSteps));
    }
    steps_.push_back(make(type, spec));
  }

  Normalizers take() { return std::move(steps_); }

 private:
  MadeNormalizer make(const std::string& type, const json& spec) {
    if (type == "Precompiled") return std::make_unique<Charsmap>(charsmap_, where_);
    for (const NormalizerKind& kind : kNormalizerKinds) {
      if (type == kind.type) return kind.read(spec, where_ + " \"" + type + "\"");
    }
    fail(Status::kUnsupported, "%s: Headlane does not support a step of type \"%s\"",
         where_.c_str(), printable(type).c_str());
  }

  std::span<const std::byte> charsmap_;
  const std::string& where_;
  Normalizers steps_;
};

}  // namespace

Normalizers read_normalizers(const json& spec, std::span<const std::byte> charsmap,
                             const std::string& where) {
  if (spec.is_null()) return {};
  Reader reader(charsmap, where);
  reader.read(spec);
  return reader.take();
}

void normalize(const Normalizers& steps, NormalText* text) {
  NormalText next;
  const size_t text_bytes = text->text.size();
  for (const std::unique_ptr<Normalizer>& step : steps) {
    step->normalize(*text, &next);
    std::swap(*text, next);
    check_growth(text_bytes, text->text.size());
  }
}

}  // namespace headlane
