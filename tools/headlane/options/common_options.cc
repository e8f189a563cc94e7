#include "tools/headlane/options/common_options.h"

#include <headlane/headlane.h>

#include <sstream>

namespace tool {

void add_isa(Command* command, std::string* isa) {
  std::vector<std::string> names;
  std::istringstream list(headlane_isa_names());
  for (std::string name; std::getline(list >> std::ws, name, ',');) names.push_back(name);
  command->choice("--isa", isa, names, "The fastest instruction set to use");
}

void add_precision(Command* command, std::string* precision) {
  std::string help = "What products are computed in: ";
  for (const std::string& name : kPrecisions) help += name + ", ";
  help += "or auto, the fastest that this machine has instructions for; none: what the file stores";
  std::vector<std::string> names = kPrecisions;
  names.emplace_back("auto");
  command->choice("--precision", precision, names, help.c_str());
}

void add_cache(Command* command, RunOptions* run) {
  command->choice(
      "--cache", &run->cache, {"f32", "bf16", "int8"},
      "In what keys and values are kept; none given: f32 where products are, else bf16");
}

void add_machine(Command* command, RunOptions* run) {
  command->integer("--threads", &run->n_threads, 0, 1024, "How many threads; 0: one for each CPU");
  add_isa(command, &run->isa);
  add_precision(command, &run->precision);
}

void add_model_and_machine(Command* command, RunOptions* run) {
  command->file("-m,--model", &run->model_path, "A .headlane file")->required();
  command->flag("--map", &run->map,
                "Map the file, which processes then share; it must not be written to meanwhile");
  command->flag("--verify", &run->verify,
                "Verify the file's checksum first, which reads all of it");
  add_machine(command, run);
}

void add_run_options(Command* command, RunOptions* run) {
  add_model_and_machine(command, run);
  command
      ->integer("--batch-tokens", &run->batch_tokens, 1, int64_t{1} << 24,
                "How many tokens a batch has")
      ->default_is(std::to_string(run->batch_tokens));
  command->choice("--gemm", &run->gemm, {"headlane", "onednn"}, "Which library multiplies matrices")
      ->default_is(run->gemm);
}

void add_max_length(Command* command, RunOptions* run) {
  command->integer("--max-length", &run->max_length, 2, kMostCount,
                   "Cut texts to this many tokens");
}

void add_prompts(Command* command, RunOptions* run) {
  const Option* name =
      command
          ->text("--prompt-name", &run->prompt_name,
                 "Which of the model's prompts is put before each text; none: its default "
                 "(`headlane info` shows them)")
          ->not_empty();
  const Option* text =
      command
          ->text("--prompt", &run->prompt,
                 "A text that is put before each text; \"\": none, not even the model's default")
          ->excludes(name);
  Option* query = command->flag("--query", &run->as_query, "As --prompt-name query");
  query->excludes(name)->excludes(text);
  command->flag("--document", &run->as_document, "As --prompt-name document")
      ->excludes(name)
      ->excludes(text)
      ->excludes(query);
}

void add_vectors(Command* command, RunOptions* run) {
  command->choice("--pooling", &run->pooling, kPoolings,
                  "How the vector of a text is made of its hidden states; none given: as the model "
                  "has it");
  command->integer("--truncate-dim", &run->truncate_dim, 1, kMostCount,
                   "Take only so many first columns of each vector; none given: as the model's "
                   "makers mean it");
}

void add_texts(Command* command, Texts* texts) {
  const Option* words = command->texts("TEXT", &texts->of_command_line,
                                       "The texts; without any, -i or standard input");
  command->file("-i,--input", &texts->file, "A file of texts, one a line; -: standard input")
      ->excludes(words);
}

void add_languages(Command* command, std::string* source, std::string* target) {
  command->text("--source-lang", source, "The language of the texts, for models with several")
      ->not_empty();
  command->text("--target-lang", target, "The language of the answers, for models with several")
      ->not_empty();
}

}  // namespace tool
