// Masks of constraints beside a matcher that tries everything, on random walks.
#include "engine/constraint/constraint.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>

#include "engine/base/error.h"
#include "engine/constraint/pattern.h"
#include "engine/constraint/schema.h"
#include "tests/engine/constraint/slow_matcher.h"
#include "tests/engine/constraint/vocabulary.h"

namespace headlane {
namespace {

class Walks {
 public:
  Walks(const Expressions& expressions, ExpressionId root)
      : trie_(test::make_trie()),
        constraint_(trie_, expressions, root),
        matcher_(expressions, root) {}

  // A random text of at most so many tokens; each mask on the way is checked.
  void take(uint32_t seed, size_t n_tokens) {
    std::mt19937 random(seed);
    std::vector<int32_t> ids;
    std::string text;
    Constraint::Memory memory;
    for (size_t i = 0; i < n_tokens; ++i) {
      std::vector<uint32_t> mask(static_cast<size_t>((trie_->vocab_size() + 31) / 32));
      const bool may_end = constraint_.allow_next(ids, mask, &memory);
      ASSERT_EQ(may_end, matcher_.accepts(text)) << text;
      std::vector<int32_t> allowed;
      for (int32_t id = 0; id < trie_->vocab_size(); ++id) {
        const bool is_set = (mask[static_cast<size_t>(id) / 32] >> (id % 32) & 1) != 0;
        const std::string& token = trie_->token(id);
        ASSERT_EQ(is_set, !token.empty() && matcher_.begins(text + token)) << text << "|" << token;
        if (is_set) allowed.push_back(id);
      }
      if (allowed.empty()) {
        ASSERT_TRUE(may_end) << text;
        return;
      }
      ids.push_back(allowed[random() % allowed.size()]);
      text += trie_->token(ids.back());
    }
  }

 private:
  std::shared_ptr<const TokenTrie> trie_;
  Constraint constraint_;
  test::SlowMatcher matcher_;
};

void walk_pattern(const std::string& pattern) {
  SCOPED_TRACE(pattern);
  Expressions expressions;
  const ExpressionId root = parse_pattern(pattern, {}, "the pattern", &expressions);
  Walks walks(expressions, root);
  for (uint32_t seed = 0; seed < 4; ++seed) walks.take(seed, 8);
}

void walk_schema(const std::string& schema, size_t n_tokens = 10) {
  SCOPED_TRACE(schema);
  Expressions expressions;
  const ExpressionId root = parse_schema(schema, &expressions);
  Walks walks(expressions, root);
  for (uint32_t seed = 0; seed < 4; ++seed) walks.take(seed, n_tokens);
}

TEST(Constraints, OfPatternsAreThoseOfASlowMatcher) {
  for (const char* pattern :
       {"abc", "a*", "(ab|a)c?", "[a-c]{2,5}", "[^a]{3}", "a{30}", "a{0,60}b", "\\d{1,3}(\\.\\d+)?",
        ".{2}", "(a|b)*abb", "[\\u0080-\\uffff]+", "\\u4eca\\xe4?", "(?:tr|true|t)+[^x]",
        "((a?b?){2}c){3}", "x|", "-?(0|[1-9]\\d*)", "\\w+\\s\\S"}) {
    walk_pattern(pattern);
  }
}

TEST(Constraints, OfSchemasAreThoseOfASlowMatcher) {
  for (
      const char* schema :
      {R"({"type": "string"})", R"({"type": "string", "minLength": 2, "maxLength": 4})",
       R"({"type": "string", "maxLength": 80})", R"({"type": "integer"})",
       R"({"type": "integer", "minimum": -12, "maximum": 345})", R"({"type": "number"})",
       R"({"type": "number", "minimum": -1.5, "maximum": 7})",
       R"({"enum": ["a\"b", 1.5, null, [1, {}]]})",
       R"({"type": "object", "properties": {"name": {"type": "string"}, "ab": {"type": "null"},
            "c": {"type": "boolean"}}, "required": ["c"]})",
       R"({"properties": {"a": {"const": 1}, "abc": {"const": 2}}, "additionalProperties": {"type": "null"}})",
       R"({"type": "array", "items": {"enum": [1, 12]}, "minItems": 2, "maxItems": 4})",
       R"({"type": "array", "prefixItems": [{"const": 0}, {"const": "a"}], "items": {"type": "null"},
            "minItems": 1, "maxItems": 3})",
       R"({"type": "string", "format": "date"})", R"({"type": "string", "pattern": "^a\"\\d|b$"})",
       R"({"type": ["null", "boolean", "integer"]})"}) {
    walk_schema(schema);
  }
}

TEST(Constraints, OfSchemasInsideThemselvesAreThoseOfASlowMatcher) {
  walk_schema("true", 7);
  walk_schema(R"({"type": "object"})", 7);
  walk_schema(R"({"$ref": "#/$defs/tree", "$defs": {"tree": {"type": "object", "properties": {
      "name": {"type": "string"}, "a": {"type": "array", "items": {"$ref": "#/$defs/tree"}}},
      "required": ["a"]}}})",
              9);
  // Each element may be of either, so all of it is ambiguous.
  walk_schema(R"({"anyOf": [{"type": "array", "items": {"$ref": "#"}},
      {"type": "array", "items": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}}]})",
              8);
}

// What one reader of expressions takes for white space, and another one not, fits neither \s nor
// its opposite.
TEST(Constraints, OfWhiteSpaceAreOfWhatAllAgreeOn) {
  const auto trie = test::make_trie(0);
  const auto fits = [&](const char* pattern, const std::string& text) {
    Expressions expressions;
    const ExpressionId root = parse_pattern(pattern, {}, "the pattern", &expressions);
    const Constraint constraint(trie, expressions, root);
    std::vector<int32_t> ids;
    for (const char byte : text) ids.push_back(1 + static_cast<uint8_t>(byte));
    std::vector<uint32_t> mask(static_cast<size_t>((trie->vocab_size() + 31) / 32));
    Constraint::Memory memory;
    try {
      return constraint.allow_next(ids, mask, &memory);
    } catch (const Error& error) {
      EXPECT_EQ(error.status(), Status::kInvalidArgument) << error.what();
      return false;
    }
  };
  for (const char* space : {"\t", "\n", "\v", "\f", "\r", " "}) {
    for (const char* pattern : {"\\s", "[\\s]", "[^\\S]"})
      EXPECT_TRUE(fits(pattern, space)) << pattern;
    for (const char* pattern : {"\\S", "[\\S]", "[^\\s]"})
      EXPECT_FALSE(fits(pattern, space)) << pattern;
  }
  for (const char* odd : {"\x1c", "\x1d", "\x1e", "\x1f", "\u0085", "\u00a0", "\u1680", "\u2000",
                          "\u200a", "\u2028", "\u2029", "\u202f", "\u205f", "\u3000", "\ufeff"}) {
    for (const char* pattern : {"\\s", "[\\s]", "[^\\S]", "\\S", "[\\S]", "[^\\s]", "[^\\sa]"}) {
      EXPECT_FALSE(fits(pattern, odd)) << pattern << " of " << odd;
    }
  }
  for (const char* other : {"a", "\x1b", "\u00e4", "\u200b", "\u3001", "\U0001f600"}) {
    for (const char* pattern : {"\\S", "[\\S]", "[^\\s]"})
      EXPECT_TRUE(fits(pattern, other)) << other;
    for (const char* pattern : {"\\s", "[\\s]", "[^\\S]"})
      EXPECT_FALSE(fits(pattern, other)) << other;
  }
}

// By Python's re.fullmatch (tests/golden/constraint/make.py).
TEST(Constraints, FitWhatPythonsExpressionsFit) {
  const auto trie = test::make_trie(0);
  std::ifstream file(HEADLANE_GOLDEN_DIR "/constraint/patterns.json");
  const nlohmann::json cases = nlohmann::json::parse(file);
  ASSERT_EQ(cases.size(), 150u);
  for (const nlohmann::json& of : cases) {
    const std::string pattern = of["pattern"];
    Expressions expressions;
    const ExpressionId root = parse_pattern(pattern, {}, "the pattern", &expressions);
    const Constraint constraint(trie, expressions, root);
    for (const auto& [text, fits] : of["texts"].items()) {
      std::vector<int32_t> ids;
      // The token of a byte is behind the one of no text.
      for (const char byte : text) ids.push_back(1 + static_cast<uint8_t>(byte));
      std::vector<uint32_t> mask(static_cast<size_t>((trie->vocab_size() + 31) / 32));
      Constraint::Memory memory;
      bool may_end = false;
      try {
        may_end = constraint.allow_next(ids, mask, &memory);
      } catch (const Error& error) {
        EXPECT_EQ(error.status(), Status::kInvalidArgument) << error.what();
      }
      EXPECT_EQ(may_end, fits.get<bool>()) << pattern << " of " << text;
    }
  }
}

}  // namespace
}  // namespace headlane
