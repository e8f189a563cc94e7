// Tokenizers that a tokenizer.json describes in full: its parts are taken as they are, except that
// vocabulary, merges, scores and the character map become tensors.
#include <algorithm>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/base/error.h"
#include "engine/file/json_fields.h"
#include "engine/import/source/json_file.h"
#include "engine/import/tokenizers/base64.h"
#include "engine/import/tokenizers/folder_tokens.h"
#include "engine/import/tokenizers/json_parts.h"
#include "engine/import/tokenizers/tokenizer.h"
#include "engine/import/tokenizers/tokens.h"

namespace headlane {
namespace {

using json = Json;

template <typename T>
void append_bytes(T value, std::string* out) {
  out->append(reinterpret_cast<const char*>(&value), sizeof value);
}

// The pair of a merge, "a b" or ["a", "b"].
std::pair<std::string, std::string> read_pair(const json& merge, const std::string& where) {
  if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
    return {merge[0].text(), merge[1].text()};
  }
  if (merge.is_string()) {
    const std::string& pair = merge.text();
    const size_t blank = pair.find(' ');
    if (blank != std::string::npos && pair.find(' ', blank + 1) == std::string::npos) {
      return {pair.substr(0, blank), pair.substr(blank + 1)};
    }
  }
  fail(Status::kBadFile, "%s field \"merges\": %s is not two tokens", where.c_str(),
       printable(merge.dump()).c_str());
}

constexpr std::pair<std::string_view, const char*> kXlmRobertaTokens[] = {
    {"bos_token", "<s>"},   {"eos_token", "</s>"}, {"unk_token", "<unk>"},  {"sep_token", "</s>"},
    {"pad_token", "<pad>"}, {"cls_token", "<s>"},  {"mask_token", "<mask>"}};

class Reader {
 public:
  Reader(const TokenizerFiles& files, bool xlm_roberta)
      : files_(files),
        xlm_roberta_(xlm_roberta),
        path_(files.path("tokenizer.json")),
        folder_(files, path_,
                xlm_roberta ? FolderTokens::Defaults(kXlmRobertaTokens) : FolderTokens::Defaults()),
        tokens_(folder_.tokens()) {}

  ImportedTokenizer read() {
    const json file = read_json_file(path_);
    read_model(json_field(file, "model", path_));
    const int64_t n_pieces = tokens_.size();
    const std::vector<NamedToken> in_file = read_added_tokens(file, path_);
    folder_.read_padding(file);
    folder_.add_all(in_file);
    json& spec = imported_.spec;
    spec["type"] = "pipeline";
    spec["n_pieces"] = n_pieces;
    for (const char* key : {"normalizer", "pre_tokenizer", "decoder"}) {
      spec[key] = json_has(file, key, path_) ? file[key] : json();
    }
    take_charsmap(&spec["normalizer"]);
    read_post_processor(file, path_, &spec);
    check_truncation(files_, file, path_);
    settle_types(files_, &spec);
    if (xlm_roberta_) {
      check_xlm_roberta(spec);
      if (spec["pair"] != roberta_pair(spec["ids_before"][0], spec["ids_after"][0])) {
        spec["pair"] = kTwoPairs;
      }
    }
    spec["added_tokens"] = tokens_.added();
    spec["special_ids"] = folder_.special_ids();
    imported_.vocab = tokens_.text();
    return checked(std::move(imported_), path_);
  }

 private:
  void read_model(const json& model) {
    const std::string where = path_ + " model";
    const std::string type = tokenizer_json_model({{"model", model}}, path_);
    imported_.spec["model"]["type"] = type;
    if (type == "Unigram") {
      read_unigram(model, where);
    } else if (type == "BPE") {
      read_bpe(model, where);
    } else if (type == "WordLevel") {
      read_vocab(model, where);
      imported_.spec["model"]["unk_token"] = json_string(model, "unk_token", where);
    } else {
      unsupported(path_, "model", type);
    }
  }

  void read_vocab(const json& model, const std::string& where) {
    tokens_.append_all(json_field(model, "vocab", where), where + " field \"vocab\"", true);
  }

  void read_unigram(const json& model, const std::string& where) {
    json& spec = imported_.spec["model"];
    spec["unk_id"] = json_int(model, "unk_id", where);
    spec["byte_fallback"] = json_bool(model, "byte_fallback", where, false);
    for (const json& piece : json_field(model, "vocab", where)) {
      if (!piece.is_array() || piece.size() != 2 || !piece[0].is_string() ||
          !piece[1].is_number()) {
        fail(Status::kBadFile, "%s field \"vocab\": %s is not a token and its score", where.c_str(),
             printable(piece.dump()).c_str());
      }
      tokens_.append(piece[0].text());
      append_bytes(piece[1].get<double>(), &imported_.scores);
    }
  }

  void read_bpe(const json& model, const std::string& where) {
    json& spec = imported_.spec["model"];
    if (json_has(model, "dropout", where) && json_number(model, "dropout", where) != 0) {
      unsupported(where, "dropout", "merges left out by chance");
    }
    for (const char* key : {"unk_token", "continuing_subword_prefix", "end_of_word_suffix"}) {
      spec[key] = json_has(model, key, where) ? json(json_string(model, key, where)) : json();
    }
    for (const char* key : {"fuse_unk", "byte_fallback", "ignore_merges"}) {
      spec[key] = json_bool(model, key, where, false);
    }
    read_vocab(model, where);
    const json& prefix = spec["continuing_subword_prefix"];
    const size_t prefix_bytes = prefix.is_null() ? 0 : prefix.text().size();
    for (const json& merge : json_field(model, "merges", where)) {
      const auto [left, right] = read_pair(merge, where);
      if (right.size() < prefix_bytes) {
        fail(Status::kBadFile, "%s field \"merges\": \"%s\" is shorter than the prefix",
             where.c_str(), printable(right).c_str());
      }
      for (const std::string& token : {left, right, left + right.substr(prefix_bytes)}) {
        append_bytes(static_cast<uint32_t>(tokens_.id(token)), &imported_.merges);
      }
    }
  }

  // Takes the character map of a Precompiled out of the normalizer's object.
  void take_charsmap(json* normalizer) {
    const std::string where = path_ + " normalizer";
    if (normalizer->is_null()) return;
    if (json_string(*normalizer, "type", where) == "Sequence") {
      for (json& step : (*normalizer)["normalizers"]) take_charsmap(&step);
    }
    if (json_string(*normalizer, "type", where) != "Precompiled") return;
    if (!imported_.charsmap.empty()) unsupported(path_, "normalizer", "two steps Precompiled");
    const std::optional<std::string> bytes =
        decode_base64(json_string(*normalizer, "precompiled_charsmap", where));
    if (!bytes) {
      fail(Status::kBadFile, "%s field \"precompiled_charsmap\" is not base64", where.c_str());
    }
    imported_.charsmap = *bytes;
    normalizer->erase("precompiled_charsmap");
  }

  // transformers 5 builds this class's tokenizer of the vocabulary and the character map alone.
  void check_xlm_roberta(const json& spec) const {
    const auto differs = [&](const char* what) {
      fail(Status::kUnsupported,
           "%s: its \"%s\" is not that of XLMRobertaTokenizer, the class that the folder's "
           "tokenizer "
           "has: transformers 4 obeys the file and transformers 5 the class. If tokenizer.json is "
           "right, set \"tokenizer_class\" to \"PreTrainedTokenizerFast\" in tokenizer_config.json",
           path_.c_str(), what);
    };
    const json model = {{"type", "Unigram"}, {"unk_id", 3}, {"byte_fallback", false}};
    if (spec["model"] != model) differs("model");
    if (spec["ids_before"] != json::array({tokens_.id(folder_.special("bos_token"))}) ||
        spec["ids_after"] != json::array({tokens_.id(folder_.special("eos_token"))})) {
      differs("post_processor");
    }
    if (!has_xlm_roberta_words(spec["pre_tokenizer"])) differs("pre_tokenizer");
    if (!has_xlm_roberta_normalizer(spec["normalizer"])) differs("normalizer");
  }

  // White space split at, then Metaspace.
  static bool has_xlm_roberta_words(const json& steps) {
    if (!steps.contains("pretokenizers") || steps["pretokenizers"].size() != 2) return false;
    const json& first = steps["pretokenizers"][0];
    json second = steps["pretokenizers"][1];
    // What stands there in files of all ages.
    for (const auto& [key, value] : {std::pair<const char*, json>{"prepend_scheme", "always"},
                                     {"add_prefix_space", true},
                                     {"split", true},
                                     {"str_rep", "\xE2\x96\x81"}}) {
      if (second.contains(key) && second[key] != value) return false;
      second.erase(key);
    }
    return first == json({{"type", "WhitespaceSplit"}}) &&
           second == json({{"type", "Metaspace"}, {"replacement", "\xE2\x96\x81"}});
  }

  // A character map, and at most what makes several blanks one, which changes no words.
  static bool has_xlm_roberta_normalizer(const json& normalizer) {
    const json map = {{"type", "Precompiled"}};
    const json blanks = {{"type", "Replace"}, {"pattern", {{"Regex", " {2,}"}}}, {"content", " "}};
    if (normalizer.is_null() || !normalizer.contains("normalizers")) return normalizer == map;
    const json& steps = normalizer["normalizers"];
    return !steps.empty() && steps[0] == map &&
           (steps.size() == 1 || (steps.size() == 2 && steps[1] == blanks));
  }

  const TokenizerFiles& files_;
  bool xlm_roberta_;
  std::string path_;
  FolderTokens folder_;
  Tokens& tokens_;
  ImportedTokenizer imported_;
};

}  // namespace

ImportedTokenizer import_pipeline(const TokenizerFiles& files, bool xlm_roberta) {
  return Reader(files, xlm_roberta).read();
}

}  // namespace headlane
