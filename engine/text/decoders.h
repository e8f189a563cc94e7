// How tokens become text again: the decoders of the `tokenizers` library, step by step, each over
// all tokens of the one before.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "engine/file/json.h"

namespace headlane {

class TokenDecoder {
 public:
  virtual ~TokenDecoder() = default;
  virtual void decode(std::vector<std::string>* tokens) const = 0;
};

using TokenDecoders = std::vector<std::unique_ptr<TokenDecoder>>;

// The steps of a tokenizer.json's "decoder", an object. Throws Error(kBadFile), or
// Error(kUnsupported) for a step that is not one of these.
TokenDecoders read_decoders(const Json& spec, const std::string& where);

}  // namespace headlane
