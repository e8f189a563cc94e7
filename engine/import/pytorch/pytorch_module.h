// The tensors of a PyTorch module's state dict: which module it is, told by their names, and what
// has been taken of them.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "engine/import/source/safetensors.h"
#include "engine/import/source/tensor_recipe.h"

namespace headlane {

enum class ModuleKind {
  kAttention,
  kEncoderLayer,
  kEncoder,
  kDecoderLayer,
  kDecoder,
  kTransformer,
};

// Tensors are taken one by one, under both their names: the module's, without what stands before
// all of them where it was part of another, and the .headlane file's. All throw Error that names
// the file and the tensor at fault.
class ModuleTensors {
 public:
  explicit ModuleTensors(const std::string& path);
  ModuleTensors(const ModuleTensors&) = delete;
  ModuleTensors& operator=(const ModuleTensors&) = delete;

  ModuleKind kind() const { return kind_; }
  // Whether the module has its biases: it has all of them or none. A final norm is for itself.
  bool has_bias() const { return has_bias_; }
  bool has(const std::string& name) const { return model_.contains(prefix_ + name); }
  // Whether an attention's weights begin with `at`, at least one of them.
  bool has_attention(const std::string& at) const;
  const std::vector<int64_t>& shape_of(const std::string& name) const {
    return model_.shape_of(prefix_ + name);
  }
  const std::string& path() const { return path_; }
  // As the file has it, for messages.
  std::string name_in_file(const std::string& name) const;

  void add(const std::string& source, const std::string& name, std::vector<int64_t> shape);
  // Q's, K's and V's rows of one tensor, to name + "q" + suffix and so on.
  void add_parts(const std::string& source, const std::string& name, const std::string& suffix,
                 const std::vector<int64_t>& shape);
  // source.weight [n, k], and source.bias [n] if the module has biases.
  void add_linear(const std::string& source, const std::string& name, int64_t n, int64_t k);
  // source.weight [d], and source.bias [d].
  void add_vectors(const std::string& source, const std::string& name, int64_t d, bool has_bias);
  void add_zeros(const std::string& name, int64_t n);

  // Throws Error if there are tensors that nothing has taken.
  void check_none_left() const;
  const Checkpoint& checkpoint() const { return model_; }
  // How to make what was added. To be called once.
  std::vector<TensorRecipe> take_recipes() { return recipes_.take(); }

 private:
  // Sets prefix_ too.
  ModuleKind find_kind();
  bool is_decoder_layer(const std::string& at) const;
  bool has_any_bias() const;
  // A tensor that is going to be added, as the file has its name.
  std::string take(const std::string& source);

  std::string path_;
  SafetensorsModel model_;
  std::set<std::string> left_;
  std::string prefix_;  // of every tensor's name, such as "encoder."
  ModuleKind kind_ = ModuleKind::kAttention;
  bool has_bias_ = false;
  Recipes recipes_;
};

}  // namespace headlane
