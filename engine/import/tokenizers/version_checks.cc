#include "engine/import/tokenizers/version_checks.h"

#include <array>

#include "engine/base/error.h"
#include "engine/file/json_fields.h"
#include "engine/import/tokenizers/json_parts.h"
#include "engine/import/tokenizers/tokens.h"

namespace headlane {
namespace {

using json = Json;

void check_prefix_space(const CheckedFolder& folder, const json& words) {
  const std::string& where = folder.files.config_path();
  const char* const kBlank = "add_prefix_space";
  if (!words.contains("type") || words["type"] != json("ByteLevel") ||
      json_bool(words, kBlank, folder.path) ==
          json_bool(folder.files.config(), kBlank, where, false)) {
    return;
  }
  fail(Status::kUnsupported,
       "%s field \"%s\" is not that of tokenizer.json's ByteLevel: transformers 4 obeys the "
       "first and transformers 5 the second; make them equal",
       where.c_str(), kBlank);
}

void check_said_ends(const CheckedFolder& folder, const json& spec) {
  const json& config = folder.files.config();
  const std::string& where = folder.files.config_path();
  if (!json_has(config, "add_bos_token", where) && !json_has(config, "add_eos_token", where)) {
    return;
  }
  for (const auto& [key, token, ids] : {std::array{"add_bos_token", "bos_token", "ids_before"},
                                        std::array{"add_eos_token", "eos_token", "ids_after"}}) {
    json expected = json::array();
    if (json_bool(config, key, where, false)) {
      expected.push_back(folder.tokens.tokens().id(folder.tokens.special(token)));
    }
    if (spec[ids] == expected) continue;
    fail(Status::kUnsupported,
         "%s field \"%s\" does not fit the \"post_processor\" of tokenizer.json: transformers 4 "
         "obeys the second and transformers 5 the first; make them equal",
         where.c_str(), key);
  }
}

}  // namespace

void check_file_settings(const CheckedFolder& folder, const FileClass* file_class, json* spec) {
  if (file_class != nullptr) {
    for (const ClassTokens::Named& token : file_class->tokens) {
      folder.tokens.check_default(token, "4");
    }
    if (file_class->has_ends) return check_ends(folder, spec);
  }
  check_prefix_space(folder, (*spec)["pre_tokenizer"]);
  check_said_ends(folder, *spec);
}

void check_ends(const CheckedFolder& folder, json* spec) {
  json own;
  const json processor = ends_of_settings(folder.files, folder.tokens);
  read_post_processor({{"post_processor", processor}}, folder.files.config_path(), &own);
  for (const char* key : {"ids_before", "ids_after"}) {
    if ((*spec)[key] == own[key]) continue;
    fail(Status::kUnsupported,
         "%s: its \"post_processor\" puts other tokens around a text than \"add_bos_token\" and "
         "\"add_eos_token\" in tokenizer_config.json say (true and false if they are not there): "
         "transformers 4 obeys these and transformers 5 the file; make them equal",
         folder.path.c_str());
  }
  if (untyped((*spec)["pair"]) != untyped(own["pair"])) (*spec)["pair"] = kTwoPairs;
}

void check_pieces_alone(const CheckedFolder& folder, bool has_all_bytes) {
  const json& config = folder.files.config();
  const std::string& where = folder.files.config_path();
  if (!json_has(config, "add_bos_token", where)) {
    fail(Status::kUnsupported,
         "%s has no field \"add_bos_token\": without a tokenizer.json it is true in transformers 4 "
         "and false in transformers 5; write it there",
         where.c_str());
  }
  if (!json_has(config, "legacy", where) || json_bool(config, "legacy", where)) {
    fail(Status::kUnsupported,
         "%s field \"legacy\" is not false: versions of transformers tokenize the beginnings of "
         "texts in different ways then; write false if the model was trained so, or save a "
         "tokenizer.json by the version that you use",
         where.c_str());
  }
  if (!has_all_bytes) unsupported(folder.path, "pieces", "fewer than 256 tokens of bytes");
  const char* const key = "sp_model_kwargs";  // such as pieces drawn at random
  if (json_has(config, key, where) && !config[key].empty()) {
    unsupported(where, key, config[key].dump());
  }
}

}  // namespace headlane
