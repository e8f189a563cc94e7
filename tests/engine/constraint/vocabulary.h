// A vocabulary for tests of constraints: all bytes, and parts of JSON and of words, some of which
// end within characters.
#pragma once

#include <memory>
#include <random>
#include <string>
#include <vector>

#include "engine/constraint/token_trie.h"

namespace headlane::test {

inline std::shared_ptr<const TokenTrie> make_trie(size_t n_random = 300) {
  std::vector<std::string> tokens = {""};  // as special tokens are
  for (int byte = 0; byte < 256; ++byte) tokens.emplace_back(1, static_cast<char>(byte));
  for (const char* token : {"{\"",          "\":",
                            "\": ",         "\": \"",
                            "\",",          "\", \"",
                            "\"}",          "}}",
                            "},",           "}, {\"",
                            "[{",           "[[",
                            "]]",           "],",
                            "true",         "false",
                            "null",         "tr",
                            "12",           "123",
                            "0.",           "-1",
                            "1e",           "e-",
                            "\\\"",         "\\u",
                            "\\n",          "\\ud8",
                            "00",           "abc",
                            "ab",           "name",
                            "\"name\"",     "{\"name\": \"",
                            " a",           "\n\n",
                            "\xC3\xA4",     "\xE4\xBB",
                            "\xE4\xBB\x8A", "\x8A\xE5",
                            "\xF0\x9F",     "\xF0\x9F\x98\x80",
                            "\"\"",         "\"\",",
                            "abc\", \"",    "aaaaaaaaaaaaaaaaaaaaaaaa",
                            "2024-",        "-02-",
                            "T12:",         ",\"",
                            ":[",           "[\""}) {
    tokens.emplace_back(token);
  }
  std::mt19937 random(5);
  const std::string alphabet = "{}[]\",: abcdetfn0123-.\\u";
  for (size_t i = 0; i < n_random; ++i) {
    std::string token;
    for (size_t n = 2 + random() % 4; n > 0; --n) token += alphabet[random() % alphabet.size()];
    tokens.push_back(token);
  }
  return std::make_shared<const TokenTrie>(std::move(tokens));
}

}  // namespace headlane::test
