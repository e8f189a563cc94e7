#include "engine/chat/operations.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>

#include "engine/base/error.h"
#include "engine/text/unicode.h"

namespace headlane::chat {
namespace {

[[noreturn]] void fail_undefined(const Datum& value) {
  fail(Status::kInvalidArgument, "%s is undefined", value.undefined_name().c_str());
}

[[noreturn]] void fail_types(const std::string& name, const Datum& a, const Datum& b) {
  if (a.is_undefined()) fail_undefined(a);
  if (b.is_undefined()) fail_undefined(b);
  fail(Status::kInvalidArgument, "there is no %s of a value of the type %s and one of %s",
       name.c_str(), a.type_name(), b.type_name());
}

[[noreturn]] void fail_large() { fail(Status::kInvalidArgument, "a number is too large"); }

void check_divisor(bool is_zero) {
  if (is_zero) fail(Status::kInvalidArgument, "a number is divided by zero");
}

Datum power(int64_t base, int64_t exponent) {
  if (exponent < 0) return std::pow(static_cast<double>(base), static_cast<double>(exponent));
  int64_t result = 1;
  if (base == 0 || base == 1) return exponent == 0 ? int64_t{1} : base;
  if (base == -1) return exponent % 2 == 0 ? int64_t{1} : int64_t{-1};
  for (int64_t i = 0; i < exponent; ++i) {  // at most 63 times: then it is too large
    if (__builtin_mul_overflow(result, base, &result)) fail_large();
  }
  return result;
}

int64_t floor_of(int64_t a, int64_t b) {
  if (a == INT64_MIN && b == -1) fail_large();
  return a / b - (a % b != 0 && (a < 0) != (b < 0) ? 1 : 0);
}

Datum of_integers(const std::string& name, int64_t a, int64_t b) {
  int64_t result = 0;
  bool overflows = false;
  if (name == "+") {
    overflows = __builtin_add_overflow(a, b, &result);
  } else if (name == "-") {
    overflows = __builtin_sub_overflow(a, b, &result);
  } else if (name == "*") {
    overflows = __builtin_mul_overflow(a, b, &result);
  } else if (name == "**") {
    return power(a, b);
  } else {
    check_divisor(b == 0);
    if (name == "/") return static_cast<double>(a) / static_cast<double>(b);
    result = floor_of(a, b);
    if (name == "%") result = b == -1 ? 0 : a - result * b;
  }
  if (overflows) fail_large();
  return result;
}

Datum of_numbers(const std::string& name, double a, double b) {
  if (name == "+") return a + b;
  if (name == "-") return a - b;
  if (name == "*") return a * b;
  if (name == "**") return std::pow(a, b);
  check_divisor(b == 0);
  if (name == "/") return a / b;
  double rest = std::fmod(a, b);
  if (rest != 0 && (rest < 0) != (b < 0)) rest += b;
  if (name == "%") return rest;
  return std::floor((a - rest) / b + 0.5);
}

Datum repeated(const Datum& value, int64_t n, Work* work) {
  n = std::max<int64_t>(n, 0);
  if (value.is_text()) {
    const MarkedText& text = value.text();
    MarkedText result;
    if (text.empty()) return result;
    for (int64_t i = 0; i < n; ++i) {
      work->take(static_cast<int64_t>(text.size()));
      result.append(text);
    }
    return result;
  }
  std::vector<Datum> items;
  if (value.list().items.empty()) n = 0;
  for (int64_t i = 0; i < n; ++i) {
    work->take(16 * std::ssize(value.list().items));
    items.insert(items.end(), value.list().items.begin(), value.list().items.end());
  }
  return make_list(std::move(items), value.list().kind);
}

bool is_sequence(const Datum& value) {
  return value.is_text() || (value.is_list() && (value.list().kind == ListKind::kList ||
                                                 value.list().kind == ListKind::kTuple));
}

Datum joined(const Datum& a, const Datum& b) {
  if (a.is_text()) {
    MarkedText text = a.text();
    text.append(b.text());
    return text;
  }
  std::vector<Datum> items = a.list().items;
  items.insert(items.end(), b.list().items.begin(), b.list().items.end());
  return make_list(std::move(items), a.list().kind);
}

// How many items a loop has, or, where they are more, at least `wanted`. As in Jinja, the condition
// of a loop is asked about an item no sooner than the item is wanted.
int64_t loop_length(const Loop& loop, int64_t wanted) {
  while (loop.add_item && std::ssize(loop.items->items) < wanted && loop.add_item()) {
  }
  return std::ssize(loop.items->items);
}

Datum loop_attribute(const Loop& loop, const std::string& name) {
  const bool wants_next = name == "last" || name == "nextitem";
  const bool wants_all = name == "length" || name == "revindex" || name == "revindex0";
  const int64_t n = loop_length(loop, wants_all ? INT64_MAX : wants_next ? loop.index + 2 : 0);
  const auto item = [&](int64_t i) {
    return i >= 0 && i < n ? loop.items->items[static_cast<size_t>(i)]
                           : Datum::undefined("there is no " + name + ", which");
  };
  if (name == "index") return loop.index + 1;
  if (name == "index0") return loop.index;
  if (name == "revindex") return n - loop.index;
  if (name == "revindex0") return n - loop.index - 1;
  if (name == "first") return loop.index == 0;
  if (name == "last") return loop.index + 1 == n;
  if (name == "length") return n;
  if (name == "depth") return loop.depth;
  if (name == "depth0") return loop.depth - 1;
  if (name == "previtem") return item(loop.index - 1);
  if (name == "nextitem") return item(loop.index + 1);
  return Datum::undefined("\"loop." + name + "\"");
}

Datum loop_function(Loop* loop, const std::string& name, Work* work) {
  const auto make = [&](std::function<Datum(const Arguments&)> function) {
    return Datum(std::make_shared<const Function>(Function{"loop." + name, std::move(function)}));
  };
  if (name == "cycle") {
    return make([loop](const Arguments& arguments) {
      const auto n = std::ssize(arguments.positional);
      if (n == 0) fail(Status::kInvalidArgument, "loop.cycle has nothing to choose from");
      return arguments.positional[static_cast<size_t>(loop->index % n)];
    });
  }
  if (name != "changed") return loop_attribute(*loop, name);
  return make([loop, work](const Arguments& arguments) {
    const std::vector<Datum>& now = arguments.positional;
    for (const Datum& value : now) work->step(1 + value.weight() / 16);
    const bool same =
        loop->has_changed && std::equal(now.begin(), now.end(), loop->last_changed.begin(),
                                        loop->last_changed.end(), equal);
    loop->last_changed = now;
    loop->has_changed = true;
    return Datum(!same);
  });
}

// Python's, of `n` items: what lies outside means the nearest end.
void slice_bounds(const Datum& begin, const Datum& end, int64_t step, int64_t n, int64_t* first,
                  int64_t* last) {
  const auto bound = [&](const Datum& value, int64_t otherwise) {
    if (value.is_none()) return otherwise;
    if (!value.is_whole()) {
      fail(Status::kInvalidArgument, "a slice begins or ends at a value of the type %s",
           value.type_name());
    }
    int64_t i = value.integer();
    if (i < 0) i += n;
    const int64_t least = step < 0 ? -1 : 0;
    return std::clamp(i, least, step < 0 ? n - 1 : n);
  };
  *first = bound(begin, step < 0 ? n - 1 : 0);
  *last = bound(end, step < 0 ? -1 : n);
}

std::optional<Datum> item_at(const Datum& value, int64_t i, Work* work) {
  work->step(value.is_text() ? value.length() : 0);
  const std::vector<size_t> borders =
      value.is_text() ? character_borders(value.text().bytes()) : std::vector<size_t>();
  const int64_t n = value.is_text() ? std::ssize(borders) - 1 : value.length();
  if (i < -n || i >= n) return {};
  const auto at = static_cast<size_t>(i < 0 ? i + n : i);
  if (value.is_text()) return Datum(value.text().part(borders[at], borders[at + 1]));
  return value.list().items[at];
}

}  // namespace

void takes_nothing(const std::string& function, const Arguments& arguments) {
  const Parameters none(function, arguments, {});
}

Parameters::Parameters(const std::string& function, const Arguments& arguments,
                       std::vector<std::string> names)
    : function_(function), names_(std::move(names)), values_(names_.size()) {
  if (arguments.positional.size() > names_.size()) {
    fail(Status::kInvalidArgument, "%s has %zu arguments; it takes at most %zu", function.c_str(),
         arguments.positional.size(), names_.size());
  }
  for (size_t i = 0; i < arguments.positional.size(); ++i) values_[i] = &arguments.positional[i];
  for (const auto& [name, value] : arguments.named) {
    const auto found = std::find(names_.begin(), names_.end(), name);
    const auto i = static_cast<size_t>(found - names_.begin());
    if (found == names_.end() || values_[i] != nullptr) {
      fail(Status::kInvalidArgument, "%s has an argument \"%s\", which it does not take here",
           function.c_str(), name.c_str());
    }
    values_[i] = &value;
  }
}

const Datum& Parameters::value(size_t i) const {
  if (values_[i] != nullptr) return *values_[i];
  fail(Status::kInvalidArgument, "%s lacks its argument \"%s\"", function_.c_str(),
       names_[i].c_str());
}

const MarkedText& Parameters::text(size_t i) const {
  if (value(i).is_text()) return value(i).text();
  fail(Status::kInvalidArgument, "%s wants a str as \"%s\", not a value of the type %s",
       function_.c_str(), names_[i].c_str(), value(i).type_name());
}

int64_t Parameters::integer(size_t i, int64_t otherwise) const {
  if (!has(i)) return otherwise;
  if (value(i).is_whole()) return value(i).integer();
  fail(Status::kInvalidArgument, "%s wants an int as \"%s\", not a value of the type %s",
       function_.c_str(), names_[i].c_str(), value(i).type_name());
}

Datum binary(const std::string& name, const Datum& a, const Datum& b, Work* work) {
  if (a.is_whole() && b.is_whole()) return of_integers(name, a.integer(), b.integer());
  if (a.is_number() && b.is_number()) return of_numbers(name, a.number(), b.number());
  if (name == "+" && is_sequence(a) && is_sequence(b) && a.is_text() == b.is_text() &&
      (a.is_text() || a.list().kind == b.list().kind)) {
    work->take(a.is_text() ? a.weight() + b.weight() : 16 * (a.length() + b.length()));
    return joined(a, b);
  }
  if (name == "*" && is_sequence(a) && b.is_whole()) return repeated(a, b.integer(), work);
  if (name == "*" && a.is_whole() && is_sequence(b)) return repeated(b, a.integer(), work);
  if (name == "%" && a.is_text()) {
    fail(Status::kUnsupported, "a str is formatted by \"%%\", which is not supported");
  }
  fail_types("\"" + name + "\"", a, b);
}

bool contains(const Datum& container, const Datum& item, Work* work) {
  if (container.is_text()) {
    if (!item.is_text()) fail_types("\"in\"", item, container);
    work->search(container.text().size(), item.text().size());
    return container.text().bytes().find(item.text().bytes()) != std::string::npos;
  }
  if (container.is_map()) return container.map().find(item) != nullptr;
  const std::vector<Datum> items = items_of(container, work);
  if (item.is_list() || item.is_map()) work->step(container.weight() / 16);
  return std::any_of(items.begin(), items.end(),
                     [&](const Datum& other) { return equal(other, item); });
}

bool compares(const std::string& name, const Datum& a, const Datum& b, Work* work) {
  work->step(std::min(a.weight(), b.weight()) / 64);
  if (name == "==") return equal(a, b);
  if (name == "!=") return !equal(a, b);
  if (name == "in" || name == "not in") {
    work->step(b.length());
    return contains(b, a, work) == (name == "in");
  }
  if (a.is_undefined() || b.is_undefined()) fail_types("order", a, b);
  if (std::isnan(a.is_number() ? a.number() : 0) || std::isnan(b.is_number() ? b.number() : 0)) {
    return false;
  }
  const int order = compare(a, b);
  if (name == "<") return order < 0;
  if (name == "<=") return order <= 0;
  return name == ">" ? order > 0 : order >= 0;
}

Datum attribute_of(const Datum& value, const std::string& name, Work* work) {
  if (value.is_undefined()) fail_undefined(value);
  if (value.is_loop()) return loop_function(value.loop(), name, work);
  if (name.starts_with("__")) {
    fail(Status::kUnsupported, "the member \"%s\" is not supported", name.c_str());
  }
  Datum method = method_of(value, name, work);
  if (!method.is_undefined()) return method;
  const ValueMap* members = value.is_map()         ? &value.map()
                            : value.is_namespace() ? &value.names()->members
                                                   : nullptr;
  const Datum* member = members ? members->find(Datum(MarkedText(name))) : nullptr;
  return member ? *member : Datum::undefined("\"" + name + "\"");
}

Datum item_of(const Datum& value, const Datum& key, Work* work) {
  if (value.is_undefined()) fail_undefined(value);
  if (value.is_map()) {
    if (const Datum* member = value.map().find(key)) return *member;
  }
  const bool has_places =
      value.is_text() || (value.is_list() && value.list().kind != ListKind::kView &&
                          value.list().kind != ListKind::kIterator);
  if (has_places && key.is_whole()) {
    if (std::optional<Datum> item = item_at(value, key.integer(), work)) return *item;
  }
  if (key.is_text()) {
    const std::string& name = key.text().bytes();
    return value.is_map() ? method_of(value, name, work) : attribute_of(value, name, work);
  }
  return Datum::undefined("an item of a value of the type " + std::string(value.type_name()));
}

Datum slice_of(const Datum& value, const Datum& begin, const Datum& end, const Datum& step,
               Work* work) {
  if (value.is_undefined()) fail_undefined(value);
  if (!value.is_text() && !(value.is_list() && value.list().kind != ListKind::kView &&
                            value.list().kind != ListKind::kIterator)) {
    return Datum::undefined("a slice of a value of the type " + std::string(value.type_name()));
  }
  if (!step.is_none() && !step.is_whole()) fail_types("slice", value, step);
  const int64_t by = step.is_none() ? 1 : step.integer();
  if (by == 0) fail(Status::kInvalidArgument, "a slice has steps of zero");
  work->step(value.length());
  work->take(value.is_text() ? value.weight() : 16 * value.length());
  const std::vector<size_t> borders =
      value.is_text() ? character_borders(value.text().bytes()) : std::vector<size_t>();
  const int64_t n = value.is_text() ? std::ssize(borders) - 1 : value.length();
  int64_t first = 0, last = 0;
  slice_bounds(begin, end, by, n, &first, &last);
  MarkedText text;
  std::vector<Datum> items;
  if (value.is_text() && by == 1) {
    const int64_t stop = std::max(first, last);
    return value.text().part(borders[static_cast<size_t>(first)],
                             borders[static_cast<size_t>(stop)]);
  }
  for (int64_t i = first; by > 0 ? i < last : i > last; i += by) {
    const auto at = static_cast<size_t>(i);
    if (value.is_text()) {
      text.append(value.text().part(borders[at], borders[at + 1]));
    } else {
      items.push_back(value.list().items[at]);
    }
    if (by > n || by < -n) break;
  }
  return value.is_text() ? Datum(text) : make_list(std::move(items), value.list().kind);
}

std::vector<Datum> items_of(const Datum& value, Work* work) {
  work->step(value.length());
  std::vector<Datum> items;
  if (value.is_list()) {
    if (value.list().kind != ListKind::kIterator) return value.list().items;
    return std::exchange(value.shared_list()->items, {});
  }
  if (value.is_text()) {
    const std::vector<size_t> borders = character_borders(value.text().bytes());
    work->take(16 * std::ssize(borders));
    for (size_t i = 0; i + 1 < borders.size(); ++i) {
      items.emplace_back(value.text().part(borders[i], borders[i + 1]));
    }
  } else if (value.is_map()) {
    for (const auto& [key, member] : value.map().members()) items.push_back(key);
  } else if (!value.is_undefined()) {
    fail(Status::kInvalidArgument, "a value of the type %s has no items to go through",
         value.type_name());
  }
  return items;
}

Datum call(const Datum& function, const Arguments& arguments) {
  if (function.is_function()) return function.function().call(arguments);
  if (function.is_undefined()) fail_undefined(function);
  fail(Status::kInvalidArgument, "a value of the type %s is called, which is no function",
       function.type_name());
}

}  // namespace headlane::chat
