// An opened model: its file, its graph, and its weights packed for the kernels of this machine.
// Read only once made, so any number of sessions and threads share it.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "engine/graph/graph.h"
#include "engine/model/config.h"
#include "engine/model/container.h"
#include "engine/text/tokenizer.h"
#include "kernels/kernels.h"

namespace headlane {

class Model {
 public:
  // `isa`: the fastest instruction set to use, "" for no cap. `gemm`: "headlane" or "onednn", who
  // multiplies matrices. Throws Error.
  static std::unique_ptr<Model> open(const std::string& path, const std::string& isa,
                                     const std::string& gemm);
  // The same for a container at hand: its weights are packed, and it is kept.
  static std::unique_ptr<Model> make(Container container, const std::string& isa,
                                     const std::string& gemm);

  const ModelConfig& config() const { return config_; }
  const Container& container() const { return container_; }
  const kernels::Table& kernels() const { return kernels_; }
  // `over_memory`: the graph whose keys and values come from rows of their own. The config says
  // which there are.
  const Graph& graph(bool over_memory = false) const {
    return over_memory ? memory_graph_ : graph_;
  }
  const Tokenizer* tokenizer() const { return tokenizer_.get(); }  // null if the file has none
  int64_t n_parameters() const;
  int64_t packed_bytes() const { return static_cast<int64_t>(packed_->bytes()); }

 private:
  explicit Model(Container container) : container_(std::move(container)) {}
  void make_tokenizer();
  void release_packed_pages() const;

  Container container_;
  ModelConfig config_;
  kernels::Table kernels_;
  std::unique_ptr<PackedWeights> packed_ = std::make_unique<PackedWeights>();
  Graph graph_, memory_graph_;
  std::unique_ptr<Tokenizer> tokenizer_;
};

}  // namespace headlane
