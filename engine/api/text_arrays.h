// Calls on many texts share this: arrays of texts, prompts, rows of the caller's, and progress.
#pragma once

#include "engine/api/c_api.h"
#include "engine/run/text_batches.h"

namespace headlane::c_api {

// Checked. `name` is the argument's.
TextArray read_texts(const headlane_texts* texts, const char* name);

// Second texts of pairs, of which there are n_texts. Null: no pairs.
TextArray read_second(const headlane_texts* second, int64_t n_texts);

// Nothing said of a prompt means the model's default one, as for sentence-transformers.
TextOptions read_prompted(const headlane_tokenize_options* options, const ModelConfig& config);

// The stride of the caller's rows, each of which has room for n_columns. `may_be_0`: 0 is that.
int64_t read_stride(int64_t stride, int64_t n_columns, bool may_be_0, const char* columns);

// The listener of an options struct, which must live as long as the call.
template <typename Options>
TextListener listener_of(Options* options) {
  if (options->on_progress == nullptr) return {};
  const auto go_on = [](void* of, const TextProgress& progress) {
    const auto* to = static_cast<const Options*>(of);
    const headlane_embed_progress told{
        .struct_size = sizeof told, .n_texts = progress.n_seqs, .n_tokens = progress.n_tokens};
    return to->on_progress(to->user, &told) == 0;
  };
  return {go_on, options};
}

}  // namespace headlane::c_api
