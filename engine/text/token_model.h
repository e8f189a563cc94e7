// The models of the `tokenizers` library: how a piece of text becomes tokens.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/file/json.h"
#include "engine/text/tokenizer.h"
#include "engine/text/vocabulary.h"

namespace headlane {

class TokenModel {
 public:
  // Memory that a call takes again for each piece of its text; every model has a kind of its own.
  class Scratch {
   public:
    virtual ~Scratch() = default;
  };

  virtual ~TokenModel() = default;
  virtual std::unique_ptr<Scratch> make_scratch() const = 0;

  // Appends the ids of `piece`, well-formed UTF-8 and not empty. Throws Error(kUnsupported) for one
  // that the model has no token for.
  virtual void encode(std::string_view piece, Scratch* scratch,
                      std::vector<int32_t>* ids) const = 0;
};

// The model of a header's field "model". Keeps the vocabulary, which must outlive it; copies what
// it needs of the tensors. Throws Error(kBadFile), or Error(kUnsupported) for one of another type.
std::unique_ptr<TokenModel> read_token_model(const Json& spec, const TokenizerTensors& tensors,
                                             const Vocabulary& vocabulary,
                                             const std::string& where);

}  // namespace headlane
