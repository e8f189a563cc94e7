// Many texts to vectors, in one call: tokenised on the threads of a session, sorted by length, run
// in batches as large as the session's, and written to the rows of the texts.
#pragma once

#include <cstdint>

#include "engine/run/session.h"
#include "engine/run/text_tokens.h"

namespace headlane {

// Texts end to end, as in Apache Arrow: text i is the bytes offsets[i] .. offsets[i + 1] of data.
struct TextArray {
  int64_t n_texts = 0;
  const char* data = nullptr;
  int64_t n_bytes = 0;  // of data
  // [n_texts + 1]; one of the two.
  const int32_t* offsets_32 = nullptr;
  const int64_t* offsets_64 = nullptr;

  int64_t offset(int64_t i) const { return offsets_32 ? offsets_32[i] : offsets_64[i]; }
  int64_t n_used_bytes() const { return offset(n_texts) - offset(0); }
  std::string_view text(int64_t i) const {
    const int64_t begin = offset(i), end = offset(i + 1);
    return end == begin ? std::string_view()
                        : std::string_view(data + begin, static_cast<size_t>(end - begin));
  }
};

struct EmbedProgress {
  int64_t n_texts = 0, n_tokens = 0;  // whose vectors are written
};

// Row i of the vectors begins at data + i * stride.
struct EmbedTarget {
  float* data = nullptr;
  int64_t stride = 0;
};

// It is told how far the call is; it ends the call by returning false.
struct EmbedListener {
  bool (*go_on)(void* user, const EmbedProgress& progress) = nullptr;  // null: nobody listens
  void* user = nullptr;
};

// Throws Error that names the first field out of range, of the struct that is called `name`; reads
// no text.
void check_texts(const TextArray& texts, const char* name);

// `second`: null, or the second texts of pairs, of which the texts are the first; as many as these.
// Texts that have been checked; a stride that is vector_columns() or more. Throws Error before a
// row is written, except if it is cancelled or the model's file cannot be read any more: then a row
// is either whole or as it was.
void embed(Session* session, const TextArray& texts, const TextArray* second,
           const TextOptions& options, const EmbedTarget& vectors, const EmbedListener& listener);

}  // namespace headlane
