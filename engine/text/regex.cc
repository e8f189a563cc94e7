#define PCRE2_CODE_UNIT_WIDTH 8
#include "engine/text/regex.h"

#include <pcre2.h>

#include <cstdint>

#include "engine/base/error.h"
#include "engine/file/json_fields.h"
#include "engine/file/limits.h"
#include "engine/text/regex_syntax.h"
#include "engine/text/unicode.h"

namespace headlane {
namespace {

// A step is an item of the expression that is tried, or a byte that one of them passes. Most
// expressions take some tens for each byte; one that groups digits from the right takes a square,
// so that 200 digits take 500 a byte. A step takes some nanoseconds: a text of 1 MB is given up
// after a second or two, and, since it may come in pieces of one byte, each with what is free,
// after some ten at worst.
constexpr uint64_t kFreeSteps = 8192, kStepsOfByte = 512;
constexpr uint32_t kHeapKb = 64 << 10;

struct Work {
  uint64_t left;
  size_t position;
};

// PCRE2 calls it before each item. A negative number ends the search.
int count_step(pcre2_callout_block* block, void* data) {
  auto* work = static_cast<Work*>(data);
  const size_t position = block->current_position;
  const size_t passed =
      position > work->position ? position - work->position : work->position - position;
  work->position = position;
  const uint64_t steps = 1 + passed;
  if (steps > work->left) return PCRE2_ERROR_MATCHLIMIT;
  work->left -= steps;
  return 0;
}

template <auto free>
struct Free {
  template <typename T>
  void operator()(T* what) const {
    free(what);
  }
};
using Code = std::unique_ptr<pcre2_code, Free<pcre2_code_free>>;
using CompileContext = std::unique_ptr<pcre2_compile_context, Free<pcre2_compile_context_free>>;
using MatchContext = std::unique_ptr<pcre2_match_context, Free<pcre2_match_context_free>>;
using MatchData = std::unique_ptr<pcre2_match_data, Free<pcre2_match_data_free>>;

// Throws std::bad_alloc where PCRE2 had no memory.
template <typename T>
T needed(T handle) {
  if (!handle) throw std::bad_alloc();
  return handle;
}

std::string message_of(int error) {
  PCRE2_UCHAR text[256] = {};
  pcre2_get_error_message(error, text, sizeof text);
  return reinterpret_cast<const char*>(text);
}

class Regex : public SplitPattern {
 public:
  Regex(const std::string& regex, const std::string& where) : regex_(regex) {
    const std::string pattern = pcre_of(regex, where);
    const auto context = needed(CompileContext(pcre2_compile_context_create(nullptr)));
    pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
    int error = 0;
    PCRE2_SIZE place = 0;
    // Without optimizations that look at the text without a step.
    constexpr uint32_t kOptions = PCRE2_UTF | PCRE2_UCP | PCRE2_NO_AUTO_CAPTURE |
                                  PCRE2_NEVER_BACKSLASH_C | PCRE2_AUTO_CALLOUT |
                                  PCRE2_NO_START_OPTIMIZE;
    code_.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                              kOptions, &error, &place, context.get()));
    if (!code_) {
      fail(Status::kUnsupported,
           "%s field \"Regex\": Headlane does not support the regular expression \"%s\": %s",
           where.c_str(), printable(regex).c_str(), message_of(error).c_str());
    }
  }

  // As the library goes from match to match: an empty one right behind another is passed over.
  void find_all(std::string_view text, std::vector<TextMatch>* matches) const override {
    Work work = {kFreeSteps + kStepsOfByte * text.size(), 0};
    const auto context = needed(MatchContext(pcre2_match_context_create(nullptr)));
    const auto data = needed(MatchData(pcre2_match_data_create(1, nullptr)));
    pcre2_set_callout(context.get(), count_step, &work);
    pcre2_set_heap_limit(context.get(), kHeapKb);
    pcre2_set_match_limit(context.get(), UINT32_MAX);
    bool is_first = true;
    size_t last_end = 0;
    for (size_t pos = 0; pos <= text.size();) {
      work.position = pos;
      const int found =
          pcre2_match(code_.get(), reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), pos,
                      PCRE2_NO_UTF_CHECK, data.get(), context.get());
      if (found == PCRE2_ERROR_NOMATCH) return;
      if (found < 0) refuse(found, text.size());
      const PCRE2_SIZE* const ends = pcre2_get_ovector_pointer(data.get());
      const size_t begin = ends[0], end = ends[1];
      if (begin == end && !is_first && end == last_end) {
        if (pos == text.size()) return;
        next_char(text, &pos);
        continue;
      }
      matches->push_back({begin, end});
      pos = last_end = end;
      is_first = false;
    }
  }

 private:
  [[noreturn]] void refuse(int error, size_t n_bytes) const {
    if (error == PCRE2_ERROR_NOMEMORY) throw std::bad_alloc();
    const char* const what = error == PCRE2_ERROR_MATCHLIMIT  ? "takes too many steps"
                             : error == PCRE2_ERROR_HEAPLIMIT ? "takes too much memory"
                                                              : "fails";
    fail(Status::kUnsupported,
         "the tokenizer's regular expression \"%s\" %s on a text of %zu bytes: %s",
         printable(regex_).c_str(), what, n_bytes, message_of(error).c_str());
  }

  std::string regex_;
  Code code_;
};

}  // namespace

std::unique_ptr<SplitPattern> make_regex(const std::string& regex, const std::string& where) {
  if (std::ssize(regex) > file_limits::kRegexBytes) {
    fail(Status::kBadFile, "%s field \"Regex\" has more than %d bytes", where.c_str(),
         static_cast<int>(file_limits::kRegexBytes));
  }
  return std::make_unique<Regex>(regex, where);
}

}  // namespace headlane
