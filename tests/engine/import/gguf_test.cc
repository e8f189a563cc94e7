// Models in GGUF: what becomes of one is what becomes of the folder that it was made from.
#include "engine/import/gguf.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <random>
#include <utility>
#include <vector>

#include "engine/file/container.h"
#include "engine/file/json_fields.h"
#include "engine/import/convert.h"
#include "engine/import/gguf/gguf_tokenizer.h"
#include "engine/import/source/gguf_file.h"
#include "engine/import/tokenizers/tokenizer.h"
#include "tests/support/expect_error.h"
#include "tests/support/gguf_writer.h"
#include "tests/support/golden_texts.h"
#include "tests/support/sanitizers.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tokenizer_testing.h"

namespace headlane {
namespace {

const std::string kGolden = HEADLANE_GOLDEN_DIR;

class Gguf : public testing::Test {
 protected:
  Container convert(const std::string& path, const std::string& out) {
    convert_model(path, dir_.file(out), {});
    return Container::open(dir_.file(out));
  }
  Container convert(const std::string& path) { return convert(path, "out"); }

  // A Llama of no tensors, with one more field.
  GgufBytes with_field(std::string_view key, uint32_t value) {
    return GgufBytes()
        .begin(1, 7)
        .text_field("general.architecture", "llama")
        .u32_field("llama.embedding_length", 8)
        .u32_field("llama.attention.head_count", 2)
        .u32_field("llama.block_count", 1)
        .u32_field("llama.context_length", 16)
        .u32_field("llama.feed_forward_length", 8)
        .u32_field(key, value)
        .tensor("token_embd.weight", {8, 4}, 0, 0)
        .align()
        .raw(std::string(128, '\0'));
  }

  TempDir dir_;
  const std::string path_ = dir_.file("a.gguf");
};

// llama.cpp's converter made these files (tests/golden/gguf/make.py). It puts rows of Llama's
// queries and keys into another order, and adds 1 to Gemma's norms.
TEST_F(Gguf, TheTensorsOfItsFolder) {
  for (const char* name : {"llama_2",       "llama_linear", "llama_yarn",   "mistral_no_window",
                           "qwen2",         "qwen3",        "gemma",        "gemma2",
                           "smollm3",       "olmo2",        "phi3",         "phi3_longrope",
                           "glm4",          "gpt2",         "falcon",       "falcon_one_norm",
                           "bloom",         "baichuan_7b",  "mixtral",      "qwen2_moe",
                           "qwen3_moe_all", "olmoe_all",    "glm",          "glm4_moe",
                           "glm4_moe_all",  "gpt_oss",      "gpt_oss_mxfp4"}) {
    const Container gguf = convert(kGolden + "/gguf/" + name + ".gguf", "a");
    const Container folder = convert(kGolden + "/language_models/" + name, "b");
    ASSERT_EQ(gguf.tensors().size(), folder.tensors().size()) << name;
    for (const TensorInfo& tensor : folder.tensors()) {
      const TensorInfo* own = gguf.find(tensor.name);
      ASSERT_NE(own, nullptr) << name << " " << tensor.name;
      EXPECT_EQ(own->shape, tensor.shape) << name << " " << tensor.name;
      EXPECT_TRUE(std::ranges::equal(gguf.data(*own), folder.data(tensor)))
          << name << " " << tensor.name;
    }
  }
}

// A tensor has the matrices of all experts. What stays in its type is what the file widens to.
TEST_F(Gguf, ExpertsKeepTheirType) {
  const std::string path = kGolden + "/gguf/experts.gguf";
  const Container kept = convert(path, "kept");
  ConvertOptions options;
  options.precision = Precision::kF32;
  convert_model(path, dir_.file("f32"), options);
  const Container f32 = Container::open(dir_.file("f32"));
  const kernels::Table& kernels = *kernels::supported().front();
  int n_kept = 0;
  for (const TensorInfo& tensor : kept.tensors()) {
    if (tensor.name.find(".experts.") == std::string::npos) continue;
    ++n_kept;
    EXPECT_EQ(tensor.dtype, Format::kS8Groups) << tensor.name;
    EXPECT_EQ(tensor.shape, f32.find(tensor.name)->shape);
    const int64_t n = tensor.shape[0], k = tensor.shape[1];
    const float* expected = f32.f32(tensor.name, {n, k});
    RowBuffer stored, widened;
    const WeightRows rows = stored.read(kept.weight(tensor.name, "", n, k), 0, n, k);
    const auto* own =
        static_cast<const float*>(widened.convert(kernels, rows, n, k, Format::kF32).data);
    EXPECT_TRUE(std::equal(own, own + n * k, expected)) << tensor.name;
  }
  EXPECT_EQ(n_kept, 2);
}

TEST_F(Gguf, ExpertsAreChosenAsInTheFolder) {
  for (const char* name : {"mixtral", "qwen2_moe", "qwen3_moe_all", "olmoe_all", "glm4_moe",
                           "glm4_moe_all", "gpt_oss"}) {
    const Json gguf =
        convert(kGolden + "/gguf/" + name + ".gguf", "a").config()["decoder"]["experts"];
    const Json folder =
        convert(kGolden + "/language_models/" + name, "b").config()["decoder"]["experts"];
    for (const char* key : {"n", "chosen", "d_ff", "score", "normalized", "scale"}) {
      EXPECT_EQ(gguf[key], folder[key]) << name << " " << key;
    }
    for (const char* key : {"shared", "groups", "choice_bias", "layers"}) {
      ASSERT_EQ(gguf.contains(key), folder.contains(key)) << name << " " << key;
      if (!gguf.contains(key)) continue;
      EXPECT_EQ(gguf[key].dump(), folder[key].dump()) << name;
    }
  }
}

// An encoder, with the way in which its vectors are made.
TEST_F(Gguf, TheEncoderOfItsFolder) {
  const std::string path = kGolden + "/gguf/bert.gguf";
  const std::string folder = kGolden + "/bert/head_dim_16_mean_normalize";
  const Container gguf = convert(path, "a"), other = convert(folder, "b");
  for (const char* key : {"encoder", "head", "d_model"}) {
    EXPECT_EQ(gguf.config()[key].dump(), other.config()[key].dump()) << key;
  }
  for (const TensorInfo& tensor : other.tensors()) {
    if (tensor.dtype == Format::kU8) continue;  // a tokenizer's, which another test compares
    const TensorInfo* own = gguf.find(tensor.name);
    ASSERT_NE(own, nullptr) << tensor.name;
    EXPECT_TRUE(std::ranges::equal(gguf.data(*own), other.data(tensor))) << tensor.name;
  }
  ConvertOptions options;
  options.pooling = Pooling::kCls;
  convert_model(path, dir_.file("c"), options);
  EXPECT_EQ(Container::open(dir_.file("c")).config()["head"]["pooling"].text(), "cls");
}

// The layers of a language model, by the option or by what the file says.
TEST_F(Gguf, VectorsByLanguageModels) {
  ConvertOptions options;
  options.pooling = Pooling::kLastToken;
  const std::string gguf = kGolden + "/gguf/qwen2.gguf";
  convert_model(gguf, dir_.file("a"), options);
  convert_model(kGolden + "/language_models/qwen2", dir_.file("b"), options);
  const Container own = Container::open(dir_.file("a")), folder = Container::open(dir_.file("b"));
  EXPECT_EQ(own.config()["encoder"].dump(), folder.config()["encoder"].dump());
  EXPECT_EQ(own.config()["head"]["pooling"].text(), "lasttoken");
  ASSERT_EQ(own.tensors().size(), folder.tensors().size());
  for (const TensorInfo& tensor : folder.tensors()) {
    ASSERT_NE(own.find(tensor.name), nullptr) << tensor.name;
    EXPECT_TRUE(std::ranges::equal(own.data(*own.find(tensor.name)), folder.data(tensor)));
  }
  EXPECT_ERROR(convert_model(kGolden + "/gguf/gpt2.gguf", path_, options), Status::kUnsupported,
               "which this language model has not");
}

TEST_F(Gguf, EncodersThatAreOtherwise) {
  const std::string bytes = read_file(kGolden + "/gguf/bert.gguf");
  const auto change = [&](std::string_view key, size_t skip, char value) {
    std::string changed = bytes;
    changed[changed.find(key) + key.size() + skip] = value;
    write_file(path_, changed);
  };
  change("bert.pooling_type", sizeof(uint32_t), 4);
  EXPECT_ERROR(convert(path_), Status::kUnsupported, "field \"bert.pooling_type\" is 4; only none");
  change("bert.attention.causal", sizeof(uint32_t), 1);
  EXPECT_ERROR(convert(path_), Status::kUnsupported, "\"bert.attention.causal\" is true");
  std::string changed = bytes;
  changed.replace(changed.find("token_types.weight"), 18, "classifier0.weight");
  write_file(path_, changed);
  EXPECT_ERROR(convert(path_), Status::kUnsupported,
               "\"classifier0.weight\" is none that Headlane computes with");
}

// Falcon's converter has no place for the biases of products, and none for the width of the
// feed-forward, both of which the folder has.
TEST_F(Gguf, FalconWithTwoNorms) {
  const Container gguf = convert(kGolden + "/gguf/falcon_new.gguf", "a");
  const Container folder = convert(kGolden + "/language_models/falcon_new", "b");
  for (const TensorInfo& tensor : folder.tensors()) {
    const TensorInfo* own = gguf.find(tensor.name);
    const bool is_norm = tensor.name.find("norm") != std::string::npos;
    ASSERT_EQ(own != nullptr, is_norm || !tensor.name.ends_with(".bias")) << tensor.name;
    if (own == nullptr || tensor.name.find("ffn.up") != std::string::npos ||
        tensor.name.find("ffn.down") != std::string::npos) {
      continue;
    }
    EXPECT_TRUE(std::ranges::equal(gguf.data(*own), folder.data(tensor))) << tensor.name;
  }
}

// llama.cpp tells Baichuan's models with ALiBi by their 40 layers.
TEST_F(Gguf, BaichuanOfFortyLayers) {
  const int kLayers = 40, kTensors = 3 + 9 * kLayers;
  GgufBytes bytes;
  bytes.begin(kTensors, 7)
      .text_field("general.architecture", "baichuan")
      .u32_field("baichuan.embedding_length", 4)
      .u32_field("baichuan.attention.head_count", 2)
      .u32_field("baichuan.block_count", kLayers)
      .u32_field("baichuan.context_length", 16)
      .u32_field("baichuan.feed_forward_length", 4)
      .f32_field("baichuan.attention.layer_norm_rms_epsilon", 1e-6F);
  uint64_t offset = 0;
  const auto add = [&](const std::string& name, const std::vector<uint64_t>& dims) {
    bytes.tensor(name + ".weight", dims, 0, offset);
    offset += 64;
  };
  add("token_embd", {4, 4});
  add("output", {4, 4});
  add("output_norm", {4});
  for (int i = 0; i < kLayers; ++i) {
    const std::string layer = "blk." + std::to_string(i) + ".";
    for (const char* name : {"attn_norm", "ffn_norm"}) add(layer + name, {4});
    for (const char* name :
         {"attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"}) {
      add(layer + name, {4, 4});
    }
  }
  write_file(path_, bytes.align().raw(std::string(offset, '\0')).bytes());
  const Container model = convert(path_);
  EXPECT_NE(model.find("decoder.layers.39.attention.alibi_slopes"), nullptr);
  EXPECT_FALSE(model.config()["decoder"]["attention"].contains("rotary"));
}

// Their activations are the ones that GGUF takes for granted.
TEST_F(Gguf, TheConfigOfItsFolder) {
  for (const char* name : {"llama_2", "llama_yarn", "qwen2", "gemma", "phi3", "glm4", "gpt2",
                           "bloom", "baichuan_7b"}) {
    const Container gguf = convert(kGolden + "/gguf/" + name + ".gguf", "a");
    const Container folder = convert(kGolden + "/language_models/" + name, "b");
    EXPECT_EQ(gguf.config()["decoder"].dump(), folder.config()["decoder"].dump()) << name;
    EXPECT_EQ(gguf.config()["architecture"].dump(), folder.config()["architecture"].dump()) << name;
  }
}

// Factors of wavelengths are tensors there, in f32, and so is the scale of the table.
TEST_F(Gguf, FactorsOfWavelengths) {
  const auto rotary = [&](const std::string& from, const char* to) {
    return convert(from, to).config()["decoder"]["attention"]["rotary"];
  };
  const Json own = rotary(kGolden + "/gguf/phi3_longrope.gguf", "a");
  const Json folder = rotary(kGolden + "/language_models/phi3_longrope", "b");
  for (const char* key : {"scaling", "dims", "original_max_positions", "max_positions", "base"}) {
    EXPECT_EQ(own[key].dump(), folder[key].dump()) << key;
  }
  EXPECT_FLOAT_EQ(own["attention_factor"].get<double>(), folder["attention_factor"].get<double>());
  for (const char* key : {"short_factors", "long_factors"}) {
    ASSERT_EQ(own[key].size(), folder[key].size()) << key;
    for (size_t i = 0; i < own[key].size(); ++i) {
      EXPECT_FLOAT_EQ(own[key][i].get<double>(), folder[key][i].get<double>()) << key;
    }
  }
}

std::unique_ptr<Tokenizer> tokenizer_of(const ImportedTokenizer& imported) {
  return make_tokenizer(imported.spec, imported.views(), "test");
}

// The ids of a folder's tokenizer, and the texts that these make.
void expect_ids(const std::string& gguf, const std::string& folder) {
  const GgufFile file(gguf);
  const auto own = tokenizer_of(
      import_tokenizer_json(read_gguf_tokenizer(file.fields(), file.path()), file.path()));
  const auto other = tokenizer_of(import_tokenizer(folder));
  const std::vector<std::string> lines = read_lines(kGolden + "/corpus/sentences.txt");
  ASSERT_GE(lines.size(), 2000U);
  for (const std::string& line : lines) {
    std::vector<int32_t> ids, expected;
    own->encode(line, kNoLimit, &ids);
    other->encode(line, kNoLimit, &expected);
    ASSERT_EQ(ids, expected) << line;
    ASSERT_EQ(own->decode(ids), other->decode(ids)) << line;
  }
}

// A relative of RoBERTa's is a BERT there, whose table of positions begins with the first one. Its
// tokenizer chooses the likeliest pieces.
TEST_F(Gguf, AnXlmRoberta) {
  const std::string folder = kGolden + "/encoders/xlm_roberta_texts";
  const std::string path = kGolden + "/gguf/xlm_roberta.gguf";
  const Container gguf = convert(path, "a"), other = convert(folder, "b");
  for (const TensorInfo& tensor : other.tensors()) {
    if (tensor.dtype == Format::kU8) continue;
    const TensorInfo* own = gguf.find(tensor.name);
    ASSERT_NE(own, nullptr) << tensor.name;
    const auto mine = gguf.data(*own), theirs = other.data(tensor);
    ASSERT_LE(mine.size(), theirs.size()) << tensor.name;
    EXPECT_EQ(mine.size() < theirs.size(), tensor.name == "encoder.positions.weight");
    EXPECT_TRUE(std::ranges::equal(mine, theirs.last(mine.size()))) << tensor.name;
  }
  const GgufFile file(path);
  const auto own = tokenizer_of(
      import_tokenizer_json(read_gguf_tokenizer(file.fields(), file.path()), file.path()));
  const auto theirs = tokenizer_of(import_tokenizer(folder));
  const std::vector<std::string> texts = golden_texts();
  for (size_t i = 0; i + 1 < texts.size(); i += kUnderAddressSanitizer ? 40 : 7) {
    std::vector<int32_t> ids, expected, types, expected_types;
    own->encode(texts[i], kNoLimit, &ids);
    theirs->encode(texts[i], kNoLimit, &expected);
    ASSERT_EQ(ids, expected) << texts[i];
    own->encode_pair(texts[i], texts[i + 1], {.max_len = 50}, &ids, &types);
    theirs->encode_pair(texts[i], texts[i + 1], {.max_len = 50}, &expected, &expected_types);
    ASSERT_EQ(ids, expected) << texts[i];
  }
  Json fields = file.fields();
  fields["tokenizer.ggml.add_space_prefix"] = false;
  EXPECT_ERROR(read_gguf_tokenizer(fields, "a.gguf"), Status::kUnsupported, "no blank before");
  fields["tokenizer.ggml.add_space_prefix"] = true;
  fields["tokenizer.ggml.add_bos_token"] = false;
  EXPECT_ERROR(read_gguf_tokenizer(fields, "a.gguf"), Status::kUnsupported, "must be added");
}

// By bytes, with the regular expression that "tokenizer.ggml.pre" stands for.
TEST_F(Gguf, TheTokenizerOfItsFolder) {
  expect_ids(kGolden + "/gguf/qwen2_texts.gguf", kGolden + "/language_models/qwen2_texts");
}

// By WordPiece, whose tokens have other marks there.
TEST_F(Gguf, TheTokenizerOfAnEncodersFolder) {
  expect_ids(kGolden + "/gguf/bert.gguf", kGolden + "/bert/head_dim_16_mean_normalize");
}

// The fields of a file with the tokenizer of a folder.
Json fields_of(const Json& file, const char* pre) {
  const Json& model = file["model"];
  Json tokens = Json::array(), types = Json::array();
  std::vector<std::string> names(model["vocab"].size());
  for (const auto& [token, id] : model["vocab"].items()) names[id.get<size_t>()] = token;
  for (const std::string& name : names) {
    tokens.push_back(name);
    types.push_back(int64_t{1});
  }
  constexpr int64_t kControl = 3;
  for (const Json& token : file["added_tokens"]) types[token["id"].get<size_t>()] = kControl;
  return {{"tokenizer.ggml.model", "gpt2"},
          {"tokenizer.ggml.pre", pre},
          {"tokenizer.ggml.tokens", std::move(tokens)},
          {"tokenizer.ggml.token_type", std::move(types)},
          {"tokenizer.ggml.merges", model["merges"]}};
}

// golden/gguf/make_splits.py has written down what `tokenizers` makes of them.
TEST_F(Gguf, EveryWayToSplit) {
  const std::vector<std::string> texts = golden_texts();
  const Json file =
      parse_json(read_file(kGolden + "/tokenizer_json/gpt2/tokenizer.json"), "tokenizer.json");
  const Json all = parse_json(read_file(kGolden + "/gguf/splits.json"), "splits.json");
  ASSERT_EQ(all.size(), 10U);
  for (const auto& [name, hashes] : all.items()) {
    const Json own = read_gguf_tokenizer(fields_of(file, name.c_str()), "a.gguf");
    const auto tokenizer = tokenizer_of(import_tokenizer_json(own, "a.gguf"));
    // Under AddressSanitizer a quarter of the texts touches the same memory in a quarter of the
    // time.
    for (size_t i = 0; i < texts.size(); i += kUnderAddressSanitizer ? 80 : 20) {
      std::vector<int32_t> ids;
      for (size_t j = i; j < std::min(texts.size(), i + 20); ++j) {
        tokenizer->encode(texts[j], kNoLimit, &ids);
      }
      ASSERT_EQ(hash_of_ids(ids), nth_hash(hashes.text(), i / 20)) << name << " from text " << i;
    }
  }
}

// The scores of a SentencePiece model say which pieces are merged first.
TEST_F(Gguf, TheTokenizerOfASentencePieceModel) {
  write_file(dir_.file("tokenizer.model"),
             read_file(kGolden + "/tokenizer_classes/llama/tokenizer.model"));
  write_file(dir_.file("config.json"), R"({"model_type": "llama"})");
  write_file(dir_.file("tokenizer_config.json"),
             R"({"tokenizer_class": "LlamaTokenizer", "add_bos_token": true, "legacy": false})");
  expect_ids(kGolden + "/gguf/pieces.gguf", dir_.path());
}

// llama.cpp's converter leaves tokens in brackets as they are, whatever their type.
TEST_F(Gguf, TokensInBracketsAreWhole) {
  const Json fields = {{"tokenizer.ggml.model", "bert"},
                       {"tokenizer.ggml.tokens", Json::array({"[CLS]", "[SEP]", "[UNK]",
                                                              "[unused0]", "\xE2\x96\x81[", "["})}};
  const Json own = read_gguf_tokenizer(fields, "a.gguf");
  const Json& vocab = own["model"]["vocab"];
  for (const char* token : {"[CLS]", "[SEP]", "[UNK]", "[unused0]", "[", "##["}) {
    EXPECT_TRUE(vocab.contains(token)) << token;
  }
}

TEST_F(Gguf, OtherTokenizers) {
  const Json none = read_gguf_tokenizer(Json::object(), "a.gguf");
  EXPECT_TRUE(none.is_null());
  Json fields = {{"tokenizer.ggml.model", "rwkv"}};
  EXPECT_ERROR(read_gguf_tokenizer(fields, "a.gguf"), Status::kUnsupported, "\"rwkv\", not one of");
  fields["tokenizer.ggml.remove_extra_whitespaces"] = true;
  EXPECT_ERROR(read_gguf_tokenizer(fields, "a.gguf"), Status::kUnsupported, "is true");
  fields = {{"tokenizer.ggml.model", "bert"}, {"tokenizer.ggml.tokens", Json::array({"[CLS]"})}};
  EXPECT_ERROR(read_gguf_tokenizer(fields, "a.gguf"), Status::kBadFile, "place of \"[SEP]\"");
  fields["tokenizer.ggml.tokens"] = Json::array({"[CLS]", "[SEP]", "[UNK]", "##x", "####x"});
  EXPECT_NO_THROW(read_gguf_tokenizer(fields, "a.gguf"));
  fields["tokenizer.ggml.tokens"] = Json::array({"x", "\xE2\x96\x81##x"});
  EXPECT_ERROR(read_gguf_tokenizer(fields, "a.gguf"), Status::kBadFile, "has \"##x\" twice");
  fields["tokenizer.ggml.add_sep_token"] = false;
  EXPECT_ERROR(read_gguf_tokenizer(fields, "a.gguf"), Status::kUnsupported,
               "add_sep_token\" is false");
  fields = {{"tokenizer.ggml.model", "gpt2"}, {"tokenizer.ggml.pre", "tekken"}};
  EXPECT_ERROR(read_gguf_tokenizer(fields, "a.gguf"), Status::kUnsupported,
               "\"tokenizer.ggml.pre\" is \"tekken\", not one of: gpt-2, llama-bpe, qwen2, dbrx");
  fields = {{"tokenizer.ggml.model", "llama"}, {"tokenizer.ggml.tokens", Json::array({"a", "a"})}};
  EXPECT_ERROR(read_gguf_tokenizer(fields, "a.gguf"), Status::kBadFile, "has \"a\" twice");
  fields["tokenizer.ggml.tokens"] = Json::array({"a", 3});
  EXPECT_ERROR(read_gguf_tokenizer(fields, "a.gguf"), Status::kBadFile, "");
  fields["tokenizer.ggml.tokens"] = Json::array({"a", "b"});
  EXPECT_ERROR(read_gguf_tokenizer(fields, "a.gguf"), Status::kBadFile, "unknown token");
  fields["tokenizer.ggml.scores"] = Json::array({1.0});
  EXPECT_ERROR(read_gguf_tokenizer(fields, "a.gguf"), Status::kBadFile, "not an array of 2 values");
  fields["tokenizer.ggml.bos_token_id"] = 2;
  fields["tokenizer.ggml.unknown_token_id"] = 0;
  fields["tokenizer.ggml.scores"] = Json::array({1.0, 2.0});
  EXPECT_ERROR(read_gguf_tokenizer(fields, "a.gguf"), Status::kBadFile, "there are 2 tokens");
}

TEST_F(Gguf, AFieldThatNobodyReads) {
  write_file(path_, with_field("llama.attention.clamp_kqv", 1).bytes());
  EXPECT_ERROR(convert(path_), Status::kBadFile, "layer_norm_rms_epsilon");
  const std::string bytes = read_file(kGolden + "/gguf/llama_2.gguf");
  std::string other = bytes;
  const std::string key = "llama.attention.head_count_kv";
  other.replace(other.find(key), key.size(), "llama.attention.head_count_qq");
  write_file(path_, other);
  EXPECT_ERROR(convert(path_), Status::kUnsupported,
               "field \"llama.attention.head_count_qq\" is not one that Headlane reads");
}

// Each would be a loop without an end, or no number.
TEST_F(Gguf, SizesOutOfRange) {
  const std::string bytes = read_file(kGolden + "/gguf/llama_2.gguf");
  for (const char* key : {"llama.block_count", "llama.embedding_length",
                          "llama.attention.head_count", "llama.rope.dimension_count"}) {
    const size_t at = bytes.find(key) + std::string_view(key).size() + sizeof(uint32_t);
    for (const uint32_t value : {0U, ~0U}) {
      std::string changed = bytes;
      changed.replace(at, sizeof value, reinterpret_cast<const char*>(&value), sizeof value);
      write_file(path_, changed);
      EXPECT_ERROR(convert(path_), Status::kBadFile, std::string("field \"") + key + "\" is ");
    }
  }
}

// As in llama.cpp, a factor without a type is of linear scaling.
TEST_F(Gguf, AFactorWithoutAType) {
  std::string bytes = read_file(kGolden + "/gguf/llama_linear.gguf");
  const std::string type = "llama.rope.scaling.type";
  bytes.replace(bytes.find(type), type.size(), "general.rope.scaling.ty");
  write_file(path_, bytes);
  const Container model = convert(path_);
  EXPECT_EQ(model.config()["decoder"]["attention"]["rotary"]["scaling"].text(), "linear");
}

// Weights whose rows have another order, or heads of which a part turns, would give wrong answers.
TEST_F(Gguf, OtherOrdersAndHeads) {
  std::string falcon = read_file(kGolden + "/gguf/falcon.gguf");
  falcon.replace(falcon.find("jploski"), 7, "another");
  write_file(path_, falcon);
  EXPECT_ERROR(convert(path_), Status::kUnsupported,
               "field \"falcon.tensor_data_layout\" is not \"jploski\"");
  std::string baichuan = read_file(kGolden + "/gguf/baichuan_7b.gguf");
  const std::string key = "baichuan.rope.dimension_count";
  baichuan[baichuan.find(key) + key.size() + sizeof(uint32_t)] = 2;
  write_file(path_, baichuan);
  EXPECT_ERROR(convert(path_), Status::kUnsupported,
               "field \"baichuan.rope.dimension_count\" is not the length of a head");
}

TEST_F(Gguf, OtherArchitectures) {
  write_file(path_, GgufBytes().begin(0, 1).text_field("general.architecture", "mamba").bytes());
  EXPECT_ERROR(convert(path_), Status::kUnsupported, "\"mamba\", not one of: llama");
  write_file(path_,
             GgufBytes().begin(0, 1).text_field("general.architecture", "nomic-bert").bytes());
  EXPECT_ERROR(convert(path_), Status::kUnsupported, "\"nomic-bert\", not one of");
  write_file(path_, GgufBytes().begin(0, 0).bytes());
  EXPECT_ERROR(convert(path_), Status::kBadFile, "general.architecture");
}

// One place of each copy is otherwise, mostly in its fields and its list of tensors, or the copy
// ends early. It is converted or refused by a sentence that names it, and nothing half-written
// stays. tests/golden/gguf/damage.py does the same to a real file.
TEST_F(Gguf, DamagedCopies) {
  std::mt19937 random(19);
  const std::string out = dir_.file("out");
  for (const char* name : {"bert", "qwen2_texts", "phi3_longrope"}) {
    const std::string bytes = read_file(kGolden + "/gguf/" + name + ".gguf");
    const size_t header = bytes.rfind(".weight") + 64;
    int n_refused = 0;
    for (int i = 0; i < 40; ++i) {
      std::string copy = bytes;
      const size_t at = random() % (i % 4 == 0 ? bytes.size() : header);
      switch (i % 5) {
        case 0:
          copy.resize(at);
          break;
        case 1:
          copy.replace(at, 8, std::string(8, '\xff'));
          break;
        default:
          copy[at] = static_cast<char>(copy[at] ^ 1 << random() % 8);
      }
      write_file(path_, copy);
      std::filesystem::remove(out);
      try {
        convert_model(path_, out, {});
        EXPECT_NO_THROW(Container::open(out)) << name << " " << i;
      } catch (const Error& error) {
        ++n_refused;
        EXPECT_NE(std::string(error.what()).find(path_), std::string::npos) << error.what();
        EXPECT_FALSE(std::filesystem::exists(out)) << name << " " << i;
      }
    }
    EXPECT_GE(n_refused, 8) << name;  // those that end early at least
  }
}

TEST_F(Gguf, FilesOfASplit) {
  const auto part = [](uint16_t number, uint16_t count, std::string_view tensor) {
    return GgufBytes()
        .begin(1, 3)
        .text_field("general.architecture", "mamba")
        .text("split.no")
        .number<uint32_t>(2)
        .number(number)
        .text("split.count")
        .number<uint32_t>(2)
        .number(count)
        .tensor(tensor, {4}, 0, 0)
        .align()
        .raw(std::string(16, '\0'))
        .bytes();
  };
  const std::string first = dir_.file("m-00001-of-00002.gguf"),
                    second = dir_.file("m-00002-of-00002.gguf");
  write_file(first, part(0, 2, "a"));
  EXPECT_ERROR(convert(first), Status::kIo, "m-00002-of-00002.gguf");
  write_file(second, part(1, 3, "b"));
  EXPECT_ERROR(convert(first), Status::kBadFile, "does not say that it is file 2 of 2");
  write_file(second, part(1, 2, "a"));
  EXPECT_ERROR(convert(first), Status::kBadFile, "tensor \"a\" is also in");
  write_file(second, part(1, 2, "b"));
  EXPECT_ERROR(convert(first), Status::kUnsupported, "mamba");  // both were read
  EXPECT_ERROR(convert_model(first, second, {}), Status::kInvalidArgument,
               second + ": is a file of the model");
  EXPECT_ERROR(convert(second), Status::kBadFile, "give the first one");
}

}  // namespace
}  // namespace headlane
