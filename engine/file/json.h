// A JSON value. Only json_text.cc, which reads and writes JSON as text, includes the JSON library:
// it takes seconds of every file that includes it, and ends the process where memory is short.
//
// Members have the names that they have in the library. Asking a value for another type than it has
// throws Error(kBadFile). Its sentence does not say where: the getters of json_fields.h do, and are
// for what a file says.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace headlane {

class Json {
 public:
  using Array = std::vector<Json>;
  using Object = std::map<std::string, Json, std::less<>>;  // dumped in the order of its keys
  template <bool is_const>
  class Iterator;
  struct Element;
  using iterator = Iterator<false>;
  using const_iterator = Iterator<true>;

  Json() = default;  // null
  // Not inline: these are long, and many files have many of them.
  Json(const Json& other);
  Json(Json&& other) noexcept;
  Json& operator=(const Json& other);
  Json& operator=(Json&& other) noexcept;
  ~Json();
  // NOLINTBEGIN(google-explicit-constructor): a C++ value is written where JSON is wanted
  Json(std::nullptr_t) {}
  template <std::same_as<bool> T>
  Json(T value) : value_(value) {}
  template <std::signed_integral T>
  Json(T value) : value_(static_cast<int64_t>(value)) {}
  template <std::unsigned_integral T>
  requires(!std::same_as<T, bool>) Json(T value) : value_(static_cast<uint64_t>(value)) {}
  Json(double value) : value_(value) {}
  Json(const char* value) : value_(std::string(value)) {}
  Json(std::string_view value) : value_(std::string(value)) {}
  Json(std::string value) : value_(std::move(value)) {}
  template <typename T>
  Json(const std::vector<T>& values) : value_(Array(values.begin(), values.end())) {}
  Json(Array values) : value_(std::move(values)) {}
  Json(Object members) : value_(std::move(members)) {}
  // {{"a", 1}, {"b", 2}} is an object, as is any list of pairs that begin with a string; any other
  // list is an array.
  Json(std::initializer_list<Element> list);
  // NOLINTEND(google-explicit-constructor)

  static Json array(std::initializer_list<Element> elements = {});
  static Json object(std::initializer_list<Element> pairs = {});

  bool is_null() const { return is<std::monostate>(); }
  bool is_boolean() const { return is<bool>(); }
  bool is_number_unsigned() const { return is<uint64_t>(); }
  bool is_number_integer() const { return is<int64_t>() || is<uint64_t>(); }
  bool is_number() const { return is_number_integer() || is<double>(); }
  bool is_string() const { return is<std::string>(); }
  bool is_array() const { return is<Array>(); }
  bool is_object() const { return is<Object>(); }
  bool is_structured() const { return is_array() || is_object(); }
  const char* type_name() const;  // "null", "boolean", "number", "string", "array", "object"

  // A number is converted to T, which must be able to hold it.
  template <typename T>
  requires std::is_arithmetic_v<T> T get()
  const {
    if constexpr (std::same_as<T, bool>) return as<bool>("true or false");
    if (is<int64_t>()) return static_cast<T>(*std::get_if<int64_t>(&value_));
    if (is<uint64_t>()) return static_cast<T>(*std::get_if<uint64_t>(&value_));
    return static_cast<T>(as<double>("a number"));
  }
  const std::string& text() const { return as<std::string>("a string"); }
  const Array& elements() const { return as<Array>("an array"); }
  const Object& items() const { return as<Object>("an object"); }

  // These go over the elements of an array, or the values of an object's members. A null is empty,
  // and any other value is its own only element.
  iterator begin();
  iterator end();
  const_iterator begin() const;
  const_iterator end() const;
  size_t size() const;
  bool empty() const { return size() == 0; }

  // These are for an object, and for a null, which becomes one.
  Json& operator[](std::string_view key);
  const Json& operator[](std::string_view key) const { return at(key); }
  const Json& at(std::string_view key) const;  // must exist
  bool contains(std::string_view key) const;   // false as well for what is no object
  iterator find(std::string_view key);
  const_iterator find(std::string_view key) const;
  // The member's place, and whether it is new; one that was there stays as it is.
  std::pair<iterator, bool> emplace(std::string key, Json value);
  void erase(std::string_view key);

  // These are for an array, and for a null, which becomes one.
  void push_back(Json value);
  Json& operator[](std::integral auto i) { return make_array().at(i); }
  const Json& operator[](std::integral auto i) const { return elements().at(i); }
  Json& back() { return make_array().back(); }
  const Json& front() const { return elements().front(); }
  const Json& back() const { return elements().back(); }

  // Merges the members of another object, which win.
  void update(const Json& other);

  // Numbers are equal if their values are, 1 and 1.0 too.
  bool operator==(const Json& other) const;

  // Gives text without white space, keys in sorted order: the same value gives the same bytes.
  // Throws Error(kInvalidArgument) if a string is not UTF-8.
  std::string dump() const;

 private:
  template <typename T>
  bool is() const {
    return std::holds_alternative<T>(value_);
  }
  template <typename T>
  const T& as(const char* wanted) const {
    if (const T* value = std::get_if<T>(&value_)) return *value;
    fail_type(wanted);
  }
  [[noreturn]] void fail_type(const char* wanted) const;
  // A null becomes one.
  Array& make_array();
  Object& make_object();

  std::variant<std::monostate, bool, int64_t, uint64_t, double, std::string, Array, Object> value_;
};

// One element of a braced list: anything that becomes a Json, or a list again. It is a type of its
// own because compilers differ in what a list of one Json is: an array, or a copy of it.
struct Json::Element {
  // NOLINTBEGIN(google-explicit-constructor,bugprone-forwarding-reference-overload)
  template <typename T>
  requires(std::convertible_to<T, Json> && !std::same_as<std::remove_cvref_t<T>, Element>)
      Element(T&& one)
      : value(std::forward<T>(one)) {}
  Element(std::initializer_list<Element> list) : value(list) {}
  // NOLINTEND(google-explicit-constructor,bugprone-forwarding-reference-overload)

  Json value;
};

// Over elements, or over an object's members, which have a key too.
template <bool is_const>
class Json::Iterator {
  template <typename T>
  using Const = std::conditional_t<is_const, const T, T>;
  using Elements = Const<Json>*;
  using Members = std::conditional_t<is_const, Object::const_iterator, Object::iterator>;

 public:
  using value_type = Json;
  using difference_type = std::ptrdiff_t;

  Iterator() = default;
  explicit Iterator(Elements element) : at_(element) {}
  explicit Iterator(Members member) : at_(member) {}

  Const<Json>& operator*() const {
    return at_.index() == 0 ? *std::get<Elements>(at_) : std::get<Members>(at_)->second;
  }
  Const<Json>* operator->() const { return &**this; }
  const std::string& key() const { return std::get<Members>(at_)->first; }
  Const<Json>& value() const { return **this; }
  Iterator& operator++() {
    at_.index() == 0 ? static_cast<void>(++std::get<Elements>(at_))
                     : static_cast<void>(++std::get<Members>(at_));
    return *this;
  }
  Iterator operator++(int) {
    Iterator before = *this;
    ++*this;
    return before;
  }
  bool operator==(const Iterator& other) const = default;

 private:
  std::variant<Elements, Members> at_;
};

}  // namespace headlane
