// The ops there are. Weights are pointers into the model's file, valid as long as the model.
#pragma once

#include <memory>

#include "engine/ops/op.h"

namespace headlane {

// output[row] = word[id] + type[type_id] + position[position]   -> [n_tokens, d_model]
class Embed : public RowOp {
 public:
  Embed(int64_t d_model, const float* word, const float* position, const float* type)
      : d_model_(d_model), word_(word), position_(position), type_(type) {}
  const char* name() const override { return "embed"; }
  void run_rows(const Run&, int64_t, int64_t, Slice, std::span<const View>, View) const override;

 private:
  int64_t d_model_;
  const float* word_;      // [vocab_size, d_model]
  const float* position_;  // [max_positions, d_model]
  const float* type_;      // [n_types, d_model], or null
};

// output = activation(input * weight^T + bias)
class Linear : public RowOp {
 public:
  Linear(int64_t n, int64_t k, const float* weight, const float* bias,
         kernels::Activation activation)
      : n_(n), k_(k), weight_(weight), bias_(bias), activation_(activation) {}
  const char* name() const override { return "linear"; }
  int64_t packed_floats(const kernels::Table&) const override;
  void prepare(const kernels::Table&) override;
  void pack(const kernels::Table&, float* packed, Slice) override;
  void run_rows(const Run&, int64_t, int64_t, Slice, std::span<const View>, View) const override;

 private:
  int64_t n_, k_;
  const float* weight_;  // [n, k]
  const float* bias_;    // [n], or null
  kernels::Activation activation_;
  const float* packed_ = nullptr;
  std::unique_ptr<void, void (*)(void*)> state_{nullptr, nullptr};  // of the kernels' create()
};

// output = norm(input 0 [+ input 1]) * gamma + beta: "add & norm" with a second input
class LayerNorm : public RowOp {
 public:
  LayerNorm(int64_t d, const float* gamma, const float* beta, float eps)
      : d_(d), gamma_(gamma), beta_(beta), eps_(eps) {}
  const char* name() const override { return "layer_norm"; }
  void run_rows(const Run&, int64_t, int64_t, Slice, std::span<const View>, View) const override;

 private:
  int64_t d_;
  const float* gamma_;  // [d]
  const float* beta_;   // [d]
  float eps_;
};

// Self-attention of each sequence over itself. Input: a row is Q of all heads, then K, then V.
class Attention : public TaskOp {
 public:
  Attention(int64_t n_heads, int64_t head_dim, float scale)
      : n_heads_(n_heads), head_dim_(head_dim), scale_(scale) {}
  const char* name() const override { return "attention"; }
  int64_t n_tasks(const Run&) const override;
  int64_t scratch_floats(const kernels::Table&, const Limits&) const override;
  void run_task(const Run&, int64_t, std::span<const View>, View, float*) const override;

 private:
  int64_t heads_per_task(const Run&) const;

  int64_t n_heads_, head_dim_;
  float scale_;
};

// One vector a sequence  -> [n_seqs, d], not padded
class Pool : public TaskOp {
 public:
  Pool(int64_t d, kernels::Pooling pooling, bool normalize)
      : d_(d), pooling_(pooling), normalize_(normalize) {}
  const char* name() const override { return "pool"; }
  int64_t n_tasks(const Run& run) const override { return run.n_seqs; }
  void run_task(const Run&, int64_t, std::span<const View>, View, float*) const override;

 private:
  int64_t d_;
  kernels::Pooling pooling_;
  bool normalize_;
};

}  // namespace headlane
