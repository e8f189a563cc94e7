// The C API's profiles of sessions.
#include "engine/run/profile.h"

#include "engine/api/c_api.h"

using headlane::fail;
using headlane::Status;
using namespace headlane::c_api;  // NOLINT(google-build-using-namespace): what this file is of

namespace {

// Index i of `n` passes or threads.
size_t checked_index(const char* name, int64_t i, int64_t n) {
  if (i >= 0 && i < n) return static_cast<size_t>(i);
  fail(Status::kInvalidArgument, "%s is %lld; it must be from 0 to %lld", name,
       static_cast<long long>(i), static_cast<long long>(n - 1));
}

}  // namespace

headlane_status headlane_session_profile(headlane_session* session, int32_t on) {
  return guarded([&] {
    require(session, "session");
    session->session.profile().set(on != 0);
  });
}

headlane_status headlane_session_get_pass(const headlane_session* session, int64_t i,
                                          headlane_pass_facts* out) {
  return guarded([&] {
    require(session, "session");
    const auto& passes = session->session.profile().passes();
    const auto n = static_cast<int64_t>(passes.size());
    const headlane::PassProfile& pass = passes[checked_index("pass", i, n)];
    headlane_pass_facts facts{};
    facts.name = pass.name.c_str();
    facts.n_passes = n;
    facts.n_runs = pass.n_runs;
    facts.seconds = pass.seconds;
    facts.flops = pass.flops;
    facts.weight_bytes = pass.weight_bytes;
    facts.block_rows = pass.block_rows;
    facts.activation_bytes = pass.activation_bytes;
    facts.n_threads = session->session.profile().n_threads();
    write_struct(facts, out, "headlane_pass_facts");
  });
}

headlane_status headlane_session_get_span(const headlane_session* session, int64_t pass,
                                          int64_t thread, headlane_pass_span* out) {
  return guarded([&] {
    require(session, "session");
    const headlane::Profile& profile = session->session.profile();
    const auto n = static_cast<int64_t>(profile.passes().size());
    const headlane::TimeSpan& span =
        profile.span(checked_index("pass", pass, n),
                     static_cast<int64_t>(checked_index("thread", thread, profile.n_threads())));
    write_struct(headlane_pass_span{.struct_size = 0, .begin = span.begin, .end = span.end}, out,
                 "headlane_pass_span");
  });
}
