// Hugging Face folders: a tiny BERT on disk, changed in one place per test.
#include "engine/import/huggingface.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <functional>

#include "engine/file/container.h"
#include "engine/spec/config.h"
#include "tests/support/expect_error.h"
#include "tests/support/safetensors_writer.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_bert.h"

namespace headlane {
namespace {

using nlohmann::json;

class HuggingFace : public testing::Test {
 protected:
  HuggingFace() { std::filesystem::create_directory(hf_); }

  std::string hf(const std::string& name) const { return hf_ + "/" + name; }
  void write_json(const std::string& name, const json& value) {
    std::filesystem::create_directories(std::filesystem::path(hf(name)).parent_path());
    write_file(hf(name), value.dump());
  }
  void write_model(const std::vector<TestTensor>& tensors) {
    write_file(hf("model.safetensors"), safetensors_bytes(tensors));
  }
  void write_tiny() {
    write_json("config.json", tiny_config());
    write_model(tiny_tensors());
  }
  void write_tokenizer(int n_more_tokens) {
    std::string vocab = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n";
    for (int i = 0; i < n_more_tokens; ++i) vocab += static_cast<char>('a' + i) + std::string("\n");
    write_file(hf("vocab.txt"), vocab);
    write_json("tokenizer_config.json", {{"tokenizer_class", "BertTokenizer"},
                                         {"do_lower_case", true},
                                         {"unk_token", "[UNK]"},
                                         {"cls_token", "[CLS]"},
                                         {"sep_token", "[SEP]"},
                                         {"pad_token", "[PAD]"},
                                         {"mask_token", "[MASK]"}});
  }
  Container convert() {
    convert_huggingface(hf_, out_, {});
    return Container::open(out_);
  }
  ModelConfig convert_config() { return ModelConfig::from_json(convert().config(), out_); }

  // config.json with the change must be refused.
  void refuse_config(const json& change, Status status, const std::string& words) {
    json config = tiny_config();
    config.merge_patch(change);  // a null removes the field
    write_json("config.json", config);
    EXPECT_ERROR(convert(), status, "config.json" + words);
    EXPECT_FALSE(std::filesystem::exists(out_));
  }
  void refuse_model(const std::function<void(std::vector<TestTensor>*)>& spoil, Status status,
                    const std::string& words) {
    std::vector<TestTensor> tensors = tiny_tensors();
    spoil(&tensors);
    write_model(tensors);
    EXPECT_ERROR(convert(), status, "model.safetensors: " + words);
    EXPECT_FALSE(std::filesystem::exists(out_));
  }

  const TempDir dir_;
  const std::string hf_ = dir_.file("hf");
  const std::string out_ = dir_.file("m.headlane");
};

TEST_F(HuggingFace, TensorsAndConfig) {
  write_tiny();
  const Container model = convert();
  expect_tiny_tensors(model);
  EXPECT_TRUE(model.tokenizer().is_null());
  const ModelConfig config = ModelConfig::from_json(model.config(), out_);
  EXPECT_EQ(config.architecture, "bert");
  EXPECT_EQ(config.encoder.vocab_size, kVocab);
  EXPECT_EQ(config.encoder.n_types, kTypes);
  EXPECT_EQ(config.encoder.max_positions, kPositions);
  EXPECT_EQ(config.encoder.n_layers, kLayers);
  EXPECT_EQ(config.d_model, kD);
  EXPECT_EQ(config.encoder.attention.n_heads, 2);
  EXPECT_EQ(config.encoder.attention.head_dim, 2);
  EXPECT_EQ(config.encoder.d_ff, kFf);
  EXPECT_EQ(config.encoder.activation, Activation::kGelu);
  EXPECT_EQ(config.encoder.norm_eps, 1e-12f);
  EXPECT_EQ(config.head.pooling, Pooling::kMean)
      << "as sentence-transformers without a modules.json";
  EXPECT_FALSE(config.head.normalize);
  EXPECT_EQ(config.max_seq_len, kPositions);
}

TEST_F(HuggingFace, SameFolderSameBytes) {
  write_tiny();
  convert();
  const std::string first = read_file(out_);
  convert();
  EXPECT_EQ(read_file(out_), first);
  EXPECT_EQ(dir_.n_entries(), 2u);
}

TEST_F(HuggingFace, PrefixAndLegacyNames) {
  write_tiny();
  write_model(tiny_tensors("bert."));
  expect_tiny_tensors(convert());
  write_model(tiny_tensors("bert.", true));
  expect_tiny_tensors(convert());
  write_model(tiny_tensors("", true));
  expect_tiny_tensors(convert());
}

TEST_F(HuggingFace, Sharded) {
  write_json("config.json", tiny_config());
  const std::vector<TestTensor> tensors = tiny_tensors();
  const std::string names[] = {"model-1-of-2.safetensors", "model-2-of-2.safetensors"};
  std::vector<TestTensor> shards[2];
  json weight_map;
  for (size_t i = 0; i < tensors.size(); ++i) {
    shards[i % 2].push_back(tensors[i]);
    weight_map[tensors[i].name] = names[i % 2];
  }
  for (int i = 0; i < 2; ++i) write_file(hf(names[i]), safetensors_bytes(shards[i]));
  write_json("model.safetensors.index.json", {{"weight_map", weight_map}});
  expect_tiny_tensors(convert());
  std::filesystem::remove(hf(names[1]));
  EXPECT_ERROR(convert(), Status::kIo, "model-2-of-2.safetensors: cannot open");
}

TEST_F(HuggingFace, UnalignedFile) {
  write_tiny();
  write_file(hf("model.safetensors"), safetensors_bytes(tiny_tensors(), 4, 1));
  expect_tiny_tensors(convert());
}

TEST_F(HuggingFace, HalfPrecisionWeights) {
  write_tiny();
  std::vector<TestTensor> tensors = tiny_tensors();
  tensors[0] = {
      tensors[0].name, "F16", {kVocab, kD}, data_of(std::vector<uint16_t>(kVocab * kD, 0x3C00))};
  write_model(tensors);
  const Container model = convert();
  EXPECT_EQ(model.f32("encoder.embeddings.word", {kVocab, kD})[kVocab * kD - 1], 1.0f);
}

TEST_F(HuggingFace, NoTypeEmbedding) {
  write_tiny();
  json config = tiny_config();
  config["type_vocab_size"] = 0;
  write_json("config.json", config);
  EXPECT_ERROR(convert(), Status::kUnsupported,
               "model.safetensors: tensor \"embeddings.token_type_embeddings.weight\" is none that "
               "Headlane computes with in a model of \"model_type\" \"bert\"");
  std::vector<TestTensor> tensors = tiny_tensors();
  std::erase_if(tensors, [](const TestTensor& tensor) {
    return tensor.name == "embeddings.token_type_embeddings.weight";
  });
  write_model(tensors);
  const Container model = convert();
  EXPECT_EQ(model.find("encoder.embeddings.type"), nullptr);
}

TEST_F(HuggingFace, Activations) {
  write_tiny();
  json config = tiny_config();
  const std::pair<const char*, Activation> names[] = {{"gelu", Activation::kGelu},
                                                      {"gelu_python", Activation::kGelu},
                                                      {"gelu_new", Activation::kGeluTanh},
                                                      {"gelu_pytorch_tanh", Activation::kGeluTanh},
                                                      {"gelu_python_tanh", Activation::kGeluTanh},
                                                      {"gelu_accurate", Activation::kGeluTanh},
                                                      {"gelu_fast", Activation::kGeluTanh},
                                                      {"relu", Activation::kRelu},
                                                      {"silu", Activation::kSilu},
                                                      {"swish", Activation::kSilu}};
  for (const auto& [name, activation] : names) {
    config["hidden_act"] = name;
    write_json("config.json", config);
    EXPECT_EQ(convert_config().encoder.activation, activation) << name;
  }
}

TEST_F(HuggingFace, ConfigIsRefused) {
  write_tiny();
  const json good = tiny_config();
  for (const auto& [key, value] : good.items()) {
    if (key == "position_embedding_type" || key == "hidden_dropout_prob") continue;
    refuse_config({{key, json::array()}}, Status::kBadFile, " field \"" + key + "\" is an array");
  }
  refuse_config({{"model_type", nullptr}}, Status::kBadFile, " field \"model_type\" is missing");
  json nulls = good;
  nulls["layer_norm_eps"] = nullptr;
  write_json("config.json", nulls);
  EXPECT_ERROR(convert(), Status::kBadFile, "field \"layer_norm_eps\" is null, not a number");
  refuse_config({{"model_type", "deberta-v2"}}, Status::kUnsupported,
                " field \"model_type\" is \"deberta-v2\", not one of: bert, distilbert");
  refuse_config({{"hidden_act", "quick_gelu"}}, Status::kUnsupported,
                " field \"hidden_act\" is \"quick_gelu\", not one of: gelu, gelu_python");
  refuse_config({{"position_embedding_type", "relative_key"}}, Status::kUnsupported,
                " field \"position_embedding_type\" is \"relative_key\"");
  refuse_config({{"is_decoder", true}}, Status::kUnsupported, " field \"is_decoder\" is true");
  refuse_config({{"is_causal", true}}, Status::kUnsupported, " field \"is_causal\" is true");
  refuse_config({{"add_cross_attention", true}}, Status::kUnsupported,
                " field \"add_cross_attention\" is true");
  refuse_config({{"pruned_heads", {{"1", {0}}}}}, Status::kUnsupported, " field \"pruned_heads\"");
  refuse_config({{"quantization_config", {{"bits", 8}}}}, Status::kUnsupported,
                " field \"quantization_config\"");
  for (const int n_heads : {0, -2, 3}) {
    refuse_config({{"num_attention_heads", n_heads}}, Status::kBadFile,
                  " field \"num_attention_heads\" is " + std::to_string(n_heads));
  }
  refuse_config({{"num_hidden_layers", 0}}, Status::kBadFile, ": config has no layers");
  const std::string encoder = ": config field \"encoder\":";
  refuse_config({{"vocab_size", 1 << 30}}, Status::kBadFile,
                encoder + " field \"vocab_size\" is 10");
  refuse_config({{"layer_norm_eps", 0}}, Status::kBadFile, encoder + " field \"norm_eps\" is 0");
  write_file(hf("config.json"), "{");
  EXPECT_ERROR(convert(), Status::kBadFile, "config.json is not valid JSON");
  std::filesystem::remove(hf("config.json"));
  EXPECT_ERROR(convert(), Status::kIo, "config.json: cannot open: No such file");
}

TEST_F(HuggingFace, DefaultsThatSayNothing) {
  write_tiny();
  json config = tiny_config();
  config.erase("position_embedding_type");
  config.update(
      {{"is_decoder", false}, {"add_cross_attention", nullptr}, {"pruned_heads", json::object()}});
  write_json("config.json", config);
  EXPECT_NO_THROW(convert());
}

TEST_F(HuggingFace, EveryTensorIsRequiredAndShaped) {
  write_tiny();
  const size_t n_needed = tiny_tensors().size() - 1;  // all but position_ids
  for (size_t i = 0; i < n_needed; ++i) {
    const std::string tensor = "tensor \"" + tiny_tensors()[i].name + "\" ";
    refuse_model([i](auto* tensors) { tensors->erase(tensors->begin() + static_cast<long>(i)); },
                 Status::kBadFile, tensor + "is missing");
    refuse_model([i](auto* tensors) { (*tensors)[i].shape.push_back(1); }, Status::kBadFile,
                 tensor + "field \"shape\" is [");
    refuse_model([i](auto* tensors) { (*tensors)[i].dtype = "I32"; }, Status::kUnsupported,
                 tensor + "field \"dtype\" is I32");
  }
}

TEST_F(HuggingFace, MissingModelOrFolder) {
  write_json("config.json", tiny_config());
  EXPECT_ERROR(convert(), Status::kIo, "hf: has neither model.safetensors nor model.safetensors.i");
  EXPECT_ERROR(convert_huggingface(dir_.file("none"), out_, {}), Status::kIo, "none/config.json");
  write_tiny();
  EXPECT_ERROR(convert_huggingface(hf_, dir_.file("none/m"), {}), Status::kIo,
               "none/m: cannot create");
}

TEST_F(HuggingFace, TokenizerGoesAlong) {
  write_tiny();
  write_tokenizer(3);  // fewer tokens than rows: fine
  const Container model = convert();
  EXPECT_TRUE(model.tokenizer().is_object());
  const TensorInfo* vocab = model.find("tokenizer.vocab");
  ASSERT_NE(vocab, nullptr);
  EXPECT_EQ(vocab->dtype, Format::kU8);
  EXPECT_EQ(vocab->shape, std::vector<int64_t>{vocab->bytes});
  const auto bytes = model.data(*vocab);
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()),
            read_file(hf("vocab.txt")));
}

TEST_F(HuggingFace, TokenizerLargerThanTheTable) {
  write_tiny();
  write_tokenizer(6);  // 11 in all
  EXPECT_NO_THROW(convert());
  std::filesystem::remove(out_);
  write_tokenizer(7);
  EXPECT_ERROR(convert(), Status::kBadFile,
               "config.json field \"vocab_size\" is 11, but the tokenizer has 12 tokens");
  EXPECT_FALSE(std::filesystem::exists(out_));
}

}  // namespace
}  // namespace headlane
