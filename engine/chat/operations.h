// Expressions do this with values: operators, members, items, slices, filters, tests, functions.
// All throw Error whose sentence says what is wrong: kInvalidArgument where Python would raise an
// exception, kUnsupported for what Python or Jinja has and Headlane does not.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/base/error.h"
#include "engine/chat/value.h"
#include "engine/chat/work.h"

namespace headlane::chat {

// A template's raise_exception throws this: its message is all of the sentence.
class RaisedError : public Error {
 public:
  using Error::Error;
};

// Arguments in the order of a function's parameters, by place and by name.
class Parameters {
 public:
  // Throws Error(kInvalidArgument) where the arguments do not fit. `function` is for the message.
  Parameters(const std::string& function, const Arguments& arguments,
             std::vector<std::string> names);

  bool has(size_t i) const { return values_[i] != nullptr; }
  const Datum& value(size_t i) const;  // throws where it was not given
  Datum value(size_t i, const Datum& otherwise) const { return has(i) ? *values_[i] : otherwise; }
  const MarkedText& text(size_t i) const;
  int64_t integer(size_t i, int64_t otherwise) const;
  bool flag(size_t i, bool otherwise) const { return has(i) ? values_[i]->is_true() : otherwise; }

 private:
  std::string function_;
  std::vector<std::string> names_;
  std::vector<const Datum*> values_;
};

// Throws Error(kInvalidArgument) where a function without parameters is given arguments.
void takes_nothing(const std::string& function, const Arguments& arguments);

// "a" + "b", and so on.
Datum binary(const std::string& name, const Datum& a, const Datum& b, Work* work);
bool compares(const std::string& name, const Datum& a, const Datum& b, Work* work);
bool contains(const Datum& container, const Datum& item, Work* work);

// value.name and value[key], as Jinja looks for both: undefined where there is neither.
Datum attribute_of(const Datum& value, const std::string& name, Work* work);
Datum item_of(const Datum& value, const Datum& key, Work* work);
// value[begin:end:step], of which each may be none.
Datum slice_of(const Datum& value, const Datum& begin, const Datum& end, const Datum& step,
               Work* work);
// A method of a text or a dict as something to call; undefined where the type has none of the name.
Datum method_of(const Datum& value, const std::string& name, Work* work);

// What a loop or a filter goes through; an iterator is empty afterwards.
std::vector<Datum> items_of(const Datum& value, Work* work);

Datum filtered(const std::string& name, const Datum& value, const Arguments& arguments, Work* work);
bool passes(const std::string& name, const Datum& value, const Arguments& arguments, Work* work);
Datum call(const Datum& function, const Arguments& arguments);

// Writes it as Python's json.dumps does. Throws where JSON has no such value.
struct JsonStyle {
  bool ascii = false, sorted = false;
  std::string indent;  // of a level, if `lines`
  bool lines = false;
  std::string between, behind_key;  // ", " and ": "
};
MarkedText json_of(const Datum& value, const JsonStyle& style, Work* work);
// The filter of transformers.
Datum to_json(const Datum& value, const Arguments& arguments, Work* work);

// What templates find under a name that nobody set: range, dict, raise_exception, strftime_now,
// namespace, whose namespaces are added to `namespaces`. `now`: seconds since 1970.
void check_member(const std::string& name);  // of a namespace
std::vector<std::pair<std::string, Datum>> global_functions(int64_t now, Work* work,
                                                            std::deque<Namespace>* namespaces);

}  // namespace headlane::chat
