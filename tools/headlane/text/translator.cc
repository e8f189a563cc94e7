#include "tools/headlane/text/translator.h"

#include <algorithm>
#include <numeric>

namespace tool {
namespace {

constexpr int64_t kBatchesPerWindow = 16;

headlane_early_stopping early_stopping(const std::string& name) {
  if (name == "heuristic") return HEADLANE_EARLY_STOPPING_HEURISTIC;
  if (name == "first") return HEADLANE_EARLY_STOPPING_FIRST;
  if (name == "never") return HEADLANE_EARLY_STOPPING_NEVER;
  return HEADLANE_EARLY_STOPPING_DEFAULT;
}

headlane::GenerateOptions options_of(const SearchChoice& search) {
  headlane::GenerateOptions options;
  options.n_beams = search.beams;
  options.n_best = search.n_best;
  if (search.length_penalty) {
    options.length_penalty =
        *search.length_penalty == 0 ? HEADLANE_NO_LENGTH_PENALTY : *search.length_penalty;
  }
  options.early_stopping = early_stopping(search.early_stopping);
  options.sample = search.sample ? 1 : 0;
  options.temperature = search.temperature;
  options.top_k = search.top_k;
  options.top_p = search.top_p;
  options.seed = search.seed;
  options.repetition_penalty = search.repetition_penalty;
  options.min_new_tokens = search.min_length;
  options.max_new_tokens = search.max_length;
  if (search.first_id) options.first_id = &*search.first_id;
  return options;
}

}  // namespace

Translator::Translator(const Model& model, const RunOptions& run, const SearchChoice& search,
                       int64_t max_len, int64_t batch, OnToken on_token, Emit emit)
    : model_(model),
      run_(run),
      search_(search),
      max_len_(max_len),
      batch_(on_token ? 1 : batch),
      batch_tokens_(std::min(std::max(run.batch_tokens, max_len), batch_ * max_len)),
      on_token_(std::move(on_token)),
      emit_(std::move(emit)) {}

// All of the largest window's needs; of the only window, where there is just one, no more than its
// own: memory grows with sources times beams.
void Translator::create_generator(int64_t n_sources, int64_t n_tokens) {
  headlane::GeneratorOptions options;
  options.max_sources = n_sources;
  options.max_source_tokens = n_tokens;
  options.max_source_len = std::min(max_len_, n_tokens);
  // More beams than answers can be told apart by are refused later, by the search.
  const int64_t beams = search_.sample ? 1 : search_.beams ? search_.beams : model_.facts().n_beams;
  options.max_beams = std::max(beams, search_.sample ? search_.n_best : 1);
  options.max_new_tokens = search_.max_length;
  options.all_logits = 1;  // room that only searches which need it ever touch
  options.n_threads = run_.n_threads;
  generator_.emplace(model_, options);
}

void Translator::add(Source source) {
  window_.push_back(std::move(source));
  if (std::ssize(window_) < (batch_ == 1 ? 1 : kBatchesPerWindow * batch_)) return;
  if (!generator_) create_generator(batch_, batch_tokens_);
  run_window();
}

void Translator::flush() {
  if (!generator_ && !window_.empty()) {
    int64_t longest = 1, tokens = 0;
    for (const Source& source : window_) {
      longest = std::max(longest, static_cast<int64_t>(source.ids.size()));
      tokens += static_cast<int64_t>(source.ids.size());
    }
    create_generator(std::min(batch_, std::ssize(window_)),
                     std::clamp(tokens, longest, std::max(batch_tokens_, longest)));
  }
  run_window();
}

void Translator::run_window() {
  const size_t n = window_.size();
  const auto length = [&](size_t i) { return static_cast<int64_t>(window_[i].ids.size()); };
  std::vector<size_t> order(n);
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return length(a) > length(b); });
  while (!order.empty() && length(order.back()) == 0) order.pop_back();
  answers_.assign(n, {});
  for (size_t first = 0; first < order.size();) {
    size_t last = first;
    for (int64_t tokens = 0; last < order.size() && last < first + static_cast<size_t>(batch_) &&
                             (last == first || tokens + length(order[last]) <= batch_tokens_);
         ++last) {
      tokens += length(order[last]);
    }
    run_batch(order.data() + first, last - first);
    first = last;
  }
  for (size_t i = 0; i < n; ++i) emit_(window_[i], answers_[i]);
  n_done_ += n;
  window_.clear();
}

void Translator::run_batch(const size_t* order, size_t n) {
  sources_.clear();
  keys_.clear();
  for (size_t i = 0; i < n; ++i) {
    sources_.add(window_[order[i]].ids);
    keys_.push_back(n_done_ + order[i]);
  }
  headlane::GenerateOptions options = options_of(search_);
  options.keys = keys_.data();
  if (on_token_) {
    generator_->generate(sources_, options, [&](int64_t, int32_t id, int64_t) { on_token_(id); });
  } else {
    generator_->generate(sources_, options);
  }
  for (size_t i = 0; i < n; ++i) {
    const auto source = static_cast<int64_t>(i);
    const int64_t n_answers = generator_->n_answers(source);
    for (int64_t rank = 0; rank < n_answers; ++rank) {
      const headlane::Answer answer = generator_->answer(source, rank);
      answers_[order[i]].push_back({{answer.ids.begin(), answer.ids.end()}, answer.score});
    }
  }
}

}  // namespace tool
