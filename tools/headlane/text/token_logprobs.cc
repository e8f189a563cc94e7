#include "tools/headlane/text/token_logprobs.h"

#include <algorithm>

namespace tool {
namespace {

struct Places {
  std::vector<float> logprobs;
  std::vector<int32_t> top_ids;  // [places, n_top], -1: no more
  std::vector<float> top_logprobs;
};

// All tokens go through the model once more, as a prompt: that gives the same bits as one by one.
Places compute(const Model& model, const std::vector<int32_t>& all, int64_t first, int64_t n_top,
               const RunOptions& run) {
  headlane::SequencesOptions limits;
  limits.max_sequences = 1;
  limits.max_len = std::ssize(all);
  limits.max_tokens = limits.max_len;
  limits.max_candidates = n_top;
  limits.n_threads = run.n_threads;
  limits.cache = run.cache_or_null();
  headlane::Sequences sequences(model, limits);
  headlane::SequenceOptions options;
  options.max_new_tokens = HEADLANE_NO_NEW_TOKENS;
  options.prompt_logprobs = 1;
  options.n_top = n_top;
  const int64_t sequence = sequences.add(all, options);
  while (sequences.step() > 0) {
  }
  const headlane::SequenceFacts facts = sequences.facts(sequence);
  if (facts.status != HEADLANE_OK) throw std::runtime_error(facts.message);
  const int64_t n = std::ssize(all) - first;
  Places places;
  places.logprobs.resize(static_cast<size_t>(n));
  places.top_ids.resize(static_cast<size_t>(n * n_top));
  places.top_logprobs.resize(static_cast<size_t>(n * n_top));
  check(headlane_sequences_get_logprobs(sequences.get(), sequence, first, n, places.logprobs.data(),
                                        places.top_ids.data(), places.top_logprobs.data()));
  return places;
}

Json one(const Model& model, bool has_text, int32_t id, float logprob) {
  Json token = Json::object("id", id);
  if (has_text) token.set("token", std::string(model.token_text(id)));
  token.set("logprob", double{logprob});
  return token;
}

}  // namespace

Json token_logprobs(const Model& model, const std::vector<int32_t>& prompt,
                    const std::vector<int32_t>& ids, int64_t n_top, const RunOptions& run) {
  Json list = Json::array();
  if (ids.empty()) return list;
  std::vector<int32_t> all = prompt;
  all.insert(all.end(), ids.begin(), ids.end());
  const Places places = compute(model, all, std::ssize(prompt), n_top, run);
  const bool has_text = model.facts().has_tokenizer != 0;
  for (size_t i = 0; i < ids.size(); ++i) {
    Json token = one(model, has_text, ids[i], places.logprobs[i]);
    Json top = Json::array();
    for (size_t k = i * static_cast<size_t>(n_top); k < (i + 1) * static_cast<size_t>(n_top); ++k) {
      if (places.top_ids[k] < 0) break;
      top.add(one(model, has_text, places.top_ids[k], places.top_logprobs[k]));
    }
    token.set("top", std::move(top));
    list.add(std::move(token));
  }
  return list;
}

}  // namespace tool
