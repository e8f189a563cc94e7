// Vectors of texts by the layers of language models, against sentence-transformers:
// tests/golden/decoder_embedders.
#include <cmath>
#include <filesystem>
#include <headlane/headlane.hpp>
#include <nlohmann/json.hpp>

#include "tests/api/encoder.h"
#include "tests/support/temp_dir.h"

namespace headlane::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

const std::string kEmbedders = HEADLANE_GOLDEN_DIR "/decoder_embedders/";

class DecoderEmbedders : public testing::TestWithParam<const char*> {
 protected:
  DecoderEmbedders() : golden_(json::parse(read_file(kEmbedders + GetParam() + "/vectors.json"))) {
    for (const json& row : golden_["vectors"]) {
      for (const json& number : row) expected_.push_back(number.get<float>());
    }
    prompt_name_ = golden_["task"];
    if (!prompt_name_.empty()) asked_.prompt_name = prompt_name_.c_str();
    asked_.truncate_dim = golden_["truncate_dim"];
    d_ = expected_.size() / texts_.size();
  }

  // The golden folder with the tokenizer of all of them, and some fields of its config changed.
  std::string convert(const char* precision = nullptr, const json& fields = json::object(),
                      const char* pooling = nullptr) {
    const std::string folder = dir_.file("hf"), path = dir_.file("m.headlane");
    fs::remove_all(folder);
    fs::copy(kEmbedders + GetParam(), folder, fs::copy_options::recursive);
    fs::copy(kEmbedders + "tokenizer.json", folder);
    json config = json::parse(read_file(folder + "/config.json"));
    config.update(fields);
    write_file(folder + "/config.json", config.dump());
    if (pooling != nullptr) fs::remove(folder + "/modules.json");
    headlane_convert_options options = HEADLANE_INIT(headlane_convert_options);
    options.precision = precision;
    options.pooling = pooling;
    check(headlane_convert(folder.c_str(), path.c_str(), &options));
    return path;
  }

  std::vector<float> vector_of(const std::vector<float>& vectors, size_t i) const {
    const auto begin = vectors.begin() + static_cast<ptrdiff_t>(i * d_);
    return {begin, begin + static_cast<ptrdiff_t>(d_)};
  }

  json golden_;
  std::vector<std::string> texts_ = golden_["texts"];
  std::vector<float> expected_;
  std::string prompt_name_;
  EmbedOptions asked_;
  size_t d_ = 0;
  TempDir dir_;
};

TEST_P(DecoderEmbedders, VectorsAreSentenceTransformers) {
  const std::string path = convert();
  const double bound = kOfPyTorchsError * std::max(golden_["off"].get<double>(), 6e-8);
  for (const char* isa : {"ref", "avx2", "avx512"}) {
    ModelOptions on;
    on.isa = isa;
    const Model model(path, on);
    Session session(model);
    const std::vector<float> vectors = session.embed(texts_, asked_);
    ASSERT_EQ(vectors.size(), expected_.size());
    for (size_t i = 0; i < vectors.size(); ++i) {
      ASSERT_NEAR(vectors[i], expected_[i], bound) << isa << " text " << i / d_;
    }
    for (size_t i = 0; i < texts_.size(); ++i) {
      EXPECT_EQ(session.embed({texts_[i]}, asked_), vector_of(vectors, i)) << isa << " text " << i;
    }
  }
}

// A vector is off by no more of its length than hidden states of that many layers are, in int8 its
// direction is near (docs/precision.md). Ten columns of it may be off by as much of the whole.
TEST_P(DecoderEmbedders, InLessThanF32) {
  asked_.truncate_dim = 0;
  const std::vector<float> exact = Session(Model(convert())).embed(texts_, asked_);
  const size_t d = exact.size() / texts_.size();
  for (const char* precision : {"bf16", "int8"}) {
    const Model model(convert(precision));
    const double layers = static_cast<double>(model.facts().n_layers);
    Session session(model);
    const std::vector<float> vectors = session.embed(texts_, asked_);
    for (size_t i = 0; i < texts_.size(); ++i) {
      double dot = 0, own = 0, other = 0, off = 0;
      for (size_t c = i * d; c < (i + 1) * d; ++c) {
        const double x = vectors[c], y = exact[c];
        dot += x * y, own += x * x, other += y * y, off += (x - y) * (x - y);
      }
      if (std::string(precision) == "bf16") {
        EXPECT_LE(std::sqrt(off / other), (10 * layers + 1) / 256) << "text " << i;
      } else {
        EXPECT_GT(dot / std::sqrt(own * other), 0.95) << "text " << i;
      }
    }
  }
}

// Without modules.json, the option says how vectors are made.
TEST_P(DecoderEmbedders, PoolingByTheOption) {
  const Model model(convert(nullptr, json::object(), "lasttoken"));
  EXPECT_STREQ(model.facts().pooling, "lasttoken");
  EXPECT_EQ(model.facts().has_decoder, 0);
  EXPECT_EQ(Session(model).embed(texts_).size(), 24 * texts_.size());
}

INSTANTIATE_TEST_SUITE_P(Models, DecoderEmbedders,
                         testing::Values("qwen3_last", "qwen2_window", "mistral_window",
                                         "llama_both_ways", "gemma3_both_ways", "gemma_messages",
                                         "t5_encoder", "mt5_encoder"),
                         [](const auto& one) { return std::string(one.param); });

class RefusedEmbedders : public testing::Test {
 protected:
  // The golden folder with those fields, as a language model where `pooling` is null.
  std::string refusal(const std::string& name, const json& fields, const char* pooling) {
    const std::string folder = dir_.file("hf");
    fs::remove_all(folder);
    fs::copy(kEmbedders + name, folder, fs::copy_options::recursive);
    fs::remove(folder + "/modules.json");
    json config = json::parse(read_file(folder + "/config.json"));
    config.update(fields);
    write_file(folder + "/config.json", config.dump());
    headlane_convert_options options = HEADLANE_INIT(headlane_convert_options);
    options.pooling = pooling;
    EXPECT_EQ(headlane_convert(folder.c_str(), dir_.file("m").c_str(), &options),
              HEADLANE_UNSUPPORTED);
    return headlane_error();
  }

  TempDir dir_;
};

TEST_F(RefusedEmbedders, ByName) {
  const auto refused = [&](const std::string& name, const json& fields, const char* pooling,
                           const std::string& words) {
    const std::string sentence = refusal(name, fields, pooling);
    EXPECT_NE(sentence.find(words), std::string::npos) << sentence;
  };
  const json causal_class = {{"architectures", {"LlamaForCausalLM"}}};
  refused("llama_both_ways", causal_class, nullptr, "so that the model makes vectors of texts");
  refused("gemma3_both_ways", {{"architectures", {"Gemma3ForCausalLM"}}}, nullptr,
          "so that the model makes vectors of texts");
  refused("mistral_window", {{"is_causal", false}}, "mean", "in a model with windows");
  refused("llama_both_ways", {{"architectures", {"LlamaForSequenceClassification"}}}, "mean",
          "vectors of texts can be made by ...Model and ...ForCausalLM");
  refused("llama_both_ways",
          {{"model_type", "gpt2"}, {"is_causal", true}, {"architectures", {"GPT2LMHeadModel"}}},
          "mean", "vectors of texts can be made by: llama, mistral, qwen2, qwen3, gemma, gemma2");
}

}  // namespace
}  // namespace headlane::test
