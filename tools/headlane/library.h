// The C API as the tool uses it: handles that end themselves, statuses that throw.
#pragma once

#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "headlane/headlane.h"

namespace tool {

// Throws std::runtime_error with the library's sentence.
inline void check(headlane_status status) {
  if (status != HEADLANE_OK) throw std::runtime_error(headlane_error());
}

struct ModelClose {
  void operator()(headlane_model* model) const { headlane_model_destroy(model); }
};
struct SessionDestroy {
  void operator()(headlane_session* session) const { headlane_session_destroy(session); }
};
struct GeneratorDestroy {
  void operator()(headlane_generator* generator) const { headlane_generator_destroy(generator); }
};
using Model = std::unique_ptr<headlane_model, ModelClose>;
using Session = std::unique_ptr<headlane_session, SessionDestroy>;
using Generator = std::unique_ptr<headlane_generator, GeneratorDestroy>;

// What the commands that run a model have in common.
struct RunOptions {
  std::string model_path;
  std::string isa;  // "": the fastest there is
  std::string gemm = "headlane";
  std::string precision;  // "": that of the file's weights
  int n_threads = 0;
  int64_t batch_tokens = 2048;  // as fast as more, in less memory
  int64_t max_length = 0;       // 0: the model's own
  // What is put before each text that is embedded: a text, or one of the model's by its name; none:
  // the model's default.
  std::optional<std::string> prompt;
  std::string prompt_name;
};

// Of the options, those that a model has.
Model open_model(const RunOptions& options);
headlane_model_facts facts_of(const headlane_model* model);

// A session for batches of `options.batch_tokens` tokens, or max_len if that is more, and as many
// sequences, each of up to max_len.
Session create_session(headlane_model* model, const RunOptions& options, int64_t max_len);

}  // namespace tool
