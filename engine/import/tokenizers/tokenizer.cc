// A model folder's class and its files say which tokenizer it has.
#include "engine/import/tokenizers/tokenizer.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

#include "engine/base/error.h"
#include "engine/import/source/json_file.h"
#include "engine/import/source/sentence_transformers.h"
#include "engine/import/tokenizers/tokens.h"

namespace headlane {
namespace {

using json = Json;

// These take tokenizer.json as it is.
constexpr const char* kTokenizerJsonClasses[] = {"PreTrainedTokenizerFast", "TokenizersBackend"};
constexpr const char* kSentencePieceClasses[] = {"MarianTokenizer", "M2M100Tokenizer",
                                                 "NllbTokenizer", "T5Tokenizer", "MT5Tokenizer"};

template <size_t N>
bool is_one_of(const std::string& name, const char* const (&names)[N]) {
  return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

constexpr const char* kIdsAlone =
    "To convert the model for token ids alone, take a copy of the folder without the tokenizer's "
    "files";

std::string known_classes() {
  std::string names = tokenizer_class_names();
  for (const char* name : kTokenizerJsonClasses) names.append(", ").append(name);
  for (const char* name : kSentencePieceClasses) names.append(", ").append(name);
  return names;
}

// Where BERT's class would read XLM-RoBERTa's files.
void refuse_xlm_roberta(const TokenizerFiles& files) {
  fail(Status::kUnsupported,
       "%s has XLM-RoBERTa's (Unigram) tokenizer in a BERT, which Headlane reads if "
       "\"tokenizer_class\" in tokenizer_config.json is \"XLMRobertaTokenizer\". %s",
       files.dir().c_str(), kIdsAlone);
}

void refuse_unknown_class(const TokenizerFiles& files) {
  const std::string& name = files.tokenizer_class();
  if (name.empty() || find_tokenizer_class(name) != nullptr ||
      is_one_of(name, kTokenizerJsonClasses) ||
      (find_file_class(name) != nullptr && obeys_tokenizer_json(files)) ||
      is_one_of(name, kSentencePieceClasses)) {
    return;
  }
  files.refuse_class(", which is not one that Headlane reads: " + known_classes() + ". " +
                     kIdsAlone);
}

bool has_wordpiece_json(const TokenizerFiles& files) {
  const std::string path = files.path("tokenizer.json");
  return files.has_file("tokenizer.json") &&
         tokenizer_json_model(read_json_file(path), path) == "WordPiece";
}

// mBART is read for token ids if its tokenizer is not one that Headlane has: its own is not, and it
// is the one that a folder has that names none.
bool is_left_out(const TokenizerFiles& files) {
  if (files.model_type() != "mbart") return false;
  const std::string& name = files.tokenizer_class();
  if (is_one_of(name, kTokenizerJsonClasses)) return !has_wordpiece_json(files);
  return find_tokenizer_class(name) == nullptr && !is_one_of(name, kSentencePieceClasses);
}

// `why`: a clause.
ImportedTokenizer leave_out(const TokenizerFiles& files, const std::string& why) {
  ImportedTokenizer none;
  none.left_out =
      files.dir() + ": " + why + "; the converted model takes and gives token ids, not texts";
  return none;
}

// The class takes tokenizer.json as it is.
ImportedTokenizer import_file(const TokenizerFiles& files) {
  if (!files.has_file("tokenizer.json")) {
    if (!files.has_file("vocab.txt")) {
      if (files.model_type() == "bert" && files.has_file(kFairseqModel)) refuse_xlm_roberta(files);
      return {};
    }
    files.refuse_class(", which needs tokenizer.json, which is not here");
  }
  const std::string path = files.path("tokenizer.json");
  return has_wordpiece_json(files) && has_bert_steps(read_json_file(path), path)
             ? import_wordpiece(files, nullptr)
             : import_pipeline(files, nullptr);
}

// The class has all except the vocabulary.
ImportedTokenizer import_class(const TokenizerFiles& files, const TokenizerClass& own) {
  const auto has = [&](const char* name) { return files.has_file(name); };
  if (own.model == "WordPiece") {
    if (has("tokenizer.json") || has("vocab.txt")) return import_wordpiece(files, &own);
    if (files.model_type() == "bert" && has(kFairseqModel)) refuse_xlm_roberta(files);
    return {};
  }
  if (has("tokenizer.json") && has_wordpiece_json(files)) {
    files.refuse_class(", but tokenizer.json is of a WordPiece");
  }
  if (own.vocabulary == nullptr) {
    if (has("tokenizer.json")) return import_pipeline(files, &own);
    files.refuse_class(", which transformers reads from tokenizer.json alone, which is not here");
  }
  const std::string vocabulary = own.vocabulary;
  const bool has_merges = vocabulary == "vocab.json";
  const bool whole = has(own.vocabulary) && (!has_merges || has("merges.txt"));
  if (has("tokenizer.json") || whole) return import_pipeline(files, &own);
  files.refuse_class(has_merges
                         ? ", but neither tokenizer.json nor vocab.json and merges.txt are here"
                         : ", but neither tokenizer.json nor " + vocabulary + " is here");
}

// The folder names no class, and its family tells none.
ImportedTokenizer import_text_files(const TokenizerFiles& files) {
  const bool has_json = files.has_file("tokenizer.json");
  if (!has_json && !files.has_file("vocab.txt")) return {};
  const std::string& family = files.model_type();
  if (family.empty()) return import_wordpiece(files, find_tokenizer_class("BertTokenizer"));
  if (has_json) refuse_other_models(files, read_json_file(files.path("tokenizer.json")));
  fail(Status::kUnsupported,
       "%s has a WordPiece tokenizer, but no \"tokenizer_class\" says so, and %s has another one. "
       "Name it in tokenizer_config.json: \"BertTokenizer\"",
       files.dir().c_str(), printable(family).c_str());
}

// The family's class takes the place of the one that is named, except in transformers 4.
void refuse_other_ends(const TokenizerFiles& files) {
  const FileClass* const file_class = find_file_class(files.tokenizer_class());
  if (file_class == nullptr || !file_class->has_ends) return;
  files.refuse_class(
      ", which transformers 4 obeys and transformers 5 does not in a model of this \"model_type\"; "
      "if tokenizer.json is right, write \"Qwen2Tokenizer\"");
}

ImportedTokenizer import_of_class(const TokenizerFiles& files) {
  const std::string& name = files.tokenizer_class();
  if (obeys_tokenizer_json(files)) return import_pipeline(files, nullptr, find_file_class(name));
  const TokenizerClass* own = find_tokenizer_class(name);
  const TokenizerClass* const of_family = find_tokenizer_class(class_of_family(files));
  if (of_family != nullptr && of_family != own) {
    refuse_other_ends(files);
    own = of_family;
  }
  if (own == nullptr && is_one_of(name, kTokenizerJsonClasses)) return import_file(files);
  if (own != nullptr) return import_class(files, *own);
  std::optional<ImportedTokenizer> sentencepiece = import_sentencepiece(files);
  if (sentencepiece) return std::move(*sentencepiece);
  if (name.empty()) return import_text_files(files);
  if (files.has_file("tokenizer.json")) {
    refuse_other_models(files, read_json_file(files.path("tokenizer.json")));
  }
  if (!files.has_file("tokenizer.json") && !files.has_file("vocab.txt")) return {};
  files.refuse_class(", but its SentencePiece model is not here");
}

// Before its normalizer, as sentence-transformers does. The order of the two does not matter,
// except that accents stay if they stayed before.
void lower_texts(const std::string& hf_dir, json* spec) {
  if ((*spec)["type"] != "wordpiece") {
    unsupported(hf_dir + "/sentence_bert_config.json", "do_lower_case",
                "true with another tokenizer than WordPiece");
  }
  if ((*spec)["strip_accents"].is_null()) (*spec)["strip_accents"] = (*spec)["lowercase"];
  (*spec)["lowercase"] = true;
}

}  // namespace

ImportedTokenizer checked(ImportedTokenizer tokenizer, const std::string& where) {
  make_tokenizer(tokenizer.spec, tokenizer.views(), where);
  return tokenizer;
}

void refuse_other_models(const TokenizerFiles& files, const json& file) {
  const std::string path = files.path("tokenizer.json");
  const std::string type = tokenizer_json_model(file, path);
  if (type == "WordPiece") return;
  if (type == "Unigram" && files.model_type() == "bert") refuse_xlm_roberta(files);
  if (type == "Unigram" || type == "BPE") {
    // This is what transformers 5 saves of T5's and NLLB's.
    fail(
        Status::kUnsupported,
        "%s is a tokenizer of type %s; Headlane reads those from the SentencePiece model that the "
        "original folder has (spiece.model, sentencepiece.bpe.model), with its \"tokenizer_class\" "
        "in tokenizer_config.json",
        path.c_str(), type.c_str());
  }
  unsupported(path, "model", type);
}

ImportedTokenizer import_tokenizer(const std::string& hf_dir, bool listed) {
  const TokenizerFiles files(hf_dir);
  if (!files.has_any_file()) return {};
  if (is_left_out(files)) {
    const std::string& name = files.tokenizer_class();
    return leave_out(files, "Headlane does not have its tokenizer" +
                                (name.empty() ? "" : " (" + printable(name) + ")"));
  }
  ImportedTokenizer tokenizer;
  try {
    refuse_unknown_class(files);
    tokenizer = import_of_class(files);
  } catch (const Error& error) {
    // A BART is of use for token ids alone, and was before Headlane read its tokenizer.
    if (files.model_type() != "bart" || error.status() != Status::kUnsupported) throw;
    return leave_out(files, std::string("its tokenizer is not read: ") + error.what());
  }
  if (tokenizer.spec.is_null()) {
    return leave_out(files, "none of its files has the vocabulary of its tokenizer");
  }
  if (listed && lowers_texts(hf_dir)) lower_texts(hf_dir, &tokenizer.spec);
  return tokenizer;
}

}  // namespace headlane
