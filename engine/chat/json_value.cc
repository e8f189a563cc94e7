#include "engine/chat/json_value.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <utility>

#include "engine/base/error.h"
#include "engine/chat/operations.h"
#include "engine/file/json_events.h"
#include "engine/text/unicode.h"

namespace headlane::chat {
namespace {

class ValueBuilder : public JsonEvents {
 public:
  explicit ValueBuilder(const std::string& where) : where_(where) {}

  Datum take() { return std::move(root_); }

  void scalar(Json value) override {
    if (value.is_string()) return place(MarkedText::given(value.text()));
    if (value.is_boolean()) return place(value.get<bool>());
    if (value.is_null()) return place(Datum());
    if (value.is_number_unsigned() && value.get<uint64_t>() > INT64_MAX) fail_large();
    place(value.get<int64_t>());
  }
  void number(double value, const std::string& written) override {
    if (written.find_first_of(".eE") == std::string::npos) fail_large();
    place(value);
  }
  void begin(bool is_object) override { open_.push_back({is_object, {}, {}, {}}); }
  void key(std::string name) override { open_.back().key = std::move(name); }
  void end() override {
    Open done = std::move(open_.back());
    open_.pop_back();
    place(done.is_object ? make_map(std::move(done.members)) : make_list(std::move(done.items)));
  }

 private:
  struct Open {
    bool is_object;
    std::string key;
    ValueMap members;
    std::vector<Datum> items;
  };

  [[noreturn]] void fail_large() const {
    fail(Status::kInvalidArgument, "%s has an integer that is too large", where_.c_str());
  }

  void place(Datum value) {
    if (open_.empty()) {
      root_ = std::move(value);
    } else if (!open_.back().is_object) {
      open_.back().items.push_back(std::move(value));
    } else {
      // The last one of a name counts, in the place of the first, as in Python's json.
      open_.back().members.set(MarkedText::given(open_.back().key), std::move(value));
    }
  }

  const std::string& where_;
  Datum root_;
  std::vector<Open> open_;
};

void append_code(unsigned code, MarkedText* out, const MarkedText& text, size_t begin, size_t end) {
  char escaped[16];
  std::snprintf(escaped, sizeof escaped, "\\u%04x", code);
  out->append_for(escaped, text, begin, end);
}

void append_escaped(const MarkedText& text, size_t begin, size_t end, char32_t c, bool ascii,
                    MarkedText* out) {
  constexpr std::string_view kFrom = "\"\\\n\r\t\f\b", kTo = "\"\\nrtfb";
  const size_t found = is_ascii(c) ? kFrom.find(static_cast<char>(c)) : std::string_view::npos;
  if (found != std::string_view::npos) {
    const char escaped[] = {'\\', kTo[found]};
    out->append_for(std::string_view(escaped, 2), text, begin, end);
  } else if (c < 0x20 || (ascii && c >= 0x7F && c < 0x10000)) {
    append_code(static_cast<unsigned>(c), out, text, begin, end);
  } else if (ascii && c >= 0x10000) {
    const auto rest = static_cast<unsigned>(c) - 0x10000;
    append_code(0xD800 + (rest >> 10), out, text, begin, end);
    append_code(0xDC00 + (rest & 0x3FF), out, text, begin, end);
  } else {
    out->append(text.part(begin, end));
  }
}

class JsonWriter {
 public:
  explicit JsonWriter(const JsonStyle& style) : style_(style) {}

  MarkedText take() { return std::move(out_); }

  void write(const Datum& value) {
    if (value.is_text()) return write_text(value.text());
    if (value.is_none()) return out_.append("null");
    if (value.is_bool()) return out_.append(value.boolean() ? "true" : "false");
    if (value.is_integer()) return out_.append(std::to_string(value.integer()));
    if (value.is_float()) return write_float(value.number());
    if (value.is_map()) return write_map(value.map());
    const bool is_list = value.is_list() && (value.list().kind == ListKind::kList ||
                                             value.list().kind == ListKind::kTuple);
    if (is_list) return write_list(value.list());
    fail(Status::kInvalidArgument,
         "tojson is given a value of the type %s, which JSON does not have", value.type_name());
  }

 private:
  void write_float(double value) {
    if (std::isnan(value)) return out_.append("NaN");
    if (std::isinf(value)) return out_.append(value < 0 ? "-Infinity" : "Infinity");
    out_.append(text_of_float(value));
  }

  void write_text(const MarkedText& text) {
    out_.append("\"");
    for (size_t pos = 0; pos < text.size();) {
      const size_t begin = pos;
      const char32_t c = next_char(text.bytes(), &pos);
      append_escaped(text, begin, pos, c, style_.ascii, &out_);
    }
    out_.append("\"");
  }

  // A key that is no text becomes one.
  MarkedText key_text(const Datum& key) const {
    if (key.is_text()) return key.text();
    return JsonWriter(style_).scalar(key);
  }
  MarkedText scalar(const Datum& value) {
    write(value);
    return take();
  }

  void begin_line() {
    if (!style_.lines) return;
    out_.append("\n");
    for (int64_t i = 0; i < level_; ++i) out_.append(style_.indent);
  }

  void write_list(const ValueList& list) {
    if (list.items.empty()) return out_.append("[]");
    out_.append("[");
    ++level_;
    for (size_t i = 0; i < list.items.size(); ++i) {
      if (i > 0) out_.append(style_.between);
      begin_line();
      write(list.items[i]);
    }
    --level_;
    begin_line();
    out_.append("]");
  }

  void write_map(const ValueMap& map) {
    std::vector<ValueMap::Member> members = map.members();
    if (style_.sorted) {
      std::stable_sort(members.begin(), members.end(),
                       [](const auto& a, const auto& b) { return compare(a.first, b.first) < 0; });
    }
    if (members.empty()) return out_.append("{}");
    out_.append("{");
    ++level_;
    for (size_t i = 0; i < members.size(); ++i) {
      if (i > 0) out_.append(style_.between);
      begin_line();
      write_text(key_text(members[i].first));
      out_.append(style_.behind_key);
      write(members[i].second);
    }
    --level_;
    begin_line();
    out_.append("}");
  }

  const JsonStyle& style_;
  MarkedText out_;
  int64_t level_ = 0;
};

}  // namespace

Datum parse_value(std::string_view json, const std::string& where) try {
  ValueBuilder builder(where);
  read_json_events(json, where, &builder);
  return builder.take();
} catch (const Error& error) {
  // It is the caller's, not a file's.
  if (error.status() != Status::kBadFile) throw;
  fail(Status::kInvalidArgument, "%s", error.what());
}

MarkedText json_of(const Datum& value, const JsonStyle& style, Work* work) {
  // An escape takes 6 bytes at most, and a line as much as its level.
  const auto line = static_cast<int64_t>(style.indent.size()) * value.depth();
  const auto signs = static_cast<int64_t>(style.between.size() + style.behind_key.size());
  work->take((6 + signs + (style.lines ? line : 0)) * value.weight());
  JsonWriter writer(style);
  writer.write(value);
  return writer.take();
}

Datum to_json(const Datum& value, const Arguments& arguments, Work* work) {
  const Parameters read("tojson", arguments, {"ensure_ascii", "indent", "separators", "sort_keys"});
  JsonStyle style;
  style.ascii = read.flag(0, false);
  const Datum indent = read.value(1, Datum());
  style.lines = !indent.is_none();
  if (indent.is_whole()) {
    if (indent.integer() > 64) fail(Status::kUnsupported, "tojson has an indent above 64");
    style.indent.assign(static_cast<size_t>(std::max<int64_t>(indent.integer(), 0)), ' ');
  } else if (style.lines) {
    style.indent = read.text(1).bytes();
  }
  style.between = style.lines ? "," : ", ";
  style.behind_key = ": ";
  const Datum separators = read.value(2, Datum());
  if (separators.is_list() && separators.list().items.size() == 2) {
    style.between = text_of(separators.list().items[0]).bytes();
    style.behind_key = text_of(separators.list().items[1]).bytes();
  } else if (!separators.is_none()) {
    fail(Status::kInvalidArgument, "tojson has separators that are not two texts");
  }
  style.sorted = read.flag(3, false);
  return json_of(value, style, work);
}

}  // namespace headlane::chat
