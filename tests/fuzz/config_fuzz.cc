// Configs: the engine's own, and those of the folders that can be converted, one file of a golden
// folder at a time. What converts must open.
#include "engine/base/error.h"
#include "engine/file/json.h"
#include "engine/file/json_fields.h"
#include "engine/spec/config.h"
#include "tests/fuzz/folder_files.h"

namespace headlane::fuzz {
namespace {

constexpr FolderFile kFiles[] = {
    {"bert/head_dim_16_mean_normalize", "config.json"},
    {"bert/head_dim_16_mean_normalize", "modules.json"},
    {"bert/head_dim_16_mean_normalize", "1_Pooling/config.json"},
    {"bert/head_dim_16_mean_normalize", "sentence_bert_config.json"},
    {"bert/head_dim_16_mean_normalize", "tokenizer_config.json"},
    {"bert/head_dim_17_max_normalize", "tokenizer.json"},
    {"bert/head_dim_32_sharded", "model.safetensors.index.json"},
    {"encoder_decoder/marian_separate", "config.json"},
    {"encoder_decoder/marian_separate", "generation_config.json"},
    {"encoder_decoder/m2m_100", "config.json"},
    {"encoder_decoder/m2m_100", "generation_config.json"},
    {"encoder_decoder/mbart", "config.json"},
    {"encoder_decoder/t5_v1_1", "config.json"},
    {"layers/attention_cross_kdim_vdim", "config.json"},
    {"layers/layer_post_norm_relu", "config.json"},
    {"layers/transformer_pre_norm_seq_first_causal", "config.json"},
    {"encoders/distilbert_head_dim_7", "config.json"},
    {"encoders/roberta_head_dim_7", "config.json"},
    {"encoders/electra_narrow_tables", "config.json"},
    {"encoders/mpnet_one_head", "config.json"},
    {"encoders/nomic_bert_makers", "config.json"},
    {"encoders/gte_makers", "config.json"},
};
constexpr uint8_t kEngine = std::size(kFiles);  // the engine's own config, which has no folder

// A config that is accepted is written as one that is accepted, and says the same.
void use_engine_config(const std::string& text) {
  try {
    const ModelConfig config = ModelConfig::from_json(parse_json(text, "input"), "input");
    const Json written = config.to_json();
    if (ModelConfig::from_json(written, "written").to_json() != written) {
      finding("ModelConfig", "is not what was written");
    }
  } catch (const Error& error) {
    if (error.status() != Status::kBadFile && error.status() != Status::kUnsupported) {
      finding("ModelConfig", error.what());
    }
  }
}

void convert(const std::string& dir, const char* precision) {
  static const Folder out;
  static const std::string path = out.file("out.headlane");
  headlane_convert_options options = HEADLANE_INIT(headlane_convert_options);
  options.precision = precision;
  // IO: a folder may name files that are not there.
  if (!is_ok(headlane_convert(dir.c_str(), path.c_str(), &options),
             {HEADLANE_BAD_FILE, HEADLANE_UNSUPPORTED, HEADLANE_IO}, "convert")) {
    return;
  }
  headlane_model* model = nullptr;
  if (!is_ok(headlane_model_open(path.c_str(), nullptr, &model), {}, "open what was converted")) {
    finding("model_open", "refused what was converted");
  }
  headlane_model_destroy(model);
}

}  // namespace
}  // namespace headlane::fuzz

using namespace headlane::fuzz;  // NOLINT(google-build-using-namespace): the entries of libFuzzer

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size,
                                          unsigned int seed) {
  return change_file_input(data, size, max_size, seed);
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static FilledFolders folders(kFiles);
  Input input(data, size);
  const size_t file = input.byte();
  const std::string text = input.text(size);
  if (file >= kEngine) {
    if (file == kEngine) use_engine_config(text);
    return 0;
  }
  const char* const precisions[] = {"f32", "bf16", "int8"};
  folders.with(kFiles[file], text,
               [&](const std::string& dir) { convert(dir, precisions[text.size() % 3]); });
  return 0;
}
