#include "tools/headlane/options/run_options.h"

#include <algorithm>

namespace tool {

namespace {

Model open(const RunOptions& options, bool sizes_only) {
  headlane::ModelOptions model_options;
  model_options.sizes_only = sizes_only ? 1 : 0;
  if (!options.isa.empty()) model_options.isa = options.isa.c_str();
  if (!options.precision.empty()) model_options.precision = options.precision.c_str();
  model_options.gemm = options.gemm.c_str();
  model_options.map = options.map ? 1 : 0;
  model_options.verify = options.verify ? 1 : 0;
  return Model(options.model_path, model_options);
}

}  // namespace

Model open_model(const RunOptions& options) { return open(options, false); }

Model open_sizes(const RunOptions& options) { return open(options, true); }

Session create_session(const Model& model, const RunOptions& options, int64_t max_len) {
  headlane::SessionOptions session_options;
  session_options.max_tokens = std::max(options.batch_tokens, max_len);
  session_options.max_seqs = session_options.max_tokens;  // more only if sequences are empty
  session_options.max_len = max_len;
  session_options.n_threads = options.n_threads;
  return Session(model, session_options);
}

void check_language_model(const headlane_model_facts& facts, const std::string& path) {
  if (facts.has_decoder != 0 && facts.n_layers == 0) return;
  throw std::runtime_error(path + ": is not a language model" +
                           (facts.has_decoder != 0 ? "; headlane translate runs it" : ""));
}

}  // namespace tool
