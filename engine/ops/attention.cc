#include <type_traits>

#include "engine/ops/ops.h"

namespace headlane {
namespace {

// The spec of the tables that an op makes by itself.
AttentionSpec own_tables(AttentionSpec spec, bool shares_rotary) {
  if (shares_rotary) spec.rotary = {};
  return spec;
}

}  // namespace

Attention::Attention(const AttentionSpec& spec, const AttentionWeights& weights, Columns q,
                     Columns k, Columns v, int64_t layer, Sides sides, Element element,
                     std::shared_ptr<const Buffer> rotary)
    : spec_(spec),
      rotary_(std::move(rotary)),
      table_memory_(
          static_cast<size_t>(attention_table_floats(own_tables(spec, rotary_ != nullptr))) *
          sizeof(float)),
      tables_(fill_attention_tables(own_tables(spec, rotary_ != nullptr), weights,
                                    static_cast<float*>(table_memory_.data()))),
      q_(q),
      k_(k),
      v_(v),
      layer_(layer),
      sides_(sides),
      element_(element) {
  if (rotary_ != nullptr) tables_.rotary = static_cast<const float*>(rotary_->data());
}

AttentionSplit Attention::split(const Run& run) const {
  const auto split =
      element_ == Element::kBf16 ? split_attention<kernels::Bf16> : split_attention<float>;
  const bool one_of_each = sides_.q == Rows::kRead && run.read.tokens != nullptr;
  const int64_t longest = one_of_each ? 1 : sides_.q == Rows::kKv ? run.longest_kv : run.longest;
  return split(spec_, *run.kernels, run.n_seqs, longest, run.n_threads);
}

int64_t Attention::n_tasks(const Run& run) const { return split(run).n_tasks; }

int64_t Attention::scratch_floats(const kernels::Table& kernels, const Limits&) const {
  return element_ == Element::kBf16 ? attention_scratch_floats<kernels::Bf16>(spec_, kernels)
                                    : attention_scratch_floats<float>(spec_, kernels);
}

void Attention::run_task(const Run& run, int64_t task, std::span<const View> inputs, View output,
                         float* scratch) const {
  if (element_ == Element::kBf16) {
    run_on<kernels::Bf16>(run, task, inputs, output, scratch);
  } else {
    run_on<float>(run, task, inputs, output, scratch);
  }
}

template <typename T>
void Attention::run_on(const Run& run, int64_t task, std::span<const View> inputs, View output,
                       float* scratch) const {
  constexpr int64_t kPerFloat = std::is_same_v<T, float> ? 1 : 2;
  const auto heads_of = [&](Columns columns, int64_t dim) -> Heads<const T> {
    const View& view = inputs[columns.input];
    return {reinterpret_cast<const T*>(view.data) + columns.first, 0, view.ld * kPerFloat, dim};
  };
  AttentionBatch<T> batch;
  batch.n_seqs = run.n_seqs;
  batch.q_rows.offsets = run.offsets_of(sides_.q);
  batch.kv_rows.offsets = run.offsets_of(sides_.kv);
  if (sides_.q == Rows::kRead) batch.q_tokens = run.read.tokens;
  batch.q = heads_of(q_, spec_.head_dim);
  batch.k = heads_of(k_, spec_.head_dim);
  batch.v = heads_of(v_, spec_.v_dim);
  batch.o = {reinterpret_cast<T*>(output.data), 0, output.ld * kPerFloat, spec_.v_dim};
  batch.scores.q_rows = batch.q_rows;
  batch.scores.kv_rows = batch.kv_rows;
  if (run.scores && layer_ != kUnseen) batch.scores = *run.scores;
  AttentionMaps maps;
  if (run.maps && layer_ >= run.maps->first_layer &&
      layer_ - run.maps->first_layer < run.maps->n_layers) {
    maps = run.maps->maps;
    maps.p.data += (layer_ - run.maps->first_layer) * run.maps->layer_stride;
  }
  run_attention(spec_, tables_, *run.kernels, batch, split(run), task, maps, scratch);
}

}  // namespace headlane
