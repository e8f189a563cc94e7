// How the engine reports failure: one exception type carrying a status and a sentence.
// It never leaves the library: the C API turns it into a headlane_status and headlane_error().
#pragma once

#include <cstdarg>
#include <cstddef>
#include <exception>
#include <string>

namespace headlane {

// The same values as headlane_status in headlane.h (engine/api/status.cc asserts it).
enum class Status {
  kOk = 0,
  kInvalidArgument = 1,  // the caller's argument is wrong
  kIo = 2,               // the operating system refused a file
  kBadFile = 3,          // the file's contents are wrong or unsupported
  kUnsupported = 4,      // a valid request that this build, model or machine cannot serve
  kOutOfMemory = 5,
  kTooLarge = 6,  // more than the session was created for
  kInternal = 7,  // a bug in Headlane
  kCancelled = 8,
};

class Error : public std::exception {
 public:
  Error(Status status, std::string message) : status_(status), message_(std::move(message)) {}
  Status status() const { return status_; }
  const char* what() const noexcept override { return message_.c_str(); }

 private:
  Status status_;
  std::string message_;
};

// A message is cut to this: the longest path that Linux takes, and a sentence about it.
inline constexpr size_t kMaxMessageBytes = 4096 + 512;

// Throws Error with a printf-formatted sentence, which names the file, field or argument at fault.
[[noreturn]] [[gnu::format(printf, 2, 3)]] void fail(Status status, const char* format, ...);

}  // namespace headlane
