// A generator in the caller's memory, whatever is in it; and models whose numbers are none.
#include <cmath>
#include <fstream>

#include "tests/api/generator.h"

namespace headlane::test {
namespace {

namespace fs = std::filesystem;

headlane_generate_options sampled() {
  headlane_generate_options options = HEADLANE_INIT(headlane_generate_options);
  options.sample = 1;
  options.n_best = 3;
  return options;
}

// Exactly the size asked for is enough, one byte less is refused, nothing around it is written, and
// nothing is read that was not written first: the block is full of NaN.
TEST(GeneratorMemory, IsExactAndMayHoldAnything) {
  for (const char* name : {"marian_shared", "m2m_100", "t5_v1_1", "mbart"}) {
    for (const char* precision : {"f32", "bf16", "int8"}) {
      SCOPED_TRACE(std::string(name) + " " + precision);
      const ModelHandle model = open_model(golden_file(name), "", precision);
      const headlane_model_facts facts = facts_of(model.get());
      headlane_generator_options options = generator_options(5, 3, 2);
      options.max_source_tokens = 60;
      options.max_prefix = 2;
      options.all_logits = 1;
      const GeneratorHandle own = create_generator(model.get(), options);
      size_t bytes = 0;
      check(headlane_generator_bytes(model.get(), &options, &bytes));
      ASSERT_GT(bytes, 0u);
      std::vector<unsigned char> block(bytes + 3 * 64, 0xff);
      unsigned char* aligned =
          block.data() + 64 + (64 - reinterpret_cast<uintptr_t>(block.data()) % 64);
      headlane_generator* generator = nullptr;
      options.memory = aligned;
      options.memory_bytes = bytes - 1;
      expect_status(headlane_generator_create(model.get(), &options, &generator),
                    HEADLANE_INVALID_ARGUMENT, "memory_bytes");
      options.memory = aligned + 4;
      options.memory_bytes = bytes;
      expect_status(headlane_generator_create(model.get(), &options, &generator),
                    HEADLANE_INVALID_ARGUMENT, "aligned");
      options.memory = aligned;
      const GeneratorHandle inside = create_generator(model.get(), options);
      // All of the room is used: sources, tokens, beams, prefixes, lengths.
      const Sequences sources = {random_sources(1, facts.vocab_size, 1, 1)[0],
                                 std::vector<int32_t>(20, 3), std::vector<int32_t>(20, 4),
                                 std::vector<int32_t>(9, 5), std::vector<int32_t>(10, 6)};
      const int64_t prefix_offsets[] = {0, 2, 2, 3, 3, 5};
      const int32_t prefix_ids[] = {7, 8, 9, 10, 11};
      for (headlane_generate_options asked : {beams(1), beams(3, 3), sampled()}) {
        asked.prefix_offsets = prefix_offsets;
        asked.prefix_ids = prefix_ids;
        ASSERT_EQ(generate(inside.get(), sources, asked), generate(own.get(), sources, asked));
      }
      for (unsigned char* p = block.data(); p < aligned; ++p) ASSERT_EQ(*p, 0xff);
      for (unsigned char* p = aligned + bytes; p < block.data() + block.size(); ++p) {
        ASSERT_EQ(*p, 0xff);
      }
    }
  }
}

// Twice the targets take at most twice the memory; so do twice the tokens of each.
TEST(GeneratorMemory, GrowsLinearly) {
  const ModelHandle model = open_model(golden_file("marian_shared"));
  const auto bytes_for = [&](int64_t sources, int64_t n_beams, int64_t new_tokens) {
    headlane_generator_options options = generator_options(sources, n_beams, 1);
    options.max_source_tokens = 40 * sources;
    options.max_new_tokens = new_tokens;
    size_t bytes = 0;
    check(headlane_generator_bytes(model.get(), &options, &bytes));
    return bytes;
  };
  const size_t base = bytes_for(32, 4, 20);
  EXPECT_LE(bytes_for(64, 4, 20), 2 * base);
  EXPECT_LE(bytes_for(32, 8, 20), 2 * base);
  EXPECT_LE(bytes_for(32, 4, 40), 2 * base);
  EXPECT_LE(bytes_for(1, 1, 20) * 10, base);
}

// A golden model some of whose floats are set before it is converted.
class ModelsOfNoNumbers : public testing::Test {
 protected:
  // Opens the folder's model with floats first .. first + n (all: n < 0) of a tensor set to
  // `value`.
  ModelHandle open_with(const std::string& name, const std::string& tensor, float value,
                        size_t first = 0, int64_t n = -1) {
    const std::string folder = dir_.file("hf");
    fs::remove_all(folder);
    fs::copy(std::string(HEADLANE_GOLDEN_DIR "/encoder_decoder/") + name, folder);
    std::fstream file(folder + "/model.safetensors",
                      std::ios::in | std::ios::out | std::ios::binary);
    uint64_t header_bytes = 0;
    file.read(reinterpret_cast<char*>(&header_bytes), sizeof header_bytes);
    std::string header(header_bytes, ' ');
    file.read(header.data(), static_cast<std::streamsize>(header_bytes));
    const nlohmann::json entry = nlohmann::json::parse(header).at(tensor);
    EXPECT_EQ(entry.at("dtype"), "F32");
    const std::vector<size_t> offsets = entry.at("data_offsets");
    const size_t floats = n < 0 ? (offsets[1] - offsets[0]) / 4 : static_cast<size_t>(n);
    const std::vector<float> values(floats, value);
    file.seekp(static_cast<std::streamoff>(8 + header_bytes + offsets[0] + 4 * first));
    file.write(reinterpret_cast<const char*>(values.data()),
               static_cast<std::streamsize>(4 * values.size()));
    file.close();
    const std::string path = dir_.file("model.headlane");
    check(headlane_convert(folder.c_str(), path.c_str(), nullptr));
    return open_model(path);
  }
  GeneratorHandle generator_of(headlane_model* model) {
    headlane_generator_options options = generator_options(4, 4, 2);
    options.all_logits = 1;
    return create_generator(model, options);
  }

  const TempDir dir_;
  const Sequences sources_ = {{5, 6, 7, 0}, {9, 9, 9}, {1}};
};

TEST_F(ModelsOfNoNumbers, AnswersBreakOff) {
  for (const float value : {NAN, HUGE_VALF, -HUGE_VALF}) {
    const ModelHandle model = open_with("marian_shared", "model.decoder.layers.1.fc1.bias", value);
    const GeneratorHandle generator = generator_of(model.get());
    for (const headlane_generate_options& asked : {beams(1), beams(4, 4), sampled()}) {
      const Answers answers = generate(generator.get(), sources_, asked);
      // ReLU and its like make 0 of -inf.
      if (value < 0) continue;
      for (const auto& of_source : answers) {
        for (const GeneratedAnswer& answer : of_source) {
          EXPECT_TRUE(std::isnan(answer.score)) << value;
          EXPECT_TRUE(answer.ids.empty());
        }
      }
    }
  }
}

// One logit that is NaN is one too many, wherever the others are; one that is -inf is not.
TEST_F(ModelsOfNoNumbers, OneLogitThatIsNone) {
  for (const float value : {NAN, HUGE_VALF, -HUGE_VALF}) {
    const ModelHandle model = open_with("marian_shared", "final_logits_bias", value, 41, 1);
    const GeneratorHandle generator = generator_of(model.get());
    for (const headlane_generate_options& asked : {beams(1), beams(4, 4), sampled()}) {
      for (const auto& of_source : generate(generator.get(), sources_, asked)) {
        for (const GeneratedAnswer& answer : of_source) {
          EXPECT_EQ(std::isnan(answer.score), !(value < 0));
          for (const int32_t id : answer.ids) EXPECT_NE(id, 41);
        }
      }
    }
  }
}

// A fault of one source does not concern the others.
TEST_F(ModelsOfNoNumbers, ASourceOfNaNBreaksOffAlone) {
  const ModelHandle good = open_model(golden_file("marian_separate"));
  // Row 9 of the encoder's own table, whose rows have 21 numbers.
  const ModelHandle bad =
      open_with("marian_separate", "model.encoder.embed_tokens.weight", NAN, size_t{9} * 21, 21);
  for (const headlane_generate_options& asked : {beams(1), beams(4, 4), sampled()}) {
    const Answers expected = generate(generator_of(good.get()).get(), sources_, asked);
    const Answers answers = generate(generator_of(bad.get()).get(), sources_, asked);
    EXPECT_EQ(answers[0], expected[0]);
    EXPECT_EQ(answers[2], expected[2]);
    EXPECT_TRUE(std::isnan(answers[1][0].score));
    EXPECT_FALSE(std::isnan(expected[1][0].score));
  }
}

}  // namespace
}  // namespace headlane::test
