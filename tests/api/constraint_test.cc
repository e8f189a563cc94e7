// Constraints through the C API: answers of random models are JSON that a schema accepts, or fit an
// expression; what is refused, and by which sentence.
#include <algorithm>
#include <nlohmann/json.hpp>
#include <regex>

#include "tests/api/sequences.h"
#include "tests/support/polyglot_folder.h"

namespace headlane::test {
namespace {

struct DestroyConstraint {
  void operator()(headlane_constraint* constraint) const {
    headlane_constraint_destroy(constraint);
  }
};
using ConstraintHandle = std::unique_ptr<headlane_constraint, DestroyConstraint>;

headlane_constraint_options of_schema(const std::string& schema) {
  headlane_constraint_options options = HEADLANE_INIT(headlane_constraint_options);
  options.schema = schema.data();
  options.schema_bytes = schema.size();
  return options;
}

headlane_constraint_options of_regex(const std::string& regex) {
  headlane_constraint_options options = HEADLANE_INIT(headlane_constraint_options);
  options.regex = regex.data();
  options.regex_bytes = regex.size();
  return options;
}

class Constraints : public testing::TestWithParam<const char*> {
 protected:
  ConstraintHandle make(const headlane_constraint_options& options) const {
    headlane_constraint* made = nullptr;
    check(headlane_constraint_create(model_.get(), &options, &made));
    return ConstraintHandle(made);
  }
  void refuse(const headlane_constraint_options& options, headlane_status status,
              const std::string& named) const {
    headlane_constraint* made = nullptr;
    expect_status(headlane_constraint_create(model_.get(), &options, &made), status, named);
    EXPECT_EQ(made, nullptr);
  }
  // Tokens are drawn from all that are allowed, the unlikely ones too.
  static headlane_sequence_options drawing(const ConstraintHandle& constraint, uint64_t seed) {
    headlane_sequence_options options = sequence_options(600);
    options.sample = 1;
    options.temperature = 5;
    options.seed = seed;
    options.constraint = constraint.get();
    return options;
  }

  static bool has_letter_for_end() { return std::string(GetParam()) == "qwen2_texts"; }

  const ModelHandle model_ = open_model(language_model_file(GetParam()));
};

TEST_P(Constraints, MakeAnswersThatFitAnExpression) {
  for (const char* regex : {"(yes|no|maybe)", "[a-f]{2,9}-\\d{3}", "a(bc){1,20}d?"}) {
    const ConstraintHandle constraint = make(of_regex(regex));
    const std::regex whole(regex);
    Growing growing(model_.get(), sequences_options(8, 6000));
    std::vector<int64_t> numbers;
    for (uint64_t seed = 0; seed < 8; ++seed) {
      headlane_sequence_options options = drawing(constraint, seed);
      // Without ends, they end where nothing can follow. One golden model has a letter for an end,
      // which would be shown.
      static const int32_t none[] = {0};
      if (seed % 2 != 0 || has_letter_for_end()) options.end_ids = none;
      numbers.push_back(growing.add({1, 2, 3}, options));
    }
    growing.finish();
    for (const int64_t number : numbers) {
      EXPECT_STREQ(growing.facts(number).finish_reason, "stop");
      EXPECT_TRUE(std::regex_match(growing.text(number), whole)) << growing.text(number);
    }
  }
}

TEST_P(Constraints, MakeJsonOfASchema) {
  const std::string schema = R"({"type": "object", "properties": {
      "name": {"type": "string", "maxLength": 12},
      "age": {"type": "integer", "minimum": 0, "maximum": 130},
      "tags": {"type": "array", "items": {"enum": ["red", "grün", "\"b\\\""]}, "maxItems": 3},
      "next": {"anyOf": [{"type": "null"}, {"type": "boolean"}]}},
      "required": ["name", "age", "next"]})";
  if (has_letter_for_end()) {  // a quotation mark
    refuse(of_schema(schema), HEADLANE_INVALID_ARGUMENT, "no text that the tokens");
    return;
  }
  const ConstraintHandle constraint = make(of_schema(schema));
  Growing growing(model_.get(), sequences_options(8, 8000));
  std::vector<int64_t> numbers;
  for (uint64_t seed = 0; seed < 16; ++seed) {
    numbers.push_back(growing.add({1, 2, 3}, drawing(constraint, seed)));
  }
  growing.finish();
  for (const int64_t number : numbers) {
    const std::string text = growing.text(number);
    ASSERT_STREQ(growing.facts(number).finish_reason, "stop") << text;
    const nlohmann::json value = nlohmann::json::parse(text, nullptr, false);
    ASSERT_TRUE(value.is_object()) << text;
    EXPECT_TRUE(value["name"].is_string()) << text;
    const int64_t age = value["age"].get<int64_t>();
    EXPECT_TRUE(age >= 0 && age <= 130) << text;
    EXPECT_TRUE(value["next"].is_null() || value["next"].is_boolean()) << text;
  }
}

// The masks of a constraint by a program's own callback make the same answer.
TEST_P(Constraints, AreMasks) {
  const ConstraintHandle constraint = make(of_regex("[ab]*c"));
  headlane_sequence_options options = drawing(constraint, 3);
  static const int32_t end[] = {7};
  options.end_ids = end;
  options.n_end_ids = 1;
  const Grown grown = grown_alone(model_.get(), {1, 2, 3}, options);
  struct Masker {
    const headlane_constraint* constraint;
    int32_t end;
  } masker = {constraint.get(), end[0]};
  options.constraint = nullptr;
  options.mask_user = &masker;
  options.mask_tokens = [](void* user, const headlane_token_mask* mask) {
    const auto& of = *static_cast<const Masker*>(user);
    int32_t may_end = 0;
    const int32_t* ids = mask->ids + (mask->n_ids - mask->n_new);
    if (headlane_constraint_get_mask(of.constraint, ids, mask->n_new, mask->mask, &may_end) !=
        HEADLANE_OK) {
      return HEADLANE_STOP_ALL;
    }
    const uint32_t bit = uint32_t{1} << (of.end % 32);
    mask->mask[of.end / 32] &= ~bit;
    if (may_end != 0) mask->mask[of.end / 32] |= bit;
    return HEADLANE_GO_ON;
  };
  EXPECT_EQ(grown_alone(model_.get(), {1, 2, 3}, options), grown);
}

TEST_P(Constraints, SayWhatIsWrong) {
  refuse(HEADLANE_INIT(headlane_constraint_options), HEADLANE_INVALID_ARGUMENT,
         "none of schema and regex is set");
  refuse(of_regex("a(b"), HEADLANE_INVALID_ARGUMENT, "without its \")\" at byte 1");
  refuse(of_regex("(?=a)"), HEADLANE_UNSUPPORTED, "a group of the kind");
  refuse(of_regex("a{100000}{100000}"), HEADLANE_INVALID_ARGUMENT, "repeats a repetition");
  refuse(of_regex("((a{1000}){1000}){1000}"), HEADLANE_TOO_LARGE, "too large");
  refuse(of_regex("(a?b?){2000}"), HEADLANE_TOO_LARGE, "repeats what may be empty 2000 times");
  refuse(of_regex("\xff"), HEADLANE_INVALID_ARGUMENT, "is not UTF-8");
  refuse(of_regex(std::string(5000, '(')), HEADLANE_TOO_LARGE, "nests groups");
  refuse(of_schema("{"), HEADLANE_INVALID_ARGUMENT, "the schema");
  refuse(of_schema("3"), HEADLANE_INVALID_ARGUMENT, "schema #: a schema is an object");
  refuse(of_schema(R"({"properties": {"a": {"not": {}}}})"), HEADLANE_UNSUPPORTED,
         "schema #/properties/a: the keyword \"not\"");
  refuse(of_schema(R"({"$ref": "#/$defs/x"})"), HEADLANE_INVALID_ARGUMENT, "is not there");
  refuse(of_schema(R"({"$ref": "#"})"), HEADLANE_INVALID_ARGUMENT, "refers to itself");
  refuse(of_schema("false"), HEADLANE_INVALID_ARGUMENT, "no text");
  refuse(of_schema(R"({"properties": {"a": {"$ref": "#"}}, "required": ["a"]})"),
         HEADLANE_INVALID_ARGUMENT, "no text");
  refuse(of_schema(R"({"type": "string", "format": "email"})"), HEADLANE_UNSUPPORTED, "\"email\"");
  refuse(of_schema(R"({"type": "integer", "minimum": 1e30})"), HEADLANE_UNSUPPORTED, "18 digits");
  refuse(of_schema(R"({"type": "number", "minimum": 1000000000000000000})"), HEADLANE_UNSUPPORTED,
         "18 digits");
  refuse(of_schema(R"({"exclusiveMaximum": -1e18})"), HEADLANE_UNSUPPORTED, "18 digits");
  std::string chain = R"({"$ref": "#/$defs/0", "$defs": {"4000": {})";
  for (int i = 0; i < 4000; ++i) {
    chain += ", \"" + std::to_string(i) + R"(": {"properties": {"a": {"$ref": "#/$defs/)" +
             std::to_string(i + 1) + "\"}}}";
  }
  refuse(of_schema(chain + "}}"), HEADLANE_TOO_LARGE, "inside each other");
  refuse(of_schema(R"({"additionalProperties": {}, "properties": {")" + std::string(20000, 'a') +
                   R"(": {}}})"),
         HEADLANE_TOO_LARGE, "a property's name has 20000 bytes");
  std::string deep;
  for (int i = 0; i < 10000; ++i) deep += R"({"items":)";
  refuse(of_schema(deep), HEADLANE_INVALID_ARGUMENT, "the schema");
}

TEST_P(Constraints, AreOfOneModel) {
  const ConstraintHandle constraint = make(of_regex("a"));
  const ModelHandle other = open_model(language_model_file(GetParam()));
  Growing growing(other.get(), sequences_options());
  headlane_sequence_options options = drawing(constraint, 1);
  int64_t number = 0;
  const Ids prompt = {1, 2};
  expect_status(headlane_sequences_add(growing.get(), prompt.data(), 2, &options, &number),
                HEADLANE_INVALID_ARGUMENT, "another model");
  options.mask_tokens = [](void*, const headlane_token_mask*) { return HEADLANE_GO_ON; };
  Growing own(model_.get(), sequences_options());
  expect_status(headlane_sequences_add(own.get(), prompt.data(), 2, &options, &number),
                HEADLANE_INVALID_ARGUMENT, "both mask_tokens and constraint");
}

INSTANTIATE_TEST_SUITE_P(OfModels, Constraints, testing::Values("qwen2_texts", "llama_texts"));

// A text that is not whole, and can go on by an end alone, ends by an error that says so.
TEST(ConstraintErrors, AreOfTheSequence) {
  const ModelHandle model = open_model(language_model_file("llama_texts"));
  const std::string regex = "ab";
  const headlane_constraint_options of_ab = of_regex(regex);
  headlane_constraint* made = nullptr;
  check(headlane_constraint_create(model.get(), &of_ab, &made));
  const ConstraintHandle constraint(made);
  const int64_t n_words = (facts_of(model.get()).vocab_size + 31) / 32;
  std::vector<uint32_t> mask(static_cast<size_t>(n_words));
  check(headlane_constraint_get_mask(made, nullptr, 0, mask.data(), nullptr));
  Ids ends;
  for (int32_t id = 0; id < 32 * n_words; ++id) {
    if ((mask[static_cast<size_t>(id) / 32] >> (id % 32) & 1) != 0) ends.push_back(id);
  }
  headlane_sequence_options options = sequence_options();
  options.constraint = made;
  options.keep = 1;
  options.end_ids = ends.data();
  options.n_end_ids = std::ssize(ends);
  Growing growing(model.get(), sequences_options());
  const int64_t number = growing.add({1, 2, 3}, options);
  growing.finish();
  const headlane_sequence_facts facts = growing.facts(number);
  EXPECT_STREQ(facts.finish_reason, "constraint");
  EXPECT_EQ(facts.status, HEADLANE_UNSUPPORTED);
  EXPECT_NE(std::string(facts.message).find("tokens of end_ids alone"), std::string::npos);
}

class ConstraintsOfTargets : public testing::Test {
 protected:
  static ModelHandle open() {
    const TempDir dir;
    const std::string path = dir.file("model.headlane");
    write_bart_folder(dir.file("bart"));
    check(headlane_convert(dir.file("bart").c_str(), path.c_str(), nullptr));
    return open_model(path);
  }
  static headlane_generator_options sizes() {
    headlane_generator_options sizes = generator_options(2, 1);
    sizes.max_new_tokens = 20;
    sizes.max_prefix = 4;
    sizes.all_logits = 1;
    return sizes;
  }
  // Drawn; of both sources.
  headlane_generate_options options_of(const std::string& regex) {
    const headlane_constraint_options of = of_regex(regex);
    headlane_constraint* made = nullptr;
    check(headlane_constraint_create(model_.get(), &of, &made));
    constraint_.reset(made);
    headlane_generate_options options = beams(1);
    options.sample = 1;
    options.temperature = 5;
    options.constraint = made;
    return options;
  }
  headlane_status generate(const headlane_generate_options& options) {
    const FlatSequences flat({{0, 5, 6, 2}, {0, 9, 8, 7, 2}});
    const headlane_batch batch = flat.batch();
    return headlane_generator_generate(generator_.get(), &batch, &options);
  }
  // The text of an answer behind its first tokens, and how it ended.
  std::pair<std::string, std::string> answer(int64_t source, int64_t n_first) {
    headlane_answer answer = HEADLANE_INIT(headlane_answer);
    check(headlane_generator_get_answer(generator_.get(), source, 0, &answer));
    char text[256];
    int64_t n = 0;
    check(headlane_model_detokenize(model_.get(), answer.ids + n_first, answer.n_ids - n_first,
                                    text, sizeof text, &n));
    return {std::string(text, static_cast<size_t>(n)), answer.finish_reason};
  }

  const ModelHandle model_ = open();
  const GeneratorHandle generator_ = create_generator(model_.get(), sizes());
  ConstraintHandle constraint_;
};

// The token that targets are forced to begin with is no part of the text.
TEST_F(ConstraintsOfTargets, AreOfWhatComesBehindTheFirstToken) {
  ASSERT_EQ(facts_of(model_.get()).forced_first_id, 0);
  headlane_generate_options options = options_of("[ab]{2,4}c");
  const int32_t letter = 64;  // a token of texts, which would not fit
  for (const int32_t* first : {static_cast<const int32_t*>(nullptr), &letter}) {
    options.first_id = first;
    for (options.seed = 0; options.seed < 8; ++options.seed) {
      ASSERT_EQ(generate(options), HEADLANE_OK) << headlane_error();
      for (int64_t source = 0; source < 2; ++source) {
        const auto [text, finish] = answer(source, 1);
        EXPECT_EQ(finish, "stop");
        EXPECT_TRUE(std::regex_match(text, std::regex("[ab]{2,4}c"))) << text;
      }
    }
  }
  const int32_t end = 2;
  options.first_id = &end;
  expect_status(generate(options), HEADLANE_UNSUPPORTED, "which is one of end_ids");
}

TEST_F(ConstraintsOfTargets, AreOfWhatComesBehindAPrefix) {
  headlane_generate_options options = options_of("[ab]{2,4}c");
  const int64_t offsets[] = {0, 2, 3};
  const int32_t prefixes[] = {0, 64, 65};
  options.prefix_offsets = offsets;
  options.prefix_ids = prefixes;
  ASSERT_EQ(generate(options), HEADLANE_OK) << headlane_error();
  for (int64_t source = 0; source < 2; ++source) {
    const auto [text, finish] = answer(source, 2 - source);
    EXPECT_EQ(finish, "stop");
    EXPECT_TRUE(std::regex_match(text, std::regex("[ab]{2,4}c"))) << text;
  }
}

// The end that the model's makers force where there is no more room would make it seem whole.
TEST_F(ConstraintsOfTargets, HaveNoEndForWantOfRoom) {
  headlane_generate_options options = options_of("[ab]{100}");
  options.max_new_tokens = 6;
  ASSERT_EQ(generate(options), HEADLANE_OK) << headlane_error();
  for (int64_t source = 0; source < 2; ++source) {
    const auto [text, finish] = answer(source, 1);
    EXPECT_EQ(finish, "length");
    EXPECT_TRUE(std::regex_match(text, std::regex("[ab]{5,}"))) << text;
  }
}

}  // namespace
}  // namespace headlane::test
