#include "tools/headlane/library.h"

#include <algorithm>

namespace tool {

Model open_model(const RunOptions& options) {
  headlane_model_options model_options = HEADLANE_INIT(headlane_model_options);
  if (!options.isa.empty()) model_options.isa = options.isa.c_str();
  if (!options.precision.empty()) model_options.precision = options.precision.c_str();
  model_options.gemm = options.gemm.c_str();
  headlane_model* model = nullptr;
  check(headlane_model_open(options.model_path.c_str(), &model_options, &model));
  return Model(model);
}

headlane_model_facts facts_of(const headlane_model* model) {
  headlane_model_facts facts{};
  facts.struct_size = sizeof facts;
  check(headlane_model_get_facts(model, &facts));
  return facts;
}

Session create_session(headlane_model* model, const RunOptions& options, int64_t max_len) {
  headlane_session_options session_options = HEADLANE_INIT(headlane_session_options);
  session_options.max_tokens = std::max(options.batch_tokens, max_len);
  session_options.max_seqs = session_options.max_tokens;  // more only if sequences are empty
  session_options.max_len = max_len;
  session_options.n_threads = options.n_threads;
  headlane_session* session = nullptr;
  check(headlane_session_create(model, &session_options, &session));
  return Session(session);
}

}  // namespace tool
