// A model whose tokens are whole pieces.
#pragma once

#include "engine/text/token_model.h"

namespace headlane {

class WordLevel : public TokenModel {
 public:
  // `spec` has "unk_token", for pieces that the vocabulary lacks.
  WordLevel(const Json& spec, const TokenizerTensors& tensors, const Vocabulary& vocabulary,
            const std::string& where);

  std::unique_ptr<Scratch> make_scratch() const override { return std::make_unique<Scratch>(); }
  void encode(std::string_view piece, Scratch* /*scratch*/,
              std::vector<int32_t>* ids) const override {
    const int32_t id = vocabulary_.find(piece);
    ids->push_back(id >= 0 ? id : unk_id_);
  }

 private:
  const Vocabulary& vocabulary_;
  int32_t unk_id_;
};

}  // namespace headlane
