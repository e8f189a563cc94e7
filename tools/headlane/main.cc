// headlane: the command line. Exit status 0: done; 1: it could not be done, with a sentence on
// standard error; 2: the command line itself is wrong.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "tools/headlane/commands.h"

namespace {

constexpr int kFailed = 1;
constexpr int kUsage = 2;

void add_isa(CLI::App* command, std::string* isa) {
  command->add_option("--isa", *isa, "The fastest instruction set to use")
      ->check(CLI::IsMember(
          {"ref", "avx2", "avx2_vnni", "avx512", "avx512_vnni", "avx512_bf16", "amx"}));
}

void add_precision(CLI::App* command, std::string* precision) {
  command
      ->add_option("--precision", *precision,
                   "What products are computed in: f32, bf16, int8, or auto, the fastest that this "
                   "machine has instructions for; none: what the file stores")
      ->check(CLI::IsMember({"f32", "bf16", "int8", "auto"}));
}

void add_machine(CLI::App* command, tool::RunOptions* run) {
  command->add_option("--threads", run->n_threads, "Threads; 0: all CPUs")
      ->check(CLI::Range(0, 1024));
  add_isa(command, &run->isa);
  add_precision(command, &run->precision);
}

void add_model_and_machine(CLI::App* command, tool::RunOptions* run) {
  command->add_option("-m,--model", run->model_path, "A .headlane file")->required();
  add_machine(command, run);
}

void add_run_options(CLI::App* command, tool::RunOptions* run) {
  add_model_and_machine(command, run);
  command->add_option("--batch-tokens", run->batch_tokens, "Tokens of a batch")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 24))
      ->capture_default_str();
  command->add_option("--gemm", run->gemm, "Who multiplies matrices")
      ->check(CLI::IsMember({"headlane", "onednn"}))
      ->capture_default_str();
}

void add_max_length(CLI::App* command, tool::RunOptions* run) {
  command->add_option("--max-length", run->max_length, "Cut texts to this many tokens")
      ->check(CLI::Range(int64_t{2}, int64_t{1} << 20));
}

void add_texts(CLI::App* command, tool::Texts* texts) {
  auto* words =
      command->add_option("TEXT", texts->of_command_line, "Texts; none: -i, or standard input");
  command->add_option("-i,--input", texts->file, "A file of texts, one a line; -: standard input")
      ->excludes(words);
}

void add_languages(CLI::App* command, std::string* source, std::string* target) {
  command->add_option("--source-lang", *source, "The language of texts, for models of several");
  command->add_option("--target-lang", *target, "The language of answers, for models of several");
}

// One function for each command. Its options are shared with the callback, which runs later.

void add_convert(CLI::App* app) {
  const auto options = std::make_shared<tool::ConvertOptions>();
  CLI::App* command = app->add_subcommand(
      "convert", "Make a .headlane file of a Hugging Face folder or a PyTorch module");
  command
      ->add_option("DIR", options->source,
                   "The folder, or a module's .safetensors with its .json beside it")
      ->required();
  command->add_option("-o,--output", options->output, "The .headlane file to write")->required();
  command->add_option("--precision", options->precision, "What weights are stored in")
      ->check(CLI::IsMember({"f32", "bf16", "int8"}))
      ->capture_default_str();
  auto* keep = command->add_option(
      "--keep", options->keep,
      "Products that stay in bf16 where others are int8, such as layers.3.attention.qkv; without "
      "it, those that were measured to be worth it");
  command->add_flag("--keep-none", options->keep_none, "No product stays in bf16")->excludes(keep);
  command->callback([options] { tool::convert(*options); });
}

void add_info(CLI::App* app) {
  const auto options = std::make_shared<tool::InfoOptions>();
  CLI::App* command =
      app->add_subcommand("info", "Show what a file holds and what this machine runs it with");
  command->add_option("FILE", options->run.model_path, "A .headlane file")->required();
  command->add_flag("--json", options->as_json, "Print JSON");
  command->add_flag("--check", options->check,
                    "Read all of the file instead: its checksum, and weights that are NaN or "
                    "infinite; exit status 1 if something is wrong");
  add_isa(command, &options->run.isa);
  add_precision(command, &options->run.precision);
  command->callback(
      [options] { options->check ? tool::check_file(*options) : tool::info(*options); });
}

void add_embed(CLI::App* app) {
  const auto options = std::make_shared<tool::EmbedOptions>();
  CLI::App* command = app->add_subcommand("embed", "Turn texts into vectors, one a line");
  add_run_options(command, &options->run);
  add_max_length(command, &options->run);
  add_texts(command, &options->texts);
  command->add_option("-o,--output", options->output, "A .npy file; none: JSON lines");
  command->add_flag("--stats", options->statistics, "Say how long it took (standard error)");
  command->callback([options] { tool::embed(*options); });
}

void add_encode(CLI::App* app) {
  const auto options = std::make_shared<tool::EncodeOptions>();
  CLI::App* command =
      app->add_subcommand("encode", "Turn token ids, or activations, into last hidden states");
  add_run_options(command, &options->run);
  auto* ids =
      command->add_option("--ids", options->ids, "Of a model of text: ids, one sequence a line");
  auto* x = command->add_option("--x", options->x,
                                "Of a model of layers: .npy, float32, [n, d_model], [batch, n, "
                                "d_model] or, without batch_first, [n, batch, d_model]");
  ids->excludes(x);
  auto* key =
      command->add_option("--key", options->key,
                          "Cross-attention: .npy, [.., n_keys, kdim]; a decoder's memory, or src");
  command->add_option("--value", options->value, ".npy, [.., n_keys, vdim]; none: the keys")
      ->needs(key->needs(x));
  command
      ->add_option("--attn-mask", options->attn_mask,
                   ".npy as PyTorch's attn_mask: [n, n_keys] or [batch * heads, n, n_keys]; true: "
                   "not seen; float32: added; of a decoder its tgt_mask")
      ->needs(x);
  command
      ->add_option("--key-padding-mask", options->key_padding_mask,
                   ".npy as PyTorch's: [batch, n_keys], true: not seen; of a decoder src's, and "
                   "memory's, at their ends")
      ->needs(x);
  command
      ->add_option("--tgt-key-padding-mask", options->tgt_key_padding_mask,
                   "Of a decoder: .npy as PyTorch's, [batch, n], true: not seen")
      ->needs(x);
  command->add_flag("--causal", options->causal, "Row i sees keys 0 to i")->needs(x);
  command->add_option("-o,--output", options->output, "The .npy file to write")->required();
  command->callback([options, ids, x] {
    if (ids->count() + x->count() == 0) throw CLI::RequiredError("--ids or --x");
    x->count() > 0 ? tool::encode_activations(*options) : tool::encode(*options);
  });
}

void add_similarity(CLI::App* app) {
  const auto options = std::make_shared<tool::SimilarityOptions>();
  CLI::App* command = app->add_subcommand("similarity", "Show how alike texts are: cosines");
  add_run_options(command, &options->run);
  add_max_length(command, &options->run);
  add_texts(command, &options->texts);
  command->callback([options] { tool::similarity(*options); });
}

void add_attention(CLI::App* app) {
  const auto options = std::make_shared<tool::AttentionOptions>();
  CLI::App* command =
      app->add_subcommand("attention", "Show which tokens of a text attend to which");
  add_model_and_machine(command, &options->run);
  add_max_length(command, &options->run);
  add_languages(command, &options->source_language, &options->target_language);
  command->add_option("--target", options->target,
                      "Of a model that translates: the translation, in place of its own");
  command
      ->add_option("--part", options->part,
                   "Of a model that translates: this part alone; a picture holds cross if there is "
                   "no choice")
      ->check(CLI::IsMember({"encoder", "decoder", "cross"}));
  const CLI::Range number(int64_t{0}, int64_t{1} << 20);
  command->add_option("TEXT", options->text, "The text")->required();
  command->add_option("--layer", options->layer, "This layer alone, counted from 0")->check(number);
  command->add_option("--head", options->head, "This head alone, counted from 0")->check(number);
  command->add_option("--html", options->html, "A page to write, which any browser shows");
  command->add_option("--png", options->png, "A picture to write");
  // Without a file's name CLI11 leaves it empty, as if the option had not been there.
  CLI::Option* json =
      command->add_option("--json", options->json, "A file to write; no name: standard output")
          ->expected(0, 1);
  command->callback([options, json] {
    if (json->count() > 0 && options->json.empty()) options->json = "-";
    tool::attention(*options);
  });
}

void add_search(CLI::App* command, tool::SearchChoice* search) {
  const CLI::Range count(int64_t{1}, int64_t{1} << 20);
  auto* beams =
      command->add_option("--beams", search->beams, "Beams; 1: the likeliest token each time")
          ->check(count);
  command->add_option("--n-best", search->n_best, "Answers of a text, a line each")->check(count);
  command
      ->add_option("--length-penalty", search->length_penalty,
                   "Scores are sums of log-probabilities over length to this power")
      ->check(CLI::Range(-100.0, 100.0));
  command
      ->add_option("--early-stopping", search->early_stopping,
                   "When beams end: first: there are as many answers as beams; never: none can "
                   "become better; heuristic: none is thought to")
      ->check(CLI::IsMember({"heuristic", "first", "never"}));
  auto* sample = command->add_flag("--sample", search->sample, "Draw tokens")->excludes(beams);
  command->add_option("--temperature", search->temperature, "What logits are divided by")
      ->check(CLI::PositiveNumber)
      ->needs(sample);
  command->add_option("--top-k", search->top_k, "Draw from so many tokens")
      ->check(count)
      ->needs(sample);
  command->add_option("--top-p", search->top_p, "Draw from tokens of so much probability")
      ->check(CLI::Range(0.0, 1.0) & CLI::PositiveNumber)
      ->needs(sample);
  command->add_option("--seed", search->seed, "Of the random numbers")->needs(sample);
  command
      ->add_option("--repetition-penalty", search->repetition_penalty,
                   "Above 1: tokens that a target has become less likely")
      ->check(CLI::PositiveNumber);
  command->add_option("--min-length", search->min_length, "Tokens of an answer at least")
      ->check(count);
  command->add_option("--max-length", search->max_length, "Tokens of an answer at most")
      ->check(count);
}

void add_translate(CLI::App* app) {
  const auto options = std::make_shared<tool::TranslateOptions>();
  CLI::App* command = app->add_subcommand("translate", "Translate texts, a line each");
  add_model_and_machine(command, &options->run);
  add_texts(command, &options->texts);
  add_languages(command, &options->source_language, &options->target_language);
  add_search(command, &options->search);
  command->add_option("--batch", options->batch, "Texts that are translated together")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 16))
      ->capture_default_str();
  command->add_flag("--ids", options->ids, "Texts are token ids, answers too");
  auto* json = command->add_flag("--json", options->as_json, "Print JSON, an object a text");
  auto* scores =
      command->add_flag("--scores", options->scores, "A score and a tab in front of each answer");
  scores->excludes(json);
  command
      ->add_flag("--stream", options->stream,
                 "Print tokens as soon as they are chosen, texts one by one, with one beam")
      ->excludes(json)
      ->excludes(scores)
      ->excludes("--beams")
      ->excludes("--n-best");
  command->add_flag("--stats", options->statistics, "Say how long it took (standard error)");
  command->callback([options] { tool::translate(*options); });
}

void add_bench(CLI::App* app) {
  const auto options = std::make_shared<tool::BenchOptions>();
  CLI::App* command = app->add_subcommand("bench", "Time a model on this machine");
  command->add_option("-m,--model", options->run.model_path,
                      "A .headlane file; without it, the limits of the machine alone");
  add_machine(command, &options->run);
  command->add_option("CASE", options->cases, "SEQUENCESxTOKENS, such as 8x128; none: usual ones");
  command->add_option("--seconds", options->seconds, "For each case")
      ->check(CLI::Range(0.0, 3600.0))
      ->capture_default_str();
  command->add_flag("--profile", options->profile, "Time, work and bound of each pass");
  command->add_flag("--json", options->as_json, "Print JSON, passes included");
  command->add_option("--trace", options->trace,
                      "Write the last run of each case there, as a Chrome trace");
  command->callback([options] { tool::bench(*options); });
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Headlane: transformer layers on CPUs", "headlane");
  app.set_version_flag("--version", std::string("headlane ") + headlane_version());
  app.require_subcommand(1);
  for (const auto add : {add_convert, add_info, add_translate, add_embed, add_encode,
                         add_similarity, add_attention, add_bench}) {
    add(&app);
  }

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kUsage;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "headlane: %s\n", error.what());
    return kFailed;
  }
  return 0;
}
