// An encoder-decoder at work: sources are encoded once, then targets grow token by token. Which
// token comes next is not decided here (engine/generate/generator.h).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "engine/generate/row_scores.h"
#include "engine/model/model.h"
#include "engine/run/plan_runner.h"
#include "engine/run/token_batch.h"

namespace headlane {

struct DecoderOptions {
  int64_t max_sources = 0;        // 0: as headlane.h says
  int64_t max_source_tokens = 0;  // of all sources together
  int64_t max_source_len = 0;
  int64_t max_rows = 0;  // targets that grow at once
  int64_t max_len = 0;   // tokens of a target, the first included
  int64_t max_candidates = 0;
  bool all_logits = false;
  int64_t n_threads = 0;
  std::string precision;  // as of choose_precision; "": the model's
};

struct DecoderLimits {
  Limits encoder, step;
  int64_t max_len = 0;
  int64_t max_candidates = 0;
  bool all_logits = false;
};

// Throws Error(kUnsupported) unless the model has a decoder, and kernels for it.
void check_generates(const Model& model);
// The defaults filled in and every field checked against the model; throws Error.
DecoderLimits decoder_limits(const Model& model, const DecoderOptions& options);

// One more token of each of some targets.
struct StepBatch {
  int64_t n_rows = 0;
  const int32_t* ids = nullptr;      // [n_rows], the tokens
  const int32_t* sources = nullptr;  // [n_rows], of the batch that was encoded
  // [n_rows]: the row of the last step that this one goes on from; -1: it begins. Null: row by row;
  // all begin where there was no step.
  const int32_t* parents = nullptr;
  int64_t k = 0;            // how many of the best next tokens to name, up to max_candidates
  bool all_logits = false;  // whether all logits are wanted
  const std::span<const int32_t>* masked = nullptr;  // as of LogitsTarget
  float* hidden = nullptr;  // [n_rows, d_model], last hidden states; null: not wanted
  // Of row r, query i is its position and "sequence" is r. Null: not wanted.
  const LayerMaps *self_maps = nullptr, *cross_maps = nullptr;
};

class Decoder {
 public:
  static size_t bytes(const Model& model, const DecoderLimits& limits);

  // `memory`: bytes() of it, 64-byte aligned, which outlives the decoder.
  Decoder(const Model& model, const DecoderLimits& limits, void* memory, const CallerPool& pool);

  const Model& model() const { return model_; }
  const DecoderLimits& limits() const { return limits_; }
  int64_t n_sources() const { return n_sources_; }
  void set_cancelled(bool cancelled) { team_.set_cancelled(cancelled); }
  Profile& encoder_profile() { return encoder_.profile(); }
  Profile& step_profile() { return step_.profile(); }

  // Throws Error unless encode would take them.
  void check(const TokenBatch& sources) const;
  // Both throw Error before anything changes, but Error(kCancelled): after it of encode there are
  // no sources, and a step may be taken again. `maps` and `hidden` may be null.
  void encode(const TokenBatch& sources, float* hidden, const LayerMaps* maps);
  void step(const StepBatch& batch);
  // What the last step makes of a row, valid until the next one. Of logits that are no numbers, the
  // last of the best have the id -1.
  RowScores next(int64_t row) const;
  // Tokens of a row of the last step, before its next one.
  int64_t length(int64_t row) const { return rows_[now_].positions[row] + 1; }

 private:
  // The targets of one step: what each was made of.
  struct Targets {
    int64_t n = 0;
    int32_t* positions = nullptr;  // [max_rows]
    int32_t* sources = nullptr;    // [max_rows]
    int32_t* history = nullptr;    // [max_rows, max_len] rows of the caches
  };
  void check(const StepBatch& batch) const;
  int32_t parent_of(const StepBatch& batch, int64_t row) const;
  void grow(const StepBatch& batch);
  void choose(int64_t row);

  const Model& model_;
  DecoderLimits limits_;
  int64_t vocab_size_, n_ranges_;
  Team team_;
  PlanRunner encoder_, step_;
  int64_t n_sources_ = 0, n_steps_ = 0;
  int64_t k_ = 0;  // of the last step
  bool has_all_ = false;
  std::vector<KeyRows> self_, cross_;  // [n_layers]
  Targets rows_[2];
  int now_ = 0;                             // which of the two the last step made
  int32_t* positions_ = nullptr;            // [max_source_tokens]
  int64_t* source_offsets_ = nullptr;       // [max_sources + 1]
  kernels::TopK* top_ = nullptr;            // [max_rows, n_ranges]
  kernels::Candidate* best_ = nullptr;      // [max_rows, n_ranges, max_candidates]
  kernels::TopK* row_top_ = nullptr;        // [max_rows]
  kernels::Candidate* row_best_ = nullptr;  // [max_rows, max_candidates]
  float* all_ = nullptr;                    // [max_rows, vocab_size], where all_logits
};

}  // namespace headlane
