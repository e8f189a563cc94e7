#include "engine/import/families/llama.h"

#include <algorithm>
#include <utility>

#include "engine/base/error.h"
#include "engine/import/families/decoder.h"
#include "engine/import/families/language_model.h"
#include "engine/import/families/rotary.h"
#include "engine/import/source/json_file.h"

namespace headlane {
namespace {

// A layer may be named as windowed only where windows are used.
void refuse_unused_windows(const std::vector<bool>& types, const std::string& path) {
  if (std::find(types.begin(), types.end(), true) == types.end()) return;
  fail(Status::kBadFile,
       "%s field \"layer_types\" has \"sliding_attention\", but no window is used: "
       "\"use_sliding_window\" is false or \"sliding_window\" is missing",
       path.c_str());
}

// The window of each layer: "layer_types" says which layers have it or, in models that write no
// such field, the layer's number does.
std::vector<LayerWindow> read_windows(const Json& config, const std::string& path,
                                      int64_t n_layers) {
  const std::string type = json_string(config, "model_type", path);
  const bool used = type == "mistral" || json_bool(config, "use_sliding_window", path, false);
  const bool has_window = used && json_has(config, "sliding_window", path);
  if (type == "mistral") {
    return has_window ? std::vector{window_of(config, path)} : std::vector<LayerWindow>();
  }
  const std::optional<std::vector<bool>> types = read_layer_types(config, path, n_layers);
  if (!has_window) {
    if (types) refuse_unused_windows(*types, path);
    return {};
  }
  const LayerWindow window = window_of(config, path);
  if (types) return windows_of(*types, window);
  const int64_t first = std::max<int64_t>(json_int(config, "max_window_layers", path), 0);
  std::vector<bool> behind(static_cast<size_t>(n_layers));
  for (int64_t i = first; i < n_layers; ++i) behind[static_cast<size_t>(i)] = true;
  return windows_of(behind, window);
}

}  // namespace

ModelConfig llama_config(const Json& config, const std::string& path) {
  ModelConfig result = gated_decoder_config(config, path);
  refuse_partial_rotary(config, path);
  StackConfig& decoder = result.decoder;
  decoder.attention.rotary =
      read_rotary(config, path, decoder.attention.head_dim, decoder.max_positions);
  decoder.windows = read_windows(config, path, decoder.n_layers);
  if (result.architecture == "qwen3") decoder.qk_norms.of = QkNorm::kHeads;
  return result;
}

std::vector<TensorRecipe> llama_tensors(const Checkpoint& checkpoint, const Json& config,
                                        const std::string& path, const ModelConfig& model) {
  GatedLayerNames names;
  const std::string type = json_string(config, "model_type", path);
  names.qkv_bias = type == "qwen2";
  if (type == "llama" || type == "qwen3") {
    names.qkv_bias = names.out_bias = json_bool(config, "attention_bias", path, false);
  }
  if (type == "llama") names.ffn_bias = json_bool(config, "mlp_bias", path, false);
  const bool tied = json_bool(config, "tie_word_embeddings", path, false);
  return gated_decoder_tensors(checkpoint, model, names, tied);
}

}  // namespace headlane
