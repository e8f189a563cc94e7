// Where the texts of a command come from, and their way through the model.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "tools/headlane/options/run_options.h"

namespace tool {

struct Texts {
  std::vector<std::string> of_command_line;  // none: `file`
  std::string file;                          // of lines; "" or "-": standard input
};

// Whether texts are what someone types, or another program writes.
bool from_standard_input(const Texts& texts);

// The size of the file of texts; 0: it is not known.
int64_t input_bytes(const Texts& texts);

// Calls body(text, bytes read so far) for each text. Throws std::runtime_error.
void for_each_text(const Texts& texts,
                   const std::function<void(const std::string&, int64_t)>& body);

// Calls body(texts) for windows of the texts, in their order: so many that the batches of one call
// are full, and no more than memory has room for; if the texts are typed on a terminal, one at a
// time.
void for_each_window(const Texts& texts, const RunOptions& options, int64_t max_len,
                     const std::function<void(const std::vector<std::string>&)>& body);

// Tokens that a text is cut to: the user's --max-length or the model's own. Throws.
int64_t length_limit(const headlane_model_facts& facts, const RunOptions& options);

// The prompt before each text: as the user says, else the model's default prompt. Throws.
std::string prompt_of(const Model& model, const RunOptions& options);

// Columns of the vectors that the user asks for; 0: the model makes none.
int64_t columns_of(const Model& model, const RunOptions& options);

// Token ids of the text behind the prompt, at most max_len of them.
std::vector<int32_t> tokenize_behind(const std::string& prompt, const Model& model,
                                     const std::string& text, int64_t max_len);

struct Statistics {
  int64_t n_texts = 0;
  int64_t n_tokens = 0;
  double seconds = 0;  // of reading, tokenising and running; the model was open before
};

// Receives vectors, [n_rows, columns_of], in the order of the texts.
using Emit = std::function<void(const float* rows, int64_t n_rows)>;

// Embeds each text and gives the vectors to `emit`, a window of texts at a time, so that memory is
// bounded; if the texts are typed on a terminal, one text at a time. `prints`: `emit` prints to
// standard output, so if that is a terminal there is no progress bar: it would fall between the
// vectors.
Statistics embed_texts(const Model& model, const RunOptions& options, const Texts& texts,
                       bool prints, const Emit& emit);

}  // namespace tool
