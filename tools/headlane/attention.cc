#include "tools/headlane/attention.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>

#include "tools/headlane/commands.h"
#include "tools/headlane/labels.h"
#include "tools/headlane/output_file.h"

namespace tool {
namespace {

struct Range {
  int64_t first, n;
};

// All `n_there` of them, or the one that was asked for.
Range selected(int64_t asked, int64_t n_there, const std::string& what) {
  if (asked < 0) return {0, n_there};
  if (asked < n_there) return {asked, 1};
  throw std::runtime_error(
      "--" + what + " is " + std::to_string(asked) + ", the model has " +
      (n_there == 1 ? what + " 0 only" : what + "s 0 to " + std::to_string(n_there - 1)));
}

std::vector<int32_t> tokenize(const headlane_model* model, const std::string& text,
                              int64_t max_len) {
  int64_t n_ids = 0;
  check(headlane_tokenize(model, text.data(), text.size(), max_len, nullptr, 0, &n_ids));
  if (n_ids == 0) throw std::runtime_error("the text has no tokens");
  std::vector<int32_t> ids(static_cast<size_t>(n_ids));
  check(headlane_tokenize(model, text.data(), text.size(), max_len, ids.data(), n_ids, &n_ids));
  return ids;
}

void run_model(headlane_model* model, const RunOptions& options, const std::vector<int32_t>& ids,
               AttentionMaps* maps) {
  const auto n = static_cast<int64_t>(ids.size());
  RunOptions one_text = options;
  one_text.batch_tokens = n;
  const Session session = create_session(model, one_text, n);
  maps->probabilities.resize(static_cast<size_t>(maps->n_layers * maps->n_heads * n * n));
  headlane_attention_maps wanted = HEADLANE_ATTENTION_MAPS_INIT;
  wanted.data = maps->probabilities.data();
  wanted.layer_stride = maps->n_heads * n * n;
  wanted.seq_stride = wanted.layer_stride;  // of one sequence: never stepped by
  wanted.head_stride = n * n;
  wanted.query_stride = n;
  wanted.first_layer = maps->first_layer;
  wanted.n_layers = maps->n_layers;
  wanted.first_head = maps->first_head;
  wanted.n_heads = maps->n_heads;
  const int64_t offsets[] = {0, n};
  const headlane_batch batch{sizeof batch, 1, offsets, ids.data(), nullptr};
  const headlane_outputs outputs{sizeof outputs, nullptr, nullptr, &wanted};
  check(headlane_encode(session.get(), &batch, &outputs));
}

AttentionMaps attention_maps(const AttentionOptions& options) {
  const Model model = open_model(options.run);
  const headlane_model_facts facts = facts_of(model.get());
  const Range layers = selected(options.layer, facts.n_layers, "layer");
  const Range heads = selected(options.head, facts.n_heads, "head");
  const std::vector<int32_t> ids =
      tokenize(model.get(), options.text, length_limit(facts, options.run));
  AttentionMaps maps;
  maps.model = valid_utf8(std::filesystem::path(options.run.model_path).filename().string());
  maps.text = valid_utf8(options.text);
  maps.first_layer = layers.first;
  maps.n_layers = layers.n;
  maps.first_head = heads.first;
  maps.n_heads = heads.n;
  for (const int32_t id : ids) {
    const char* text = nullptr;
    size_t text_bytes = 0;
    check(headlane_token_text(model.get(), id, &text, &text_bytes));
    maps.tokens.push_back(valid_utf8({text, text_bytes}));
  }
  run_model(model.get(), options.run, ids, &maps);
  return maps;
}

int terminal_columns() {
  winsize size{};
  return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

void print(const std::string& text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0) {
    throw std::runtime_error("standard output: cannot be written");
  }
}

}  // namespace

void attention(const AttentionOptions& options) {
  const AttentionMaps maps = attention_maps(options);
  if (!options.html.empty()) write_output(options.html, attention_page(maps));
  if (!options.png.empty()) write_output(options.png, attention_png(maps));
  if (options.json == "-") {
    print(attention_json(maps));
  } else if (!options.json.empty()) {
    write_output(options.json, attention_json(maps));
  }
  if (options.html.empty() && options.png.empty() && options.json.empty()) {
    print(attention_table(maps, terminal_columns()));
  }
}

}  // namespace tool
