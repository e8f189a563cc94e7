// The runs of a model that give the attention probabilities of one text.
#pragma once

#include "tools/headlane/attention/attention.h"
#include "tools/headlane/options/run_options.h"

namespace tool {

struct AttentionOptions {
  RunOptions run;
  std::string text;
  // For a model that translates: what its decoder is given; "": its own translation.
  std::string target;
  std::string source_language, target_language;
  std::string part;               // "encoder", "decoder", "cross"; "": all, or what is shown best
  int64_t layer = -1, head = -1;  // -1: all
  std::string html, png, json;    // files; "": not wanted; "-": standard output
};

// Returns the maps that options.part, layer and head select. Throws std::runtime_error.
AttentionMaps attention_maps(const AttentionOptions& options);

// The same of a model with a decoder, which attention_maps calls: translates the text, or takes
// options.target for its translation. `maps` has the model's name and the text.
void run_translation(const Model& model, const AttentionOptions& options, AttentionMaps* maps);

// A part with the tokens that it has, and what options.layer and head select of `n_layers` and
// `n_heads`, which `owner` has: "the decoder".
AttentionPart selected_part(const AttentionOptions& options, const std::string& name,
                            const std::string& owner, int64_t n_layers, int64_t n_heads);

// Room for the part's probabilities, all zero, as the C API is told of it.
headlane_attention_maps room_for(AttentionPart* part);

}  // namespace tool
