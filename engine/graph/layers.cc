// Layers on activations: attention alone, or with residuals and norms around it (before or after),
// or the encoder and the decoder of Vaswani et al. 2017 with their feed-forwards, as PyTorch's
// nn.MultiheadAttention, nn.TransformerEncoder(Layer), nn.TransformerDecoder(Layer) and
// nn.Transformer are.
#include "engine/graph/blocks.h"

namespace headlane {
namespace {

std::string layer_name(const char* stack, int64_t i) {
  return std::string(stack) + "layers." + std::to_string(i);
}

ValueId self_attention(GraphBuilder* graph, const AttentionSpec& spec, const std::string& name,
                       ValueId x, int64_t layer) {
  return graph->attention(spec, name, x, graph->keys_values(spec, name, x, x), layer);
}

// What a decoder's layers attend to: the caller's keys, through the encoder where there is one.
ValueId decoder_memory(GraphBuilder* graph, const ModelConfig& config) {
  ValueId x = graph->load(Input::kKey, Rows::kMemory, config.d_model);
  if (config.n_layers == 0) return x;
  x = graph->add_positions("encoder.positions", x, config.max_positions);
  for (int64_t i = 0; i < config.n_layers; ++i) {
    const std::string layer = layer_name("encoder.", i);
    x = graph->sublayer(layer + ".attention.norm", x, [&](ValueId in) {
      const std::string name = layer + ".attention";
      return self_attention(graph, config.attention, name, in, Attention::kUnseen);
    });
    x = graph->sublayer(layer + ".ffn.norm", x, [&](ValueId in) {
      return graph->feed_forward(layer + ".ffn", in, config.d_ff);
    });
  }
  return config.final_norm ? graph->norm("encoder.norm", x) : x;
}

// All layers' keys and values are made while a block of the memory is in cache, and then lie in the
// arena until their layer comes.
Graph build_decoder(const GraphSource& source) {
  const ModelConfig& config = source.config;
  const DecoderConfig& decoder = config.decoder;
  GraphBuilder graph(source);
  const ValueId memory = decoder_memory(&graph, config);
  std::vector<KeysValues> cross;
  for (int64_t i = 0; i < decoder.n_layers; ++i) {
    const std::string name = layer_name("decoder.", i) + ".cross";
    cross.push_back(graph.keys_values(decoder.cross, name, memory, memory));
  }
  ValueId x = graph.load(Input::kX, Rows::kTokens, config.d_model);
  x = graph.add_positions("decoder.positions", x, config.max_positions);
  for (int64_t i = 0; i < decoder.n_layers; ++i) {
    const std::string layer = layer_name("decoder.", i);
    x = graph.sublayer(layer + ".attention.norm", x, [&](ValueId in) {
      return self_attention(&graph, decoder.attention, layer + ".attention", in, i);
    });
    x = graph.sublayer(layer + ".cross.norm", x, [&](ValueId in) {
      const KeysValues& of_layer = cross[static_cast<size_t>(i)];
      return graph.attention(decoder.cross, layer + ".cross", in, of_layer, Attention::kUnseen);
    });
    x = graph.sublayer(layer + ".ffn.norm", x, [&](ValueId in) {
      return graph.feed_forward(layer + ".ffn", in, decoder.d_ff);
    });
  }
  if (config.final_norm) x = graph.norm("decoder.norm", x);
  return std::move(graph).finish(x);
}

}  // namespace

Graph build_layers(const GraphSource& source, bool over_memory) {
  const ModelConfig& config = source.config;
  if (config.has_decoder_layers()) return build_decoder(source);
  const AttentionSpec& spec = config.attention;
  GraphBuilder graph(source);
  KeysValues memory;
  if (over_memory) {
    const ValueId key = graph.load(Input::kKey, Rows::kMemory, config.kdim);
    const ValueId value = graph.load(Input::kValue, Rows::kMemory, config.vdim);
    memory = graph.keys_values(spec, "layers.0.attention", key, value);
  }
  ValueId x = graph.load(Input::kX, Rows::kTokens, config.d_model);
  x = graph.add_positions("positions", x, config.max_positions);
  for (int64_t i = 0; i < config.n_layers; ++i) {
    const std::string layer = layer_name("", i);
    x = graph.sublayer(layer + ".attention.norm", x, [&](ValueId in) {
      const std::string name = layer + ".attention";
      return over_memory ? graph.attention(spec, name, in, memory, i)
                         : self_attention(&graph, spec, name, in, i);
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
