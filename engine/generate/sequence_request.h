// Requests of sequences are checked by this before anything is kept of them.
#pragma once

#include "engine/generate/sequence.h"
#include "engine/generate/sequences.h"

namespace headlane {

// The model's own way to choose tokens, greedy; the spans are not set.
SequenceRequest default_request(const ModelConfig& config);

// Throws Error(kInvalidArgument) or, of what is more than the limits, Error(kTooLarge), with a
// sentence that names the field; Error(kUnsupported) of stops without a tokenizer.
void check_request(const SequenceRequest& request, const Model& model,
                   const SequencesLimits& limits);

// The options of the search with the request's own spans.
SearchOptions search_of(const SequenceRequest& request);

}  // namespace headlane
