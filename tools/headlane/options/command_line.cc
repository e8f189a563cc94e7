#include "tools/headlane/options/command_line.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>

namespace tool {
namespace {

// CLI11 has notations for lists ("[a, b]"), for the end of a command ("++") and more, and texts may
// look like any of them. So it receives a value as this, which starts none of them, and its number.
constexpr char kHidden = '\x01';

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

// Nothing, if any number is right.
std::string range_text(Interval interval) {
  if (interval.least == std::numeric_limits<double>::lowest()) return "";
  const double least = interval.least == kRoundsToZero ? 0 : interval.least;
  std::string text = (interval.above ? "above " : "from ") + number_text(least);
  if (interval.most < std::numeric_limits<float>::max())
    text += " to " + number_text(interval.most);
  return text;
}

// All of `value` as a number; false if it is not a number of this type.
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

// CLI11's page, in lines that fit a terminal.
class Page : public CLI::Formatter {
 public:
  std::string make_option_opts(const CLI::Option* option) const override {
    const bool is_shown = !option->get_positional() && option->get_items_expected_max() > 0;
    return is_shown ? " " + option->get_type_name() : "";
  }

  std::string make_option_desc(const CLI::Option* option) const override {
    std::string help = option->get_description();
    if (!option->get_default_str().empty() && option->get_items_expected_min() > 0) {
      help += "; default: " + option->get_default_str();
    }
    if (!option->get_positional() && option->get_required()) help += "; required";
    const size_t width = 80 - get_column_width();
    for (size_t line = 0; help.size() - line > width;) {
      const size_t space = help.rfind(' ', line + width);
      if (space == std::string::npos || space < line) break;  // a word as long as a line
      help[space] = '\n';
      line = space + 1;
    }
    return help;
  }
};

UsageError no_option(const std::string& word) {
  return UsageError("there is no option " + word +
                    "; a text that begins with \"-\" comes after \"--\"");
}

UsageError needs_value(const std::string& name, const std::string& next) {
  return UsageError(name + " needs a value" +
                    (name.starts_with("--")
                         ? "; one that begins with \"-\" is written " + name + "=" + next
                         : ""));
}

}  // namespace

Option* Option::required() { return declared_->required(), this; }
Option* Option::needs(const Option* other) { return declared_->needs(other->declared_), this; }
Option* Option::excludes(const Option* other) {
  return declared_->excludes(other->declared_), this;
}
Option* Option::not_empty() { return refuses_empty_ = true, this; }
Option* Option::default_is(const std::string& value) { return declared_->default_str(value), this; }
bool Option::given() const { return declared_->count() > 0; }

Command::Command(const std::string& name, const std::string& help)
    : app_(std::make_unique<CLI::App>(help, name)) {
  app_->set_help_flag("-h,--help", "Print this page");
  app_->formatter(std::make_shared<Page>());
  app_->allow_extras();  // so that parse() says which word is one too many
}

Command::~Command() = default;

Option* Command::add(const char* names, const char* value_name, const std::string& help,
                     Option::Set set) {
  Option& option = options_.emplace_back();
  option.declared_ = app_->add_option(names, CLI::callback_t(), help);
  option.declared_->type_name(value_name)->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  if (*value_name == '\0') option.declared_->type_size(0)->expected(0);
  option.set_ = std::move(set);
  return &option;
}

Option* Command::text(const char* names, std::string* to, const char* help) {
  return add(names, "TEXT", help,
             [to](const std::string&, const std::string& value) { *to = value; });
}

Option* Command::text(const char* names, std::optional<std::string>* to, const char* help) {
  return add(names, "TEXT", help,
             [to](const std::string&, const std::string& value) { *to = value; });
}

Option* Command::each(const char* names, std::vector<std::string>* to, const char* help) {
  Option* option = add(names, "TEXT", help, [to](const std::string&, const std::string& value) {
    to->push_back(value);
  });
  option->may_repeat_ = true;
  return option;
}

Option* Command::file(const char* names, std::string* to, const char* help) {
  Option* option = text(names, to, help)->not_empty();
  option->declared_->type_name("FILE");
  return option;
}

Option* Command::texts(const char* names, std::vector<std::string>* to, const char* help) {
  Option* option = add(names, "NAME...", help, [to](const std::string&, const std::string& value) {
    to->push_back(value);
  });
  option->declared_->expected(CLI::detail::expected_max_vector_size);
  return option;
}

Option* Command::file_or(const char* names, std::string* to, const char* otherwise,
                         const char* help) {
  Option* option = file(names, to, help);
  option->declared_->expected(0, 1)->type_name("[FILE]")->default_str(otherwise);
  return option;
}

Option* Command::choice(const char* names, std::string* to, std::vector<std::string> choices,
                        const char* help) {
  const std::string all = joined(choices);
  return add(
      names, "NAME", help + (" (" + all + ")"),
      [to, all, choices = std::move(choices)](const std::string& name, const std::string& value) {
        if (std::find(choices.begin(), choices.end(), value) == choices.end()) {
          throw UsageError(name + " is \"" + value + "\"; it must be one of " + all);
        }
        *to = value;
      });
}

Option* Command::flag(const char* names, bool* to, const char* help) {
  return add(names, "", help, [to](const std::string&, const std::string&) { *to = true; });
}

Option* Command::seed(const char* names, uint64_t* to, const char* help) {
  return add(names, "N", help, [to](const std::string& name, const std::string& value) {
    if (parse_number(value, to)) return;
    throw UsageError(name + " is \"" + value +
                     "\"; it must be an integer from 0 to 18446744073709551615");
  });
}

Option* Command::add_integer(const char* names, const std::function<void(int64_t)>& set,
                             int64_t least, int64_t most, const char* help) {
  const std::string range = "from " + std::to_string(least) + " to " + std::to_string(most);
  return add(names, "N", help + (" (" + range + ")"),
             [=](const std::string& name, const std::string& value) {
               int64_t n = 0;
               if (!parse_number(value, &n) || n < least || n > most) {
                 throw UsageError(name + " is \"" + value + "\"; it must be an integer " + range);
               }
               set(n);
             });
}

Option* Command::add_real(const char* names, const std::function<void(double)>& set,
                          Interval interval, const char* help) {
  const std::string range = range_text(interval);
  const std::string wanted = range.empty() ? "a number that is finite" : "a number " + range;
  return add(names, "X", range.empty() ? help : help + (" (" + range + ")"),
             [=](const std::string& name, const std::string& value) {
               double x = 0;
               const bool is_number = parse_number(value, &x);
               const bool is_inside = x <= interval.most &&
                                      (interval.above ? x > interval.least : x >= interval.least);
               if (!is_number || !is_inside) {  // NaN is not inside
                 throw UsageError(name + " is \"" + value + "\"; it must be " + wanted);
               }
               set(x);
             });
}

std::string Command::hide(const std::string& name, const std::string& value) {
  values_.push_back({name, value});
  return kHidden + std::to_string(values_.size() - 1);
}

// The words for CLI11, which would take "--stats" as the value of "-i --stats", and the end of
// "-hello" as more options: so such mistakes are found here.
std::vector<std::string> Command::hide_values(const std::vector<std::string>& words) {
  std::vector<std::string> hidden;
  const auto is_value = [](const std::string& word) { return word != "--" && !is_option(word); };
  std::string name;  // of the last option
  for (auto word = words.begin(); word != words.end(); ++word) {
    if (is_value(*word)) {
      hidden.push_back(hide(name, *word));
      continue;
    }
    hidden.push_back(*word);
    if (*word == "--") {
      while (++word != words.end()) hidden.push_back(hide(name, *word));
      break;
    }
    const bool is_long = word->starts_with("--");
    const size_t end = is_long ? std::min(word->find('='), word->size()) : 2;
    name = word->substr(0, end);
    const CLI::Option* option = app_->get_option_no_throw(name);
    if (option == nullptr) throw no_option(is_long ? name : *word);
    if (end < word->size()) {  // "--name=value", "-nvalue"
      if (option->get_items_expected_max() == 0) {
        throw is_long ? UsageError(name + " takes no value") : no_option(*word);
      }
      const size_t value = is_long ? end + 1 : end;
      hidden.back() = word->substr(0, value) + hide(name, word->substr(value));
      if (option->get_allow_extra_args()) hidden.emplace_back("--");  // it is the only one
    } else if (option->get_items_expected_min() > 0) {
      if (word + 1 == words.end()) throw UsageError(name + " needs a value");
      if (!is_value(word[1])) throw needs_value(name, word[1]);
    }
  }
  return hidden;
}

void Command::set(const Option& option) const {
  const CLI::Option& declared = *option.declared_;
  const bool once = declared.get_items_expected_max() == 1 && !option.may_repeat_;
  for (const std::string& result : declared.results()) {
    Value given = {declared.get_name(), result};  // a flag, or what stands for no value
    if (result.starts_with(kHidden)) {
      const Value& value = values_[std::stoul(result.substr(1))];
      given = {declared.get_positional() ? given.name : value.name, value.value};
    }
    if (once && &result != &declared.results().front()) {
      throw UsageError(given.name + " is given twice; once is enough");
    }
    if (option.refuses_empty_ && given.value.empty()) throw UsageError(given.name + " is empty");
    option.set_(given.name, given.value);
  }
}

bool Command::parse(const std::vector<std::string>& words) {
  const auto asks_for_help = [](const std::string& word) {
    return word == "-h" || word == "--help";
  };
  const auto first_text = std::find(words.begin(), words.end(), "--");
  if (std::any_of(words.begin(), first_text, asks_for_help)) return false;
  std::vector<std::string> hidden = hide_values(words);
  std::reverse(hidden.begin(), hidden.end());  // as CLI11 wants them
  try {
    app_->parse(hidden);
  } catch (const CLI::ParseError& error) {
    throw UsageError(error.what());
  }
  for (const Option& option : options_) set(option);
  for (const std::string& word : app_->remaining()) {
    if (word == "--") continue;
    throw UsageError("\"" + values_[std::stoul(word.substr(1))].value +
                     "\" is not expected: it is one word too many");
  }
  return true;
}

std::string Command::usage() const { return app_->help("headlane"); }

}  // namespace tool
