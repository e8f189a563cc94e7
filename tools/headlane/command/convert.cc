#include <cstdio>
#include <headlane/headlane.hpp>
#include <memory>

#include "tools/headlane/commands.h"
#include "tools/headlane/options/common_options.h"

namespace tool {
namespace {

struct ConvertOptions {
  std::string source, output;
  std::string precision;          // "": f32, or the types of a GGUF file
  std::string pooling;            // "": the folder's
  std::vector<std::string> keep;  // products that stay in bf16 where others are int8
  bool keep_none = false;
};

void convert(const ConvertOptions& options) {
  headlane::ConvertOptions to;
  if (!options.precision.empty()) to.precision = options.precision.c_str();
  std::vector<const char*> keep;
  for (const std::string& name : options.keep) keep.push_back(name.c_str());
  const char* none = nullptr;
  if (options.keep_none || !keep.empty()) to.higher_precision = keep.empty() ? &none : keep.data();
  to.n_higher_precision = static_cast<int64_t>(keep.size());
  if (!options.pooling.empty()) to.pooling = options.pooling.c_str();
  to.log = [](void*, headlane_log_level, const char* message) {
    std::fprintf(stderr, "headlane: note: %s\n", message);
  };
  headlane::convert(options.source, options.output, to);
}

}  // namespace

void declare_convert(Command* command) {
  const auto options = std::make_shared<ConvertOptions>();
  command
      ->file("DIR", &options->source,
             "The folder, or a GGUF file, or a module's .safetensors with its .json beside it")
      ->required();
  command->file("-o,--output", &options->output, "The .headlane file to write")->required();
  command->choice(
      "--precision", &options->precision, kPrecisions,
      "What weights are stored in; none given: f32, and what a GGUF file or a quantised "
      "folder has in 4 to 8 bits in as many");
  std::vector<std::string> poolings = kPoolings;
  poolings.emplace_back("none");
  command->choice("--pooling", &options->pooling, poolings,
                  "How the vector of a text is made of its hidden states; none given: as the "
                  "folder's modules.json says, mean where there is no such file");
  const Option* keep = command->texts("--keep", &options->keep,
                                      "Products that stay in bf16 where others are int8, such as "
                                      "encoder.layers.3.attention.qkv; without "
                                      "it, those that were measured to be worth it");
  command->flag("--keep-none", &options->keep_none, "No product stays in bf16")->excludes(keep);
  command->run = [options] {
    if (options->output == "-") {
      throw UsageError(
          "-o is \"-\", and a .headlane file, which is not written from front to back, cannot go "
          "to standard output; name a file");
    }
    convert(*options);
  };
}

}  // namespace tool
