// The commands of `headlane`, one file each. Each throws std::runtime_error with a sentence for the
// user.
#pragma once

#include <string>
#include <vector>

#include "tools/headlane/library.h"
#include "tools/headlane/texts.h"
#include "tools/headlane/translator.h"

namespace tool {

struct ConvertOptions {
  std::string source, output;
  std::string precision = "f32";
  std::vector<std::string> keep;  // products that stay in bf16 where others are int8
  bool keep_none = false;
};
void convert(const ConvertOptions& options);

struct InfoOptions {
  RunOptions run;
  bool as_json = false;
  bool check = false;  // read all of the file, and say whether it is whole
};
void info(const InfoOptions& options);
void check_file(const InfoOptions& options);  // throws if something is wrong with the file

struct EmbedOptions {
  RunOptions run;
  Texts texts;
  std::string output;       // a .npy file; "": JSON lines on standard output
  bool statistics = false;  // print how long it took
};
void embed(const EmbedOptions& options);

struct EncodeOptions {
  RunOptions run;
  std::string ids;     // a file of ids, one sequence a line
  std::string output;  // a .npy file
  // Of a model of layers, in place of ids: .npy files; "": not given.
  std::string x, key, value;
  std::string attn_mask, key_padding_mask;  // with PyTorch's meaning
  std::string tgt_key_padding_mask;         // of a decoder, whose attn_mask is tgt_mask
  bool causal = false;
};
void encode(const EncodeOptions& options);
void encode_activations(const EncodeOptions& options);

struct TranslateOptions {
  RunOptions run;
  Texts texts;
  SearchChoice search;
  std::string source_language, target_language;  // "": not said
  int64_t batch = 32;                            // sources that are translated together
  bool ids = false;                              // lines are token ids, in and out
  bool as_json = false, scores = false;
  bool stream = false;      // print tokens as they come
  bool statistics = false;  // print how long it took
};
void translate(const TranslateOptions& options);

struct BenchOptions {
  RunOptions run;
  std::vector<std::string> cases;  // "8x128": sequences x tokens; none: usual ones
  double seconds = 1;              // for each case
  bool profile = false;            // pass by pass
  std::string trace;               // a file for the timeline of each case's last run; "": none
  bool as_json = false;
};
void bench(const BenchOptions& options);

struct SimilarityOptions {
  RunOptions run;
  Texts texts;
};
void similarity(const SimilarityOptions& options);

struct AttentionOptions {
  RunOptions run;
  std::string text;
  // Of a model that translates: what its decoder is given; "": its own translation.
  std::string target;
  std::string source_language, target_language;
  std::string part;               // "encoder", "decoder", "cross"; "": all, or what is shown best
  int64_t layer = -1, head = -1;  // -1: all
  std::string html, png, json;    // files; "": not wanted; json also "-": standard output
};
void attention(const AttentionOptions& options);

}  // namespace tool
