#include <charconv>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <optional>

#include "tools/headlane/batches.h"
#include "tools/headlane/commands.h"
#include "tools/headlane/npy.h"
#include "tools/headlane/progress.h"

namespace tool {
namespace {

// Calls body(line, bytes_read_so_far) for each text.
template <typename Body>
void for_each_text(const EmbedOptions& options, Body body) {
  int64_t bytes = 0;
  if (!options.texts.empty()) {
    for (const std::string& text : options.texts)
      body(text, bytes += static_cast<int64_t>(text.size()));
    return;
  }
  std::ifstream file;
  if (!options.input.empty()) {
    file.open(options.input, std::ios::binary);
    if (!file || std::filesystem::is_directory(options.input)) {
      throw std::runtime_error(options.input + ": cannot be read");
    }
  }
  std::istream& in = options.input.empty() ? std::cin : file;
  for (std::string line; std::getline(in, line);)
    body(line, bytes += static_cast<int64_t>(line.size()) + 1);
  if (in.bad())
    throw std::runtime_error((options.input.empty() ? "standard input" : options.input) +
                             ": read error");
}

// One JSON array a row: the shortest decimals that read back as the same floats. JSON has no NaN or
// infinity; null stands for them.
void print_rows(const float* rows, int64_t n_rows, int64_t cols) {
  std::string line;
  for (int64_t r = 0; r < n_rows; ++r) {
    line.assign(1, '[');
    for (int64_t c = 0; c < cols; ++c) {
      if (c > 0) line += ",";
      const float value = rows[r * cols + c];
      if (!(value - value == 0)) {
        line += "null";
        continue;
      }
      char digits[32];
      line.append(digits, std::to_chars(digits, digits + sizeof digits, value).ptr);
    }
    line += "]\n";
    if (std::fwrite(line.data(), 1, line.size(), stdout) != line.size()) {
      throw std::runtime_error("standard output: cannot be written");
    }
  }
}

int64_t input_bytes(const EmbedOptions& options) {
  std::error_code ignored;
  if (!options.texts.empty() || !std::filesystem::is_regular_file(options.input, ignored)) return 0;
  return static_cast<int64_t>(std::filesystem::file_size(options.input, ignored));
}

}  // namespace

void embed(const EmbedOptions& options) {
  const Model model = open_model(options.run.model_path, options.run.isa);
  const headlane_model_facts facts = facts_of(model.get());
  const int64_t max_len = options.run.max_length ? options.run.max_length : facts.max_seq_len;
  if (max_len > facts.max_positions) {
    throw std::runtime_error("--max-length is " + std::to_string(max_len) + ", the model has " +
                             std::to_string(facts.max_positions) + " positions");
  }
  std::optional<NpyWriter> npy;
  if (!options.output.empty()) npy.emplace(options.output, facts.d_model);
  BatchRunner runner(model.get(), options.run, max_len, Want::kPooled,
                     [&](const float* rows, int64_t n_rows) {
                       npy ? npy->append(rows, n_rows) : print_rows(rows, n_rows, facts.d_model);
                     });
  Progress progress(input_bytes(options));
  std::vector<int32_t> ids;
  int64_t n_texts = 0;
  for_each_text(options, [&](const std::string& text, int64_t bytes) {
    int64_t n_ids = 0;
    ids.resize(static_cast<size_t>(max_len));
    check(headlane_tokenize(model.get(), text.data(), text.size(), max_len, ids.data(), max_len,
                            &n_ids));
    ids.resize(static_cast<size_t>(n_ids));
    runner.add(ids);
    progress.update(++n_texts, bytes);
  });
  runner.flush();
  if (npy) npy->finish();
  if (!npy && std::fflush(stdout) != 0)
    throw std::runtime_error("standard output: cannot be written");
}

}  // namespace tool
