// State dicts of PyTorch modules: a small one on disk, changed in one place per test.
#include <gtest/gtest.h>

#include <filesystem>

#include "engine/file/container.h"
#include "engine/import/convert.h"
#include "engine/import/pytorch/pytorch.h"
#include "engine/spec/config.h"
#include "tests/support/expect_error.h"
#include "tests/support/safetensors_writer.h"
#include "tests/support/temp_dir.h"

namespace headlane {
namespace {

using nlohmann::json;

constexpr int64_t kD = 4, kDFf = 6;

TestTensor numbers(const std::string& name, const std::vector<int64_t>& shape) {
  int64_t n = 1;
  for (const int64_t size : shape) n *= size;
  std::vector<float> values;
  for (int64_t i = 0; i < n; ++i) values.push_back(static_cast<float>(i));
  return f32_tensor(name, shape, values);
}

std::vector<TestTensor> attention_tensors(const std::string& prefix) {
  return {numbers(prefix + "in_proj_weight", {3 * kD, kD}),
          numbers(prefix + "in_proj_bias", {3 * kD}), numbers(prefix + "out_proj.weight", {kD, kD}),
          numbers(prefix + "out_proj.bias", {kD})};
}

std::vector<TestTensor> layer_tensors(const std::string& prefix) {
  std::vector<TestTensor> tensors = attention_tensors(prefix + "self_attn.");
  for (const char* norm : {"norm1", "norm2"}) {
    tensors.push_back(numbers(prefix + norm + ".weight", {kD}));
    tensors.push_back(numbers(prefix + norm + ".bias", {kD}));
  }
  tensors.push_back(numbers(prefix + "linear1.weight", {kDFf, kD}));
  tensors.push_back(numbers(prefix + "linear1.bias", {kDFf}));
  tensors.push_back(numbers(prefix + "linear2.weight", {kD, kDFf}));
  tensors.push_back(numbers(prefix + "linear2.bias", {kD}));
  return tensors;
}

void append(std::vector<TestTensor>* to, const std::vector<TestTensor>& more) {
  to->insert(to->end(), more.begin(), more.end());
}

std::vector<TestTensor> decoder_layer_tensors(const std::string& prefix) {
  std::vector<TestTensor> tensors = layer_tensors(prefix);
  append(&tensors, attention_tensors(prefix + "multihead_attn."));
  append(&tensors, {numbers(prefix + "norm3.weight", {kD}), numbers(prefix + "norm3.bias", {kD})});
  return tensors;
}

// nn.Transformer's of two layers and one.
std::vector<TestTensor> transformer_tensors(const std::string& prefix = "") {
  std::vector<TestTensor> tensors = layer_tensors(prefix + "encoder.layers.0.");
  append(&tensors, layer_tensors(prefix + "encoder.layers.1."));
  append(&tensors, decoder_layer_tensors(prefix + "decoder.layers.0."));
  for (const char* stack : {"encoder", "decoder"}) {
    append(&tensors, {numbers(prefix + stack + ".norm.weight", {kD}),
                      numbers(prefix + stack + ".norm.bias", {kD})});
  }
  return tensors;
}

std::vector<TestTensor> without(const std::vector<TestTensor>& tensors, const std::string& name) {
  std::vector<TestTensor> rest;
  std::copy_if(tensors.begin(), tensors.end(), std::back_inserter(rest),
               [&](const TestTensor& tensor) { return tensor.name != name; });
  EXPECT_EQ(rest.size() + 1, tensors.size()) << name;
  return rest;
}

class ImportPyTorch : public testing::Test {
 protected:
  ImportPyTorch() { std::filesystem::create_directory(dir_); }

  void write(const json& config, const std::vector<TestTensor>& tensors,
             const std::string& weights = "model.safetensors",
             const std::string& config_name = "config.json") {
    write_file(dir_ + "/" + weights, safetensors_bytes(tensors));
    write_file(dir_ + "/" + config_name, config.dump());
  }
  ModelConfig convert(const std::string& path = "") {
    convert_model(path.empty() ? dir_ : path, out_, {});
    container_ = std::make_unique<Container>(Container::open(out_));
    return ModelConfig::from_json(container_->config(), out_);
  }

  TempDir temp_;
  std::string dir_ = temp_.file("module"), out_ = temp_.file("module.headlane");
  std::unique_ptr<Container> container_;
};

const json kLayer = {{"d_model", kD}, {"nhead", 2}};

TEST_F(ImportPyTorch, DefaultsArePyTorchs) {
  write(kLayer, layer_tensors(""));
  const ModelConfig config = convert();
  EXPECT_EQ(config.architecture, "layers");
  EXPECT_EQ(config.encoder.n_layers, 1);
  EXPECT_EQ(config.d_model, kD);
  EXPECT_EQ(config.encoder.d_ff, kDFf);
  EXPECT_EQ(config.encoder.attention.n_heads, 2);
  EXPECT_EQ(config.encoder.attention.head_dim, 2);
  EXPECT_EQ(config.encoder.activation, Activation::kRelu);
  EXPECT_EQ(config.encoder.norm, NormPlacement::kPost);
  EXPECT_TRUE(config.encoder.residual);
  EXPECT_FALSE(config.encoder.final_norm);
  EXPECT_FALSE(config.batch_first);
  EXPECT_EQ(config.encoder.norm_eps, 1e-5f);
  EXPECT_EQ(config.encoder.positions, Positions::kNone);
  // Q, K and V are the thirds of in_proj.
  EXPECT_EQ(container_->f32("encoder.layers.0.attention.q.weight", {kD, kD})[0], 0.0f);
  EXPECT_EQ(container_->f32("encoder.layers.0.attention.k.weight", {kD, kD})[0], 16.0f);
  EXPECT_EQ(container_->f32("encoder.layers.0.attention.v.bias", {kD})[0], 8.0f);
}

TEST_F(ImportPyTorch, EveryFieldIsRead) {
  json config = kLayer;
  config.update({{"norm_first", true},
                 {"activation", "gelu"},
                 {"layer_norm_eps", 0.001},
                 {"batch_first", true},
                 {"positions", "sinusoidal"},
                 {"max_positions", 30}});
  std::vector<TestTensor> tensors = layer_tensors("layers.0.");
  for (const TestTensor& tensor : layer_tensors("layers.1.")) tensors.push_back(tensor);
  tensors.push_back(numbers("norm.weight", {kD}));
  write(config, tensors);
  const ModelConfig read = convert();
  EXPECT_EQ(read.encoder.n_layers, 2);
  EXPECT_EQ(read.encoder.norm, NormPlacement::kPre);
  EXPECT_EQ(read.encoder.activation, Activation::kGelu);
  EXPECT_EQ(read.encoder.norm_eps, 0.001f);
  EXPECT_TRUE(read.batch_first);
  EXPECT_TRUE(read.encoder.final_norm);
  EXPECT_EQ(read.encoder.positions, Positions::kSinusoidal);
  EXPECT_EQ(read.encoder.max_positions, 30);
}

TEST_F(ImportPyTorch, FilesOfOtherNames) {
  const json config = {{"embed_dim", kD}, {"num_heads", 1}};
  write(config, attention_tensors(""), "mine.safetensors", "mine.json");
  EXPECT_EQ(convert().encoder.d_ff, 0);
  EXPECT_EQ(convert(dir_ + "/mine.safetensors").encoder.norm, NormPlacement::kNone);
}

TEST_F(ImportPyTorch, OtherSizesOfKeysAndValues) {
  write({{"embed_dim", kD}, {"num_heads", 2}, {"kdim", 3}, {"vdim", 5}, {"add_zero_attn", true}},
        {numbers("q_proj_weight", {kD, kD}), numbers("k_proj_weight", {kD, 3}),
         numbers("v_proj_weight", {kD, 5}), numbers("out_proj.weight", {kD, kD})});
  const ModelConfig config = convert();
  EXPECT_EQ(config.kdim, 3);
  EXPECT_EQ(config.vdim, 5);
  EXPECT_EQ(container_->f32("encoder.layers.0.attention.sinks", {2})[1], 0.0f);
  EXPECT_EQ(container_->find("encoder.layers.0.attention.q.bias"), nullptr);
}

TEST_F(ImportPyTorch, LearnedPositions) {
  json config = kLayer;
  config.update({{"positions", "learned"}, {"max_positions", 7}});
  std::vector<TestTensor> tensors = layer_tensors("");
  write(config, tensors);
  EXPECT_ERROR(convert(), Status::kBadFile, "positions.weight");
  tensors.push_back(numbers("positions.weight", {7, kD}));
  write(config, tensors);
  EXPECT_EQ(convert().encoder.positions, Positions::kLearned);
}

// A module that was part of another keeps its name before its tensors'.
TEST_F(ImportPyTorch, PrefixOfAllTensors) {
  for (const std::string prefix : {"module.", "model.encoder."}) {
    std::vector<TestTensor> tensors = layer_tensors(prefix + "layers.0.");
    for (const TestTensor& tensor : layer_tensors(prefix + "layers.1.")) tensors.push_back(tensor);
    write(kLayer, tensors);
    EXPECT_EQ(convert().encoder.n_layers, 2) << prefix;
    EXPECT_NE(container_->find("encoder.layers.1.ffn.up.bias"), nullptr) << prefix;
    write(kLayer, attention_tensors(prefix));
    EXPECT_EQ(convert().encoder.d_ff, 0) << prefix;
    tensors.push_back(numbers("norm.weight", {kD}));  // not of all
    write(kLayer, tensors);
    EXPECT_ERROR(convert(), Status::kBadFile, "none of the tensors");
  }
  std::vector<TestTensor> tensors = layer_tensors("module.");
  tensors.erase(tensors.begin() + 4);
  write(kLayer, tensors);
  EXPECT_ERROR(convert(), Status::kBadFile, "\"module.norm1.weight\" is missing");
}

// Without, a lost bias would be taken for a module without biases, and numbers be wrong.
TEST_F(ImportPyTorch, BiasesAreAllThereOrNone) {
  const std::vector<TestTensor> whole = layer_tensors("");
  std::vector<TestTensor> none;
  for (size_t lost = 0; lost < whole.size(); ++lost) {
    if (!whole[lost].name.ends_with("bias")) {
      none.push_back(whole[lost]);
      continue;
    }
    std::vector<TestTensor> tensors = whole;
    tensors.erase(tensors.begin() + static_cast<std::ptrdiff_t>(lost));
    write(kLayer, tensors);
    EXPECT_ERROR(convert(), Status::kBadFile, "\"" + whole[lost].name + "\" is missing");
  }
  write(kLayer, none);
  convert();
  EXPECT_EQ(container_->find("encoder.layers.0.attention.q.bias"), nullptr);
}

TEST_F(ImportPyTorch, FeedForwardHasAtLeastOneColumn) {
  for (const std::vector<int64_t>& shape : {std::vector<int64_t>{}, {0, kD}, {kD}}) {
    std::vector<TestTensor> tensors = layer_tensors("");
    for (TestTensor& tensor : tensors) {
      if (tensor.name == "linear1.weight") tensor = numbers(tensor.name, shape);
    }
    write(kLayer, tensors);
    EXPECT_ERROR(convert(), Status::kBadFile, "\"linear1.weight\" field \"shape\" is [");
  }
}

TEST_F(ImportPyTorch, DecoderLayer) {
  write(kLayer, decoder_layer_tensors(""));
  const ModelConfig config = convert();
  EXPECT_EQ(config.architecture, "layers");
  EXPECT_TRUE(config.has_decoder());
  EXPECT_EQ(config.encoder.n_layers, 0);
  EXPECT_EQ(config.decoder.n_layers, 1);
  EXPECT_EQ(config.decoder.d_ff, kDFf);
  for (const AttentionSpec* spec : {&config.decoder.attention, &config.decoder.cross}) {
    EXPECT_EQ(spec->n_heads, 2);
    EXPECT_EQ(spec->head_dim, 2);
    EXPECT_EQ(spec->causal, Causal::kNone);
  }
  EXPECT_EQ(config.decoder.norm, NormPlacement::kPost);
  EXPECT_FALSE(config.decoder.final_norm);
  EXPECT_EQ(container_->f32("decoder.layers.0.attention.k.weight", {kD, kD})[0], 16.0f);
  EXPECT_EQ(container_->f32("decoder.layers.0.cross.v.bias", {kD})[0], 8.0f);
  EXPECT_NE(container_->find("decoder.layers.0.cross.norm.bias"), nullptr);
  EXPECT_NE(container_->find("decoder.layers.0.ffn.norm.bias"), nullptr);
}

TEST_F(ImportPyTorch, DecoderWithAllOptions) {
  json config = kLayer;
  config.update({{"norm_first", true},
                 {"activation", "gelu"},
                 {"causal", true},
                 {"num_layers", 2},
                 {"dim_feedforward", kDFf},
                 {"positions", "learned"},
                 {"max_positions", 7}});
  for (const std::string prefix : {"", "decoder.", "model.decoder."}) {
    std::vector<TestTensor> tensors = decoder_layer_tensors(prefix + "layers.0.");
    append(&tensors, decoder_layer_tensors(prefix + "layers.1."));
    append(&tensors,
           {numbers(prefix + "norm.weight", {kD}), numbers(prefix + "positions.weight", {7, kD})});
    write(config, tensors);
    const ModelConfig read = convert();
    EXPECT_EQ(read.decoder.n_layers, 2) << prefix;
    EXPECT_EQ(read.decoder.attention.causal, Causal::kUpperLeft);
    EXPECT_EQ(read.decoder.cross.causal, Causal::kNone);
    EXPECT_EQ(read.decoder.activation, Activation::kGelu);
    EXPECT_TRUE(read.decoder.final_norm);
    EXPECT_FALSE(read.decoder.biases) << "the final norm has none";
    EXPECT_NE(container_->find("decoder.positions.weight"), nullptr);
    EXPECT_NE(container_->find("decoder.norm.weight"), nullptr);
    EXPECT_EQ(container_->find("decoder.norm.bias"), nullptr);
  }
}

TEST_F(ImportPyTorch, Transformer) {
  json config = kLayer;
  config.update({{"num_encoder_layers", 2}, {"num_decoder_layers", 1}, {"causal", true}});
  for (const std::string prefix : {"", "module.", "model.transformer."}) {
    write(config, transformer_tensors(prefix));
    const ModelConfig read = convert();
    EXPECT_EQ(read.encoder.n_layers, 2) << prefix;
    EXPECT_EQ(read.encoder.d_ff, kDFf);
    EXPECT_EQ(read.decoder.n_layers, 1);
    EXPECT_TRUE(read.encoder.final_norm);
    EXPECT_EQ(read.encoder.attention.causal, Causal::kNone);
    EXPECT_EQ(read.decoder.attention.causal, Causal::kUpperLeft);
    EXPECT_NE(container_->find("encoder.layers.1.ffn.up.bias"), nullptr);
    EXPECT_NE(container_->find("encoder.norm.bias"), nullptr);
    EXPECT_NE(container_->find("decoder.norm.bias"), nullptr);
  }
}

// Both inputs have tables of their own.
TEST_F(ImportPyTorch, PositionsOfATransformer) {
  json config = kLayer;
  config.update({{"positions", "learned"}, {"max_positions", 7}});
  std::vector<TestTensor> tensors = transformer_tensors();
  append(&tensors, {numbers("src_positions.weight", {7, kD})});
  write(config, tensors);
  EXPECT_ERROR(convert(), Status::kBadFile, "\"tgt_positions.weight\" is missing");
  append(&tensors, {numbers("tgt_positions.weight", {7, kD})});
  write(config, tensors);
  convert();
  EXPECT_NE(container_->find("encoder.positions.weight"), nullptr);
  EXPECT_NE(container_->find("decoder.positions.weight"), nullptr);
}

// Every tensor that a decoder or a whole Transformer lacks is named, and so is one too many.
TEST_F(ImportPyTorch, DecodersTensorsAreAllThere) {
  const std::vector<TestTensor> layer = decoder_layer_tensors("layers.0.");
  for (const TestTensor& lost : layer) {
    write(kLayer, without(layer, lost.name));
    EXPECT_ERROR(convert(), Status::kBadFile, "\"" + lost.name + "\" is missing");
  }
  const std::vector<TestTensor> whole = transformer_tensors();
  for (const TestTensor& lost : whole) {
    write(kLayer, without(whole, lost.name));
    EXPECT_ERROR(convert(), Status::kBadFile, "\"" + lost.name + "\" is missing");
  }
  std::vector<TestTensor> more = whole;
  append(&more, {numbers("encoder.layers.0.norm3.weight", {kD})});
  write(kLayer, more);
  EXPECT_ERROR(convert(), Status::kUnsupported, "\"encoder.layers.0.norm3.weight\" has no place");
}

TEST_F(ImportPyTorch, ArgumentsThatTheTensorsDenyAreNamed) {
  for (const auto& [field, words] :
       {std::pair{"num_encoder_layers", "is 5, but"},
        {"num_decoder_layers", "has 1 layers"},
        {"dim_feedforward", "has 6 rows of \"encoder.layers.0.linear1.weight\""}}) {
    json config = kLayer;
    config[field] = 5;
    write(config, transformer_tensors());
    EXPECT_ERROR(convert(), Status::kBadFile, words);
  }
  json config = kLayer;
  config["kdim"] = 7;
  write(config, decoder_layer_tensors(""));
  EXPECT_ERROR(convert(), Status::kBadFile, "kdim is 7");
  config = kLayer;
  config["causal"] = 1;
  write(config, decoder_layer_tensors(""));
  EXPECT_ERROR(convert(), Status::kBadFile, "causal");
}

// A causal encoder, such as a language model of nn.TransformerEncoder.
TEST_F(ImportPyTorch, CausalEncoder) {
  json config = kLayer;
  config["causal"] = true;
  write(config, layer_tensors(""));
  EXPECT_EQ(convert().encoder.attention.causal, Causal::kUpperLeft);
}

TEST_F(ImportPyTorch, CausalAttentionWithPositions) {
  json config = kLayer;
  config.update({{"causal", true}, {"positions", "learned"}, {"max_positions", 7}});
  std::vector<TestTensor> tensors = attention_tensors("");
  append(&tensors, {numbers("positions.weight", {7, kD})});
  write(config, tensors);
  EXPECT_EQ(convert().encoder.attention.causal, Causal::kUpperLeft);
  EXPECT_NE(container_->find("encoder.positions.weight"), nullptr);
}

TEST_F(ImportPyTorch, FilesThatCannotBeToldAreNamed) {
  const std::string weights = dir_ + "/mine.safetensors";
  write(kLayer, layer_tensors(""), "mine.safetensors", "other.json");
  EXPECT_ERROR(convert(weights), Status::kIo, "mine.json nor in " + dir_ + "/config.json");
  write({{"d_model", kD}}, layer_tensors(""), "mine.safetensors", "config.json");
  EXPECT_ERROR(convert(), Status::kBadFile, "\"nhead\" is missing");
  write({{"model_type", "bert"}}, layer_tensors(""), "mine.safetensors", "config.json");
  EXPECT_ERROR(convert(weights), Status::kUnsupported, "converted by its folder");
  write(kLayer, layer_tensors(""), "second.safetensors");
  EXPECT_ERROR(convert(), Status::kBadFile, "not just one other .safetensors file");
}

TEST_F(ImportPyTorch, WhatIsWrongIsNamed) {
  const auto refused = [&](const json& change, Status status, const std::string& words) {
    json config = kLayer;
    config.merge_patch(change);
    write(config, layer_tensors(""));
    EXPECT_ERROR(convert(), status, words);
  };
  refused({{"nhead", 3}}, Status::kBadFile, "3 heads do not divide 4 columns");
  refused({{"nhead", 0}}, Status::kBadFile, "0 heads");
  refused({{"d_model", nullptr}}, Status::kBadFile, "\"d_model\" is missing");
  refused({{"d_model", INT64_MAX}}, Status::kBadFile, "d_model");
  refused({{"embed_dim", 4}}, Status::kBadFile, "both fields");
  refused({{"d_model", 8}}, Status::kBadFile, "in_proj_weight");
  refused({{"activation", "swish"}}, Status::kUnsupported, "\"activation\" is \"swish\"");
  refused({{"norm_first", 1}}, Status::kBadFile, "norm_first");
  refused({{"layer_norm_eps", -1}}, Status::kBadFile, "norm_eps");
  refused({{"positions", "alibi"}}, Status::kUnsupported, "positions");
  refused({{"kdim", 7}}, Status::kBadFile, "in_proj_weight");
  std::vector<TestTensor> tensors = layer_tensors("");
  tensors.push_back(numbers("self_attn.bias_k", {1, 1, kD}));
  write(kLayer, tensors);
  EXPECT_ERROR(convert(), Status::kUnsupported, "add_bias_kv");
  tensors.back() = numbers("extra", {2});
  write(kLayer, tensors);
  EXPECT_ERROR(convert(), Status::kUnsupported, "\"extra\" has no place");
  tensors = layer_tensors("");
  tensors.erase(tensors.begin() + 4);
  write(kLayer, tensors);
  EXPECT_ERROR(convert(), Status::kBadFile, "norm1.weight");
  write(kLayer, {numbers("weight", {2, 2})});
  EXPECT_ERROR(convert(), Status::kBadFile, "none of the tensors");
}

}  // namespace
}  // namespace headlane
