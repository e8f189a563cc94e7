// How tokens become text again: the decoders of the `tokenizers` library, step by step, each over
// all tokens of the one before.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/file/json.h"

namespace headlane {

class TokenDecoder {
 public:
  virtual ~TokenDecoder() = default;
  virtual void decode(std::vector<std::string>* tokens) const = 0;
  // What a token becomes that has others before it and behind it. `joined`: a step before has made
  // one text of all tokens. Null: that depends on the others.
  struct Part {
    std::string bytes;
    bool joined = false;
  };
  virtual std::optional<Part> decode_part(const Part& /*part*/) const { return std::nullopt; }
};

using TokenDecoders = std::vector<std::unique_ptr<TokenDecoder>>;

// The steps of a tokenizer.json's "decoder", an object. Throws Error(kBadFile), or
// Error(kUnsupported) for a step that is not one of these.
TokenDecoders read_decoders(const Json& spec, const std::string& where);

}  // namespace headlane
