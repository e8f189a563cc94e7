// JSON as text: what json.h and json_fields.h have of the JSON library.
#include <new>
#include <nlohmann/json.hpp>
#include <vector>

#include "engine/base/error.h"
#include "engine/file/json_events.h"
#include "engine/file/json_fields.h"
#include "engine/file/limits.h"

namespace headlane {
namespace {

// Hands on what the library's parser finds, within the limits. (The library's callback could check
// the same. It walks the whole parent after each child, though, which is quadratic in the size of
// the file.)
class EventReader : public nlohmann::json_sax<nlohmann::json> {
 public:
  EventReader(const std::string& where, JsonEvents* events) : where_(where), events_(events) {}

  bool null() override { return scalar(nullptr); }
  bool boolean(bool value) override { return scalar(value); }
  bool number_integer(int64_t value) override { return scalar(value); }
  bool number_unsigned(uint64_t value) override { return scalar(value); }
  bool number_float(double value, const std::string& written) override {
    count();
    events_->number(value, written);
    return true;
  }
  bool string(std::string& value) override { return scalar(std::move(value)); }
  bool binary(nlohmann::json::binary_t&) override { return false; }  // JSON text has none
  bool start_object(size_t) override { return open(true); }
  bool end_object() override { return close(); }
  bool start_array(size_t) override { return open(false); }
  bool end_array() override { return close(); }
  bool key(std::string& name) override {
    events_->key(std::move(name));
    return true;
  }

  bool parse_error(size_t position, const std::string&, const nlohmann::json::exception&) override {
    fail(Status::kBadFile, "%s is not valid JSON: the error is at byte %zu", where_.c_str(),
         position);
  }

 private:
  bool scalar(Json value) {
    count();
    events_->scalar(std::move(value));
    return true;
  }

  bool open(bool is_object) {
    if (++depth_ > file_limits::kJsonDepth) {
      fail(Status::kBadFile, "%s is JSON nested deeper than %lld levels", where_.c_str(),
           static_cast<long long>(file_limits::kJsonDepth));
    }
    count();
    events_->begin(is_object);
    return true;
  }

  bool close() {
    --depth_;
    events_->end();
    return true;
  }

  void count() {
    if (++n_values_ <= file_limits::kJsonValues) return;
    fail(Status::kBadFile, "%s has more than %lld JSON values", where_.c_str(),
         static_cast<long long>(file_limits::kJsonValues));
  }

  const std::string& where_;
  JsonEvents* events_;
  int64_t depth_ = 0, n_values_ = 0;
};

// Builds the document.
class Builder : public JsonEvents {
 public:
  explicit Builder(const std::string& where) : where_(where) {}

  Json take() { return std::move(root_); }

  void scalar(Json value) override { place(std::move(value)); }
  void number(double value, const std::string&) override { place(value); }
  void begin(bool is_object) override {
    open_.push_back(place(is_object ? Json::object() : Json::array()));
  }
  void end() override { open_.pop_back(); }
  void key(std::string name) override {
    const auto [field, is_new] = open_.back()->emplace(name, nullptr);
    if (!is_new) {
      fail(Status::kBadFile, "%s has the key \"%s\" twice in one object", where_.c_str(),
           printable(name).c_str());
    }
    slot_ = &*field;
  }

 private:
  Json* place(Json value) {
    if (open_.empty()) return &(root_ = std::move(value));
    if (!open_.back()->is_array()) return &(*slot_ = std::move(value));
    open_.back()->push_back(std::move(value));
    return &open_.back()->back();
  }

  const std::string& where_;
  Json root_;
  // The containers not yet closed, outermost first. Only the last one grows, so none of them moves.
  std::vector<Json*> open_;
  Json* slot_ = nullptr;  // the value of the last key
};

nlohmann::json scalar(const Json& value) {
  if (value.is_null()) return nullptr;
  if (value.is_string()) return value.text();
  if (value.is_boolean()) return value.get<bool>();
  if (value.is_number_unsigned()) return value.get<uint64_t>();
  if (value.is_number_integer()) return value.get<int64_t>();
  return value.get<double>();
}

// Only scalars become values of the library, whose arrays and objects take memory when they are
// destroyed, and end the process where there is none.
void append_text(const Json& value, std::string* text) {
  if (!value.is_structured()) {
    *text += scalar(value).dump();
    return;
  }
  *text += value.is_array() ? '[' : '{';
  bool is_first = true;
  for (auto element = value.begin(); element != value.end(); ++element) {
    if (!is_first) *text += ',';
    is_first = false;
    if (value.is_object()) *text += nlohmann::json(element.key()).dump() + ":";
    append_text(*element, text);
  }
  *text += value.is_array() ? ']' : '}';
}

}  // namespace

void read_json_events(std::string_view text, const std::string& where, JsonEvents* events) {
  // The library takes a NUL for the end of the text and would not look at what follows.
  const size_t nul = text.find('\0');
  if (nul != std::string_view::npos) {
    fail(Status::kBadFile, "%s is not valid JSON: the error is at byte %zu", where.c_str(), nul);
  }
  try {
    EventReader reader(where, events);
    nlohmann::json::sax_parse(text.begin(), text.end(), &reader);
  } catch (const std::bad_alloc&) {
    fail(Status::kOutOfMemory, "%s: there is not enough memory for its JSON", where.c_str());
  }
}

Json parse_json(std::string_view text, const std::string& where) {
  Builder builder(where);
  read_json_events(text, where, &builder);
  return builder.take();
}

std::string Json::dump() const try {
  std::string text;
  append_text(*this, &text);
  return text;
} catch (const nlohmann::json::exception& error) {
  fail(Status::kInvalidArgument, "JSON has text that is not UTF-8: %s", error.what());
}

}  // namespace headlane
