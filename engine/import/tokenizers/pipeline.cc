// Tokenizers that a tokenizer.json describes in full, or a class of transformers that has all of it
// except the vocabulary: the parts are taken as they are, except that vocabulary, merges, scores
// and the character map become tensors.
#include <cstdio>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/base/error.h"
#include "engine/file/json_fields.h"
#include "engine/import/source/json_file.h"
#include "engine/import/tokenizers/base64.h"
#include "engine/import/tokenizers/classes.h"
#include "engine/import/tokenizers/folder_tokens.h"
#include "engine/import/tokenizers/json_parts.h"
#include "engine/import/tokenizers/tokenizer.h"
#include "engine/import/tokenizers/tokens.h"
#include "engine/import/tokenizers/version_checks.h"
#include "engine/import/tokenizers/vocabulary_files.h"
#include "engine/text/byte_characters.h"

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

class PipelineReader {
 public:
  // `given` is what stands for a tokenizer.json where there is none; else null.
  PipelineReader(const TokenizerFiles& files, const TokenizerClass* tokenizer_class,
                 const FileClass* file_class, const json* given = nullptr)
      : files_(files),
        class_(tokenizer_class),
        file_class_(file_class),
        given_(given),
        path_(given != nullptr ? files.dir() + ": tokenizer"
                               : files.path(vocabulary_file(files, tokenizer_class))),
        folder_(files, path_, defaults_of(tokenizer_class, file_class)),
        tokens_(folder_.tokens()) {}

  ImportedTokenizer read() {
    json own;
    if (given_ == nullptr && files_.has_file("tokenizer.json")) own = read_json_file(path_);
    const json& file = given_ != nullptr ? *given_ : own;
    if (!file.is_null()) {
      read_model(json_field(file, "model", path_));
    } else {
      read_vocabulary();
    }
    const int64_t n_pieces = tokens_.size();
    const std::vector<NamedToken> in_file =
        file.is_null() ? std::vector<NamedToken>() : read_added_tokens(file, path_);
    if (!file.is_null()) folder_.read_padding(file);
    if (pieces_) {
      // They take the place of the class's own, and the folder's come behind them.
      for (NamedToken& token : files_.more_specials()) pieces_->push_back(std::move(token));
      folder_.add_all(in_file, *pieces_);
    } else {
      folder_.add_all(in_file);
    }
    json& spec = imported_.spec;
    spec["type"] = "pipeline";
    if (!file.is_null()) {
      read_parts(file, path_, &spec);
      take_charsmap(&spec["normalizer"]);
    }
    if (class_ != nullptr) {
      take_class(file);
      if (!file.is_null()) folder_.check_listed(in_file);
      if (class_->only_in_5 != nullptr) {
        for (const ClassTokens::Named& token : class_->tokens.named) {
          if (token.first == class_->only_in_5) folder_.check_default(token, "5");
        }
      }
    } else if (given_ == nullptr) {
      check_file_settings({files_, folder_, path_}, file_class_, &spec);
    }
    read_truncation_side(files_, file, path_, &spec);
    settle_types(files_, &spec);
    spec["n_pieces"] = n_pieces;
    spec["added_tokens"] = tokens_.added();
    spec["special_ids"] = folder_.special_ids();
    imported_.vocab = tokens_.text();
    return checked(std::move(imported_), path_);
  }

 private:
  static ClassTokens defaults_of(const TokenizerClass* of, const FileClass* file_class) {
    if (of != nullptr) return of->tokens;
    return file_class != nullptr ? ClassTokens{file_class->tokens, {}, false} : ClassTokens();
  }

  static const char* vocabulary_file(const TokenizerFiles& files, const TokenizerClass* of) {
    if (of == nullptr || files.has_file("tokenizer.json")) return "tokenizer.json";
    return of->vocabulary;
  }

  void read_vocabulary() {
    if (class_->model == "BPE" && class_->vocabulary == std::string_view("vocab.json")) {
      read_model(read_bpe_files(files_));
      return;
    }
    SentencePieceVocabulary pieces =
        class_->model == "BPE"
            ? read_bpe_pieces(files_)
            : read_fairseq_pieces(files_, folder_, class_->name == "CamembertTokenizer");
    read_model(pieces.model);
    imported_.charsmap = std::move(pieces.charsmap);
    pieces_ = std::move(pieces.added);
  }

  void read_parts(const json& parts, const std::string& path, json* spec) const {
    for (const char* key : {"normalizer", "pre_tokenizer", "decoder"}) {
      (*spec)[key] = json_has(parts, key, path) ? parts[key] : json();
    }
    read_post_processor(parts, path, spec);
  }

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
    } else if (type == "WordPiece") {
      read_vocab(model, where);
      json& spec = imported_.spec["model"];
      for (const char* key : {"unk_token", "continuing_subword_prefix"}) {
        spec[key] = json_string(model, key, where);
      }
      spec["max_input_chars_per_word"] = json_int(model, "max_input_chars_per_word", where);
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

  // The class's own parts, which must not contradict tokenizer.json's.
  void take_class(const json& file) {
    json& spec = imported_.spec;
    json parts = class_->parts(files_, folder_);
    if (file.is_null()) {
      if (class_->has_ends_of_4) check_pieces_alone({files_, folder_, path_}, has_all_bytes());
    } else if (class_->takes_ends) {
      if (class_->has_ends_of_4) check_ends({files_, folder_, path_}, &spec);
      parts["post_processor"] =
          json_has(file, "post_processor", path_) ? file["post_processor"] : json();
    }
    json own = {{"type", "pipeline"}, {"model", parts["model"]}};
    read_parts(parts, files_.config_path(), &own);
    settle_types(files_, &own);
    if (!file.is_null()) {
      const ClassAndFile both = {*class_, own, spec, imported_.charsmap, has_all_bytes()};
      check_same_parts(both, path_);
      if (has_llama_steps_of_4(both)) note_steps_of_5();
      settle_types(files_, &spec);
      if (spec["pair"] != own["pair"]) own["pair"] = kTwoPairs;
    }
    spec = std::move(own);
    // In place of the class's: none, where the files have none.
    if (class_->model == "Unigram" && imported_.charsmap.empty()) spec["normalizer"] = nullptr;
  }

  void note_steps_of_5() {
    imported_.note =
        path_ +
        ": its \"normalizer\" is that of transformers 4, in place of which transformers 5 puts "
        "what LlamaTokenizer has. Headlane does as transformers 5; ids may be other ones than "
        "those of 4 where a text begins with a blank, and behind special tokens within a text. If "
        "tokenizer.json is to be obeyed, set \"tokenizer_class\" to \"PreTrainedTokenizerFast\" in "
        "tokenizer_config.json";
  }

  bool has_all_bytes() const {
    if (imported_.spec["model"].contains("byte_fallback") &&
        imported_.spec["model"]["byte_fallback"] == json(true)) {
      return has_all_byte_tokens();
    }
    for (int byte = 0; byte < 256; ++byte) {
      std::string character;
      const char raw = static_cast<char>(byte);
      append_byte_characters({&raw, 1}, &character);
      if (!tokens_.has(character)) return false;
    }
    return true;
  }

  bool has_all_byte_tokens() const {
    for (int byte = 0; byte < 256; ++byte) {
      char token[8];
      std::snprintf(token, sizeof token, "<0x%02X>", static_cast<unsigned>(byte));
      if (!tokens_.has(token)) return false;
    }
    return true;
  }

  const TokenizerFiles& files_;
  const TokenizerClass* class_;
  const FileClass* file_class_;
  const json* given_;
  std::string path_;
  FolderTokens folder_;
  Tokens& tokens_;
  std::optional<std::vector<NamedToken>> pieces_;  // of a SentencePiece model
  ImportedTokenizer imported_;
};

}  // namespace

ImportedTokenizer import_pipeline(const TokenizerFiles& files,
                                  const TokenizerClass* tokenizer_class,
                                  const FileClass* file_class) {
  return PipelineReader(files, tokenizer_class, file_class).read();
}

ImportedTokenizer import_tokenizer_json(const json& file, const std::string& path) {
  const TokenizerFiles files(path);  // there are none
  return PipelineReader(files, nullptr, nullptr, &file).read();
}

}  // namespace headlane
