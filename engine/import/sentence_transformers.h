// What a sentence-transformers folder says beyond the model itself: modules.json lists the steps
// (transformer, pooling, normalization), each with a folder of its own for its config.
#pragma once

#include <string>

#include "engine/model/config.h"

namespace headlane {

struct SentenceModules {
  std::string transformer_dir;  // where config.json, weights and tokenizer are
  Pooling pooling = Pooling::kNone;
  bool normalize = false;
};

// Without a modules.json: the folder itself, no pooling. Throws Error: kUnsupported if the steps
// are any but a transformer, then perhaps pooling, then perhaps normalization; kBadFile, kIo.
SentenceModules read_sentence_modules(const std::string& dir);

// Throws Error(kUnsupported) if sentence_bert_config.json has text lower-cased before the tokenizer
// and the tokenizer would not do so by itself.
void refuse_extra_lowercasing(const std::string& transformer_dir);

// The number of tokens to which the model's makers cut a text: sentence_bert_config.json, else
// tokenizer_config.json where it gives a plausible number, else max_positions, which is the bound.
int64_t read_max_seq_len(const std::string& transformer_dir, int64_t max_positions);

}  // namespace headlane
