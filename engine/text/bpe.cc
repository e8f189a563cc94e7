#include "engine/text/bpe.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <functional>

#include "engine/base/error.h"
#include "engine/file/json_fields.h"
#include "engine/file/limits.h"
#include "engine/text/spec_fields.h"
#include "engine/text/unicode.h"

namespace headlane {
namespace {

constexpr uint32_t kNoSymbol = UINT32_MAX;  // no symbol

uint64_t pair_of(int32_t left, int32_t right) {
  return uint64_t{static_cast<uint32_t>(left)} << 32 | static_cast<uint32_t>(right);
}

size_t slot_of(uint64_t pair, int shift) {
  const uint64_t mixed = (pair ^ pair >> 29) * 0x9E3779B97F4A7C15;
  return (mixed ^ mixed << 32) >> shift;
}

std::optional<std::string> optional_string(const Json& spec, const char* key,
                                           const std::string& where) {
  json_field(spec, key, where);  // null is a value, but must be there
  if (!json_has(spec, key, where)) return {};
  return read_step_text(spec, key, where);
}

}  // namespace

// A piece on its way from characters to tokens: a list in which merged symbols go out.
struct Bpe::Word : Scratch {
  struct Symbol {
    int32_t id;  // -1: merged into the one before
    uint32_t previous, next;
    uint32_t rank;  // of the merge with the next
    int32_t merged_id;
  };
  std::vector<Symbol> symbols;
  std::vector<uint64_t> heap;  // rank << 32 | place, the least first; some have been overtaken
  std::string spelling;
  bool has_unknown = false;  // one that waits, to be fused with those that follow

  void add(int32_t id) {
    const auto place = static_cast<uint32_t>(symbols.size());
    symbols.push_back({id, place == 0 ? kNoSymbol : place - 1, place + 1, kNoRank, -1});
  }
};

Bpe::Bpe(const Json& spec, const TokenizerTensors& tensors, const Vocabulary& vocabulary,
         const std::string& where)
    : vocabulary_(vocabulary),
      unk_token_(optional_string(spec, "unk_token", where)),
      prefix_(optional_string(spec, "continuing_subword_prefix", where).value_or("")),
      suffix_(optional_string(spec, "end_of_word_suffix", where).value_or("")),
      fuse_unk_(json_bool(spec, "fuse_unk", where)),
      byte_fallback_(json_bool(spec, "byte_fallback", where)),
      ignore_merges_(json_bool(spec, "ignore_merges", where)),
      byte_ids_(find_byte_tokens(vocabulary)) {
  if (unk_token_) unk_id_ = vocabulary.find(*unk_token_);
  for (char32_t c = 0; c < char_ids_.size(); ++c) {
    std::string spelling;
    append_char(c, &spelling);
    char_ids_[c] = vocabulary.find(spelling);
  }
  read_merges(tensors.merges, where);
}

void Bpe::read_merges(std::span<const std::byte> bytes, const std::string& where) {
  constexpr size_t kBytes = 3 * sizeof(uint32_t);
  const size_t n = bytes.size() / kBytes;
  if (bytes.size() % kBytes != 0) {
    fail(Status::kBadFile, "%s: the tensor of merges has %zu bytes, not 12 for each", where.c_str(),
         bytes.size());
  }
  const size_t n_slots = std::bit_ceil(2 * n + 2);
  merges_.assign(n_slots, {0, kNoRank, -1});
  shift_ = 64 - std::countr_zero(n_slots);
  for (size_t i = 0; i < n; ++i) {
    uint32_t ids[3];
    std::memcpy(ids, bytes.data() + i * kBytes, kBytes);
    if (std::any_of(std::begin(ids), std::end(ids), [&](uint32_t id) {
          return std::cmp_greater_equal(id, vocabulary_.n_pieces());
        })) {
      fail(Status::kBadFile, "%s: merge %zu has an id that is none of the model's", where.c_str(),
           i);
    }
    const uint64_t pair = uint64_t{ids[0]} << 32 | ids[1];
    size_t slot = slot_of(pair, shift_);
    for (int n_probes = 0; merges_[slot].rank != kNoRank && merges_[slot].pair != pair;
         slot = (slot + 1) & (n_slots - 1)) {
      if (++n_probes > kMaxProbes) {
        fail(Status::kBadFile, "%s: too many merges have one hash", where.c_str());
      }
    }
    merges_[slot] = {pair, static_cast<uint32_t>(i), static_cast<int32_t>(ids[2])};
  }
}

const Bpe::Merge& Bpe::find_merge(int32_t left, int32_t right) const {
  const uint64_t pair = pair_of(left, right);
  size_t slot = slot_of(pair, shift_);
  while (merges_[slot].rank != kNoRank && merges_[slot].pair != pair) {
    slot = (slot + 1) & (merges_.size() - 1);
  }
  return merges_[slot];
}

std::unique_ptr<TokenModel::Scratch> Bpe::make_scratch() const { return std::make_unique<Word>(); }

void Bpe::encode(std::string_view piece, Scratch* scratch, std::vector<int32_t>* ids) const {
  if (ignore_merges_) {
    const int32_t id = vocabulary_.find(piece);
    if (id >= 0) return ids->push_back(id);
  }
  auto* word = static_cast<Word*>(scratch);
  word->symbols.clear();
  add_symbols(piece, word);
  merge(word);
  for (const Word::Symbol& symbol : word->symbols) {
    if (symbol.id >= 0) ids->push_back(symbol.id);
  }
}

void Bpe::add_symbols(std::string_view piece, Word* word) const {
  word->has_unknown = false;
  for (size_t pos = 0; pos < piece.size();) {
    const size_t begin = pos;
    const char32_t c = next_char(piece, &pos);
    const bool first = begin == 0, last = pos == piece.size();
    const bool plain = (first || prefix_.empty()) && (!last || suffix_.empty());
    const std::string_view spelling = piece.substr(begin, pos - begin);
    const int32_t id =
        plain && c < char_ids_.size() ? char_ids_[c] : symbol(spelling, first, last, word);
    if (id >= 0) {
      if (word->has_unknown) add_unknown(word);
      word->add(id);
      continue;
    }
    if (plain) word->spelling = spelling;
    std::vector<int32_t> bytes;
    if (byte_fallback_ && append_byte_tokens(byte_ids_, word->spelling, &bytes)) {
      for (const int32_t byte : bytes) word->add(byte);
    } else if (unk_token_) {
      if (word->has_unknown && !fuse_unk_) add_unknown(word);
      word->has_unknown = true;
    }
  }
  if (word->has_unknown) add_unknown(word);
  if (!word->symbols.empty()) word->symbols.back().next = kNoSymbol;
}

// The id of a character where it stands in its piece, or -1. Its spelling with what is put before
// and behind it there is in word->spelling.
int32_t Bpe::symbol(std::string_view c, bool first, bool last, Word* word) const {
  word->spelling.clear();
  if (!first) word->spelling += prefix_;
  word->spelling += c;
  if (last) word->spelling += suffix_;
  return vocabulary_.find(word->spelling);
}

void Bpe::add_unknown(Word* word) const {
  if (unk_id_ < 0) {
    fail(Status::kUnsupported,
         "the text has a character that is not in the vocabulary, nor is \"%s\"",
         printable(*unk_token_).c_str());
  }
  word->add(unk_id_);
  word->has_unknown = false;
}

// Puts the merge of a symbol with its next one into the heap, if there is one.
void Bpe::offer(Word* word, size_t pos) const {
  Word::Symbol& symbol = word->symbols[pos];
  symbol.rank = kNoRank;
  if (symbol.next == kNoSymbol) return;
  const Merge& merge = find_merge(symbol.id, word->symbols[symbol.next].id);
  if (merge.rank == kNoRank) return;
  symbol.rank = merge.rank;
  symbol.merged_id = merge.id;
  word->heap.push_back(uint64_t{merge.rank} << 32 | pos);
}

void Bpe::merge(Word* word) const {
  std::vector<uint64_t>& heap = word->heap;
  std::vector<Word::Symbol>& symbols = word->symbols;
  heap.clear();
  for (size_t pos = 0; pos < symbols.size(); ++pos) offer(word, pos);
  std::make_heap(heap.begin(), heap.end(), std::greater<>());
  const auto offer_later = [&](uint32_t pos) {
    const size_t n_before = heap.size();
    offer(word, pos);
    if (heap.size() > n_before) std::push_heap(heap.begin(), heap.end(), std::greater<>());
  };
  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end(), std::greater<>());
    const auto pos = static_cast<uint32_t>(heap.back());
    const auto rank = static_cast<uint32_t>(heap.back() >> 32);
    heap.pop_back();
    Word::Symbol& symbol = symbols[pos];
    if (symbol.id < 0 || symbol.rank != rank) continue;
    Word::Symbol& right = symbols[symbol.next];
    symbol.id = symbol.merged_id;
    symbol.next = right.next;
    right.id = -1;
    if (right.next != kNoSymbol) symbols[right.next].previous = pos;
    if (symbol.previous != kNoSymbol) offer_later(symbol.previous);
    offer_later(pos);
  }
}

}  // namespace headlane
