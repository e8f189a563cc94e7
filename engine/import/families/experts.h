// Families whose layers have experts share these: the fields that say how experts are chosen, and
// the tensors that a layer has of them.
#pragma once

#include <initializer_list>
#include <string>
#include <vector>

#include "engine/file/json.h"
#include "engine/import/source/tensor_recipe.h"
#include "engine/spec/experts_config.h"

namespace headlane {

// How many experts a layer has: a field that has any of these names, of which transformers reads
// each, or `otherwise`. Throws Error if two of them say different numbers.
int64_t read_expert_count(const Json& config, const std::string& path,
                          std::initializer_list<const char*> names, int64_t otherwise);

// Whether each layer has experts: each "decoder_sparse_step"th one, except those of the list
// "mlp_only_layers".
std::vector<LayerExperts> read_sparse_layers(const Json& config, const std::string& path,
                                             int64_t n_layers);
// All layers except the first "first_k_dense_replace".
std::vector<LayerExperts> read_later_layers(const Json& config, const std::string& path,
                                            int64_t n_layers);

// The tensors of a layer, without its prefix and ".weight".
struct ExpertNames {
  std::string router = "mlp.gate";
  std::string choice_bias = "mlp.gate.e_score_correction_bias";  // this is the whole of its name
  std::string experts = "mlp.experts";  // "mlp.experts.0.gate_proj", or "mlp.experts.gate_proj"
  std::string gate = "gate_proj", up = "up_proj", down = "down_proj";
  bool biases = false;  // of the router and of each expert's products
  std::string shared = "mlp.shared_expert", shared_gate = "mlp.shared_expert_gate";
};
// The recipes of one layer's experts, which are called `name`. A checkpoint has a tensor for each
// expert, or one of all experts: [n, rows, columns].
void add_expert_tensors(const Checkpoint& checkpoint, const ExpertsConfig& config, int64_t d_model,
                        const std::string& layer, const ExpertNames& names, const std::string& name,
                        Recipes* recipes);

}  // namespace headlane
