#include "tools/headlane/attention/attention.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <memory>

#include "tools/headlane/attention/attention_run.h"
#include "tools/headlane/commands.h"
#include "tools/headlane/options/common_options.h"
#include "tools/headlane/output/output_file.h"
#include "tools/headlane/output/standard_streams.h"

namespace tool {
namespace {

int terminal_columns() {
  winsize size{};
  return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

// A picture holds one part. Of several it is the one that no other model has: what of the source
// each token of the target comes from.
AttentionMaps for_picture(const AttentionMaps& maps) {
  AttentionMaps one{maps.model, maps.text, maps.target, {}};
  const auto cross = std::find_if(maps.parts.begin(), maps.parts.end(),
                                  [](const AttentionPart& part) { return part.name == "cross"; });
  one.parts.push_back(cross == maps.parts.end() ? maps.parts[0] : *cross);
  return one;
}

void attention(const AttentionOptions& options) {
  const AttentionMaps maps = attention_maps(options);
  if (!options.html.empty()) write_output(options.html, attention_page(maps));
  if (!options.png.empty()) write_output(options.png, attention_png(for_picture(maps)));
  if (!options.json.empty()) write_output(options.json, attention_json(maps));
  if (options.html.empty() && options.png.empty() && options.json.empty()) {
    print(attention_table(maps, terminal_columns()));
  }
}

}  // namespace

void declare_attention(Command* command) {
  const auto options = std::make_shared<AttentionOptions>();
  AttentionOptions* to = options.get();
  add_model_and_machine(command, &to->run);
  add_max_length(command, &to->run);
  add_prompts(command, &to->run);
  add_languages(command, &to->source_language, &to->target_language);
  command
      ->text("--target", &to->target,
             "For a model that translates: the translation, instead of its own")
      ->not_empty();
  command->choice("--part", &to->part, {"encoder", "decoder", "cross"},
                  "For a model that translates: this part alone; without it, a picture shows "
                  "cross");
  command->text("TEXT", &to->text, "The text")->required();
  command->integer("--layer", &to->layer, 0, kMostCount, "This layer alone, counted from 0");
  command->integer("--head", &to->head, 0, kMostCount, "This head alone, counted from 0");
  command->file("--html", &to->html,
                "A page to write, which any browser shows; -: standard output");
  command->file("--png", &to->png, "A picture to write; -: standard output");
  command->file_or("--json", &to->json, "-", "A file to write; no name: standard output");
  command->run = [options] {
    const int n_printed = static_cast<int>(options->html == "-") +
                          static_cast<int>(options->png == "-") +
                          static_cast<int>(options->json == "-");
    if (n_printed > 1) throw UsageError("only one output can be standard output (-)");
    attention(*options);
  };
}

}  // namespace tool
