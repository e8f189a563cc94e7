// The C API's sessions.
#include "engine/run/session.h"

#include "engine/api/attention_options.h"
#include "engine/api/c_api.h"
#include "engine/api/options.h"

using namespace headlane::c_api;  // NOLINT(google-build-using-namespace): what this file is of

namespace {

headlane::Limits limits_of(const headlane_model* model, const headlane_session_options& options,
                           const WorkOptions& work) {
  return session_limits(*model->model, {.max_tokens = options.max_tokens,
                                        .max_seqs = options.max_seqs,
                                        .max_len = options.max_len,
                                        .n_threads = work.threads.count,
                                        .cross_attention = options.cross_attention != 0,
                                        .max_kv_tokens = options.max_kv_tokens,
                                        .precision = work.precision});
}

}  // namespace

headlane_status headlane_session_bytes(const headlane_model* model,
                                       const headlane_session_options* options, size_t* out) {
  return guarded([&] {
    require(model, "model");
    require(out, "out");
    const auto read = read_struct(options, "headlane_session_options");
    *out = headlane::Session::bytes(*model->model, limits_of(model, read, read_work_options(read)));
  });
}

headlane_status headlane_session_create(headlane_model* model,
                                        const headlane_session_options* options,
                                        headlane_session** out) {
  return guarded([&] {
    require(model, "model");
    require(out, "out");
    const auto read = read_struct(options, "headlane_session_options");
    const WorkOptions work = read_work_options(read);
    const headlane::Limits limits = limits_of(model, read, work);
    work.check_memory(headlane::Session::bytes(*model->model, limits));
    *out = new headlane_session{
        headlane::Session(*model->model, limits, work.memory, work.threads.pool)};
    model->model->log().info(
        "session: %lld tokens, sequences to %lld, %lld %s, products in %s",
        static_cast<long long>(limits.max_tokens), static_cast<long long>(limits.max_len),
        static_cast<long long>(limits.n_threads), work.threads.name(), name_of(limits.precision));
  });
}

headlane_status headlane_session_set_cancelled(headlane_session* session, int32_t cancelled) {
  return guarded([&] {
    require(session, "session");
    session->session.set_cancelled(cancelled != 0);
  });
}

void headlane_session_destroy(headlane_session* session) { delete session; }

namespace {

// Programs that do not say how wide the vectors are that they have room for take them to be as wide
// as hidden states.
void check_pooled(const headlane_outputs& outputs, int64_t d, int64_t d_model) {
  if ((outputs.d_pooled == 0 ? d_model : outputs.d_pooled) == d) return;
  headlane::fail(headlane::Status::kInvalidArgument,
                 "outputs.d_pooled is %lld; it must be %lld, the columns of a vector%s",
                 static_cast<long long>(outputs.d_pooled), static_cast<long long>(d),
                 outputs.d_pooled == 0 ? ", since a hidden state has others" : "");
}

}  // namespace

headlane_status headlane_session_encode(headlane_session* session, const headlane_batch* batch,
                                        const headlane_outputs* outputs) {
  return guarded([&] {
    require(session, "session");
    require(batch, "batch");
    require(outputs, "outputs");
    const auto in = read_struct(batch, "headlane_batch");
    const auto out = read_struct(outputs, "headlane_outputs");
    const headlane::ModelConfig& config = session->session.model().config();
    const headlane::LayerMaps maps =
        read_maps(out.attention, config.encoder.n_layers, config.encoder.attention.n_heads);
    using headlane::Wanted;
    headlane::Session& on = session->session;
    const auto pooling =
        out.pooling ? headlane::pooling_by_name(out.pooling, false) : headlane::Pooling::kNone;
    on.check_takes_ids(Wanted::kNothing);
    if (out.pooled) check_pooled(out, on.vector_columns(pooling), config.d_model);
    if (out.scores) on.check_takes_ids(Wanted::kScores);
    on.encode({in.n_seqs, in.offsets, in.ids, in.type_ids, in.n_left_out}, out.hidden,
              out.scores ? out.scores : out.pooled, out.attention ? &maps : nullptr,
              out.pooled ? pooling : headlane::Pooling::kNone);
  });
}
