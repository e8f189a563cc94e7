// A model that generates, at work: sources are encoded once, where there is an encoder, then
// targets grow token by token. Which token comes next is not decided here
// (engine/generate/generator.h).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/generate/stepper.h"
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
  int64_t max_new = 0;   // tokens that one step adds; 0: one of each row
  int64_t max_candidates = 0;
  bool all_logits = false;
  int64_t n_threads = 0;
  std::string precision;  // as of choose_precision; "": the model's
  std::string cache;      // as of choose_cache_format; "": default_cache_format
};

struct DecoderLimits {
  Limits encoder;
  StepLimits step;
  kernels::Format cache = kernels::Format::kF32;  // of the targets' keys and values
};

// Throws Error(kUnsupported) unless the model has a decoder, and kernels for it.
void check_generates(const Model& model);
// Returns the format that keys and values have unless another one is asked for: the one that the
// attention of a step computes in.
kernels::Format default_cache_format(Precision precision);
// The steps of the model's decoder.
StepModel step_model(const Model& model, Precision precision, kernels::Format cache);
// The bytes that keys and values of one token take. 0: the model does not generate, or
// has no cache in that format.
int64_t cache_token_bytes(const Model& model, kernels::Format cache);
// The defaults filled in and every field checked against the model; throws Error.
DecoderLimits decoder_limits(const Model& model, const DecoderOptions& options);

class Decoder {
 public:
  static size_t bytes(const Model& model, const DecoderLimits& limits);

  // `memory`: bytes() of it, 64-byte aligned, which outlives the decoder.
  Decoder(const Model& model, const DecoderLimits& limits, void* memory, const CallerPool& pool);

  const Model& model() const { return model_; }
  const DecoderLimits& limits() const { return limits_; }
  int64_t n_sources() const { return n_sources_; }
  void set_cancelled(bool cancelled) { team_.set_cancelled(cancelled); }
  Profile* encoder_profile() { return encoder_ ? &encoder_->profile() : nullptr; }
  Profile& step_profile() { return stepper_.profile(); }

  // Throws Error unless encode would take them.
  void check(const TokenBatch& sources) const;
  // Throws Error before anything changes, except Error(kCancelled), after which there are no
  // sources. `maps` and `hidden` may be null. A language model only counts the sources: they are
  // what its targets begin with, by a step.
  void encode(const TokenBatch& sources, float* hidden, const LayerMaps* maps);
  // As the stepper has them.
  void step(const StepBatch& batch) { stepper_.step(batch); }
  RowScores next(int64_t row) const { return stepper_.next(row); }
  int64_t length(int64_t row) const { return stepper_.length(row); }

 private:
  void begin_steps(int64_t n_sources);

  const Model& model_;
  DecoderLimits limits_;
  Team team_;
  std::optional<PlanRunner> encoder_;  // none in a language model
  Stepper stepper_;
  int64_t n_sources_ = 0;
  std::vector<KeyRows> cross_;         // [n_layers], or none without an encoder
  int32_t* positions_ = nullptr;       // [max_source_tokens]
  int64_t* source_offsets_ = nullptr;  // [max_sources + 1]
};

}  // namespace headlane
