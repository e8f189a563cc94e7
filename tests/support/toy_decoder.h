// The decoder of tests/golden/search/make.py, whose logits are a hash of what it has been given,
// and a search around it.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <functional>
#include <limits>
#include <nlohmann/json.hpp>
#include <ostream>
#include <stdexcept>
#include <string>
#include <vector>

#include "engine/generate/search.h"

namespace headlane::test {

struct ToySource {
  uint64_t seed = 0;
  std::vector<int32_t> prefix = {};
  uint64_t key = 0;  // of its random numbers
};

struct ToyCase {
  int64_t vocab_size = 0;
  float end_bonus = 0;
  std::vector<int32_t> end_ids, suppressed_ids;
  SearchOptions options;  // but for its spans
  std::vector<ToySource> sources;
};

struct ToyAnswer {
  std::vector<int32_t> tokens;
  float score = 0;
  bool operator==(const ToyAnswer&) const = default;
};
inline std::ostream& operator<<(std::ostream& out, const ToyAnswer& answer) {
  for (const int32_t token : answer.tokens) out << token << " ";
  return out << ": " << answer.score;
}
using ToyAnswers = std::vector<std::vector<ToyAnswer>>;  // of each source

inline nlohmann::json toy_json(const std::string& file) {
  std::ifstream in(std::string(HEADLANE_GOLDEN_DIR) + "/search/" + file);
  return nlohmann::json::parse(in);
}

inline EarlyStopping toy_early_stopping(const std::string& name) {
  if (name == "heuristic") return EarlyStopping::kHeuristic;
  if (name == "first") return EarlyStopping::kFirst;
  if (name == "never") return EarlyStopping::kNever;
  throw std::runtime_error(name);
}

inline ToyCase toy_case(const nlohmann::json& json) {
  ToyCase toy = {.vocab_size = json.at("vocab_size"),
                 .end_bonus = json.at("end_bonus"),
                 .end_ids = json.at("end_ids"),
                 .suppressed_ids = json.at("suppressed_ids"),
                 .options = {},
                 .sources = {}};
  SearchOptions& options = toy.options;
  options.n_beams = json.at("n_beams");
  options.n_best = json.at("n_best");
  options.length_penalty = json.at("length_penalty");
  options.early_stopping = toy_early_stopping(json.at("early_stopping"));
  options.sample = json.at("sample");
  options.temperature = json.value("temperature", 1.0f);
  options.top_k = json.value("top_k", int64_t{0});
  options.top_p = json.value("top_p", 1.0f);
  options.min_p = json.value("min_p", 0.0f);
  options.repetition_penalty = json.at("repetition_penalty");
  options.renormalize = json.at("renormalize");
  options.min_new_tokens = json.at("min_new_tokens");
  options.max_new_tokens = json.at("max_new_tokens");
  options.start_id = json.at("start_id");
  options.forced_first_id = json.at("forced_first_id");
  options.forced_last_id = json.at("forced_last_id");
  for (const nlohmann::json& source : json.at("sources")) {
    toy.sources.push_back({.seed = source.at("seed"), .prefix = source.at("prefix")});
  }
  return toy;
}

inline uint64_t toy_mix(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
  return x ^ (x >> 31);
}

// After `tokens`, the start among them.
inline std::vector<float> toy_logits(const ToyCase& toy, uint64_t seed,
                                     const std::vector<int32_t>& tokens) {
  constexpr uint64_t kStep = 0x9E3779B97F4A7C15;
  const uint64_t before = tokens.size() > 1 ? tokens[tokens.size() - 2] : 0;
  uint64_t h = seed;
  for (const uint64_t part : {uint64_t{tokens.size()}, before, uint64_t(tokens.back())}) {
    h = toy_mix(h + kStep + part);
  }
  std::vector<float> logits(toy.vocab_size);
  for (int64_t id = 0; id < toy.vocab_size; ++id) {
    const uint64_t bits = toy_mix(h + kStep + static_cast<uint64_t>(id)) >> 40;
    logits[id] = std::ldexp(static_cast<float>(bits), -21) - 4;
  }
  for (const int32_t id : toy.end_ids) logits[id] += toy.end_bonus;
  return logits;
}

// The answer of the kernel top_k_f32 for a row.
inline kernels::TopK toy_top(const std::vector<float>& logits) {
  const float largest = *std::ranges::max_element(logits);
  double sum = 0;
  for (const float logit : logits) sum += std::exp(double{logit} - largest);
  return {.largest = largest, .sum = static_cast<float>(sum)};
}

inline std::vector<Candidate> toy_best(const std::vector<float>& logits, int64_t n) {
  std::vector<Candidate> all(logits.size());
  for (size_t id = 0; id < logits.size(); ++id) {
    all[id] = {.logit = logits[id], .id = static_cast<int32_t>(id)};
  }
  std::ranges::sort(all, [](const Candidate& a, const Candidate& b) { return is_better(a, b); });
  all.resize(n);
  return all;
}

// Runs a search, one step at a time, in memory of its own that is exactly as large as it says.
class ToySearch {
 public:
  ToySearch(const ToyCase& toy, SearchLimits limits, bool give_all_logits = false)
      : toy_(toy),
        give_all_logits_(give_all_logits),
        bytes_(Search::bytes(limits)),
        memory_((bytes_ + 63) / 64 + 1),
        search_(limits, memory_.data()) {
    std::memset(end(), kCanary, 64);
    begin();
  }

  void begin() {
    std::vector<SearchSource> sources;
    for (const ToySource& source : toy_.sources) {
      sources.push_back({.key = source.key, .prefix = source.prefix});
    }
    SearchOptions options = toy_.options;
    options.end_ids = toy_.end_ids;
    options.suppressed_ids = toy_.suppressed_ids;
    search_.begin(options, sources);
  }

  Search& search() { return search_; }
  int64_t n_rows_scored() const { return n_rows_scored_; }

  void step() {
    std::vector<std::vector<int32_t>> histories;
    std::vector<std::vector<float>> logits;
    std::vector<std::vector<Candidate>> best;
    std::vector<RowScores> scores;
    for (const StepRow& row : search_.rows()) {
      const auto masked = search_.masked_ids();
      if (row.parent < 0) {
        const auto prompt = search_.prompt(row.source);
        histories.emplace_back(prompt.begin(), prompt.end());
      } else {
        histories.push_back(histories_.at(row.parent));
        histories.back().push_back(row.token);
      }
      scores.emplace_back();
      if (!row.scored) continue;
      ++n_rows_scored_;
      logits.push_back(toy_logits(toy_, toy_.sources.at(row.source).seed, histories.back()));
      if (change_logits) change_logits(row, logits.back());
      std::vector<float> visible = logits.back();
      for (const int32_t id : masked) visible[id] = -std::numeric_limits<float>::infinity();
      best.push_back(toy_best(visible, search_.candidates_needed()));
      scores.back() = {.best = best.back(), .top = toy_top(visible), .all = nullptr};
      if (give_all_logits_ || search_.wants_all_logits()) scores.back().all = logits.back().data();
    }
    histories_ = std::move(histories);
    search_.advance(scores);
  }

  ToyAnswers finish() {
    while (!search_.done()) step();
    return answers();
  }

  ToyAnswers answers() const {
    ToyAnswers answers(toy_.sources.size());
    for (size_t source = 0; source < answers.size(); ++source) {
      for (int64_t rank = 0; rank < search_.n_hypotheses(source); ++rank) {
        const Hypothesis hypothesis = search_.hypothesis(source, rank);
        std::vector<int32_t> tokens(hypothesis.length);
        search_.copy_tokens(source, rank, tokens.data());
        answers[source].push_back({.tokens = std::move(tokens), .score = hypothesis.score});
      }
    }
    return answers;
  }

  bool is_memory_whole() {
    return std::all_of(end(), end() + 64, [](unsigned char c) { return c == kCanary; });
  }

  // Called on each row's logits, if set.
  std::function<void(const StepRow& row, std::vector<float>& logits)> change_logits;

 private:
  static constexpr unsigned char kCanary = 0xA5;
  struct alignas(64) Line {
    unsigned char bytes[64];
  };
  unsigned char* end() { return reinterpret_cast<unsigned char*>(memory_.data()) + bytes_; }

  const ToyCase& toy_;
  bool give_all_logits_;
  size_t bytes_;
  std::vector<Line> memory_;
  Search search_;
  std::vector<std::vector<int32_t>> histories_;  // of the rows of the step before
  int64_t n_rows_scored_ = 0;
};

// No larger than the case needs.
inline SearchLimits toy_limits(const ToyCase& toy) {
  const SearchOptions& options = toy.options;
  SearchLimits limits = {
      .vocab_size = toy.vocab_size,
      .max_sources = std::ssize(toy.sources),
      .max_beams = std::max(options.n_beams, options.n_best),
      .max_prefix = 0,
      .max_len = options.max_new_tokens,
      .max_candidates = 256,
      .all_logits = options.repetition_penalty != 1 ||
                    (options.sample && (options.top_k == 0 || options.top_k >= toy.vocab_size))};
  for (const ToySource& source : toy.sources) {
    limits.max_prefix = std::max<int64_t>(limits.max_prefix, std::ssize(source.prefix));
  }
  limits.max_len += limits.max_prefix;
  return limits;
}

inline ToyAnswers toy_answers(const ToyCase& toy, bool give_all_logits = false) {
  return ToySearch(toy, toy_limits(toy), give_all_logits).finish();
}

}  // namespace headlane::test
