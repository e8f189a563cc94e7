#include "tools/headlane/attention.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "tools/headlane/attention_run.h"
#include "tools/headlane/commands.h"
#include "tools/headlane/output_file.h"

namespace tool {
namespace {

int terminal_columns() {
  winsize size{};
  return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

void print(const std::string& text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0) {
    throw std::runtime_error("standard output: cannot be written");
  }
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

}  // namespace

void attention(const AttentionOptions& options) {
  const AttentionMaps maps = attention_maps(options);
  if (!options.html.empty()) write_output(options.html, attention_page(maps));
  if (!options.png.empty()) write_output(options.png, attention_png(for_picture(maps)));
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
