// Hugging Face model folders into .headlane files.
#pragma once

#include <string>

#include "engine/import/convert.h"

namespace headlane {

// Reads config.json, model.safetensors (or its shards and their index), the tokenizer's files,
// modules.json, 1_Pooling/config.json, sentence_bert_config.json (or a brother of it),
// config_sentence_transformers.json and, of encoder-decoders, generation_config.json of `hf_dir`,
// and writes `out_path`.
void convert_huggingface(const std::string& hf_dir, const std::string& out_path,
                         const ConvertOptions& options);

}  // namespace headlane
