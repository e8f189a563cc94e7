#include "tools/headlane/encode.h"

#include <algorithm>
#include <iterator>
#include <memory>

#include "tools/headlane/batches.h"
#include "tools/headlane/commands.h"
#include "tools/headlane/common_options.h"
#include "tools/headlane/lines.h"
#include "tools/headlane/npy.h"
#include "tools/headlane/token_ids.h"

namespace tool {
namespace {

void encode(const EncodeOptions& options) {
  const Model model = open_model(options.run);
  const headlane_model_facts facts = facts_of(model.get());
  if (facts.vocab_size == 0) {
    throw std::runtime_error(options.run.model_path + ": takes activations (--x), not token ids");
  }
  NpyWriter npy(options.output, facts.d_model);
  BatchRunner runner(model.get(), options.run, facts.max_positions, Want::kHidden,
                     [&](const float* rows, int64_t n_rows) { npy.append(rows, n_rows); });
  int64_t line_number = 0;
  for_each_line(options.ids, [&](const std::string& line, int64_t) {
    const std::string where = shown_name(options.ids) + ":" + std::to_string(++line_number);
    const std::vector<int32_t> ids = parse_ids(line, where);
    check_ids(ids, facts, where);
    runner.add(ids);
  });
  runner.flush();
  npy.finish();
}

}  // namespace

void declare_encode(Command* command) {
  const auto options = std::make_shared<EncodeOptions>();
  EncodeOptions* to = options.get();
  add_run_options(command, &to->run);
  const Option* ids =
      command->file("--ids", &to->ids,
                    "Of a model of text: a file of ids, one sequence a line; -: standard input");
  const Option* x =
      command
          ->file("--x", &to->x,
                 "Of a model of layers: .npy, float32, [n, d_model], [batch, n, d_model] or, "
                 "without batch_first, [n, batch, d_model]")
          ->excludes(ids);
  const Option* key =
      command
          ->file("--key", &to->key,
                 "Cross-attention: .npy, [.., n_keys, kdim]; a decoder's memory, or src")
          ->needs(x);
  command->file("--value", &to->value, ".npy, [.., n_keys, vdim]; none: the keys")->needs(key);
  command
      ->file(
          "--attn-mask", &to->attn_mask,
          ".npy as PyTorch's attn_mask: [n, n_keys] or [batch * heads, n, n_keys]; true: not "
          "seen; float32: added, also where PyTorch's fast path takes what is not 0 for true; of "
          "a decoder its tgt_mask")
      ->needs(x);
  command
      ->file("--key-padding-mask", &to->key_padding_mask,
             ".npy as PyTorch's: [batch, n_keys], true: not seen; of a decoder src's, and "
             "memory's, at their ends")
      ->needs(x);
  command
      ->file("--tgt-key-padding-mask", &to->tgt_key_padding_mask,
             "Of a decoder: .npy as PyTorch's, [batch, n], true: not seen")
      ->needs(x);
  command->flag("--causal", &to->causal, "Row i sees keys 0 to i")->needs(x);
  command->file("-o,--output", &to->output, "The .npy file to write; -: standard output")
      ->required();
  command->run = [options, ids, x] {
    if (!ids->given() && !x->given()) throw UsageError("--ids or --x is missing");
    const std::string* inputs[] = {&options->x,
                                   &options->key,
                                   &options->value,
                                   &options->attn_mask,
                                   &options->key_padding_mask,
                                   &options->tgt_key_padding_mask};
    if (std::count_if(std::begin(inputs), std::end(inputs),
                      [](const std::string* path) { return *path == "-"; }) > 1) {
      throw UsageError("only one input can be standard input (-)");
    }
    x->given() ? encode_activations(*options) : encode(*options);
  };
}

}  // namespace tool
