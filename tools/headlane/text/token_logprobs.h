// How likely a language model finds tokens of its own, or others, behind a prompt.
#pragma once

#include <cstdint>
#include <vector>

#include "tools/headlane/options/run_options.h"
#include "tools/headlane/output/json.h"

namespace tool {

// A list with an element for each of `ids`, which come behind the prompt: "id", "token" where the
// model has a tokenizer, "logprob", and "top", the n_top likeliest tokens at its place. The
// logarithms are those of the model, before temperature and penalties. Throws.
Json token_logprobs(const Model& model, const std::vector<int32_t>& prompt,
                    const std::vector<int32_t>& ids, int64_t n_top, const RunOptions& run);

}  // namespace tool
