#include "engine/import/gguf.h"

#include <filesystem>
#include <new>
#include <utility>
#include <vector>

#include "engine/base/error.h"
#include "engine/file/input_file.h"
#include "engine/import/families/decoder.h"
#include "engine/import/families/generation.h"
#include "engine/import/families/language_model.h"
#include "engine/import/gguf/gguf_architecture.h"
#include "engine/import/gguf/gguf_checkpoint.h"
#include "engine/import/gguf/gguf_tokenizer.h"
#include "engine/import/huggingface.h"
#include "engine/import/tokenizers/chat_files.h"
#include "engine/import/tokenizers/tokenizer.h"

namespace headlane {

namespace {

ImportedTokenizer import_tokenizer_of(const GgufCheckpoint& checkpoint) {
  const Json file = read_gguf_tokenizer(checkpoint.fields(), checkpoint.path());
  return file.is_null() ? ImportedTokenizer() : import_tokenizer_json(file, checkpoint.path());
}

// The file says at most what is pooled. llama.cpp's own tools divide vectors by their length.
void read_head(const GgufConfig& own, const std::string& path, const ConvertOptions& options,
               ModelConfig* config) {
  HeadConfig& head = config->head;
  head.pooling = options.pooling ? *options.pooling : own.pooling.value_or(Pooling::kMean);
  head.kind = head.pooling == Pooling::kNone ? HeadKind::kHidden : HeadKind::kPool;
  head.normalize = head.kind == HeadKind::kPool;
  if (!head.normalize) return;
  options.log.info(
      "%s: does not say what is done to vectors of texts behind the pooling; they are divided by "
      "their length, as llama.cpp's tools do",
      path.c_str());
  if (own.pooling || options.pooling) return;
  options.log.info(
      "%s: does not say how the vector of a text is made; it is the mean of the text's hidden "
      "states unless an option of the conversion, --pooling, says otherwise",
      path.c_str());
}

// Whether a language model is to make vectors of texts in place of answers.
bool makes_vectors(const ModelConfig& config, const GgufConfig& own, const Family& family,
                   const std::string& path, const ConvertOptions& options) {
  const Pooling pooling = options.pooling.value_or(own.pooling.value_or(Pooling::kNone));
  if (!config.is_language_model() || pooling == Pooling::kNone) return false;
  if (family.embeds) return true;
  fail(Status::kUnsupported,
       "%s: the vector of a text is to be made by a pooling, which this language model has not",
       path.c_str());
}

}  // namespace

bool is_gguf_file(const std::string& path) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error)) return false;
  if (path.ends_with(".gguf")) return true;
  const InputFile file(path);
  return file.bytes() >= 4 && file.read_text(0, 4) == "GGUF";
}

void convert_gguf(const std::string& path, const std::string& out_path,
                  const ConvertOptions& options) try {
  GgufCheckpoint checkpoint(path);
  checkpoint.refuse_to_be_replaced(out_path);
  const GgufConfig own = read_gguf_config(&checkpoint);
  const Family& family = find_family(own.fields, path);
  const Json source = with_class_defaults(own.fields, family.defaults);
  ModelConfig of_family = family.config(source, path);
  const bool embeds = makes_vectors(of_family, own, family, path, options);
  if (embeds) of_family.head = {};
  ModelConfig config = embeds ? as_encoder(of_family) : of_family;
  config.max_seq_len = config.first_stack().max_positions;
  std::vector<TensorRecipe> recipes = family.tensors(checkpoint, source, path, of_family);
  if (embeds) name_as_encoder(&recipes);
  if (config.is_language_model()) {
    // There is no generation_config.json: the roles of ids are in the config.
    config.generation =
        read_generation_defaults(path, source, family.defaults, path, config, options.log);
    config.chat = read_gguf_chat(checkpoint.fields(), path, options.log);
  } else {
    read_head(own, path, options, &config);
    // Of a language model's layers, it is known what else there may be.
    if (!embeds) refuse_left_over(checkpoint, recipes, [](const std::string&) { return false; });
  }
  const ImportedTokenizer tokenizer = import_tokenizer_of(checkpoint);
  write_converted(out_path, std::move(config), path, checkpoint, recipes, tokenizer, options);
} catch (const std::bad_alloc&) {
  fail(Status::kOutOfMemory, "%s: no memory to convert it", path.c_str());
}

}  // namespace headlane
