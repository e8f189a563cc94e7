#include "engine/text/token_model.h"

#include "engine/base/error.h"
#include "engine/file/json_fields.h"
#include "engine/text/bpe.h"
#include "engine/text/unigram.h"
#include "engine/text/word_level.h"
#include "engine/text/word_pieces.h"

namespace headlane {
namespace {

using MadeModel = std::unique_ptr<TokenModel>;

template <typename Model>
MadeModel make_model(const Json& spec, const TokenizerTensors& tensors,
                     const Vocabulary& vocabulary, const std::string& where) {
  return std::make_unique<Model>(spec, tensors, vocabulary, where);
}

struct ModelKind {
  std::string_view type;
  MadeModel (*make)(const Json& spec, const TokenizerTensors& tensors, const Vocabulary& vocabulary,
                    const std::string& where);
};
constexpr ModelKind kModelKinds[] = {{"BPE", make_model<Bpe>},
                                     {"Unigram", make_model<Unigram>},
                                     {"WordLevel", make_model<WordLevel>},
                                     {"WordPiece", make_model<WordPieces>}};

}  // namespace

MadeModel read_token_model(const Json& spec, const TokenizerTensors& tensors,
                           const Vocabulary& vocabulary, const std::string& where) {
  const std::string type = json_string(spec, "type", where);
  for (const ModelKind& kind : kModelKinds) {
    if (type == kind.type) return kind.make(spec, tensors, vocabulary, where);
  }
  fail(Status::kUnsupported, "%s: Headlane does not support a model of type \"%s\"", where.c_str(),
       printable(type).c_str());
}

}  // namespace headlane
