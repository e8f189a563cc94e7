#include "engine/chat/value.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "engine/base/error.h"
#include "engine/file/limits.h"

namespace headlane::chat {
namespace {

int64_t checked_depth(int64_t depth) {
  if (depth <= file_limits::kChatValueDepth) return depth;
  fail(Status::kTooLarge, "lists lie more than %lld deep in each other",
       static_cast<long long>(file_limits::kChatValueDepth));
}

int64_t checked_weight(int64_t weight) {
  if (weight <= file_limits::kChatBytes) return weight;
  fail(Status::kTooLarge, "a list or a dict has more in it than %lld bytes",
       static_cast<long long>(file_limits::kChatBytes));
}

// Two keys are the same if these are.
std::string key_of(const Datum& key) {
  if (key.is_text()) return "t" + key.text().bytes();
  if (key.is_whole()) return "n" + std::to_string(key.integer());
  if (key.is_none()) return "0";
  fail(Status::kInvalidArgument, "a key of a dict is of the type %s, which is not supported",
       key.type_name());
}

bool equal_lists(const ValueList& a, const ValueList& b) {
  return a.kind == b.kind &&
         std::equal(a.items.begin(), a.items.end(), b.items.begin(), b.items.end(), equal);
}

bool equal_maps(const ValueMap& a, const ValueMap& b) {
  return a.members().size() == b.members().size() &&
         std::all_of(a.members().begin(), a.members().end(), [&](const ValueMap::Member& member) {
           const Datum* other = b.find(member.first);
           return other != nullptr && equal(member.second, *other);
         });
}

int compare_lists(const ValueList& a, const ValueList& b) {
  const size_t n = std::min(a.items.size(), b.items.size());
  for (size_t i = 0; i < n; ++i) {
    if (!equal(a.items[i], b.items[i])) return compare(a.items[i], b.items[i]);
  }
  return a.items.size() < b.items.size() ? -1 : a.items.size() > b.items.size();
}

MarkedText repr_of_list(const ValueList& list) {
  if (list.kind != ListKind::kList && list.kind != ListKind::kTuple) {
    fail(Status::kUnsupported, "a range, a view or an iterator is printed, which is not supported");
  }
  const bool is_tuple = list.kind == ListKind::kTuple;
  MarkedText text(is_tuple ? "(" : "[");
  for (size_t i = 0; i < list.items.size(); ++i) {
    if (i > 0) text.append(", ");
    text.append(repr_of(list.items[i]));
  }
  text.append(!is_tuple ? "]" : list.items.size() == 1 ? ",)" : ")");
  return text;
}

MarkedText repr_of_map(const ValueMap& map) {
  MarkedText text("{");
  for (const ValueMap::Member& member : map.members()) {
    if (text.size() > 1) text.append(", ");
    text.append(repr_of(member.first));
    text.append(": ");
    text.append(repr_of(member.second));
  }
  text.append("}");
  return text;
}

}  // namespace

Datum Datum::undefined(std::string name) {
  Datum value;
  value.value_ = Undefined{std::make_shared<const std::string>(std::move(name))};
  return value;
}

bool Datum::is_true() const {
  if (is_none() || is_undefined()) return false;
  if (is_number()) return number() != 0;
  if (is_text()) return !text().empty();
  // An iterator has no length, which would say that it is empty.
  if (is_list()) return list().kind == ListKind::kIterator || !list().items.empty();
  if (is_map()) return !map().members().empty();
  return true;
}

const char* Datum::type_name() const {
  constexpr const char* kNames[] = {"NoneType",  "bool", "int",      "float",
                                    "str",       "list", "dict",     "function",
                                    "Namespace", "loop", "Undefined"};
  return kNames[value_.index()];
}

int64_t Datum::depth() const {
  if (is_list()) return list().depth;
  if (is_function()) return function().depth;
  return is_map() ? map().depth() : 0;
}

int64_t Datum::weight() const {
  if (is_text()) return 1 + static_cast<int64_t>(text().size());
  if (is_list()) return list().weight;
  return is_map() ? map().weight() : 1;
}

int64_t Datum::length() const {
  if (is_text()) return static_cast<int64_t>(text().size()) / 64;
  if (is_list()) return std::ssize(list().items);
  return is_map() ? std::ssize(map().members()) : 0;
}

Datum make_list(std::vector<Datum> items, ListKind kind) {
  auto list = std::make_shared<ValueList>();
  list->kind = kind;
  for (const Datum& item : items) {
    list->depth = checked_depth(std::max(list->depth, 1 + item.depth()));
    list->weight = checked_weight(list->weight + item.weight());
  }
  list->items = std::move(items);
  return list;
}

void ValueMap::set(Datum key, Datum value) {
  depth_ = checked_depth(std::max(depth_, 1 + value.depth()));
  const Datum* old = find(key);
  weight_ = checked_weight(weight_ + value.weight() + (old ? -old->weight() : key.weight()));
  const auto [place, is_new] = places_.emplace(key_of(key), members_.size());
  if (is_new) {
    members_.emplace_back(std::move(key), std::move(value));
  } else {
    members_[place->second].second = std::move(value);
  }
}

const Datum* ValueMap::find(const Datum& key) const {
  if (key.is_undefined()) return nullptr;
  const auto found = places_.find(key_of(key));
  return found == places_.end() ? nullptr : &members_[found->second].second;
}

Datum make_map(ValueMap map) { return std::make_shared<const ValueMap>(std::move(map)); }

bool equal(const Datum& a, const Datum& b) {
  if (a.is_whole() && b.is_whole()) return a.integer() == b.integer();
  if (a.is_number() && b.is_number()) return a.number() == b.number();
  if (a.is_text() && b.is_text()) return a.text().bytes() == b.text().bytes();
  if (a.is_list() && b.is_list()) return equal_lists(a.list(), b.list());
  if (a.is_map() && b.is_map()) return equal_maps(a.map(), b.map());
  if (a.is_namespace() && b.is_namespace()) return a.names() == b.names();
  return (a.is_none() && b.is_none()) || (a.is_undefined() && b.is_undefined());
}

int compare(const Datum& a, const Datum& b) {
  if (a.is_whole() && b.is_whole()) {
    return a.integer() < b.integer() ? -1 : a.integer() > b.integer();
  }
  if (a.is_number() && b.is_number()) {
    return a.number() < b.number() ? -1 : a.number() > b.number();
  }
  // The order of UTF-8 is that of characters.
  if (a.is_text() && b.is_text()) return a.text().bytes().compare(b.text().bytes());
  if (a.is_list() && b.is_list() && a.list().kind == b.list().kind) {
    return compare_lists(a.list(), b.list());
  }
  fail(Status::kInvalidArgument, "a value of the type %s cannot be ordered beside one of %s",
       a.type_name(), b.type_name());
}

// The shortest digits that are the number again, with an exponent where Python has one.
std::string text_of_float(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  char digits[64];
  const auto end =
      std::to_chars(digits, digits + sizeof digits, value, std::chars_format::scientific);
  std::string scientific(digits, end.ptr);
  const size_t e = scientific.find('e');
  const int exponent = std::stoi(scientific.substr(e + 1));
  if (exponent < -4 || exponent >= 16) return scientific;
  const auto fixed_end =
      std::to_chars(digits, digits + sizeof digits, value, std::chars_format::fixed);
  std::string fixed(digits, fixed_end.ptr);
  return fixed.find('.') == std::string::npos ? fixed + ".0" : fixed;
}

MarkedText repr_of(const Datum& value) {
  if (value.is_undefined()) return MarkedText("Undefined");
  return value.is_text() ? quoted(value.text()) : text_of(value);
}

MarkedText text_of(const Datum& value) {
  if (value.is_text()) return value.text();
  if (value.is_undefined()) return MarkedText();
  if (value.is_none()) return MarkedText("None");
  if (value.is_bool()) return MarkedText(value.boolean() ? "True" : "False");
  if (value.is_integer()) return MarkedText(std::to_string(value.integer()));
  if (value.is_float()) return MarkedText(text_of_float(value.number()));
  if (value.is_list()) return repr_of_list(value.list());
  if (value.is_map()) return repr_of_map(value.map());
  fail(Status::kUnsupported, "a value of the type %s is printed, which is not supported",
       value.type_name());
}

}  // namespace headlane::chat
