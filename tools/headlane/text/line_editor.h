// Lines that a user types, on a terminal with history where libedit is there, or from a pipe.
#pragma once

#include <termios.h>

#include <optional>
#include <string>

namespace tool {

class LineEditor {
 public:
  LineEditor();

  bool is_terminal() const { return is_terminal_; }
  bool has_editing() const { return readline_ != nullptr; }
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

// While this lives, keys that are typed on a terminal wait for the next line that is edited. Else
// the terminal would show them amid what the program prints, and take a Ctrl-D for an end of input
// that the editor never sees. Ctrl-C is as ever. Without an editor the terminal itself makes lines
// of keys, and nothing changes.
class HeldKeys {
 public:
  explicit HeldKeys(const LineEditor& editor);
  ~HeldKeys();
  HeldKeys(const HeldKeys&) = delete;
  HeldKeys& operator=(const HeldKeys&) = delete;

 private:
  termios before_{};
  bool held_;
};

// From now on Ctrl-C does not end the program; it sets a flag, which this returns and clears.
void catch_interrupts();
bool take_interrupt();

}  // namespace tool
