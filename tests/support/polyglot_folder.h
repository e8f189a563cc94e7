// Small random models with an encoder and with texts, as Hugging Face folders: one for many
// languages, and one whose answers begin and end with tokens that are forced.
#pragma once

#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/support/safetensors_writer.h"
#include "tests/support/temp_dir.h"

namespace headlane::test {

// The weights of a file for n_tokens tokens, whose rows are those of the file's n_known repeated.
inline std::string of_more_tokens(const std::string& path, size_t n_known, size_t n_tokens) {
  using nlohmann::json;
  const std::string file = read_file(path);
  uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, file.data(), sizeof header_bytes);
  const json header = json::parse(file.substr(8, header_bytes));
  std::vector<TestTensor> tensors;
  for (const auto& [name, entry] : header.items()) {
    if (name == "__metadata__") continue;
    const size_t begin = entry["data_offsets"][0], end = entry["data_offsets"][1];
    TestTensor tensor = {name, entry["dtype"], entry["shape"],
                         file.substr(8 + header_bytes + begin, end - begin)};
    for (int64_t& size : tensor.shape) {
      if (static_cast<size_t>(size) != n_known) continue;
      const std::string known = tensor.data;
      const size_t n_bytes = known.size() / n_known * n_tokens;
      while (tensor.data.size() < n_bytes) tensor.data += known;
      tensor.data.resize(n_bytes);
      size = static_cast<int64_t>(n_tokens);
    }
    tensors.push_back(tensor);
  }
  return safetensors_bytes(tensors);
}

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

  write_file(folder + "/model.safetensors",
             of_more_tokens(golden + "/m2m_100/model.safetensors", kKnown, kTokens));
}

// Makes `folder`: the golden BART, whose answers begin and end with tokens that are forced, with a
// golden tokenizer of bytes.
inline void write_bart_folder(const std::string& folder) {
  const std::string golden = HEADLANE_GOLDEN_DIR;
  std::filesystem::copy(golden + "/tokenizer_json/roberta", folder);
  const std::string bart = golden + "/encoder_decoder/bart";
  auto config = nlohmann::json::parse(read_file(bart + "/config.json"));
  config["vocab_size"] = 1001;
  write_file(folder + "/config.json", config.dump());
  auto generation = nlohmann::json::parse(read_file(bart + "/generation_config.json"));
  generation.erase("min_length");
  write_file(folder + "/generation_config.json", generation.dump());
  write_file(folder + "/model.safetensors", of_more_tokens(bart + "/model.safetensors", 71, 1001));
}

}  // namespace headlane::test
