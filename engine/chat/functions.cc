// The functions that templates find.
#include <algorithm>
#include <array>
#include <cstdio>
#include <ctime>
#include <memory>

#include "engine/base/error.h"
#include "engine/chat/operations.h"

namespace headlane::chat {
namespace {

constexpr int64_t kLongestRange = 100'000;  // Jinja's sandbox has the same limit

Datum range(const Arguments& arguments, Work* work) {
  const Parameters read("range", arguments, {"start", "stop", "step"});
  const bool one = !read.has(1);
  read.value(0);  // must be there
  const int64_t start = one ? 0 : read.integer(0, 0), stop = read.integer(one ? 0 : 1, 0);
  const int64_t step = read.integer(2, 1);
  if (step == 0) fail(Status::kInvalidArgument, "range has steps of zero");
  std::vector<Datum> items;
  for (int64_t i = start; step > 0 ? i < stop : i > stop;) {
    work->step();
    items.emplace_back(i);
    if (std::ssize(items) > kLongestRange) {
      fail(Status::kInvalidArgument, "range has more than %lld items",
           static_cast<long long>(kLongestRange));
    }
    if (__builtin_add_overflow(i, step, &i)) break;
  }
  return make_list(std::move(items), ListKind::kRange);
}

// The members of a dict that may be given, and those that have names.
ValueMap members_of(const char* function, const Arguments& arguments) {
  ValueMap members;
  if (arguments.positional.size() > 1 ||
      (arguments.positional.size() == 1 && !arguments.positional[0].is_map())) {
    fail(Status::kUnsupported, "%s of something other than a dict is not supported", function);
  }
  if (!arguments.positional.empty()) members = arguments.positional[0].map();
  for (const auto& [name, value] : arguments.named) members.set(MarkedText(name), value);
  return members;
}

Datum raise_exception(const Arguments& arguments) {
  const Parameters read("raise_exception", arguments, {"message"});
  throw RaisedError(Status::kInvalidArgument,
                    "the chat template refuses the messages: " + text_of(read.value(0)).bytes());
}

// The part is as strftime has it in the locale "C", whatever the host's is.
std::string time_part(char code, const std::tm& time) {
  constexpr std::array<const char*, 7> kDays = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                                "Thursday", "Friday", "Saturday"};
  constexpr std::array<const char*, 12> kMonths = {"January",   "February", "March",    "April",
                                                   "May",       "June",     "July",     "August",
                                                   "September", "October",  "November", "December"};
  const auto digits = [](const char* format, int value) {
    char text[16];
    std::snprintf(text, sizeof text, format, value);
    return std::string(text);
  };
  std::string day = kDays[static_cast<size_t>(time.tm_wday)];
  std::string month = kMonths[static_cast<size_t>(time.tm_mon)];
  const int hour = time.tm_hour % 12 == 0 ? 12 : time.tm_hour % 12;
  switch (code) {
    case 'a':
      return day.substr(0, 3);
    case 'A':
      return day;
    case 'b':
      return month.substr(0, 3);
    case 'B':
      return month;
    case 'd':
      return digits("%02d", time.tm_mday);
    case 'e':
      return digits("%2d", time.tm_mday);
    case 'H':
      return digits("%02d", time.tm_hour);
    case 'I':
      return digits("%02d", hour);
    case 'j':
      return digits("%03d", time.tm_yday + 1);
    case 'm':
      return digits("%02d", time.tm_mon + 1);
    case 'M':
      return digits("%02d", time.tm_min);
    case 'p':
      return time.tm_hour < 12 ? "AM" : "PM";
    case 'S':
      return digits("%02d", time.tm_sec);
    case 'w':
      return digits("%d", time.tm_wday);
    case 'y':
      return digits("%02d", time.tm_year % 100);
    case 'Y':
      return digits("%d", time.tm_year + 1900);
    case '%':
      return "%";
    default:
      break;
  }
  fail(Status::kUnsupported, "strftime_now has a code \"%%%c\", which is not supported", code);
}

std::string formatted_time(const std::string& format, int64_t now) {
  const auto seconds = static_cast<std::time_t>(now);
  std::tm time{};
  if (localtime_r(&seconds, &time) == nullptr) {
    fail(Status::kInvalidArgument, "the time lies beyond what a calendar has");
  }
  std::string text;
  for (size_t i = 0; i < format.size(); ++i) {
    if (format[i] != '%') {
      text += format[i];
    } else if (++i < format.size()) {
      // Without a zero in front.
      const bool plain = format[i] == '-' && i + 1 < format.size();
      std::string part = time_part(plain ? format[++i] : format[i], time);
      if (plain) part.erase(0, std::min(part.find_first_not_of("0 "), part.size() - 1));
      text += part;
    } else {
      fail(Status::kUnsupported, "strftime_now has a \"%%\" at its end");
    }
  }
  return text;
}

Datum function(std::string name, std::function<Datum(const Arguments&)> call) {
  return std::make_shared<const Function>(Function{std::move(name), std::move(call)});
}

}  // namespace

void check_member(const std::string& name) {
  if (name.starts_with('_')) {
    fail(Status::kInvalidArgument, "a namespace has no member \"%s\": it begins with \"_\"",
         name.c_str());
  }
}

std::vector<std::pair<std::string, Datum>> global_functions(int64_t now, Work* work,
                                                            std::deque<Namespace>* namespaces) {
  std::vector<std::pair<std::string, Datum>> all;
  const auto add = [&](const char* name, std::function<Datum(const Arguments&)> call) {
    all.emplace_back(name, function(name, std::move(call)));
  };
  add("range", [work](const Arguments& arguments) { return range(arguments, work); });
  add("dict", [](const Arguments& arguments) { return make_map(members_of("dict", arguments)); });
  add("namespace", [work, namespaces](const Arguments& arguments) {
    work->take(256);
    namespaces->push_back({members_of("namespace", arguments)});
    for (const auto& [name, value] : namespaces->back().members.members()) {
      check_member(text_of(name).bytes());
    }
    return Datum(&namespaces->back());
  });
  add("raise_exception", raise_exception);
  add("strftime_now", [now](const Arguments& arguments) {
    const Parameters read("strftime_now", arguments, {"format"});
    return Datum(MarkedText(formatted_time(read.text(0).bytes(), now)));
  });
  for (const char* name : {"cycler", "joiner", "lipsum"}) {
    add(name, [name](const Arguments&) -> Datum {
      fail(Status::kUnsupported, "the function \"%s\" is not supported", name);
    });
  }
  return all;
}

}  // namespace headlane::chat
