// The C API's many texts to vectors.
#include "engine/run/embed.h"

#include "engine/api/text_arrays.h"

using namespace headlane::c_api;  // NOLINT(google-build-using-namespace): what this file is of

namespace {

// The caller's rows, of which there is one for each text. Programs that do not say how wide they
// are take them to be as wide as hidden states.
headlane::EmbedTarget read_target(float* vectors, int64_t stride, int64_t n_texts,
                                  const headlane::ModelConfig& config) {
  const int64_t d = config.vector_columns();
  if (d == 0) return {};  // embed says so
  stride = read_stride(stride, d, d == config.d_model, "the elements of a vector");
  if (n_texts > 0) require(vectors, "vectors");
  return {vectors, stride};
}

}  // namespace

headlane_status headlane_session_embed(headlane_session* session, const headlane_texts* texts,
                                       const headlane_embed_options* options, float* vectors,
                                       int64_t stride) {
  return guarded([&] {
    require(session, "session");
    const headlane::TextArray array = read_texts(texts, "texts");
    auto read = read_struct(options, "headlane_embed_options");
    const headlane::TextArray second = read_second(read.second, array.n_texts);
    const headlane::ModelConfig& config = session->session.model().config();
    const auto target = read_target(vectors, stride, array.n_texts, config);
    headlane::embed(&session->session, array, read.second ? &second : nullptr,
                    read_prompted(read.tokenize, config), target, listener_of(&read));
  });
}
