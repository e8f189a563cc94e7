// Layers on activations: attention alone, or with residuals and norms around it (before or after),
// or the encoder of Vaswani et al. 2017 with its feed-forward, as PyTorch's nn.MultiheadAttention,
// nn.TransformerEncoderLayer and nn.TransformerEncoder are.
#include "engine/graph/blocks.h"

namespace headlane {

Graph build_layers(const GraphSource& source, bool over_memory) {
  const ModelConfig& config = source.config;
  GraphBuilder graph(source);
  KeysValues memory;
  if (over_memory) {
    const ValueId key = graph.load(Input::kKey, Rows::kMemory, config.kdim);
    const ValueId value = graph.load(Input::kValue, Rows::kMemory, config.vdim);
    memory = graph.keys_values("layers.0.attention", key, value);
  }
  ValueId x = graph.load(Input::kX, Rows::kTokens, config.d_model);
  x = graph.add_positions("positions", x, config.max_positions);
  for (int64_t i = 0; i < config.n_layers; ++i) {
    const std::string layer = "layers." + std::to_string(i);
    x = graph.sublayer(layer + ".attention.norm", x, [&](ValueId in) {
      const std::string name = layer + ".attention";
      return graph.attention(name, in, over_memory ? memory : graph.keys_values(name, in, in), i);
    });
    if (config.d_ff == 0) continue;
    x = graph.sublayer(layer + ".ffn.norm", x, [&](ValueId in) {
      return graph.feed_forward(layer + ".ffn", in, config.d_ff);
    });
  }
  if (config.final_norm) x = graph.norm("norm", x);
  return std::move(graph).finish(x);
}

}  // namespace headlane
