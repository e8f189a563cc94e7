#include "tools/headlane/command_line.h"

#include <algorithm>
#include <charconv>

namespace tool {
namespace {

// "-5 degrees", "- an item" and "-" are texts; a dash or two before a letter is an option.
bool is_option(const std::string& word) {
  const size_t dashes = word.starts_with("--") ? 2 : word.starts_with("-") ? 1 : 0;
  if (dashes == 0 || word.size() == dashes) return false;
  const char c = word[dashes];
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

std::string number_text(double x) {
  char digits[32];
  return {digits, std::to_chars(digits, digits + sizeof digits, x).ptr};
}

std::string range_text(Interval interval) {
  const double least = interval.least == kRoundsToZero ? 0 : interval.least;
  std::string text = (interval.above ? "above " : "from ") + number_text(least);
  if (interval.most < std::numeric_limits<float>::max())
    text += " to " + number_text(interval.most);
  return text;
}

// All of `value` as a number; false if it is none, or none of this type.
template <typename T>
bool parse_number(const std::string& value, T* number) {
  const char* end = value.data() + value.size();
  const auto [last, error] = std::from_chars(value.data(), end, *number);
  return error == std::errc() && last == end;
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

// A line of a page of --help: `left`, then `right` in columns that a terminal has.
std::string two_columns(const std::string& left, const std::string& right) {
  constexpr size_t kLeft = 30, kColumns = 80;
  std::string out = "  " + left, line;
  out += left.size() + 4 > kLeft ? "\n" + std::string(kLeft, ' ')
                                 : std::string(kLeft - left.size() - 2, ' ');
  for (size_t at = 0; at < right.size();) {
    const size_t end = std::min(right.find(' ', at), right.size());
    const std::string word = right.substr(at, end - at);
    at = end + 1;
    if (!line.empty() && kLeft + line.size() + 1 + word.size() > kColumns) {
      out += line + "\n" + std::string(kLeft, ' ');
      line.clear();
    }
    line += (line.empty() ? "" : " ") + word;
  }
  return out + line + "\n";
}

}  // namespace

bool Option::has_name(const std::string& name) const {
  return ("," + names_ + ",").find("," + name + ",") != std::string::npos;
}

std::string Option::value_shown() const {
  const std::string name = is_positional() ? names_ : value_name_;
  switch (takes_) {
    case Takes::kNothing:
      return "";
    case Takes::kValue:
      return is_positional() && !is_required_ ? "[" + name + "]" : name;
    case Takes::kValueOrNothing:
      return "[" + name + "]";
    case Takes::kValues:
      return is_positional() ? "[" + name + "...]" : name + "...";
  }
  return "";
}

Command::Command(std::string name, std::string help)
    : name_(std::move(name)), help_(std::move(help)) {}

Option* Command::add(const char* names, Option::Takes takes, const char* value_name,
                     const char* help, Option::Set set) {
  Option& option = options_.emplace_back();
  option.names_ = names;
  option.help_ = help;
  option.value_name_ = value_name;
  option.takes_ = takes;
  option.set_ = std::move(set);
  return &option;
}

Option* Command::text(const char* names, std::string* to, const char* help) {
  return add(names, Option::Takes::kValue, "TEXT", help,
             [to](const std::string&, const std::string& value) { *to = value; });
}

Option* Command::text(const char* names, std::optional<std::string>* to, const char* help) {
  return add(names, Option::Takes::kValue, "TEXT", help,
             [to](const std::string&, const std::string& value) { *to = value; });
}

Option* Command::file(const char* names, std::string* to, const char* help) {
  Option* option = text(names, to, help)->not_empty();
  option->value_name_ = "FILE";
  return option;
}

Option* Command::texts(const char* names, std::vector<std::string>* to, const char* help) {
  return add(names, Option::Takes::kValues, "NAME", help,
             [to](const std::string&, const std::string& value) { to->push_back(value); });
}

Option* Command::file_or(const char* names, std::string* to, const char* otherwise,
                         const char* help) {
  Option* option = file(names, to, help);
  option->takes_ = Option::Takes::kValueOrNothing;
  option->default_ = otherwise;
  return option;
}

Option* Command::choice(const char* names, std::string* to, std::vector<std::string> choices,
                        const char* help) {
  Option* option = add(names, Option::Takes::kValue, "NAME", help, nullptr);
  option->help_ += " (" + joined(choices) + ")";
  option->set_ = [to, choices = std::move(choices)](const std::string& name,
                                                    const std::string& value) {
    if (std::find(choices.begin(), choices.end(), value) == choices.end()) {
      throw UsageError(name + " is \"" + value + "\"; it must be one of " + joined(choices));
    }
    *to = value;
  };
  return option;
}

Option* Command::flag(const char* names, bool* to, const char* help) {
  return add(names, Option::Takes::kNothing, "", help,
             [to](const std::string&, const std::string&) { *to = true; });
}

Option* Command::seed(const char* names, uint64_t* to, const char* help) {
  return add(names, Option::Takes::kValue, "N", help,
             [to](const std::string& name, const std::string& value) {
               if (parse_number(value, to)) return;
               throw UsageError(name + " is \"" + value +
                                "\"; it must be an integer from 0 to 18446744073709551615");
             });
}

Option* Command::add_integer(const char* names, const std::function<void(int64_t)>& set,
                             int64_t least, int64_t most, const char* help) {
  Option* option = add(names, Option::Takes::kValue, "N", help, nullptr);
  const std::string range = "from " + std::to_string(least) + " to " + std::to_string(most);
  option->help_ += " (" + range + ")";
  option->set_ = [=](const std::string& name, const std::string& value) {
    int64_t n = 0;
    if (!parse_number(value, &n) || n < least || n > most) {
      throw UsageError(name + " is \"" + value + "\"; it must be an integer " + range);
    }
    set(n);
  };
  return option;
}

Option* Command::add_real(const char* names, const std::function<void(double)>& set,
                          Interval interval, const char* help) {
  Option* option = add(names, Option::Takes::kValue, "X", help, nullptr);
  option->help_ += " (" + range_text(interval) + ")";
  option->set_ = [=](const std::string& name, const std::string& value) {
    double x = 0;
    const bool is_number = parse_number(value, &x);
    const bool is_inside =
        x <= interval.most && (interval.above ? x > interval.least : x >= interval.least);
    if (!is_number || !is_inside) {  // NaN is not inside
      throw UsageError(name + " is \"" + value + "\"; it must be a number " + range_text(interval));
    }
    set(x);
  };
  return option;
}

Option* Command::find(const std::string& name) {
  for (Option& option : options_) {
    if (!option.is_positional() && option.has_name(name)) return &option;
  }
  return nullptr;
}

// The first that still takes a word.
Option* Command::next_positional() {
  for (Option& option : options_) {
    if (!option.is_positional()) continue;
    if (option.n_given_ == 0 || option.takes_ == Option::Takes::kValues) return &option;
  }
  return nullptr;
}

size_t Command::n_positionals_missing() const {
  return static_cast<size_t>(
      std::count_if(options_.begin(), options_.end(), [](const Option& option) {
        return option.is_positional() && option.is_required_ && option.n_given_ == 0;
      }));
}

void Command::give(Option* option, const std::string& name, const std::string& value) {
  const bool again = option->n_given_ > 0;
  if (again && (option->takes_ == Option::Takes::kValue ||
                option->takes_ == Option::Takes::kValueOrNothing)) {
    throw UsageError(name + " is given twice; once is enough");
  }
  if (option->refuses_empty_ && value.empty()) throw UsageError(name + " is empty");
  ++option->n_given_;
  option->set_(name, value);
}

// Words up to the next option. Those at the end of the line which the command cannot do without are
// left to it: in `attention -m FILE --json TEXT`, --json has no value.
void Command::take_values(Option* option, const std::string& name,
                          const std::vector<std::string>& words, size_t* at) {
  const bool takes_many = option->takes_ == Option::Takes::kValues;
  const size_t reserved = option->takes_ == Option::Takes::kValue ? 0 : n_positionals_missing();
  size_t n = 0;
  while (*at + reserved < words.size() && !is_option(words[*at]) && words[*at] != "--") {
    give(option, name, words[(*at)++]);
    ++n;
    if (!takes_many) return;
  }
  if (n > 0) return;
  if (option->takes_ == Option::Takes::kValueOrNothing) return give(option, name, option->default_);
  throw UsageError(name + " needs a value" +
                   (*at < words.size() && name.starts_with("--")
                        ? "; one that begins with \"-\" is written " + name + "=" + words[*at]
                        : ""));
}

void Command::parse_option(const std::vector<std::string>& words, size_t* at) {
  const std::string& word = words[(*at)++];
  const bool is_long = word.starts_with("--");
  const size_t equals = is_long ? word.find('=') : std::string::npos;
  const std::string option_name = is_long ? word.substr(0, equals) : word.substr(0, 2);
  Option* option = find(option_name);
  const bool has_value = is_long ? equals != std::string::npos : word.size() > 2;
  const bool is_flag = option != nullptr && option->takes_ == Option::Takes::kNothing;
  if (option == nullptr || (is_flag && has_value && !is_long)) {
    throw UsageError("there is no option " + (is_long ? option_name : word) +
                     "; a text that begins with \"-\" comes after \"--\"");
  }
  if (is_flag && has_value) throw UsageError(option_name + " takes no value");
  if (is_flag) return give(option, option_name, "");
  if (has_value) return give(option, option_name, word.substr(is_long ? equals + 1 : 2));
  take_values(option, option_name, words, at);
}

void Command::take_positional(const std::string& word) {
  Option* option = next_positional();
  if (option == nullptr) throw UsageError("\"" + word + "\" is one word too many");
  give(option, option->names_, word);
}

void Command::check_given() const {
  for (const Option& option : options_) {
    if (option.is_required_ && !option.given()) throw UsageError(option.names_ + " is missing");
    if (!option.given()) continue;
    for (const Option* other : option.needs_) {
      if (!other->given()) throw UsageError(option.names_ + " needs " + other->names_);
    }
    for (const Option* other : option.excludes_) {
      if (other->given()) {
        throw UsageError(option.names_ + " and " + other->names_ + " exclude each other");
      }
    }
  }
}

bool Command::parse(const std::vector<std::string>& words) {
  const auto asks_for_help = [](const std::string& word) {
    return word == "-h" || word == "--help";
  };
  const auto first_text = std::find(words.begin(), words.end(), "--");
  if (std::any_of(words.begin(), first_text, asks_for_help)) return false;
  bool only_texts = false;  // "--" was there
  for (size_t at = 0; at < words.size();) {
    const std::string& word = words[at];
    if (!only_texts && is_option(word)) {
      parse_option(words, &at);
      continue;
    }
    ++at;
    if (!only_texts && word == "--") {
      only_texts = true;
    } else {
      take_positional(word);
    }
  }
  check_given();
  return true;
}

std::string Command::usage() const {
  std::string words, options = two_columns("-h,--help", "Print this page");
  std::string positionals;
  for (const Option& option : options_) {
    const std::string shown = option.value_shown();
    std::string help = option.help_;
    if (!option.default_.empty() && option.takes_ == Option::Takes::kValue) {
      help += "; default: " + option.default_;
    }
    if (option.is_positional()) {
      words += " " + shown;
      positionals += two_columns(option.names_, help);
    } else {
      if (option.is_required_) help += "; required";
      options += two_columns(option.names_ + (shown.empty() ? "" : " " + shown), help);
    }
  }
  return help_ + "\n\nheadlane " + name_ + " [OPTIONS]" + words + "\n\n" + positionals + "\n" +
         options;
}

}  // namespace tool
