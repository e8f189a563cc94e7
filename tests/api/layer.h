// A multi-head attention layer as the tests of the C API use it: random weights, the layer made of
// them, and what it computes in float64 with its bound.
#pragma once

#include <functional>
#include <memory>

#include "tests/api/attention.h"
#include "tests/support/bounded.h"

namespace headlane::test {

using Floats = std::vector<float>;

// Weights and options that point to them; not to be copied.
struct Layer {
  Layer(int64_t d_model, int64_t n_heads, int64_t head_dim, uint32_t seed = 1) : random(seed) {
    attention.struct_size = sizeof attention;
    attention.n_heads = n_heads;
    attention.head_dim = head_dim;
    options.struct_size = sizeof options;
    options.d_model = d_model;
    options.attention = &attention;
  }
  Layer(const Layer&) = delete;

  int64_t kv_heads() const {
    return attention.n_kv_heads ? attention.n_kv_heads : attention.n_heads;
  }
  int64_t v_dim() const { return attention.v_dim ? attention.v_dim : attention.head_dim; }
  int64_t kdim() const { return options.kdim ? options.kdim : options.d_model; }
  int64_t vdim() const { return options.vdim ? options.vdim : options.d_model; }

  Floats numbers(int64_t n, float spread) {
    std::normal_distribution<float> normal(0.0f, spread);
    Floats values(static_cast<size_t>(n));
    for (float& value : values) value = normal(random);
    return values;
  }
  headlane_linear linear(int64_t n, int64_t k, bool bias) {
    store.push_back(std::make_unique<Floats>(numbers(n * k, 1 / std::sqrt(static_cast<float>(k)))));
    const float* weight = store.back()->data();
    if (!bias) return {weight, nullptr};
    store.push_back(std::make_unique<Floats>(numbers(n, 0.1f)));
    return {weight, store.back()->data()};
  }
  const float* vector(int64_t n, float spread = 1.0f) {
    store.push_back(std::make_unique<Floats>(numbers(n, spread)));
    return store.back()->data();
  }
  // Called when the sizes are set.
  Layer& fill(bool biases = true) {
    const int64_t q_width = attention.n_heads * attention.head_dim;
    options.q = linear(q_width, options.d_model, biases);
    options.k = linear(kv_heads() * attention.head_dim, kdim(), biases);
    options.v = linear(kv_heads() * v_dim(), vdim(), biases);
    options.out = linear(options.d_model, attention.n_heads * v_dim(), biases);
    if (options.norm != HEADLANE_NORM_NONE) {
      options.norm_weight = vector(options.d_model);
      if (biases) options.norm_bias = vector(options.d_model, 0.1f);
    }
    if (attention.score == HEADLANE_SCORE_ADDITIVE) attention.additive = vector(q_width);
    if (attention.score == HEADLANE_SCORE_BILINEAR) {
      options.bilinear = vector(q_width * attention.head_dim, 0.3f);
    }
    return *this;
  }

  std::mt19937 random;
  headlane_attention_options attention{};
  headlane_layer_options options{};
  std::vector<std::unique_ptr<Floats>> store;
};

inline ModelHandle create_layer(const Layer& layer, const char* isa,
                                const char* precision = nullptr) {
  headlane_model_options options = HEADLANE_INIT(headlane_model_options);
  options.isa = isa;
  options.precision = precision;
  headlane_model* model = nullptr;
  check(headlane_model_create_layer(&layer.options, &options, &model));
  return ModelHandle(model);
}

inline SessionHandle create_session(headlane_model* model, bool cross, int n_threads = 1,
                                    int64_t max_tokens = 512, const char* precision = nullptr) {
  headlane_session_options options = HEADLANE_INIT(headlane_session_options);
  options.max_tokens = max_tokens;
  options.n_threads = n_threads;
  options.cross_attention = cross;
  options.precision = precision;
  headlane_session* session = nullptr;
  check(headlane_session_create(model, &options, &session));
  return SessionHandle(session);
}

// The operands of one sequence's call; empty functions stand for all keys and no bias.
struct LayerCall {
  const float* x = nullptr;  // [q_len, d_model]
  int64_t q_len = 0;
  const float* key = nullptr;    // [kv_len, kdim]; null: x
  const float* value = nullptr;  // [kv_len, vdim]; null: key
  int64_t kv_len = 0;
  std::function<bool(int64_t i, int64_t j)> sees;
  std::function<float(int64_t head, int64_t i, int64_t j)> bias;  // distances' biases too
  std::function<std::pair<double, double>(int64_t position, int64_t pair)> turn;  // cosine, sine
};

struct LayerResult {
  std::vector<std::vector<Bounded>> out;             // [q_len][d_model]
  std::vector<std::vector<std::vector<Bounded>>> p;  // [n_heads][q_len][kv_len]
};

class LayerReference {
 public:
  LayerReference(const Layer& layer, const LayerCall& call) : layer_(layer), call_(call) {}

  LayerResult compute() {
    using Rows = std::vector<std::vector<Bounded>>;
    const headlane_layer_options& o = layer_.options;
    const bool self = call_.key == nullptr;
    const int64_t kv_len = self ? call_.q_len : call_.kv_len;
    const Rows x = rows(call_.x, call_.q_len, o.d_model);
    Rows in = x;
    if (o.norm == HEADLANE_NORM_PRE) in = normalised(x);
    const Rows key = self ? in : rows(call_.key, kv_len, layer_.kdim());
    const Rows value = self ? in : call_.value ? rows(call_.value, kv_len, layer_.vdim()) : key;
    const Rows q = turned(bilinear(project(in, o.q, width())));
    const Rows k = turned(project(key, o.k, layer_.kv_heads() * head_dim()));
    const Rows v = project(value, o.v, layer_.kv_heads() * layer_.v_dim());
    LayerResult result;
    Rows context(static_cast<size_t>(call_.q_len));
    for (int64_t head = 0; head < layer_.attention.n_heads; ++head) {
      result.p.emplace_back();
      for (int64_t i = 0; i < call_.q_len; ++i) {
        result.p.back().push_back(probabilities(q[i], k, head, i, kv_len));
        append_context(result.p.back().back(), v, head, kv_len, &context[i]);
      }
    }
    Rows y = project(context, o.out, o.d_model);
    for (int64_t i = 0; o.residual && i < call_.q_len; ++i) {
      for (int64_t c = 0; c < o.d_model; ++c) y[i][c] = y[i][c] + x[i][c];
    }
    result.out = o.norm == HEADLANE_NORM_POST ? normalised(y) : y;
    return result;
  }

 private:
  using Row = std::vector<Bounded>;
  int64_t head_dim() const { return layer_.attention.head_dim; }
  int64_t width() const { return layer_.attention.n_heads * head_dim(); }

  static std::vector<Row> rows(const float* x, int64_t n, int64_t d) {
    std::vector<Row> result;
    for (int64_t i = 0; i < n; ++i) result.emplace_back(x + i * d, x + (i + 1) * d);
    return result;
  }

  std::vector<Row> normalised(const std::vector<Row>& x) const {
    std::vector<Row> y;
    const double eps = layer_.options.norm_eps != 0 ? layer_.options.norm_eps : 1e-5f;
    y.reserve(x.size());
    for (const Row& row : x) {
      y.push_back(layer_norm(row, layer_.options.norm_weight, layer_.options.norm_bias, eps));
    }
    return y;
  }

  static std::vector<Row> project(const std::vector<Row>& x, const headlane_linear& linear,
                                  int64_t n) {
    std::vector<Row> y;
    for (const Row& row : x) {
      const int64_t k = static_cast<int64_t>(row.size());
      y.emplace_back();
      for (int64_t c = 0; c < n; ++c) {
        y.back().push_back(
            dot(k, row.data(), 1, linear.weight + c * k, 1, linear.bias ? linear.bias[c] : 0.0));
      }
    }
    return y;
  }

  // W^T q for each head. The library multiplies W into the weights, in float64, and rounds them:
  // one more rounding of each product, which a sum's bound covers twice over.
  std::vector<Row> bilinear(const std::vector<Row>& q) const {
    if (layer_.options.bilinear == nullptr) return q;
    const int64_t d = head_dim();
    std::vector<Row> y;
    for (const Row& row : q) {
      y.emplace_back();
      for (int64_t c = 0; c < width(); ++c) {
        const int64_t head = c / d;
        y.back().push_back(
            dot(d, row.data() + head * d, 1, layer_.options.bilinear + head * d * d + c % d, d, 0));
      }
    }
    return y;
  }

  std::vector<Row> turned(const std::vector<Row>& x) const {
    const headlane_rotary* rotary = layer_.attention.rotary;
    if (rotary == nullptr) return x;
    const int64_t dims = rotary->dims ? rotary->dims : head_dim(), half = dims / 2;
    std::vector<Row> y = x;
    for (size_t i = 0; i < x.size(); ++i) {
      for (size_t first = 0; first < x[i].size(); first += static_cast<size_t>(head_dim())) {
        for (int64_t pair = 0; pair < half; ++pair) {
          const size_t a = first + static_cast<size_t>(rotary->interleaved ? 2 * pair : pair);
          const size_t b = a + static_cast<size_t>(rotary->interleaved ? 1 : half);
          const auto [cosine, sine] = call_.turn(static_cast<int64_t>(i), pair);
          // Rounded to float32 each.
          const Bounded c(cosine, kEps * std::fabs(cosine)), s(sine, kEps * std::fabs(sine));
          y[i][a] = x[i][a] * c - x[i][b] * s;
          y[i][b] = x[i][b] * c + x[i][a] * s;
        }
      }
    }
    return y;
  }

  Bounded score(const Row& q, const Row& k, int64_t head) const {
    const headlane_attention_options& a = layer_.attention;
    const int64_t d = head_dim(), kv_head = head / (a.n_heads / layer_.kv_heads());
    const Bounded* qh = q.data() + head * d;
    const Bounded* kh = k.data() + kv_head * d;
    Bounded s;
    if (a.score == HEADLANE_SCORE_ADDITIVE) {
      Row tanhs;
      for (int64_t c = 0; c < d; ++c) tanhs.push_back(tanh(qh[c] + kh[c]));
      s = dot(d, tanhs.data(), 1, a.additive + head * d, 1, 0);
    } else {
      const double scale = a.score != HEADLANE_SCORE_SCALED_DOT ? 1
                           : a.scale != 0                       ? a.scale
                                          : 1 / std::sqrt(static_cast<double>(d));
      s = dot(d, qh, 1, kh, 1, 0) * Bounded(scale, kEps * scale);
    }
    if (a.softcap != 0) s = Bounded(a.softcap) * tanh(s / Bounded(a.softcap));
    return s;
  }

  Row probabilities(const Row& q, const std::vector<Row>& k, int64_t head, int64_t i,
                    int64_t kv_len) const {
    Row p(static_cast<size_t>(kv_len));
    const float* sinks = layer_.attention.sinks;
    double largest = sinks ? sinks[head] : -INFINITY;
    const auto seen = [&](int64_t j) { return !call_.sees || call_.sees(i, j); };
    for (int64_t j = 0; j < kv_len; ++j) {
      if (!seen(j)) continue;
      p[j] = score(q, k[j], head);
      if (call_.bias) p[j] = p[j] + Bounded(call_.bias(head, i, j));
      largest = std::max(largest, p[j].value);
    }
    // The library subtracts its own maximum, right to that score's error; it cancels.
    Bounded sum = sinks ? exp(Bounded(sinks[head]) - Bounded(largest)) : Bounded(0);
    for (int64_t j = 0; j < kv_len; ++j) {
      p[j] = seen(j) ? exp(p[j] - Bounded(largest)) : Bounded(0);
      sum = sum + p[j];
    }
    for (int64_t j = 0; j < kv_len; ++j) {
      if (p[j].value > 0) p[j] = p[j] / sum;
    }
    return p;
  }

  void append_context(const Row& p, const std::vector<Row>& v, int64_t head, int64_t kv_len,
                      Row* context) const {
    const int64_t v_dim = layer_.v_dim();
    const int64_t kv_head = head / (layer_.attention.n_heads / layer_.kv_heads());
    for (int64_t c = 0; c < v_dim; ++c) {
      Row column;
      for (int64_t j = 0; j < kv_len; ++j) column.push_back(v[j][kv_head * v_dim + c]);
      context->push_back(dot(kv_len, p.data(), 1, column.data(), 1, 0));
    }
  }

  const Layer& layer_;
  const LayerCall& call_;
};

}  // namespace headlane::test
