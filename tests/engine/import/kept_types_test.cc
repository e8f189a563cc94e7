// A GGUF model whose tensors have types of 4 to 8 bits side by side: each keeps its own, and the
// model multiplies by them.
#include "engine/import/write/kept_types.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <random>
#include <vector>

#include "engine/file/container.h"
#include "engine/file/container_write.h"
#include "engine/file/weight_groups.h"
#include "engine/generate/generator.h"
#include "engine/import/convert.h"
#include "engine/import/source/gguf_types.h"
#include "engine/model/model.h"
#include "tests/support/expect_error.h"
#include "tests/support/gguf_writer.h"
#include "tests/support/temp_dir.h"

namespace headlane {
namespace {

using kernels::Format;

class KeptTypesTest : public testing::Test {
 protected:
  static constexpr int kD = 256, kVocab = 48;
  enum Type : uint32_t { kF32, kF16, kQ40, kQ50 = 6, kQ51, kQ80, kQ4K = 12, kQ5K, kQ6K };

  // A block of a type: random codes, and scales that make numbers of about 0.03.
  static std::string random_block(const GgufType& type, std::mt19937* random) {
    const auto half = [&](float x) {
      const uint16_t bits = f16_from_f32(x * (0.5f + static_cast<float>((*random)() % 100) / 100));
      return std::string{static_cast<char>(bits & 255), static_cast<char>(bits >> 8)};
    };
    std::string bytes(static_cast<size_t>(type.block_bytes), '\0');
    for (char& byte : bytes) byte = static_cast<char>((*random)());
    switch (type.id) {
      case kF16:
        return half(0.03f);
      case kQ40:
        return bytes.replace(0, 2, half(0.006f));
      case kQ50:
        return bytes.replace(0, 2, half(0.003f));
      case kQ51:
        return bytes.replace(0, 4, half(0.003f) + half(-0.045f));
      case kQ80:
        return bytes.replace(0, 2, half(0.0004f));
      case kQ4K:
        return bytes.replace(0, 4, half(0.0002f) + half(0.0015f));
      case kQ5K:
        return bytes.replace(0, 4, half(0.0001f) + half(0.0015f));
      default:  // Q6_K
        return bytes.replace(208, 2, half(0.00002f));
    }
  }

  // A Llama of one layer. Tensors that `types` has not are Q8_0, and norms f32.
  std::string make(const std::map<std::string, Type>& types) {
    struct Tensor {
      const char* name;
      uint64_t rows;
    };
    constexpr Tensor kTensors[] = {
        {"token_embd", kVocab}, {"output", kVocab},     {"blk.0.attn_q", kD},
        {"blk.0.attn_k", 128},  {"blk.0.attn_v", 128},  {"blk.0.attn_output", kD},
        {"blk.0.ffn_gate", 96}, {"blk.0.ffn_up", 96},   {"blk.0.ffn_down", kD},
        {"output_norm", 0},     {"blk.0.attn_norm", 0}, {"blk.0.ffn_norm", 0}};
    GgufBytes bytes;
    bytes.begin(std::size(kTensors), 8)
        .text_field("general.architecture", "llama")
        .u32_field("llama.embedding_length", kD)
        .u32_field("llama.attention.head_count", 4)
        .u32_field("llama.attention.head_count_kv", 2)
        .u32_field("llama.block_count", 1)
        .u32_field("llama.context_length", 64)
        .u32_field("llama.feed_forward_length", 96)
        .f32_field("llama.attention.layer_norm_rms_epsilon", 1e-5F);
    std::mt19937 random(7);
    std::string data;
    for (const auto& [name, rows] : kTensors) {
      const auto found = types.find(name);
      const uint32_t id = rows == 0 ? kF32 : found == types.end() ? kQ80 : found->second;
      const GgufType& type = *find_gguf_type(id);
      const bool is_down = std::string(name) == "blk.0.ffn_down";
      const uint64_t columns = is_down ? 96 : kD;
      const std::vector<uint64_t> dims =
          rows == 0 ? std::vector<uint64_t>{kD} : std::vector<uint64_t>{columns, rows};
      bytes.tensor(std::string(name) + ".weight", dims, id, data.size());
      const uint64_t elements = std::max<uint64_t>(rows, 1) * columns;
      for (uint64_t i = 0; i < elements; i += static_cast<uint64_t>(type.block)) {
        const float one = 1;
        data += rows == 0 ? std::string(reinterpret_cast<const char*>(&one), 4)
                          : random_block(type, &random);
      }
      data.resize((data.size() + 31) / 32 * 32);
    }
    write_file(path_, bytes.align().raw(data).bytes());
    return path_;
  }

  std::string convert(const char* out, std::optional<Precision> precision = std::nullopt,
                      std::optional<std::vector<std::string>> higher = std::nullopt) {
    ConvertOptions options;
    options.precision = precision;
    options.higher_precision = std::move(higher);
    convert_model(path_, dir_.file(out), options);
    return dir_.file(out);
  }

  static std::map<std::string, Format> formats(const Container& file) {
    std::map<std::string, Format> result;
    for (const TensorInfo& tensor : file.tensors()) result[tensor.name] = tensor.dtype;
    return result;
  }

  static std::vector<float> floats(const Container& file, const std::string& name) {
    const TensorInfo& tensor = *file.find(name);
    const int64_t k = tensor.shape[1], bytes = row_bytes(tensor.dtype, k);
    std::vector<float> all(static_cast<size_t>(tensor.shape[0] * k));
    const std::byte* data = file.data(tensor).data();
    for (int64_t i = 0; i < tensor.shape[0]; ++i) {
      float* row = all.data() + i * k;
      if (tensor.dtype == Format::kF32)
        std::memcpy(row, data + i * bytes, static_cast<size_t>(bytes));
      else
        groups_to_floats(tensor.dtype, data + i * bytes, k, row);
    }
    return all;
  }

  // Whether the tensors `parts` of the file as it was kept, beneath each other, are the tensor
  // `whole` of the same in f32: to the bit, or within that.
  void expect_kept(const Container& kept, const Container& wide, const std::string& whole,
                   const std::vector<std::string>& parts, double within) {
    const std::vector<float> expected = floats(wide, whole);
    size_t at = 0;
    for (const std::string& part : parts) {
      for (const float x : floats(kept, part)) {
        ASSERT_NEAR(x, expected[at], within) << part << " " << at;
        ++at;
      }
    }
    EXPECT_EQ(at, expected.size()) << whole;
  }

  // The logits of some ids, all in one step or one by one.
  static std::vector<float> logits(const Model& model, int64_t n_threads, bool one_by_one) {
    GeneratorOptions options;
    options.max_sources = 1;
    options.max_source_len = 32;
    options.max_new_tokens = 8;
    options.all_logits = true;
    options.n_threads = n_threads;
    Generator generator(model, generator_limits(model, options), nullptr, {});
    Decoder& decoder = generator.decoder();
    std::vector<int32_t> ids;
    for (int32_t i = 0; i < 20; ++i) ids.push_back(i * 7 % kVocab);
    const int64_t offsets[] = {0, std::ssize(ids)};
    TokenBatch batch;
    batch.n_seqs = 1;
    batch.offsets = offsets;
    batch.ids = ids.data();
    decoder.encode(batch, nullptr, nullptr);
    const int64_t n = std::ssize(ids), room = n + 8;
    for (int64_t begin = 0, end = one_by_one ? 1 : n; begin < n; begin = end++) {
      const int64_t step_offsets[] = {0, end - begin};
      StepBatch step;
      step.n_rows = 1;
      step.offsets = step_offsets;
      step.ids = ids.data() + begin;
      step.rooms = &room;
      step.k = 1;
      step.all_logits = true;
      decoder.step(step);
    }
    const float* all = decoder.next(0).all;
    return {all, all + kVocab};
  }

  static std::unique_ptr<Model> open(const std::string& file, const char* precision = "",
                                     const std::string& isa = "") {
    ModelOptions options;
    options.precision = precision;
    options.isa = isa;
    return Model::open(file, options);
  }

  // Whether the file as it was kept has the logits of its twin in f32: to `own`, a part of their
  // length, where it is computed in f32, and as near as products in groups are where it is not
  // (golden_language_model_test.cc); and the same bits on every instruction set but for attention,
  // for any number of threads, and token by token.
  void expect_logits(const std::string& kept, const std::string& wide, double own) {
    const std::vector<float> expected = logits(*open(wide), 1, false);
    const auto off = [&](const std::vector<float>& other) {
      double exact = 0, sum = 0;
      for (size_t i = 0; i < expected.size(); ++i) {
        const double x = other[i], y = expected[i];
        exact += y * y, sum += (x - y) * (x - y);
      }
      return std::sqrt(sum / exact);
    };
    EXPECT_LE(off(logits(*open(kept, "f32"), 1, false)), own);
    for (const kernels::Table* table : kernels::supported()) {
      const std::unique_ptr<Model> model = open(kept, "", table->isa);
      const std::vector<float> once = logits(*model, 1, false);
      EXPECT_LE(off(once), std::sqrt(32.0) * 12 / 254) << table->isa;
      EXPECT_EQ(logits(*model, 3, false), once) << table->isa;
      EXPECT_EQ(logits(*model, 2, true), once) << table->isa;
    }
  }

  TempDir dir_;
  const std::string path_ = dir_.file("a.gguf");
};

// The mix of llama.cpp's files of 4 and 5 bits, with every type of 4 to 8 bits somewhere.
TEST_F(KeptTypesTest, EachTensorKeepsItsType) {
  make({{"token_embd", kQ40},
        {"output", kQ6K},
        {"blk.0.attn_q", kQ4K},
        {"blk.0.attn_k", kQ4K},
        {"blk.0.attn_v", kQ6K},
        {"blk.0.attn_output", kQ5K},
        {"blk.0.ffn_gate", kQ50},
        {"blk.0.ffn_up", kQ80},
        {"blk.0.ffn_down", kQ51}});
  const Container kept = Container::open(convert("kept"));
  const Container wide = Container::open(convert("wide", Precision::kF32));
  const std::string layer = "decoder.layers.0.", qkv = layer + "attention.qkv";
  const auto of = formats(kept);
  EXPECT_EQ(of.at("decoder.embeddings.word"), Format::kU4Groups);
  EXPECT_EQ(of.at("lm_head.weight"), Format::kS6Groups);
  EXPECT_EQ(of.at(qkv + ".part.0.weight"), Format::kU4Groups);
  EXPECT_EQ(of.at(qkv + ".part.1.weight"), Format::kS6Groups);
  EXPECT_EQ(of.count(qkv + ".weight"), 0U);
  EXPECT_EQ(of.at(layer + "attention.out.weight"), Format::kU5Groups);
  EXPECT_EQ(of.at(layer + "ffn.up.part.0.weight"), Format::kU5Groups);
  EXPECT_EQ(of.at(layer + "ffn.up.part.1.weight"), Format::kS8Groups);
  EXPECT_EQ(of.at(layer + "ffn.down.weight"), Format::kU5Groups);
  // 2^-11 of a minimum, and of a scale times its largest code: 1.5 * 0.0015 * 63, 1.5 * 0.0002 * 63
  // * 15 or as much of 5 bits.
  const double rounding = (0.15 + 0.3) * 0x1p-11;
  expect_kept(kept, wide, "decoder.embeddings.word", {"decoder.embeddings.word"}, 0);
  expect_kept(kept, wide, "lm_head.weight", {"lm_head.weight"}, rounding);
  expect_kept(kept, wide, qkv + ".weight", {qkv + ".part.0.weight", qkv + ".part.1.weight"},
              rounding);
  expect_kept(kept, wide, layer + "attention.out.weight", {layer + "attention.out.weight"},
              rounding);
  const std::string up = layer + "ffn.up";
  expect_kept(kept, wide, up + ".weight", {up + ".part.0.weight", up + ".part.1.weight"}, 0);
  expect_kept(kept, wide, layer + "ffn.down.weight", {layer + "ffn.down.weight"}, 0);
  const std::unique_ptr<Model> model = open(dir_.file("kept"));
  EXPECT_EQ(model->precision(), Precision::kInt4);
  const ModelConfig& config = model->config();
  EXPECT_EQ(config.precision_of(qkv + ".part.0", Precision::kInt4), Precision::kInt4);
  EXPECT_EQ(config.precision_of(qkv + ".part.1", Precision::kInt4), Precision::kInt6);
  EXPECT_EQ(config.precision_of(layer + "ffn.down", Precision::kInt4), Precision::kInt5);
  EXPECT_EQ(config.precision_of(layer + "ffn.down", Precision::kInt8Groups),
            Precision::kInt8Groups);
  EXPECT_EQ(config.precision_of("lm_head", Precision::kF32), Precision::kF32);
  expect_logits(dir_.file("kept"), dir_.file("wide"), 0x1p-9);
}

// Q8_0 and Q4_0 say no more than older versions know; a table of words in 4 bits takes no product
// with it.
TEST_F(KeptTypesTest, TwoPrecisionsAreHigherAndLower) {
  make({{"blk.0.ffn_down", kQ40}});
  Json config = Container::open(convert("a")).config();
  EXPECT_FALSE(config.contains("precisions"));
  EXPECT_EQ(config["higher_precision"].size(), 4U);
  expect_logits(dir_.file("a"), convert("wide", Precision::kF32), 1e-6);
  make({{"token_embd", kQ40}});
  config = Container::open(convert("a")).config();
  EXPECT_EQ(config["higher_precision"].size(), 5U);
  expect_logits(dir_.file("a"), convert("wide", Precision::kF32), 1e-6);
}

// Floats are kept in 8 bits beside groups of fewer, and in bf16 beside those of 8. A product that
// is to have a higher precision stays one.
TEST_F(KeptTypesTest, FloatsAndNamedProducts) {
  make({{"blk.0.attn_v", kQ50}, {"blk.0.ffn_down", kF16}});
  const std::string qkv = "decoder.layers.0.attention.qkv";
  auto of = formats(Container::open(convert("a")));
  EXPECT_EQ(of.at("decoder.layers.0.ffn.down.weight"), Format::kS8Groups);
  EXPECT_EQ(of.at(qkv + ".part.1.weight"), Format::kU5Groups);
  of = formats(Container::open(convert("b", std::nullopt, std::vector{qkv})));
  EXPECT_EQ(of.at(qkv + ".weight"), Format::kBf16);
  EXPECT_EQ(of.at("decoder.layers.0.ffn.down.weight"), Format::kBf16);
  EXPECT_ERROR(convert("c", std::nullopt, std::vector<std::string>{"decoder.none"}),
               Status::kInvalidArgument, "decoder.none");
}

// Parts that are not all of a product, or that no product can have side by side.
TEST_F(KeptTypesTest, DamagedParts) {
  make({{"blk.0.attn_v", kQ50}});
  const Container whole = Container::open(convert("a"));
  const std::string part = "decoder.layers.0.attention.qkv.part.";
  const auto expect_bad = [&](const auto& spoil, const std::string& words) {
    Json config = whole.config();
    std::vector<TensorSource> tensors;
    for (const TensorInfo& tensor : whole.tensors()) {
      tensors.push_back({tensor.name, tensor.dtype, tensor.shape, whole.data(tensor)});
    }
    spoil(&config, &tensors);
    write_container(dir_.file("b"), config, whole.tokenizer(), tensors);
    EXPECT_ERROR(open(dir_.file("b")), Status::kBadFile, words);
  };
  const auto cut = [&](const std::string& name, int64_t rows) {
    return [=](Json*, std::vector<TensorSource>* tensors) {
      for (TensorSource& tensor : *tensors) {
        if (tensor.name != name + ".weight") continue;
        tensor.shape[0] = rows;
        const auto bytes = static_cast<size_t>(rows * row_bytes(tensor.dtype, kD));
        tensor.data = tensor.data.first(bytes);
      }
    };
  };
  expect_bad(cut(part + "0", 383), "has 383 rows");
  expect_bad(cut(part + "0", 352), "part.2.weight\" has 0 rows");
  expect_bad(cut(part + "1", 64), "part.2.weight\" has 0 rows");
  expect_bad(
      [&](Json*, std::vector<TensorSource>* tensors) {
        std::erase_if(*tensors, [&](const auto& own) { return own.name == part + "1.weight"; });
      },
      "part.1.weight\" has 0 rows");
  expect_bad(
      [&](Json* config, auto*) {
        (*config)["precisions"] = {{{"name", part + "1"}, {"precision", "bf16"}}};
      },
      "do not go together");
  expect_bad(
      [&](Json* config, auto*) {
        (*config)["precisions"] = {{{"name", part + "1"}, {"precision", "int7"}}};
      },
      "\"precision\" is \"int7\"");
}

}  // namespace
}  // namespace headlane
