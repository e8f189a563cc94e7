#pragma once

#include <string>

#include "tools/headlane/options/run_options.h"

namespace tool {

struct EncodeOptions {
  RunOptions run;
  std::string ids;     // a file of ids, one sequence a line
  std::string output;  // a .npy file
  // For a model of layers, in place of ids: .npy files; "": not given.
  std::string x, key, value;
  std::string attn_mask, key_padding_mask;  // with PyTorch's meaning
  std::string tgt_key_padding_mask;         // of a decoder, whose attn_mask is tgt_mask
  bool causal = false;
};
void encode_activations(const EncodeOptions& options);

}  // namespace tool
