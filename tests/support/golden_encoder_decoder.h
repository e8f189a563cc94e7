// Reads tests/golden/encoder_decoder: small encoder-decoders, and what transformers generates with
// them. make.py there says what the files are.
#pragma once

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/support/lines.h"
#include "tests/support/npy.h"

namespace headlane::test {

inline constexpr const char* kEncoderDecoders[] = {
    "marian_shared", "marian_separate", "bart", "mbart", "m2m_100", "t5_v1_0", "t5_v1_1", "mt5"};

// A search whose arguments differ from the model's defaults; "default" is what these are.
struct GoldenSearch {
  std::string name;  // "greedy", "beam", "beam_other"
  int64_t n_beams = 1, n_best = 1;
  double length_penalty = 1;
  std::string early_stopping;  // as in engine/spec/config.h: "heuristic", "first", "never"
};

struct GoldenEncoderDecoder {
  explicit GoldenEncoderDecoder(const std::string& model)
      : folder(std::string(HEADLANE_GOLDEN_DIR) + "/encoder_decoder/" + model),
        manifest(nlohmann::json::parse(std::ifstream(folder + "/manifest.json"))),
        sources(read_ids(folder + "/sources.txt")),
        hidden(read_npy(folder + "/hidden.npy")),
        logits(read_npy(folder + "/logits.npy")),
        n_detailed(manifest["n_detailed"]),
        max_new_tokens(manifest["max_new_tokens"]) {
    for (const auto& [name, search] : manifest["searches"].items()) {
      const nlohmann::json& stop = search["early_stopping"];
      searches.push_back({name, search["n_beams"], search["n_best"], search["length_penalty"],
                          stop == "never" ? "never"
                          : stop == true  ? "first"
                                          : "heuristic"});
    }
  }

  // The answers of a search, or of "default": n_best lines for each source, the best first, without
  // the decoder's start, with the end if there is one.
  std::vector<std::vector<int32_t>> generated(const std::string& search) const {
    return read_ids(folder + "/" + search + ".txt");
  }
  // [sources, n_best]
  Npy scores(const std::string& search) const {
    return read_npy(folder + "/" + search + "_scores.npy");
  }

  std::string folder;  // for headlane convert
  nlohmann::json manifest;
  std::vector<std::vector<int32_t>> sources;
  // For the first n_detailed sources: the encoder's rows; and the decoder's logits for each id of
  // the source's line of "greedy", given those before.
  Npy hidden, logits;
  int64_t n_detailed, max_new_tokens;
  std::vector<GoldenSearch> searches;
};

}  // namespace headlane::test
