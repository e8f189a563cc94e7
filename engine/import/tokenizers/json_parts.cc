#include "engine/import/tokenizers/json_parts.h"

#include <algorithm>
#include <utility>

#include "engine/base/error.h"
#include "engine/file/json_fields.h"
#include "engine/import/tokenizers/tokens.h"

namespace headlane {
namespace {

using json = Json;

// A template of a TemplateProcessing as the items of a "pair": each special token's ids, and the
// texts, each with its type.
json read_template(const json& processor, const char* key, const std::string& where) {
  const json& special = json_field(processor, "special_tokens", where);
  const json& pieces = json_field(processor, key, where);
  json items = json::array();
  for (const json& piece : pieces.is_array() ? pieces : json::array()) {
    const bool sequence = json_has(piece, "Sequence", where);
    const json& element = json_field(piece, sequence ? "Sequence" : "SpecialToken", where);
    const std::string id = json_string(element, "id", where);
    const int64_t type = json_int(element, "type_id", where);
    if (sequence) {
      if (id != "A" && id != "B") unsupported(where, key, piece.dump());
      items.push_back({{"text", id == "A" ? 0 : 1}, {"type", type}});
      continue;
    }
    const json& token = json_field(special, id.c_str(), where);
    for (const json& value : json_field(token, "ids", where)) {
      items.push_back({{"id", value}, {"type", type}});
    }
  }
  return items;
}

int64_t count_text(const json& items, int text) {
  return std::count_if(items.begin(), items.end(), [&](const json& item) {
    return item.contains("text") && item["text"] == json(text);
  });
}

// The template of one text, all of type 0.
void read_single(const json& processor, const std::string& where, json* spec) {
  const json items = read_template(processor, "single", where);
  if (count_text(items, 0) != 1) {
    unsupported(where, "single", "a template without the sequence A, or with it twice");
  }
  const char* to = "ids_before";
  for (const json& item : items) {
    const bool is_text = item.contains("text");
    if (item["type"] != json(0) || (is_text && item["text"] != json(0))) {
      unsupported(where, "single", processor["single"].dump());
    }
    if (is_text) {
      to = "ids_after";
    } else {
      (*spec)[to].push_back(item["id"]);
    }
  }
}

void read_templates(const json& processor, const std::string& where, json* spec) {
  read_single(processor, where, spec);
  const json pair = read_template(processor, "pair", where);
  const bool whole = count_text(pair, 0) == 1 && count_text(pair, 1) == 1;
  (*spec)["pair"] = whole ? pair
                          : json(
                                "the template \"pair\" of tokenizer.json does not have each of the "
                                "sequences A and B once");
}

// BERT's and RoBERTa's, which differ in pairs of texts.
void read_cls_and_sep(const json& processor, bool roberta, const std::string& where, json* spec) {
  const auto id_of = [&](const char* key) {
    const json& pair = json_field(processor, key, where);
    if (!pair.is_array() || pair.size() != 2) {
      fail(Status::kBadFile, "%s field \"%s\" is not a token and its id", where.c_str(), key);
    }
    return pair[1];
  };
  const json cls = id_of("cls"), sep = id_of("sep");
  (*spec)["ids_before"] = json::array({cls});
  (*spec)["ids_after"] = json::array({sep});
  (*spec)["pair"] = roberta ? roberta_pair(cls, sep) : bert_pair(cls, sep);
}

// One of the steps of a Sequence may add tokens; ByteLevel's concerns offsets alone. Returns
// whether this one does.
bool read_processor(const json& processor, const std::string& path, json* spec) {
  const std::string where = path + " post_processor";
  const std::string type = json_string(processor, "type", where);
  if (type == "ByteLevel") return false;
  if (type == "Sequence") {
    int n_adding = 0;
    for (const json& step : json_field(processor, "processors", where)) {
      n_adding += read_processor(step, path, spec) ? 1 : 0;
    }
    if (n_adding > 1) unsupported(path, "post_processor", "two steps that add tokens");
    return n_adding > 0;
  }
  if (type == "TemplateProcessing") {
    read_templates(processor, where, spec);
  } else if (type == "BertProcessing" || type == "RobertaProcessing") {
    read_cls_and_sep(processor, type == "RobertaProcessing", where, spec);
  } else {
    unsupported(path, "post_processor", type);
  }
  return true;
}

constexpr const char* kTwoTypes =
    "\"model_input_names\" in tokenizer_config.json does not say whether the model gets the types "
    "of tokens: for PreTrainedTokenizerFast it does in transformers 4 and does not in transformers "
    "5. Name \"token_type_ids\" there, or the others without it, and convert the folder again";

}  // namespace

std::string type_of(const json& file, const char* key, const std::string& where) {
  if (!json_has(file, key, where)) return "null";
  return json_string(file[key], "type", where + " " + key);
}

Json bert_pair(const Json& cls, const Json& sep) {
  return json::array({{{"id", cls}, {"type", 0}},
                      {{"text", 0}, {"type", 0}},
                      {{"id", sep}, {"type", 0}},
                      {{"text", 1}, {"type", 1}},
                      {{"id", sep}, {"type", 1}}});
}

Json roberta_pair(const Json& cls, const Json& sep) {
  return json::array({{{"id", cls}, {"type", 0}},
                      {{"text", 0}, {"type", 0}},
                      {{"id", sep}, {"type", 0}},
                      {{"id", sep}, {"type", 0}},
                      {{"text", 1}, {"type", 0}},
                      {{"id", sep}, {"type", 0}}});
}

json untyped(json pair) {
  if (!pair.is_array()) return pair;
  for (json& item : pair) item["type"] = 0;
  return pair;
}

void settle_types(const TokenizerFiles& files, json* spec) {
  json& pair = (*spec)["pair"];
  const TokenizerFiles::Types types = files.types();
  if (types == TokenizerFiles::Types::kGiven || untyped(pair) == pair) return;
  if (types == TokenizerFiles::Types::kNotGiven) {
    pair = untyped(pair);
  } else {
    (*spec)["no_types"] = kTwoTypes;
  }
}

void read_post_processor(const json& file, const std::string& path, json* spec) {
  (*spec)["ids_before"] = json::array();
  (*spec)["ids_after"] = json::array();
  (*spec)["pair"] = json::array({{{"text", 0}, {"type", 0}}, {{"text", 1}, {"type", 1}}});
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

void read_truncation_side(const TokenizerFiles& files, const json& file, const std::string& path,
                          json* spec) {
  constexpr const char* kSide = "truncation_side";
  std::string side = "right";
  if (json_has(files.config(), kSide, files.config_path())) {
    side = json_string(files.config(), kSide, files.config_path());
    if (side != "left" && side != "right") unsupported(files.config_path(), kSide, side);
  } else if (!file.is_null() && json_has(file, "truncation", path)) {
    const std::string direction =
        json_string(file["truncation"], "direction", path + " truncation", "Right");
    if (direction != "Left" && direction != "Right") unsupported(path, "truncation", direction);
    if (direction == "Left") side = "left";
  }
  if (side == "left") (*spec)[kSide] = side;  // without it files open in older versions
}

}  // namespace headlane
