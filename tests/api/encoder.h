// A model and a session on it, as the tests of the C API use them.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "headlane/headlane.h"
#include "tools/headlane/library.h"

namespace headlane::test {

using Sequences = std::vector<std::vector<int32_t>>;

struct Encoded {
  std::vector<float> hidden;  // [n_tokens, d_model]
  std::vector<float> pooled;  // [n_seqs, d_model]; empty if the model does not pool
};

class Encoder {
 public:
  Encoder(const std::string& path, const std::string& isa, int n_threads, int64_t max_tokens = 4096,
          const std::string& gemm = "headlane")
      : model_(tool::open_model({.model_path = path, .isa = isa, .gemm = gemm})),
        facts_(tool::facts_of(model_.get())) {
    headlane_session_options options = HEADLANE_SESSION_OPTIONS_INIT;
    options.max_tokens = max_tokens;
    options.n_threads = n_threads;
    headlane_session* session = nullptr;
    tool::check(headlane_session_create(model_.get(), &options, &session));
    session_.reset(session);
  }

  headlane_model* model() { return model_.get(); }
  headlane_session* session() { return session_.get(); }
  const headlane_model_facts& facts() const { return facts_; }
  bool pools() const { return std::string(facts_.pooling) != "none"; }

  // `types`: none, or as many as `ids`.
  Encoded encode(const Sequences& ids, const Sequences& types = {}) {
    std::vector<int32_t> flat_ids, flat_types;
    std::vector<int64_t> offsets = {0};
    for (const auto& seq : ids) {
      flat_ids.insert(flat_ids.end(), seq.begin(), seq.end());
      offsets.push_back(static_cast<int64_t>(flat_ids.size()));
    }
    for (const auto& seq : types) flat_types.insert(flat_types.end(), seq.begin(), seq.end());
    const size_t d = static_cast<size_t>(facts_.d_model);
    Encoded out;
    out.hidden.resize(flat_ids.size() * d);
    if (pools()) out.pooled.resize(ids.size() * d);
    const headlane_batch batch{sizeof batch, static_cast<int64_t>(ids.size()), offsets.data(),
                               flat_ids.data(), types.empty() ? nullptr : flat_types.data()};
    const headlane_outputs outputs{sizeof outputs, out.hidden.data(),
                                   pools() ? out.pooled.data() : nullptr, nullptr};
    tool::check(headlane_encode(session_.get(), &batch, &outputs));
    return out;
  }

 private:
  tool::Model model_;
  headlane_model_facts facts_;
  tool::Session session_;
};

// Whether this machine runs `isa` (rather than one below it). Asked of the library itself.
inline bool runs(const std::string& path, const std::string& isa) {
  return std::string(
             tool::facts_of(tool::open_model({.model_path = path, .isa = isa}).get()).isa) == isa;
}

}  // namespace headlane::test
