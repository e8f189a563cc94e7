#include "engine/import/tokenizers/vocabulary_files.h"

#include <algorithm>
#include <limits>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "engine/base/error.h"
#include "engine/file/input_file.h"
#include "engine/file/limits.h"
#include "engine/import/source/json_file.h"
#include "engine/import/tokenizers/tokens.h"
#include "engine/text/sentencepiece_model.h"
#include "engine/text/unicode.h"

namespace headlane {
namespace {

using json = Json;

// transformers 4 drops the first line and what follows the last newline, whatever they are;
// transformers 5 drops lines that begin with #version, wherever they are.
json read_merges(const std::string& path) {
  const std::string text = read_whole_file(path, file_limits::kJsonFileBytes);
  const auto refuse = [&](size_t line, const char* what) {
    fail(Status::kBadFile, "%s: line %zu %s, which versions of transformers read in different ways",
         path.c_str(), line, what);
  };
  json merges = json::array();
  std::string_view rest = text;
  size_t n = 1;
  if (!rest.starts_with("#version")) refuse(n, "does not begin with #version");
  for (; !rest.empty(); ++n) {
    const size_t end = rest.find('\n');
    if (end == std::string_view::npos) refuse(n, "does not end with a newline");
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(end + 1);
    if (n == 1) continue;
    if (line.starts_with("#version")) refuse(n, "begins with #version");
    if (line.find('\r') != std::string_view::npos) refuse(n, "has a carriage return");
    merges.push_back(line);
  }
  return merges;
}

// The two parts of each cut of a piece that are pieces themselves, the shortest first part first.
std::vector<std::pair<std::string, std::string>> cuts_of(
    const std::string& piece, const std::unordered_map<std::string, uint64_t>& ids) {
  std::vector<std::pair<std::string, std::string>> cuts;
  for (size_t pos = 0; pos < piece.size();) {
    next_char(piece, &pos);
    if (pos == piece.size()) break;
    std::string left = piece.substr(0, pos), right = piece.substr(pos);
    if (ids.contains(left) && ids.contains(right)) {
      cuts.emplace_back(std::move(left), std::move(right));
    }
  }
  return cuts;
}

NamedToken added_piece(const Piece& piece, const std::string& path) {
  NamedToken token = read_named_token(piece.text, path, true);
  token.special = piece.type == PieceType::kControl;
  return token;
}

}  // namespace

json read_bpe_files(const TokenizerFiles& files) {
  return {{"type", "BPE"},
          {"vocab", read_json_file(files.path("vocab.json"))},
          {"merges", read_merges(files.path("merges.txt"))}};
}

SentencePieceVocabulary read_fairseq_pieces(const TokenizerFiles& files, const FolderTokens& tokens,
                                            bool camembert) {
  const std::string path = files.path(kFairseqModel);
  SentencePieceModel model =
      read_sentencepiece_model(read_whole_file(path, file_limits::kSentencePieceBytes), path);
  if (model.bpe) unsupported(path, "model_type", "BPE, where the class has a unigram model");
  json vocab = json::array();
  const auto add = [&](const std::string& token, double score) {
    vocab.push_back(json::array({token, score}));
  };
  // fairseq's tokens take the place of SentencePiece's first ones.
  add(camembert ? "<s>NOTUSED" : tokens.special("bos_token"), 0);
  add(tokens.special("pad_token"), 0);
  add(camembert ? "</s>NOTUSED" : tokens.special("eos_token"), 0);
  add(tokens.special("unk_token"), 0);
  if (camembert) add("<unk>NOTUSED", -100);
  SentencePieceVocabulary out;
  for (size_t i = 0; i < model.pieces.size(); ++i) {
    const Piece& piece = model.pieces[i];
    if (i >= (camembert ? 1U : 3U)) add(piece.text, static_cast<double>(piece.score));
    if (piece.type != PieceType::kControl && piece.type != PieceType::kUserDefined) continue;
    out.added.push_back(added_piece(piece, path));
  }
  add(tokens.special("mask_token"), 0);
  out.model = {{"type", "Unigram"}, {"unk_id", 3}, {"vocab", std::move(vocab)}};
  out.charsmap = std::move(model.charsmap);
  return out;
}

SentencePieceVocabulary read_bpe_pieces(const TokenizerFiles& files) {
  const std::string path = files.path("tokenizer.model");
  const SentencePieceModel model =
      read_sentencepiece_model(read_whole_file(path, file_limits::kSentencePieceBytes), path);
  if (!model.bpe) unsupported(path, "model_type", "a unigram model, where the class has BPE");
  std::unordered_map<std::string, uint64_t> ids;
  SentencePieceVocabulary out;
  json vocab = json::object(), merges = json::array();
  for (const Piece& piece : model.pieces) {
    const uint64_t id = ids.size();
    if (!ids.emplace(piece.text, id).second) {
      unsupported(path, "pieces", "\"" + piece.text + "\" twice");
    }
    vocab.emplace(piece.text, id);
    if (piece.type == PieceType::kControl || piece.type == PieceType::kUserDefined) {
      out.added.push_back(added_piece(piece, path));
    }
  }
  float last = std::numeric_limits<float>::infinity();
  for (const Piece& piece : model.pieces) {
    const auto cuts = cuts_of(piece.text, ids);
    for (const auto& [left, right] : cuts) merges.push_back(json::array({left, right}));
    if (cuts.empty()) continue;
    if (piece.score > last) {
      unsupported(path, "pieces",
                  "scores that grow, as at \"" + piece.text +
                      "\": transformers 4 merges by scores and transformers 5 by ids");
    }
    last = piece.score;
  }
  out.model = {{"type", "BPE"},
               {"vocab", std::move(vocab)},
               {"merges", std::move(merges)},
               {"fuse_unk", true},
               {"byte_fallback", true}};
  return out;
}

}  // namespace headlane
