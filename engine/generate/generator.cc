#include "engine/generate/generator.h"

#include <algorithm>
#include <new>

#include "engine/base/block_layout.h"
#include "engine/base/checked_option.h"
#include "engine/base/error.h"

namespace headlane {
namespace {

using ll = long long;

// A generator's block has these parts, each at a multiple of 64 bytes.
struct GeneratorParts {
  size_t decoder, search, sources, scores, ids, offsets, rooms, row_sources, parents, masked, told,
      answers, total;
};

// Tokens that answers are begun with: a language model's sources, or what the caller asks for.
int64_t max_prefix_of(const ModelConfig& config, const GeneratorOptions& options) {
  constexpr int64_t kDefaultPrompt = 2048;
  const int64_t most = config.decoder.max_positions - 1;
  if (!config.is_language_model()) {
    return checked_option("generator", "max_prefix", options.max_prefix, 0, most);
  }
  if (options.max_prefix != 0) {
    fail(Status::kInvalidArgument,
         "generator option max_prefix is %lld; a language model's answers go on from its sources, "
         "so it must be 0, and max_source_len says how long those may be",
         ll{options.max_prefix});
  }
  return checked_option("generator", "max_source_len", options.max_source_len,
                        std::min(kDefaultPrompt, std::max<int64_t>(most / 2, 1)), most);
}

// The most tokens of a step: one of each row, or the prompts of all sources.
int64_t max_new(const ModelConfig& config, const SearchLimits& search, int64_t max_source_tokens) {
  const int64_t of_prompts =
      config.is_language_model()
          ? std::min(search.max_sources * search.max_prefix, max_source_tokens)
          : search.max_sources * (1 + search.max_prefix);
  return std::max(search.max_sources * search.max_beams, of_prompts);
}

GeneratorParts divide(const Model& model, const GeneratorLimits& limits) {
  const int64_t sources = limits.search.max_sources;
  const int64_t rows = sources * limits.search.max_beams;
  BlockLayout block;
  GeneratorParts parts;
  parts.decoder = block.take(static_cast<int64_t>(Decoder::bytes(model, limits.decoder)), 1);
  parts.search = block.take(static_cast<int64_t>(Search::bytes(limits.search)), 1);
  parts.sources = block.take(sources, sizeof(SearchSource));
  parts.scores = block.take(rows, sizeof(RowScores));
  parts.ids = block.take(limits.decoder.step.max_new, sizeof(int32_t));
  parts.offsets = block.take(rows + 1, sizeof(int64_t));
  parts.rooms = block.take(rows, sizeof(int64_t));
  parts.row_sources = block.take(rows, sizeof(int32_t));
  parts.parents = block.take(rows, sizeof(int32_t));
  parts.masked = block.take(rows, sizeof(std::span<const int32_t>));
  parts.told = block.take(sources, sizeof(int32_t));
  parts.answers = block.take(rows * limits.search.max_len, sizeof(int32_t));
  parts.total = block.bytes();
  return parts;
}

}  // namespace

GeneratorLimits generator_limits(const Model& model, const GeneratorOptions& options) {
  constexpr int64_t kDefaultSources = 32, kMostSources = int64_t{1} << 20, kMoreCandidates = 64,
                    kDefaultSourceTokens = 4096;
  check_generates(model);
  const ModelConfig& config = model.config();
  const GenerationDefaults& generation = config.generation;
  GeneratorLimits limits;
  SearchLimits& search = limits.search;
  search.vocab_size = config.decoder.vocab_size;
  search.max_sources = checked_option("generator", "max_sources", options.max_sources,
                                      kDefaultSources, kMostSources);
  search.max_beams = checked_option("generator", "max_beams", options.max_beams,
                                    std::max<int64_t>(generation.n_beams, 1), search.vocab_size);
  const int64_t max_len = config.decoder.max_positions;
  search.max_prefix = max_prefix_of(config, options);
  search.all_logits = options.all_logits;
  // A long prompt and a long answer need not be of the same sequence.
  const int64_t room = max_len - (config.is_language_model() ? 1 : search.max_prefix);
  limits.max_new_tokens = checked_option("generator", "max_new_tokens", options.max_new_tokens,
                                         std::min(generation.max_new_tokens, room), room);
  search.max_len = std::min(search.max_prefix + limits.max_new_tokens, max_len);
  const auto n_special =
      static_cast<int64_t>(generation.end_ids.size() + generation.suppressed_ids.size());
  const int64_t candidates = std::min(search.max_beams + n_special + kMoreCandidates,
                                      std::min(search.vocab_size, int64_t{4096}));
  search.max_candidates = options.max_candidates ? options.max_candidates : candidates;
  // A language model's step takes all prompts at once, so its size follows from theirs.
  const int64_t source_tokens = options.max_source_tokens != 0 || !config.is_language_model()
                                    ? options.max_source_tokens
                                    : std::max(kDefaultSourceTokens, search.max_prefix);
  limits.decoder = decoder_limits(
      model,
      {.max_sources = search.max_sources,
       .max_source_tokens = source_tokens,
       .max_source_len = config.is_language_model() ? search.max_prefix : options.max_source_len,
       .max_rows = search.max_sources * search.max_beams,
       .max_len = search.max_len,
       .max_new = max_new(config, search, source_tokens),
       .max_candidates = search.max_candidates,
       .all_logits = options.all_logits,
       .n_threads = options.n_threads,
       .precision = options.precision,
       .cache = options.cache});
  return limits;
}

SearchOptions default_search(const ModelConfig& config, const GeneratorLimits& limits) {
  const GenerationDefaults& generation = config.generation;
  SearchOptions options;
  options.n_beams = std::min(generation.n_beams, limits.search.max_beams);
  options.length_penalty = generation.length_penalty;
  options.early_stopping = generation.early_stopping;
  options.repetition_penalty = generation.repetition_penalty;
  options.renormalize = generation.renormalize;
  options.max_new_tokens = std::min(generation.max_new_tokens, limits.max_new_tokens);
  options.min_new_tokens = std::min(generation.min_new_tokens, options.max_new_tokens);
  options.start_id = generation.start_id;
  options.end_ids = generation.end_ids;
  options.forced_first_id = generation.forced_first_id;
  options.forced_last_id = generation.forced_last_id;
  options.suppressed_ids = generation.suppressed_ids;
  return options;
}

size_t Generator::bytes(const Model& model, const GeneratorLimits& limits) {
  return divide(model, limits).total;
}

Generator::Generator(const Model& model, const GeneratorLimits& limits, void* memory,
                     const CallerPool& pool)
    : Generator(model, limits, memory ? Buffer() : Buffer(bytes(model, limits)), memory, pool) {}

Generator::Generator(const Model& model, const GeneratorLimits& limits, Buffer own, void* memory,
                     const CallerPool& pool)
    : limits_(limits),
      own_memory_(std::move(own)),
      decoder_(model, limits.decoder, memory ? memory : own_memory_.data(), pool),
      search_(limits.search, static_cast<char*>(memory ? memory : own_memory_.data()) +
                                 divide(model, limits).search) {
  const GeneratorParts parts = divide(model, limits);
  char* base = static_cast<char*>(memory ? memory : own_memory_.data());
  const auto ints = [&](size_t offset) { return reinterpret_cast<int32_t*>(base + offset); };
  const auto sources = static_cast<size_t>(limits.search.max_sources);
  sources_ = new (base + parts.sources) SearchSource[sources];
  const size_t rows = sources * static_cast<size_t>(limits.search.max_beams);
  scores_ = new (base + parts.scores) RowScores[rows];
  masked_ = new (base + parts.masked) std::span<const int32_t>[rows];
  ids_ = ints(parts.ids);
  offsets_ = reinterpret_cast<int64_t*>(base + parts.offsets);
  rooms_ = reinterpret_cast<int64_t*>(base + parts.rooms);
  row_sources_ = ints(parts.row_sources);
  parents_ = ints(parts.parents);
  told_ = ints(parts.told);
  answers_ = ints(parts.answers);
}

std::span<const SearchSource> Generator::read_sources(const Request& request) {
  const int64_t n = request.sources.n_seqs;
  const bool prompted = model().config().is_language_model();
  if (prompted && request.prefix_offsets) {
    fail(Status::kInvalidArgument,
         "prefix_offsets is set; a language model's answers go on from its sources, so it must be "
         "null");
  }
  const int64_t* offsets = prompted ? request.sources.offsets : request.prefix_offsets;
  const int32_t* ids = prompted ? request.sources.ids : request.prefix_ids;
  if (offsets && offsets[0] != 0) {
    fail(Status::kInvalidArgument, "prefix_offsets[0] is %lld, not 0", ll{offsets[0]});
  }
  for (int64_t i = 0; i < n; ++i) {
    sources_[i] = {};
    sources_[i].key = request.keys ? request.keys[i] : static_cast<uint64_t>(i);
    told_[i] = 0;
    if (offsets == nullptr) continue;
    if (offsets[i + 1] < offsets[i] || offsets[i + 1] - offsets[i] > limits_.search.max_prefix) {
      fail(offsets[i + 1] < offsets[i] ? Status::kInvalidArgument : Status::kTooLarge,
           "prefix_offsets[%lld] is %lld after %lld; a prefix has at most %lld tokens", ll{i + 1},
           ll{offsets[i + 1]}, ll{offsets[i]}, ll{limits_.search.max_prefix});
    }
    sources_[i].prefix = {ids + offsets[i], static_cast<size_t>(offsets[i + 1] - offsets[i])};
  }
  return {sources_, static_cast<size_t>(n)};
}

void Generator::generate(const Request& request) {
  n_sources_ = 0;
  decoder_.check(request.sources);
  search_.begin(request.search, read_sources(request),
                request.fill_mask ? &request.fill_mask : nullptr);
  decoder_.encode(request.sources, nullptr, nullptr);
  while (!search_.done()) {
    step();
    if (request.on_token) tell(request);
  }
  keep_answers(request.sources.n_seqs);
  n_sources_ = request.sources.n_seqs;  // not before: what a callback throws leaves no answers
}

void Generator::step() {
  const std::span<const StepRow> rows = search_.rows();
  const bool begins = search_.n_new() == 0;
  bool scored = false, masks = false;
  offsets_[0] = 0;
  for (size_t r = 0; r < rows.size(); ++r) {
    const std::span<const int32_t> ids =
        begins ? search_.prompt(rows[r].source) : std::span(&rows[r].token, 1);
    std::ranges::copy(ids, ids_ + offsets_[r]);
    offsets_[r + 1] = offsets_[r] + std::ssize(ids);
    row_sources_[r] = rows[r].source;
    rooms_[r] = search_.room(rows[r].source);
    parents_[r] = rows[r].parent;
    scored = scored || rows[r].scored;
    masked_[r] = search_.masked_ids();
    masks = masks || !masked_[r].empty();
  }
  StepBatch batch;
  batch.n_rows = static_cast<int64_t>(rows.size());
  batch.offsets = offsets_;
  batch.ids = ids_;
  batch.sources = row_sources_;
  batch.rooms = rooms_;
  batch.parents = parents_;
  batch.all_logits = scored && search_.wants_all_logits();
  batch.k = !scored ? 0 : batch.all_logits ? 1 : search_.candidates_needed();
  batch.masked = masks ? masked_ : nullptr;
  decoder_.step(batch);
  for (size_t r = 0; scored && r < rows.size(); ++r) {
    scores_[r] = decoder_.next(static_cast<int64_t>(r));
  }
  search_.advance({scores_, rows.size()});
}

// Tells of the token that each source has got: that of its best row, or of its best answer where it
// has ended.
void Generator::tell(const Request& request) {
  const int64_t n_sources = request.sources.n_seqs;
  const auto one = [&](int64_t source, int32_t id) {
    const Next next = request.on_token(request.user, source, id, ++told_[source]);
    if (next == Next::kGoOn) return;
    for (int64_t i = 0; i < n_sources; ++i) {
      if (i != source && next != Next::kStopAll) continue;
      if (told_[i] >= 0) search_.stop(i);
      told_[i] = -1;
    }
  };
  // Rows change when a source is stopped, so each is looked for anew.
  for (int64_t source = 0; source < n_sources; ++source) {
    if (told_[source] < 0) continue;
    const int64_t prefix = static_cast<int64_t>(sources_[source].prefix.size());
    const std::span<const StepRow> rows = search_.rows();
    const auto row = std::find_if(rows.begin(), rows.end(),
                                  [&](const StepRow& r) { return r.source == source; });
    if (row != rows.end()) {
      one(source, row->token);
      continue;
    }
    const Hypothesis best = search_.hypothesis(source, 0);
    search_.copy_tokens(source, 0, answers_);
    const bool is_told = best.length <= prefix + told_[source];
    if (!is_told) one(source, answers_[best.length - 1]);
    told_[source] = -1;
  }
}

void Generator::keep_answers(int64_t n_sources) {
  for (int64_t source = 0; source < n_sources; ++source) {
    for (int64_t rank = 0; rank < search_.n_hypotheses(source); ++rank) {
      search_.copy_tokens(
          source, rank,
          answers_ + (source * limits_.search.max_beams + rank) * limits_.search.max_len);
    }
  }
}

Answer Generator::answer(int64_t source, int64_t rank) const {
  const Hypothesis hypothesis = search_.hypothesis(source, rank);
  const int32_t* ids =
      answers_ + (source * limits_.search.max_beams + rank) * limits_.search.max_len;
  const std::span<const int32_t> all(ids, static_cast<size_t>(hypothesis.length));
  // A language model's prompt is the caller's already.
  const bool prompted = model().config().is_language_model();
  return {prompted ? all.subspan(sources_[source].prefix.size()) : all, hypothesis.score,
          hypothesis.finish};
}

}  // namespace headlane
