// A model and a session on it, as the tests of the C API use them.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "tests/api/handles.h"

namespace headlane::test {

// An answer may be so many times as far from float64 as PyTorch's own in float32: another order of
// the same sums is off by as much, in the other direction, and the hardest place of one need not be
// that of the other.
inline constexpr double kOfPyTorchsError = 4;

using Sequences = std::vector<std::vector<int32_t>>;

struct Encoded {
  std::vector<float> hidden;  // [n_tokens, d_model]
  std::vector<float> pooled;  // [n_seqs, d_model]; empty if the model does not pool
};

inline ModelHandle open_model(const std::string& path, const std::string& isa = "",
                              const std::string& precision = "",
                              const std::string& gemm = "headlane") {
  ModelOptions options;
  if (!isa.empty()) options.isa = isa.c_str();
  if (!precision.empty()) options.precision = precision.c_str();
  options.gemm = gemm.c_str();
  headlane_model* model = nullptr;
  check(headlane_model_open(path.c_str(), &options, &model));
  return ModelHandle(model);
}

inline bool pools(const headlane_model_facts& facts) {
  return std::string(facts.pooling) != "none";
}

// `types`: none, or as many as `ids`.
inline Encoded encode(headlane_session* session, const headlane_model_facts& facts,
                      const Sequences& ids, const Sequences& types = {}) {
  std::vector<int32_t> flat_ids, flat_types;
  std::vector<int64_t> offsets = {0};
  for (const auto& seq : ids) {
    flat_ids.insert(flat_ids.end(), seq.begin(), seq.end());
    offsets.push_back(static_cast<int64_t>(flat_ids.size()));
  }
  for (const auto& seq : types) flat_types.insert(flat_types.end(), seq.begin(), seq.end());
  const size_t d = static_cast<size_t>(facts.d_model);
  Encoded out;
  out.hidden.resize(flat_ids.size() * d);
  if (pools(facts)) out.pooled.resize(ids.size() * d);
  const headlane_batch batch{.struct_size = sizeof batch,
                             .n_seqs = static_cast<int64_t>(ids.size()),
                             .offsets = offsets.data(),
                             .ids = flat_ids.data(),
                             .type_ids = types.empty() ? nullptr : flat_types.data()};
  const headlane_outputs outputs{.struct_size = sizeof outputs,
                                 .hidden = out.hidden.data(),
                                 .pooled = pools(facts) ? out.pooled.data() : nullptr};
  check(headlane_session_encode(session, &batch, &outputs));
  return out;
}

class Encoder {
 public:
  Encoder(const std::string& path, const std::string& isa, int n_threads, int64_t max_tokens = 4096,
          const std::string& gemm = "headlane", const std::string& precision = "")
      : model_(open_model(path, isa, precision, gemm)), facts_(facts_of(model_.get())) {
    headlane_session_options options = HEADLANE_INIT(headlane_session_options);
    options.max_tokens = max_tokens;
    options.n_threads = n_threads;
    headlane_session* session = nullptr;
    check(headlane_session_create(model_.get(), &options, &session));
    session_.reset(session);
  }

  headlane_model* model() { return model_.get(); }
  headlane_session* session() { return session_.get(); }
  const headlane_model_facts& facts() const { return facts_; }
  bool pools() const { return test::pools(facts_); }

  Encoded encode(const Sequences& ids, const Sequences& types = {}) {
    return test::encode(session_.get(), facts_, ids, types);
  }

 private:
  ModelHandle model_;
  headlane_model_facts facts_;
  SessionHandle session_;
};

// Whether this machine runs `isa` (rather than one below it). Asked of the library itself, which
// may be built without it.
inline bool runs(const std::string& path, const std::string& isa) {
  headlane_model_options options = HEADLANE_INIT(headlane_model_options);
  options.isa = isa.c_str();
  headlane_model* made = nullptr;
  const headlane_status status = headlane_model_open(path.c_str(), &options, &made);
  if (status == HEADLANE_INVALID_ARGUMENT) return false;
  check(status);
  const ModelHandle model(made);
  return facts_of(made).isa == isa;
}

}  // namespace headlane::test
