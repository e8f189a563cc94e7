#include "engine/graph/blocks.h"

#include <algorithm>

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
    case Activation::kSilu:
      return kernels::Activation::kSilu;
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
  const WeightRows word =
      weights_.weight(name + ".word", name + ".word.scale", config_.vocab_size, d);
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
    fill_sinusoidal(0, n, d, Sinusoids::kInterleaved, static_cast<float*>(table.data()));
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

Precision GraphBuilder::precision_of(const std::string& name, int64_t k) const {
  if (precision_ != Precision::kInt8) return precision_;
  const auto& higher = config_.higher_precision;
  const bool kept = std::find(higher.begin(), higher.end(), name) != higher.end();
  return kept || k > kernels::NarrowGemm::kMostU8 ? Precision::kBf16 : Precision::kInt8;
}

ValueId GraphBuilder::operand(ValueId x, Precision precision) {
  const Value in = graph_.values[x];
  if (precision == Precision::kF32) return x;
  const Element element = precision == Precision::kBf16 ? Element::kBf16 : Element::kU8;
  // Attention leaves the end of a row's last 64 bytes as it is; products need zeros there.
  if (in.element == element && in.cols % 32 == 0) return x;
  const auto [known, is_new] = converted_.try_emplace({x, element}, -1);
  if (is_new) {
    known->second = graph_.add(std::make_unique<Convert>(in.cols, in.element, element), {x},
                               in.rows, in.cols, element);
  }
  return known->second;
}

Element GraphBuilder::attention_element(Precision precision) const {
  const bool has_kernel = kernels_.attention_bf16 != nullptr;
  const bool narrow = precision != Precision::kF32 && config_.attention.score != Score::kAdditive;
  return has_kernel && narrow ? Element::kBf16 : Element::kF32;
}

ValueId GraphBuilder::linear(const std::string& name, ValueId x, int64_t n,
                             kernels::Activation activation, Element element) {
  const int64_t k = graph_.values[x].cols;
  const Rows rows = graph_.values[x].rows;
  PackedWeight source;
  source.name = name;
  source.n = n;
  source.k = k;
  source.rows = weights_.weight(name + ".weight", name + ".scale", n, k);
  source.bias = bias_of(name, n);
  source.activation = activation;
  source.precision = precision_of(name, k);
  const PackedWeight* weight = packed_.add(std::move(source));
  if (weight->precision == Precision::kF32) element = Element::kF32;
  const ValueId in = operand(x, weight->precision);
  return graph_.add(std::make_unique<Linear>(weight, element), {in}, rows, n, element);
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
  const Element element = attention_element(precision_);
  const ValueId qkv = linear(name + ".qkv", x, 3 * width, kernels::Activation::kNone, element);
  auto op = std::make_unique<Attention>(spec, AttentionWeights{}, Attention::Columns{0, 0},
                                        Attention::Columns{0, width},
                                        Attention::Columns{0, 2 * width}, layer, false, element);
  const ValueId context = graph_.add(std::move(op), {qkv}, Rows::kTokens, width, element);
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
  const Element element = attention_element(precision_);
  const ValueId k = linear(name + ".k", key, spec.k_width(), kernels::Activation::kNone, element);
  return {k, linear(name + ".v", value, spec.v_width(), kernels::Activation::kNone, element)};
}

ValueId GraphBuilder::attention(const std::string& name, ValueId x, KeysValues memory,
                                int64_t layer) {
  const AttentionSpec& spec = config_.attention;
  const Element element = attention_element(precision_);
  const ValueId q = linear(name + ".q", x, spec.q_width(), kernels::Activation::kNone, element);
  const bool over_memory = graph_.values[memory.k].rows == Rows::kMemory;
  using Columns = Attention::Columns;
  auto op = std::make_unique<Attention>(spec, attention_weights(name), Columns{0, 0}, Columns{1, 0},
                                        Columns{2, 0}, layer, over_memory, element);
  const ValueId context =
      graph_.add(std::move(op), {q, memory.k, memory.v}, Rows::kTokens, spec.o_width(), element);
  return linear(name + ".out", context, config_.d_model, kernels::Activation::kNone);
}

ValueId GraphBuilder::feed_forward(const std::string& name, ValueId x) {
  // In bf16 it goes through L2 at half the bytes; 8 bits a row can only be had of the whole row.
  const ValueId wide =
      linear(name + ".up", x, config_.d_ff, kernel_of(config_.activation), Element::kBf16);
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
