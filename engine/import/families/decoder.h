// Language models whose layers have norms by the root of the mean square, rotary positions, grouped
// heads and a gated feed-forward have this in common. A family of them says what is different, and
// what its tensors are called; this reads the rest, and gives the tensors Headlane's names.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/file/json.h"
#include "engine/import/families/experts.h"
#include "engine/import/source/tensor_recipe.h"
#include "engine/spec/config.h"

namespace headlane {

// Sizes, heads and norms, without positions and windows. `activation`: the field that names it.
ModelConfig gated_decoder_config(const Json& config, const std::string& path,
                                 const char* activation = "hidden_act");

// A window of "sliding_window" tokens is the query's own and those before it.
LayerWindow window_of(const Json& config, const std::string& path);
// Whether each layer has a window, as the field "layer_types" says; nothing if there is none.
std::optional<std::vector<bool>> read_layer_types(const Json& config, const std::string& path,
                                                  int64_t n_layers);
// A layer may be named as windowed only where windows are used: throws Error(kBadFile).
void refuse_unused_windows(const std::vector<bool>& types, const std::string& path);
// The window in those layers alone.
std::vector<LayerWindow> windows_of(const std::vector<bool>& layers, LayerWindow window);

// The tensors of a layer, without its prefix and ".weight"; "" if there is no such one.
struct GatedLayerNames {
  // The rows of q, of k and of v, or of all in one tensor.
  std::vector<std::string> qkv = {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"};
  std::string out = "self_attn.o_proj";
  std::string attention_norm = "input_layernorm", attention_norm_after;
  // The gate's rows and then up's, in two tensors or in one.
  std::vector<std::string> gate_up = {"mlp.gate_proj", "mlp.up_proj"};
  std::string down = "mlp.down_proj";
  std::string ffn_norm = "post_attention_layernorm", ffn_norm_after;
  // The products that have biases. The config says so, whatever tensors there are.
  bool qkv_bias = false, out_bias = false, ffn_bias = false;
  float norm_plus = 0;          // is added to the weights of all norms
  bool alibi = false;           // attention has the slopes that Press et al. give so many heads
  bool unit_head = false;       // rows of the head are divided by their length
  bool sinks = false;           // each head has a sink
  ExpertNames experts;          // of layers that have experts in place of a feed-forward
  int64_t left_out_layer = -1;  // the checkpoint may have such a layer, which is left out
};
// Makes those of a language model's layers the layers of an encoder.
void name_as_encoder(std::vector<TensorRecipe>* recipes);

// `tied`: logits come from the table of words.
std::vector<TensorRecipe> gated_decoder_tensors(const Checkpoint& checkpoint,
                                                const ModelConfig& model,
                                                const GatedLayerNames& names, bool tied);

}  // namespace headlane
