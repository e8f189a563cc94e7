#include <cstdio>
#include <memory>
#include <optional>

#include "tools/headlane/commands.h"
#include "tools/headlane/options/common_options.h"
#include "tools/headlane/output/json.h"

namespace tool {
namespace {

struct TokenizeCommand {
  RunOptions run;
  Texts texts;
  std::optional<std::string> pair;  // the second text of each
  std::string truncation = "longest_first";
  std::string source_language, target_language;
  bool json = false;
};

// Like headlane_truncation.
const std::vector<std::string> kTruncations = {"longest_first", "only_first", "only_second"};

headlane_truncation truncation_of(const std::string& name) {
  size_t i = 0;
  while (kTruncations[i] != name) ++i;
  return static_cast<headlane_truncation>(i);
}

struct TokenizedText {
  std::vector<int32_t> ids;
  std::vector<int32_t> type_ids;  // of a pair
};

// A line of ids, as `encode --ids` reads it.
std::string ids_line(const TokenizedText& text) {
  std::string line;
  for (const int32_t id : text.ids) line.append(line.empty() ? "" : " ").append(std::to_string(id));
  return line;
}

std::string json_line(const Model& model, const TokenizedText& text, bool is_pair) {
  std::vector<std::string> tokens;
  for (const int32_t id : text.ids) tokens.emplace_back(model.token_text(id));
  Json line =
      Json::object("tokens", tokens, "ids", std::vector<int64_t>(text.ids.begin(), text.ids.end()));
  if (is_pair) {
    line.set("type_ids", std::vector<int64_t>(text.type_ids.begin(), text.type_ids.end()));
  }
  return line.dump();
}

void tokenize(const TokenizeCommand& command) {
  const Model model = open_model(command.run);
  const std::string prompt = prompt_of(model, command.run);
  headlane::TokenizeOptions options;
  options.max_len = command.run.max_length;
  options.prompt = prompt.c_str();
  options.source_language = command.source_language.c_str();
  options.target_language = command.target_language.c_str();
  options.truncation = truncation_of(command.truncation);
  for_each_text(command.texts, [&](const std::string& text, int64_t) {
    TokenizedText made;
    if (command.pair) {
      headlane::TokenPair pair = model.tokenize_pair(text, *command.pair, options);
      made = {std::move(pair.ids), std::move(pair.type_ids)};
    } else {
      made.ids = model.tokenize(text, options);
    }
    const std::string line =
        (command.json ? json_line(model, made, command.pair.has_value()) : ids_line(made)) + "\n";
    if (std::fwrite(line.data(), 1, line.size(), stdout) != line.size()) {
      throw std::runtime_error("standard output: cannot be written");
    }
    std::fflush(stdout);  // who reads a pipe waits for whole lines
  });
}

}  // namespace

void declare_tokenize(Command* command) {
  const auto options = std::make_shared<TokenizeCommand>();
  command->file("-m,--model", &options->run.model_path, "A .headlane file")->required();
  const Option* pair = command->text("--pair", &options->pair,
                                     "The second text of a pair, of which each text is the first");
  command
      ->choice("--truncation", &options->truncation, kTruncations,
               "Which text of a pair is cut if both are too long")
      ->needs(pair)
      ->default_is(options->truncation);
  add_max_length(command, &options->run);
  add_prompts(command, &options->run);
  add_languages(command, &options->source_language, &options->target_language);
  add_texts(command, &options->texts);
  command->flag("--json", &options->json, "JSON lines: tokens, ids, and types of a pair's");
  command->run = [options] { tokenize(*options); };
}

}  // namespace tool
