// Options that say how a language model's tokens are chosen.
#pragma once

#include <cstdint>
#include <optional>

#include "tools/headlane/options/command_line.h"
#include "tools/headlane/options/run_options.h"

namespace tool {

struct SamplingOptions {
  int64_t max_new_tokens = 0;  // 0: the model's
  std::optional<float> temperature;
  std::optional<int64_t> top_k;
  std::optional<float> top_p, min_p;
  uint64_t seed = 0;
  double repetition_penalty = 0;

  // Where no option says how tokens are chosen, it is as the model's makers mean it.
  bool samples(const headlane_model_facts& facts) const {
    return temperature ? *temperature > 0 : top_k || top_p || min_p || facts.temperature > 0;
  }

  // To headlane_generate_options, or headlane_sequence_options. `samples`: tokens are drawn.
  template <typename Search>
  void write(const headlane_model_facts& facts, bool samples, Search* search) const {
    search->seed = seed;
    search->repetition_penalty = repetition_penalty;
    search->max_new_tokens = max_new_tokens;
    if (!samples) return;
    const bool has_own = facts.temperature > 0;
    search->sample = 1;
    search->temperature = temperature.value_or(has_own ? static_cast<float>(facts.temperature) : 1);
    search->top_k = top_k.value_or(facts.top_k);
    search->top_p = top_p.value_or(static_cast<float>(facts.top_p));
    search->min_p = static_cast<decltype(search->min_p)>(min_p ? double{*min_p} : facts.min_p);
  }
};

// `beams`: an option that these exclude; null: there is none.
void add_sampling(Command* command, SamplingOptions* options, const Option* beams);
void add_max_new_tokens(Command* command, SamplingOptions* options);

}  // namespace tool
