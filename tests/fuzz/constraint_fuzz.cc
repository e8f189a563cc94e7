// Constraints: the first byte of an input says whether the rest is a JSON schema or a regular
// expression. What can be made is walked along, at random, to its end.
#include <algorithm>

#include "engine/base/error.h"
#include "engine/constraint/constraint.h"
#include "engine/constraint/pattern.h"
#include "engine/constraint/schema.h"
#include "engine/file/json_fields.h"
#include "engine/text/unicode.h"
#include "tests/engine/constraint/vocabulary.h"
#include "tests/fuzz/fuzz.h"

namespace headlane::fuzz {
namespace {

bool may_be(const Error& error) {
  const bool known = error.status() == Status::kInvalidArgument ||
                     error.status() == Status::kUnsupported || error.status() == Status::kTooLarge;
  return known && *error.what() != '\0';
}

// Takes allowed tokens until nothing may follow, or the text is long. Each one must leave something
// to go on with.
void walk(const Constraint& constraint, bool is_schema, uint32_t seed) {
  std::minstd_rand random(seed + 1);
  std::vector<int32_t> ids, allowed;
  std::string text;
  Constraint::Memory memory;
  while (ids.size() < 60) {
    const int64_t vocab_size = constraint.trie().vocab_size();
    std::vector<uint32_t> mask(static_cast<size_t>((vocab_size + 31) / 32));
    const bool may_end = constraint.allow_next(ids, mask, &memory);
    if (may_end && valid_utf8_prefix(text) != text.size())
      finding("constraint", "half a character");
    if (may_end && is_schema) parse_json(text, "a text of the schema");
    allowed.clear();
    for (int32_t id = 0; id < vocab_size; ++id) {
      if ((mask[static_cast<size_t>(id) / 32] >> (id % 32) & 1) != 0) allowed.push_back(id);
    }
    if (allowed.empty() && !may_end) finding("constraint", "no token may come, and no end");
    if (allowed.empty()) return;
    ids.push_back(allowed[random() % allowed.size()]);
    text += constraint.trie().token(ids.back());
  }
}

void check(std::string_view input, bool is_schema) {
  static const std::shared_ptr<const TokenTrie> trie = test::make_trie(50);
  try {
    Expressions expressions;
    const ExpressionId root = is_schema ? parse_schema(input, &expressions)
                                        : parse_pattern(input, {}, "the pattern", &expressions);
    const Constraint constraint(trie, expressions, root);
    for (uint32_t seed = 0; seed < 3; ++seed) walk(constraint, is_schema, seed);
  } catch (const Error& error) {
    if (!may_be(error)) finding("constraint", error.what());
  }
}

}  // namespace
}  // namespace headlane::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace headlane;  // NOLINT(google-build-using-namespace): the entry of libFuzzer
  if (size == 0) return 0;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  fuzz::check(input.substr(1), input[0] == 's');
  return 0;
}
