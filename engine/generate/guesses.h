// Tokens that a sequence may go on with, guessed before they are computed: a step computes some of
// them at once, and keeps those that the model chooses too.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace headlane {

// What came after the last tokens where these were in the sequence before: of the places that have
// most of them in common, 2 or more, the last one. At most `most` tokens; none if there is no such
// place. `guesses` is what they replace.
void guess_from_own(std::span<const int32_t> ids, int64_t most, std::vector<int32_t>* guesses);

}  // namespace headlane
