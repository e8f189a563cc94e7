#include "engine/model/json_fields.h"

#include <cstdio>
#include <new>
#include <vector>

#include "engine/error.h"
#include "engine/model/json.h"
#include "engine/model/limits.h"

namespace headlane {
namespace {

using json = Json;

// Builds the document as the library's own handler does, within the limits. (The library's callback
// could check the same, but walks the whole parent after each child: quadratic in the file.)
class Builder : public nlohmann::json_sax<json> {
 public:
  explicit Builder(const std::string& where) : where_(where) {}

  json take() { return std::move(root_); }

  bool null() override { return add(nullptr); }
  bool boolean(bool value) override { return add(value); }
  bool number_integer(int64_t value) override { return add(value); }
  bool number_unsigned(uint64_t value) override { return add(value); }
  bool number_float(double value, const std::string&) override { return add(value); }
  bool string(std::string& value) override { return add(std::move(value)); }
  bool binary(json::binary_t&) override { return false; }  // JSON text has none
  bool start_object(size_t) override { return open(json::object()); }
  bool end_object() override { return close(); }
  bool start_array(size_t) override { return open(json::array()); }
  bool end_array() override { return close(); }

  bool key(std::string& name) override {
    const auto [field, is_new] = open_.back()->emplace(name, nullptr);
    if (!is_new) {
      fail(Status::kBadFile, "%s has the key \"%s\" twice in one object", where_.c_str(),
           printable(name).c_str());
    }
    slot_ = &*field;
    return true;
  }

  bool parse_error(size_t position, const std::string&, const json::exception&) override {
    fail(Status::kBadFile, "%s is not valid JSON, as seen at byte %zu of it", where_.c_str(),
         position);
  }

 private:
  bool add(json value) {
    place(std::move(value));
    return true;
  }

  bool open(json container) {
    if (std::ssize(open_) >= file_limits::kJsonDepth) {
      fail(Status::kBadFile, "%s is JSON nested deeper than %lld levels", where_.c_str(),
           static_cast<long long>(file_limits::kJsonDepth));
    }
    open_.push_back(place(std::move(container)));
    return true;
  }

  bool close() {
    open_.pop_back();
    return true;
  }

  json* place(json value) {
    if (++n_values_ > file_limits::kJsonValues) {
      fail(Status::kBadFile, "%s has more than %lld JSON values", where_.c_str(),
           static_cast<long long>(file_limits::kJsonValues));
    }
    if (open_.empty()) return &(root_ = std::move(value));
    if (!open_.back()->is_array()) return &(*slot_ = std::move(value));
    open_.back()->push_back(std::move(value));
    return &open_.back()->back();
  }

  const std::string& where_;
  json root_;
  // The containers not yet closed, outermost first. Only the last one grows, so none of them moves.
  std::vector<json*> open_;
  json* slot_ = nullptr;  // the value of the last key
  int64_t n_values_ = 0;
};

[[noreturn]] void fail_type(const json& value, const char* key, const std::string& where,
                            const char* expected) {
  const std::string type = value.type_name();
  const std::string found = value.is_structured() ? "an " + type
                            : value.is_string()   ? "a string"
                                                  : value.dump();
  fail(Status::kBadFile, "%s field \"%s\" is %s, not %s", where.c_str(), key, found.c_str(),
       expected);
}

}  // namespace

json parse_json(std::string_view text, const std::string& where) {
  // The library takes a NUL for the end of the text and would not look at what follows.
  const size_t nul = text.find('\0');
  if (nul != std::string_view::npos) {
    fail(Status::kBadFile, "%s is not valid JSON, as seen at byte %zu of it", where.c_str(), nul);
  }
  try {
    Builder builder(where);
    json::sax_parse(text.begin(), text.end(), &builder);
    return builder.take();
  } catch (const std::bad_alloc&) {
    fail(Status::kOutOfMemory, "%s: no memory for its JSON", where.c_str());
  }
}

bool json_has(const json& object, const char* key, const std::string& where) {
  if (!object.is_object()) {
    fail(Status::kBadFile, "%s is not a JSON object, so it has no field \"%s\"", where.c_str(),
         key);
  }
  const auto field = object.find(key);
  return field != object.end() && !field->is_null();
}

const json& json_field(const json& object, const char* key, const std::string& where) {
  json_has(object, key, where);  // that it is an object; the field itself may be null
  const auto field = object.find(key);
  if (field == object.end()) {
    fail(Status::kBadFile, "%s field \"%s\" is missing", where.c_str(), key);
  }
  return *field;
}

int64_t json_int(const json& object, const char* key, const std::string& where) {
  const json& value = json_field(object, key, where);
  const bool fits =
      value.is_number_unsigned() ? value.get<uint64_t>() <= INT64_MAX : value.is_number_integer();
  if (!fits) fail_type(value, key, where, "an integer of 64 bits");
  return value.get<int64_t>();
}

double json_number(const json& object, const char* key, const std::string& where) {
  const json& value = json_field(object, key, where);
  if (!value.is_number()) fail_type(value, key, where, "a number");
  return value.get<double>();
}

bool json_bool(const json& object, const char* key, const std::string& where) {
  const json& value = json_field(object, key, where);
  if (!value.is_boolean()) fail_type(value, key, where, "true or false");
  return value.get<bool>();
}

std::string json_string(const json& object, const char* key, const std::string& where) {
  const json& value = json_field(object, key, where);
  if (!value.is_string()) fail_type(value, key, where, "a string");
  return value.get<std::string>();
}

std::vector<std::string> json_strings(const json& object, const char* key,
                                      const std::string& where) {
  const json& value = json_field(object, key, where);
  if (!value.is_array()) fail_type(value, key, where, "an array of strings");
  std::vector<std::string> strings;
  for (const json& element : value) {
    if (!element.is_string()) fail_type(value, key, where, "an array of strings");
    strings.push_back(element.get<std::string>());
  }
  return strings;
}

int64_t json_int(const json& object, const char* key, const std::string& where, int64_t otherwise) {
  return json_has(object, key, where) ? json_int(object, key, where) : otherwise;
}

bool json_bool(const json& object, const char* key, const std::string& where, bool otherwise) {
  return json_has(object, key, where) ? json_bool(object, key, where) : otherwise;
}

std::string json_string(const json& object, const char* key, const std::string& where,
                        const std::string& otherwise) {
  return json_has(object, key, where) ? json_string(object, key, where) : otherwise;
}

std::string printable(std::string_view text) {
  constexpr size_t kMaxBytes = 80;
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool continues = (byte & 0xC0) == 0x80;  // never cut inside a UTF-8 sequence
    if (out.size() >= kMaxBytes && !continues) return out + "...";
    if (byte >= 0x20 && byte != 0x7F) {
      out += c;
    } else {
      char escaped[8];
      std::snprintf(escaped, sizeof escaped, "\\x%02x", byte);
      out += escaped;
    }
  }
  return out;
}

}  // namespace headlane
