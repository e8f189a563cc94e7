#include "engine/base/log.h"

#include <cstdio>

#include "engine/base/error.h"

namespace headlane {

void Log::say(LogLevel level, const char* format, std::va_list arguments) const {
  if (listener_ == nullptr) return;
  char message[kMaxMessageBytes];
  std::vsnprintf(message, sizeof message, format, arguments);
  listener_(host_, user_, level, message);
}

void Log::info(const char* format, ...) const {
  std::va_list arguments;
  va_start(arguments, format);
  say(LogLevel::kInfo, format, arguments);
  va_end(arguments);
}

void Log::warn(const char* format, ...) const {
  std::va_list arguments;
  va_start(arguments, format);
  say(LogLevel::kWarning, format, arguments);
  va_end(arguments);
}

}  // namespace headlane
