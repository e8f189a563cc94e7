// The C API's many texts to vectors.
#include "engine/run/embed.h"

#include "engine/api/c_api.h"

using headlane::fail;
using headlane::Status;
using namespace headlane::c_api;  // NOLINT(google-build-using-namespace): what this file is of

namespace {

using ll = long long;

headlane::TextArray read_texts(const headlane_texts* texts, const char* name) {
  require(texts, name);
  const auto read = read_struct(texts, "headlane_texts");
  headlane::TextArray array;
  array.n_texts = read.n_texts;
  array.data = read.data;
  array.n_bytes = read.data_bytes;
  array.offsets_32 = read.offsets_32;
  array.offsets_64 = read.offsets_64;
  check_texts(array, name);
  return array;
}

// Nothing said of a prompt means the model's default one, as for sentence-transformers.
headlane::TextOptions read_prompted(const headlane_tokenize_options* options,
                                    const headlane::ModelConfig& config) {
  headlane::TextOptions result = read_text_options(options);
  const auto read = read_struct(options, "headlane_tokenize_options");
  if (read.prompt == nullptr) result.prompt = config.prompts.default_text();
  return result;
}

// The caller's rows, of which there is one for each text. Programs that do not say how wide they
// are take them to be as wide as hidden states.
headlane::EmbedTarget read_target(float* vectors, int64_t stride, int64_t n_texts,
                                  const headlane::ModelConfig& config) {
  const int64_t d = config.vector_columns();
  if (d == 0) return {};  // embed says so
  if (stride == 0 && d == config.d_model) stride = d;
  if (stride < d) {
    fail(Status::kInvalidArgument,
         "stride is %lld; it must be %sat least %lld, the elements of a vector", ll{stride},
         d == config.d_model ? "0, or " : "", ll{d});
  }
  if (n_texts > 0) require(vectors, "vectors");
  return {vectors, stride};
}

bool go_on(void* options, const headlane::EmbedProgress& progress) {
  const auto* to = static_cast<const headlane_embed_options*>(options);
  const headlane_embed_progress told{
      .struct_size = sizeof told, .n_texts = progress.n_texts, .n_tokens = progress.n_tokens};
  return to->on_progress(to->user, &told) == 0;
}

}  // namespace

headlane_status headlane_session_embed(headlane_session* session, const headlane_texts* texts,
                                       const headlane_embed_options* options, float* vectors,
                                       int64_t stride) {
  return guarded([&] {
    require(session, "session");
    const headlane::TextArray array = read_texts(texts, "texts");
    auto read = read_struct(options, "headlane_embed_options");
    headlane::TextArray second;
    if (read.second) {
      second = read_texts(read.second, "second");
      if (second.n_texts != array.n_texts) {
        fail(Status::kInvalidArgument, "second.n_texts is %lld; it must be as texts.n_texts, %lld",
             ll{second.n_texts}, ll{array.n_texts});
      }
    }
    const headlane::ModelConfig& config = session->session.model().config();
    const auto target = read_target(vectors, stride, array.n_texts, config);
    headlane::EmbedListener listener;
    if (read.on_progress) listener = {go_on, &read};
    headlane::embed(&session->session, array, read.second ? &second : nullptr,
                    read_prompted(read.tokenize, config), target, listener);
  });
}
