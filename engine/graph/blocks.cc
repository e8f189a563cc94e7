#include "engine/graph/blocks.h"

#include "engine/base/error.h"

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

Sinusoids sinusoids_of(Positions positions) {
  if (positions == Positions::kSinusoidalHalves) return Sinusoids::kHalves;
  if (positions == Positions::kSinusoidalInclusive) return Sinusoids::kInclusive;
  return Sinusoids::kInterleaved;
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
      weights_.row_table(name + ".word", name + ".word.scale", config_.vocab_size, d);
  const float* position = weights_.f32(name + ".position", {config_.max_positions, d});
  const float* type =
      config_.n_types ? weights_.f32(name + ".type", {config_.n_types, d}) : nullptr;
  return graph_.add(std::make_unique<Embed>(d, word, 1.0f, position, type), {}, Rows::kTokens, d);
}

ValueId GraphBuilder::embed_words(const std::string& name, int64_t vocab_size) {
  const int64_t d = config_.d_model;
  const WeightRows word = weights_.row_table(name, name + ".scale", vocab_size, d);
  auto op = std::make_unique<Embed>(d, word, config_.embedding_scale, nullptr, nullptr);
  return graph_.add(std::move(op), {}, Rows::kTokens, d);
}

ValueId GraphBuilder::load(Input input, Rows rows, int64_t d) {
  return graph_.add(std::make_unique<Load>(d, input, rows), {}, rows, d);
}

ValueId GraphBuilder::add_positions(const std::string& name, ValueId x, int64_t max_positions) {
  const int64_t d = config_.d_model;
  std::unique_ptr<AddPositions> op;
  switch (config_.positions) {
    case Positions::kNone:
      return x;
    case Positions::kLearned:
      op = std::make_unique<AddPositions>(d, rows_of(x),
                                          weights_.f32(name + ".weight", {max_positions, d}));
      break;
    case Positions::kSinusoidal:
    case Positions::kSinusoidalHalves:
    case Positions::kSinusoidalInclusive:
      Buffer table(static_cast<size_t>(max_positions * d) * sizeof(float));
      fill_sinusoidal(config_.position_offset, max_positions, d, sinusoids_of(config_.positions),
                      static_cast<float*>(table.data()));
      op = std::make_unique<AddPositions>(d, rows_of(x), std::move(table));
  }
  return graph_.add(std::move(op), {x}, rows_of(x), d);
}

const float* GraphBuilder::optional_f32(const std::string& name,
                                        std::initializer_list<int64_t> shape) const {
  return weights_.find(name) != nullptr ? weights_.f32(name, shape) : nullptr;
}

const float* GraphBuilder::bias_of(const std::string& name, int64_t n) const {
  if (config_.architecture != Architecture::kBert) return optional_f32(name + ".bias", {n});
  return weights_.f32(name + ".bias", {n});
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

Element GraphBuilder::attention_element(const AttentionSpec& spec) const {
  const bool has_kernel = kernels_.attention_bf16 != nullptr;
  const bool narrow = precision_ != Precision::kF32 && spec.score != Score::kAdditive;
  return has_kernel && narrow ? Element::kBf16 : Element::kF32;
}

const PackedWeight* GraphBuilder::weight(const std::string& name, WeightRows rows,
                                         const float* bias, int64_t n, int64_t k,
                                         kernels::Activation activation) {
  PackedWeight source;
  source.name = name;
  source.n = n;
  source.k = k;
  source.rows = rows;
  source.bias = bias;
  source.activation = activation;
  source.precision = product_precision(config_, precision_, name, k);
  return packed_.add(std::move(source));
}

ValueId GraphBuilder::linear(const std::string& name, ValueId x, int64_t n,
                             kernels::Activation activation, Element element) {
  const int64_t k = graph_.values[x].cols;
  const WeightRows rows = weights_.weight(name + ".weight", name + ".scale", n, k);
  const PackedWeight* own = weight(name, rows, bias_of(name, n), n, k, activation);
  if (own->precision == Precision::kF32) element = Element::kF32;
  const ValueId in = operand(x, own->precision);
  return graph_.add(std::make_unique<Linear>(own, element), {in}, rows_of(x), n, element);
}

std::unique_ptr<Norm> GraphBuilder::make_norm(const std::string& name) const {
  const int64_t d = config_.d_model;
  const bool rms = config_.norm_kind == NormKind::kRms;
  return std::make_unique<Norm>(d, weights_.f32(name + ".weight", {d}),
                                rms ? nullptr : bias_of(name, d), config_.norm_eps, rms);
}

ValueId GraphBuilder::add_norm(const std::string& name, ValueId x, ValueId residual) {
  return graph_.add(make_norm(name), {x, residual}, rows_of(x), config_.d_model);
}

ValueId GraphBuilder::norm(const std::string& name, ValueId x) {
  return graph_.add(make_norm(name), {x}, rows_of(x), config_.d_model);
}

ValueId GraphBuilder::add_residual(ValueId y, ValueId x) {
  if (!config_.residual) return y;
  return graph_.add(std::make_unique<Add>(config_.d_model), {y, x}, rows_of(x), config_.d_model);
}

AttentionWeights GraphBuilder::relative_weights(const AttentionSpec& spec,
                                                const std::string& name) const {
  AttentionWeights weights;
  if (spec.relative.n_buckets != 0) {
    weights.relative_bias = weights_.f32(name, {spec.relative.n_buckets, spec.n_heads});
  }
  return weights;
}

ValueId GraphBuilder::project_qkv(const AttentionSpec& spec, const std::string& name, ValueId x,
                                  Element element) {
  const int64_t width = spec.q_width() + spec.k_width() + spec.v_width();
  return linear(name + ".qkv", x, width, kernels::Activation::kNone, element);
}

ValueId GraphBuilder::attend(std::unique_ptr<Op> op, std::vector<ValueId> inputs,
                             const AttentionSpec& spec, const std::string& name, Element element) {
  const Rows rows = rows_of(inputs.front());
  const ValueId context =
      graph_.add(std::move(op), std::move(inputs), rows, spec.o_width(), element);
  return linear(name + ".out", context, config_.d_model, kernels::Activation::kNone);
}

ValueId GraphBuilder::self_attention(const std::string& name, ValueId x, int64_t layer,
                                     const std::string& relative_bias) {
  const AttentionSpec& spec = config_.attention;
  const Element element = attention_element(spec);
  const ValueId qkv = project_qkv(spec, name, x, element);
  using Columns = Attention::Columns;
  auto op = std::make_unique<Attention>(spec, relative_weights(spec, relative_bias), Columns{0, 0},
                                        Columns{0, spec.q_width()},
                                        Columns{0, spec.q_width() + spec.k_width()}, layer,
                                        Attention::Sides{rows_of(x), rows_of(x)}, element);
  return attend(std::move(op), {qkv}, spec, name, element);
}

Element GraphBuilder::kept_element() const {
  return precision_ == Precision::kF32 ? Element::kF32 : Element::kBf16;
}

ValueId GraphBuilder::step_attention(const std::string& name, ValueId x, int64_t layer,
                                     const std::string& relative_bias) {
  const AttentionSpec& spec = config_.decoder.attention;
  const ValueId qkv = project_qkv(spec, name, x, kept_element());
  auto op = std::make_unique<DecodeAttention>(spec, relative_weights(spec, relative_bias),
                                              DecodeAttention::Over::kSelf, layer, kept_element());
  return attend(std::move(op), {qkv}, spec, name, kept_element());
}

void GraphBuilder::keep_keys_values(const std::string& name, ValueId x) {
  const AttentionSpec& spec = config_.decoder.cross;
  graph_.kept.push_back(linear(name + ".kv", x, spec.k_width() + spec.v_width(),
                               kernels::Activation::kNone, kept_element()));
}

ValueId GraphBuilder::step_cross_attention(const std::string& name, ValueId x, int64_t layer) {
  const AttentionSpec& spec = config_.decoder.cross;
  const ValueId q =
      linear(name + ".q", x, spec.q_width(), kernels::Activation::kNone, kept_element());
  auto op = std::make_unique<DecodeAttention>(spec, AttentionWeights{},
                                              DecodeAttention::Over::kCross, layer, kept_element());
  return attend(std::move(op), {q}, spec, name, kept_element());
}

void GraphBuilder::rank(ValueId x, const std::string& words) {
  const int64_t n = config_.decoder.vocab_size, k = config_.d_model;
  const std::string name = kLogits;
  const bool own = weights_.find(name + ".weight") != nullptr;
  const WeightRows rows =
      weights_.weight(own ? name + ".weight" : words, (own ? name : words) + ".scale", n, k);
  const PackedWeight* head =
      weight(name, rows, optional_f32(name + ".bias", {n}), n, k, kernels::Activation::kNone);
  graph_.add_last(std::make_unique<TopLogits>(head), {operand(x, head->precision)});
}

AttentionWeights GraphBuilder::attention_weights(const AttentionSpec& spec,
                                                 const std::string& name) const {
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

KeysValues GraphBuilder::keys_values(const AttentionSpec& spec, const std::string& name,
                                     ValueId key, ValueId value) {
  const Element element = attention_element(spec);
  const ValueId k = linear(name + ".k", key, spec.k_width(), kernels::Activation::kNone, element);
  return {k, linear(name + ".v", value, spec.v_width(), kernels::Activation::kNone, element)};
}

ValueId GraphBuilder::attention(const AttentionSpec& spec, const std::string& name, ValueId x,
                                KeysValues memory, int64_t layer) {
  const Element element = attention_element(spec);
  const ValueId q = linear(name + ".q", x, spec.q_width(), kernels::Activation::kNone, element);
  using Columns = Attention::Columns;
  const Attention::Sides sides = {rows_of(x), rows_of(memory.k)};
  auto op = std::make_unique<Attention>(spec, attention_weights(spec, name), Columns{0, 0},
                                        Columns{1, 0}, Columns{2, 0}, layer, sides, element);
  return attend(std::move(op), {q, memory.k, memory.v}, spec, name, element);
}

ValueId GraphBuilder::feed_forward(const std::string& name, ValueId x, int64_t d_ff) {
  const kernels::Activation activation = kernel_of(config_.activation);
  // In bf16 it goes through L2 at half the bytes; 8 bits a row can only be had of the whole row.
  ValueId wide = 0;
  if (config_.gated) {
    const ValueId both = linear(name + ".up", x, 2 * d_ff, kernels::Activation::kNone);
    wide = graph_.add(std::make_unique<Gate>(d_ff, activation), {both}, rows_of(x), d_ff);
  } else {
    wide = linear(name + ".up", x, d_ff, activation, Element::kBf16);
  }
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
