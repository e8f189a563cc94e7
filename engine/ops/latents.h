// The ops of attention over latents (LatentConfig). The keys of a head, and its values, are
// products of a token's latent: k = W_k l, v = W_v l. Scores q . (W_k l) are (W_k^T q) . l, and the
// sum of weighted values is W_v times that of weighted latents. So queries go through W_k^T, each
// head's by a product of its own, all heads attend to the latents themselves, and W_v comes last.
// Nothing but the latent and the columns of the key that turn is ever kept.
#pragma once

#include <memory>
#include <utility>

#include "engine/base/buffer.h"
#include "engine/ops/experts.h"
#include "engine/ops/op.h"
#include "engine/spec/attention_spec.h"

namespace headlane {

// Leaves each token's key in the cache of a decoder's layer: the columns that turn, which all heads
// share, turned by the token's position, and then the latent. The output is the queries, whose
// first columns of each head are turned alike. Inputs, all f32: queries [n_heads * head_dim], the
// columns that turn, latents [width]  -> [n_tokens, n_heads * head_dim]
class KeepLatents : public RowOp {
 public:
  // `spec`: of the queries. `rotary`: the table of spec.rotary.
  KeepLatents(const AttentionSpec& spec, int64_t width, std::shared_ptr<const Buffer> rotary,
              int64_t layer)
      : spec_(spec), width_(width), rotary_(std::move(rotary)), layer_(layer) {}
  const char* name() const override { return "keep_latents"; }
  void run_rows(const Run&, int64_t, int64_t, Slice, std::span<const View>, View) const override;

 private:
  AttentionSpec spec_;
  int64_t width_;
  std::shared_ptr<const Buffer> rotary_;  // [max_positions, dims]
  int64_t layer_;
};

// output = of each head, its first n_kept columns, and then the product of its others and a weight
// of its own  -> [rows, n_heads * (n_kept + columns of a weight)]
class HeadProducts : public TaskOp {
 public:
  // The weights of all heads, of one shape and precision; `rows`, and the elements of the input and
  // of the output, each f32 or bf16.
  HeadProducts(ExpertWeights weights, int64_t n_kept, Rows rows, Element input, Element output)
      : weights_(std::move(weights)),
        n_kept_(n_kept),
        rows_(rows),
        input_(input),
        output_(output) {}
  const char* name() const override { return "head_products"; }
  double flops(const Run&, int64_t rows) const override;
  double weight_bytes(const kernels::Table& kernels) const override;
  double speed() const override { return kind_of(weights_.front()->precision).speed; }
  int64_t n_tasks(const Run& run) const override;
  int64_t scratch_floats(const kernels::Table&, const Limits&) const override;
  void run_task(const Run&, int64_t, std::span<const View>, View, float*) const override;

 private:
  // Rows as the product takes them: where they lie or, converted, in the tile.
  View operand(const kernels::Table& kernels, View x, int64_t first_column, int64_t m,
               float* tile) const;

  ExpertWeights weights_;
  int64_t n_kept_;
  Rows rows_;
  Element input_, output_;
};

}  // namespace headlane
