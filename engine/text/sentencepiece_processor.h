// The SentencePiece library behind a model that was checked: text to pieces and back. The only
// place that sees its headers.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace sentencepiece {
class SentencePieceProcessor;
}

namespace headlane {

// Read only once made: any number of threads may use it.
class SentencePieceProcessor {
 public:
  // From a model file. Throws Error, whose sentence begins with `where`, as
  // read_sentencepiece_model, or kBadFile if the library refuses the model (a piece twice, no piece
  // for the unknown).
  SentencePieceProcessor(std::string_view bytes, const std::string& where);
  ~SentencePieceProcessor();

  // Whether each text that it encodes is as if a blank stood before it.
  bool adds_blank() const { return adds_blank_; }

  // Appends the pieces of `text`, well-formed UTF-8 of less than 2^24 bytes. Stretches that no
  // piece covers are pieces as they are. Throws Error(kInternal) if the library fails.
  void encode(std::string_view text, std::vector<std::string>* pieces) const;

  // The text of the pieces; those that the model lacks stand as they are. Errors as above.
  std::string decode(const std::vector<std::string_view>& pieces) const;

 private:
  std::unique_ptr<sentencepiece::SentencePieceProcessor> processor_;
  bool adds_blank_ = false;
};

}  // namespace headlane
