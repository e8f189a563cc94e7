#include "engine/graph/blocks.h"

#include "engine/error.h"

namespace headlane {
namespace {

kernels::Activation kernel_of(Activation activation) {
  switch (activation) {
    case Activation::kGelu:
      return kernels::Activation::kGelu;
    case Activation::kGeluTanh:
      return kernels::Activation::kGeluTanh;
    case Activation::kRelu:
      return kernels::Activation::kRelu;
  }
  fail(Status::kInternal, "activation %d has no kernel", static_cast<int>(activation));
}

kernels::Pooling kernel_of(Pooling pooling) {
  switch (pooling) {
    case Pooling::kMean:
      return kernels::Pooling::kMean;
    case Pooling::kCls:
      return kernels::Pooling::kCls;
    case Pooling::kMax:
      return kernels::Pooling::kMax;
    case Pooling::kNone:
      break;
  }
  fail(Status::kInternal, "pooling %d has no kernel", static_cast<int>(pooling));
}

}  // namespace

ValueId GraphBuilder::embed(const std::string& name) {
  const int64_t d = config_.d_model;
  const float* word = weights_.f32(name + ".word", {config_.vocab_size, d});
  const float* position = weights_.f32(name + ".position", {config_.max_positions, d});
  const float* type =
      config_.n_types ? weights_.f32(name + ".type", {config_.n_types, d}) : nullptr;
  return graph_.add(std::make_unique<Embed>(d, word, position, type), {}, Rows::kTokens, d);
}

ValueId GraphBuilder::load(Input input, Rows rows, int64_t d) {
  return graph_.add(std::make_unique<Load>(d, input, rows), {}, rows, d);
}

ValueId GraphBuilder::add_positions(const std::string& name, ValueId x) {
  const int64_t d = config_.d_model, n = config_.max_positions;
  std::unique_ptr<AddPositions> op;
  if (config_.positions == Positions::kLearned) {
    op = std::make_unique<AddPositions>(d, weights_.f32(name + ".weight", {n, d}));
  } else {
    Buffer table(static_cast<size_t>(n * d) * sizeof(float));
    fill_sinusoidal(n, d, false, static_cast<float*>(table.data()));
    op = std::make_unique<AddPositions>(d, std::move(table));
  }
  return graph_.add(std::move(op), {x}, Rows::kTokens, d);
}

const float* GraphBuilder::optional_f32(const std::string& name,
                                        std::initializer_list<int64_t> shape) const {
  return weights_.find(name) != nullptr ? weights_.f32(name, shape) : nullptr;
}

const float* GraphBuilder::bias_of(const std::string& name, int64_t n) const {
  if (config_.architecture == Architecture::kLayers) return optional_f32(name + ".bias", {n});
  return weights_.f32(name + ".bias", {n});
}

ValueId GraphBuilder::linear(const std::string& name, ValueId x, int64_t n,
                             kernels::Activation activation) {
  const Value& in = graph_.values[x];
  const PackedWeight* weight = packed_.add(
      name, n, in.cols, weights_.f32(name + ".weight", {n, in.cols}), bias_of(name, n), activation);
  return graph_.add(std::make_unique<Linear>(weight), {x}, in.rows, n);
}

std::unique_ptr<LayerNorm> GraphBuilder::make_norm(const std::string& name) const {
  const int64_t d = config_.d_model;
  return std::make_unique<LayerNorm>(d, weights_.f32(name + ".weight", {d}), bias_of(name, d),
                                     config_.norm_eps);
}

ValueId GraphBuilder::add_norm(const std::string& name, ValueId x, ValueId residual) {
  return graph_.add(make_norm(name), {x, residual}, Rows::kTokens, config_.d_model);
}

ValueId GraphBuilder::norm(const std::string& name, ValueId x) {
  return graph_.add(make_norm(name), {x}, Rows::kTokens, config_.d_model);
}

ValueId GraphBuilder::add_residual(ValueId y, ValueId x) {
  if (!config_.residual) return y;
  return graph_.add(std::make_unique<Add>(config_.d_model), {y, x}, Rows::kTokens, config_.d_model);
}

ValueId GraphBuilder::self_attention(const std::string& name, ValueId x, int64_t layer) {
  const AttentionSpec& spec = config_.attention;
  const int64_t width = spec.q_width();
  const ValueId qkv = linear(name + ".qkv", x, 3 * width, kernels::Activation::kNone);
  auto op = std::make_unique<Attention>(spec, AttentionWeights{}, Attention::Columns{0, 0},
                                        Attention::Columns{0, width},
                                        Attention::Columns{0, 2 * width}, layer, false);
  const ValueId context = graph_.add(std::move(op), {qkv}, Rows::kTokens, width);
  return linear(name + ".out", context, config_.d_model, kernels::Activation::kNone);
}

AttentionWeights GraphBuilder::attention_weights(const std::string& name) const {
  const AttentionSpec& spec = config_.attention;
  AttentionWeights weights;
  weights.alibi_slopes = optional_f32(name + ".alibi_slopes", {spec.n_heads});
  weights.sinks = optional_f32(name + ".sinks", {spec.n_heads});
  weights.additive = optional_f32(name + ".additive", {spec.n_heads, spec.head_dim});
  weights.relative_bias =
      optional_f32(name + ".relative_bias", {spec.relative.n_buckets, spec.n_heads});
  try {
    check_weights(spec, weights);
  } catch (const Error& error) {
    fail(Status::kBadFile, "%s: tensors of \"%s\": %s", weights_.path().c_str(), name.c_str(),
         error.what());
  }
  return weights;
}

KeysValues GraphBuilder::keys_values(const std::string& name, ValueId key, ValueId value) {
  const AttentionSpec& spec = config_.attention;
  const ValueId k = linear(name + ".k", key, spec.k_width(), kernels::Activation::kNone);
  return {k, linear(name + ".v", value, spec.v_width(), kernels::Activation::kNone)};
}

ValueId GraphBuilder::attention(const std::string& name, ValueId x, KeysValues memory,
                                int64_t layer) {
  const AttentionSpec& spec = config_.attention;
  const ValueId q = linear(name + ".q", x, spec.q_width(), kernels::Activation::kNone);
  const bool over_memory = graph_.values[memory.k].rows == Rows::kMemory;
  using Columns = Attention::Columns;
  auto op = std::make_unique<Attention>(spec, attention_weights(name), Columns{0, 0}, Columns{1, 0},
                                        Columns{2, 0}, layer, over_memory);
  const ValueId context =
      graph_.add(std::move(op), {q, memory.k, memory.v}, Rows::kTokens, spec.o_width());
  return linear(name + ".out", context, config_.d_model, kernels::Activation::kNone);
}

ValueId GraphBuilder::feed_forward(const std::string& name, ValueId x) {
  const ValueId wide = linear(name + ".up", x, config_.d_ff, kernel_of(config_.activation));
  return linear(name + ".down", wide, config_.d_model, kernels::Activation::kNone);
}

Graph GraphBuilder::finish(ValueId hidden) && {
  graph_.hidden = hidden;
  if (config_.pooling != Pooling::kNone) {
    auto pool =
        std::make_unique<Pool>(config_.d_model, kernel_of(config_.pooling), config_.normalize);
    graph_.pooled = graph_.add(std::move(pool), {hidden}, Rows::kSeqs, config_.d_model);
  }
  return std::move(graph_);
}

}  // namespace headlane
