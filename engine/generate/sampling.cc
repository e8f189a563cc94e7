#include "engine/generate/sampling.h"

#include <algorithm>
#include <cassert>
#include <cmath>

namespace headlane {
namespace {

// e^((logit - largest) / temperature), each logit divided first, as transformers does.
class Weights {
 public:
  Weights(float largest, float temperature)
      : largest_(largest / temperature), temperature_(temperature) {}
  float operator()(float logit) const {
    // Where both are too large for a float once divided, they are as good as equal.
    const float scaled = logit / temperature_;
    return scaled == largest_ ? 1 : std::exp(scaled - largest_);
  }

 private:
  float largest_, temperature_;
};

// The shortest beginning of `sorted` that has top_p of `total`, or all of it.
Distribution cut_sorted(std::span<Candidate> sorted, const Weights& weight, double total,
                        double top_p) {
  double sum = 0;
  size_t n = 0;
  while (n < sorted.size() && (n == 0 || sum < top_p * total)) {
    sorted[n].logit = weight(sorted[n].logit);
    sum += sorted[n++].logit;
  }
  return {.tokens = sorted.first(n), .total = sum};
}

// The same of candidates in no order: only those that are kept are sorted, at the end of `heap`.
Distribution cut_heap(std::span<Candidate> heap, const Weights& weight, double total,
                      double top_p) {
  const auto is_worse = [](const Candidate& a, const Candidate& b) { return is_better(b, a); };
  std::ranges::make_heap(heap, is_worse);
  double sum = 0;
  size_t n = 0;
  while (n < heap.size() && (n == 0 || sum < top_p * total)) {
    std::ranges::pop_heap(heap.first(heap.size() - n), is_worse);
    Candidate& popped = heap[heap.size() - 1 - n++];
    popped.logit = weight(popped.logit);
    sum += popped.logit;
  }
  return {.tokens = heap.last(n), .total = sum};
}

// Keeps the tokens that have min_p of the largest weight, which is 1, in their order.
Distribution cut_unlikely(std::span<Candidate> tokens, float min_p) {
  Distribution kept;
  size_t n = 0;
  for (const Candidate& token : tokens) {
    if (token.logit < min_p) continue;
    kept.total += token.logit;
    tokens[n++] = token;
  }
  kept.tokens = tokens.first(n);
  return kept;
}

}  // namespace

void philox(uint32_t (&counter)[4], uint64_t key) {
  auto key_0 = static_cast<uint32_t>(key), key_1 = static_cast<uint32_t>(key >> 32);
  for (int round = 0; round < 10; ++round) {
    const uint64_t a = uint64_t{0xD2511F53} * counter[0], b = uint64_t{0xCD9E8D57} * counter[2];
    counter[0] = static_cast<uint32_t>(b >> 32) ^ counter[1] ^ key_0;
    counter[1] = static_cast<uint32_t>(b);
    counter[2] = static_cast<uint32_t>(a >> 32) ^ counter[3] ^ key_1;
    counter[3] = static_cast<uint32_t>(a);
    key_0 += 0x9E3779B9;
    key_1 += 0xBB67AE85;
  }
}

double random_uniform(uint64_t seed, uint64_t source_key, uint32_t sample, uint32_t n_new) {
  uint32_t bits[4] = {n_new, sample, static_cast<uint32_t>(source_key),
                      static_cast<uint32_t>(source_key >> 32)};
  philox(bits, seed);
  const uint64_t both = uint64_t{bits[0]} << 32 | bits[1];
  return std::ldexp(static_cast<double>(both >> 11), -53);
}

Distribution make_distribution(const TokenRules& rules, const SearchOptions& options,
                               const RowScores& scores, int64_t n_new, Candidate* scratch) {
  const bool has_top_k = options.top_k > 0 && options.top_k < rules.vocab_size();
  const int64_t n = has_top_k ? best_allowed(rules, scores, false, n_new, options.top_k, scratch)
                              : all_allowed(rules, scores, n_new, scratch);
  const std::span<Candidate> tokens(scratch, n);
  if (tokens.empty()) return {};
  const auto larger = [](const Candidate& a, const Candidate& b) { return a.logit < b.logit; };
  const Weights weight(std::ranges::max_element(tokens, larger)->logit, options.temperature);
  Distribution drawn = {.tokens = tokens, .total = 0};
  if (options.top_p < 1) {
    double total = 0;
    for (const Candidate& token : tokens) total += weight(token.logit);
    drawn = (has_top_k ? cut_sorted : cut_heap)(tokens, weight, total, options.top_p);
  } else {
    for (Candidate& token : tokens) drawn.total += token.logit = weight(token.logit);
  }
  if (options.min_p <= 0) return drawn;
  const auto first = static_cast<size_t>(drawn.tokens.data() - scratch);
  return cut_unlikely(tokens.subspan(first, drawn.tokens.size()), options.min_p);
}

Distribution next_tokens(const TokenRules& rules, const SearchOptions& options,
                         const RowScores& scores, int64_t n_new, Candidate* scratch) {
  if (!has_softmax(scores.top)) return {};
  if (options.sample) return make_distribution(rules, options, scores, n_new, scratch);
  const int64_t n = best_allowed(rules, scores, false, n_new, 1, scratch);
  return {.tokens = {scratch, static_cast<size_t>(n)}, .total = 0};
}

float logit_of(const RowScores& scores, int32_t id) {
  if (scores.all != nullptr) return scores.all[id];
  const Candidate* candidate = scores.best.data();
  while (candidate->id != id) ++candidate;  // it was drawn from them
  return candidate->logit;
}

int32_t draw(const Distribution& distribution, double uniform) {
  assert(!distribution.tokens.empty());
  const double target = uniform * distribution.total;
  double sum = 0;
  int32_t id = -1;
  for (const Candidate& token : distribution.tokens) {
    if (token.logit == 0) continue;
    id = token.id;
    sum += token.logit;
    if (sum > target) break;
  }
  return id;
}

}  // namespace headlane
