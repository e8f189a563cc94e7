#include "engine/model/attention_layer.h"

#include <algorithm>

#include "engine/file/json.h"

namespace headlane {
namespace {

constexpr const char* kName = "attention layer";  // where a file's path would stand in messages

class Tensors {
 public:
  void add(const std::string& name, const float* data, std::vector<int64_t> shape) {
    if (data == nullptr) return;
    int64_t n = 1;
    for (const int64_t size : shape) n *= size;
    sources_.push_back({"encoder.layers.0.attention" + name, Format::kF32, std::move(shape),
                        std::as_bytes(std::span(data, static_cast<size_t>(n)))});
  }
  void add(const std::string& name, const LinearWeights& linear, int64_t n, int64_t k) {
    add(name + ".weight", linear.weight, {n, k});
    add(name + ".bias", linear.bias, {n});
  }
  std::span<const TensorSource> sources() const { return sources_; }

 private:
  std::vector<TensorSource> sources_;
};

// q^T W k = (W^T q)^T k, so each head's rows of the projection become W^T of them: of x [k columns]
// or, with k = 1, of the bias. Summed in float64.
std::vector<float> fold_bilinear(const AttentionSpec& spec, const float* bilinear,
                                 const float* rows, int64_t k) {
  const int64_t d = spec.head_dim;
  std::vector<float> folded(static_cast<size_t>(spec.q_width() * k));
  std::vector<double> sums(static_cast<size_t>(k));
  for (int64_t row = 0; row < spec.q_width(); ++row) {
    const int64_t head = row / d;
    std::fill(sums.begin(), sums.end(), 0.0);
    for (int64_t i = 0; i < d; ++i) {
      const double w = bilinear[(head * d + i) * d + row % d];
      const float* from = rows + (head * d + i) * k;
      for (int64_t j = 0; j < k; ++j) sums[j] += w * from[j];
    }
    for (int64_t j = 0; j < k; ++j) folded[row * k + j] = static_cast<float>(sums[j]);
  }
  return folded;
}

}  // namespace

std::unique_ptr<Model> make_attention_layer(const AttentionLayerSource& source,
                                            const ModelOptions& options) {
  const ModelConfig& config = source.config;
  const AttentionSpec& spec = config.encoder.attention;
  LinearWeights q = source.q;
  std::vector<float> folded_weight, folded_bias;
  if (source.bilinear) {
    folded_weight = fold_bilinear(spec, source.bilinear, q.weight, config.d_model);
    if (q.bias) folded_bias = fold_bilinear(spec, source.bilinear, q.bias, 1);
    q = {folded_weight.data(), q.bias ? folded_bias.data() : nullptr};
  }
  Tensors tensors;
  tensors.add(".q", q, spec.q_width(), config.d_model);
  tensors.add(".k", source.k, spec.k_width(), config.kdim);
  tensors.add(".v", source.v, spec.v_width(), config.vdim);
  tensors.add(".out", source.out, config.d_model, spec.o_width());
  tensors.add(".norm.weight", source.norm_weight, {config.d_model});
  tensors.add(".norm.bias", source.norm_bias, {config.d_model});
  tensors.add(".alibi_slopes", source.attention.alibi_slopes, {spec.n_heads});
  tensors.add(".sinks", source.attention.sinks, {spec.n_heads});
  tensors.add(".additive", source.attention.additive, {spec.n_heads, spec.head_dim});
  tensors.add(".relative_bias", source.attention.relative_bias,
              {spec.relative.n_buckets, spec.n_heads});
  config.validate(kName);
  return Model::make(Container::make(kName, config.to_json(), tensors.sources()), config, options);
}

}  // namespace headlane
