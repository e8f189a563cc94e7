// SentencePiece tokenizers of translation models' folders, family by family. Ids are those that the
// classes of transformers give, but the pieces SentencePiece's own: where transformers 5 rebuilds
// T5's and NLLB's tokenizers from their models, white space at the ends of a text may differ.
#include <algorithm>
#include <cinttypes>
#include <map>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

#include "engine/base/error.h"
#include "engine/file/input_file.h"
#include "engine/file/limits.h"
#include "engine/import/source/json_file.h"
#include "engine/import/tokenizers/json_parts.h"
#include "engine/import/tokenizers/tokenizer.h"
#include "engine/import/tokenizers/tokens.h"
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

// This is one of two texts, in a "pair".
json text(int which) { return {{"text", which}, {"type", 0}}; }

// A folder has files that say something, and a tokenizer that becomes of it.
class Folder {
 public:
  Folder(const TokenizerFiles& files, const char* vocab_file)
      : files_(files), tokens_(files.path(vocab_file)) {
    const char* const key = "sp_model_kwargs";  // such as pieces drawn at random
    if (json_has(config(), key, config_path()) && !config()[key].empty()) {
      unsupported(config_path(), key, config()[key].dump());
    }
  }

  const json& config() const { return files_.config(); }
  const std::string& config_path() const { return files_.config_path(); }
  const TokenizerFiles& files() const { return files_; }
  std::string path(const char* file) const { return files_.path(file); }
  Tokens& tokens() { return tokens_; }

  // Refuses a folder whose tokenizer is said to be of another class: its ids would be others.
  void expect_class(std::initializer_list<std::string_view> classes) const {
    const std::string& name = files_.tokenizer_class();
    if (name.empty() || std::find(classes.begin(), classes.end(), name) != classes.end()) return;
    files_.refuse_class(", whose files are others than these: these are of " +
                        std::string(*classes.begin()));
  }

  // A special token such as "eos_token".
  std::string special(const char* key, const char* otherwise) const {
    const std::optional<NamedToken> token = files_.special(key, otherwise);
    return token ? token->content : otherwise;
  }

  // Added tokens by id, as tokenizer.json and the other files have them; those that follow the
  // vocabulary are appended to it. Without tokens that may be anywhere in it: `core`.
  void read_added() {
    std::map<int64_t, json> added;
    const std::string file_path = path("tokenizer.json");
    const std::optional<json> file = read_json_file_if_present(file_path);
    if (file) {
      for (const json& token : json_field(*file, "added_tokens", file_path)) {
        added[json_int(token, "id", file_path)] = token;
      }
    }
    for (const NamedToken& token : files_.added()) {
      json entry = token.flags;
      entry["content"] = token.content;
      entry["special"] = token.special;
      const auto [it, is_new] = added.emplace(token.id, entry);
      if (is_new) continue;
      if (json_string(it->second, "content", file_path) != token.content) {
        fail(Status::kBadFile, "%s: the added token %" PRId64 " is \"%s\" in another file",
             file_path.c_str(), token.id, printable(token.content).c_str());
      }
    }
    for (auto& [id, token] : added) {
      const std::string text = json_string(token, "content", file_path);
      token["normalized"] = false;  // SentencePiece's tokens are found in the text as it is
      tokens_.add(text, id, token);
      if (json_bool(token, "special", file_path, false)) specials_.push_back(id);
    }
  }

  // A special token, found in text, that decoding leaves out. One that is not in the vocabulary is
  // none.
  void add_special(const NamedToken& token) {
    if (token.content.empty() || !tokens_.has(token.content)) return;
    const int64_t id = tokens_.id(token.content);
    specials_.push_back(id);
    if (tokens_.is_added(id)) return;
    json flags = token.flags;
    flags["normalized"] = false;
    tokens_.add(token.content, id, flags);
  }
  void add_special(const std::string& token) { add_special(read_named_token(token, token, true)); }

  // transformers gives a token that the vocabulary lacks the id that follows.
  void refuse_unless_known(const NamedToken& token) const {
    if (token.content.empty() || tokens_.has(token.content)) return;
    fail(Status::kUnsupported,
         "%s: the special token \"%s\" is not in the vocabulary; list it with its id in "
         "\"added_tokens_decoder\" of tokenizer_config.json",
         files_.dir().c_str(), printable(token.content).c_str());
  }

  // The fields that all families have, and the files.
  ImportedTokenizer finish(const json& spec, const char* source) {
    // One that the table of words has no row for cannot be meant: transformers fails at it.
    const bool has_row =
        files_.model_vocab_size() < 0 || tokens_.size() < files_.model_vocab_size();
    for (const char* key : TokenizerFiles::kNames) {
      const std::optional<NamedToken> token = files_.special(key, nullptr);
      if (!token) continue;
      if (has_row) refuse_unless_known(*token);
      add_special(*token);
    }
    for (const NamedToken& token : files_.more_specials()) {
      refuse_unless_known(token);
      add_special(token);
    }
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
    fields["pair"] = json::array({text(0), text(1), {{"id", tokens_.id(eos)}, {"type", 0}}});
    fields.update(spec);
    const std::string file_path = path("tokenizer.json");
    read_truncation_side(files_, read_json_file_if_present(file_path).value_or(json()), file_path,
                         &fields);
    ImportedTokenizer imported;
    imported.spec = std::move(fields);
    imported.vocab = tokens_.text();
    imported.source = read_bytes(path(source));
    return imported;
  }

 private:
  const TokenizerFiles& files_;
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

ImportedTokenizer import_marian(const TokenizerFiles& files) {
  Folder folder(files, "vocab.json");
  folder.expect_class({"MarianTokenizer"});
  const std::string vocab_path = folder.path("vocab.json");
  folder.tokens().append_all(read_json_file(vocab_path), vocab_path, true);
  folder.read_added();
  const bool separate = json_bool(folder.config(), "separate_vocabs", folder.config_path(), false);
  json spec = {{"text_languages", true}, {"languages", json::array()}, {"first_keeps_odd", true}};
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
  return checked(std::move(imported), files.dir());
}

ImportedTokenizer import_m2m100(const TokenizerFiles& files) {
  Folder folder(files, "vocab.json");
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
      {"source_language", json_string(folder.config(), "src_lang", folder.config_path(), "en")},
      {"first_keeps_odd", true}};
  return checked(folder.finish(spec, "sentencepiece.bpe.model"), files.dir());
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

ImportedTokenizer import_nllb(const TokenizerFiles& files) {
  Folder folder(files, "sentencepiece.bpe.model");
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
  for (const NamedToken& token : files.more_specials()) {
    const std::string& code = token.content;
    if (is_flores_code(code) && !folder.tokens().has(code)) folder.tokens().append(code);
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
         "%s: neither tokenizer.json nor the lists of special tokens have languages",
         files.dir().c_str());
  }
  const json spec = {{"language_use", "source"},
                     {"languages", languages},
                     {"source_language",
                      json_string(folder.config(), "src_lang", folder.config_path(), "eng_Latn")},
                     {"language_after",
                      json_bool(folder.config(), "legacy_behaviour", folder.config_path(), false)}};
  return checked(folder.finish(spec, "sentencepiece.bpe.model"), files.dir());
}

ImportedTokenizer import_t5(const TokenizerFiles& files) {
  Folder folder(files, "spiece.model");
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
  ImportedTokenizer imported = folder.finish(json::object(), "spiece.model");
  const json eos = {{"id", imported.spec["ids_after"][0]}, {"type", 0}};
  imported.spec["pair"] = json::array({text(0), eos, text(1), eos});
  return checked(std::move(imported), files.dir());
}

}  // namespace

std::optional<ImportedTokenizer> import_sentencepiece(const TokenizerFiles& files) {
  if (files.has_file("source.spm")) return import_marian(files);
  if (files.has_file("sentencepiece.bpe.model")) {
    return files.has_file("vocab.json") ? import_m2m100(files) : import_nllb(files);
  }
  if (files.has_file("spiece.model")) return import_t5(files);
  return {};
}

}  // namespace headlane
