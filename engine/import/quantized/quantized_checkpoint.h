// The tensors of a folder that another program quantised, as if it had not: of a module "X", its
// weight is X.weight [N, K], and the tensors that it is made from are not there.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "engine/import/quantized/quantization.h"
#include "engine/import/quantized/quantized_weight.h"
#include "engine/import/source/checkpoint.h"
#include "engine/import/source/safetensors.h"
#include "engine/import/source/tensor_recipe.h"

namespace headlane {

class QuantizedCheckpoint : public Checkpoint {
 public:
  // `tensors` must outlive it, and those that are added to it later are there too. Throws Error as
  // QuantizedWeight, and if the config names a module as one that is not quantised, and it is.
  QuantizedCheckpoint(const SafetensorsModel& tensors, Quantization how);
  QuantizedCheckpoint(QuantizedCheckpoint&&) = delete;  // weights refer to `how`

  // Throws Error(kUnsupported) if a recipe takes the transpose of a quantised weight: such families
  // have weights as [K, N], and what programs that quantise make of those is not known.
  void refuse_transposed(std::span<const TensorRecipe> recipes) const;

  // All except biases of quantised modules that are all 0: some programs give one to each module,
  // whether the model has it or not.
  std::vector<std::string> names() const override;
  bool contains(const std::string& name) const override;
  const std::vector<int64_t>& shape_of(const std::string& name) const override;
  void read(const std::string& name, int64_t first, std::span<float> to) const override;
  GroupFormat group_format_of(const std::string& name) const override;
  void read_groups(const std::string& name, int64_t first, std::span<std::byte> to) const override;

 protected:
  std::string where(const std::string& name) const override { return tensors_.where(name); }
  void check_type(const std::string& name) const override;

 private:
  void add(const std::string& module);
  bool is_zero_bias(const std::string& name) const;

  const SafetensorsModel& tensors_;
  const Quantization how_;
  std::map<std::string, QuantizedWeight> weights_;  // by X.weight
  std::set<std::string> parts_;
};

}  // namespace headlane
