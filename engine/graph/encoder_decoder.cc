// The encoder and the decoder of Vaswani et al. 2017, "Attention Is All You Need", with the norms
// before or after, and the positions, of the models that followed.
#include "engine/graph/blocks.h"

namespace headlane {
namespace {

std::string layer_name(const char* stack, int64_t i) {
  return std::string(stack) + ".layers." + std::to_string(i);
}

// Words and positions of the stack's rows.
ValueId begin(GraphBuilder* graph, const ModelConfig& config, const std::string& stack,
              const std::string& words, int64_t vocab_size, int64_t max_positions) {
  ValueId x = graph->embed_words(words, vocab_size);
  x = graph->add_positions(stack + ".positions", x, max_positions);
  return config.embedding_norm ? graph->norm(stack + ".embeddings.norm", x) : x;
}

// The decoder's own table, or the one that it shares with the encoder.
std::string decoder_words(const GraphSource& source) {
  const char* own = "decoder.embeddings.word";
  return source.weights.find(own) != nullptr ? own : "embeddings.word";
}

}  // namespace

// The last hidden states and, if it `keeps` them, the keys and values that the decoder's layers
// make of them: products of the same rows, while they are in cache.
Graph build_encoder(const GraphSource& source, bool keeps) {
  const ModelConfig& config = source.config;
  GraphBuilder graph(source);
  ValueId x =
      begin(&graph, config, "encoder", "embeddings.word", config.vocab_size, config.max_positions);
  for (int64_t i = 0; i < config.n_layers; ++i) {
    const std::string layer = layer_name("encoder", i);
    x = graph.sublayer(layer + ".attention.norm", x, [&](ValueId in) {
      return graph.self_attention(layer + ".attention", in, i, "encoder.relative_bias");
    });
    x = graph.sublayer(layer + ".ffn.norm", x, [&](ValueId in) {
      return graph.feed_forward(layer + ".ffn", in, config.d_ff);
    });
  }
  if (config.final_norm) x = graph.norm("encoder.norm", x);
  for (int64_t i = 0; keeps && i < config.decoder.n_layers; ++i) {
    graph.keep_keys_values(layer_name("decoder", i) + ".cross", x);
  }
  return std::move(graph).finish(x);
}

Graph build_decoder_step(const GraphSource& source) {
  const ModelConfig& config = source.config;
  const DecoderConfig& decoder = config.decoder;
  GraphBuilder graph(source);
  const std::string words = decoder_words(source);
  ValueId x = begin(&graph, config, "decoder", words, decoder.vocab_size, decoder.max_positions);
  for (int64_t i = 0; i < decoder.n_layers; ++i) {
    const std::string layer = layer_name("decoder", i);
    x = graph.sublayer(layer + ".attention.norm", x, [&](ValueId in) {
      return graph.step_attention(layer + ".attention", in, i, "decoder.relative_bias");
    });
    x = graph.sublayer(layer + ".cross.norm", x, [&](ValueId in) {
      return graph.step_cross_attention(layer + ".cross", in, i);
    });
    x = graph.sublayer(layer + ".ffn.norm", x, [&](ValueId in) {
      return graph.feed_forward(layer + ".ffn", in, decoder.d_ff);
    });
  }
  if (config.final_norm) x = graph.norm("decoder.norm", x);
  graph.rank(x, words);
  return std::move(graph).finish(x);
}

}  // namespace headlane
