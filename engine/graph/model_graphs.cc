// The graphs of a model: its input goes through one stack or two, and a head makes something of the
// last hidden states.
#include "engine/graph/stack.h"

namespace headlane {
namespace {

using Calls = Stack::Calls;

ValueId encode(Stack* encoder, Input input, Rows rows, Calls calls) {
  return encoder->run(encoder->begin(input, rows), encoder->to_itself(calls));
}

// A batch through the one stack that attends to itself.
Graph build_main(const GraphSource& source) {
  GraphBuilder graph(source);
  Stack encoder(&graph, source.config.encoder, "encoder");
  const bool has_head = !source.config.has_decoder();
  const bool one_row = has_head && graph.reads_one_row() && encoder.can_read_rows();
  const ValueId hidden = encoder.run(
      encoder.begin(Input::kX, Rows::kTokens),
      one_row ? encoder.to_itself_for_read_rows(Calls::kSeen) : encoder.to_itself(Calls::kSeen));
  if (has_head) graph.add_head(hidden, encoder.words());
  return std::move(graph).finish(hidden);
}

// The same, and the keys and values that the decoder's layers make of the last hidden states:
// products of the same rows, while they are in cache.
Graph build_sources(const GraphSource& source) {
  GraphBuilder graph(source);
  Stack encoder(&graph, source.config.encoder, "encoder");
  Stack decoder(&graph, source.config.decoder, "decoder");
  const ValueId hidden = encode(&encoder, Input::kX, Rows::kTokens, Calls::kSeen);
  for (int64_t i = 0; i < source.config.decoder.n_layers; ++i) decoder.keep_keys_values(i, hidden);
  return std::move(graph).finish(hidden);
}

// One layer whose keys and values come from the caller's rows.
Graph build_layer_over_kv(const GraphSource& source) {
  const ModelConfig& config = source.config;
  GraphBuilder graph(source);
  Stack stack(&graph, config.encoder, "encoder");
  const ValueId key = graph.load(Input::kKey, Rows::kKv, config.kdim);
  const ValueId value = graph.load(Input::kValue, Rows::kKv, config.vdim);
  const KeysValues kv = stack.keys_values(0, key, value, false);
  const ValueId x = stack.begin(Input::kX, Rows::kTokens);
  const ValueId hidden = stack.run(x, stack.to_kv({kv}, Calls::kSeen, false));
  return std::move(graph).finish(hidden);
}

// A decoder's layers on activations. They attend to the caller's keys, through the encoder where
// there is one. All layers' keys and values are made while a block of those rows is in cache, and
// then lie in the arena until their layer comes.
Graph build_decoder_over_kv(const GraphSource& source) {
  const ModelConfig& config = source.config;
  GraphBuilder graph(source);
  Stack encoder(&graph, config.encoder, "encoder");
  Stack decoder(&graph, config.decoder, "decoder");
  const ValueId rows = config.has_encoder()
                           ? encode(&encoder, Input::kKey, Rows::kKv, Calls::kUnseen)
                           : graph.load(Input::kKey, Rows::kKv, config.d_model);
  std::vector<KeysValues> kv;
  for (int64_t i = 0; i < config.decoder.n_layers; ++i) {
    kv.push_back(decoder.keys_values(i, rows, rows, true));
  }
  const ValueId x = decoder.begin(Input::kX, Rows::kTokens);
  const ValueId hidden = decoder.run(x, decoder.to_itself(Calls::kSeen),
                                     decoder.to_kv(std::move(kv), Calls::kUnseen, true));
  return std::move(graph).finish(hidden);
}

// Some more tokens of each target.
Graph build_step(const GraphSource& source) {
  GraphBuilder graph(source);
  Stack decoder(&graph, source.config.decoder, "decoder");
  const ValueId x = decoder.begin(Input::kX, Rows::kTokens);
  const ValueId hidden = decoder.run(x, decoder.step(), decoder.step_cross());
  graph.add_head(hidden, decoder.words());
  return std::move(graph).finish(hidden);
}

}  // namespace

bool has_part(const ModelConfig& config, Part part) {
  switch (part) {
    case Part::kMain:
      return config.can_attend_to_itself();
    case Part::kOverKv:
      return config.can_attend_to_kv();
    case Part::kSources:
      return config.generates() && config.has_encoder();
    case Part::kStep:
      return config.generates();
  }
  return false;
}

Graph build_graph(const GraphSource& source, Part part) {
  switch (part) {
    case Part::kMain:
      return build_main(source);
    case Part::kSources:
      return build_sources(source);
    case Part::kOverKv:
      return source.config.has_decoder() ? build_decoder_over_kv(source)
                                         : build_layer_over_kv(source);
    case Part::kStep:
      return build_step(source);
  }
  return {};
}

}  // namespace headlane
