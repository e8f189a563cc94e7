#include "tools/headlane/options/run_options.h"

#include <algorithm>

namespace tool {

Model open_model(const RunOptions& options) {
  headlane::ModelOptions model_options;
  if (!options.isa.empty()) model_options.isa = options.isa.c_str();
  if (!options.precision.empty()) model_options.precision = options.precision.c_str();
  model_options.gemm = options.gemm.c_str();
  return Model(options.model_path, model_options);
}

Session create_session(const Model& model, const RunOptions& options, int64_t max_len) {
  headlane::SessionOptions session_options;
  session_options.max_tokens = std::max(options.batch_tokens, max_len);
  session_options.max_seqs = session_options.max_tokens;  // more only if sequences are empty
  session_options.max_len = max_len;
  session_options.n_threads = options.n_threads;
  return Session(model, session_options);
}

}  // namespace tool
