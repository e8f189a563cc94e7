#include "engine/base/error.h"

#include <cstdio>

namespace headlane {

void fail(Status status, const char* format, ...) {
  char message[kMaxMessageBytes];
  va_list args;
  va_start(args, format);
  std::vsnprintf(message, sizeof message, format, args);
  va_end(args);
  throw Error(status, message);
}

}  // namespace headlane
