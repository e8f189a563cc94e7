// Hugging Face model folders into .headlane files.
#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "engine/import/convert.h"

namespace headlane {

// What a folder says of its tokenizer, in the form make_tokenizer reads; spec is null if it has
// none.
struct ImportedTokenizer {
  nlohmann::json spec;
  std::string vocab;  // tokens by id, each ended by '\n'
};

// Reads tokenizer.json, or vocab.txt with tokenizer_config.json where the former is missing.
// Throws Error naming the file and field at fault.
ImportedTokenizer import_tokenizer(const std::string& hf_dir);

// Reads config.json, model.safetensors (or its shards and their index), the tokenizer's files,
// modules.json, 1_Pooling/config.json, sentence_bert_config.json and, of encoder-decoders,
// generation_config.json of `hf_dir`, and writes `out_path`.
void convert_huggingface(const std::string& hf_dir, const std::string& out_path,
                         const ConvertOptions& options);

}  // namespace headlane
