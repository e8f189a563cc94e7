// SentencePiece's model files: protocol buffers, hostile until checked. SentencePiece 0.1.97 trusts
// them: its normalizer follows offsets out of the character map's double array, and writes more
// than 32 or 64 matches past its own arrays' ends. So a file is read here, field by field, and what
// the library gets is written anew from what was found good.
//
// The format: https://github.com/google/sentencepiece, src/sentencepiece_model.proto.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace headlane {

enum class PieceType : uint8_t {
  kNormal = 1,
  kUnknown = 2,  // one, what no piece covers
  kControl = 3,  // never found in text: "<s>"
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6,  // "<0x0A>", what unknown characters fall apart into
};

struct Piece {
  std::string text;
  float score = 0;  // of a unigram model the logarithm of its probability; of BPE, minus its rank
  PieceType type = PieceType::kNormal;
};

struct SentencePieceModel {
  std::vector<Piece> pieces;  // by SentencePiece's own ids
  bool bpe = false;           // byte-pair encoding, else a unigram language model
  bool byte_fallback = false;
  bool whitespace_as_suffix = false;
  std::string charsmap;  // what characters are replaced by, compiled; empty: nothing is
  bool add_dummy_prefix = true;
  bool remove_extra_whitespaces = true;
  bool escape_whitespaces = true;
};

// Throws Error, whose sentence begins with `where`: kBadFile, or kUnsupported for what is valid but
// neither unigram nor BPE, or changes text on decoding. Accepted models are safe to give to the
// library as model_proto writes them; whether their pieces fit together, it says itself.
SentencePieceModel read_sentencepiece_model(std::string_view bytes, const std::string& where);

// The checks that are not of the wire format, for a model made otherwise.
void check_sentencepiece_model(const SentencePieceModel& model, const std::string& where);

// The model as a protocol buffer.
std::string model_proto(const SentencePieceModel& model);

// Checks a compiled character map, <bytes of trie : u32><trie : u32 units><texts, each ended by 0>:
// every unit that a search can reach lies in it, no rule is longer than 32 bytes, no replacement
// longer than 64. Throws Error(kBadFile).
void check_charsmap(std::string_view charsmap, const std::string& where);

// A character map without rules, with which SentencePiece does not say on stderr that it has none.
std::string empty_charsmap();

}  // namespace headlane
