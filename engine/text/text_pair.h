// Two texts as one sequence: what stands around and between them, and how they are cut if they are
// too long.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "engine/file/json.h"

namespace headlane {

// This says which of two texts is cut. The names are those of the `tokenizers` library.
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
  std::vector<Item> items;   // each text once; none: there are no pairs
  std::string why_not;       // why there are none, the rest of a sentence; may be ""
  std::string why_no_types;  // likewise, of which types are right; "": these are

  int64_t n_special() const;  // its tokens
};

// The form that BERT has: `before` first `after` second `after`, of type 0 up to the first `after`,
// then of type 1.
PairTemplate bert_pair(const std::vector<int32_t>& before, const std::vector<int32_t>& after);

// The field "pair" of the header's "tokenizer", which tokenizer.h documents. Throws
// Error(kBadFile), whose sentence begins with `where`.
PairTemplate read_pair_template(const Json& spec, int64_t vocab_size, const std::string& where);

// Cuts the ids of two texts so that both together have `most`; `from_left`: the first ids go, else
// the last ones. Throws Error(kInvalidArgument) if the one text that may be cut is too short.
void cut_pair(size_t most, Truncation truncation, bool from_left, std::vector<int32_t>* first,
              std::vector<int32_t>* second);

}  // namespace headlane
