// Regular expressions that PCRE2 finds: what is refused, and how much work one may be. That they
// find what the `tokenizers` library finds, golden/tokenizer_json/steps.json says.
#include "engine/text/regex.h"

#include <gtest/gtest.h>

#include "engine/base/error.h"
#include "engine/text/regex_syntax.h"
#include "tests/support/expect_error.h"

namespace headlane {
namespace {

std::vector<std::string> found(const std::string& regex, const std::string& text) {
  std::vector<TextMatch> matches;
  make_regex(regex, "test")->find_all(text, &matches);
  std::vector<std::string> out;
  for (const TextMatch match : matches)
    out.push_back(text.substr(match.begin, match.end - match.begin));
  return out;
}

TEST(Regex, FindsFromLeftToRight) {
  EXPECT_EQ(found("[a-c]+|\\d", "ab1cx22"), (std::vector<std::string>{"ab", "1", "c", "2", "2"}));
  EXPECT_EQ(found("x*", "axb"), (std::vector<std::string>{"", "x", ""}));
  EXPECT_EQ(found("a", ""), std::vector<std::string>());
}

// These mean something else in PCRE2, or nothing, or are not worth a rule of their own.
TEST(Regex, RefusesWhatIsNotInBothLanguages) {
  const std::pair<const char*, const char*> refused[] = {
      {"(?<x>a)", "the group (?<x"},
      {"(?P<x>a)", "the group (?P<"},
      {"(?m).", "the group (?m)"},
      {"(?x) a", "the group (?x)"},
      {"a(?i)b", "the group (?i)"},
      {"(?(1)a|b)", "the group (?(1"},
      {"(?~ab)", "the group (?~a"},
      {"(?R)", "the group (?R)"},
      {"(*FAIL)", "the group (*FA"},
      {"(a)\\1", "\\1"},
      {"\\Ga", "\\G"},
      {"\\K", "\\K"},
      {"\\R", "\\R"},
      {"\\X", "\\X"},
      {"\\k<x>", "\\k"},
      {"\\C", "\\C"},
      {"\\Qa", "\\Q"},
      {"\\p{Mn}", "the property \\p{Mn}"},
      {"\\p{C}", "the property \\p{C}"},
      {"\\p{Alphabetic}", "the property \\p{Alphabetic}"},
      {"\\pL", "\\p without {...}"},
      {"[[:alpha:]]", "a class within a class"},
      {"[a&&b]", "a class within a class"},
      {"[a[b]]", "a class within a class"},
      {"[]a]", "a class that begins with ]"},
      {"[\\Wa]", "a class with \\P, \\W, \\D or \\H"},
      {"[a\\W]", "a class with \\P, \\W, \\D or \\H"},
      {"[\\d-z]", "a range from a set"},
      {"a{2}?", "a question mark behind {n}"},
      {"a{1,2}+", "a plus sign behind {n,m}"},
      {"a**", "a repetition of a repetition"},
      {"a+{2}", "a repetition of a repetition"},
      {"*a", "a repetition of nothing"},
      {"(?=a)*", "a repetition of nothing"},
      {"a{2,1}", "a repetition with its larger number first"},
      {"a{1001}", "more than 1000 repetitions"},
      {"(?i)stop", "letters that are one character"},
      {"(?i:off)", "letters that are one character"},
      {"(?i:\\p{L})", "a set of characters where case does not matter"},
      {"(?i:[^a])", "a set of characters where case does not matter"},
      {"(?i:[\xC3\x9F])", "a character beyond ASCII"},
      {"\\x{D800}", "a number of a character that is none"},
      {"\\xFF", "a byte that is no ASCII character"},
      {"(?<=a+)b", "lookbehind"},
      {"(?:(?:a{1000}){1000}){1000}", "too large"},
  };
  for (const auto& [regex, sentence] : refused) {
    EXPECT_ERROR(make_regex(regex, "test"), Status::kUnsupported, sentence);
  }
  for (const char* regex : {"(a", "a)", "[a", "a\\", "[b-a]", "[a\\"}) {
    EXPECT_ERROR(make_regex(regex, "test"), Status::kBadFile, "is no regular expression");
  }
  EXPECT_ERROR(make_regex(std::string(1025, 'a'), "test"), Status::kBadFile,
               "has more than 1024 bytes");
  std::string deep;
  for (int i = 0; i < 201; ++i) deep += '(';
  for (int i = 0; i < 201; ++i) deep += ')';
  EXPECT_ERROR(make_regex(deep, "test"), Status::kUnsupported, "more than 200 groups");
}

// Work that grows with the square of a text, or doubles with each character, ends in an error.
TEST(Regex, GivesUpAfterManySteps) {
  const std::string letters(size_t{1} << 15, 'a');
  for (const char* regex : {"(a+)+b", "(a|a)*b", "(?:a?){30}a{30}b", "a(?=.*)", "a.*[xy]", "(.*)*x",
                            "(?=(a+))a*b", "a+b|a", ".*.*.*x", "(?:a{1,9}){1,9}b", "\\S*\\d"}) {
    SCOPED_TRACE(regex);
    EXPECT_ERROR(found(regex, letters), Status::kUnsupported, "takes too ");
  }
}

// A text of many pieces does not have the steps of many texts.
TEST(Regex, GivesUpOnShortTexts) {
  EXPECT_EQ(found("(a+)+b", "aaaaab"), (std::vector<std::string>{"aaaaab"}));
  EXPECT_ERROR(found("(a+)+b", std::string(40, 'a')), Status::kUnsupported, "takes too many steps");
}

// The work of most expressions is linear, however long a run is.
TEST(Regex, TakesLongTexts) {
  const std::string runs[] = {"a", " ", "\n", "1", "ab ", "\xE4\xBD\xA0", " \n", "'s"};
  for (const char* regex :
       {"\\w+|[^\\w\\s]+", "\\s+(?!\\S)|\\s+|\\S+", "\\p{L}\\p{M}*", ".",
        "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{M}]*[\\p{Ll}\\p{M}]+|\\p{N}{1,3}|\\s+"}) {
    for (const std::string& run : runs) {
      std::string text;
      while (text.size() < size_t{1} << 18) text += run;
      std::vector<TextMatch> matches;
      make_regex(regex, "test")->find_all(text, &matches);
    }
  }
}

}  // namespace
}  // namespace headlane
