#include "engine/text/sentencepiece_processor.h"

#include <sentencepiece_processor.h>

#include <new>
#include <utility>

#include "engine/base/error.h"
#include "engine/file/json_fields.h"
#include "engine/text/sentencepiece_model.h"

namespace headlane {
namespace {

void check(const sentencepiece::util::Status& status) {
  if (!status.ok()) {
    fail(Status::kInternal, "SentencePiece: %s", printable(status.ToString()).c_str());
  }
}

// SentencePiece does not withstand a lack of memory: what it throws leaves objects broken that are
// then destroyed. So it is given work only when there has just been as much memory as it takes.
// Measured: a model takes twice the bytes of its file (32000 pieces) up to 24 times (640), a text
// 50 to 310 times its bytes, the more the shorter its pieces, and 232 times on the way back. A text
// of nothing but characters that are written out as twenty (U+FDFA) would take 900.
constexpr size_t kTimesModel = 32, kTimesText = 320;

void require_memory(size_t bytes, size_t times) {
  constexpr size_t kLeast = size_t{256} << 10;
  ::operator delete(::operator new(kLeast + bytes * times));  // throws std::bad_alloc
}

}  // namespace

SentencePieceProcessor::SentencePieceProcessor(std::string_view bytes, const std::string& where) try
    : processor_(std::make_unique<sentencepiece::SentencePieceProcessor>()) {
  const SentencePieceModel model = read_sentencepiece_model(bytes, where);
  adds_blank_ = model.add_dummy_prefix;
  require_memory(bytes.size(), kTimesModel);
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
  require_memory(text.size(), kTimesText);
  std::vector<std::string> found;
  check(processor_->Encode(text, &found));
  for (std::string& piece : found) pieces->push_back(std::move(piece));
}

std::string SentencePieceProcessor::decode(const std::vector<std::string_view>& pieces) const {
  size_t bytes = 0;
  for (const std::string_view piece : pieces) bytes += piece.size();
  require_memory(bytes, kTimesText);
  std::string text;
  check(processor_->Decode(pieces, &text));
  return text;
}

}  // namespace headlane
