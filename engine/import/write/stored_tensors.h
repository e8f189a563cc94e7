// Imported tensors as a .headlane file stores them in a precision.
#pragma once

#include <deque>
#include <span>
#include <string>
#include <vector>

#include "engine/file/container.h"
#include "engine/import/write/convert_options.h"
#include "engine/spec/config.h"

namespace headlane {

// The products that stay in bf16 where others are int8: what the options name, or, where they name
// none, what was measured to be worth it (docs/precision.md): for BERT, the projections of Q, K and
// V in all but the first third of the layers, and the second product of the first feed-forward.
std::vector<std::string> higher_precision_of(const ModelConfig& config,
                                             const ConvertOptions& options);

// Weights of products and the table of words in the precision asked for, all else in f32. Keeps
// what it converted; the rest stays the caller's.
class StoredTensors {
 public:
  // Error(kInvalidArgument) if the config keeps a product that `tensors` [f32] have no weight of.
  StoredTensors(std::span<const TensorSource> tensors, const ModelConfig& config,
                Precision precision);
  std::span<const TensorSource> sources() const { return sources_; }

 private:
  void add_bf16(const TensorSource& tensor);
  void add_s8(const TensorSource& tensor, const std::string& scales);
  std::span<std::byte> keep(size_t bytes);

  std::vector<TensorSource> sources_;
  std::deque<std::vector<std::byte>> kept_;
};

}  // namespace headlane
