// The C API's many texts to vectors.
#include "engine/run/embed.h"

#include <algorithm>

#include "engine/api/text_arrays.h"

using headlane::fail;
using headlane::Status;
using namespace headlane::c_api;  // NOLINT(google-build-using-namespace): what this file is of

namespace {

// A prompt by its name, or as the options of tokenising say.
headlane::TextOptions read_text(const headlane_embed_options& options,
                                const headlane::ModelConfig& config) {
  headlane::TextOptions result = read_prompted(options.tokenize, config);
  if (options.prompt_name == nullptr) return result;
  if (read_struct(options.tokenize, "headlane_tokenize_options").prompt != nullptr) {
    fail(Status::kInvalidArgument, "prompt_name and tokenize.prompt are both set");
  }
  result.prompt = config.prompts.require(options.prompt_name);
  return result;
}

headlane::EmbedOptions read_options(const headlane_embed_options& options,
                                    const headlane::Session& session) {
  const headlane::ModelConfig& config = session.model().config();
  headlane::EmbedOptions result;
  if (options.pooling) result.pooling = headlane::pooling_by_name(options.pooling, false);
  if (options.truncate_dim < 0) {
    fail(Status::kInvalidArgument, "truncate_dim is %lld; it must be 0 or more",
         static_cast<long long>(options.truncate_dim));
  }
  session.check_takes_ids(headlane::Wanted::kNothing);
  const int64_t all = session.vector_columns(result.pooling), meant = config.head.use.truncate_dim;
  const int64_t wanted = options.truncate_dim > 0 ? options.truncate_dim : meant > 0 ? meant : all;
  result.n_columns = std::min(wanted, all);
  result.text = read_text(options, config);
  return result;
}

// The caller's rows of n columns, of which there is one for each text. Programs that do not say how
// wide they are take them to be as wide as hidden states.
headlane::EmbedTarget read_target(float* vectors, int64_t stride, int64_t n_texts, int64_t n,
                                  int64_t d_model) {
  stride = read_stride(stride, n, n == d_model, "the elements of a vector");
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
    const headlane::EmbedOptions how = read_options(read, session->session);
    const auto target = read_target(vectors, stride, array.n_texts, how.n_columns,
                                    session->session.model().config().d_model);
    headlane::embed(&session->session, array, read.second ? &second : nullptr, how, target,
                    listener_of(&read));
  });
}
