// Files whose framing is right and whose config is not: each number of it, as large as it can be,
// is refused by name, at once, and without memory that the file does not stand for.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <memory>

#include "engine/file/limits.h"
#include "engine/import/convert.h"
#include "engine/model/model.h"
#include "engine/model/model_check.h"
#include "tests/support/expect_error.h"
#include "tests/support/json_values.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_bert.h"

namespace headlane {
namespace {

using nlohmann::json;

int64_t peak_kb() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
}

class HostileModel : public testing::Test {
 protected:
  // Changes the model in the folder: `change` is merged into its config.
  void convert(const std::string& folder) { convert_model(folder, whole_, {}); }
  void convert_tiny() {
    write_file(dir_.file("config.json"), tiny_config().dump());
    write_file(dir_.file("model.safetensors"), safetensors_bytes(tiny_tensors()));
    convert(dir_.path());
  }
  void rewrite(const json& change) {
    const Container container = Container::open(whole_);
    std::vector<TensorSource> tensors;
    for (const TensorInfo& tensor : container.tensors()) {
      tensors.push_back({tensor.name, tensor.dtype, tensor.shape, container.data(tensor)});
    }
    json config = library_json(container.config());
    config.merge_patch(change);
    write_container(spoilt_, engine_json(config), container.tokenizer(), tensors);
  }
  void expect_refused(const json& change, const std::string& words) {
    rewrite(change);
    const int64_t peak_before = peak_kb();
    EXPECT_ERROR(Model::open(spoilt_, {}), Status::kBadFile, words);
    EXPECT_LT(peak_kb() - peak_before, 150 * 1024) << change;
    // The check of a file says so too, and so does conversion.
    EXPECT_ERROR(check_model(Container::open(spoilt_)), Status::kBadFile, words);
  }

  TempDir dir_;
  const std::string whole_ = dir_.file("whole"), spoilt_ = dir_.file("m.headlane");
};

TEST_F(HostileModel, EachSizeOfABert) {
  convert_tiny();
  const std::pair<const char*, int64_t> sizes[] = {
      {"vocab_size", file_limits::kVocabSize},
      {"n_types", file_limits::kTypes},
      {"max_positions", file_limits::kPositions},
      {"n_layers", file_limits::kLayers},
      {"d_ff", file_limits::kDFf},
  };
  const auto encoder = [](const char* field, const json& value) {
    return json{{"encoder", {{field, value}}}};
  };
  for (const auto& [field, most] : sizes) {
    const std::string name = std::string("\"encoder\": field \"") + field + "\" is ";
    for (const json& value : {json(most + 1), json(INT64_MAX), json(-1), json(INT64_MIN)}) {
      expect_refused(encoder(field, value), name + value.dump() + ", outside [");
    }
    for (const json& value : {json(UINT64_MAX), json(1e300), json(4.0), json("4"), json(true)}) {
      expect_refused(encoder(field, value), name);
    }
    // Within the limit, but more than the tensors have.
    expect_refused(encoder(field, most),
                   std::string(field) == "n_layers" ? "only 29 tensors" : "tensor \"");
  }
  expect_refused(encoder("n_layers", 3),
                 "tensor \"encoder.layers.2.attention.qkv.weight\" is missing");
  expect_refused({{"d_model", 65536}}, "tensor \"encoder.embeddings");
  const auto heads = [&](const char* field, const json& value) {
    return encoder("attention", {{field, value}});
  };
  expect_refused(heads("head_dim", 255), "tensor \"encoder.layers.0.attention.qkv");
  expect_refused(heads("n_heads", file_limits::kHeads + 2), "n_heads is 65538; it must be from");
  expect_refused(heads("head_dim", INT64_MAX), "head_dim is 9223372036854775807; it must be");
  expect_refused({{"max_seq_len", 17}}, "\"max_seq_len\" is 17, more than");
  for (const double eps : {0.0, -1.0, 1e300}) {
    expect_refused(encoder("norm_eps", eps), "\"norm_eps\"");
  }
}

// Tables that are computed, not read, so that no tensor stands for their size.
TEST_F(HostileModel, ComputedTables) {
  const std::string limit = "67108864 is the limit";
  convert(HEADLANE_GOLDEN_DIR "/encoder_decoder/marian_shared");  // sinusoids
  expect_refused({{"encoder", {{"max_positions", 1 << 20}}}}, limit);
  expect_refused({{"decoder", {{"max_positions", 1 << 20}}}}, limit);
  convert(HEADLANE_GOLDEN_DIR "/encoder_decoder/t5_v1_1");  // relative biases, of each layer
  const json long_bias = {{"relative_bias", {{"max_len", 1 << 20}}}};
  expect_refused({{"encoder", {{"attention", long_bias}}}, {"decoder", {{"attention", long_bias}}}},
                 limit);
  const auto key_alibi = [](int64_t max_len) {
    return json{{"decoder", {{"attention", {{"key_alibi", {{"max_len", max_len}}}}}}}};
  };
  convert(HEADLANE_GOLDEN_DIR "/language_models/falcon_alibi_new");
  expect_refused(key_alibi(1 << 20), limit);
  convert(HEADLANE_GOLDEN_DIR "/language_models/falcon");  // it has rotary positions, and no slopes
  expect_refused(key_alibi(640), "key_alibi needs them");
  convert(HEADLANE_GOLDEN_DIR "/layers/encoder_pre_norm_final");
  const json rotary = {{"dims", 2},
                       {"interleaved", false},
                       {"base", 10000.0},
                       {"max_positions", 1 << 20},
                       {"scaling", "none"},
                       {"factor", 1.0},
                       {"original_max_positions", 0},
                       {"beta_fast", 32.0},
                       {"beta_slow", 1.0},
                       {"attention_factor", 0.0},
                       {"low_freq_factor", 1.0},
                       {"high_freq_factor", 4.0},
                       {"truncate", true}};
  json large = rotary;
  large["dims"] = 256;
  expect_refused({{"encoder", {{"attention", {{"rotary", large}, {"head_dim", 256}}}}}}, limit);
  expect_refused({{"encoder", {{"positions", "sinusoidal"}, {"max_positions", 1 << 20}}},
                  {"d_model", 65536},
                  {"kdim", 65536},
                  {"vdim", 65536}},
                 "config field \"encoder\": field \"max_positions\"");
}

TEST_F(HostileModel, EachSizeOfADecoder) {
  convert(HEADLANE_GOLDEN_DIR "/encoder_decoder/marian_shared");
  const auto decoder = [](const char* field, const json& value) {
    return json{{"decoder", {{field, value}}}};
  };
  expect_refused(decoder("vocab_size", file_limits::kVocabSize), "tensor \"");
  expect_refused(decoder("vocab_size", file_limits::kVocabSize + 1), "\"vocab_size\" is 16777217");
  expect_refused(decoder("n_layers", file_limits::kLayers), "layers, but only");
  expect_refused(decoder("n_layers", 4), "tensor \"decoder.layers.3.");
  expect_refused(decoder("d_ff", file_limits::kDFf), "tensor \"decoder.layers.0.ffn.up.weight\"");
  expect_refused(decoder("attention", {{"n_heads", 65536}, {"n_kv_heads", 65536}}), "tensor \"");
  expect_refused(decoder("attention", {{"head_dim", 257}}), "head_dim is 257");
  expect_refused(decoder("cross", {{"v_dim", 0}}), "v_dim is 0");
  const auto generation = [](const char* field, const json& value) {
    return json{{"generation", {{field, value}}}};
  };
  // Memory of a generator grows with both.
  expect_refused(generation("n_beams", file_limits::kBeams + 1), "\"n_beams\" is 1025, outside");
  expect_refused(generation("max_new_tokens", 1 << 20), "\"max_new_tokens\" is 1048576, outside");
  expect_refused(generation("start_id", INT32_MAX), "\"start_id\" has the id");
  expect_refused(generation("end_ids", json::array({1e300})), "\"end_ids\" has the id");
  expect_refused(generation("suppressed_ids", std::vector<int>(4097, 1)), "more than 4096 ids");
}

// Right bytes under a wrong type, and tensors that others need.
TEST_F(HostileModel, TensorsOfAnotherType) {
  ConvertOptions options;
  options.precision = Precision::kInt8;
  convert_model(HEADLANE_GOLDEN_DIR "/bert/head_dim_16_mean_normalize", whole_, options);
  const Container container = Container::open(whole_);
  const auto refused = [&](const std::string& name, Format dtype, bool is_left_out,
                           const std::string& words) {
    std::vector<TensorSource> tensors;
    for (const TensorInfo& tensor : container.tensors()) {
      tensors.push_back({tensor.name, tensor.dtype, tensor.shape, container.data(tensor)});
      if (tensor.name != name) continue;
      TensorSource& changed = tensors.back();
      if (row_bytes(dtype, 1) != row_bytes(changed.dtype, 1)) {
        const int64_t elements = tensor.bytes / row_bytes(dtype, 1);
        changed.data = changed.data.first(static_cast<size_t>(elements * row_bytes(dtype, 1)));
        changed.shape = {elements};
      }
      changed.dtype = dtype;
      if (is_left_out) tensors.pop_back();
    }
    write_container(spoilt_, container.config(), container.tokenizer(), tensors);
    EXPECT_ERROR(Model::open(spoilt_, {}), Status::kBadFile, words);
    EXPECT_ERROR(check_model(Container::open(spoilt_)), Status::kBadFile, words);
  };
  refused("tokenizer.vocab", Format::kF32, false, "\"tokenizer.vocab\" is not u8");
  refused("tokenizer.vocab", Format::kS8, false, "\"tokenizer.vocab\" is not u8");
  refused("tokenizer.vocab", Format::kU8, true, "no tensor \"tokenizer.vocab\"");
  refused("encoder.embeddings.word", Format::kU8, false,
          "tensor \"encoder.embeddings.word\" is u8 ");
  refused("encoder.embeddings.word.scale", Format::kF32, true,
          "\"encoder.embeddings.word.scale\" is missing");
  refused("encoder.embeddings.word.scale", Format::kU8, false,
          "\"encoder.embeddings.word.scale\" is u8 ");
  refused("encoder.embeddings.norm.weight", Format::kBf16, false,
          "\"encoder.embeddings.norm.weight\" is bf16 ");
  refused("encoder.layers.0.ffn.up.weight", Format::kU8, false,
          "\"encoder.layers.0.ffn.up.weight\" is u8 ");
  refused("encoder.layers.0.ffn.up.weight", Format::kF32, false,
          "\"encoder.layers.0.ffn.up.weight\" is f32 ");
  refused("encoder.layers.0.ffn.up.scale", Format::kF32, true,
          "\"encoder.layers.0.ffn.up.scale\" is missing");
  refused("encoder.layers.0.ffn.up.bias", Format::kF32, true,
          "\"encoder.layers.0.ffn.up.bias\" is missing");
}

// Nothing is written that the engine would refuse.
TEST_F(HostileModel, ConvertingRefusesTheSame) {
  json config = tiny_config();
  config["max_position_embeddings"] = 1;
  write_file(dir_.file("config.json"), config.dump());
  write_file(dir_.file("model.safetensors"), safetensors_bytes(tiny_tensors()));
  EXPECT_ERROR(convert_model(dir_.path(), spoilt_, {}), Status::kBadFile, "\"max_seq_len\" is 1");
  EXPECT_FALSE(std::filesystem::exists(spoilt_));
}

}  // namespace
}  // namespace headlane
