// Jinja's filters. Filters of many items at once are in item_filters.cc.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <iterator>

#include "engine/base/error.h"
#include "engine/chat/item_filters.h"
#include "engine/chat/operations.h"

namespace headlane::chat {
namespace {

// A method of texts over the text of any value.
Datum by_method(const char* method, const Datum& value, const Arguments& arguments, Work* work) {
  return call(method_of(text_of(value), method, work), arguments);
}

Datum filter_trim(const Datum& value, const Arguments& arguments, Work* work) {
  return by_method("strip", value, arguments, work);
}
Datum filter_upper(const Datum& value, const Arguments& arguments, Work* work) {
  return by_method("upper", value, arguments, work);
}
Datum filter_lower(const Datum& value, const Arguments& arguments, Work* work) {
  return by_method("lower", value, arguments, work);
}
Datum filter_capitalize(const Datum& value, const Arguments& arguments, Work* work) {
  return by_method("capitalize", value, arguments, work);
}

Datum filter_title(const Datum& value, const Arguments& arguments, Work*) {
  takes_nothing("title", arguments);
  return with_case(text_of(value), LetterCase::kWords);
}

Datum default_of(const Datum& value, const Arguments& arguments, Work*) {
  const Parameters read("default", arguments, {"default_value", "boolean"});
  const bool lacks = value.is_undefined() || (read.flag(1, false) && !value.is_true());
  return lacks ? read.value(0, "") : value;
}

Datum filter_length(const Datum& value, const Arguments& arguments, Work*) {
  takes_nothing("length", arguments);
  if (value.is_text()) return std::ssize(character_borders(value.text().bytes())) - 1;
  if (value.is_map()) return value.length();
  if (value.is_list() && value.list().kind != ListKind::kIterator) return value.length();
  if (value.is_undefined()) return 0;
  fail(Status::kInvalidArgument, "a value of the type %s has no length", value.type_name());
}

Datum filter_string(const Datum& value, const Arguments& arguments, Work*) {
  takes_nothing("string", arguments);
  return value.is_text() ? value : Datum(text_of(value));
}

Datum filter_replace(const Datum& value, const Arguments& arguments, Work* work) {
  const Parameters read("replace", arguments, {"old", "new", "count"});
  Arguments texts{{text_of(read.value(0)), text_of(read.value(1))}, {}};
  if (!read.value(2, Datum()).is_none()) texts.positional.push_back(read.value(2));
  return by_method("replace", value, texts, work);
}

Datum filter_indent(const Datum& value, const Arguments& arguments, Work* work) {
  const Parameters read("indent", arguments, {"width", "first", "blank"});
  const Datum width = read.value(0, 4);
  if (!width.is_text() && !width.is_whole()) {
    fail(Status::kInvalidArgument, "indent wants an int or a str, not a value of the type %s",
         width.type_name());
  }
  if (!width.is_text() && width.integer() > 1024) {
    fail(Status::kUnsupported, "indent has a width above 1024");
  }
  const MarkedText by = width.is_text()
                            ? width.text()
                            : MarkedText(std::string(
                                  static_cast<size_t>(std::max<int64_t>(width.integer(), 0)), ' '));
  if (!value.is_text()) fail(Status::kInvalidArgument, "indent wants a str");
  MarkedText whole = value.text();
  whole.append("\n");
  const Datum lines = by_method("splitlines", whole, {}, work);
  MarkedText result;
  for (int64_t i = 0; i < lines.length(); ++i) {
    const MarkedText& line = lines.list().items[static_cast<size_t>(i)].text();
    const bool indents = i == 0 ? read.flag(1, false) : read.flag(2, false) || !line.empty();
    work->take(static_cast<int64_t>(line.size() + by.size()));
    if (i > 0) result.append("\n");
    if (indents) result.append(by);
    result.append(line);
  }
  return result;
}

// The number that a text is as a whole, without white space around it, as Python's float() reads
// it.
bool read_float(const MarkedText& text, double* number) {
  std::string digits = stripped(text, true, true).bytes();
  if (digits.starts_with('+') && !digits.starts_with("+-")) digits.erase(0, 1);
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), *number);
  const bool whole = error == std::errc() && end == digits.data() + digits.size();
  if (digits.find('_') != std::string::npos || (whole && !std::isfinite(*number)) ||
      error == std::errc::result_out_of_range) {
    fail(Status::kUnsupported, "a number is written in a way that is not supported");
  }
  return whole;
}

Datum float_of(const Datum& value, const Arguments& arguments, Work*) {
  const Parameters read("float", arguments, {"default"});
  double number = 0;
  if (value.is_number()) return value.number();
  if (value.is_text() && read_float(value.text(), &number)) return number;
  return read.value(0, 0.0);
}

Datum int_of(const Datum& value, const Arguments& arguments, Work*) {
  const Parameters read("int", arguments, {"default", "base"});
  if (read.integer(1, 10) != 10) fail(Status::kUnsupported, "int of a base other than 10");
  if (value.is_whole()) return value.integer();
  if (value.is_undefined()) {
    fail(Status::kInvalidArgument, "%s is undefined", value.undefined_name().c_str());
  }
  double number = 0;
  if (value.is_text()) {
    int64_t whole = 0;
    const std::string digits = stripped(value.text(), true, true).bytes();
    const size_t sign = digits.starts_with('+') ? 1 : 0;
    const char* last = digits.data() + digits.size();
    const auto [end, error] = std::from_chars(digits.data() + sign, last, whole);
    if (error == std::errc() && end == last) return whole;
    if (!read_float(value.text(), &number)) return read.value(0, 0);
  } else if (value.is_float()) {
    number = value.number();
  } else {
    return read.value(0, 0);
  }
  if (!(std::fabs(number) < 9e18)) fail(Status::kInvalidArgument, "a number is too large");
  return static_cast<int64_t>(number);
}

Datum abs_of(const Datum& value, const Arguments& arguments, Work*) {
  takes_nothing("abs", arguments);
  if (value.is_float()) return std::fabs(value.number());
  if (!value.is_whole() || value.integer() == INT64_MIN) {
    fail(Status::kInvalidArgument, "abs wants a number");
  }
  return std::abs(value.integer());
}

// Python's round() to some digits rounds what the number is as decimals, ties to even.
Datum round_of(const Datum& value, const Arguments& arguments, Work*) {
  const Parameters read("round", arguments, {"precision", "method"});
  const int64_t digits = read.integer(0, 0);
  const std::string method = read.has(1) ? read.text(1).bytes() : "common";
  if (!value.is_number()) fail(Status::kInvalidArgument, "round wants a number");
  if (digits < 0 || digits > 17) {
    fail(Status::kUnsupported, "round to %lld digits is not supported",
         static_cast<long long>(digits));
  }
  const double number = value.number(), scale = std::pow(10.0, static_cast<double>(digits));
  if (method == "ceil" || method == "floor") {
    return (method == "ceil" ? std::ceil(number * scale) : std::floor(number * scale)) / scale;
  }
  if (method != "common") fail(Status::kInvalidArgument, "round has no such method");
  if (value.is_whole()) return value;
  char decimals[400];
  const auto end = std::to_chars(decimals, decimals + sizeof decimals, number,
                                 std::chars_format::fixed, static_cast<int>(digits));
  double rounded = 0;
  std::from_chars(decimals, end.ptr, rounded);
  return rounded;
}

using Filter = Datum (*)(const Datum&, const Arguments&, Work*);
struct NamedFilter {
  const char* name;
  Filter filter;
};
constexpr NamedFilter kFilters[] = {{"tojson", to_json},
                                    {"trim", filter_trim},
                                    {"upper", filter_upper},
                                    {"lower", filter_lower},
                                    {"capitalize", filter_capitalize},
                                    {"title", filter_title},
                                    {"default", default_of},
                                    {"d", default_of},
                                    {"length", filter_length},
                                    {"count", filter_length},
                                    {"string", filter_string},
                                    {"replace", filter_replace},
                                    {"indent", filter_indent},
                                    {"float", float_of},
                                    {"int", int_of},
                                    {"abs", abs_of},
                                    {"round", round_of},
                                    {"first", first_item},
                                    {"last", last_item},
                                    {"join", join_items},
                                    {"list", list_items},
                                    {"items", map_items},
                                    {"dictsort", sort_map},
                                    {"reverse", reverse_items},
                                    {"sort", sort_items},
                                    {"unique", unique_items},
                                    {"min", least_item},
                                    {"max", largest_item},
                                    {"sum", sum_items},
                                    {"map", map_each},
                                    {"select", select_items},
                                    {"reject", reject_items},
                                    {"selectattr", select_by_member},
                                    {"rejectattr", reject_by_member}};

}  // namespace

Datum filtered(const std::string& name, const Datum& value, const Arguments& arguments,
               Work* work) {
  const auto found = std::find_if(std::begin(kFilters), std::end(kFilters),
                                  [&](const NamedFilter& filter) { return name == filter.name; });
  if (found == std::end(kFilters)) {
    fail(Status::kUnsupported, "the filter \"%s\" is not supported", name.c_str());
  }
  const Work::Depth depth(work);  // "map" calls filters
  work->step(1 + value.length());
  return found->filter(value, arguments, work);
}

}  // namespace headlane::chat
