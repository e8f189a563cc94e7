// Maps of attention of single steps, and last hidden states.
#include <algorithm>
#include <fstream>

#include "tests/api/generator_step.h"

namespace headlane::test {
namespace {

class GenerateMaps : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (!runs(golden_file("marian_shared"), GetParam())) {
      GTEST_SKIP() << "this machine (or HEADLANE_MAX_ISA) lacks " << GetParam();
    }
  }
};

// For one source and one target: the maps of transformers' eager attention in float64, within four
// times its own float32's error; and the decoder's last hidden states.
TEST_P(GenerateMaps, MapsAndHiddenStatesAreThoseOfTransformers) {
  for (const char* name : {"marian_shared", "m2m_100", "t5_v1_1"}) {
    SCOPED_TRACE(name);
    const GoldenEncoderDecoder golden(name);
    const auto errors = nlohmann::json::parse(std::ifstream(golden.folder + "/attention.json"));
    const auto expect_near = [&](const std::vector<float>& got, const std::string& what) {
      const Npy expected = read_npy(golden.folder + "/" + what + ".npy");
      ASSERT_EQ(got.size(), expected.data.size()) << what;
      const double bound = 4 * errors.at(what).get<double>();
      for (size_t i = 0; i < got.size(); ++i) {
        ASSERT_NEAR(got[i], expected.data[i], bound) << what << ", " << i;
      }
    };
    const ModelHandle model = open_model(golden_file(name), GetParam());
    const headlane_model_facts facts = facts_of(model.get());
    const Sequences sources = {golden.sources[0]};
    const std::vector<int32_t> target = golden.generated("greedy")[0];
    const auto source_len = static_cast<int64_t>(sources[0].size()),
               target_len = static_cast<int64_t>(target.size());
    const GeneratorHandle generator = step_generator(model.get(), 1, 1, 1, target_len);
    StepMaps encoder(facts.n_layers, 1, facts.n_heads, source_len, source_len);
    StepMaps self(facts.n_decoder_layers, 1, facts.n_decoder_heads, target_len, target_len);
    StepMaps cross(facts.n_decoder_layers, 1, facts.n_decoder_heads, target_len, source_len);
    std::fill(self.data.begin(), self.data.end(), 0.0f);  // what is masked is not written
    const headlane_attention_maps of_encoder = encoder.maps(), of_self = self.maps(),
                                  of_cross = cross.maps();
    const FlatSequences flat(sources);
    const headlane_batch batch = flat.batch();
    const headlane_outputs outputs{.struct_size = sizeof outputs, .attention = &of_encoder};
    check(headlane_generator_encode(generator.get(), &batch, &outputs));
    std::vector<float> hidden;
    for (int64_t i = 0; i < target_len; ++i) {
      StepRows rows(facts, 1, 1);
      rows.ids[0] = i == 0 ? facts.start_id : target[static_cast<size_t>(i - 1)];
      rows.parents[0] = i == 0 ? -1 : 0;
      headlane_step step = rows.step();
      step.self_attention = &of_self;
      step.cross_attention = &of_cross;
      check(headlane_generator_step(generator.get(), &step));
      hidden.insert(hidden.end(), rows.hidden.begin(), rows.hidden.end());
    }
    expect_near(encoder.data, "encoder_attention");
    expect_near(self.data, "decoder_attention");
    expect_near(cross.data, "cross_attention");
    expect_near(hidden, "decoder_hidden");
  }
}

HEADLANE_FOR_EACH_ISA(GenerateMaps);

class GenerateMapsOf : public testing::Test {
 protected:
  const ModelHandle model_ = open_model(golden_file("marian_shared"));
  const headlane_model_facts facts_ = facts_of(model_.get());
};

TEST_F(GenerateMapsOf, MapsSumToOneAndChangeNothing) {
  const Sequences sources = {{4, 5, 6}, {7}, {8, 9, 10, 11, 12, 0}};
  const auto source_len = [&](int64_t row) {
    return static_cast<int64_t>(sources[static_cast<size_t>(row % 3)].size());
  };
  constexpr int64_t kSteps = 6;
  for (const char* precision : {"f32", "bf16", "int8"}) {
    for (const char* name : {"marian_shared", "t5_v1_0"}) {
      SCOPED_TRACE(std::string(name) + " " + precision);
      const ModelHandle model = open_model(golden_file(name), "", precision);
      const headlane_model_facts facts = facts_of(model.get());
      const GeneratorHandle generator = step_generator(model.get(), 3, 2, 2);
      const GeneratorHandle plain = step_generator(model.get(), 3, 2, 1);
      encode_sources(generator.get(), sources);
      encode_sources(plain.get(), sources);
      StepMaps self(facts.n_decoder_layers, 6, facts.n_decoder_heads, kSteps, kSteps);
      StepMaps cross(facts.n_decoder_layers, 6, facts.n_decoder_heads, kSteps, 6);
      for (int64_t i = 0; i < kSteps; ++i) {
        StepRows rows(facts, 6, 3);
        for (int32_t r = 0; r < 6; ++r) {
          const auto at = static_cast<size_t>(r);
          rows.ids[at] = i == 0 ? facts.start_id : static_cast<int32_t>(10 + i + 3 * r);
          rows.sources[at] = r % 3;
          rows.parents[at] = i == 0 ? -1 : r;
        }
        StepRows without = rows;
        const headlane_attention_maps self_maps = self.maps(), cross_maps = cross.maps();
        headlane_step step = rows.step();
        step.self_attention = &self_maps;
        step.cross_attention = &cross_maps;
        check(headlane_generator_step(generator.get(), &step));
        self.expect_rows(i, [&](int64_t) { return i + 1; });
        cross.expect_rows(i, source_len);
        step = without.step();
        check(headlane_generator_step(plain.get(), &step));
        for (size_t r = 0; r < 6; ++r) ASSERT_TRUE(rows.row_equals(r, without, r)) << i;
      }
    }
  }
}

// Some layers and heads of all: the same bits, and nothing else written.
TEST_F(GenerateMapsOf, MapsOfSomeLayersAndHeads) {
  const Sequences sources = {{4, 5, 6, 7, 0}};
  const GeneratorHandle generator = step_generator(model_.get(), 1, 1, 1);
  encode_sources(generator.get(), sources);
  StepRows rows(facts_, 1, 1);
  rows.ids = {82};
  const int64_t n_layers = facts_.n_decoder_layers, n_heads = facts_.n_decoder_heads;
  StepMaps all(n_layers, 1, n_heads, 1, 5);
  headlane_attention_maps of_all = all.maps();
  headlane_step step = rows.step();
  step.cross_attention = &of_all;
  check(headlane_generator_step(generator.get(), &step));
  for (int64_t layer = 0; layer < n_layers; ++layer) {
    for (int64_t head = 0; head < n_heads; ++head) {
      encode_sources(generator.get(), sources);
      StepMaps some(n_layers, 1, n_heads, 1, 5);
      headlane_attention_maps of_some = some.maps();
      of_some.first_layer = layer;
      of_some.first_head = head;
      of_some.n_layers = of_some.n_heads = 1;
      step.cross_attention = &of_some;
      check(headlane_generator_step(generator.get(), &step));
      EXPECT_EQ(0, std::memcmp(some.data.data(), all.row(layer, 0, head, 0), 5 * sizeof(float)));
      for (size_t i = 5; i < some.data.size(); ++i) EXPECT_TRUE(std::isnan(some.data[i]));
    }
  }
  headlane_attention_maps wrong = all.maps();
  step.cross_attention = &wrong;
  const auto refuse = [&](const std::string& named) {
    encode_sources(generator.get(), sources);
    expect_status(headlane_generator_step(generator.get(), &step), HEADLANE_INVALID_ARGUMENT,
                  named);
  };
  wrong.first_layer = n_layers;
  refuse("layer");
  wrong = all.maps();
  wrong.n_heads = n_heads + 1;
  refuse("head");
  wrong = all.maps();
  wrong.data = nullptr;
  refuse("data");
}

// The encoder's maps, in the call that encodes.
TEST_F(GenerateMapsOf, EncodersHaveMaps) {
  const std::vector<int32_t> source = {4, 5, 6, 7, 0};
  const GeneratorHandle generator = step_generator(model_.get(), 1, 1, 2);
  StepMaps all(facts_.n_layers, 1, facts_.n_heads, 5, 5);
  headlane_attention_maps maps = all.maps();
  const int64_t offsets[] = {0, 5};
  const headlane_batch batch{
      .struct_size = sizeof batch, .n_seqs = 1, .offsets = offsets, .ids = source.data()};
  const headlane_outputs outputs{.struct_size = sizeof outputs, .attention = &maps};
  check(headlane_generator_encode(generator.get(), &batch, &outputs));
  for (int64_t i = 0; i < 5; ++i) all.expect_rows(i, [](int64_t) { return int64_t{5}; });
}

}  // namespace
}  // namespace headlane::test
