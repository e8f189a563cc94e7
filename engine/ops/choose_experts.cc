#include <algorithm>
#include <cfloat>
#include <cmath>

#include "engine/ops/experts.h"

namespace headlane {
namespace {

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

// The router of one row, which works in the row of choices.
class Router {
 public:
  Router(const ExpertsConfig& config, const float* bias, const float* logits, float* choice)
      : config_(config),
        bias_(bias),
        logits_(logits, static_cast<size_t>(config.n)),
        ranks_(choice + choice_cols(config.chosen), static_cast<size_t>(config.n)),
        groups_(choice + choice_cols(config.chosen) + config.n,
                static_cast<size_t>(config.groups.n)) {
    if (config.score == ExpertScore::kSigmoid) return;
    most_ = *std::ranges::max_element(logits_);
    for (const float x : logits_) sum_ += std::exp(double{x} - most_);
  }

  void choose(std::span<int32_t> ids, std::span<float> weights) {
    rank();
    double sum = 0;
    for (int32_t& id : ids) {
      id = static_cast<int32_t>(take_best(ranks_));
      sum += score(static_cast<size_t>(id));
    }
    // transformers adds this number too: all sigmoids may be zeros.
    const double divisor = config_.normalized ? sum + 1e-20 : 1;
    for (size_t i = 0; i < ids.size(); ++i) {
      const double weight = score(static_cast<size_t>(ids[i])) / divisor;
      weights[i] = static_cast<float>(weight * double{config_.scale});
    }
  }

 private:
  double score(size_t expert) const {
    const double x = logits_[expert];
    return config_.score == ExpertScore::kSigmoid ? sigmoid(x) : std::exp(x - most_) / sum_;
  }

  // Fills what experts are ranked by. Those of groups that are not chosen come last.
  void rank() {
    for (size_t i = 0; i < ranks_.size(); ++i) {
      ranks_[i] = not_taken(static_cast<float>(score(i)) + (bias_ != nullptr ? bias_[i] : 0));
    }
    if (config_.groups.n == 1) return;
    const size_t size = ranks_.size() / groups_.size();
    const auto group = [&](size_t i) { return ranks_.subspan(i * size, size); };
    for (size_t i = 0; i < groups_.size(); ++i) groups_[i] = score_of(group(i));
    for (int64_t i = 0; i < config_.groups.chosen; ++i) take_best(groups_);
    for (size_t i = 0; i < groups_.size(); ++i) {
      if (groups_[i] != kTaken) std::ranges::fill(group(i), kTaken);
    }
  }

  float score_of(std::span<const float> group) const {
    float best = group[0], second = -HUGE_VALF;
    for (const float rank : group.subspan(1)) {
      second = std::max(second, std::min(best, rank));
      best = std::max(best, rank);
    }
    return config_.groups.score == GroupScore::kBest ? best : not_taken(best + second);
  }

  // x, or the least finite number if it is less. What is no number stays so.
  static float not_taken(float x) { return x < -FLT_MAX ? -FLT_MAX : x; }

  // Returns the place of the first of the best ones that are not taken, and takes it. Where ranks
  // are no numbers, some expert is taken all the same; its weight is no number either.
  static size_t take_best(std::span<float> ranks) {
    size_t best = ranks.size();
    for (size_t i = 0; i < ranks.size(); ++i) {
      if (ranks[i] == kTaken) continue;
      if (best == ranks.size() || ranks[i] > ranks[best]) best = i;
    }
    ranks[best] = kTaken;
    return best;
  }

  static constexpr float kTaken = -HUGE_VALF;

  const ExpertsConfig& config_;
  const float* bias_;
  std::span<const float> logits_;
  std::span<float> ranks_, groups_;
  double most_ = 0, sum_ = 0;
};

}  // namespace

void ChooseExperts::run_rows(const Run&, int64_t, int64_t n_rows, Slice slice,
                             std::span<const View> inputs, View output) const {
  const Range rows = part_of(n_rows, slice);
  const auto n = static_cast<size_t>(config_.chosen), n_experts = static_cast<size_t>(config_.n);
  for (int64_t r = rows.begin; r < rows.end; ++r) {
    const float* logits = inputs[0].data + r * inputs[0].ld;
    float* row = output.data + r * output.ld;
    Router(config_, bias_, logits, row).choose({choice_ids(row), n}, {row + n, n});
    row[2 * n] = config_.shared.gated ? static_cast<float>(sigmoid(logits[n_experts])) : 1;
  }
}

}  // namespace headlane
