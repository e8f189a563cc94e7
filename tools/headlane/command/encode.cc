#include "tools/headlane/command/encode.h"

#include <algorithm>
#include <iterator>
#include <memory>
#include <vector>

#include "tools/headlane/commands.h"
#include "tools/headlane/options/common_options.h"
#include "tools/headlane/output/npy.h"
#include "tools/headlane/text/lines.h"
#include "tools/headlane/text/token_ids.h"

namespace tool {
namespace {

// Sequences in the order in which they come, batch by batch: hidden states are d_model floats a
// token, so no more than a batch of them is held.
class HiddenStates {
 public:
  HiddenStates(const Model& model, const RunOptions& options, NpyWriter* npy)
      : npy_(npy),
        d_model_(model.facts().d_model),
        most_tokens_(
            static_cast<size_t>(std::max(options.batch_tokens, model.facts().max_positions))),
        session_(create_session(model, options, model.facts().max_positions)) {}

  void add(const std::vector<int32_t>& ids) {
    // The session takes as many sequences as tokens: what counts where sequences are empty.
    if (batch_.n_tokens() + ids.size() > most_tokens_ || batch_.n_seqs() == most_tokens_) run();
    batch_.add(ids);
  }

  // Runs the sequences that were added since the last run.
  void run() {
    const size_t n = batch_.n_tokens();
    if (n > 0) {
      hidden_.resize(n * static_cast<size_t>(d_model_));
      session_.encode(batch_, hidden_);
      npy_->append(hidden_.data(), static_cast<int64_t>(n));
    }
    batch_.clear();
  }

 private:
  NpyWriter* npy_;
  int64_t d_model_;
  size_t most_tokens_;
  Session session_;
  Batch batch_;
  std::vector<float> hidden_;
};

void encode(const EncodeOptions& options) {
  const Model model = open_model(options.run);
  const headlane::ModelFacts facts = model.facts();
  if (facts.vocab_size == 0) {
    throw std::runtime_error(options.run.model_path +
                             ": the model takes activations; use --x instead of --ids");
  }
  NpyWriter npy(options.output, facts.d_model);
  HiddenStates states(model, options.run, &npy);
  int64_t line_number = 0;
  for_each_line(options.ids, [&](const std::string& line, int64_t) {
    const std::string where = shown_name(options.ids) + ":" + std::to_string(++line_number);
    const std::vector<int32_t> ids = parse_ids(line, where);
    check_ids(ids, facts, where);
    states.add(ids);
  });
  states.run();
  npy.finish();
}

}  // namespace

void declare_encode(Command* command) {
  const auto options = std::make_shared<EncodeOptions>();
  EncodeOptions* to = options.get();
  add_run_options(command, &to->run);
  const Option* ids =
      command->file("--ids", &to->ids,
                    "For a model of text: a file of ids, one sequence a line; -: standard input");
  const Option* x =
      command
          ->file("--x", &to->x,
                 "For a model of layers: .npy, float32, [n, d_model], [batch, n, d_model] or, "
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
             "For a decoder: .npy as PyTorch's, [batch, n], true: not seen")
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
