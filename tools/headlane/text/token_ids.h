// Lines of token ids.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tools/headlane/options/run_options.h"

namespace tool {

// The ids of one line, separated by spaces or tabs. Throws std::runtime_error, beginning with
// `where`, for what is no number.
std::vector<int32_t> parse_ids(const std::string& line, const std::string& where);

// Throws likewise for ids that a model of token ids cannot take: too many, or not of its
// vocabulary.
void check_ids(const std::vector<int32_t>& ids, const headlane_model_facts& facts,
               const std::string& where);

}  // namespace tool
