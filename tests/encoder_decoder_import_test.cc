// Encoder-decoders of Hugging Face: the golden models, as they are and changed in one place.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <functional>
#include <map>
#include <set>

#include "engine/import/convert.h"
#include "engine/import/safetensors.h"
#include "engine/model/config.h"
#include "engine/model/container.h"
#include "tests/support/expect_error.h"
#include "tests/support/golden_encoder_decoder.h"
#include "tests/support/safetensors_writer.h"
#include "tests/support/temp_dir.h"

namespace headlane {
namespace {

using nlohmann::json;
using test::GoldenEncoderDecoder;
using Ids = std::vector<int32_t>;

// Appended to, since gcc 12 sees an overlap in the insertion that "a" + std::string() is.
std::string quoted(const std::string& name) {
  std::string result = "\"";
  return result.append(name).append("\"");
}

std::string golden(const std::string& model) {
  return std::string(HEADLANE_GOLDEN_DIR) + "/encoder_decoder/" + model;
}

// A golden folder's copy, to be changed.
class EncoderDecoderImport : public testing::Test {
 protected:
  void copy(const std::string& model) {
    std::filesystem::remove_all(hf_);
    std::filesystem::create_directory(hf_);
    for (const auto& file : std::filesystem::directory_iterator(golden(model))) {
      const std::string name = file.path().filename().string();
      const bool is_models =
          name.find("config") != std::string::npos || name.find("safetensors") != std::string::npos;
      if (is_models) std::filesystem::copy(file.path(), hf_ + "/" + name);
    }
  }
  void patch(const std::string& name, const json& change) {
    json file = json::parse(read_file(hf_ + "/" + name));
    file.merge_patch(change);  // a null removes the field
    write_file(hf_ + "/" + name, file.dump());
  }
  // Changes the tensors of a model of one file.
  void change_tensors(const std::function<void(std::map<std::string, TestTensor>*)>& change) {
    const std::string path = hf_ + "/model.safetensors";
    std::map<std::string, TestTensor> tensors;
    {
      const SafetensorsFile file(path);
      for (const auto& [name, entry] : file.entries()) {
        tensors[name] = {
            name, entry.type_name, entry.shape,
            std::string(reinterpret_cast<const char*>(entry.data.data()), entry.data.size())};
      }
    }
    change(&tensors);
    std::vector<TestTensor> list;
    for (const auto& [name, tensor] : tensors)
      list.push_back({name, tensor.dtype, tensor.shape, tensor.data});
    write_file(path, safetensors_bytes(list));
  }

  Container convert(const ConvertOptions& options = {}) {
    convert_model(hf_, out_, options);
    return Container::open(out_);
  }
  ModelConfig convert_config() { return ModelConfig::from_json(convert().config(), out_); }

  // The model's file with the change must be refused, by a sentence with these words after the
  // file's name.
  void refuse(const std::string& model, const std::string& file, const json& change, Status status,
              const std::string& words) {
    copy(model);
    patch(file, change);
    std::filesystem::remove(out_);
    EXPECT_ERROR(convert(), status, file + words);
    EXPECT_FALSE(std::filesystem::exists(out_));
  }
  void refuse_config(const std::string& model, const json& change, Status status,
                     const std::string& words) {
    refuse(model, "config.json", change, status, " field " + words);
  }
  void refuse_generation(const json& change, Status status, const std::string& words) {
    refuse("marian_shared", "generation_config.json", change, status, " field " + words);
  }

  const TempDir dir_;
  const std::string hf_ = dir_.file("hf");
  const std::string out_ = dir_.file("m.headlane");
};

// What the tensors of a file must be, by Headlane's names: the source's names, whose rows are
// beneath each other.
class Expected {
 public:
  Expected(const std::string& folder, const ModelConfig& config)
      : source_(folder), config_(config) {}

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
      const F32Data data = source_.load_f32(part + suffix, of_part);
      values.insert(values.end(), data.values().begin(), data.values().end());
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
      EXPECT_EQ(found->dtype, DType::kF32) << name;
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
  const ModelConfig& config_;
  std::map<std::string, std::pair<std::vector<int64_t>, std::vector<float>>> tensors_;
};

Expected expected_bart(const std::string& model, const ModelConfig& config) {
  Expected expected(golden(model), config);
  // What is not tied is not shared either, though mBART's file has a shared table too.
  const bool separate = model == "marian_separate" || model == "mbart";
  expected.stacked("embeddings.word", {separate ? "model.encoder.embed_tokens" : "model.shared"},
                   ".weight");
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
    if (config.embedding_norm) {
      expected.linear(stack + ".embeddings.norm", {from + "layernorm_embedding"}, true);
    }
    if (config.final_norm) expected.linear(stack + ".norm", {from + "layer_norm"}, true);
    if (config.positions == Positions::kLearned) {
      const std::string to = stack + ".positions.weight";
      expected.stacked(to, {from + "embed_positions"}, ".weight");
      std::vector<float>& values = expected.values(to);
      values.erase(values.begin(), values.begin() + 2 * config.d_model);
      expected.reshape(to, {config.max_positions, config.d_model});
    }
  }
  expected.bart_layers("encoder", config.n_layers);
  expected.bart_layers("decoder", config.decoder.n_layers);
  return expected;
}

Expected expected_t5(const std::string& model, const ModelConfig& config) {
  Expected expected(golden(model), config);
  expected.stacked("embeddings.word", {"shared"}, ".weight");
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
  expected.t5_layers("encoder", config.n_layers, model != "t5_v1_0");
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

// The numbers that are to be compared with are all there, and of the model.
TEST_P(GoldenImport, AnswersAreWhole) {
  const GoldenEncoderDecoder golden(GetParam());
  copy(GetParam());
  const ModelConfig config = convert_config();
  const size_t n = golden.sources.size();
  ASSERT_EQ(n, 200u);
  const auto in = [](const std::vector<Ids>& lines, int64_t vocab_size, size_t most) {
    return std::all_of(lines.begin(), lines.end(), [&](const Ids& line) {
      return !line.empty() && line.size() <= most &&
             std::all_of(line.begin(), line.end(),
                         [&](int32_t id) { return id >= 0 && id < vocab_size; });
    });
  };
  EXPECT_TRUE(in(golden.sources, config.vocab_size, 20));
  int64_t rows = 0, steps = 0;
  const std::vector<Ids> greedy = golden.generated("greedy");
  for (int64_t i = 0; i < golden.n_detailed; ++i) {
    rows += static_cast<int64_t>(golden.sources[static_cast<size_t>(i)].size());
    steps += static_cast<int64_t>(greedy[static_cast<size_t>(i)].size());
  }
  EXPECT_EQ(golden.hidden.shape, (std::vector<int64_t>{rows, config.d_model}));
  EXPECT_EQ(golden.logits.shape, (std::vector<int64_t>{steps, config.decoder.vocab_size}));
  ASSERT_EQ(golden.searches.size(), 3u);
  for (const test::GoldenSearch& search : golden.searches) {
    const std::vector<Ids> lines = golden.generated(search.name);
    EXPECT_EQ(lines.size(), n * static_cast<size_t>(search.n_best)) << search.name;
    EXPECT_TRUE(in(lines, config.decoder.vocab_size, static_cast<size_t>(golden.max_new_tokens)));
    if (search.n_beams == 1) continue;
    EXPECT_EQ(golden.scores(search.name).shape,
              (std::vector<int64_t>{static_cast<int64_t>(n), search.n_best}));
  }
  const std::vector<Ids> lines = golden.generated("default");
  EXPECT_EQ(lines.size(), n);
  EXPECT_TRUE(
      in(lines, config.decoder.vocab_size, static_cast<size_t>(config.generation.max_new_tokens)));
  // Outputs depend on the source, and some end by themselves.
  EXPECT_GE(std::set<Ids>(greedy.begin(), greedy.end()).size(), 60u);
  const auto n_early = std::count_if(greedy.begin(), greedy.end(), [&](const Ids& line) {
    return static_cast<int64_t>(line.size()) < golden.max_new_tokens;
  });
  EXPECT_GE(n_early, 20);
}

INSTANTIATE_TEST_SUITE_P(Models, GoldenImport, testing::ValuesIn(test::kEncoderDecoders),
                         [](const auto& param) { return std::string(param.param); });

TEST_F(EncoderDecoderImport, Marian) {
  copy("marian_shared");
  const ModelConfig config = convert_config();
  EXPECT_EQ(config.architecture, Architecture::kEncoderDecoder);
  EXPECT_EQ(config.vocab_size, 83);
  EXPECT_EQ(config.max_positions, 48);
  EXPECT_EQ(config.max_seq_len, 48);
  EXPECT_EQ(config.n_layers, 1);
  EXPECT_EQ(config.d_model, 32);
  EXPECT_EQ(config.d_ff, 40);
  EXPECT_EQ(config.attention.n_heads, 4);
  EXPECT_EQ(config.attention.head_dim, 8);
  EXPECT_EQ(config.attention.score, Score::kScaledDot);
  EXPECT_EQ(config.attention.scale, 1 / std::sqrt(8.0f));
  EXPECT_EQ(config.attention.causal, Causal::kNone);
  EXPECT_EQ(config.activation, Activation::kSilu);
  EXPECT_EQ(config.norm_eps, 1e-5f);
  EXPECT_EQ(config.norm, NormPlacement::kPost);
  EXPECT_EQ(config.norm_kind, NormKind::kLayer);
  EXPECT_FALSE(config.final_norm);
  EXPECT_FALSE(config.embedding_norm);
  EXPECT_FALSE(config.gated);
  EXPECT_EQ(config.embedding_scale, std::sqrt(32.0f));
  EXPECT_EQ(config.positions, Positions::kSinusoidalHalves);
  EXPECT_EQ(config.position_offset, 0);
  const DecoderConfig& decoder = config.decoder;
  EXPECT_EQ(decoder.vocab_size, 83);
  EXPECT_EQ(decoder.max_positions, 48);
  EXPECT_EQ(decoder.n_layers, 3);
  EXPECT_EQ(decoder.d_ff, 56);
  for (const AttentionSpec* spec : {&decoder.attention, &decoder.cross}) {
    EXPECT_EQ(spec->n_heads, 2);
    EXPECT_EQ(spec->n_kv_heads, 2);
    EXPECT_EQ(spec->head_dim, 16);
    EXPECT_EQ(spec->v_dim, 16);
    EXPECT_EQ(spec->scale, 0.25f);
  }
  EXPECT_EQ(decoder.attention.causal, Causal::kLowerRight);
  EXPECT_EQ(decoder.cross.causal, Causal::kNone);
  const GenerationDefaults& generation = config.generation;
  EXPECT_EQ(generation.start_id, 82);
  EXPECT_EQ(generation.pad_id, 82);
  EXPECT_EQ(generation.end_ids, Ids{0});
  EXPECT_EQ(generation.forced_first_id, -1);
  EXPECT_EQ(generation.forced_last_id, 0);
  EXPECT_EQ(generation.suppressed_ids, Ids{82});
  EXPECT_EQ(generation.max_new_tokens, 15);
  EXPECT_EQ(generation.min_new_tokens, 0);
  EXPECT_EQ(generation.n_beams, 4);
  EXPECT_EQ(generation.length_penalty, 1);
  EXPECT_EQ(generation.early_stopping, EarlyStopping::kHeuristic);
  EXPECT_EQ(generation.repetition_penalty, 1);
  EXPECT_TRUE(generation.renormalize);
}

TEST_F(EncoderDecoderImport, MarianOfTwoVocabularies) {
  copy("marian_separate");
  const ModelConfig config = convert_config();
  EXPECT_EQ(config.vocab_size, 61);
  EXPECT_EQ(config.decoder.vocab_size, 79);
  EXPECT_EQ(config.embedding_scale, 1);
  EXPECT_EQ(config.generation.end_ids, (Ids{0, 7}));
  // 0 is a bad word too, but an end.
  EXPECT_EQ(config.generation.suppressed_ids, (Ids{11, 12, 13, 14, 60}));
  EXPECT_EQ(config.generation.max_new_tokens, 14);
  EXPECT_EQ(config.generation.length_penalty, 0.8);
  EXPECT_FALSE(config.generation.renormalize);
}

TEST_F(EncoderDecoderImport, Bart) {
  copy("bart");
  const ModelConfig config = convert_config();
  EXPECT_EQ(config.norm, NormPlacement::kPost);
  EXPECT_TRUE(config.embedding_norm);
  EXPECT_FALSE(config.final_norm);
  EXPECT_EQ(config.positions, Positions::kLearned);
  EXPECT_EQ(config.position_offset, 0);
  EXPECT_EQ(config.max_positions, 40);
  EXPECT_EQ(config.embedding_scale, 1);
  EXPECT_EQ(config.activation, Activation::kGelu);
  EXPECT_EQ(config.generation.start_id, 2);
  EXPECT_EQ(config.generation.forced_first_id, 0);
  EXPECT_EQ(config.generation.early_stopping, EarlyStopping::kFirst);
  EXPECT_EQ(config.generation.max_new_tokens, 14) << "less the decoder's start";
  EXPECT_EQ(config.generation.min_new_tokens, 4);
}

TEST_F(EncoderDecoderImport, MBart) {
  copy("mbart");
  const ModelConfig config = convert_config();
  EXPECT_EQ(config.norm, NormPlacement::kPre);
  EXPECT_TRUE(config.embedding_norm);
  EXPECT_TRUE(config.final_norm);
  EXPECT_EQ(config.positions, Positions::kLearned);
  EXPECT_EQ(config.embedding_scale, std::sqrt(20.0f));
  EXPECT_EQ(config.activation, Activation::kGeluTanh);
  EXPECT_EQ(config.generation.forced_first_id, 64);
  EXPECT_EQ(config.generation.repetition_penalty, 1.3);
}

TEST_F(EncoderDecoderImport, M2M100) {
  copy("m2m_100");
  const ModelConfig config = convert_config();
  EXPECT_EQ(config.d_model, 27);
  EXPECT_EQ(config.norm, NormPlacement::kPre);
  EXPECT_FALSE(config.embedding_norm);
  EXPECT_TRUE(config.final_norm);
  EXPECT_EQ(config.positions, Positions::kSinusoidalInclusive);
  EXPECT_EQ(config.position_offset, 2);
  EXPECT_EQ(config.max_positions, 44);
  EXPECT_EQ(config.generation.suppressed_ids, (Ids{1, 5}));
}

TEST_F(EncoderDecoderImport, T5) {
  copy("t5_v1_0");
  const ModelConfig config = convert_config();
  EXPECT_EQ(config.norm, NormPlacement::kPre);
  EXPECT_EQ(config.norm_kind, NormKind::kRms);
  EXPECT_EQ(config.norm_eps, 1e-6f);
  EXPECT_TRUE(config.final_norm);
  EXPECT_FALSE(config.gated);
  EXPECT_EQ(config.activation, Activation::kRelu);
  EXPECT_EQ(config.positions, Positions::kNone);
  EXPECT_EQ(config.embedding_scale, 1);
  EXPECT_EQ(config.max_positions, 4096);
  EXPECT_EQ(config.n_layers, 3);
  EXPECT_EQ(config.decoder.n_layers, 2);
  for (const AttentionSpec* spec :
       {&config.attention, &config.decoder.attention, &config.decoder.cross}) {
    EXPECT_EQ(spec->score, Score::kDot);
    EXPECT_EQ(spec->n_heads, 4);
    EXPECT_EQ(spec->head_dim, 5);
    const bool is_cross = spec == &config.decoder.cross;
    EXPECT_EQ(spec->relative.n_buckets, is_cross ? 0 : 8);
    if (is_cross) continue;
    EXPECT_EQ(spec->relative.max_distance, 12);
    EXPECT_EQ(spec->relative.max_len, 4096);
    EXPECT_EQ(spec->relative.bidirectional, spec == &config.attention);
  }
  EXPECT_EQ(config.decoder.attention.causal, Causal::kLowerRight);
  EXPECT_EQ(config.generation.min_new_tokens, 3);
  EXPECT_EQ(config.generation.n_beams, 4);
}

TEST_F(EncoderDecoderImport, FeedForwardsOfT5) {
  const auto of = [&](const char* model, const json& change) {
    copy(model);
    patch("config.json", change);
    const ModelConfig config = convert_config();
    return std::pair(config.gated, config.activation);
  };
  using Pair = std::pair<bool, Activation>;
  const json no_more = {{"dense_act_fn", nullptr}, {"is_gated_act", nullptr}};
  const auto with = [&](json change, const json& more) {
    change.merge_patch(more);
    return change;
  };
  EXPECT_EQ(of("t5_v1_1", json::object()), Pair(true, Activation::kGeluTanh));
  EXPECT_EQ(of("t5_v1_1", no_more),
            no_more.size() == 2 ? Pair(true, Activation::kGeluTanh) : Pair());
  EXPECT_EQ(of("mt5", json::object()), Pair(true, Activation::kSilu));
  EXPECT_EQ(of("mt5", with({{"feed_forward_proj", nullptr}, {"dense_act_fn", nullptr}},
                           {{"is_gated_act", nullptr}})),
            Pair(true, Activation::kGeluTanh));
  EXPECT_EQ(of("t5_v1_0", with({{"feed_forward_proj", nullptr}, {"dense_act_fn", nullptr}},
                               {{"is_gated_act", nullptr}})),
            Pair(false, Activation::kRelu));
  EXPECT_EQ(of("t5_v1_0", {{"dense_act_fn", "gelu"}}), Pair(false, Activation::kGelu));
}

// What a config does not say is what the classes of transformers assume.
TEST_F(EncoderDecoderImport, DefaultsOfConfigs) {
  copy("t5_v1_1");
  patch("config.json",
        {{"relative_attention_max_distance", nullptr}, {"layer_norm_epsilon", nullptr}});
  ModelConfig config = convert_config();
  EXPECT_EQ(config.attention.relative.n_buckets, 32);
  EXPECT_EQ(config.attention.relative.max_distance, 128);
  EXPECT_EQ(config.norm_eps, 1e-6f);
  copy("marian_shared");
  patch("config.json",
        {{"decoder_vocab_size", nullptr}, {"share_encoder_decoder_embeddings", nullptr}});
  EXPECT_EQ(convert_config().decoder.vocab_size, 83);
  patch("config.json", {{"scale_embedding", nullptr}});
  EXPECT_EQ(convert_config().embedding_scale, 1);
  // As files of the first programs had them.
  patch("config.json", {{"normalize_before", false},
                        {"normalize_embedding", false},
                        {"add_final_layer_norm", false},
                        {"add_bias_logits", false},
                        {"static_position_embeddings", true}});
  EXPECT_NO_THROW(convert());
}

// Which of T5's has its decoder's output scaled.
TEST_F(EncoderDecoderImport, ScaleOfTheOutput) {
  const auto weight = [&](const char* model, const json& change) {
    copy(model);
    patch("config.json", change);
    const Container container = convert();
    const TensorInfo* tensor = container.find("decoder.norm.weight");
    return *reinterpret_cast<const float*>(container.data(*tensor).data());
  };
  const json silent = {{"scale_decoder_outputs", nullptr}, {"tie_word_embeddings", nullptr}};
  const auto with = [&](const char* key, bool value) {
    json change = silent;
    change[key] = value;
    return change;
  };
  const float scaled = weight("t5_v1_0", silent);
  const float plain = weight("t5_v1_0", with("scale_decoder_outputs", false));
  EXPECT_NEAR(scaled * std::sqrt(24.0f), plain, std::abs(plain) * 0x1p-22f);
  EXPECT_EQ(weight("t5_v1_0", with("tie_word_embeddings", false)), plain);
  EXPECT_EQ(weight("t5_v1_0", with("tie_word_embeddings", true)), scaled);
  const float of_mt5 = weight("mt5", silent);
  EXPECT_EQ(weight("mt5", with("tie_word_embeddings", true)), of_mt5) << "never";
}

TEST_F(EncoderDecoderImport, EveryFieldOfConfigsIsRequired) {
  const std::pair<const char*, std::vector<const char*>> models[] = {
      {"bart",
       {"vocab_size", "d_model", "max_position_embeddings", "encoder_layers", "encoder_ffn_dim",
        "encoder_attention_heads", "decoder_layers", "decoder_ffn_dim", "decoder_attention_heads",
        "activation_function"}},
      {"t5_v1_0", {"vocab_size", "d_model", "d_ff", "d_kv", "num_layers", "num_heads"}}};
  for (const auto& [model, keys] : models) {
    for (const char* key : keys) {
      refuse_config(model, {{key, nullptr}}, Status::kBadFile, quoted(key) + " is missing");
      refuse_config(model, {{key, json::array()}}, Status::kBadFile, quoted(key) + " is an array");
    }
  }
}

TEST_F(EncoderDecoderImport, HeadsMustDivide) {
  for (const int n_heads : {0, -3, 5}) {
    for (const char* key : {"encoder_attention_heads", "decoder_attention_heads"}) {
      refuse_config("bart", {{key, n_heads}}, Status::kBadFile,
                    quoted(key) + " is " + std::to_string(n_heads) +
                        ", which does not divide \"d_model\" (24)");
    }
  }
  refuse_config("t5_v1_0", {{"num_heads", 0}}, Status::kBadFile, "\"num_heads\" is less than 1");
  refuse_config("t5_v1_0", {{"d_kv", -1}}, Status::kBadFile, "\"d_kv\" is less than 1");
}

TEST_F(EncoderDecoderImport, RefusesActivations) {
  refuse_config("bart", {{"activation_function", "tanh"}}, Status::kUnsupported,
                "\"activation_function\" is \"tanh\", not one of: gelu, gelu_new, "
                "gelu_pytorch_tanh, relu, silu, swish");
  refuse_config("t5_v1_0", {{"dense_act_fn", "tanh"}}, Status::kUnsupported,
                "\"dense_act_fn\" is \"tanh\"");
  refuse_config("t5_v1_0", {{"dense_act_fn", nullptr}, {"feed_forward_proj", "gated-tanh"}},
                Status::kUnsupported, "\"feed_forward_proj\" is \"tanh\"");
}

TEST_F(EncoderDecoderImport, RefusesHalvesOfAModel) {
  for (const char* model : {"bart", "t5_v1_0"}) {
    refuse_config(model, {{"is_encoder_decoder", false}}, Status::kUnsupported,
                  "\"is_encoder_decoder\" is false; only true is supported");
    refuse_config(model, {{"is_decoder", true}}, Status::kUnsupported,
                  "\"is_decoder\" is true; only false is supported");
  }
}

TEST_F(EncoderDecoderImport, RefusesQuantizedAndPruned) {
  refuse_config("t5_v1_0", {{"quantization_config", {{"bits", 8}}}}, Status::kUnsupported,
                "\"quantization_config\" is not empty");
  refuse_config("bart", {{"pruned_heads", {{"1", {0}}}}}, Status::kUnsupported,
                "\"pruned_heads\" is not empty");
}

TEST_F(EncoderDecoderImport, RefusesVariantsThatTransformersDoesNotCompute) {
  const auto words = [](const char* key, bool value, const char* type) {
    const char* const is = value ? "true" : "false";
    const char* const otherwise = value ? "false" : "true";
    return quoted(key) + " is " + is + ", but models of \"model_type\" \"" + type +
           "\" are computed as if it were " + otherwise;
  };
  refuse_config("bart", {{"normalize_before", true}}, Status::kUnsupported,
                words("normalize_before", true, "bart"));
  refuse_config("marian_shared", {{"normalize_embedding", true}}, Status::kUnsupported,
                words("normalize_embedding", true, "marian"));
  refuse_config("marian_shared", {{"static_position_embeddings", false}}, Status::kUnsupported,
                words("static_position_embeddings", false, "marian"));
  refuse_config("mbart", {{"normalize_before", false}}, Status::kUnsupported,
                words("normalize_before", false, "mbart"));
  refuse_config("mbart", {{"add_final_layer_norm", false}}, Status::kUnsupported,
                words("add_final_layer_norm", false, "mbart"));
}

TEST_F(EncoderDecoderImport, SharedVocabularyMustBeOne) {
  refuse_config("marian_shared", {{"decoder_vocab_size", 84}}, Status::kBadFile,
                "\"decoder_vocab_size\" is 84, not \"vocab_size\" (83)");
}

TEST_F(EncoderDecoderImport, PaddingOfM2M100) {
  copy("m2m_100");
  patch("config.json", {{"pad_token_id", 3}});
  EXPECT_EQ(convert_config().position_offset, 4);
  for (const int64_t id : {int64_t{-1}, int64_t{89}, INT64_MAX}) {
    refuse_config("m2m_100", {{"pad_token_id", id}}, Status::kBadFile,
                  "\"pad_token_id\" is " + std::to_string(id) + ", no id of the vocabulary");
  }
}

TEST_F(EncoderDecoderImport, RefusesPoolingOverIt) {
  copy("t5_v1_0");
  std::filesystem::create_directory(hf_ + "/1_Pooling");
  write_file(hf_ + "/1_Pooling/config.json", R"({"pooling_mode_mean_tokens": true})");
  write_file(hf_ + "/modules.json",
             R"([{"idx": 0, "path": "", "type": "sentence_transformers.models.Transformer"},
                 {"idx": 1, "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}])");
  EXPECT_ERROR(convert(), Status::kUnsupported, "pooling is supported for \"bert\" alone");
}

TEST_F(EncoderDecoderImport, LengthOfTheTokenizer) {
  copy("m2m_100");
  for (const auto& [length, most] :
       {std::pair<json, int64_t>{7, 7}, {44, 44}, {45, 44}, {1e30, 44}}) {
    write_file(hf_ + "/tokenizer_config.json", json{{"model_max_length", length}}.dump());
    EXPECT_EQ(convert_config().max_seq_len, most) << length;
  }
}

// Generation's defaults.

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
  EXPECT_EQ(most({{"min_length", 5}, {"min_new_tokens", 3}}), Pair(15, 4));
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
        {{{"repetition_penalty", 0}}, "s \"length_penalty\" and"}}) {
    copy("marian_shared");
    patch("generation_config.json", change);
    EXPECT_ERROR(convert(), Status::kBadFile, where + words);
  }
}

TEST_F(EncoderDecoderImport, RefusesM2M100ThatStartsWithPadding) {
  refuse("m2m_100", "generation_config.json", {{"decoder_start_token_id", 1}}, Status::kUnsupported,
         " field \"decoder_start_token_id\" is 1, the padding's id");
}

// Tensors.

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
  EXPECT_NE(container.find("embeddings.word"), nullptr);
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
    const std::set<std::string> words = {"embeddings.word", "decoder.embeddings.word",
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
        const DType dtype = !is_narrow                      ? DType::kF32
                            : precision == Precision::kBf16 ? DType::kBf16
                                                            : DType::kS8;
        EXPECT_EQ(found->dtype, dtype) << tensor.name;
        if (dtype != DType::kS8) continue;
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
  EXPECT_EQ(container.find("decoder.layers.1.cross.kv.weight")->dtype, DType::kBf16);
  EXPECT_EQ(container.find("lm_head.weight")->dtype, DType::kBf16);
  EXPECT_EQ(container.find("lm_head.scale"), nullptr);
  EXPECT_EQ(container.find("decoder.layers.0.cross.kv.weight")->dtype, DType::kS8);
  options.higher_precision = {"layers.1.cross.kv"};
  EXPECT_ERROR(convert(options), Status::kInvalidArgument,
               "no product of the model is called \"layers.1.cross.kv\"");
}

}  // namespace
}  // namespace headlane
