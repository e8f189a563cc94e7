#include "engine/file/json_fields.h"

#include <cstdio>
#include <vector>

#include "engine/base/error.h"
#include "engine/file/json.h"

namespace headlane {
namespace {

using json = Json;

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
  return value.text();
}

std::vector<std::string> json_strings(const json& object, const char* key,
                                      const std::string& where) {
  const json& value = json_field(object, key, where);
  if (!value.is_array()) fail_type(value, key, where, "an array of strings");
  std::vector<std::string> strings;
  for (const json& element : value) {
    if (!element.is_string()) fail_type(value, key, where, "an array of strings");
    strings.push_back(element.text());
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
