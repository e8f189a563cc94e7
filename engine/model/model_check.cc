#include "engine/model/model_check.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/error.h"
#include "engine/file/json.h"
#include "engine/file/limits.h"
#include "engine/graph/graph.h"

namespace headlane {
namespace {

using ll = long long;

// The size of the tables that are computed, not read. No product overflows, since each factor has a
// limit.
int64_t computed_table_floats(const ModelConfig& config) {
  int64_t floats = 0;
  for (const StackConfig* stack : {&config.encoder, &config.decoder}) {
    if (stack->n_layers == 0) continue;
    const bool shares = config.takes_tokens();
    std::vector<RotarySpec> known;
    for (int64_t i = 0; i < stack->n_layers; ++i) {
      AttentionSpec self = stack->attention_of(i);
      const RotarySpec rotary = shares ? std::exchange(self.rotary, {}) : RotarySpec();
      floats += attention_table_floats(self);
      if (stack->has_cross()) floats += attention_table_floats(stack->cross);
      // There is one table for all layers that turn alike.
      if (std::find(known.begin(), known.end(), rotary) != known.end()) continue;
      floats += rotary.table_floats();
      known.push_back(rotary);
    }
    if (stack->has_sinusoids()) floats += stack->max_positions * config.d_model;
  }
  return floats;
}

// A file of a few bytes must not take gigabytes, nor minutes to compute them.
void check_computed_tables(const ModelConfig& config, const Container& container) {
  const int64_t bytes = computed_table_floats(config) * static_cast<int64_t>(sizeof(float));
  const int64_t most = std::max(container.file_bytes(), file_limits::kTableBytes);
  if (bytes <= most) return;
  fail(Status::kBadFile,
       "%s: config: the tables of positions that it asks for (\"max_positions\", \"rotary\", "
       "\"relative_bias\", \"key_alibi\", of %lld layers) have %lld bytes; %lld is the limit, the "
       "file's own size or 64 MiB",
       container.path().c_str(), ll{config.encoder.n_layers + config.decoder.n_layers}, ll{bytes},
       ll{most});
}

// Each layer has weights of its own.
void check_layers(const ModelConfig& config, const Container& container) {
  const int64_t n_layers = config.encoder.n_layers + config.decoder.n_layers;
  const int64_t n_tensors = std::ssize(container.tensors());
  if (n_layers <= n_tensors) return;
  fail(Status::kBadFile, "%s: config: there are %lld layers, but only %lld tensors",
       container.path().c_str(), ll{n_layers}, ll{n_tensors});
}

}  // namespace

ModelConfig read_config(const Container& container) {
  ModelConfig config = ModelConfig::from_json(container.config(), container.path());
  check_layers(config, container);
  check_computed_tables(config, container);
  return config;
}

Precision precision_of(const Container& container) {
  Precision lowest = Precision::kF32;
  for (const TensorInfo& tensor : container.tensors()) {
    for (const kernels::ProductKind& kind : kernels::kProductKinds) {
      if (kind.w == tensor.dtype) lowest = std::max(lowest, kind.precision);
    }
  }
  return lowest;
}

std::unique_ptr<Tokenizer> read_tokenizer(const Container& container, const ModelConfig& config) {
  if (container.tokenizer().is_null()) return nullptr;
  const std::string& path = container.path();
  const auto text = [&](const char* name) -> std::string {
    const TensorInfo* info = container.find(name);
    if (info == nullptr) return {};
    if (info->dtype != Format::kU8) {
      fail(Status::kBadFile, "%s: the tensor \"%s\" is not u8", path.c_str(), name);
    }
    if (info->bytes > file_limits::kVocabBytes) {
      fail(Status::kBadFile, "%s: the tensor \"%s\" has %lld bytes; %lld is the limit",
           path.c_str(), name, ll{info->bytes}, ll{file_limits::kVocabBytes});
    }
    return container.read_text(*info);
  };
  TokenizerBytes tensors;
  for (const auto& [name, bytes] : TokenizerBytes::kMembers) tensors.*bytes = text(name);
  if (tensors.vocab.empty()) {
    fail(Status::kBadFile, "%s: there is a tokenizer, but no tensor \"tokenizer.vocab\"",
         path.c_str());
  }
  std::unique_ptr<Tokenizer> tokenizer =
      make_tokenizer(container.tokenizer(), tensors.views(), path);
  const int64_t vocab_size = config.first_stack().vocab_size;
  if (tokenizer->vocab_size() > vocab_size) {
    fail(Status::kBadFile, "%s: the tokenizer has %lld tokens, the model embeddings for %lld",
         path.c_str(), ll{tokenizer->vocab_size()}, ll{vocab_size});
  }
  return tokenizer;
}

void check_model(const Container& container) {
  const ModelConfig config = read_config(container);
  read_tokenizer(container, config);
  // The graphs ask for every tensor. Any kernels will do, since nothing is packed.
  PackedWeights packed;
  const GraphSource source{config, container, *kernels::supported().front(), Precision::kF32,
                           &packed};
  for (const Part part : kAllParts) {
    if (has_part(config, part)) build_graph(source, part);
  }
}

}  // namespace headlane
