#include <fstream>

#include "tools/headlane/batches.h"
#include "tools/headlane/commands.h"
#include "tools/headlane/npy.h"
#include "tools/headlane/token_ids.h"

namespace tool {
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
    check_ids(ids, facts, where);
    runner.add(ids);
  }
  if (file.bad()) throw std::runtime_error(options.ids + ": read error");
  runner.flush();
  npy.finish();
}

}  // namespace tool
