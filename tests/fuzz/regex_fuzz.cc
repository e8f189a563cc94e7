// Regular expressions of tokenizers: the first line of an input, and a text, which is the rest.
#include "engine/base/error.h"
#include "engine/text/regex.h"
#include "engine/text/unicode.h"
#include "tests/fuzz/fuzz.h"

namespace headlane::fuzz {
namespace {

bool begins_character(std::string_view text, size_t pos) {
  return pos == text.size() || (static_cast<uint8_t>(text[pos]) & 0xC0) != 0x80;
}

// Matches lie in the text, behind each other, and an empty one is not right behind another.
void check(std::string_view text, const std::vector<TextMatch>& matches) {
  size_t last = 0;
  for (size_t i = 0; i < matches.size(); ++i) {
    const auto [begin, end] = matches[i];
    if (begin < last || end < begin || end > text.size()) finding("find_all", "a wrong place");
    if (i > 0 && begin == end && begin == last) finding("find_all", "an empty match twice");
    if (!begins_character(text, begin) || !begins_character(text, end)) {
      finding("find_all", "a match within a character");
    }
    last = end;
  }
}

void find(const std::string& regex, const std::string& text) {
  try {
    std::vector<TextMatch> matches;
    make_regex(regex, "fuzz")->find_all(text, &matches);
    check(text, matches);
  } catch (const Error& error) {
    if (error.status() != Status::kBadFile && error.status() != Status::kUnsupported) {
      finding("regex", error.what());
    }
  }
}

}  // namespace
}  // namespace headlane::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace headlane;  // NOLINT(google-build-using-namespace): the entry of libFuzzer
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const size_t end = std::min(input.find('\n'), input.size());
  // JSON, which expressions come from, is well-formed.
  const std::string regex = replace_invalid_utf8(input.substr(0, end));
  fuzz::find(regex, replace_invalid_utf8(input.substr(std::min(end + 1, input.size()))));
  return 0;
}
