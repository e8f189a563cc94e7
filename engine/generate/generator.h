// Answers to sources: the decoder's steps, and the search that says which tokens they take.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "engine/base/buffer.h"
#include "engine/generate/decoder.h"
#include "engine/generate/search.h"

namespace headlane {

struct GeneratorOptions {
  int64_t max_sources = 0;  // 0: as headlane.h says
  int64_t max_source_tokens = 0;
  int64_t max_source_len = 0;
  int64_t max_beams = 0;
  int64_t max_new_tokens = 0;
  int64_t max_prefix = 0;
  int64_t max_candidates = 0;
  bool all_logits = false;
  int64_t n_threads = 0;
  std::string precision;
  std::string cache;  // as of DecoderOptions
};

struct GeneratorLimits {
  DecoderLimits decoder;
  SearchLimits search;
  int64_t max_new_tokens = 0;  // of an answer
};

// The defaults filled in and every field checked against the model; throws Error.
GeneratorLimits generator_limits(const Model& model, const GeneratorOptions& options);

// The model's own way to search; max_new_tokens no more than the limits have room for.
SearchOptions default_search(const ModelConfig& config, const GeneratorLimits& limits);

using OnToken = Next (*)(void* user, int64_t source, int32_t id, int64_t n_tokens);

struct Request {
  TokenBatch sources;
  const int64_t* prefix_offsets = nullptr;  // [n_seqs + 1]; null: no prefixes
  const int32_t* prefix_ids = nullptr;      // [prefix_offsets[n_seqs]]
  const uint64_t* keys = nullptr;           // [n_seqs], of random numbers; null: 0, 1, ...
  SearchOptions search;
  FillMask fill_mask;  // says which tokens may come, by the number of a source; null: nobody does
  OnToken on_token = nullptr;
  void* user = nullptr;
};

struct Answer {
  // The prefix, if there was one, and what came after it; of a language model what came alone.
  std::span<const int32_t> ids;
  float score = 0;
  Finish finish = Finish::kStop;
};

class Generator {
 public:
  static size_t bytes(const Model& model, const GeneratorLimits& limits);

  // `memory`: bytes() of it, 64-byte aligned, or null: the generator takes its own.
  Generator(const Model& model, const GeneratorLimits& limits, void* memory,
            const CallerPool& pool);
  Generator(const Generator&) = delete;
  Generator& operator=(const Generator&) = delete;

  const Model& model() const { return decoder_.model(); }
  const GeneratorLimits& limits() const { return limits_; }
  Decoder& decoder() { return decoder_; }
  // For steps of the caller's own; there are no answers then.
  void encode(const TokenBatch& sources, float* hidden, const LayerMaps* maps) {
    n_sources_ = 0;
    decoder_.encode(sources, hidden, maps);
  }

  // Throws Error before anything is computed. Allocates nothing.
  void generate(const Request& request);
  // The answers of the last request to a source, best first. They are valid until the next request.
  int64_t n_answers(int64_t source) const { return search_.n_hypotheses(source); }
  int64_t n_sources() const { return n_sources_; }
  Answer answer(int64_t source, int64_t rank) const;

 private:
  Generator(const Model& model, const GeneratorLimits& limits, Buffer own, void* memory,
            const CallerPool& pool);
  std::span<const SearchSource> read_sources(const Request& request);
  void step();
  void tell(const Request& request);
  void keep_answers(int64_t n_sources);

  GeneratorLimits limits_;
  Buffer own_memory_;
  Decoder decoder_;
  Search search_;
  int64_t n_sources_ = 0;
  SearchSource* sources_ = nullptr;  // [max_sources]
  RowScores* scores_ = nullptr;      // [max_rows]
  int32_t* ids_ = nullptr;      // of a step: a token of each row, or the prompts of all sources
  int64_t* offsets_ = nullptr;  // [max_rows + 1] of ids_
  int64_t* rooms_ = nullptr;    // [max_rows], as of StepBatch
  int32_t *row_sources_ = nullptr, *parents_ = nullptr;  // [max_rows]
  std::span<const int32_t>* masked_ = nullptr;           // [max_rows]
  int32_t* told_ = nullptr;     // [max_sources], tokens told of each; -1: it has ended
  int32_t* answers_ = nullptr;  // [max_sources, max_beams, max_len]
};

}  // namespace headlane
