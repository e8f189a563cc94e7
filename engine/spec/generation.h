// A model's file holds these settings of generation: the roles of tokens, and the default search.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace headlane {

// When a beam search ends whose best n_beams hypotheses have finished.
enum class EarlyStopping {
  kHeuristic,  // when no running one is thought to become better
  kFirst,      // at once
  kNever,      // when no running one can become better
};

// How the model's makers mean tokens to be drawn, as the options of a search with these names.
struct SamplingDefaults {
  bool samples = false;  // false: not at all, and the rest says nothing
  float temperature = 1;
  int64_t top_k = 0;
  float top_p = 1, min_p = 0;
};

// The roles of tokens, and what a generation does unless it is asked otherwise.
struct GenerationDefaults {
  int32_t start_id = 0;  // what the decoder is given first; -1: the caller's tokens alone
  int32_t pad_id = -1;   // -1: none
  std::vector<int32_t> end_ids;
  int32_t forced_first_id = -1, forced_last_id = -1;  // -1: none
  std::vector<int32_t> suppressed_ids;                // never generated
  int64_t max_new_tokens = 0;                         // the end included
  int64_t min_new_tokens = 0;                         // before an end may come
  int64_t n_beams = 1;
  double length_penalty = 1;
  EarlyStopping early_stopping = EarlyStopping::kHeuristic;
  double repetition_penalty = 1;
  // Beam search takes the logarithm of probabilities that sum to 1 once more after ids were
  // suppressed, forced or penalised (as OPUS-MT asks for). Greedy choices are the same either way.
  bool renormalize = false;
  // For who asks for it: a call that asks for nothing takes the likeliest tokens.
  SamplingDefaults sampling;
};

// Throws Error(kBadFile) that names the first field out of range, of a decoder of that vocabulary
// and targets of up to max_positions tokens. `where` names the object in the message.
void check_generation(const GenerationDefaults& generation, int64_t vocab_size,
                      int64_t max_positions, const std::string& where);

class FieldVisitor;
void visit_fields(SamplingDefaults* sampling, FieldVisitor* fields);
void visit_fields(GenerationDefaults* generation, FieldVisitor* fields);

}  // namespace headlane
