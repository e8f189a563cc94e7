#include "engine/generate/decoder.h"

#include <algorithm>

#include "engine/base/block_layout.h"
#include "engine/base/checked_option.h"
#include "engine/base/cpus.h"
#include "engine/base/error.h"

namespace headlane {
namespace {

using ll = long long;

const Graph& encoder_graph(const Model& model, const DecoderLimits& limits) {
  return model.graph(limits.encoder.precision, Part::kSources);
}

// Parts of a decoder's block, each at a multiple of 64 bytes.
struct DecoderParts {
  size_t encoder, stepper, positions, source_offsets, total;
};

DecoderParts divide(const Model& model, const DecoderLimits& limits) {
  BlockLayout block;
  DecoderParts parts;
  const bool encodes = model.config().has_encoder();
  const size_t encoder_bytes =
      encodes ? PlanRunner::bytes(encoder_graph(model, limits), model.kernels(), limits.encoder)
              : 0;
  parts.encoder = block.take(static_cast<int64_t>(encoder_bytes), 1);
  const StepModel steps = step_model(model, limits.step.run.precision, limits.cache);
  parts.stepper = block.take(Stepper::bytes(steps, limits.step), 1);
  parts.positions = block.take(encodes ? limits.encoder.max_tokens : 0, sizeof(int32_t));
  parts.source_offsets = block.take(encodes ? limits.encoder.max_seqs + 1 : 0, sizeof(int64_t));
  parts.total = block.bytes();
  return parts;
}

}  // namespace

kernels::Format default_cache_format(Precision precision) {
  return precision == Precision::kF32 ? kernels::Format::kF32 : kernels::Format::kBf16;
}

StepModel step_model(const Model& model, Precision precision, kernels::Format cache) {
  const ModelConfig& config = model.config();
  const Precision of_logits = product_precision(config, precision, kLogits, config.d_model);
  const int64_t vocab_size = config.decoder.vocab_size;
  return {.graph = &model.graph(precision, Part::kStep),
          .kernels = &model.kernels(),
          .n_layers = config.decoder.n_layers,
          .cache_row = cache_row(config.decoder, cache),
          .d_model = config.d_model,
          .vocab_size = vocab_size,
          .n_ranges = TopLogits::n_ranges(model.kernels(), of_logits, vocab_size)};
}

int64_t cache_token_bytes(const Model& model, kernels::Format cache) {
  if (!model.config().generates()) return 0;
  const StackConfig& decoder = model.config().decoder;
  if (!has_cache_format(decoder, cache)) return 0;
  const int64_t floats = cache_row(decoder, cache).floats;
  return decoder.n_layers * floats * static_cast<int64_t>(sizeof(float));
}

void check_generates(const Model& model) {
  if (!model.config().generates()) {
    fail(Status::kUnsupported, "%s: the model has no decoder", model.container().path().c_str());
  }
  // The vocabulary is computed some columns at a time.
  if (model.kernels().product(model.precision()).nr == kernels::Product::kAllColumns) {
    fail(Status::kUnsupported, "with products by %s a model encodes, but does not generate",
         model.kernels().gemm);
  }
}

DecoderLimits decoder_limits(const Model& model, const DecoderOptions& options) {
  constexpr int64_t kDefaultSources = 32, kDefaultTokens = 4096, kMost = int64_t{1} << 24,
                    kMostThreads = 1024, kMostCandidates = 4096;
  constexpr int64_t kRunTokens = 512;  // tokens of a prefix that go through the layers together
  check_generates(model);
  const ModelConfig& config = model.config();
  DecoderLimits limits;
  Limits& encoder = limits.encoder;
  encoder.precision = choose_precision(options.precision, model.kernels(), model.precision());
  limits.cache =
      choose_cache_format(config.decoder, options.cache, default_cache_format(encoder.precision));
  encoder.n_threads =
      checked_option("generator", "n_threads", options.n_threads, available_cpus(), kMostThreads);
  encoder.max_seqs =
      checked_option("generator", "max_sources", options.max_sources, kDefaultSources, kMost);
  encoder.max_len =
      checked_option("generator", "max_source_len", options.max_source_len,
                     config.first_stack().max_positions, config.first_stack().max_positions);
  encoder.max_tokens = checked_option("generator", "max_source_tokens", options.max_source_tokens,
                                      std::max(kDefaultTokens, encoder.max_len), int64_t{1} << 31);
  StepLimits& step = limits.step;
  step.max_len = checked_option("generator", "max_prefix + max_new_tokens", options.max_len,
                                config.decoder.max_positions, config.decoder.max_positions);
  step.max_candidates = checked_option("generator", "max_candidates", options.max_candidates, 1,
                                       std::min(kMostCandidates, config.decoder.vocab_size));
  step.all_logits = options.all_logits;
  const int64_t max_rows = checked_option("generator", "max_sources x max_beams", options.max_rows,
                                          encoder.max_seqs, kMost);
  step.max_new = std::max(max_rows, options.max_new);
  // Rows of the caches have 32-bit indices; beyond, no machine has the memory.
  if (step.max_new > INT32_MAX / 2 || max_rows > (INT32_MAX - step.max_new) / step.max_len) {
    fail(Status::kTooLarge, "%lld targets of %lld tokens at once are more than a generator takes",
         ll{max_rows}, ll{step.max_len});
  }
  step.run = encoder;
  step.run.max_seqs = max_rows;
  step.run.max_tokens = std::max(max_rows, std::min(step.max_new, kRunTokens));
  step.run.max_len = std::min(step.run.max_tokens, step.max_len);
  return limits;
}

size_t Decoder::bytes(const Model& model, const DecoderLimits& limits) {
  return divide(model, limits).total;
}

Decoder::Decoder(const Model& model, const DecoderLimits& limits, void* memory,
                 const CallerPool& pool)
    : model_(model),
      limits_(limits),
      team_(static_cast<int>(limits.encoder.n_threads), pool),
      stepper_(step_model(model, limits.step.run.precision, limits.cache), limits.step,
               static_cast<char*>(memory) + divide(model, limits).stepper, &team_) {
  model.require_weights();
  const DecoderParts parts = divide(model, limits);
  char* base = static_cast<char*>(memory);
  if (model.config().has_encoder()) {
    encoder_.emplace(encoder_graph(model, limits), model.kernels(), limits.encoder, &team_);
    encoder_->use(base + parts.encoder);
    for (int64_t i = 0; i < model.config().decoder.n_layers; ++i) {
      cross_.push_back(encoder_->kept(static_cast<size_t>(i)));
      cross_.back().format = default_cache_format(limits.encoder.precision);
    }
  }
  positions_ = reinterpret_cast<int32_t*>(base + parts.positions);
  source_offsets_ = reinterpret_cast<int64_t*>(base + parts.source_offsets);
  begin_steps(0);
}

void Decoder::begin_steps(int64_t n_sources) {
  n_sources_ = n_sources;
  stepper_.begin({cross_.empty() ? nullptr : cross_.data(), source_offsets_, n_sources});
}

void Decoder::check(const TokenBatch& sources) const {
  check_tokens(sources, model_.config(), limits_.encoder);
  for (int64_t i = 0; i < sources.n_seqs; ++i) {
    if (sources.offsets[i + 1] > sources.offsets[i]) continue;
    fail(Status::kInvalidArgument, "source %lld is empty", ll{i});
  }
}

void Decoder::encode(const TokenBatch& sources, float* hidden, const LayerMaps* maps) {
  check(sources);
  if (!encoder_) {
    if (hidden || maps) {
      fail(Status::kUnsupported,
           "hidden states or attention of the encoder are wanted, but the model has no encoder");
    }
    return begin_steps(sources.n_seqs);
  }
  Run run = run_of(sources, positions_);
  if (maps) check_maps(*maps, sources.n_seqs, run.longest, run.longest);
  run.kernels = &model_.kernels();
  run.maps = maps;
  begin_steps(0);
  std::copy_n(sources.offsets, sources.n_seqs + 1, source_offsets_);
  encoder_->run(run, {hidden, 0, model_.config().d_model}, nullptr);
  begin_steps(sources.n_seqs);
}

}  // namespace headlane
