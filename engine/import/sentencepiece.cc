// SentencePiece tokenizers of translation models' folders, family by family. Ids are those that the
// classes of transformers give, but the pieces SentencePiece's own: where transformers 5 rebuilds
// T5's and NLLB's tokenizers from their models, white space at the ends of a text may differ.
#include <algorithm>
#include <cctype>
#include <cinttypes>
#include <span>
#include <string_view>
#include <utility>

#include "engine/error.h"
#include "engine/import/json_file.h"
#include "engine/import/tokenizer.h"
#include "engine/import/tokens.h"
#include "engine/model/input_file.h"
#include "engine/model/limits.h"
#include "engine/text/sentencepiece_model.h"

namespace headlane {
namespace {

using json = Json;

// The languages of M2M100Tokenizer, in the order of their ids, by its "language_codes".
constexpr std::string_view kM2M100Languages =
    "af am ar ast az ba be bg bn br bs ca ceb cs cy da de el en es et fa ff fi fr fy ga gd gl gu "
    "ha he hi hr ht hu hy id ig ilo is it ja jv ka kk km kn ko lb lg ln lo lt lv mg mk ml mn mr ms "
    "my ne nl no ns oc or pa pl ps pt ro ru sd si sk sl so sq sr ss su sv sw ta th tl tn tr uk ur "
    "uz vi wo xh yi yo zh zu";
constexpr std::string_view kWmt21Languages = "en ha is ja cs ru zh de";

std::string read_bytes(const std::string& path) {
  return read_whole_file(path, file_limits::kSentencePieceBytes);
}

// What a folder's files say, and the tokenizer that becomes of it.
class Folder {
 public:
  Folder(const std::string& dir, const char* vocab_file)
      : dir_(dir),
        config_path_(dir + "/tokenizer_config.json"),
        map_path_(dir + "/special_tokens_map.json"),
        config_(read_json_file_if_present(config_path_).value_or(json::object())),
        map_(read_json_file_if_present(map_path_).value_or(json::object())),
        tokens_(dir + "/" + vocab_file) {}

  const json& config() const { return config_; }
  const std::string& config_path() const { return config_path_; }
  std::string path(const char* file) const { return dir_ + "/" + file; }
  Tokens& tokens() { return tokens_; }

  // Refuses a folder whose tokenizer is said to be of another class: its ids would be others.
  void expect_class(std::initializer_list<std::string_view> classes) const {
    std::string name = json_string(config_, "tokenizer_class", config_path_, "");
    if (name.empty()) return;
    if (name.ends_with("Fast")) name.resize(name.size() - 4);
    if (std::find(classes.begin(), classes.end(), name) != classes.end()) return;
    unsupported(config_path_, "tokenizer_class", name + " with these files");
  }

  // A special token such as "eos_token".
  std::string special(const char* key, const char* otherwise) const {
    if (json_has(config_, key, config_path_)) return content(config_[key], key, config_path_);
    if (json_has(map_, key, map_path_)) return content(map_[key], key, map_path_);
    return otherwise;
  }

  // The lists of special tokens that have no name, in their order.
  std::vector<std::string> more_specials() const {
    std::vector<std::string> tokens;
    for (const char* key : {"additional_special_tokens", "extra_special_tokens"}) {
      for (const auto& [file, where] :
           {std::pair{&config_, &config_path_}, std::pair{&map_, &map_path_}}) {
        if (!json_has(*file, key, *where) || !(*file)[key].is_array()) continue;
        for (const json& token : (*file)[key]) tokens.push_back(content(token, key, *where));
      }
    }
    return tokens;
  }

  // Added tokens by id, as tokenizer.json or tokenizer_config.json have them; those that follow the
  // vocabulary are appended to it. Without tokens that may be anywhere in it: `core`.
  void read_added() {
    std::map<int64_t, json> added;
    const std::optional<json> file = read_json_file_if_present(path("tokenizer.json"));
    if (file) {
      for (const json& token : json_field(*file, "added_tokens", path("tokenizer.json"))) {
        added[json_int(token, "id", path("tokenizer.json"))] = token;
      }
    } else if (json_has(config_, "added_tokens_decoder", config_path_)) {
      for (const auto& [id, token] : config_["added_tokens_decoder"].items()) {
        added[id_of(id)] = token;
      }
    }
    const std::string where = file ? path("tokenizer.json") : config_path_;
    for (auto& [id, token] : added) {
      const std::string text = json_string(token, "content", where);
      token["normalized"] = false;  // SentencePiece's tokens are found in the text as it is
      tokens_.add(text, id, token);
      if (json_bool(token, "special", where, false)) specials_.push_back(id);
    }
  }

  // A special token, found in text, that decoding leaves out. One that is not in the vocabulary is
  // none.
  void add_special(const std::string& token) {
    if (token.empty() || !tokens_.has(token)) return;
    const int64_t id = tokens_.id(token);
    specials_.push_back(id);
    if (tokens_.is_added(id)) return;
    tokens_.add(
        token, id,
        json{{"single_word", false}, {"lstrip", false}, {"rstrip", false}, {"normalized", false}});
  }

  // The fields that all families have, and the files.
  ImportedTokenizer finish(const json& spec, const char* source) {
    for (const char* key : {"bos_token", "eos_token", "sep_token", "cls_token", "unk_token",
                            "pad_token", "mask_token"}) {
      add_special(special(key, ""));
    }
    for (const std::string& token : more_specials()) add_special(token);
    const std::string unk = special("unk_token", "<unk>"), eos = special("eos_token", "</s>");
    add_special(unk);
    add_special(eos);
    add_special("<pad>");
    std::sort(specials_.begin(), specials_.end());
    specials_.erase(std::unique(specials_.begin(), specials_.end()), specials_.end());
    json fields = {{"type", "sentencepiece"},         {"unk_token", unk},
                   {"ids_before", json::array()},     {"ids_after", {tokens_.id(eos)}},
                   {"added_tokens", tokens_.added()}, {"special_ids", specials_},
                   {"language_use", "none"},          {"languages", json::array()},
                   {"source_language", nullptr},      {"language_after", false},
                   {"text_languages", false}};
    fields.update(spec);
    ImportedTokenizer imported;
    imported.spec = std::move(fields);
    imported.vocab = tokens_.text();
    imported.source = read_bytes(path(source));
    return imported;
  }

 private:
  static std::string content(const json& token, const char* key, const std::string& where) {
    if (token.is_object()) return json_string(token, "content", where);
    return json_string(json{{key, token}}, key, where);
  }

  int64_t id_of(const std::string& digits) const {
    const bool number = !digits.empty() && digits.size() < 10 &&
                        std::all_of(digits.begin(), digits.end(),
                                    [](unsigned char c) { return std::isdigit(c) != 0; });
    if (!number) {
      fail(Status::kBadFile, "%s field \"added_tokens_decoder\" has the id \"%s\"",
           config_path_.c_str(), printable(digits).c_str());
    }
    return std::stoll(digits);
  }

  std::string dir_, config_path_, map_path_;
  json config_, map_;
  Tokens tokens_;
  std::vector<int64_t> specials_;
};

std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words;
  while (!text.empty()) {
    const std::string_view word = text.substr(0, text.find(' '));
    words.emplace_back(word);
    text.remove_prefix(std::min(word.size() + 1, text.size()));
  }
  return words;
}

SentencePieceModel read_model(const std::string& path) {
  return read_sentencepiece_model(read_bytes(path), path);
}

ImportedTokenizer import_marian(const std::string& dir) {
  Folder folder(dir, "vocab.json");
  folder.expect_class({"MarianTokenizer"});
  const std::string vocab_path = folder.path("vocab.json");
  folder.tokens().append_all(read_json_file(vocab_path), vocab_path, true);
  folder.read_added();
  const bool separate = json_bool(folder.config(), "separate_vocabs", folder.config_path(), false);
  json spec = {{"text_languages", true}, {"languages", json::array()}};
  for (int64_t id = 0; !separate && id < folder.tokens().size(); ++id) {
    const std::string& token = folder.tokens().token(id);
    if (token.size() <= 4 || !token.starts_with(">>") || !token.ends_with("<<")) continue;
    spec["languages"].push_back({{"name", token.substr(2, token.size() - 4)}, {"id", id}});
  }
  if (!spec["languages"].empty()) spec["language_use"] = "target_in_text";
  ImportedTokenizer imported = folder.finish(spec, "source.spm");
  imported.target = read_bytes(folder.path("target.spm"));
  if (separate) {
    const std::string target_path = folder.path("target_vocab.json");
    Tokens target(target_path);
    target.append_all(read_json_file(target_path), target_path, true);
    imported.target_vocab = target.text();
    imported.spec["special_ids"] = json::array();
    for (const char* key : {"unk_token", "eos_token", "pad_token"}) {
      const std::string token = folder.special(key, key[0] == 'u'   ? "<unk>"
                                                    : key[0] == 'e' ? "</s>"
                                                                    : "<pad>");
      if (target.has(token)) imported.spec["special_ids"].push_back(target.id(token));
    }
  }
  return checked(std::move(imported), dir);
}

ImportedTokenizer import_m2m100(const std::string& dir) {
  Folder folder(dir, "vocab.json");
  folder.expect_class({"M2M100Tokenizer"});
  const std::string vocab_path = folder.path("vocab.json");
  folder.tokens().append_all(read_json_file(vocab_path), vocab_path, false);
  const std::string codes =
      json_string(folder.config(), "language_codes", folder.config_path(), "m2m100");
  if (codes != "m2m100" && codes != "wmt21") {
    unsupported(folder.config_path(), "language_codes", codes);
  }
  json languages = json::array();
  for (const std::string& name : words_of(codes == "wmt21" ? kWmt21Languages : kM2M100Languages)) {
    const int64_t id = folder.tokens().size();
    folder.tokens().append("__" + name + "__");
    folder.add_special("__" + name + "__");
    languages.push_back({{"name", name}, {"id", id}});
  }
  folder.read_added();
  const json spec = {
      {"language_use", "source"},
      {"languages", languages},
      {"source_language", json_string(folder.config(), "src_lang", folder.config_path(), "en")}};
  return checked(folder.finish(spec, "sentencepiece.bpe.model"), dir);
}

// "zho_Hans": a language and a script.
bool is_flores_code(const std::string& token) {
  const auto letters = [&](size_t begin, size_t end) {
    return std::all_of(
        token.begin() + static_cast<ptrdiff_t>(begin), token.begin() + static_cast<ptrdiff_t>(end),
        [](unsigned char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); });
  };
  return token.size() == 8 && token[3] == '_' && letters(0, 3) && letters(4, 8);
}

ImportedTokenizer import_nllb(const std::string& dir) {
  Folder folder(dir, "sentencepiece.bpe.model");
  folder.expect_class({"NllbTokenizer"});
  const std::string model_path = folder.path("sentencepiece.bpe.model");
  const SentencePieceModel model = read_model(model_path);
  // fairseq's first four tokens take the place of SentencePiece's first three.
  constexpr const char* kFairseq[] = {"<s>", "<pad>", "</s>", "<unk>"};
  constexpr const char* kReplaced[] = {"<unk>", "<s>", "</s>"};
  for (size_t i = 0; i < 3; ++i) {
    if (i < model.pieces.size() && model.pieces[i].text == kReplaced[i]) continue;
    fail(Status::kBadFile, "%s: piece %zu is not \"%s\", as NLLB's is", model_path.c_str(), i,
         kReplaced[i]);
  }
  for (const char* token : kFairseq) folder.tokens().append(token);
  for (size_t i = 3; i < model.pieces.size(); ++i) folder.tokens().append(model.pieces[i].text);
  folder.read_added();
  // Folders older than both files of added tokens list the languages, whose ids follow the pieces.
  for (const std::string& token : folder.more_specials()) {
    if (is_flores_code(token) && !folder.tokens().has(token)) folder.tokens().append(token);
  }
  const std::string mask = folder.special("mask_token", "<mask>");
  if (!folder.tokens().has(mask)) folder.tokens().append(mask);
  json languages = json::array();
  for (auto id = static_cast<int64_t>(model.pieces.size()); id < folder.tokens().size(); ++id) {
    const std::string token = folder.tokens().token(id);
    if (!is_flores_code(token)) continue;
    folder.add_special(token);
    languages.push_back({{"name", token}, {"id", id}});
  }
  if (languages.empty()) {
    fail(Status::kBadFile,
         "%s: neither tokenizer.json nor the lists of special tokens have languages", dir.c_str());
  }
  const json spec = {{"language_use", "source"},
                     {"languages", languages},
                     {"source_language",
                      json_string(folder.config(), "src_lang", folder.config_path(), "eng_Latn")},
                     {"language_after",
                      json_bool(folder.config(), "legacy_behaviour", folder.config_path(), false)}};
  return checked(folder.finish(spec, "sentencepiece.bpe.model"), dir);
}

ImportedTokenizer import_t5(const std::string& dir) {
  Folder folder(dir, "spiece.model");
  folder.expect_class({"T5Tokenizer", "MT5Tokenizer"});
  const SentencePieceModel model = read_model(folder.path("spiece.model"));
  for (const Piece& piece : model.pieces) folder.tokens().append(piece.text);
  constexpr int64_t kMaxExtraIds = file_limits::kExtraIds;
  const int64_t n_extra = json_int(folder.config(), "extra_ids", folder.config_path(), 100);
  if (n_extra < 0 || n_extra > kMaxExtraIds) {
    fail(Status::kBadFile, "%s field \"extra_ids\" is %" PRId64 ", not in [0, %" PRId64 "]",
         folder.config_path().c_str(), n_extra, kMaxExtraIds);
  }
  for (int64_t i = n_extra; i-- > 0;) {
    folder.tokens().append("<extra_id_" + std::to_string(i) + ">");
  }
  folder.read_added();
  for (int64_t i = 0; i < n_extra; ++i) {
    folder.add_special("<extra_id_" + std::to_string(i) + ">");
  }
  return checked(folder.finish(json::object(), "spiece.model"), dir);
}

}  // namespace

std::optional<ImportedTokenizer> import_sentencepiece(const std::string& hf_dir) {
  if (file_exists(hf_dir + "/source.spm")) return import_marian(hf_dir);
  if (file_exists(hf_dir + "/sentencepiece.bpe.model")) {
    return file_exists(hf_dir + "/vocab.json") ? import_m2m100(hf_dir) : import_nllb(hf_dir);
  }
  if (file_exists(hf_dir + "/spiece.model")) return import_t5(hf_dir);
  return {};
}

}  // namespace headlane
