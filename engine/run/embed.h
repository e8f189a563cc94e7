// Many texts to vectors, in one call, written to the rows of the texts.
#pragma once

#include "engine/run/text_batches.h"

namespace headlane {

// It says what is made of the texts' hidden states.
struct EmbedOptions {
  TextOptions text;
  Pooling pooling = Pooling::kNone;  // in place of the model's own; kNone: that
  int64_t n_columns = 0;             // of a vector that are written, the first ones; 0: all
};

// Row i of the vectors begins at data + i * stride.
struct EmbedTarget {
  float* data = nullptr;
  int64_t stride = 0;
};

// `second`: null, or the second texts of pairs, of which the texts are the first; as many as these.
// Texts that have been checked; a stride that is n_columns or more. Throws Error before a
// row is written, except if it is cancelled or the model's file cannot be read any more: then a row
// is either whole or as it was.
void embed(Session* session, const TextArray& texts, const TextArray* second,
           const EmbedOptions& options, const EmbedTarget& vectors, const TextListener& listener);

}  // namespace headlane
