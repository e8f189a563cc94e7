#include <chrono>
#include <cstdio>
#include <memory>
#include <optional>

#include "tools/headlane/commands.h"
#include "tools/headlane/options/common_options.h"
#include "tools/headlane/output/json_number.h"
#include "tools/headlane/output/npy.h"
#include "tools/headlane/text/texts.h"

namespace tool {
namespace {

struct EmbedOptions {
  RunOptions run;
  Texts texts;
  std::string output;       // a .npy file; "": JSON lines on standard output
  bool statistics = false;  // print how long it took
};

// One JSON array a row.
void print_rows(const float* rows, int64_t n_rows, int64_t cols) {
  std::string line;
  for (int64_t r = 0; r < n_rows; ++r) {
    line.assign(1, '[');
    for (int64_t c = 0; c < cols; ++c) {
      if (c > 0) line += ",";
      append_json_number(rows[r * cols + c], &line);
    }
    line += "]\n";
    if (std::fwrite(line.data(), 1, line.size(), stdout) != line.size()) {
      throw std::runtime_error("standard output: cannot be written");
    }
  }
  std::fflush(stdout);  // who reads a pipe waits for whole vectors
}

void print_statistics(const Statistics& s, double seconds_to_open) {
  std::fprintf(stderr, "model opened in %.3f s\n", seconds_to_open);
  std::fprintf(stderr, "%lld sentences, %lld tokens, %.3f s, %.1f sentences/s\n",
               static_cast<long long>(s.n_texts), static_cast<long long>(s.n_tokens), s.seconds,
               s.seconds > 0 ? static_cast<double>(s.n_texts) / s.seconds : 0.0);
}

void embed(const EmbedOptions& options) {
  const auto start = std::chrono::steady_clock::now();
  const Model model = open_model(options.run);
  const std::chrono::duration<double> opening = std::chrono::steady_clock::now() - start;
  const int64_t d = columns_of(model, options.run);
  std::optional<NpyWriter> npy;
  if (!options.output.empty()) npy.emplace(options.output, d);
  const auto emit = [&](const float* rows, int64_t n_rows) {
    npy ? npy->append(rows, n_rows) : print_rows(rows, n_rows, d);
  };
  const Statistics statistics = embed_texts(model, options.run, options.texts, !npy, emit);
  if (npy) npy->finish();
  if (options.statistics) print_statistics(statistics, opening.count());
}

}  // namespace

void declare_embed(Command* command) {
  const auto options = std::make_shared<EmbedOptions>();
  add_run_options(command, &options->run);
  add_max_length(command, &options->run);
  add_prompts(command, &options->run);
  add_vectors(command, &options->run);
  add_texts(command, &options->texts);
  command->file("-o,--output", &options->output,
                "A .npy file; -: the same to standard output; none: JSON lines");
  command->flag("--stats", &options->statistics, "Say how long it took (standard error)");
  command->run = [options] { embed(*options); };
}

}  // namespace tool
