#include "engine/graph/stack.h"

#include "engine/base/error.h"
#include "engine/graph/experts.h"
#include "engine/ops/latents.h"

namespace headlane {
namespace {

using Columns = Attention::Columns;

Sinusoids sinusoids_of(Positions positions) {
  if (positions == Positions::kSinusoidalHalves) return Sinusoids::kHalves;
  if (positions == Positions::kSinusoidalInclusive) return Sinusoids::kInclusive;
  return Sinusoids::kInterleaved;
}

}  // namespace

ValueId Stack::run(ValueId x, const Attend& self, const Attend& cross) {
  for (int64_t i = 0; i < config_.n_layers; ++i) {
    if (config_.norm == NormPlacement::kParallel) {
      x = parallel_layer(i, x, self);
      continue;
    }
    if (i == 0 && !config_.first_layer.attention_norm) {
      x = add_residual(self(i, x), x);
    } else {
      x = sublayer(attention_name(i, false) + ".norm", x, [&](ValueId in) { return self(i, in); });
    }
    if (config_.has_cross()) {
      x = sublayer(attention_name(i, true) + ".norm", x, [&](ValueId in) { return cross(i, in); });
    }
    if (config_.d_ff == 0) continue;
    x = sublayer(layer(i) + ".ffn.norm", x, [&](ValueId in) { return feed_forward(i, in); });
  }
  return config_.final_norm ? norm(name_ + ".norm", {x}) : x;
}

ValueId Stack::begin(Input input, Rows rows) {
  const int64_t d = graph_.config().d_model;
  ValueId x = 0;
  if (graph_.config().takes_tokens()) {
    x = embed();
  } else {
    x = graph_.load(input, rows, d);
    PositionTable table = positions();
    if (table.data() != nullptr) {
      x = graph_.add(std::make_unique<AddPositions>(d, rows, std::move(table)), {x}, rows, d);
    }
  }
  if (config_.embedding_norm) x = norm(name_ + ".embeddings.norm", {x});
  if (config_.projection.width != 0) x = linear(name_ + ".embeddings.projection", x, d);
  return x;
}

std::string Stack::words() const {
  const std::string own = name_ + ".embeddings.word";
  return graph_.has(own) ? own : "encoder.embeddings.word";
}

ValueId Stack::embed() {
  const int64_t d = config_.embedding_width(graph_.config().d_model);
  const Container& weights = graph_.weights();
  const std::string table = words();
  const WeightRows word = weights.row_table(table, table + ".scale", config_.vocab_size, d);
  const float* type = config_.n_types != 0
                          ? weights.f32(name_ + ".embeddings.type", {config_.n_types, d})
                          : nullptr;
  auto op = std::make_unique<Embed>(d, word, config_.embedding_scale, positions(), type,
                                    config_.skips_padding() ? config_.padding_id : Embed::kNone);
  return graph_.add(std::move(op), {}, Rows::kTokens, d);
}

PositionTable Stack::positions() const {
  const int64_t n = config_.max_positions;
  const int64_t d = config_.embedding_width(graph_.config().d_model);
  if (config_.positions == Positions::kNone) return {};
  if (!config_.has_sinusoids()) {
    return PositionTable(
        graph_.weights().f32(name_ + ".positions.weight", {config_.position_rows(), d}));
  }
  Buffer table(static_cast<size_t>(n * d) * sizeof(float));
  fill_sinusoidal(config_.position_offset, n, d, sinusoids_of(config_.positions),
                  static_cast<float*>(table.data()));
  return PositionTable(std::move(table));
}

ValueId Stack::linear(const std::string& name, ValueId x, int64_t n, Element element,
                      kernels::Activation activation) {
  return graph_.linear(name, x, n, config_.biases, activation, element);
}

ValueId Stack::norm(const std::string& name, std::vector<ValueId> inputs) {
  const int64_t d = graph_.cols_of(inputs.front());
  const Rows rows = graph_.rows_of(inputs.front());
  const bool rms = config_.norm_kind == NormKind::kRms;
  const float* gamma = graph_.weights().f32(name + ".weight", {d});
  const float* beta = rms ? nullptr : graph_.bias(name, d, config_.biases);
  auto op = std::make_unique<Norm>(d, gamma, beta, config_.norm_eps, rms);
  return graph_.add(std::move(op), std::move(inputs), rows, d);
}

ValueId Stack::sum(ValueId y, ValueId x) {
  const int64_t d = graph_.config().d_model;
  return graph_.add(std::make_unique<Add>(d), {y, x}, graph_.rows_of(x), d);
}

ValueId Stack::add_residual(ValueId y, ValueId x) {
  return config_.residual ? sum(y, of_same_rows(x, y)) : y;
}

ValueId Stack::parallel_layer(int64_t i, ValueId x, const Attend& self) {
  const ValueId attended = self(i, norm(attention_name(i, false) + ".norm", {x}));
  const ValueId fed = feed_forward(i, norm(layer(i) + ".ffn.norm", {x}));
  return sum(sum(fed, attended), x);
}

// All layers of a stack may share one relative bias, as T5's do.
AttentionWeights Stack::attention_weights(const AttentionSpec& spec,
                                          const std::string& name) const {
  AttentionWeights weights;
  weights.alibi_slopes = graph_.optional_f32(name + ".alibi_slopes", {spec.n_heads});
  weights.sinks = graph_.optional_f32(name + ".sinks", {spec.n_heads});
  weights.additive = graph_.optional_f32(name + ".additive", {spec.n_heads, spec.head_dim});
  if (spec.relative.n_buckets != 0) {
    const std::string own = name + ".relative_bias", shared = name_ + ".relative_bias";
    weights.relative_bias = graph_.weights().f32(graph_.has(own) ? own : shared,
                                                 {spec.relative.n_buckets, spec.n_heads});
  }
  try {
    check_weights(spec, weights);
  } catch (const Error& error) {
    fail(Status::kBadFile, "%s: tensors of \"%s\": %s", graph_.weights().path().c_str(),
         name.c_str(), error.what());
  }
  return weights;
}

ValueId Stack::project_qkv(const AttentionSpec& spec, const std::string& name, ValueId x,
                           Element element) {
  const int64_t n = spec.q_width() + spec.k_width() + spec.v_width();
  const QkNorm of = config_.qk_norms.of;
  if (of == QkNorm::kNone) return linear(name + ".qkv", x, n, element);
  const bool rows = of == QkNorm::kRows;
  const std::string q = name + ".q_norm.weight", k = name + ".k_norm.weight";
  const Container& weights = graph_.weights();
  auto op = std::make_unique<NormHeads>(
      NormHeads::Part{rows ? 1 : spec.n_heads,
                      weights.f32(q, {rows ? spec.q_width() : spec.head_dim})},
      NormHeads::Part{rows ? 1 : spec.n_kv_heads,
                      weights.f32(k, {rows ? spec.k_width() : spec.head_dim})},
      spec, config_.norm_eps);
  return graph_.add(std::move(op), {linear(name + ".qkv", x, n)}, graph_.rows_of(x), n);
}

ValueId Stack::attend(std::unique_ptr<Op> op, std::vector<ValueId> inputs,
                      const AttentionSpec& spec, const std::string& name, Element element) {
  const Rows rows = graph_.rows_of(inputs.front());
  const ValueId context =
      graph_.add(std::move(op), std::move(inputs), rows, spec.o_width(), element);
  return linear(name + ".out", context, graph_.config().d_model);
}

KeysValues Stack::keys_values(int64_t i, ValueId key, ValueId value, bool cross) {
  const AttentionSpec spec = spec_of(i, cross);
  const std::string name = attention_name(i, cross);
  const Element element = graph_.attention_element(spec);
  const ValueId k = linear(name + ".k", key, spec.k_width(), element);
  return {k, linear(name + ".v", value, spec.v_width(), element)};
}

ValueId Stack::attend_to(int64_t i, ValueId x, KeysValues kv, int64_t op_layer, bool cross) {
  const AttentionSpec spec = spec_of(i, cross);
  const std::string name = attention_name(i, cross);
  const Element element = graph_.attention_element(spec);
  const ValueId q = linear(name + ".q", x, spec.q_width(), element);
  const Attention::Sides sides = {graph_.rows_of(x), graph_.rows_of(kv.k)};
  auto op = std::make_unique<Attention>(spec, attention_weights(spec, name), Columns{0, 0},
                                        Columns{1, 0}, Columns{2, 0}, op_layer, sides, element);
  return attend(std::move(op), {q, kv.k, kv.v}, spec, name, element);
}

// Q, K and V are one product of token ids' rows, and three of the caller's rows, since its keys and
// values may also come from other rows.
Stack::Attend Stack::to_itself(Calls calls) {
  return [this, calls](int64_t i, ValueId x) {
    const int64_t op_layer = calls == Calls::kSeen ? i : Attention::kUnseen;
    const AttentionSpec spec = config_.attention_of(i);
    const std::string name = attention_name(i, false);
    if (!graph_.config().takes_tokens()) {
      return attend_to(i, x, keys_values(i, x, x, false), op_layer, false);
    }
    const Element element = graph_.attention_element(spec);
    ValueId qkv = project_qkv(spec, name, x, element);
    // Norms leave f32 behind.
    if (element == Element::kBf16) qkv = graph_.operand(qkv, Precision::kBf16);
    const Attention::Sides sides = {graph_.rows_of(x), graph_.rows_of(x)};
    const Columns k = {0, spec.q_width()}, v = {0, spec.q_width() + spec.k_width()};
    auto op = std::make_unique<Attention>(spec, attention_weights(spec, name), Columns{0, 0}, k, v,
                                          op_layer, sides, element, rotary_table(spec.rotary));
    return attend(std::move(op), {qkv}, spec, name, element);
  };
}

// The keys and values come first: they are of the same rows as the layer before, and so of its
// pass.
ValueId Stack::attend_for_read_rows(int64_t i, ValueId x, int64_t op_layer) {
  const AttentionSpec spec = config_.attention_of(i);
  const std::string name = attention_name(i, false);
  const Element element = graph_.attention_element(spec);
  const int64_t q = spec.q_width(), kv = spec.k_width() + spec.v_width();
  const auto columns = [&](ValueId of, int64_t first, int64_t n) {
    return graph_.some_of_linear(name + ".qkv", of, q + kv, first, n, config_.biases, element);
  };
  const ValueId keys_values = columns(x, q, kv);
  const ValueId queries = columns(graph_.take(x), 0, q);
  const Attention::Sides sides = {Rows::kRead, graph_.rows_of(x)};
  auto op = std::make_unique<Attention>(spec, attention_weights(spec, name), Columns{0, 0},
                                        Columns{1, 0}, Columns{1, spec.k_width()}, op_layer, sides,
                                        element, rotary_table(spec.rotary));
  return attend(std::move(op), {queries, keys_values}, spec, name, element);
}

bool Stack::can_read_rows() const {
  if (config_.qk_norms.of != QkNorm::kNone) return false;
  if (config_.norm == NormPlacement::kParallel) return false;
  const int64_t last = config_.n_layers - 1;
  const AttentionSpec spec = config_.attention_of(last);
  const int64_t q = spec.q_width(), all = q + spec.k_width() + spec.v_width();
  return graph_.can_begin_at(attention_name(last, false) + ".qkv", all, q);
}

Stack::Attend Stack::to_itself_for_read_rows(Calls calls) {
  return [this, calls, all = to_itself(calls)](int64_t i, ValueId x) {
    if (i + 1 < config_.n_layers) return all(i, x);
    return attend_for_read_rows(i, x, calls == Calls::kSeen ? i : Attention::kUnseen);
  };
}

Stack::Attend Stack::to_kv(std::vector<KeysValues> kv, Calls calls, bool cross) {
  return [this, kv = std::move(kv), calls, cross](int64_t i, ValueId x) {
    const int64_t op_layer = calls == Calls::kSeen ? i : Attention::kUnseen;
    return attend_to(i, x, kv[static_cast<size_t>(i)], op_layer, cross);
  };
}

ValueId Stack::latent_norm(const std::string& name, ValueId x) {
  const int64_t d = graph_.cols_of(x);
  const float* gamma = graph_.weights().f32(name + ".weight", {d});
  auto op = std::make_unique<Norm>(d, gamma, nullptr, config_.latent.norm_eps, true);
  return graph_.add(std::move(op), {x}, graph_.rows_of(x), d);
}

ValueId Stack::head_products(const std::string& name, ValueId x, int64_t n_kept, int64_t n,
                             Element element) {
  const int64_t n_heads = config_.attention.n_heads, k = graph_.cols_of(x) / n_heads - n_kept;
  const Rows rows = graph_.rows_of(x);
  auto op = std::make_unique<HeadProducts>(graph_.experts(name, {n_heads, n, 0, n}, k), n_kept,
                                           rows, graph_.element_of(x), element);
  return graph_.add(std::move(op), {x}, rows, n_heads * (n_kept + n), element);
}

ValueId Stack::attend_to_latents(int64_t i, ValueId x) {
  const LatentConfig& latent = config_.latent;
  const AttentionSpec spec = config_.attention_of(i), cached = config_.cached_attention_of(i);
  const int64_t turning = spec.rotary.dims;
  const std::string name = attention_name(i, false);
  const Element element = graph_.kept_element();
  ValueId from = x;
  if (latent.q_width != 0) {
    from = latent_norm(name + ".q_norm", linear(name + ".q_down", x, latent.q_width));
  }
  const ValueId q = linear(name + ".q", from, spec.q_width());
  const ValueId key = linear(name + ".k_turning", x, turning);
  const ValueId row = latent_norm(name + ".latent_norm", linear(name + ".latent", x, latent.width));
  auto keep = std::make_unique<KeepLatents>(spec, latent.width, rotary_table(spec.rotary), i);
  const ValueId turned =
      graph_.add(std::move(keep), {q, key, row}, graph_.rows_of(x), spec.q_width());
  const ValueId queries =
      head_products(name + ".k_transposed", turned, turning, latent.width, element);
  auto op = std::make_unique<DecodeAttention>(cached, attention_weights(cached, name),
                                              DecodeAttention::Over::kSelf, i, element, turning);
  const ValueId sums =
      graph_.add(std::move(op), {queries}, graph_.rows_of(x), cached.o_width(), element);
  const ValueId context = head_products(name + ".v", sums, 0, spec.v_dim, element);
  return linear(name + ".out", context, graph_.config().d_model);
}

Stack::Attend Stack::step() {
  return [this](int64_t i, ValueId x) {
    if (config_.latent.width != 0) return attend_to_latents(i, x);
    const AttentionSpec spec = config_.attention_of(i);
    const std::string name = attention_name(i, false);
    const Element element = graph_.kept_element();
    const bool in_f32 = spec.rotary.dims != 0 || config_.qk_norms.of != QkNorm::kNone;
    const Element input = in_f32 ? Element::kF32 : element;
    const ValueId qkv = project_qkv(spec, name, x, input);
    auto keep = std::make_unique<KeepKeys>(spec, rotary_table(spec.rotary), i, input, element);
    std::vector<ValueId> inputs = {qkv};
    if (spec.rotary.by_room()) inputs.push_back(turns(spec.rotary));
    const ValueId q =
        graph_.add(std::move(keep), std::move(inputs), graph_.rows_of(x), spec.q_width(), element);
    auto op =
        std::make_unique<DecodeAttention>(spec, attention_weights(spec, name),
                                          DecodeAttention::Over::kSelf, i, element, spec.k_width());
    return attend(std::move(op), {q}, spec, name, element);
  };
}

std::shared_ptr<const Buffer> Stack::rotary_table(const RotarySpec& spec) {
  if (spec.table_floats() == 0) return nullptr;
  for (const auto& [known, table] : rotary_tables_) {
    if (known == spec) return table;
  }
  auto table =
      std::make_shared<Buffer>(static_cast<size_t>(spec.max_positions * spec.dims) * sizeof(float));
  fill_rotary_table(spec, static_cast<float*>(table->data()));
  rotary_tables_.emplace_back(spec, table);
  return table;
}

ValueId Stack::turns(const RotarySpec& spec) {
  for (const auto& [known, value] : turns_) {
    if (known == spec) return value;
  }
  const ValueId value =
      graph_.add(std::make_unique<TurnTokens>(spec), {}, Rows::kTokens, spec.dims);
  turns_.emplace_back(spec, value);
  return value;
}

Stack::Attend Stack::step_cross() {
  return [this](int64_t i, ValueId x) {
    const AttentionSpec& spec = config_.cross;
    const std::string name = attention_name(i, true);
    const Element element = graph_.kept_element();
    const ValueId q = linear(name + ".q", x, spec.q_width(), element);
    auto op = std::make_unique<DecodeAttention>(spec, attention_weights(spec, name),
                                                DecodeAttention::Over::kCross, i, element,
                                                spec.k_width());
    return attend(std::move(op), {q}, spec, name, element);
  };
}

void Stack::keep_keys_values(int64_t i, ValueId x) {
  const AttentionSpec& spec = config_.cross;
  graph_.keep(linear(attention_name(i, true) + ".kv", x, spec.k_width() + spec.v_width(),
                     graph_.kept_element()));
}

ValueId Stack::feed_forward(int64_t i, ValueId x) {
  const std::string name = layer(i) + ".ffn";
  if (!config_.experts.in_layer(i)) return dense(name, x, config_.d_ff);
  // It comes before the experts, so that its rows are in cache with those of the router.
  const int64_t shared_d_ff = config_.experts.shared.d_ff;
  const ValueId shared = shared_d_ff != 0 ? dense(name + ".shared", x, shared_d_ff) : -1;
  return add_experts(&graph_, config_, name, x, shared);
}

ValueId Stack::dense(const std::string& name, ValueId x, int64_t d_ff) {
  const kernels::Activation activation = kernel_of(config_.activation);
  // In bf16 it goes through L2 at half the bytes; 8 bits a row can only be had of the whole row.
  ValueId wide = 0;
  if (config_.gated) {
    const ValueId both = linear(name + ".up", x, 2 * d_ff);
    auto gate = std::make_unique<Gate>(d_ff, activation);
    wide = graph_.add(std::move(gate), {both}, graph_.rows_of(x), d_ff);
  } else {
    wide = linear(name + ".up", x, d_ff, Element::kBf16, activation);
  }
  return linear(name + ".down", wide, graph_.config().d_model);
}

}  // namespace headlane
