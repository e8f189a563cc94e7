// The command line: what each command takes, where the values go, and what is refused. A value is
// taken as it is: brackets, quotes, commas, "++" and empty strings mean nothing here, because texts
// may hold anything.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <limits>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

namespace tool {

// A mistake in the command line: exit status 2.
struct UsageError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// One option ("-m,--model"), or one word without a dash ("TEXT").
class Option {
 public:
  Option* required() { return is_required_ = true, this; }
  Option* needs(const Option* other) { return needs_.push_back(other), this; }
  Option* excludes(const Option* other) { return excludes_.push_back(other), this; }
  Option* not_empty() { return refuses_empty_ = true, this; }
  Option* default_is(std::string value) { return default_ = std::move(value), this; }
  bool given() const { return n_given_ > 0; }
  const std::string& names() const { return names_; }

 private:
  friend class Command;
  enum class Takes { kNothing, kValue, kValueOrNothing, kValues };
  // Receives this option's name and the value; throws UsageError for a value that is wrong.
  using Set = std::function<void(const std::string& name, const std::string& value)>;

  bool is_positional() const { return names_.front() != '-'; }
  bool has_name(const std::string& name) const;
  std::string value_shown() const;

  std::string names_, help_, value_name_, default_;
  Takes takes_ = Takes::kNothing;
  Set set_;
  bool is_required_ = false, refuses_empty_ = false;
  int n_given_ = 0;
  std::vector<const Option*> needs_, excludes_;
};

// What real numbers an option takes: from `least` to `most`, or, with `above`, without `least`.
struct Interval {
  double least, most;
  bool above = false;
};

// As `least` of a float that must be above 0: the largest number that a float rounds to 0.
constexpr double kRoundsToZero = std::numeric_limits<float>::denorm_min() / 2.0;

class Command {
 public:
  Command(std::string name, std::string help);

  Option* text(const char* names, std::string* to, const char* help);
  // Empty texts count as well: what is not given stays without a value.
  Option* text(const char* names, std::optional<std::string>* to, const char* help);
  Option* file(const char* names, std::string* to, const char* help);  // its name
  Option* texts(const char* names, std::vector<std::string>* to, const char* help);
  // Of "--name [FILE]": *to is `otherwise` where the file is left out.
  Option* file_or(const char* names, std::string* to, const char* otherwise, const char* help);
  Option* choice(const char* names, std::string* to, std::vector<std::string> choices,
                 const char* help);
  Option* flag(const char* names, bool* to, const char* help);
  Option* seed(const char* names, uint64_t* to, const char* help);  // any number from 0
  template <typename T>
  Option* integer(const char* names, T* to, int64_t least, int64_t most, const char* help) {
    return add_integer(
        names, [to](int64_t n) { *to = static_cast<T>(n); }, least, most, help);
  }
  template <typename T>
  Option* real(const char* names, T* to, Interval interval, const char* help) {
    return add_real(
        names, [to](double x) { *to = static_cast<T>(x); }, interval, help);
  }

  // Called with the command's options set.
  std::function<void()> run;

  const std::string& name() const { return name_; }
  const std::string& help() const { return help_; }
  std::string usage() const;  // the page of --help

  // Sets the options from the words behind the command's name. Throws UsageError. False: the user
  // wants the page of --help.
  bool parse(const std::vector<std::string>& words);

 private:
  Option* add(const char* names, Option::Takes takes, const char* value_name, const char* help,
              Option::Set set);
  Option* add_integer(const char* names, const std::function<void(int64_t)>& set, int64_t least,
                      int64_t most, const char* help);
  Option* add_real(const char* names, const std::function<void(double)>& set, Interval interval,
                   const char* help);
  Option* find(const std::string& name);
  Option* next_positional();
  size_t n_positionals_missing() const;
  // Both receive the place of the word after the one that they take, and move it.
  void parse_option(const std::vector<std::string>& words, size_t* at);
  void take_values(Option* option, const std::string& name, const std::vector<std::string>& words,
                   size_t* at);
  void take_positional(const std::string& word);
  void give(Option* option, const std::string& name, const std::string& value);
  void check_given() const;

  std::string name_, help_;
  std::deque<Option> options_;  // which stay where they are
};

}  // namespace tool
