#include "engine/import/tokenizers/json_parts.h"

#include <algorithm>
#include <utility>

#include "engine/base/error.h"
#include "engine/file/json_fields.h"
#include "engine/import/tokenizers/tokens.h"

namespace headlane {
namespace {

using json = Json;

// The "single" template of a TemplateProcessing: special tokens around one sequence, all of type 0.
void read_template(const json& processor, const std::string& where, json* spec) {
  const json& single = json_field(processor, "single", where);
  const json& special = json_field(processor, "special_tokens", where);
  json before = json::array(), after = json::array();
  json* ids = &before;
  for (const json& item : single.is_array() ? single : json::array()) {
    const bool sequence = json_has(item, "Sequence", where);
    const char* const kind = sequence ? "Sequence" : "SpecialToken";
    const json& element = json_field(item, kind, where);
    const std::string id = json_string(element, "id", where);
    const bool second = sequence && (id != "A" || ids == &after);
    if (second || json_int(element, "type_id", where) != 0) {
      unsupported(where, "single", item.dump());
    }
    if (sequence) {
      ids = &after;
      continue;
    }
    const json& token = json_field(special, id.c_str(), where);
    for (const json& value : json_field(token, "ids", where)) ids->push_back(value);
  }
  if (ids == &before) unsupported(where, "single", "a template without the sequence A");
  (*spec)["ids_before"] = before;
  (*spec)["ids_after"] = after;
}

// BERT's and RoBERTa's, which differ in pairs of texts.
void read_cls_and_sep(const json& processor, const std::string& where, json* spec) {
  for (const auto& [from, to] : {std::pair{"cls", "ids_before"}, {"sep", "ids_after"}}) {
    const json& pair = json_field(processor, from, where);
    if (!pair.is_array() || pair.size() != 2) {
      fail(Status::kBadFile, "%s field \"%s\" is not a token and its id", where.c_str(), from);
    }
    (*spec)[to] = json::array({pair[1]});
  }
}

// Of the steps of a Sequence, one may add tokens; ByteLevel's concerns offsets alone.
void read_processor(const json& processor, const std::string& path, json* spec) {
  const std::string where = path + " post_processor";
  const std::string type = json_string(processor, "type", where);
  if (type == "ByteLevel") return;
  if (type == "Sequence") {
    for (const json& step : json_field(processor, "processors", where)) {
      read_processor(step, path, spec);
    }
    return;
  }
  if (!(*spec)["ids_before"].empty() || !(*spec)["ids_after"].empty()) {
    unsupported(path, "post_processor", "two steps that add tokens");
  }
  if (type == "TemplateProcessing") {
    read_template(processor, where, spec);
  } else if (type == "BertProcessing" || type == "RobertaProcessing") {
    read_cls_and_sep(processor, where, spec);
  } else {
    unsupported(path, "post_processor", type);
  }
}

}  // namespace

std::string type_of(const json& file, const char* key, const std::string& where) {
  if (!json_has(file, key, where)) return "null";
  return json_string(file[key], "type", where + " " + key);
}

void read_post_processor(const json& file, const std::string& path, json* spec) {
  (*spec)["ids_before"] = json::array();
  (*spec)["ids_after"] = json::array();
  if (json_has(file, "post_processor", path)) read_processor(file["post_processor"], path, spec);
}

std::vector<NamedToken> read_added_tokens(const json& file, const std::string& path) {
  std::vector<NamedToken> added;
  for (const json& element : json_field(file, "added_tokens", path)) {
    NamedToken token;
    token.id = json_int(element, "id", path);
    token.content = json_string(element, "content", path);
    const std::string where = path + " added token \"" + printable(token.content) + "\"";
    for (const char* key : {"single_word", "lstrip", "rstrip", "normalized"}) {
      token.flags[key] = json_bool(element, key, where);
    }
    token.special = json_bool(element, "special", where, false);
    added.push_back(std::move(token));
  }
  std::stable_sort(added.begin(), added.end(),
                   [](const NamedToken& a, const NamedToken& b) { return a.id < b.id; });
  return added;
}

void check_truncation(const TokenizerFiles& files, const json& file, const std::string& path) {
  const bool side_said = json_has(files.config(), "truncation_side", files.config_path());
  if (!side_said && json_has(file, "truncation", path) &&
      json_string(file["truncation"], "direction", path, "Right") != "Right") {
    unsupported(path, "truncation", "truncation from the left");
  }
}

}  // namespace headlane
