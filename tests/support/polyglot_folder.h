// A small random model for many languages, as a Hugging Face folder.
#pragma once

#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/support/safetensors_writer.h"
#include "tests/support/temp_dir.h"

namespace headlane::test {

// Makes `folder`: the golden M2M-100, its rows of words repeated for the vocabulary of a golden
// tokenizer with a hundred languages. `forced_first` is the token that answers begin with; -1: they
// do not.
inline void write_polyglot_folder(const std::string& folder, int forced_first = -1) {
  using nlohmann::json;
  constexpr size_t kTokens = 501 + 100 + 8, kKnown = 89;  // pieces, languages, spare tokens
  const std::string golden = HEADLANE_GOLDEN_DIR "/encoder_decoder";
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
}

}  // namespace headlane::test
