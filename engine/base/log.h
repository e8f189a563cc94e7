// A host that asked for it is told this, in sentences.
#pragma once

#include <cstdarg>

namespace headlane {

// The same values as headlane_log_level in headlane.h (engine/api/options.cc asserts it).
enum class LogLevel { kInfo = 0, kWarning = 1 };

// The host's listener. Without one, nothing is put together.
class Log {
 public:
  // Calls `host`, which is a function of a type that it knows.
  using Listener = void (*)(void (*host)(), void* user, LogLevel level, const char* message);
  Log() = default;
  Log(Listener listener, void (*host)(), void* user)
      : listener_(listener), host_(host), user_(user) {}

  [[gnu::format(printf, 2, 3)]] void info(const char* format, ...) const;
  [[gnu::format(printf, 2, 3)]] void warn(const char* format, ...) const;

 private:
  void say(LogLevel level, const char* format, std::va_list arguments) const;

  Listener listener_ = nullptr;
  void (*host_)() = nullptr;
  void* user_ = nullptr;
};

}  // namespace headlane
