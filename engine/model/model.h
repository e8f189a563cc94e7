// An opened model: its file, its graph, and its weights packed for the kernels of this machine.
// Read only once made, so any number of sessions and threads share it.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "engine/base/log.h"
#include "engine/base/team.h"
#include "engine/file/container.h"
#include "engine/graph/graph.h"
#include "engine/spec/config.h"
#include "engine/text/tokenizer.h"
#include "kernels/kernels.h"

namespace headlane {

struct ModelOptions {
  std::string isa;                // the fastest instruction set to use, "" for no cap
  std::string gemm = "headlane";  // or "onednn": who multiplies matrices
  std::string precision;          // as of choose_precision; "": that of the file's weights
  int64_t n_threads = 0;          // that pack weights; 0: available_cpus()
  CallerPool pool;                // likewise; none: threads that are made for it, and end with it
  Log log;
  bool sizes_only = false;  // weights are not read, so nothing can run
  ContainerOptions file;    // of a model that is opened
};

// A model runs as this in one precision: its graphs, and the weights packed for them.
struct Program {
  PackedWeights packed;
  Graph graphs[kParts];  // by Part; empty: the model has none
};

class Model {
 public:
  // Throws Error.
  static std::unique_ptr<Model> open(const std::string& path, const ModelOptions& options);
  // The same for a container at hand: its weights are packed, and it is kept.
  // The config has been validated.
  static std::unique_ptr<Model> make(Container container, ModelConfig config,
                                     const ModelOptions& options);

  const ModelConfig& config() const { return config_; }
  const Container& container() const { return container_; }
  const kernels::Table& kernels() const { return kernels_; }
  // The precision of the file's weights, in which a session runs unless it asks for another.
  Precision file_precision() const { return file_precision_; }
  Precision precision() const { return precision_; }
  // Made when it is first asked for, by whichever thread. The config says which of its graphs there
  // are. Throws Error.
  const Program& program(Precision precision) const;
  const Graph& graph(Precision precision, Part part) const {
    return program(precision).graphs[static_cast<int>(part)];
  }
  const Tokenizer* tokenizer() const { return tokenizer_.get(); }  // null if the file has none
  int64_t n_parameters() const;
  // Of all programs made: bytes of packed weights, and how many of these lie in the mapped file;
  // weights of products, and how many of these the file has packed for this machine.
  struct PackedFacts {
    int64_t bytes = 0, mapped_bytes = 0, n_products = 0, n_stored = 0;
  };
  PackedFacts packed_facts() const;
  const Log& log() const { return log_; }
  // Throws Error(kUnsupported) if there are no weights to run with.
  void require_weights() const;

 private:
  Model(Container container, const ModelOptions& options);
  void log_kernels(const std::string& isa) const;
  void log_packed(const PackedWeights& packed, Precision precision) const;

  Container container_;
  ModelConfig config_;
  kernels::Table kernels_;
  Precision file_precision_ = Precision::kF32, precision_ = Precision::kF32;
  int64_t n_threads_;
  CallerPool pool_;
  Log log_;
  bool sizes_only_;
  mutable std::mutex making_;
  mutable std::unique_ptr<Program> programs_[kPrecisions];
  std::unique_ptr<Tokenizer> tokenizer_;
};

}  // namespace headlane
