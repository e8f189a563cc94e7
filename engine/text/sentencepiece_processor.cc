#include "engine/text/sentencepiece_processor.h"

#include <sentencepiece_processor.h>

#include <new>
#include <utility>

#include "engine/error.h"
#include "engine/model/json_fields.h"
#include "engine/text/sentencepiece_model.h"

namespace headlane {
namespace {

void check(const sentencepiece::util::Status& status) {
  if (!status.ok()) {
    fail(Status::kInternal, "SentencePiece: %s", printable(status.ToString()).c_str());
  }
}

}  // namespace

SentencePieceProcessor::SentencePieceProcessor(std::string_view bytes, const std::string& where) try
    : processor_(std::make_unique<sentencepiece::SentencePieceProcessor>()) {
  const SentencePieceModel model = read_sentencepiece_model(bytes, where);
  adds_blank_ = model.add_dummy_prefix;
  const auto status = processor_->LoadFromSerializedProto(model_proto(model));
  if (!status.ok()) {
    fail(Status::kBadFile, "%s: SentencePiece says: %s", where.c_str(),
         printable(status.ToString()).c_str());
  }
} catch (const std::bad_alloc&) {
  throw;
} catch (const Error&) {
  throw;
} catch (const std::exception& error) {  // of its double arrays
  fail(Status::kBadFile, "%s: SentencePiece says: %s", where.c_str(),
       printable(error.what()).c_str());
}

SentencePieceProcessor::~SentencePieceProcessor() = default;

void SentencePieceProcessor::encode(std::string_view text, std::vector<std::string>* pieces) const {
  std::vector<std::string> found;
  check(processor_->Encode(text, &found));
  for (std::string& piece : found) pieces->push_back(std::move(piece));
}

std::string SentencePieceProcessor::decode(const std::vector<std::string_view>& pieces) const {
  std::string text;
  check(processor_->Decode(pieces, &text));
  return text;
}

}  // namespace headlane
