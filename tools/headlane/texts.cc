#include "tools/headlane/texts.h"

#include <unistd.h>

#include <chrono>
#include <filesystem>

#include "tools/headlane/lines.h"
#include "tools/headlane/progress.h"

namespace tool {

bool from_standard_input(const Texts& texts) {
  return texts.of_command_line.empty() && (texts.file.empty() || texts.file == "-");
}

int64_t input_bytes(const Texts& texts) {
  std::error_code ignored;
  if (!texts.of_command_line.empty() || texts.file == "-") return 0;
  if (!std::filesystem::is_regular_file(texts.file, ignored)) return 0;
  return static_cast<int64_t>(std::filesystem::file_size(texts.file, ignored));
}

int64_t length_limit(const headlane_model_facts& facts, const RunOptions& options) {
  const int64_t max_len = options.max_length ? options.max_length : facts.max_seq_len;
  if (max_len > facts.max_positions) {
    throw std::runtime_error("--max-length is " + std::to_string(max_len) + ", the model has " +
                             std::to_string(facts.max_positions) + " positions");
  }
  return max_len;
}

std::string prompt_of(const headlane_model* model, const RunOptions& options) {
  if (options.prompt) return *options.prompt;
  if (options.prompt_name.empty()) {
    const char* by_default = facts_of(model).default_prompt;
    return by_default ? by_default : "";
  }
  const char* text = nullptr;
  check(headlane_model_find_prompt(model, options.prompt_name.c_str(), &text));
  return text;
}

std::vector<int32_t> tokenize_behind(const std::string& prompt, const headlane_model* model,
                                     const std::string& text, int64_t max_len) {
  headlane_tokenize_options options = HEADLANE_TOKENIZE_OPTIONS_INIT;
  options.max_len = max_len;
  options.prompt = prompt.c_str();
  std::vector<int32_t> ids(static_cast<size_t>(max_len));
  int64_t n_ids = 0;
  check(headlane_tokenize_with(model, text.data(), text.size(), &options, ids.data(), max_len,
                               &n_ids));
  ids.resize(static_cast<size_t>(n_ids));
  return ids;
}

void for_each_text(const Texts& texts,
                   const std::function<void(const std::string&, int64_t)>& body) {
  int64_t bytes = 0;
  for (const std::string& text : texts.of_command_line) {
    bytes += static_cast<int64_t>(text.size());
    body(text, bytes);
  }
  if (!texts.of_command_line.empty()) return;
  for_each_line(texts.file, body);
}

Statistics embed_texts(headlane_model* model, const RunOptions& options, const Texts& texts,
                       bool prints, BatchRunner::Emit emit) {
  const int64_t max_len = length_limit(facts_of(model), options);
  BatchRunner runner(model, options, max_len, Want::kPooled, std::move(emit));
  const bool shown = isatty(STDERR_FILENO) != 0 && !(prints && isatty(STDOUT_FILENO) != 0);
  Progress progress(shown, input_bytes(texts));
  Statistics statistics;
  const auto start = std::chrono::steady_clock::now();
  const std::string prompt = prompt_of(model, options);
  for_each_text(texts, [&](const std::string& text, int64_t bytes) {
    const std::vector<int32_t> ids = tokenize_behind(prompt, model, text, max_len);
    runner.add(ids);
    statistics.n_tokens += std::ssize(ids);
    progress.update(++statistics.n_texts, bytes);
  });
  runner.flush();
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
  statistics.seconds = taken.count();
  return statistics;
}

}  // namespace tool
