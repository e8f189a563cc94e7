// Options that several commands have.
#pragma once

#include <string>

#include "tools/headlane/options/command_line.h"
#include "tools/headlane/options/run_options.h"
#include "tools/headlane/text/texts.h"

namespace tool {

constexpr int64_t kMostCount = int64_t{1} << 20;  // of what a user counts: layers, beams, tokens

void add_isa(Command* command, std::string* isa);
inline const std::vector<std::string> kPrecisions = {"f32",  "bf16", "int8", "int8g",
                                                     "int6", "int5", "int4"};
inline const std::vector<std::string> kPoolings = {
    "mean", "cls", "max", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"};
void add_precision(Command* command, std::string* precision);
// In what a language model keeps keys and values.
void add_cache(Command* command, RunOptions* run);
void add_machine(Command* command, RunOptions* run);
void add_model_and_machine(Command* command, RunOptions* run);
void add_run_options(Command* command, RunOptions* run);
void add_max_length(Command* command, RunOptions* run);
void add_prompts(Command* command, RunOptions* run);
// They say how vectors are made and cut.
void add_vectors(Command* command, RunOptions* run);
void add_texts(Command* command, Texts* texts);
void add_languages(Command* command, std::string* source, std::string* target);

}  // namespace tool
