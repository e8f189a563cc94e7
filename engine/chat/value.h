// Values of a chat template, with the behaviour of the Python values that Jinja has in their place.
#pragma once

#include <concepts>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "engine/chat/marked_text.h"

namespace headlane::chat {

class Datum;
class Namespace;
struct Loop;
struct Arguments;
struct ValueList;
class ValueMap;

// Something that can be called. `name` is for messages.
struct Function {
  std::string name;
  std::function<Datum(const Arguments&)> call;
  int64_t depth = 0;  // of the value that it holds, as of a Datum
};

// This stands for what is not there, and has the name that it would have had.
struct Undefined {
  std::shared_ptr<const std::string> name;
};

class Datum {
 public:
  using Text = std::shared_ptr<const MarkedText>;
  using List = std::shared_ptr<ValueList>;
  using Map = std::shared_ptr<const ValueMap>;
  using Call = std::shared_ptr<const Function>;

  // NOLINTBEGIN(google-explicit-constructor): a C++ value is written where one of these is wanted
  Datum() = default;  // None
  Datum(std::same_as<bool> auto value) : value_(value) {}
  Datum(std::integral auto value) requires(!std::same_as<decltype(value), bool>)
      : value_(static_cast<int64_t>(value)) {}
  Datum(double value) : value_(value) {}
  Datum(MarkedText text) : value_(std::make_shared<const MarkedText>(std::move(text))) {}
  Datum(const char* text) : Datum(MarkedText(text)) {}
  Datum(Text text) : value_(std::move(text)) {}
  Datum(List list) : value_(std::move(list)) {}
  Datum(Map map) : value_(std::move(map)) {}
  Datum(Call function) : value_(std::move(function)) {}
  Datum(Namespace* names) : value_(names) {}
  Datum(Loop* loop) : value_(loop) {}
  // NOLINTEND(google-explicit-constructor)
  static Datum undefined(std::string name);

  bool is_none() const { return is<std::monostate>(); }
  bool is_undefined() const { return is<Undefined>(); }
  bool is_bool() const { return is<bool>(); }
  bool is_integer() const { return is<int64_t>(); }
  bool is_float() const { return is<double>(); }
  bool is_number() const { return is_bool() || is_integer() || is_float(); }
  bool is_text() const { return is<Text>(); }
  bool is_list() const { return is<List>(); }
  bool is_map() const { return is<Map>(); }
  bool is_function() const { return is<Call>(); }
  bool is_namespace() const { return is<Namespace*>(); }
  bool is_loop() const { return is<Loop*>(); }
  // True counts as 1, as in Python.
  bool is_whole() const { return is_bool() || is_integer(); }

  // These are for a value that is of the type.
  bool boolean() const { return std::get<bool>(value_); }
  int64_t integer() const { return is_bool() ? int64_t{boolean()} : std::get<int64_t>(value_); }
  double number() const { return is_float() ? std::get<double>(value_) : double(integer()); }
  const MarkedText& text() const { return *std::get<Text>(value_); }
  const ValueList& list() const { return *std::get<List>(value_); }
  const List& shared_list() const { return std::get<List>(value_); }
  const ValueMap& map() const { return *std::get<Map>(value_); }
  const Map& shared_map() const { return std::get<Map>(value_); }
  const Function& function() const { return *std::get<Call>(value_); }
  Namespace* names() const { return std::get<Namespace*>(value_); }
  Loop* loop() const { return std::get<Loop*>(value_); }
  const std::string& undefined_name() const { return *std::get<Undefined>(value_).name; }

  bool is_true() const;  // as Python's bool()
  // How Python calls the type: "str", "list".
  const char* type_name() const;
  // How many lists and maps lie in each other, and about how many bytes all that lies in it would
  // have as text, what lies in it twice counted twice.
  int64_t depth() const;
  int64_t weight() const;
  // About how many steps it takes to go through it once, without what lies in its items.
  int64_t length() const;

 private:
  template <typename T>
  bool is() const {
    return std::holds_alternative<T>(value_);
  }

  std::variant<std::monostate, bool, int64_t, double, Text, List, Map, Call, Namespace*, Loop*,
               Undefined>
      value_;
};

// Python has several types for this.
enum class ListKind {
  kList,
  kTuple,
  kRange,
  kView,      // of a map's keys, values or items
  kIterator,  // it has no length, and can be gone through once
};

struct ValueList {
  ListKind kind = ListKind::kList;
  std::vector<Datum> items;
  int64_t depth = 1, weight = 1;  // as of a Datum
};

// A list of values. Throws Error(kTooLarge) where lists lie too deep in each other, or too many in
// one.
Datum make_list(std::vector<Datum> items, ListKind kind = ListKind::kList);

// Keys in the order in which they came. They are texts, numbers, true, false or none.
class ValueMap {
 public:
  using Member = std::pair<Datum, Datum>;

  // Replaces the value of a key that is there. Throws Error for a key of another type.
  void set(Datum key, Datum value);
  const Datum* find(const Datum& key) const;
  const Datum* find(const char* key) const { return find(Datum(key)); }
  const std::vector<Member>& members() const { return members_; }
  int64_t depth() const { return depth_; }
  int64_t weight() const { return weight_; }

 private:
  std::vector<Member> members_;
  std::unordered_map<std::string, size_t> places_;  // by type and text of a key
  int64_t depth_ = 1, weight_ = 1;
};

// Throws as make_list.
Datum make_map(ValueMap map);

// {% set %} can write members of this. The interpreter owns it.
class Namespace {
 public:
  ValueMap members;
};

// This is "loop" within a loop. The interpreter owns it.
struct Loop {
  Datum::List items;  // without those that the loop's condition was not asked about yet
  // Adds the next item that passes the condition to `items`, false: there is none. Null: all are
  // there.
  std::function<bool()> add_item;
  int64_t index = 0;  // from 0 on
  int64_t depth = 0;  // of loops in each other, from 1 on
  bool has_changed = false;
  std::vector<Datum> last_changed;  // of loop.changed
};

struct Arguments {
  std::vector<Datum> positional;
  std::vector<std::pair<std::string, Datum>> named;
};

// Compares as Python's == does; texts are equal whoever wrote them.
bool equal(const Datum& a, const Datum& b);
// Below 0, 0 or above, as <. Throws Error where Python cannot order the two.
int compare(const Datum& a, const Datum& b);
// As Python's str() and repr(). Throws Error(kUnsupported) for what a template does not print.
MarkedText text_of(const Datum& value);
MarkedText repr_of(const Datum& value);
std::string text_of_float(double value);

}  // namespace headlane::chat
