#include "engine/graph/blocks.h"

#include <cmath>

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

ValueId GraphBuilder::linear(const std::string& name, ValueId x, int64_t n,
                             kernels::Activation activation) {
  const int64_t k = graph_.values[x].cols;
  const float* weight = weights_.f32(name + ".weight", {n, k});
  const float* bias = weights_.f32(name + ".bias", {n});
  return graph_.add(std::make_unique<Linear>(n, k, weight, bias, activation), {x}, Rows::kTokens,
                    n);
}

std::unique_ptr<LayerNorm> GraphBuilder::make_norm(const std::string& name) const {
  const int64_t d = config_.d_model;
  return std::make_unique<LayerNorm>(d, weights_.f32(name + ".weight", {d}),
                                     weights_.f32(name + ".bias", {d}), config_.norm_eps);
}

ValueId GraphBuilder::add_norm(const std::string& name, ValueId x, ValueId residual) {
  return graph_.add(make_norm(name), {x, residual}, Rows::kTokens, config_.d_model);
}

ValueId GraphBuilder::norm(const std::string& name, ValueId x) {
  return graph_.add(make_norm(name), {x}, Rows::kTokens, config_.d_model);
}

ValueId GraphBuilder::self_attention(const std::string& name, ValueId x) {
  const int64_t width = config_.n_heads * config_.head_dim;
  const float scale = 1.0f / std::sqrt(static_cast<float>(config_.head_dim));
  const ValueId qkv = linear(name + ".qkv", x, 3 * width, kernels::Activation::kNone);
  auto attention = std::make_unique<Attention>(config_.n_heads, config_.head_dim, scale);
  const ValueId context = graph_.add(std::move(attention), {qkv}, Rows::kTokens, width);
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
