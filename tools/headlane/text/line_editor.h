// Lines that a user types, on a terminal with history where libedit is there, or from a pipe.
#pragma once

#include <optional>
#include <string>

namespace tool {

class LineEditor {
 public:
  LineEditor();

  bool is_terminal() const { return is_terminal_; }
  // The next line, without its end; none: there is no more. `prompt` is shown on a terminal alone.
  // Ctrl-C gives an empty line.
  std::optional<std::string> read(const std::string& prompt);

 private:
  std::optional<std::string> read_edited(const std::string& prompt);
  std::optional<std::string> read_plain(const std::string& prompt);

  // Of libedit, which is loaded where the machine has it: functions by the names that the library
  // readline has for them.
  char* (*readline_)(const char* prompt) = nullptr;
  int (*add_history_)(const char* line) = nullptr;
  bool is_terminal_;
};

// From now on Ctrl-C does not end the program; it sets a flag, which this returns and clears.
void catch_interrupts();
bool take_interrupt();

}  // namespace tool
