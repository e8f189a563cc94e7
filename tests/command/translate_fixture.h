// Models that translate, for the command: the example, and a small random one for many languages.
#pragma once

#include <cstring>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/command/model_fixture.h"
#include "tests/support/lines.h"
#include "tests/support/npy.h"
#include "tests/support/safetensors_writer.h"

namespace headlane::test {

inline const std::string kExample = HEADLANE_GOLDEN_DIR "/../../examples/translate/zh-en.headlane";
inline const std::string kPairs = HEADLANE_GOLDEN_DIR "/translate";
inline const std::string kFineDay =
    "\xe4\xbb\x8a\xe5\xa4\xa9\xe5\xa4\xa9\xe6\xb0\x94\xe5\xbe\x88\xe5\xa5\xbd";

class TranslateTest : public CommandTest {
 protected:
  static Finished translate(const std::vector<std::string>& more, const std::string& input = "") {
    return translate_by(kExample, more, input);
  }

  static Finished translate_by(const std::string& model, const std::vector<std::string>& more,
                               const std::string& input = "") {
    std::vector<std::string> arguments = {"translate", "-m", model};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_headlane(arguments, {.input = input, .more = {}});
  }

  static std::string output(const std::vector<std::string>& more, const std::string& input = "") {
    const Finished done = translate(more, input);
    EXPECT_EQ(done.status, 0) << done.err;
    EXPECT_EQ(done.err, "");
    return done.out;
  }

  static std::vector<std::string> lines_of(const std::string& text) {
    std::vector<std::string> lines;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) lines.push_back(line);
    return lines;
  }

  // The first n golden pairs' sources, a line each.
  static std::string sources(size_t n) {
    std::string text;
    for (const std::string& line : read_lines(kPairs + "/sources.txt")) {
      if (n-- == 0) break;
      text += line + "\n";
    }
    return text;
  }

  // The golden M2M-100, its rows of words repeated for the vocabulary of a golden tokenizer with a
  // hundred languages. Its `forced_first` is the token that answers begin with; -1: they do not.
  std::string polyglot(int forced_first = -1) const {
    using nlohmann::json;
    constexpr size_t kTokens = 501 + 100 + 8, kKnown = 89;  // pieces, languages, spare tokens
    const std::string folder = dir_.file("folder"), golden = HEADLANE_GOLDEN_DIR "/encoder_decoder";
    std::filesystem::copy(HEADLANE_GOLDEN_DIR "/sentencepiece/m2m100", folder);
    json config = json::parse(read_file(golden + "/m2m_100/config.json"));
    config["vocab_size"] = kTokens;
    write_file(folder + "/config.json", config.dump());
    json generation = {{"decoder_start_token_id", 2}, {"eos_token_id", 2}, {"pad_token_id", 1},
                       {"bos_token_id", 0},           {"num_beams", 2},    {"max_length", 16}};
    if (forced_first >= 0) generation["forced_bos_token_id"] = forced_first;
    write_file(folder + "/generation_config.json", generation.dump());

    const std::string file = read_file(golden + "/m2m_100/model.safetensors");
    uint64_t header_bytes = 0;
    std::memcpy(&header_bytes, file.data(), sizeof header_bytes);
    const json header = json::parse(file.substr(8, header_bytes));
    std::vector<TestTensor> tensors;
    for (const auto& [name, entry] : header.items()) {
      if (name == "__metadata__") continue;
      const size_t begin = entry["data_offsets"][0], end = entry["data_offsets"][1];
      TestTensor tensor = {name, entry["dtype"], entry["shape"],
                           file.substr(8 + header_bytes + begin, end - begin)};
      if (tensor.shape[0] == kKnown) {
        const std::string known = tensor.data;
        while (tensor.data.size() < known.size() / kKnown * kTokens) tensor.data += known;
        tensor.data.resize(known.size() / kKnown * kTokens);
        tensor.shape[0] = kTokens;
      }
      tensors.push_back(tensor);
    }
    write_file(folder + "/model.safetensors", safetensors_bytes(tensors));
    std::string model = dir_.file("polyglot.headlane");
    const Finished done = run_headlane({"convert", folder, "-o", model});
    EXPECT_EQ(done.status, 0) << done.err;
    std::filesystem::remove_all(folder);
    return model;
  }
};

}  // namespace headlane::test
