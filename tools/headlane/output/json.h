// JSON that the tool prints: values that are built up, then dumped. It is nlohmann's behind a
// pointer, whose header takes seconds of each file that includes it, so json.cc alone does.
#pragma once

#include <concepts>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace tool {

class Json {
 public:
  static Json array();
  // Takes keys, each followed by its value. Members stay in the order in which they are set.
  template <typename... Members>
  static Json object(Members&&... members) {
    Json json(Kind::kObject, 0);
    json.set(std::forward<Members>(members)...);
    return json;
  }
  // Throws std::runtime_error unless the text is JSON.
  static Json parse(const std::string& text);
  Json(const char* text);  // NOLINT(google-explicit-constructor): a member is written as its value
  Json(const std::string& text);       // NOLINT(google-explicit-constructor)
  Json(double value);                  // NOLINT(google-explicit-constructor)
  Json(std::same_as<bool> auto value)  // NOLINT(google-explicit-constructor)
      : Json(Kind::kBool, value ? 1 : 0) {}
  Json(std::signed_integral auto value)  // NOLINT(google-explicit-constructor)
      : Json(Kind::kInteger, value) {}
  Json(const std::vector<std::string>& texts);  // NOLINT(google-explicit-constructor)
  Json(const std::vector<int64_t>& values);     // NOLINT(google-explicit-constructor)
  Json(Json&& other) noexcept;
  Json& operator=(Json&& other) noexcept;
  ~Json();

  void set(const std::string& key, Json value);  // of an object
  template <typename Value, typename... Members>
  void set(const std::string& key, Value&& value, Members&&... more) {
    set(key, Json(std::forward<Value>(value)));
    set(std::forward<Members>(more)...);
  }
  void add(Json value);       // of an array
  void add_all(Json values);  // of an array: those of another

  // Bytes that are not UTF-8 become U+FFFD. indent < 0: on one line.
  std::string dump(int indent = -1) const;

 private:
  void set() {}
  enum class Kind { kBool, kInteger, kObject, kArray };
  struct Value;
  Json(Kind kind, int64_t value);

  std::unique_ptr<Value> value_;
};

}  // namespace tool
