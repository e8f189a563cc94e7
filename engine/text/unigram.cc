#include "engine/text/unigram.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "engine/base/error.h"
#include "engine/file/json_fields.h"
#include "engine/file/limits.h"
#include "engine/text/byte_tokens.h"

namespace headlane {
namespace {

constexpr double kUnknownPenalty = 10;

int char_bytes(char lead) {
  const uint8_t byte = static_cast<uint8_t>(lead);
  return byte < 0x80 ? 1 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4;
}

}  // namespace

struct Unigram::Lattice : Scratch {
  struct Node {
    double score;
    int32_t id;
    uint32_t length;  // of the token that ends here; 0: none does
  };
  std::vector<Node> nodes;  // by where they end
  struct Token {
    size_t begin, end;
    int32_t id;
  };
  std::vector<Token> path;  // the best, from its end
};

Unigram::Unigram(const Json& spec, const TokenizerTensors& tensors, const Vocabulary& vocabulary,
                 const std::string& where)
    : vocabulary_(vocabulary), trie_(vocabulary, vocabulary.n_pieces()) {
  const auto n = static_cast<size_t>(vocabulary.n_pieces());
  if (tensors.scores.size() != n * sizeof(double)) {
    fail(Status::kBadFile, "%s: the tensor of scores has %zu bytes, not 8 for each of %zu tokens",
         where.c_str(), tensors.scores.size(), n);
  }
  if (std::cmp_greater(vocabulary.longest_bytes(), file_limits::kPieceBytes)) {
    fail(Status::kBadFile, "%s: a token has %zu bytes; %d is the limit", where.c_str(),
         vocabulary.longest_bytes(), static_cast<int>(file_limits::kPieceBytes));
  }
  scores_.resize(n);
  std::memcpy(scores_.data(), tensors.scores.data(), tensors.scores.size());
  if (!std::all_of(scores_.begin(), scores_.end(), [](double x) { return std::isfinite(x); })) {
    fail(Status::kBadFile, "%s: a score is not a number", where.c_str());
  }
  unk_score_ = *std::min_element(scores_.begin(), scores_.end()) - kUnknownPenalty;
  const int64_t unk_id = json_int(spec, "unk_id", where);
  if (unk_id < 0 || unk_id >= vocabulary.n_pieces()) {
    fail(Status::kBadFile, "%s field \"unk_id\" is none of the model's tokens", where.c_str());
  }
  unk_id_ = static_cast<int32_t>(unk_id);
  byte_ids_ = find_byte_tokens(vocabulary);
  byte_fallback_ = json_bool(spec, "byte_fallback", where);
}

std::unique_ptr<TokenModel::Scratch> Unigram::make_scratch() const {
  return std::make_unique<Lattice>();
}

void Unigram::find_best(std::string_view piece, Lattice* lattice) const {
  lattice->nodes.assign(piece.size() + 1, {0, 0, 0});
  Lattice::Node* const nodes = lattice->nodes.data();
  for (size_t begin = 0; begin < piece.size();) {
    const double score = nodes[begin].score;
    const size_t char_length = std::min(size_t(char_bytes(piece[begin])), piece.size() - begin);
    bool has_char = false;
    const auto offer = [&](size_t length, int32_t id, double sum) {
      Lattice::Node& node = nodes[begin + length];
      if (node.length == 0 || sum > node.score) node = {sum, id, static_cast<uint32_t>(length)};
    };
    trie_.find(piece.substr(begin), [&](size_t length, int32_t id) {
      offer(length, id, scores_[static_cast<size_t>(id)] + score);
      has_char |= length == char_length;
    });
    if (!has_char) offer(char_length, unk_id_, unk_score_ + score);
    begin += char_length;
  }
}

void Unigram::encode(std::string_view piece, Scratch* scratch, std::vector<int32_t>* ids) const {
  auto* lattice = static_cast<Lattice*>(scratch);
  find_best(piece, lattice);
  lattice->path.clear();
  for (size_t end = piece.size(); end > 0;) {
    const Lattice::Node& node = lattice->nodes[end];
    const size_t begin = end - node.length;
    if (node.id == unk_id_ && !lattice->path.empty() && lattice->path.back().id == unk_id_) {
      lattice->path.back().begin = begin;
    } else {
      lattice->path.push_back({begin, end, node.id});
    }
    end = begin;
  }
  for (size_t i = lattice->path.size(); i-- > 0;) {
    const Lattice::Token& token = lattice->path[i];
    if (token.id == unk_id_) {
      add_unknown(piece.substr(token.begin, token.end - token.begin), ids);
    } else {
      ids->push_back(token.id);
    }
  }
}

// A run of unknown characters may be a token that was not worth its score.
void Unigram::add_unknown(std::string_view text, std::vector<int32_t>* ids) const {
  const int32_t id = text.size() <= vocabulary_.longest_bytes() ? vocabulary_.find(text) : -1;
  if (id < 0 && byte_fallback_ && append_byte_tokens(byte_ids_, text, ids)) return;
  ids->push_back(id >= 0 ? id : unk_id_);
}

}  // namespace headlane
