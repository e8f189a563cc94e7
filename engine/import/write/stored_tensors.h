// Imported tensors as a .headlane file stores them in a precision.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "engine/file/container.h"
#include "engine/file/container_write.h"
#include "engine/import/source/tensor_recipe.h"
#include "engine/import/write/convert_options.h"
#include "engine/spec/config.h"

namespace headlane {

// The products that stay in bf16 where others are int8, or in int8g where others are int4: what the
// options name, or, where they name none, what was measured to be worth it (docs/precision.md): for
// models of an encoder alone, the projections of Q, K and V in all but the first third of the
// layers, and the second product of the first feed-forward.
std::vector<std::string> higher_precision_of(const ModelConfig& config,
                                             const ConvertOptions& options);

// The products of a language model that have more bits where the options ask for int4 and name no
// product: 5 bits for the logits and the projections of Q, K and V, and 6 for the feed-forward's
// second product in the first eighth of the layers, the last one and each third of the others. That
// is what was measured to be worth it (docs/precision.md).
std::vector<ProductPrecision> mixed_precisions_of(const ModelConfig& config,
                                                  std::span<const TensorRecipe> recipes,
                                                  const ConvertOptions& options);

// "encoder.layers.0.ffn.up" of "encoder.layers.0.ffn.up.weight", if that is the weight of a
// product; of a decoder's table of words, "lm_head" where `all` have no other; else "".
std::string product_of(const TensorRecipe& tensor, std::span<const TensorRecipe> all);

bool is_words(const TensorRecipe& tensor);  // a table of words

// Weights of products and the table of words in the precision asked for, all else in f32. With
// `keeps_words`, a table that no product uses is in what the checkpoint has its elements in.
class StoredTensors {
 public:
  // The checkpoint and the recipes must outlive it. Error(kInvalidArgument) if the config keeps a
  // product that `recipes` have no weight of.
  StoredTensors(const Checkpoint& checkpoint, std::span<const TensorRecipe> recipes,
                const ModelConfig& config, Precision precision, bool keeps_words = false);

  // Names, types and shapes, in the order in which write() writes; without data.
  std::vector<TensorSource> outline() const;
  // Reads, converts and writes each tensor, block by block. Throws Error as RecipeReader::next and
  // ContainerWriter::write.
  void write(ContainerWriter* writer) const;

 private:
  struct Stored {
    const TensorRecipe* recipe;
    Format dtype;
    std::string scales;  // of s8, the tensor of its rows' scales, which comes next
  };

  const Checkpoint& checkpoint_;
  std::vector<Stored> stored_;
};

}  // namespace headlane
