#include "engine/import/families/experts.h"

#include <utility>

#include "engine/base/error.h"
#include "engine/import/families/language_model.h"
#include "engine/import/source/json_file.h"

namespace headlane {
namespace {

using ll = long long;

// Takes slices of experts' tensors, expert by expert.
class ExpertSlices {
 public:
  ExpertSlices(const Checkpoint& checkpoint, std::string prefix, int64_t n)
      : checkpoint_(checkpoint), prefix_(std::move(prefix)), n_(n) {}

  // Of each expert, the parts [rows, k] beneath each other.
  std::vector<TensorSlice> take(const std::vector<std::string>& parts, int64_t rows, int64_t k) {
    for (const std::string& part : parts) require(part, rows, k);
    std::vector<TensorSlice> slices;
    const int64_t size = rows * k;
    for (int64_t i = 0; i < n_; ++i) {
      for (const std::string& part : parts) {
        if (is_stacked(part)) {
          slices.push_back({stacked(part), i * size, size});
        } else {
          slices.push_back({of_expert(i, part), 0, size});
        }
      }
    }
    return slices;
  }

  // Likewise of biases, which are tensors of all experts: [n, rows].
  std::vector<TensorSlice> take_biases(const std::vector<std::string>& parts, int64_t rows) {
    std::vector<TensorSlice> slices;
    for (int64_t i = 0; i < n_; ++i) {
      for (const std::string& part : parts) {
        const std::string name = prefix_ + "." + part + ".bias";
        if (i == 0) checkpoint_.require(name, {n_, rows});
        slices.push_back({name, i * rows, rows});
      }
    }
    return slices;
  }

 private:
  std::string stacked(const std::string& part) const { return prefix_ + "." + part + ".weight"; }
  std::string of_expert(int64_t i, const std::string& part) const {
    return prefix_ + "." + std::to_string(i) + "." + part + ".weight";
  }
  bool is_stacked(const std::string& part) const { return checkpoint_.contains(stacked(part)); }

  void require(const std::string& part, int64_t rows, int64_t k) const {
    if (is_stacked(part)) return checkpoint_.require(stacked(part), {n_, rows, k});
    for (int64_t i = 0; i < n_; ++i) checkpoint_.require(of_expert(i, part), {rows, k});
  }

  const Checkpoint& checkpoint_;
  std::string prefix_;
  int64_t n_;
};

}  // namespace

int64_t read_expert_count(const Json& config, const std::string& path,
                          std::initializer_list<const char*> names, int64_t otherwise) {
  const char* found = nullptr;
  for (const char* name : names) {
    if (!json_has(config, name, path)) continue;
    if (found != nullptr && json_int(config, found, path) != json_int(config, name, path)) {
      fail(Status::kBadFile, "%s fields \"%s\" and \"%s\" are not the same number", path.c_str(),
           found, name);
    }
    found = name;
  }
  return found == nullptr ? otherwise : json_positive(config, found, path);
}

std::vector<LayerExperts> read_sparse_layers(const Json& config, const std::string& path,
                                             int64_t n_layers) {
  const int64_t step = json_positive(config, "decoder_sparse_step", path);
  std::vector<LayerExperts> layers(static_cast<size_t>(n_layers));
  for (int64_t i = 0; i < n_layers; ++i) {
    layers[static_cast<size_t>(i)].experts = (i + 1) % step == 0;
  }
  constexpr const char* kDense = "mlp_only_layers";
  if (!json_has(config, kDense, path)) return layers;
  const Json& dense = config[kDense];
  if (!dense.is_array())
    fail(Status::kBadFile, "%s field \"%s\" is not a list", path.c_str(), kDense);
  for (const Json& layer : dense) {
    if (!layer.is_number_integer()) {
      fail(Status::kBadFile, "%s field \"%s\" has %s, which is no layer", path.c_str(), kDense,
           printable(layer.dump()).c_str());
    }
    const auto i = layer.get<int64_t>();
    if (i >= 0 && i < n_layers) layers[static_cast<size_t>(i)].experts = false;
  }
  return layers;
}

std::vector<LayerExperts> read_later_layers(const Json& config, const std::string& path,
                                            int64_t n_layers) {
  const int64_t n_dense = json_int(config, "first_k_dense_replace", path);
  std::vector<LayerExperts> layers(static_cast<size_t>(n_layers));
  for (int64_t i = 0; i < n_layers; ++i) layers[static_cast<size_t>(i)].experts = i >= n_dense;
  return layers;
}

void add_expert_tensors(const Checkpoint& checkpoint, const ExpertsConfig& config, int64_t d_model,
                        const std::string& layer, const ExpertNames& names, const std::string& name,
                        Recipes* recipes) {
  std::vector<std::pair<std::string, int64_t>> router = {
      {layer + names.router + ".weight", config.n}};
  if (config.shared.gated) router.emplace_back(layer + names.shared_gate + ".weight", 1);
  recipes->add_stacked_rows(router, name + ".router.weight", {d_model});
  if (config.choice_bias) {
    recipes->add(layer + names.choice_bias, name + ".router.choice_bias", {config.n});
  }
  ExpertSlices experts(checkpoint, layer + names.experts, config.n);
  const int64_t d_ff = config.d_ff;
  recipes->add_slices(experts.take({names.gate, names.up}, d_ff, d_model),
                      name + ".experts.up.weight", {config.n * 2 * d_ff, d_model});
  recipes->add_slices(experts.take({names.down}, d_model, d_ff), name + ".experts.down.weight",
                      {config.n * d_model, d_ff});
  if (names.biases) {
    recipes->add(layer + names.router + ".bias", name + ".router.bias", {config.n});
    recipes->add_slices(experts.take_biases({names.gate, names.up}, d_ff),
                        name + ".experts.up.bias", {config.n * 2 * d_ff});
    recipes->add_slices(experts.take_biases({names.down}, d_model), name + ".experts.down.bias",
                        {config.n * d_model});
  }
  if (config.shared.d_ff == 0) return;
  const std::string shared = layer + names.shared + ".";
  recipes->add_stacked({shared + "gate_proj.weight", shared + "up_proj.weight"},
                       name + ".shared.up.weight", {config.shared.d_ff, d_model});
  recipes->add(shared + "down_proj.weight", name + ".shared.down.weight",
               {d_model, config.shared.d_ff});
}

}  // namespace headlane
