// The command line: what each command takes, where the values go, and what is refused. A value is
// taken as it is: brackets, quotes, commas, "++" and empty strings mean nothing here, because texts
// may hold anything.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

// CLI11, which command_line.cc alone includes: it takes long to compile.
namespace CLI {  // NOLINT(readability-identifier-naming): CLI11 has it
class App;
class Option;
}  // namespace CLI

namespace tool {

// A mistake in the command line: exit status 2.
struct UsageError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// One option ("-m,--model"), or one word without a dash ("TEXT").
class Option {
 public:
  Option* required();
  Option* needs(const Option* other);
  Option* excludes(const Option* other);
  Option* not_empty();
  Option* default_is(const std::string& value);
  bool given() const;

 private:
  friend class Command;
  // Receives this option's name and the value; throws UsageError for a value that is wrong.
  using Set = std::function<void(const std::string& name, const std::string& value)>;

  CLI::Option* declared_ = nullptr;
  Set set_;
  bool refuses_empty_ = false, may_repeat_ = false;
};

// The real numbers that an option takes: from `least` to `most`, or, with `above`, without `least`.
struct Interval {
  double least, most;
  bool above = false;
};

// As `least` of a float that must be above 0: the largest number that a float rounds to 0.
constexpr double kRoundsToZero = std::numeric_limits<float>::denorm_min() / 2.0;

class Command {
 public:
  Command(const std::string& name, const std::string& help);
  ~Command();

  Option* text(const char* names, std::string* to, const char* help);
  // Empty texts count as well: what is not given stays without a value.
  Option* text(const char* names, std::optional<std::string>* to, const char* help);
  Option* file(const char* names, std::string* to, const char* help);  // its name
  // An option that may be given many times, with one text each time.
  Option* each(const char* names, std::vector<std::string>* to, const char* help);
  Option* texts(const char* names, std::vector<std::string>* to, const char* help);
  // The option "--name [FILE]"; *to is `otherwise` where the file is left out.
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

  std::string usage() const;  // the page of --help

  // Sets the options from the words behind the command's name. Throws UsageError. False: the user
  // wants the page of --help.
  bool parse(const std::vector<std::string>& words);

 private:
  // A value, and the option in front of it as the user wrote that.
  struct Value {
    std::string name, value;
  };

  // An option without `value_name` takes no value.
  Option* add(const char* names, const char* value_name, const std::string& help, Option::Set set);
  Option* add_integer(const char* names, const std::function<void(int64_t)>& set, int64_t least,
                      int64_t most, const char* help);
  Option* add_real(const char* names, const std::function<void(double)>& set, Interval interval,
                   const char* help);
  std::vector<std::string> hide_values(const std::vector<std::string>& words);
  std::string hide(const std::string& name, const std::string& value);
  void set(const Option& option) const;

  std::unique_ptr<CLI::App> app_;
  std::deque<Option> options_;  // which stay where they are
  std::vector<Value> values_;   // what CLI11 sees as their numbers
};

}  // namespace tool
