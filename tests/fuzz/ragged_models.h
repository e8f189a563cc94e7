// The models of the fuzzers of batches: converted and opened once, with one session each.
#pragma once

#include "tests/fuzz/folder.h"
#include "tests/fuzz/ragged.h"

namespace headlane::fuzz {

constexpr int64_t kSessionTokens = 48, kSessionSeqs = 5, kSessionLen = 20;

// The model of a folder of tests/golden; it is closed at the end of the process.
class OpenModel {
 public:
  OpenModel(const char* folder, const char* precision) {
    static const Folder out;
    const std::string path = out.file("model.headlane");
    headlane_model_options options = HEADLANE_INIT(headlane_model_options);
    options.precision = precision;
    if (headlane_convert(golden(folder).c_str(), path.c_str(), nullptr) != HEADLANE_OK ||
        headlane_model_open(path.c_str(), &options, &model_) != HEADLANE_OK) {
      finding(folder, headlane_error());
    }
    facts_.struct_size = sizeof facts_;
    headlane_model_get_facts(model_, &facts_);
  }
  OpenModel(const OpenModel&) = delete;
  OpenModel& operator=(const OpenModel&) = delete;
  ~OpenModel() { headlane_model_destroy(model_); }

  headlane_model* get() const { return model_; }
  const headlane_model_facts& facts() const { return facts_; }

 private:
  headlane_model* model_ = nullptr;
  headlane_model_facts facts_{};
};

// A session in a block of its own, to the byte, of kSession... tokens.
class OpenSession {
 public:
  OpenSession(const char* folder, const char* precision, bool cross, int32_t n_threads = 1)
      : model_(folder, precision) {
    headlane_session_options options = HEADLANE_INIT(headlane_session_options);
    options.max_tokens = kSessionTokens;
    options.max_seqs = kSessionSeqs;
    options.max_len = std::min(kSessionLen, facts().max_positions);
    options.n_threads = n_threads;
    options.cross_attention = cross;
    cross_ = cross || (facts().n_decoder_layers > 0 && facts().has_decoder == 0);
    if (cross_) options.max_kv_tokens = kSessionTokens;
    size_t bytes = 0;
    if (headlane_session_bytes(model_.get(), &options, &bytes) == HEADLANE_OK) {
      block_ = std::make_unique<Block>(bytes);
      options.memory = block_->data();
      options.memory_bytes = bytes;
    }
    if (headlane_session_create(model_.get(), &options, &session_) != HEADLANE_OK) {
      finding(folder, headlane_error());
    }
  }
  OpenSession(const OpenSession&) = delete;
  OpenSession& operator=(const OpenSession&) = delete;
  ~OpenSession() { headlane_session_destroy(session_); }

  headlane_session* get() const { return session_; }
  const headlane_model_facts& facts() const { return model_.facts(); }
  bool cross() const { return cross_; }

 private:
  OpenModel model_;
  std::unique_ptr<Block> block_;
  headlane_session* session_ = nullptr;
  bool cross_ = false;
};

// A result that a session must give again, whatever calls came between.
class Reference {
 public:
  template <typename Run>
  void check(Run run, const char* what) {
    std::vector<float> now = run();
    if (first_.empty()) first_ = now;
    if (now.size() != first_.size() ||
        std::memcmp(now.data(), first_.data(), now.size() * sizeof(float)) != 0) {
      finding(what, "gives other bits than before");
    }
  }

 private:
  std::vector<float> first_;
};

}  // namespace headlane::fuzz
