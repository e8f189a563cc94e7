// headlane: the command line. Exit status 0: done; 1: it could not be done, with a sentence on
// standard error; 2: the command line itself is wrong.
#include <headlane/status.h>

#include <cstdio>
#include <string>
#include <vector>

#include "tools/headlane/commands.h"
#include "tools/headlane/output/standard_streams.h"

namespace {

constexpr int kFailed = 1;
constexpr int kUsage = 2;

struct Entry {
  const char* name;
  const char* help;
  void (*declare)(tool::Command*);
};

constexpr Entry kCommands[] = {
    {"convert", "Make a .headlane file of a folder, GGUF file or PyTorch module",
     tool::declare_convert},
    {"pack", "Write a file anew with its weights packed as this machine reads them",
     tool::declare_pack},
    {"info", "Show what a file holds and what this machine runs it with", tool::declare_info},
    {"translate", "Translate texts, a line each", tool::declare_translate},
    {"generate", "Go on from prompts, with a language model", tool::declare_generate},
    {"chat", "Talk with a language model, turn by turn", tool::declare_chat},
    {"perplexity", "Show how likely a language model finds a text", tool::declare_perplexity},
    {"embed", "Turn texts into vectors, one a line", tool::declare_embed},
    {"encode", "Turn token ids, or activations, into last hidden states", tool::declare_encode},
    {"tokenize", "Turn texts, or pairs of texts, into token ids", tool::declare_tokenize},
    {"similarity", "Show how alike texts are: cosines", tool::declare_similarity},
    {"rank", "Rank texts by how well they answer a query", tool::declare_rank},
    {"classify", "Show which labels a text has, the model's or your own", tool::declare_classify},
    {"attention", "Show which tokens of a text attend to which", tool::declare_attention},
    {"bench", "Time a model on this machine", tool::declare_bench},
};

std::string usage() {
  std::string page =
      "Headlane: transformer layers on CPUs\n\nheadlane COMMAND [OPTIONS]\n\n"
      "  -h,--help     Print this page\n"
      "  --version     Print the version\n\n";
  for (const Entry& entry : kCommands) {
    std::string name = entry.name;
    name.resize(14, ' ');
    page += "  " + name + entry.help + "\n";
  }
  return page + "\nheadlane COMMAND --help prints the options of a command.\n";
}

void run(const std::string& name, const std::vector<std::string>& words) {
  if (name == "-h" || name == "--help") return tool::print(usage());
  if (name == "--version") {
    return tool::print(std::string("headlane ") + headlane_version() + "\n");
  }
  for (const Entry& entry : kCommands) {
    if (name != entry.name) continue;
    tool::Command command(entry.name, entry.help);
    entry.declare(&command);
    return command.parse(words) ? command.run() : tool::print(command.usage());
  }
  throw tool::UsageError(name.empty() ? "a command is missing"
                                      : "there is no command \"" + name + "\"");
}

}  // namespace

int main(int argc, char** argv) {
  tool::hold_standard_descriptors();
  const std::string name = argc > 1 ? argv[1] : "";
  try {
    run(name, {argv + (argc > 1 ? 2 : argc), argv + argc});
    tool::close_standard_output();
  } catch (const tool::UsageError& error) {
    bool is_command = false;
    for (const Entry& entry : kCommands) is_command = is_command || name == entry.name;
    std::fprintf(stderr, "headlane: %s (headlane%s --help shows what there is)\n", error.what(),
                 is_command ? (" " + name).c_str() : "");
    return kUsage;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "headlane: %s\n", error.what());
    return kFailed;
  }
  return 0;
}
