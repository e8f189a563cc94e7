#include "tools/headlane/options/sampling_options.h"

#include <limits>

#include "tools/headlane/options/common_options.h"

namespace tool {

void add_max_new_tokens(Command* command, SamplingOptions* options) {
  command->integer("--max-new-tokens", &options->max_new_tokens, 1, kMostCount,
                   "The most tokens that come after a prompt");
}

void add_sampling(Command* command, SamplingOptions* options, const Option* beams) {
  const auto without_beams = [&](Option* option) {
    if (beams != nullptr) option->excludes(beams);
  };
  constexpr double kLargest = std::numeric_limits<float>::max();
  without_beams(command->real("--temperature", &options->temperature, {0, kLargest},
                              "Draw tokens at random, by logits over this number; 0: the likeliest "
                              "each time"));
  without_beams(command->integer("--top-k", &options->top_k, 1, kMostCount,
                                 "Draw from the K likeliest tokens"));
  without_beams(command->real("--top-p", &options->top_p, {kRoundsToZero, 1, true},
                              "Draw from the fewest tokens that have this probability together"));
  without_beams(
      command->real("--min-p", &options->min_p, {0, 1},
                    "Draw from the tokens that have this part of the likeliest one's probability"));
  command->seed("--seed", &options->seed, "The seed of the random numbers");
  command->real("--repetition-penalty", &options->repetition_penalty,
                {kRoundsToZero, kLargest, true},
                "Above 1, tokens that have come already become less likely");
}

}  // namespace tool
