// Text to token ids and back. One interface for all tokenizers; make_tokenizer picks by the
// header's "type".
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/file/json.h"
#include "engine/text/text_pair.h"

namespace headlane {

// The tokens of languages are for one of these in a model's texts.
enum class LanguageUse {
  kNone,          // there are none
  kSource,        // a source bears its own language's token; a target begins with its own
  kTargetInText,  // a source begins with the token of the language to translate to
};

// The languages of a text, by the names of Tokenizer::languages; "": not said.
struct TextLanguages {
  std::string_view source, target;
};

// How two texts become ids.
struct PairOptions {
  int64_t max_len = 0;  // special tokens counted
  Truncation truncation = Truncation::kLongestFirst;
  TextLanguages languages = {};
};

// The special tokens of a tokenizer's sequences, and how these are cut.
struct TextFrame {
  std::vector<int32_t> before, after;  // of one text
  PairTemplate pair;
  bool cuts_left = false;  // texts that are too long lose their beginnings, else their ends
};

// A text of which some was given by others, who may not write tokens with a role of their own:
// special tokens, and added ones that the rest, or `literals`, has.
struct GuardedText {
  std::string_view text;   // well-formed UTF-8
  std::string_view marks;  // one for each byte, 1 where it was given; or none: nothing was
  std::span<const std::string> literals;

  bool is_given(size_t begin, size_t end) const {
    return marks.substr(std::min(begin, marks.size()), end - begin).find('\1') !=
           std::string_view::npos;
  }
};

// The u8 tensors of a .headlane file that belong to its tokenizer; empty: not there.
template <typename Bytes>
struct TokenizerTensorsOf {
  Bytes vocab{};         // tokens by id, each ended by '\n', or each by '\0'
  Bytes target_vocab{};  // likewise, of targets
  Bytes source{};        // a SentencePiece model file
  Bytes target{};        // that of targets
  Bytes scores{};        // f64 of each token of a unigram model
  Bytes merges{};        // of BPE, by rank: three u32 each, two ids and what they become
  Bytes charsmap{};      // SentencePiece's compiled character map

  struct Member {
    const char* name;  // of the tensor
    Bytes TokenizerTensorsOf::*bytes;
  };
  static constexpr Member kMembers[] = {
      {"tokenizer.vocab", &TokenizerTensorsOf::vocab},
      {"tokenizer.target.vocab", &TokenizerTensorsOf::target_vocab},
      {"tokenizer.source", &TokenizerTensorsOf::source},
      {"tokenizer.target", &TokenizerTensorsOf::target},
      {"tokenizer.scores", &TokenizerTensorsOf::scores},
      {"tokenizer.merges", &TokenizerTensorsOf::merges},
      {"tokenizer.charsmap", &TokenizerTensorsOf::charsmap}};
};

using TokenizerTensors = TokenizerTensorsOf<std::span<const std::byte>>;

// Tensors as they are read or imported.
struct TokenizerBytes : TokenizerTensorsOf<std::string> {
  TokenizerTensors views() const;
};

class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  // Appends the ids of `text`, special tokens ([CLS], [SEP]) included, at most `max_len` in all:
  // what is over is cut from the end of the text, or from its beginning if the tokenizer does so,
  // never from the special tokens. `text` may be any bytes: invalid UTF-8 reads as U+FFFD. max_len
  // must be at least n_special(). Safe to call from several threads.
  void encode(std::string_view text, int64_t max_len, std::vector<int32_t>* ids) const {
    encode_with(text, max_len, {}, ids);
  }

  // Appends the ids of two texts as one sequence, such as [CLS] first [SEP] second [SEP], at most
  // max_len in all, and to `types`, which has as many elements, the types of these ids. Texts that
  // are too long are cut as the options say. max_len must be at least n_special_of_pair() with the
  // same languages. Throws Error as encode_with and cut_pair do, and Error(kUnsupported) where the
  // tokenizer makes no pairs.
  void encode_pair(std::string_view first, std::string_view second, const PairOptions& options,
                   std::vector<int32_t>* ids, std::vector<int32_t>* types) const;
  // Throws Error(kUnsupported) if nobody knows the types, for a model that has some.
  void check_pair_types() const;
  // The tokens that encode_pair adds to any two texts. Throws as it does.
  int64_t n_special_of_pair(const TextLanguages& languages = {}) const;

  // Whether texts that are too long lose their beginnings, else their ends.
  bool cuts_beginnings() const { return frame_.cuts_left; }
  int64_t n_special() const { return n_special_with({}); }  // tokens that encode adds to any text
  virtual bool is_special(int32_t id) const = 0;            // an id in [0, vocab_size), of no text
  virtual int64_t vocab_size() const = 0;                   // ids are in [0, vocab_size)
  virtual std::string_view token(int32_t id) const = 0;     // its spelling in the vocabulary
  virtual int32_t find(std::string_view token) const = 0;   // its id by its spelling, or -1

  // The text of ids in [0, target_vocab_size()), special tokens left out.
  virtual std::string decode(std::span<const int32_t> ids) const = 0;

  // The bytes that an id adds to the text of a target, where others stand before it and behind it:
  // maybe a part of a character. None of special tokens, which are of no text. False: what a token
  // adds depends on the others.
  virtual bool token_bytes(int32_t /*id*/, std::string* /*bytes*/) const { return false; }

  // The size of the targets' vocabulary; vocab_size() unless the targets have one of their own.
  virtual int64_t target_vocab_size() const { return vocab_size(); }
  virtual std::string_view target_token(int32_t id) const { return token(id); }
  virtual int32_t find_target(std::string_view token) const { return find(token); }

  // The ids of a target's text, in its own pieces, without special tokens. Throws
  // Error(kUnsupported) where there are no targets.
  virtual void encode_target(std::string_view text, int64_t max_len,
                             std::vector<int32_t>* ids) const;

  // Appends the ids of a text that has all of its special tokens in it. What was given spells none:
  // it becomes the ids of plain text. Throws Error(kUnsupported) where the tokenizer cannot keep
  // the two apart.
  virtual void encode_guarded(const GuardedText& text, std::vector<int32_t>* ids) const;

  virtual LanguageUse language_use() const { return LanguageUse::kNone; }
  // "zh", "zho_Hans", as the model's own community names them, in the order of their ids.
  virtual std::vector<std::string_view> languages() const { return {}; }
  // The id of the language's token, which a target of LanguageUse::kSource begins with; -1: none.
  virtual int32_t language_id(std::string_view /*name*/) const { return -1; }

  // The same for a text whose languages are said: kSource takes the source's token (the default's
  // if it is ""), kTargetInText puts the target's before the text. Throws
  // Error(kInvalidArgument) for a name that is not in languages(), and Error(kUnsupported) for one
  // that the model does not use: any under kNone, the source's under kTargetInText.
  void encode_with(std::string_view text, int64_t max_len, const TextLanguages& languages,
                   std::vector<int32_t>* ids) const;
  // Tokens that encode_with adds, at least. Throws as it does.
  int64_t n_special_with(const TextLanguages& languages) const;

 protected:
  // Appends the ids of the text alone, at most `most_ids` of them.
  virtual void append_text(std::string_view text, size_t most_ids,
                           std::vector<int32_t>* ids) const = 0;

  // The token of a LanguageUse::kSource text whose language is not said, and whether it stands
  // behind the text.
  virtual int32_t default_language_id() const { return -1; }
  virtual bool language_is_after() const { return false; }

 private:
  friend std::unique_ptr<Tokenizer> make_tokenizer(const Json& spec,
                                                   const TokenizerTensors& tensors,
                                                   const std::string& where);

  int32_t id_of_text(const TextLanguages& languages) const;
  void append_cut(std::string_view text, size_t most_ids, std::vector<int32_t>* ids) const;

  TextFrame frame_;
};

// Makes the tokenizer that a .headlane file describes: `spec` is the header's "tokenizer" object.
// Copies what it keeps. Throws Error(kBadFile) naming the field at fault, Error(kUnsupported) for a
// kind of SentencePiece model, or a step of a pipeline, that Headlane does not have; `where` is the
// file for the message.
//
// Each kind may have the field "pair", which says how two texts become one sequence: tokens and the
// two texts in their order, each with its type, such as
//   "pair": [{"id": 101, "type": 0}, {"text": 0, "type": 0}, {"id": 102, "type": 0},
//            {"text": 1, "type": 1}, {"id": 102, "type": 1}]
// or it is a text that says why there are no pairs. The field "no_types" may be a text that says
// why the types are not known: a model that has types takes no pairs then. Without it WordPiece has
// the form that BERT has: ids_before, text 0, ids_after, text 1, ids_after, of type 1 from text 1
// on. The other kinds make no pairs then.
//
// With "first_keeps_odd" as true pairs are cut so (PairCut). The field "truncation_side" may be
// "left": texts that are too long lose their beginnings.
//
// All other fields of `spec` must be there. WordPiece has the tensor vocab alone, and these fields:
//   "type": "wordpiece"
//   "n_pieces": 30522              tokens that words are made of: the first of the vocabulary
//   "clean_text": true             drop control characters, make all white space ' '
//   "handle_chinese_chars": true   set spaces around each Chinese character
//   "strip_accents": null          decompose and drop accents; null: as "lowercase"
//   "lowercase": true
//   "unk_token": "[UNK]"           for words that cannot be made of pieces, or are too long
//   "prefix": "##"                 of pieces that do not begin a word
//   "max_chars_per_word": 100      in [1, 4096]
//   "ids_before": [101], "ids_after": [102]    special tokens around the text, at most 64 each
//   "added_tokens": [{"id": 103,   found in the text as a whole; spelled as in the vocabulary
//                     "normalized": false,     in normalized text, spelling normalized too; else
//                     raw "single_word": false,    not beside a word character "lstrip": false,
//                     "rstrip": false}]   with the white space before, behind it
//
// SentencePiece has the tensors vocab and source, and may have target and target.vocab. Pieces are
// found in the vocabulary by their spelling; the numbers that SentencePiece gives them do not
// matter. Its fields:
//   "type": "sentencepiece"
//   "unk_token": "<unk>"           for pieces that the vocabulary lacks
//   "ids_before": [], "ids_after": [2]         as above
//   "added_tokens": [...]          as above, but "normalized" must be false
//   "special_ids": [0, 1, 2, 3]    of targets: what decoding leaves out
//   "language_use": "none"         or "source", "target_in_text": LanguageUse
//   "languages": [{"name": "en", "id": 128022}]      at most 65,536; none if there is no use
//   "source_language": "en"        of texts that do not say; null unless the use is "source"
//   "language_after": false        the source's token stands behind ids_after, else before
//                                  ids_before
//   "text_languages": false        a text's own head ">>...<<" is one token, unknown if the
//                                  vocabulary lacks it
//
// A pipeline has the tensor vocab, and what its parts need: scores, merges, charsmap. Its fields:
//   "type": "pipeline"
//   "n_pieces": 250002             tokens of the model: the first of the vocabulary
//   "model": {"type": "Unigram", ...}          as in tokenizer.json, without vocabulary and merges
//   "normalizer", "pre_tokenizer", "decoder"   as in tokenizer.json, or null; without the character
//                                  map of a Precompiled
//   "ids_before": [0], "ids_after": [2]        as above
//   "added_tokens": [...]          as above
//   "special_ids": [0, 1, 2, 3]    what decoding leaves out
std::unique_ptr<Tokenizer> make_tokenizer(const Json& spec, const TokenizerTensors& tensors,
                                          const std::string& where);

}  // namespace headlane
