// The tensors of Hugging Face's encoder-decoders: every one of the golden models, bit for bit, and
// files that have some twice, under other names, or not at all.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "tests/support/encoder_decoder_folder.h"
#include "tests/support/golden_encoder_decoder.h"

namespace headlane {
namespace {

using nlohmann::json;

// The tensors that a file must have, by Headlane's names: the source's names, whose rows are
// beneath each other.
class Expected {
 public:
  explicit Expected(const std::string& folder) : source_(folder) {}

  void linear(const std::string& name, const std::vector<std::string>& from, bool bias) {
    stacked(name + ".weight", from, ".weight");
    if (bias) stacked(name + ".bias", from, ".bias");
  }
  void stacked(const std::string& name, const std::vector<std::string>& from,
               const std::string& suffix) {
    std::vector<int64_t> shape;
    std::vector<float> values;
    for (const std::string& part : from) {
      const std::vector<int64_t> of_part = source_.shape_of(part + suffix);
      const std::vector<float> rows = read_tensor(source_, part + suffix, of_part);
      values.insert(values.end(), rows.begin(), rows.end());
      if (shape.empty()) {
        shape = of_part;
      } else {
        shape[0] += of_part[0];
      }
    }
    tensors_[name] = {shape, values};
  }
  std::vector<float>& values(const std::string& name) { return tensors_.at(name).second; }
  void reshape(const std::string& name, std::vector<int64_t> shape) {
    tensors_.at(name).first = std::move(shape);
  }

  void bart_layers(const std::string& stack, int64_t n_layers) {
    for (int64_t i = 0; i < n_layers; ++i) {
      const std::string to = stack + ".layers." + std::to_string(i) + ".";
      const std::string from = "model." + to;
      const auto attention = [&](const std::string& at) { return from + at; };
      linear(to + "attention.qkv",
             {attention("self_attn.q_proj"), attention("self_attn.k_proj"),
              attention("self_attn.v_proj")},
             true);
      linear(to + "attention.out", {from + "self_attn.out_proj"}, true);
      linear(to + "attention.norm", {from + "self_attn_layer_norm"}, true);
      linear(to + "ffn.up", {from + "fc1"}, true);
      linear(to + "ffn.down", {from + "fc2"}, true);
      linear(to + "ffn.norm", {from + "final_layer_norm"}, true);
      if (stack == "encoder") continue;
      linear(to + "cross.q", {from + "encoder_attn.q_proj"}, true);
      linear(to + "cross.kv", {from + "encoder_attn.k_proj", from + "encoder_attn.v_proj"}, true);
      linear(to + "cross.out", {from + "encoder_attn.out_proj"}, true);
      linear(to + "cross.norm", {from + "encoder_attn_layer_norm"}, true);
    }
  }

  void t5_layers(const std::string& stack, int64_t n_layers, bool gated) {
    for (int64_t i = 0; i < n_layers; ++i) {
      const std::string to = stack + ".layers." + std::to_string(i) + ".";
      const std::string from = stack + ".block." + std::to_string(i) + ".layer.";
      const std::string self = from + "0.SelfAttention.", cross = from + "1.EncDecAttention.";
      const std::string last = from + (stack == "encoder" ? "1." : "2.");
      const std::string dense = last + "DenseReluDense.";
      linear(to + "attention.qkv", {self + "q", self + "k", self + "v"}, false);
      linear(to + "attention.out", {self + "o"}, false);
      linear(to + "attention.norm", {from + "0.layer_norm"}, false);
      linear(to + "ffn.up",
             gated ? std::vector<std::string>{dense + "wi_0", dense + "wi_1"}
                   : std::vector<std::string>{dense + "wi"},
             false);
      linear(to + "ffn.down", {dense + "wo"}, false);
      linear(to + "ffn.norm", {last + "layer_norm"}, false);
      if (stack == "encoder") continue;
      linear(to + "cross.q", {cross + "q"}, false);
      linear(to + "cross.kv", {cross + "k", cross + "v"}, false);
      linear(to + "cross.out", {cross + "o"}, false);
      linear(to + "cross.norm", {from + "1.layer_norm"}, false);
    }
  }

  // All of them, and no others, bit for bit.
  void check(const Container& model) const {
    for (const auto& [name, tensor] : tensors_) {
      const auto& [shape, values] = tensor;
      const TensorInfo* found = model.find(name);
      ASSERT_NE(found, nullptr) << name;
      EXPECT_EQ(found->dtype, Format::kF32) << name;
      ASSERT_EQ(found->shape, shape) << name;
      const auto* data = reinterpret_cast<const float*>(model.data(*found).data());
      EXPECT_TRUE(std::equal(values.begin(), values.end(), data)) << name;
    }
    for (const TensorInfo& tensor : model.tensors()) {
      EXPECT_TRUE(tensors_.contains(tensor.name)) << tensor.name;
    }
  }

 private:
  SafetensorsModel source_;
  std::map<std::string, std::pair<std::vector<int64_t>, std::vector<float>>> tensors_;
};

Expected expected_bart(const std::string& model, const ModelConfig& config) {
  Expected expected(golden_folder(model));
  // Tensors that are not tied are not shared either, though mBART's file has a shared table too.
  const bool separate = model == "marian_separate" || model == "mbart";
  expected.stacked("encoder.embeddings.word",
                   {separate ? "model.encoder.embed_tokens" : "model.shared"}, ".weight");
  if (separate) {
    expected.stacked("decoder.embeddings.word", {"model.decoder.embed_tokens"}, ".weight");
  }
  if (model == "mbart") expected.stacked("lm_head.weight", {"lm_head"}, ".weight");
  if (model != "m2m_100") {
    expected.stacked("lm_head.bias", {"final_logits_bias"}, "");
    expected.reshape("lm_head.bias", {config.decoder.vocab_size});
  }
  for (const std::string stack : {"encoder", "decoder"}) {
    const std::string from = "model." + stack + ".";
    if (config.encoder.embedding_norm) {
      expected.linear(stack + ".embeddings.norm", {from + "layernorm_embedding"}, true);
    }
    if (config.encoder.final_norm) expected.linear(stack + ".norm", {from + "layer_norm"}, true);
    if (config.encoder.positions == Positions::kLearned) {
      const std::string to = stack + ".positions.weight";
      expected.stacked(to, {from + "embed_positions"}, ".weight");
      std::vector<float>& values = expected.values(to);
      values.erase(values.begin(), values.begin() + 2 * config.d_model);
      expected.reshape(to, {config.encoder.max_positions, config.d_model});
    }
  }
  expected.bart_layers("encoder", config.encoder.n_layers);
  expected.bart_layers("decoder", config.decoder.n_layers);
  return expected;
}

Expected expected_t5(const std::string& model, const ModelConfig& config) {
  Expected expected(golden_folder(model));
  expected.stacked("encoder.embeddings.word", {"shared"}, ".weight");
  if (model == "t5_v1_1") expected.stacked("lm_head.weight", {"lm_head"}, ".weight");
  for (const std::string stack : {"encoder", "decoder"}) {
    expected.linear(stack + ".norm", {stack + ".final_layer_norm"}, false);
    expected.stacked(stack + ".relative_bias",
                     {stack + ".block.0.layer.0.SelfAttention.relative_attention_bias"}, ".weight");
  }
  if (model == "t5_v1_0") {
    for (float& value : expected.values("decoder.norm.weight")) {
      value = static_cast<float>(value * (1 / std::sqrt(24.0)));
    }
  }
  expected.t5_layers("encoder", config.encoder.n_layers, model != "t5_v1_0");
  expected.t5_layers("decoder", config.decoder.n_layers, model != "t5_v1_0");
  return expected;
}

class GoldenImport : public EncoderDecoderImport,
                     public testing::WithParamInterface<const char*> {};

TEST_P(GoldenImport, Tensors) {
  const std::string model = GetParam();
  copy(model);
  const Container container = convert();
  const ModelConfig config = ModelConfig::from_json(container.config(), out_);
  const bool is_t5 = model.find("t5") != std::string::npos;
  (is_t5 ? expected_t5(model, config) : expected_bart(model, config)).check(container);
  EXPECT_TRUE(container.tokenizer().is_null());
}

INSTANTIATE_TEST_SUITE_P(Models, GoldenImport, testing::ValuesIn(test::kEncoderDecoders),
                         [](const auto& param) { return std::string(param.param); });

using Tensors = std::map<std::string, TestTensor>;

TEST_F(EncoderDecoderImport, EveryTensorIsRequired) {
  const std::pair<const char*, std::set<std::string>> models[] = {{"bart", {"final_logits_bias"}},
                                                                  {"t5_v1_1", {}}};
  for (const auto& [model, optional] : models) {
    copy(model);
    Tensors all;
    change_tensors([&](Tensors* tensors) { all = *tensors; });
    for (const auto& [name, tensor] : all) {
      if (optional.contains(name) || name == "lm_head.weight") continue;
      change_tensors([&, erased = name](Tensors* tensors) {
        *tensors = all;
        tensors->erase(erased);
      });
      // A table of words is looked for under all its names, the family's first one first.
      const bool is_words = name == "shared.weight" || name == "model.shared.weight";
      if (is_words && all.contains("lm_head.weight")) continue;
      EXPECT_ERROR(
          convert(), Status::kBadFile,
          is_words ? "embed_tokens.weight\" is missing" : "tensor \"" + name + "\" is missing");
    }
  }
}

TEST_F(EncoderDecoderImport, ModelWithoutPrefix) {
  copy("bart");
  change_tensors([](Tensors* tensors) {
    Tensors bare;
    for (const auto& [name, tensor] : *tensors) {
      bare[name.starts_with("model.") ? name.substr(6) : name] = tensor;
    }
    *tensors = bare;
  });
  const Container container = convert();
  const ModelConfig config = ModelConfig::from_json(container.config(), out_);
  expected_bart("bart", config).check(container);
}

TEST_F(EncoderDecoderImport, TablesThatAreThereTwice) {
  copy("bart");
  const std::string names[] = {"model.encoder.embed_tokens.weight",
                               "model.decoder.embed_tokens.weight", "lm_head.weight"};
  change_tensors([&](Tensors* tensors) {
    for (const std::string& name : names) (*tensors)[name] = tensors->at("model.shared.weight");
  });
  {
    const Container container = convert();
    const ModelConfig config = ModelConfig::from_json(container.config(), out_);
    expected_bart("bart", config).check(container);
  }
  // One that differs stays: transformers would not tie it either.
  const std::pair<std::string, std::string> added[] = {{names[1], "decoder.embeddings.word"},
                                                       {names[2], "lm_head.weight"}};
  for (const auto& [source, name] : added) {
    copy("bart");
    change_tensors([&, of = source](Tensors* tensors) {
      for (const std::string& table : names) (*tensors)[table] = tensors->at("model.shared.weight");
      tensors->at(of).data[3] = '\x3d';
    });
    const Container container = convert();
    EXPECT_NE(container.find(name), nullptr) << name;
    EXPECT_NE(container.find("lm_head.weight"), nullptr) << "its words are not the decoder's";
  }
}

TEST_F(EncoderDecoderImport, TableUnderAnotherName) {
  copy("bart");
  change_tensors([](Tensors* tensors) {
    (*tensors)["lm_head.weight"] = tensors->at("model.shared.weight");
    tensors->erase("model.shared.weight");
  });
  const Container container = convert();
  EXPECT_NE(container.find("encoder.embeddings.word"), nullptr);
  EXPECT_EQ(container.find("lm_head.weight"), nullptr);
}

TEST_F(EncoderDecoderImport, HeadThatIsNotTiedMustBeThere) {
  copy("bart");
  patch("config.json", {{"tie_word_embeddings", false}});
  EXPECT_ERROR(convert(), Status::kBadFile, "tensor \"lm_head.weight\" is missing");
}

TEST_F(EncoderDecoderImport, BiasOfZerosIsNone) {
  copy("bart");
  change_tensors([](Tensors* tensors) {
    std::string& data = tensors->at("final_logits_bias").data;
    std::fill(data.begin(), data.end(), '\0');
  });
  EXPECT_EQ(convert().find("lm_head.bias"), nullptr);
}

TEST_F(EncoderDecoderImport, StoredSinusoidsMustBeThose) {
  copy("marian_separate");
  change_tensors([](Tensors* tensors) {
    std::string& data = tensors->at("model.decoder.embed_positions.weight").data;
    const float value = 0.5f;
    std::memcpy(data.data() + 4, &value, 4);
  });
  EXPECT_ERROR(convert(), Status::kUnsupported,
               "tensor \"model.decoder.embed_positions.weight\" is not the table of sinusoids");
}

// Stored precisions.

TEST_F(EncoderDecoderImport, NarrowWeights) {
  for (const char* model : {"marian_separate", "mbart", "t5_v1_1"}) {
    copy(model);
    const Container wide = convert();
    const std::set<std::string> words = {"encoder.embeddings.word", "decoder.embeddings.word",
                                         "lm_head.weight"};
    for (const Precision precision : {Precision::kBf16, Precision::kInt8}) {
      ConvertOptions options;
      options.precision = precision;
      convert_model(hf_, dir_.file("narrow"), options);
      const Container narrow = Container::open(dir_.file("narrow"));
      EXPECT_FALSE(narrow.config().contains("higher_precision"));
      for (const TensorInfo& tensor : wide.tensors()) {
        const TensorInfo* found = narrow.find(tensor.name);
        ASSERT_NE(found, nullptr) << tensor.name;
        EXPECT_EQ(found->shape, tensor.shape) << tensor.name;
        const bool is_product =
            tensor.shape.size() == 2 && tensor.name.find(".layers.") != std::string::npos;
        const bool is_narrow = is_product || words.contains(tensor.name);
        const Format dtype = !is_narrow                      ? Format::kF32
                             : precision == Precision::kBf16 ? Format::kBf16
                                                             : Format::kS8;
        EXPECT_EQ(found->dtype, dtype) << tensor.name;
        if (dtype != Format::kS8) continue;
        std::string scale = tensor.name;
        if (scale.ends_with(".weight")) scale.resize(scale.size() - 7);
        scale += ".scale";
        const TensorInfo* scales = narrow.find(scale);
        ASSERT_NE(scales, nullptr) << scale;
        EXPECT_EQ(scales->shape, std::vector<int64_t>{tensor.shape[0]});
      }
    }
  }
}

TEST_F(EncoderDecoderImport, HigherPrecisionByName) {
  copy("mbart");
  ConvertOptions options;
  options.precision = Precision::kInt8;
  options.higher_precision = {"decoder.layers.1.cross.kv", "lm_head"};
  const Container container = convert(options);
  EXPECT_EQ(container.find("decoder.layers.1.cross.kv.weight")->dtype, Format::kBf16);
  EXPECT_EQ(container.find("lm_head.weight")->dtype, Format::kBf16);
  EXPECT_EQ(container.find("lm_head.scale"), nullptr);
  EXPECT_EQ(container.find("decoder.layers.0.cross.kv.weight")->dtype, Format::kS8);
  options.higher_precision = {"layers.1.cross.kv"};
  EXPECT_ERROR(convert(options), Status::kInvalidArgument,
               "no product of the model is called \"layers.1.cross.kv\"");
}

}  // namespace
}  // namespace headlane
