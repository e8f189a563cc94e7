#include "engine/import/gguf.h"

#include <filesystem>
#include <new>
#include <utility>
#include <vector>

#include "engine/base/error.h"
#include "engine/file/input_file.h"
#include "engine/import/families/generation.h"
#include "engine/import/gguf/gguf_architecture.h"
#include "engine/import/gguf/gguf_checkpoint.h"
#include "engine/import/gguf/gguf_tokenizer.h"
#include "engine/import/huggingface.h"
#include "engine/import/tokenizers/tokenizer.h"

namespace headlane {

namespace {

ImportedTokenizer import_tokenizer_of(const GgufCheckpoint& checkpoint) {
  const Json file = read_gguf_tokenizer(checkpoint.fields(), checkpoint.path());
  return file.is_null() ? ImportedTokenizer() : import_tokenizer_json(file, checkpoint.path());
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
  if (options.pooling) {
    fail(Status::kUnsupported, "%s: a language model has no pooling", path.c_str());
  }
  GgufCheckpoint checkpoint(path);
  const Json fields = read_gguf_config(&checkpoint);
  const Family& family = find_family(fields, path);
  const Json source = with_class_defaults(fields, family.defaults);
  ModelConfig config = family.config(source, path);
  config.max_seq_len = config.decoder.max_positions;
  // There is no generation_config.json: the roles of ids are in the config.
  config.generation =
      read_generation_defaults(path, source, family.defaults, path, config, options.log);
  const ImportedTokenizer tokenizer = import_tokenizer_of(checkpoint);
  const std::vector<TensorRecipe> recipes = family.tensors(checkpoint, source, path, config);
  write_converted(out_path, std::move(config), path, checkpoint, recipes, tokenizer, options);
} catch (const std::bad_alloc&) {
  fail(Status::kOutOfMemory, "%s: no memory to convert it", path.c_str());
}

}  // namespace headlane
