// generation_config.json: what is honoured, and what is refused, by name.
#include <gtest/gtest.h>

#include "tests/support/encoder_decoder_folder.h"

namespace headlane {
namespace {

using nlohmann::json;
using Ids = std::vector<int32_t>;

TEST_F(EncoderDecoderImport, WithoutGenerationConfigTheConfigCounts) {
  copy("marian_shared");
  std::filesystem::remove(hf_ + "/generation_config.json");
  patch("config.json", {{"num_beams", 3},
                        {"max_length", 30},
                        {"bad_words_ids", {{82}}},
                        {"decoder_start_token_id", 81},
                        {"eos_token_id", 4}});
  const GenerationDefaults generation = convert_config().generation;
  EXPECT_EQ(generation.n_beams, 3);
  EXPECT_EQ(generation.max_new_tokens, 29);
  EXPECT_EQ(generation.suppressed_ids, Ids{82});
  EXPECT_EQ(generation.start_id, 81);
  EXPECT_EQ(generation.end_ids, Ids{4});
}

TEST_F(EncoderDecoderImport, RolesThatOneFileDoesNotSay) {
  copy("marian_shared");
  patch(
      "generation_config.json",
      {{"decoder_start_token_id", nullptr}, {"eos_token_id", nullptr}, {"pad_token_id", nullptr}});
  patch("config.json",
        {{"decoder_start_token_id", 7}, {"eos_token_id", {5, 6}}, {"pad_token_id", 8}});
  GenerationDefaults generation = convert_config().generation;
  EXPECT_EQ(generation.start_id, 7);
  EXPECT_EQ(generation.end_ids, (Ids{5, 6}));
  EXPECT_EQ(generation.pad_id, 8);
  patch(
      "config.json",
      {{"decoder_start_token_id", nullptr}, {"eos_token_id", nullptr}, {"pad_token_id", nullptr}});
  generation = convert_config().generation;
  EXPECT_EQ(generation.start_id, 0) << "bos_token_id";
  EXPECT_EQ(generation.end_ids, Ids{});
  EXPECT_EQ(generation.pad_id, -1);
  patch("generation_config.json", {{"bos_token_id", nullptr}});
  patch("config.json", {{"bos_token_id", nullptr}});
  EXPECT_ERROR(convert(), Status::kUnsupported,
               "generation_config.json has no field \"decoder_start_token_id\"");
}

TEST_F(EncoderDecoderImport, Lengths) {
  copy("marian_shared");  // 48 positions
  const auto most = [&](const json& change) {
    copy("marian_shared");
    patch("generation_config.json", change);
    const GenerationDefaults generation = convert_config().generation;
    return std::pair(generation.max_new_tokens, generation.min_new_tokens);
  };
  using Pair = std::pair<int64_t, int64_t>;
  EXPECT_EQ(most({{"max_length", nullptr}}), Pair(48, 0));
  EXPECT_EQ(most({{"max_length", 512}}), Pair(48, 0));
  EXPECT_EQ(most({{"max_length", 2}}), Pair(1, 0));
  EXPECT_EQ(most({{"max_new_tokens", 9}}), Pair(9, 0)) << "wins over max_length";
  EXPECT_EQ(most({{"min_length", 1}}), Pair(15, 0)) << "the decoder's start counts";
  EXPECT_EQ(most({{"min_length", 5}, {"min_new_tokens", 3}}), Pair(15, 3))
      << "wins over min_length";
  EXPECT_EQ(most({{"min_length", 5}, {"min_new_tokens", 0}}), Pair(15, 0));
  EXPECT_EQ(most({{"min_length", 5}, {"min_new_tokens", nullptr}}), Pair(15, 4));
  EXPECT_EQ(most({{"min_length", 5}, {"min_new_tokens", 6}}), Pair(15, 6));
  EXPECT_EQ(most({{"min_length", 90}}), Pair(15, 15));
  EXPECT_EQ(most({{"min_length", -90}}), Pair(15, 0));
  copy("t5_v1_1");
  patch("generation_config.json", {{"max_length", nullptr}});
  EXPECT_EQ(convert_config().generation.max_new_tokens, 256);
  for (const int64_t length : {int64_t{1}, int64_t{0}, INT64_MIN}) {
    refuse_generation({{"max_length", length}}, Status::kBadFile,
                      "\"max_length\" leaves no room for a token");
  }
  refuse_generation({{"max_new_tokens", 0}}, Status::kBadFile,
                    "\"max_new_tokens\" leaves no room for a token");
}

TEST_F(EncoderDecoderImport, EarlyStoppings) {
  const std::pair<json, EarlyStopping> values[] = {{nullptr, EarlyStopping::kHeuristic},
                                                   {false, EarlyStopping::kHeuristic},
                                                   {true, EarlyStopping::kFirst},
                                                   {"never", EarlyStopping::kNever}};
  for (const auto& [value, stopping] : values) {
    copy("marian_shared");
    patch("generation_config.json", {{"early_stopping", value}});
    EXPECT_EQ(convert_config().generation.early_stopping, stopping) << value.dump();
  }
  refuse_generation({{"early_stopping", "often"}}, Status::kBadFile,
                    "\"early_stopping\" is \"often\", not one of: true, false, \"never\"");
}

TEST_F(EncoderDecoderImport, RefusesWhatGenerationLacks) {
  const std::pair<const char*, json> fields[] = {{"do_sample", true},
                                                 {"no_repeat_ngram_size", 3},
                                                 {"encoder_no_repeat_ngram_size", 2},
                                                 {"encoder_repetition_penalty", 1.5},
                                                 {"num_beam_groups", 2},
                                                 {"diversity_penalty", 0.5},
                                                 {"penalty_alpha", 0.6},
                                                 {"guidance_scale", 1.5},
                                                 {"max_time", 2.0},
                                                 {"stop_strings", "end"},
                                                 {"exponential_decay_length_penalty", {4, 1.5}},
                                                 {"begin_suppress_tokens", {3}},
                                                 {"forced_decoder_ids", {{1, 4}}},
                                                 {"sequence_bias", {{{3}, 1.0}}},
                                                 {"force_words_ids", {{3}}},
                                                 {"constraints", {1}},
                                                 {"dola_layers", "low"},
                                                 {"watermarking_config", {{"bias", 2.5}}}};
  for (const auto& [key, value] : fields) {
    refuse_generation({{key, value}}, Status::kUnsupported,
                      quoted(key) + " is " + value.dump() + ", which Headlane does not do; with ");
  }
}

TEST_F(EncoderDecoderImport, TakesWhatChangesNothing) {
  copy("marian_shared");
  patch("generation_config.json", {{"do_sample", false},
                                   {"no_repeat_ngram_size", 0},
                                   {"encoder_repetition_penalty", 1.0},
                                   {"num_beam_groups", 1},
                                   {"diversity_penalty", 0.0},
                                   {"begin_suppress_tokens", json::array()},
                                   {"temperature", 0.7},
                                   {"top_k", 10},
                                   {"top_p", 0.9},
                                   {"num_return_sequences", 2},
                                   {"use_cache", false},
                                   {"anything", "else"}});
  EXPECT_NO_THROW(convert());
}

TEST_F(EncoderDecoderImport, RefusesLongBadWords) {
  refuse_generation({{"bad_words_ids", {{82}, {3, 4}}}}, Status::kUnsupported,
                    "\"bad_words_ids\" has [3,4]; only lists of one id each are supported");
  refuse_generation({{"bad_words_ids", {82}}}, Status::kUnsupported, "\"bad_words_ids\" has 82");
}

TEST_F(EncoderDecoderImport, RefusesSeveralForcedEnds) {
  refuse_generation({{"forced_eos_token_id", {0, 3}}}, Status::kUnsupported,
                    "\"forced_eos_token_id\" has 2 ids; only one is supported");
}

TEST_F(EncoderDecoderImport, RefusesIdsOutsideTheVocabulary) {
  for (const char* key : {"decoder_start_token_id", "pad_token_id", "eos_token_id",
                          "forced_bos_token_id", "forced_eos_token_id", "suppress_tokens"}) {
    for (const json& id : {json(83), json(-1), json(1.0), json("x"), json(uint64_t{1} << 63)}) {
      refuse_generation({{key, id}}, Status::kBadFile,
                        quoted(key) + ": " + id.dump() + " is no id of the vocabulary, 0 to 82");
    }
  }
  refuse_generation({{"bad_words_ids", {{83}}}}, Status::kBadFile,
                    "\"bad_words_ids\": 83 is no id of the vocabulary");
}

TEST_F(EncoderDecoderImport, RefusesNumbersOutOfRange) {
  const std::string where = "config.json: config field \"generation\": field";
  for (const auto& [change, words] :
       {std::pair<json, std::string>{{{"num_beams", 0}}, " \"n_beams\" is 0"},
        {{{"num_beams", 84}}, " \"n_beams\" is 84"},
        {{{"num_beams", 82}}, " \"n_beams\" is 82, but of the vocabulary's 83 tokens only 81 are"},
        {{{"repetition_penalty", 0}}, " \"repetition_penalty\" is 0; it must be positive"},
        {{{"repetition_penalty", 1e-60}}, " \"repetition_penalty\" is 1e-60; it must be"}}) {
    copy("marian_shared");
    patch("generation_config.json", change);
    EXPECT_ERROR(convert(), Status::kBadFile, where + words);
  }
}

TEST_F(EncoderDecoderImport, RefusesM2M100ThatStartsWithPadding) {
  refuse("m2m_100", "generation_config.json", {{"decoder_start_token_id", 1}}, Status::kUnsupported,
         " field \"decoder_start_token_id\" is 1, the padding's id");
}

// A language model's prompt counts in some of these for generate(), so they cannot be obeyed.
TEST(LanguageModelImport, RefusesWhatCountsThePrompt) {
  const std::pair<const char*, int> fields[] = {
      {"forced_bos_token_id", 4}, {"forced_eos_token_id", 2}, {"min_length", 9}};
  for (const auto& [key, value] : fields) {
    const TempDir dir;
    const std::string folder = dir.file("folder");
    std::filesystem::copy(HEADLANE_GOLDEN_DIR "/language_models/gpt2", folder,
                          std::filesystem::copy_options::recursive);
    json config = json::parse(std::ifstream(folder + "/generation_config.json"));
    config[key] = value;
    write_file(folder + "/generation_config.json", config.dump());
    EXPECT_ERROR(convert_model(folder, dir.file("m.headlane"), {}), Status::kUnsupported,
                 std::string("generation_config.json field \"") + key + "\"");
  }
}

}  // namespace
}  // namespace headlane
