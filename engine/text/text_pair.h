// Two texts as one sequence: what stands around and between them, and how they are cut if they are
// too long.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "engine/file/json.h"

namespace headlane {

// This says which of two texts is cut, as headlane_truncation numbers them. The names are those of
// the `tokenizers` library.
enum class Truncation {
  kLongestFirst,  // the longer one until it is as long as the other, then both
  kOnlyFirst,
  kOnlySecond,
};

struct PairTemplate {
  enum class Kind { kToken, kFirst, kSecond };
  struct Item {
    Kind kind = Kind::kToken;
    int32_t id = 0;    // of a token
    int32_t type = 0;  // of the token, or of all of the text's
  };
  std::vector<Item> items;       // each text once; none: there are no pairs
  bool first_keeps_odd = false;  // see cut_pair
  std::string why_not;           // why there are none, the rest of a sentence; may be ""
  std::string why_no_types;      // likewise, of which types are right; "": these are

  int64_t n_special() const;  // its tokens
};

// The form that BERT has: `before` first `after` second `after`, of type 0 up to the first `after`,
// then of type 1.
PairTemplate bert_pair(const std::vector<int32_t>& before, const std::vector<int32_t>& after);

// The field "pair" of the header's "tokenizer", which tokenizer.h documents. Throws
// Error(kBadFile), whose sentence begins with `where`.
PairTemplate read_pair_template(const Json& spec, int64_t vocab_size, const std::string& where);

struct PairCut {
  size_t most = 0;  // ids of both together
  Truncation truncation = Truncation::kLongestFirst;
  bool from_left = false;  // the first ids go, else the last ones
  // If both are cut, they have as many ids each, and the longer one, or of texts of one length the
  // second, has one more if `most` is odd; or the first has it, as in transformers' tokenizers that
  // are written in Python.
  bool first_keeps_odd = false;
};

// Cuts the ids of two texts. Throws Error(kInvalidArgument) if the one text that may be cut is too
// short.
void cut_pair(const PairCut& how, std::vector<int32_t>* first, std::vector<int32_t>* second);

}  // namespace headlane
