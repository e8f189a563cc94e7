// Many texts through a model, in one call: tokenised on the threads of a session, sorted by length,
// and run in batches as large as the session's.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

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
  int64_t n_used_bytes() const { return n_texts == 0 ? 0 : offset(n_texts) - offset(0); }
  std::string_view text(int64_t i) const {
    const int64_t begin = offset(i), end = offset(i + 1);
    return end == begin ? std::string_view()
                        : std::string_view(data + begin, static_cast<size_t>(end - begin));
  }
};

// Throws Error that names the first field out of range, of the struct that is called `name`; reads
// no text.
void check_texts(const TextArray& texts, const char* name);

// The sequences of a call: texts, or pairs of them.
struct TextSeqs {
  const TextArray* texts = nullptr;
  const TextArray* second = nullptr;  // null: the texts are no pairs
  // Each text makes a pair with each second one, text by text; else with the second one of its
  // number.
  bool crossed = false;

  int64_t size() const { return texts->n_texts * (crossed ? second->n_texts : 1); }
  std::string_view first_of(int64_t seq) const {
    return texts->text(crossed ? seq / second->n_texts : seq);
  }
  std::string_view second_of(int64_t seq) const {
    return second->text(crossed ? seq % second->n_texts : seq);
  }
  // The number of bytes of all sequences together.
  double n_bytes() const;
};

struct TextProgress {
  int64_t n_seqs = 0, n_tokens = 0;  // of which the rows are there
};

// It is told how far the call is; it ends the call by returning false.
struct TextListener {
  bool (*go_on)(void* user, const TextProgress& progress) = nullptr;  // null: nobody listens
  void* user = nullptr;
};

// It is given what the model's head makes of a sequence: its columns, valid until it returns.
using SeqSink = std::function<void(int64_t seq, const float* row)>;

// It says how the tokens of a sequence are pooled.
struct SeqPooling {
  Pooling pooling = Pooling::kNone;  // in place of the model's own; kNone: that
  bool leaves_out_prompt = false;    // without those of the prompt
};

// `texts` have been checked; of pairs that are not crossed there are as many second texts. Throws
// Error before the sink is called, except if the call is cancelled or the model's file cannot be
// read any more: then the sink was given some of the sequences, those of many tokens first.
void run_texts(Session* session, const TextSeqs& texts, const TextOptions& options,
               const SeqSink& sink, const TextListener& listener, const SeqPooling& pooling = {});

}  // namespace headlane
