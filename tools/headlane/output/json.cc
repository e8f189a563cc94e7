#include "tools/headlane/output/json.h"

#include <nlohmann/json.hpp>

namespace tool {

using nlohmann::ordered_json;

struct Json::Value {
  ordered_json json;
};

Json::Json(Kind kind, int64_t value) : value_(std::make_unique<Value>()) {
  switch (kind) {
    case Kind::kBool:
      value_->json = value != 0;
      break;
    case Kind::kInteger:
      value_->json = value;
      break;
    case Kind::kObject:
      value_->json = ordered_json::object();
      break;
    case Kind::kArray:
      value_->json = ordered_json::array();
      break;
  }
}

Json Json::array() { return {Kind::kArray, 0}; }
Json Json::parse(const std::string& text) {
  Json parsed = array();
  parsed.value_->json = ordered_json::parse(text);
  return parsed;
}
Json::Json(const char* text) : Json(std::string(text)) {}
Json::Json(const std::string& text) : value_(new Value{text}) {}
Json::Json(double value) : value_(new Value{value}) {}
Json::Json(const std::vector<std::string>& texts) : value_(new Value{texts}) {}
Json::Json(const std::vector<int64_t>& values) : value_(new Value{values}) {}
Json::Json(Json&& other) noexcept = default;
Json& Json::operator=(Json&& other) noexcept = default;
Json::~Json() = default;

void Json::set(const std::string& key, Json value) {
  value_->json[key] = std::move(value.value_->json);
}

void Json::add(Json value) { value_->json.push_back(std::move(value.value_->json)); }

void Json::add_all(Json values) {
  for (ordered_json& value : values.value_->json) value_->json.push_back(std::move(value));
}

std::string Json::dump(int indent) const {
  return value_->json.dump(indent, ' ', false, ordered_json::error_handler_t::replace);
}

}  // namespace tool
