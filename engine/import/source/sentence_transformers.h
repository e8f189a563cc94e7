// A sentence-transformers folder says more than the model itself: modules.json lists the steps
// (transformer, pooling and others: sentence_steps.h), each with a folder of its own for its
// config.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "engine/import/source/sentence_steps.h"
#include "engine/spec/config.h"

namespace headlane {

// The settings of a CrossEncoder, which makes scores and no vectors.
struct CrossEncoderSettings {
  std::string activation;  // the class that scores go through; "": not said
  std::string path;        // of the file that says so
};

// A text's score is the logit of one token, less that of another, behind its last token.
struct LogitScore {
  int64_t yes = 0;
  int64_t no = -1;   // -1: there is no other
  std::string path;  // of the file that says so
};

struct SentenceModules {
  std::string transformer_dir;  // where config.json, weights and tokenizer are
  SentenceHead head;
  bool listed = false;  // there is a modules.json
  // These are of config_sentence_transformers.json.
  Prompts prompts;
  std::optional<CrossEncoderSettings> cross_encoder;
  std::optional<LogitScore> logit_score;  // of a cross-encoder that is a language model
  TextMessages messages;
  int64_t truncate_dim = 0;  // 0: vectors are whole
  Similarity similarity = Similarity::kCosine;
  std::vector<std::string> notes;  // what a user should be told, a sentence each
};

// Without a modules.json: the folder itself, no pooling, and nothing else is read; texts are no
// messages then, where sentence-transformers may make some for a chat template. Throws Error:
// kUnsupported if the steps are any but a transformer, then perhaps pooling and steps on the vector
// of a text, or for a CrossEncoder a transformer and perhaps a LogitScore; kBadFile, kIo.
SentenceModules read_sentence_modules(const std::string& dir);

// Whether sentence_bert_config.json has texts lowered before the tokenizer's own normalizer.
bool lowers_texts(const std::string& transformer_dir);

// The number of tokens to which the model's makers cut a text: sentence_bert_config.json or a
// brother of it (which sentence-transformers reads where there is a modules.json: `listed`), else
// tokenizer_config.json where it gives a plausible number, else max_positions, which is the bound.
int64_t read_max_seq_len(const std::string& transformer_dir, int64_t max_positions, bool listed);

}  // namespace headlane
