#include <charconv>
#include <fstream>

#include "tools/headlane/batches.h"
#include "tools/headlane/commands.h"
#include "tools/headlane/npy.h"

namespace tool {
namespace {

// The ids of one line, separated by spaces or tabs.
std::vector<int32_t> parse_ids(const std::string& line, const std::string& where) {
  std::vector<int32_t> ids;
  const char* at = line.data();
  const char* end = at + line.size();
  while (true) {
    while (at < end && (*at == ' ' || *at == '\t' || *at == '\r')) ++at;
    if (at == end) return ids;
    int32_t id = 0;
    const auto [next, error] = std::from_chars(at, end, id);
    const bool ends_here = next == end || *next == ' ' || *next == '\t' || *next == '\r';
    if (error != std::errc() || !ends_here) {
      const std::string word(at,
                             std::find_if(at, end, [](char c) { return c == ' ' || c == '\t'; }));
      throw std::runtime_error(where + ": \"" + word.substr(0, 40) + "\" is not a token id");
    }
    ids.push_back(id);
    at = next;
  }
}

}  // namespace

void encode(const EncodeOptions& options) {
  const Model model = open_model(options.run);
  const headlane_model_facts facts = facts_of(model.get());
  if (facts.vocab_size == 0) {
    throw std::runtime_error(options.run.model_path + ": takes activations (--x), not token ids");
  }
  std::ifstream file(options.ids, std::ios::binary);
  if (!file) throw std::runtime_error(options.ids + ": cannot be read");
  NpyWriter npy(options.output, facts.d_model);
  BatchRunner runner(model.get(), options.run, facts.max_positions, Want::kHidden,
                     [&](const float* rows, int64_t n_rows) { npy.append(rows, n_rows); });
  int64_t line_number = 0;
  for (std::string line; std::getline(file, line);) {
    const std::string where = options.ids + ":" + std::to_string(++line_number);
    const std::vector<int32_t> ids = parse_ids(line, where);
    if (static_cast<int64_t>(ids.size()) > facts.max_positions) {
      throw std::runtime_error(where + ": " + std::to_string(ids.size()) + " ids, the model has " +
                               std::to_string(facts.max_positions) + " positions");
    }
    for (const int32_t id : ids) {
      if (id < 0 || id >= facts.vocab_size) {
        throw std::runtime_error(where + ": id " + std::to_string(id) + " is not from 0 to " +
                                 std::to_string(facts.vocab_size - 1));
      }
    }
    runner.add(ids);
  }
  if (file.bad()) throw std::runtime_error(options.ids + ": read error");
  runner.flush();
  npy.finish();
}

}  // namespace tool
