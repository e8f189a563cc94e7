#include "engine/text/token_model.h"

#include "engine/base/error.h"
#include "engine/file/json_fields.h"
#include "engine/text/bpe.h"
#include "engine/text/unigram.h"
#include "engine/text/word_level.h"
#include "engine/text/word_pieces.h"

namespace headlane {
namespace {

using Made = std::unique_ptr<TokenModel>;

template <typename Model>
Made make(const Json& spec, const TokenizerTensors& tensors, const Vocabulary& vocabulary,
          const std::string& where) {
  return std::make_unique<Model>(spec, tensors, vocabulary, where);
}

struct Kind {
  std::string_view type;
  Made (*make)(const Json& spec, const TokenizerTensors& tensors, const Vocabulary& vocabulary,
               const std::string& where);
};
constexpr Kind kKinds[] = {{"BPE", make<Bpe>},
                           {"Unigram", make<Unigram>},
                           {"WordLevel", make<WordLevel>},
                           {"WordPiece", make<WordPieces>}};

}  // namespace

Made read_token_model(const Json& spec, const TokenizerTensors& tensors,
                      const Vocabulary& vocabulary, const std::string& where) {
  const std::string type = json_string(spec, "type", where);
  for (const Kind& kind : kKinds) {
    if (type == kind.type) return kind.make(spec, tensors, vocabulary, where);
  }
  fail(Status::kUnsupported, "%s: Headlane does not support a model of type \"%s\"", where.c_str(),
       printable(type).c_str());
}

}  // namespace headlane
