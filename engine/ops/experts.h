// The ops of a mixture of experts (spec/experts_config.h). A router's logits become choices, and
// the rows that have chosen an expert are gathered; each expert's rows go through its products
// together, column block by column block, and each result waits at a place of its own until the
// results of a row are added, in the order in which they were chosen. So a row's bits do not depend
// on what other rows have chosen.
#pragma once

#include <vector>

#include "engine/ops/op.h"
#include "engine/ops/packed_weight.h"
#include "engine/spec/experts_config.h"

namespace headlane {

// A row of choices begins with so many numbers: the chosen experts, best first, as int32; their
// weights; and the weight of the shared expert.
constexpr int64_t choice_cols(int64_t n_chosen) { return 2 * n_chosen + 1; }
inline int32_t* choice_ids(float* row) { return reinterpret_cast<int32_t*>(row); }

// output = the choice that each row of logits means  -> [rows, cols(config)]
class ChooseExperts : public RowOp {
 public:
  // `bias`: [config.n], or null where config has no choice_bias.
  ChooseExperts(const ExpertsConfig& config, const float* bias) : config_(config), bias_(bias) {}
  const char* name() const override { return "choose_experts"; }
  // Behind the choice, a row has room for the ranks of experts and of groups.
  static int64_t cols(const ExpertsConfig& config) {
    return choice_cols(config.chosen) + config.n + config.groups.n;
  }
  void run_rows(const Run&, int64_t, int64_t, Slice, std::span<const View>, View) const override;

 private:
  ExpertsConfig config_;
  const float* bias_;
};

// Which rows have chosen which experts: int32 in an op's output, behind each other whatever its
// stride.
class ExpertRows {
 public:
  ExpertRows(View output, int64_t n_experts)
      : n_used_(reinterpret_cast<int32_t*>(output.data)), n_experts_(n_experts) {}
  // Columns that a value of at least one row must have, so that all of this has room in it.
  static int64_t cols(int64_t n_experts, int64_t n_chosen) { return 2 * n_experts + 1 + n_chosen; }

  int64_t n_used() const { return *n_used_; }
  // The experts that were chosen by some row, ascending.
  int32_t* used() const { return n_used_ + 1; }
  // For each expert, where its part of list() ends; it begins where that of the one before ends.
  int32_t* ends() const { return used() + n_experts_; }
  // Number `row * n_chosen + place` of each choice, by experts and then ascending.
  int32_t* list() const { return ends() + n_experts_; }
  std::span<const int32_t> of(int64_t expert) const {
    const int64_t begin = expert == 0 ? 0 : ends()[expert - 1];
    return {list() + begin, static_cast<size_t>(ends()[expert] - begin)};
  }

 private:
  int32_t* n_used_;
  int64_t n_experts_;
};

// output = the ExpertRows of all rows of choices  -> [rows, ExpertRows::cols]
class GatherExpertRows : public TaskOp {
 public:
  GatherExpertRows(int64_t n_experts, int64_t n_chosen, Rows rows)
      : n_experts_(n_experts), n_chosen_(n_chosen), rows_(rows) {}
  const char* name() const override { return "gather_expert_rows"; }
  int64_t n_tasks(const Run&) const override { return 1; }
  void run_task(const Run&, int64_t, std::span<const View>, View, float*) const override;

 private:
  int64_t n_experts_, n_chosen_;
  Rows rows_;
};

// A product of each expert; those of a layer have the same shape and precision.
using ExpertWeights = std::vector<const PackedWeight*>;

// The rows that an op of experts goes over.
struct ExpertTasks {
  int64_t n_experts = 0, n_chosen = 0;
  Rows rows = Rows::kTokens;

  // Columns that rows of `n` numbers take side by side, one for each choice.
  int64_t cols(int64_t n) const { return n_chosen * kernels::padded_stride(n); }
};

// output = activation(gate product) * up product of each chosen expert  -> [rows, a place of d_ff
// columns for each choice]. Inputs: rows of the products' element, and ExpertRows.
class ExpertsUp : public TaskOp {
 public:
  // Where there is a `clamp`, the activation is SiLU.
  ExpertsUp(ExpertTasks tasks, ExpertWeights gate, ExpertWeights up, kernels::Activation activation,
            ExpertClamp clamp)
      : tasks_(tasks),
        gate_(std::move(gate)),
        up_(std::move(up)),
        activation_(activation),
        clamp_(clamp) {}
  const char* name() const override { return "experts_up"; }
  double flops(const Run&, int64_t rows) const override;
  double weight_bytes(const kernels::Table& kernels) const override;
  double speed() const override { return kind_of(gate_.front()->precision).speed; }
  int64_t n_tasks(const Run& run) const override;
  int64_t scratch_floats(const kernels::Table&, const Limits&) const override;
  void run_task(const Run&, int64_t, std::span<const View>, View, float*) const override;

 private:
  ExpertTasks tasks_;
  ExpertWeights gate_, up_;
  kernels::Activation activation_;
  ExpertClamp clamp_;
};

// output = weight of the choice * down product of each chosen expert  -> [rows, a place of d_model
// columns for each choice]. Inputs: what ExpertsUp has made, ExpertRows, and choices.
class ExpertsDown : public TaskOp {
 public:
  ExpertsDown(ExpertTasks tasks, ExpertWeights down) : tasks_(tasks), down_(std::move(down)) {}
  const char* name() const override { return "experts_down"; }
  double flops(const Run&, int64_t rows) const override;
  double weight_bytes(const kernels::Table& kernels) const override;
  double speed() const override { return kind_of(down_.front()->precision).speed; }
  int64_t n_tasks(const Run& run) const override;
  int64_t scratch_floats(const kernels::Table&, const Limits&) const override;
  void run_task(const Run&, int64_t, std::span<const View>, View, float*) const override;

 private:
  ExpertTasks tasks_;
  ExpertWeights down_;
};

// output = the sum of a row's places of d columns, and the shared expert's result, where there is
// one, times its weight. Inputs: what ExpertsDown has made, choices, and perhaps that result
//   -> [rows, d]
class AddExperts : public RowOp {
 public:
  AddExperts(int64_t d, int64_t n_chosen) : d_(d), n_chosen_(n_chosen) {}
  const char* name() const override { return "add_experts"; }
  void run_rows(const Run&, int64_t, int64_t, Slice, std::span<const View>, View) const override;

 private:
  int64_t d_, n_chosen_;
};

}  // namespace headlane
