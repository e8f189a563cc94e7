// Changes to JSON that leave it JSON: what is behind the parser is reached by these.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tests/fuzz/fuzz.h"

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

namespace headlane::fuzz {

// The value itself and all that is in it.
void collect(nlohmann::json* value, std::vector<nlohmann::json*>* nodes);
nlohmann::json* any_node(nlohmann::json* root, Random* random);

// Near the value, or where integers have their ends.
int64_t other_integer(int64_t value, Random* random);
// A name that some field may have, or the value with bytes changed.
std::string other_string(const std::string& value, Random* random);

// To another of its type, mostly; arrays and objects lose or gain an element.
void change_value(nlohmann::json* node, Random* random);
// One field's value to another's place.
void copy_value(nlohmann::json* root, Random* random);

// The bytes as libFuzzer mutates them, at most `most` or as many as there were.
std::string mutated(std::string bytes, size_t most);

// Nothing if it is no JSON, or deeper than what dump() should be given.
std::optional<nlohmann::json> parse_shallow(std::string_view text);
// Bytes that are no UTF-8 are replaced.
std::string dump(const nlohmann::json& value);

// The text with a few changes; as bytes if it is no JSON, and sometimes if it is.
std::string changed_json(const std::string& text, size_t most, Random* random);

}  // namespace headlane::fuzz
