// The JSON library's value, but for how it begins from a list and how it ends, where the library
// does not withstand a lack of memory: the first loses what it has, the second ends the process.
#pragma once

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "engine/model/json_fwd.h"

namespace headlane {

template <typename T, typename>
struct JsonSerializer : nlohmann::adl_serializer<T> {};

}  // namespace headlane

// {{"a", 1}, {"b", 2}} is an object, as is any list of pairs that begin with a text; others are
// arrays. Delegating, so that an exception further on ends what there is.
template <>
inline headlane::Json::basic_json(initializer_list_t init, bool deduces, value_t type)
    : basic_json(nullptr) {
  const bool is_object = std::all_of(init.begin(), init.end(), [](const auto& element) {
    return element->is_array() && element->size() == 2 && (*element)[0].is_string();
  });
  if (!deduces && type == value_t::object && !is_object) {
    throw type_error::create(301, "cannot create object from initializer list", this);
  }
  const bool wants_object = is_object && (deduces || type == value_t::object);
  *this = basic_json(wants_object ? value_t::object : value_t::array);
  for (const auto& element : init) {
    basic_json value = element.moved_or_copied();
    if (wants_object) {
      emplace(value[0].get_ref<const std::string&>(), std::move(value[1]));
    } else {
      push_back(std::move(value));
    }
  }
}

// The library gathers all values inside in a vector and destroys them from there, so as not to
// recur. Here nothing is nested deeper than parse_json allows.
template <>
inline void headlane::Json::json_value::destroy(value_t type) {
  switch (type) {
    case value_t::object:
      delete object;
      return;
    case value_t::array:
      delete array;
      return;
    case value_t::string:
      delete string;
      return;
    case value_t::binary:
      delete binary;
      return;
    default:
      return;
  }
}
