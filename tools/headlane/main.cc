// headlane: the command line. Exit status 0: done; 1: it could not be done, with a sentence on
// standard error; 2: the command line itself is wrong.
#include <CLI/CLI.hpp>
#include <cstdio>

#include "tools/headlane/commands.h"

namespace {

constexpr int kFailed = 1;
constexpr int kUsage = 2;

void add_isa(CLI::App* command, std::string* isa) {
  command->add_option("--isa", *isa, "The fastest instruction set to use")
      ->check(CLI::IsMember({"ref", "avx2", "avx512"}));
}

void add_run_options(CLI::App* command, tool::RunOptions* run) {
  command->add_option("-m,--model", run->model_path, "A .headlane file")->required();
  command->add_option("--threads", run->n_threads, "Threads; 0: all CPUs")
      ->check(CLI::Range(0, 1024));
  command->add_option("--batch-tokens", run->batch_tokens, "Tokens of a batch")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 24))
      ->capture_default_str();
  add_isa(command, &run->isa);
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

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Headlane: transformer layers on CPUs", "headlane");
  app.set_version_flag("--version", std::string("headlane ") + headlane_version());
  app.require_subcommand(1);

  std::string hf_dir, out_path;
  CLI::App* convert =
      app.add_subcommand("convert", "Make a .headlane file of a Hugging Face model folder");
  convert->add_option("HF_DIR", hf_dir, "The folder")->required();
  convert->add_option("-o,--output", out_path, "The .headlane file to write")->required();
  convert->callback([&] { tool::convert(hf_dir, out_path); });

  std::string info_path, info_isa;
  bool as_json = false;
  CLI::App* info =
      app.add_subcommand("info", "Show what a file holds and what this machine runs it with");
  info->add_option("FILE", info_path, "A .headlane file")->required();
  info->add_flag("--json", as_json, "Print JSON");
  add_isa(info, &info_isa);
  info->callback([&] { tool::info(info_path, info_isa, as_json); });

  tool::EmbedOptions embed_options;
  CLI::App* embed = app.add_subcommand("embed", "Turn texts into vectors, one a line");
  add_run_options(embed, &embed_options.run);
  add_max_length(embed, &embed_options.run);
  add_texts(embed, &embed_options.texts);
  embed->add_option("-o,--output", embed_options.output, "A .npy file; none: JSON lines");
  embed->add_flag("--stats", embed_options.statistics, "Say how long it took (standard error)");
  embed->callback([&] { tool::embed(embed_options); });

  tool::EncodeOptions encode_options;
  CLI::App* encode = app.add_subcommand("encode", "Turn token ids into last hidden states");
  add_run_options(encode, &encode_options.run);
  encode->add_option("--ids", encode_options.ids, "A file of ids, one sequence a line")->required();
  encode->add_option("-o,--output", encode_options.output, "The .npy file to write")->required();
  encode->callback([&] { tool::encode(encode_options); });

  tool::SimilarityOptions similarity_options;
  CLI::App* similarity = app.add_subcommand("similarity", "Show how alike texts are: cosines");
  add_run_options(similarity, &similarity_options.run);
  add_max_length(similarity, &similarity_options.run);
  add_texts(similarity, &similarity_options.texts);
  similarity->callback([&] { tool::similarity(similarity_options); });

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
