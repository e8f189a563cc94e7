// A BERT of a few hundred numbers as Hugging Face keeps it, and what must become of it.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "engine/file/container.h"
#include "tests/support/safetensors_writer.h"

namespace headlane {

inline constexpr int64_t kVocab = 11, kTypes = 2, kPositions = 16, kLayers = 2, kD = 4, kFf = 6;

inline nlohmann::json tiny_config() {
  return {{"model_type", "bert"},
          {"vocab_size", kVocab},
          {"type_vocab_size", kTypes},
          {"max_position_embeddings", kPositions},
          {"num_hidden_layers", kLayers},
          {"hidden_size", kD},
          {"num_attention_heads", 2},
          {"intermediate_size", kFf},
          {"hidden_act", "gelu"},
          {"layer_norm_eps", 1e-12},
          {"position_embedding_type", "absolute"},
          {"hidden_dropout_prob", 0.1}};
}

// Every element of the model is another number.
inline std::vector<TestTensor> tiny_tensors(const std::string& prefix = "",
                                            bool legacy_norms = false) {
  std::vector<TestTensor> tensors;
  float next = 0;
  const auto add = [&](const std::string& name, const std::vector<int64_t>& shape) {
    int64_t n = 1;
    for (const int64_t size : shape) n *= size;
    std::vector<float> values(static_cast<size_t>(n));
    for (float& value : values) value = next += 0.25f;
    tensors.push_back(f32_tensor(prefix + name, shape, values));
  };
  const auto linear = [&](const std::string& name, int64_t n_out, int64_t n_in) {
    add(name + ".weight", {n_out, n_in});
    add(name + ".bias", {n_out});
  };
  const auto norm = [&](const std::string& name) {
    add(name + (legacy_norms ? ".LayerNorm.gamma" : ".LayerNorm.weight"), {kD});
    add(name + (legacy_norms ? ".LayerNorm.beta" : ".LayerNorm.bias"), {kD});
  };
  add("embeddings.word_embeddings.weight", {kVocab, kD});
  add("embeddings.position_embeddings.weight", {kPositions, kD});
  add("embeddings.token_type_embeddings.weight", {kTypes, kD});
  norm("embeddings");
  for (int64_t i = 0; i < kLayers; ++i) {
    const std::string layer = "encoder.layer." + std::to_string(i) + ".";
    for (const char* part : {"query", "key", "value"}) {
      linear(layer + "attention.self." + part, kD, kD);
    }
    linear(layer + "attention.output.dense", kD, kD);
    norm(layer + "attention.output");
    linear(layer + "intermediate.dense", kFf, kD);
    linear(layer + "output.dense", kD, kFf);
    norm(layer + "output");
  }
  tensors.push_back({prefix + "embeddings.position_ids", "I64", {1, 1}, std::string(8, 0)});
  return tensors;
}

// The bytes of a tensor by its Hugging Face name.
inline std::string source_data(const std::string& name) {
  for (const TestTensor& tensor : tiny_tensors()) {
    if (tensor.name == name) return tensor.data;
  }
  ADD_FAILURE() << "no source tensor " << name;
  return {};
}

inline void expect_tensor(const Container& model, const std::string& name,
                          const std::vector<int64_t>& shape,
                          const std::vector<std::string>& sources) {
  const TensorInfo* tensor = model.find(name);
  ASSERT_NE(tensor, nullptr) << name;
  EXPECT_EQ(tensor->dtype, Format::kF32) << name;
  EXPECT_EQ(tensor->shape, shape) << name;
  std::string expected;
  for (const std::string& source : sources) expected += source_data(source);
  const auto data = model.data(*tensor);
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(data.data()), data.size()), expected) << name;
}

// All of them, and no others.
inline void expect_tiny_tensors(const Container& model) {
  expect_tensor(model, "encoder.embeddings.word", {kVocab, kD},
                {"embeddings.word_embeddings.weight"});
  expect_tensor(model, "encoder.positions.weight", {kPositions, kD},
                {"embeddings.position_embeddings.weight"});
  expect_tensor(model, "encoder.embeddings.type", {kTypes, kD},
                {"embeddings.token_type_embeddings.weight"});
  expect_tensor(model, "encoder.embeddings.norm.weight", {kD}, {"embeddings.LayerNorm.weight"});
  expect_tensor(model, "encoder.embeddings.norm.bias", {kD}, {"embeddings.LayerNorm.bias"});
  for (int64_t i = 0; i < kLayers; ++i) {
    const std::string to = "encoder.layers." + std::to_string(i) + ".";
    const std::string from = "encoder.layer." + std::to_string(i) + ".";
    const std::string self = from + "attention.self.";
    expect_tensor(model, to + "attention.qkv.weight", {3 * kD, kD},
                  {self + "query.weight", self + "key.weight", self + "value.weight"});
    expect_tensor(model, to + "attention.qkv.bias", {3 * kD},
                  {self + "query.bias", self + "key.bias", self + "value.bias"});
    const auto both = [&](const std::string& name, const std::string& source, int64_t n_out,
                          const std::vector<int64_t>& shape) {
      expect_tensor(model, to + name + ".weight", shape, {from + source + ".weight"});
      expect_tensor(model, to + name + ".bias", {n_out}, {from + source + ".bias"});
    };
    both("attention.out", "attention.output.dense", kD, {kD, kD});
    both("attention.norm", "attention.output.LayerNorm", kD, {kD});
    both("ffn.up", "intermediate.dense", kFf, {kFf, kD});
    both("ffn.down", "output.dense", kD, {kD, kFf});
    both("ffn.norm", "output.LayerNorm", kD, {kD});
  }
  EXPECT_EQ(model.tensors().size(), 5u + 12u * kLayers);
}

}  // namespace headlane
