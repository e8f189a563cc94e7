// A small decoder without an encoder, with random weights: its graph, put together by hand from
// ops, and its logits by plain loops.
#pragma once

#include <cmath>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "engine/generate/stepper.h"
#include "engine/ops/packed_weight.h"

namespace headlane::test {

struct ToyLayerWeights {
  std::vector<float> norm, qkv, out, ffn_norm, up, down, sinks, slopes;
};

// Norms by the mean square before attention and feed-forward, heads that share keys, a gate.
struct ToyLanguageModel {
  static constexpr int64_t kLayers = 2, kModel = 48, kHidden = 40, kVocab = 101, kMaxLen = 80;
  static constexpr float kEps = 1e-5f;
  AttentionSpec spec;
  bool has_sinks = false, has_slopes = false;
  int64_t window = 0;  // of layer 1; 0: none
  std::vector<float> words, norm, head;
  ToyLayerWeights layers[kLayers];

  explicit ToyLanguageModel(bool rotary) {
    spec.n_heads = 6;
    spec.n_kv_heads = 2;
    spec.head_dim = spec.v_dim = 20;
    spec.scale = 1 / std::sqrt(20.0f);
    spec.causal = Causal::kUpperLeft;
    if (rotary) {
      spec.rotary.dims = 12;
      spec.rotary.max_positions = kMaxLen;
    } else {
      spec.softcap = 4;
      has_sinks = has_slopes = true;
      window = 9;
    }
    std::mt19937 random(5);
    const auto fill = [&](std::vector<float>* w, int64_t n, float scale, float mean = 0) {
      std::normal_distribution<float> normal(mean, scale);
      for (int64_t i = 0; i < n; ++i) w->push_back(normal(random));
    };
    const int64_t qkv = spec.q_width() + spec.k_width() + spec.v_width();
    fill(&words, kVocab * kModel, 1.0f);
    for (ToyLayerWeights& layer : layers) {
      fill(&layer.norm, kModel, 0.2f, 1);
      fill(&layer.qkv, qkv * kModel, 0.3f);
      fill(&layer.out, kModel * spec.o_width(), 0.1f);
      fill(&layer.ffn_norm, kModel, 0.2f, 1);
      fill(&layer.up, 2 * kHidden * kModel, 0.15f);
      fill(&layer.down, kModel * kHidden, 0.15f);
      fill(&layer.sinks, spec.n_heads, 1.0f);
      fill(&layer.slopes, spec.n_heads, 0.1f, 0.2f);
    }
    fill(&norm, kModel, 0.2f, 1);
    fill(&head, kVocab * kModel, 0.15f);
  }
};

// The graph of a step, its products in f32 or bf16.
class ToyStepGraph {
 public:
  ToyStepGraph(const ToyLanguageModel& model, const kernels::Table& kernels, Precision precision)
      : model_(model), precision_(precision), element_(element_of(precision)) {
    constexpr int64_t kModel = ToyLanguageModel::kModel;
    rotary_ = rotary_table();
    const WeightRows words = {kernels::Format::kF32, model.words.data(), nullptr};
    ValueId x = graph_.add(std::make_unique<Embed>(kModel, words, 1.0f, PositionTable(), nullptr),
                           {}, Rows::kTokens, kModel);
    for (int64_t i = 0; i < ToyLanguageModel::kLayers; ++i) {
      const ToyLayerWeights& layer = model.layers[i];
      x = add(x, attention(i, normed(layer.norm, x)));
      x = add(x, feed_forward(i, normed(layer.ffn_norm, x)));
    }
    graph_.hidden = normed(model.norm, x);
    const PackedWeight* head = weight("head", model.head, ToyLanguageModel::kVocab, kModel);
    graph_.add_last(std::make_unique<TopLogits>(head), {operand(graph_.hidden)});
    Team team(1);
    weights_.pack(kernels, nullptr, &team);
  }

  StepModel step_model(const kernels::Table& kernels) const {
    StackConfig stack;
    stack.attention = model_.spec;
    return {.graph = &graph_,
            .kernels = &kernels,
            .n_layers = ToyLanguageModel::kLayers,
            .cache_row = cache_row(
                stack, element_ == Element::kBf16 ? kernels::Format::kBf16 : kernels::Format::kF32),
            .d_model = ToyLanguageModel::kModel,
            .vocab_size = ToyLanguageModel::kVocab,
            .n_ranges = TopLogits::n_ranges(kernels, precision_, ToyLanguageModel::kVocab)};
  }

 private:
  static Element element_of(Precision precision) {
    return precision == Precision::kF32 ? Element::kF32 : Element::kBf16;
  }
  std::shared_ptr<const Buffer> rotary_table() const {
    const RotarySpec& spec = model_.spec.rotary;
    if (spec.dims == 0) return nullptr;
    auto table = std::make_shared<Buffer>(static_cast<size_t>(spec.max_positions * spec.dims) *
                                          sizeof(float));
    fill_rotary_table(spec, static_cast<float*>(table->data()));
    return table;
  }
  ValueId add_value(std::unique_ptr<Op> op, std::vector<ValueId> inputs, int64_t cols,
                    Element element = Element::kF32) {
    return graph_.add(std::move(op), std::move(inputs), Rows::kTokens, cols, element);
  }
  ValueId add(ValueId a, ValueId b) {
    return add_value(std::make_unique<Add>(ToyLanguageModel::kModel), {a, b},
                     ToyLanguageModel::kModel);
  }
  ValueId normed(const std::vector<float>& gamma, ValueId x) {
    constexpr int64_t kModel = ToyLanguageModel::kModel;
    return add_value(
        std::make_unique<Norm>(kModel, gamma.data(), nullptr, ToyLanguageModel::kEps, true), {x},
        kModel);
  }
  ValueId operand(ValueId x) {
    const Value value = graph_.values[static_cast<size_t>(x)];
    if (value.element == element_) return x;
    return add_value(std::make_unique<Convert>(value.cols, value.element, element_), {x},
                     value.cols, element_);
  }
  const PackedWeight* weight(const std::string& name, const std::vector<float>& w, int64_t n,
                             int64_t k) {
    PackedWeight weight;
    weight.name = name;
    weight.n = n;
    weight.k = k;
    weight.rows = {kernels::Format::kF32, w.data(), nullptr};
    weight.precision = precision_;
    return weights_.add(std::move(weight));
  }
  ValueId linear(const std::string& name, const std::vector<float>& w, ValueId x, int64_t n) {
    const ValueId in = operand(x);
    const int64_t k = graph_.values[static_cast<size_t>(in)].cols;
    auto op = std::make_unique<Linear>(std::vector{weight(name, w, n, k)}, Element::kF32);
    return add_value(std::move(op), {in}, n);
  }
  ValueId attention(int64_t i, ValueId x) {
    AttentionSpec spec = model_.spec;
    if (i == 1 && model_.window > 0) spec.window_left = model_.window;
    const ToyLayerWeights& layer = model_.layers[i];
    const std::string name = std::to_string(i);
    AttentionWeights weights;
    if (model_.has_sinks) weights.sinks = layer.sinks.data();
    if (model_.has_slopes) weights.alibi_slopes = layer.slopes.data();
    ValueId qkv =
        linear(name + ".qkv", layer.qkv, x, spec.q_width() + spec.k_width() + spec.v_width());
    const Element input = spec.rotary.dims > 0 ? Element::kF32 : element_;
    if (input != Element::kF32) qkv = operand(qkv);
    const ValueId q = add_value(std::make_unique<KeepKeys>(spec, rotary_, i, input, element_),
                                {qkv}, spec.q_width(), element_);
    auto op = std::make_unique<DecodeAttention>(spec, weights, DecodeAttention::Over::kSelf, i,
                                                element_, spec.k_width());
    const ValueId o = add_value(std::move(op), {q}, spec.o_width(), element_);
    return linear(name + ".out", layer.out, o, ToyLanguageModel::kModel);
  }
  ValueId feed_forward(int64_t i, ValueId x) {
    constexpr int64_t kHidden = ToyLanguageModel::kHidden;
    const std::string name = std::to_string(i);
    const ValueId both = linear(name + ".up", model_.layers[i].up, x, 2 * kHidden);
    const ValueId wide =
        add_value(std::make_unique<Gate>(kHidden, kernels::Activation::kSilu), {both}, kHidden);
    return linear(name + ".down", model_.layers[i].down, wide, ToyLanguageModel::kModel);
  }

  const ToyLanguageModel& model_;
  Precision precision_;
  Element element_;
  std::shared_ptr<const Buffer> rotary_;
  Graph graph_;
  PackedWeights weights_;
};

// The logits after each token of a text, in numbers of type R.
template <typename R>
class ToyReference {
 public:
  explicit ToyReference(const ToyLanguageModel& model)
      : model_(model), turns_(static_cast<size_t>(model.spec.rotary.dims) * kMaxLen) {
    if (!turns_.empty()) fill_rotary_table(model.spec.rotary, turns_.data());
  }

  std::vector<std::vector<R>> logits(const std::vector<int32_t>& ids) const {
    std::vector<std::vector<R>> x, keys[ToyLanguageModel::kLayers];
    for (const int32_t id : ids) {
      const float* word = &model_.words[static_cast<size_t>(id * kModel)];
      x.emplace_back(word, word + kModel);
    }
    for (int64_t i = 0; i < ToyLanguageModel::kLayers; ++i) {
      const ToyLayerWeights& layer = model_.layers[i];
      std::vector<std::vector<R>> qkv;
      for (size_t t = 0; t < x.size(); ++t) {
        qkv.push_back(times(layer.qkv, norm(layer.norm, x[t])));
        turn(static_cast<int64_t>(t), &qkv.back());
      }
      for (size_t t = 0; t < x.size(); ++t) {
        add(times(layer.out, attend(i, qkv, static_cast<int64_t>(t))), &x[t]);
        add(feed_forward(layer, norm(layer.ffn_norm, x[t])), &x[t]);
      }
    }
    std::vector<std::vector<R>> result;
    for (const std::vector<R>& row : x)
      result.push_back(times(model_.head, norm(model_.norm, row)));
    return result;
  }

 private:
  static constexpr int64_t kModel = ToyLanguageModel::kModel, kMaxLen = ToyLanguageModel::kMaxLen;
  using Row = std::vector<R>;

  static void add(const Row& y, Row* x) {
    for (size_t i = 0; i < y.size(); ++i) (*x)[i] += y[i];
  }
  static Row norm(const std::vector<float>& gamma, const Row& x) {
    R squares = 0;
    for (const R value : x) squares += value * value;
    const R root = std::sqrt(squares / static_cast<R>(x.size()) + R{ToyLanguageModel::kEps});
    Row y;
    for (size_t i = 0; i < x.size(); ++i) y.push_back(x[i] / root * gamma[i]);
    return y;
  }
  static Row times(const std::vector<float>& w, const Row& x) {
    Row y(w.size() / x.size());
    for (size_t n = 0; n < y.size(); ++n) {
      for (size_t k = 0; k < x.size(); ++k) y[n] += w[n * x.size() + k] * x[k];
    }
    return y;
  }
  static Row feed_forward(const ToyLayerWeights& layer, const Row& x) {
    const Row both = times(layer.up, x);
    Row wide;
    for (size_t i = 0; i < both.size() / 2; ++i) {
      wide.push_back(both[i] / (1 + std::exp(-both[i])) * both[both.size() / 2 + i]);
    }
    return times(layer.down, wide);
  }
  void turn(int64_t position, Row* qkv) const {
    const AttentionSpec& spec = model_.spec;
    const int64_t dims = spec.rotary.dims, half = dims / 2;
    for (int64_t h = 0; h < spec.n_heads + spec.n_kv_heads; ++h) {
      for (int64_t c = 0; c < half; ++c) {
        R& a = (*qkv)[static_cast<size_t>(h * spec.head_dim + c)];
        R& b = (*qkv)[static_cast<size_t>(h * spec.head_dim + c + half)];
        const R cosine = turns_[static_cast<size_t>(position * dims + c)];
        const R sine = turns_[static_cast<size_t>(position * dims + half + c)];
        const R first = a * cosine - b * sine;
        b = b * cosine + a * sine;
        a = first;
      }
    }
  }
  // All heads of the token t of layer i.
  Row attend(int64_t i, const std::vector<Row>& qkv, int64_t t) const {
    const AttentionSpec& spec = model_.spec;
    const ToyLayerWeights& layer = model_.layers[i];
    const int64_t d = spec.head_dim, sharing = spec.n_heads / spec.n_kv_heads;
    const int64_t first = i == 1 && model_.window > 0 ? std::max<int64_t>(t - model_.window, 0) : 0;
    Row o;
    for (int64_t h = 0; h < spec.n_heads; ++h) {
      const int64_t k = spec.q_width() + h / sharing * d, v = k + spec.k_width();
      R total = model_.has_sinks ? std::exp(R{layer.sinks[static_cast<size_t>(h)]}) : 0;
      Row sum(static_cast<size_t>(d));
      for (int64_t j = first; j <= t; ++j) {
        const R* key = &qkv[static_cast<size_t>(j)][static_cast<size_t>(k)];
        const R* value = &qkv[static_cast<size_t>(j)][static_cast<size_t>(v)];
        const R* q = &qkv[static_cast<size_t>(t)][static_cast<size_t>(h * d)];
        R score = 0;
        for (int64_t c = 0; c < d; ++c) score += q[c] * key[c];
        score *= spec.scale;
        if (spec.softcap > 0) score = spec.softcap * std::tanh(score / spec.softcap);
        if (model_.has_slopes)
          score -= layer.slopes[static_cast<size_t>(h)] * static_cast<R>(t - j);
        const R weight = std::exp(score);
        total += weight;
        for (int64_t c = 0; c < d; ++c) sum[static_cast<size_t>(c)] += weight * value[c];
      }
      for (const R value : sum) o.push_back(value / total);
    }
    return o;
  }

  const ToyLanguageModel& model_;
  std::vector<float> turns_;
};

}  // namespace headlane::test
