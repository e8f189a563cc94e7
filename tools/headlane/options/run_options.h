// The commands that run a model share these options, and the functions that obey them.
#pragma once

#include <headlane/headlane.hpp>
#include <optional>
#include <string>

namespace tool {

using headlane::Batch;
using headlane::check;
using headlane::Generator;
using headlane::Model;
using headlane::Session;

struct RunOptions {
  std::string model_path;
  std::string isa;  // "": the fastest there is
  std::string gemm = "headlane";
  std::string precision;  // "": that of the file's weights
  std::string cache;      // of keys and values of language models; "": as the library has it
  bool map = false, verify = false;  // the file
  int n_threads = 0;
  int64_t batch_tokens = 2048;  // as fast as more, in less memory
  int64_t max_length = 0;       // 0: the model's own
  // The prompt before each text that is embedded: a text, or one of the model's by its name; none:
  // the model's default.
  std::optional<std::string> prompt;
  std::string prompt_name;
  bool as_query = false, as_document = false;  // the prompts "query" and "document"
  // It says how vectors are made: "" is the model's own pooling; 0: as many columns as the model's
  // makers mean.
  std::string pooling;
  int64_t truncate_dim = 0;

  const char* cache_or_null() const { return cache.empty() ? nullptr : cache.c_str(); }
};

Model open_model(const RunOptions& options);
// For its facts and sizes alone: nothing can run.
Model open_sizes(const RunOptions& options);

// Throws unless the model, which is the file `path`, is a language model.
void check_language_model(const headlane_model_facts& facts, const std::string& path);

// A session for batches of `options.batch_tokens` tokens, or max_len if that is more, and as many
// sequences, each of up to max_len.
Session create_session(const Model& model, const RunOptions& options, int64_t max_len);

}  // namespace tool
