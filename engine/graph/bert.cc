// BERT (Devlin et al. 2018, "BERT: Pre-training of Deep Bidirectional Transformers"): embeddings,
// then encoder blocks that normalise after each residual sum.
#include "engine/graph/blocks.h"

namespace headlane {

Graph build_bert(const GraphSource& source) {
  GraphBuilder graph(source);
  ValueId x = graph.norm("embeddings.norm", graph.embed("embeddings"));
  for (int64_t i = 0; i < source.config.n_layers; ++i) {
    const std::string layer = "layers." + std::to_string(i);
    const ValueId context = graph.self_attention(layer + ".attention", x, i);
    x = graph.add_norm(layer + ".attention.norm", context, x);
    const ValueId wide = graph.feed_forward(layer + ".ffn", x, source.config.d_ff);
    x = graph.add_norm(layer + ".ffn.norm", wide, x);
  }
  return std::move(graph).finish(x);
}

}  // namespace headlane
