#include "engine/constraint/json_texts.h"

#include <algorithm>
#include <cmath>

#include "engine/base/error.h"
#include "engine/constraint/limits.h"
#include "engine/text/unicode.h"

namespace headlane {
namespace {

constexpr CharacterRange kControls = {0, 0x1F}, kQuote = {'"', '"'}, kBackslash = {'\\', '\\'};

ByteSet byte_set(std::string_view bytes) {
  ByteSet set;
  for (const char byte : bytes) set.set(static_cast<uint8_t>(byte));
  return set;
}

}  // namespace

ExpressionId JsonTexts::comma() {
  return expressions_.sequence(
      {expressions_.byte(','), expressions_.optional(expressions_.byte(' '))});
}

ExpressionId JsonTexts::colon() {
  return expressions_.sequence(
      {expressions_.byte(':'), expressions_.optional(expressions_.byte(' '))});
}

ExpressionId JsonTexts::plain_character() {
  return utf8_of(without({kControls, kQuote, kBackslash}), &expressions_);
}

// Escapes spell no half of a pair of surrogates, which would be no text.
ExpressionId JsonTexts::character() {
  Expressions& e = expressions_;
  const ExpressionId hex = e.bytes(byte_set("0123456789abcdefABCDEF"));
  const ExpressionId d = e.bytes(byte_set("dD"));
  const ExpressionId below = e.sequence({e.bytes(byte_set("0123456789abcefABCEF")), hex, hex, hex});
  const ExpressionId early = e.sequence({d, e.bytes(byte_set("01234567")), hex, hex});
  const ExpressionId high = e.sequence({d, e.bytes(byte_set("89abAB")), hex, hex});
  const ExpressionId low = e.sequence({d, e.bytes(byte_set("cdefCDEF")), hex, hex});
  const ExpressionId pair = e.sequence({high, e.text("\\u"), low});
  const ExpressionId unicode = e.sequence({e.byte('u'), e.choice({below, early, pair})});
  const ExpressionId escape =
      e.sequence({e.byte('\\'), e.choice({e.bytes(byte_set("\"\\/bfnrt")), unicode})});
  return e.choice({plain_character(), escape});
}

ExpressionId JsonTexts::quoted(ExpressionId inner) {
  return expressions_.sequence({expressions_.byte('"'), inner, expressions_.byte('"')});
}

ExpressionId JsonTexts::string_of_length(int64_t least, int64_t most) {
  const std::string name = "string " + std::to_string(least) + " " + std::to_string(most);
  return shared(name, [&] { return quoted(expressions_.repeat(character(), least, most)); });
}

ExpressionId JsonTexts::any_string() { return string_of_length(0, ByteExpression::kUnlimited); }

ExpressionId JsonTexts::digit(char first, char last) {
  ByteSet set;
  for (char c = first; c <= last; ++c) set.set(static_cast<uint8_t>(c));
  return expressions_.bytes(set);
}

ExpressionId JsonTexts::digits(int64_t least, int64_t most) {
  return expressions_.repeat(digit('0', '9'), least, most);
}

ExpressionId JsonTexts::any_integer() {
  return shared("integer", [&] { return integer_between(-kLargest, kLargest); });
}

ExpressionId JsonTexts::any_number() {
  return shared("number", [&] {
    Expressions& e = expressions_;
    const ExpressionId whole =
        e.choice({e.byte('0'), e.sequence({digit('1', '9'), digits(0, kDigits - 1)})});
    const ExpressionId fraction = e.sequence({e.byte('.'), digits(1, kDigits)});
    // Two digits keep it within what a double has.
    const ExpressionId exponent =
        e.sequence({e.bytes(byte_set("eE")), e.optional(e.bytes(byte_set("+-"))), digits(1, 2)});
    return e.sequence({e.optional(e.byte('-')), whole, e.optional(fraction), e.optional(exponent)});
  });
}

ExpressionId JsonTexts::boolean() {
  return expressions_.choice({expressions_.text("true"), expressions_.text("false")});
}

ExpressionId JsonTexts::any_value() {
  return shared("value", [&] {
    return expressions_.choice({any_object(), any_array(), any_string(), any_number(), boolean(),
                                expressions_.text("null")});
  });
}

ExpressionId JsonTexts::member(ExpressionId name, ExpressionId value) {
  return expressions_.sequence({name, colon(), value});
}

ExpressionId JsonTexts::members(ExpressionId member) {
  return expressions_.sequence(
      {member, expressions_.repeat(expressions_.sequence({comma(), member}), 0,
                                   ByteExpression::kUnlimited)});
}

ExpressionId JsonTexts::any_object() {
  return shared("object", [&] {
    return expressions_.sequence({expressions_.byte('{'),
                                  expressions_.optional(members(member(any_string(), any_value()))),
                                  expressions_.byte('}')});
  });
}

ExpressionId JsonTexts::any_array() {
  return shared("array", [&] {
    return expressions_.sequence({expressions_.byte('['),
                                  expressions_.optional(members(any_value())),
                                  expressions_.byte(']')});
  });
}

// Numbers of as many digits, from `least` to `most`.
ExpressionId JsonTexts::digits_between(std::string_view least, std::string_view most) {
  Expressions& e = expressions_;
  if (least.empty()) return e.empty();
  const auto n = static_cast<int64_t>(least.size());
  if (least.find_first_not_of('0') == std::string_view::npos &&
      most.find_first_not_of('9') == std::string_view::npos) {
    return digits(n, n);
  }
  const char low = least[0], high = most[0];
  if (low == high) {
    return e.sequence({digit(low, low), digits_between(least.substr(1), most.substr(1))});
  }
  const std::string zeros(least.size() - 1, '0'), nines(least.size() - 1, '9');
  std::vector<ExpressionId> choices = {
      e.sequence({digit(low, low), digits_between(least.substr(1), nines)}),
      e.sequence({digit(high, high), digits_between(zeros, most.substr(1))})};
  if (low + 1 < high) {
    choices.push_back(e.sequence(
        {digit(static_cast<char>(low + 1), static_cast<char>(high - 1)), digits(n - 1, n - 1)}));
  }
  return e.choice(std::move(choices));
}

ExpressionId JsonTexts::natural_between(int64_t least, int64_t most) {
  std::vector<ExpressionId> choices;
  int64_t end = 9;  // the last number of as many digits as `least`
  for (int64_t begin = least; begin <= most; begin = end + 1) {
    while (end < begin) end = end * 10 + 9;
    const int64_t last = std::min(end, most);
    choices.push_back(digits_between(std::to_string(begin), std::to_string(last)));
    if (last == most) break;
  }
  return expressions_.choice(std::move(choices));
}

ExpressionId JsonTexts::integer_between(int64_t least, int64_t most) {
  Expressions& e = expressions_;
  std::vector<ExpressionId> choices;
  if (most >= 0) choices.push_back(natural_between(std::max<int64_t>(least, 0), most));
  if (least < 0) {
    const int64_t nearest = std::max<int64_t>(-most, 1);
    choices.push_back(e.sequence({e.byte('-'), natural_between(nearest, -least)}));
  }
  return e.choice(std::move(choices));
}

// A whole part that is one less than the bound may have any fraction.
ExpressionId JsonTexts::number_between(int64_t least, int64_t most) {
  Expressions& e = expressions_;
  const ExpressionId fraction = e.sequence({e.byte('.'), digits(1, kDigits)});
  std::vector<ExpressionId> choices = {integer_between(least, most)};
  if (most > 0 && most > least) {
    choices.push_back(
        e.sequence({natural_between(std::max<int64_t>(least, 0), most - 1), fraction}));
  }
  if (least < 0 && most > least) {
    choices.push_back(e.sequence(
        {e.byte('-'), natural_between(std::max<int64_t>(-most, 0), -least - 1), fraction}));
  }
  return e.choice(std::move(choices));
}

// This is the rest of a name that begins with the first n_before bytes of each of these names.
ExpressionId JsonTexts::name_behind(const std::vector<std::string>& names, size_t n_before) {
  std::map<char32_t, std::vector<std::string>> behind;
  CharacterSet others = {kControls, kQuote, kBackslash};
  bool is_name = false;
  for (const std::string& name : names) {
    if (name.size() == n_before) {
      is_name = true;
      continue;
    }
    size_t pos = n_before;
    const char32_t c = next_char(name, &pos);
    behind[c].push_back(name);
    others.push_back({c, c});
  }
  const ExpressionId any = expressions_.repeat(plain_character(), 0, ByteExpression::kUnlimited);
  std::vector<ExpressionId> choices = {
      expressions_.sequence({utf8_of(without(others), &expressions_), any})};
  if (!is_name) choices.push_back(expressions_.empty());
  for (const auto& [c, of] : behind) {
    if (c <= kControls.last || c == '"' || c == '\\') continue;  // it is never written so
    std::string written;
    append_char(c, &written);
    choices.push_back(expressions_.sequence(
        {expressions_.text(written), name_behind(of, n_before + written.size())}));
  }
  return expressions_.choice(std::move(choices));
}

ExpressionId JsonTexts::name_without(const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    if (name.size() <= constraint_limits::kNameBytes) continue;
    fail(Status::kTooLarge,
         "a property's name has %zu bytes; where others may stand beside it, it must have at most "
         "%zu",
         name.size(), constraint_limits::kNameBytes);
  }
  return quoted(name_behind(names, 0));
}

ExpressionId JsonTexts::string_literal(std::string_view text) {
  std::vector<ExpressionId> characters;
  for (size_t pos = 0; pos < text.size();) {
    const char32_t c = next_char(text, &pos);
    characters.push_back(json_of({{c, c}}, &expressions_));
  }
  return quoted(expressions_.sequence(std::move(characters)));
}

ExpressionId JsonTexts::literal(const chat::Datum& value) {
  Expressions& e = expressions_;
  if (value.is_text()) return string_literal(value.text().bytes());
  if (value.is_none()) return e.text("null");
  if (value.is_bool()) return e.text(value.boolean() ? "true" : "false");
  if (value.is_integer()) return e.text(std::to_string(value.integer()));
  if (value.is_float()) return e.text(chat::text_of_float(value.number()));
  std::vector<ExpressionId> parts = {e.byte(value.is_map() ? '{' : '[')};
  const auto add = [&](ExpressionId part) {
    if (parts.size() > 1) parts.push_back(comma());
    parts.push_back(part);
  };
  if (value.is_map()) {
    for (const auto& [name, of] : value.map().members()) {
      add(member(string_literal(name.text().bytes()), literal(of)));
    }
  } else {
    for (const chat::Datum& item : value.list().items) add(literal(item));
  }
  parts.push_back(e.byte(value.is_map() ? '}' : ']'));
  return e.sequence(std::move(parts));
}

}  // namespace headlane
