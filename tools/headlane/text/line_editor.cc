#include "tools/headlane/text/line_editor.h"

#include <dlfcn.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>

#include "tools/headlane/output/standard_streams.h"

namespace tool {
namespace {

volatile sig_atomic_t interrupted = 0;

void note_interrupt(int) { interrupted = 1; }

template <typename Function>
void find(void* library, const char* name, Function* function) {
  *function = reinterpret_cast<Function>(dlsym(library, name));
}

}  // namespace

void catch_interrupts() {
  struct sigaction action {};
  action.sa_handler = note_interrupt;
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, nullptr);  // without SA_RESTART, so that reading a line ends too
}

bool take_interrupt() {
  const bool taken = interrupted != 0;
  interrupted = 0;
  return taken;
}

HeldKeys::HeldKeys(const LineEditor& editor)
    : held_(editor.has_editing() && tcgetattr(STDIN_FILENO, &before_) == 0) {
  if (!held_) return;
  termios held = before_;
  held.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
  tcsetattr(STDIN_FILENO, TCSANOW, &held);
}

HeldKeys::~HeldKeys() {
  if (held_) tcsetattr(STDIN_FILENO, TCSANOW, &before_);
}

LineEditor::LineEditor() : is_terminal_(isatty(STDIN_FILENO) != 0 && isatty(STDOUT_FILENO) != 0) {
  void* library = is_terminal_ ? dlopen("libedit.so.2", RTLD_NOW | RTLD_LOCAL) : nullptr;
  if (library == nullptr) return;
  find(library, "readline", &readline_);
  find(library, "add_history", &add_history_);
  if (add_history_ == nullptr) readline_ = nullptr;
}

std::optional<std::string> LineEditor::read(const std::string& prompt) {
  take_interrupt();
  return readline_ != nullptr ? read_edited(prompt) : read_plain(prompt);
}

std::optional<std::string> LineEditor::read_edited(const std::string& prompt) {
  char* typed = readline_(prompt.c_str());
  if (typed == nullptr) {
    if (!take_interrupt()) return {};
    print("\n");
    return "";
  }
  std::string line = typed;
  if (!line.empty()) add_history_(typed);
  std::free(typed);
  return take_interrupt() ? "" : line;
}

std::optional<std::string> LineEditor::read_plain(const std::string& prompt) {
  if (is_terminal_) print(prompt);
  std::string line;
  while (true) {
    char byte = 0;
    const ssize_t n = ::read(STDIN_FILENO, &byte, 1);
    if (n < 0 && errno == EINTR) {
      if (is_terminal_ && take_interrupt()) {
        print("\n");
        return "";
      }
      continue;
    }
    if (n < 0) throw std::runtime_error("standard input cannot be read");
    if (n == 0 && line.empty()) return {};
    if (n == 0 || byte == '\n') return line;
    line += byte;
  }
}

}  // namespace tool
