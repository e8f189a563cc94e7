#include "engine/file/json.h"

#include <algorithm>

#include "engine/base/error.h"

namespace headlane {

Json::Json(const Json& other) = default;
Json::Json(Json&& other) noexcept = default;
Json& Json::operator=(const Json& other) = default;
Json& Json::operator=(Json&& other) noexcept = default;
Json::~Json() = default;

Json::Json(std::initializer_list<Element> list) {
  const bool is_object = std::all_of(list.begin(), list.end(), [](const Element& element) {
    const Json& pair = element.value;
    return pair.is_array() && pair.size() == 2 && pair.front().is_string();
  });
  *this = is_object ? object(list) : array(list);
}

Json Json::array(std::initializer_list<Element> elements) {
  Array values;
  for (const Element& element : elements) values.push_back(element.value);
  return values;
}

Json Json::object(std::initializer_list<Element> pairs) {
  Object members;
  for (const Element& pair : pairs) {
    members.emplace(pair.value.front().text(), pair.value.back());
  }
  return members;
}

const char* Json::type_name() const {
  if (is_number()) return "number";
  if (is_string()) return "string";
  if (is_array()) return "array";
  if (is_object()) return "object";
  return is_boolean() ? "boolean" : "null";
}

Json::iterator Json::begin() {
  if (is_object()) return iterator(make_object().begin());
  return iterator(is_array() ? make_array().data() : this);
}

Json::iterator Json::end() {
  if (is_object()) return iterator(make_object().end());
  return iterator((is_array() ? make_array().data() : this) + size());
}

Json::const_iterator Json::begin() const {
  if (is_object()) return const_iterator(items().begin());
  return const_iterator(is_array() ? elements().data() : this);
}

Json::const_iterator Json::end() const {
  if (is_object()) return const_iterator(items().end());
  return const_iterator((is_array() ? elements().data() : this) + size());
}

size_t Json::size() const {
  if (is_object()) return items().size();
  if (is_array()) return elements().size();
  return is_null() ? 0 : 1;
}

void Json::fail_type(const char* wanted) const {
  fail(Status::kBadFile, "JSON has a value of type %s where %s belongs", type_name(), wanted);
}

Json::Array& Json::make_array() {
  if (is_null()) value_ = Array();
  if (!is_array()) fail_type("an array");
  return *std::get_if<Array>(&value_);
}

Json::Object& Json::make_object() {
  if (is_null()) value_ = Object();
  if (!is_object()) fail_type("an object");
  return *std::get_if<Object>(&value_);
}

Json& Json::operator[](std::string_view key) {
  Object& members = make_object();
  const auto member = members.find(key);
  return member != members.end() ? member->second : members[std::string(key)];
}

const Json& Json::at(std::string_view key) const {
  const auto member = items().find(key);
  if (member == items().end()) {
    fail(Status::kBadFile, "JSON has no field \"%s\"", std::string(key).c_str());
  }
  return member->second;
}

bool Json::contains(std::string_view key) const {
  return is_object() && items().find(key) != items().end();
}

Json::iterator Json::find(std::string_view key) {
  return is_object() ? iterator(make_object().find(key)) : end();
}

Json::const_iterator Json::find(std::string_view key) const {
  return is_object() ? const_iterator(items().find(key)) : end();
}

std::pair<Json::iterator, bool> Json::emplace(std::string key, Json value) {
  const auto [member, is_new] = make_object().emplace(std::move(key), std::move(value));
  return {iterator(member), is_new};
}

void Json::erase(std::string_view key) {
  Object& members = make_object();
  const auto member = members.find(key);
  if (member != members.end()) members.erase(member);
}

void Json::push_back(Json value) { make_array().push_back(std::move(value)); }

void Json::update(const Json& other) {
  Object& members = make_object();
  for (const auto& [key, value] : other.items()) members.insert_or_assign(key, value);
}

bool Json::operator==(const Json& other) const {
  if (!is_number() || !other.is_number()) return value_ == other.value_;
  if (is<double>() || other.is<double>()) return get<double>() == other.get<double>();
  const auto is_negative = [](const Json& number) {
    return number.is<int64_t>() && number.get<int64_t>() < 0;
  };
  return is_negative(*this) == is_negative(other) && get<uint64_t>() == other.get<uint64_t>();
}

}  // namespace headlane
