#include "engine/text/vocabulary.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "engine/base/error.h"
#include "engine/file/limits.h"

namespace headlane {
Vocabulary::Vocabulary(std::span<const std::byte> bytes, int64_t n_pieces,
                       const std::string& where) {
  if (bytes.empty() || (bytes.back() != std::byte{'\n'} && bytes.back() != std::byte{0})) {
    fail(Status::kBadFile, "%s.vocab ends with neither a newline nor a zero byte", where.c_str());
  }
  if (std::ssize(bytes) > file_limits::kVocabBytes) {
    fail(Status::kBadFile, "%s.vocab has 2 GB or more", where.c_str());
  }
  const char end = static_cast<char>(bytes.back());
  text_.assign(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  starts_.reserve(static_cast<size_t>(std::count(text_.begin(), text_.end(), end)) + 1);
  starts_.push_back(0);
  for (size_t pos = 0; pos < text_.size();) {
    pos = text_.find(end, pos) + 1;
    starts_.push_back(static_cast<uint32_t>(pos));
  }
  if (n_pieces < 1 || n_pieces > size()) {
    fail(Status::kBadFile, "%s field \"n_pieces\" is %lld, but the vocabulary has %lld tokens",
         where.c_str(), static_cast<long long>(n_pieces), static_cast<long long>(size()));
  }
  n_pieces_ = n_pieces;
  const size_t n_slots = std::bit_ceil(static_cast<size_t>(n_pieces) * 2 + 2);
  slots_.assign(n_slots, Slot{0, -1});
  mask_ = n_slots - 1;
  shift_ = 64 - std::countr_zero(n_slots);
  for (int32_t id = 0; id < n_pieces; ++id) insert(id, where);
}

void Vocabulary::insert(int32_t id, const std::string& where) {
  const std::string_view spelling = token(id);
  const uint64_t hash = extend_hash(kHashSeed, spelling);
  const uint32_t tag = static_cast<uint32_t>(hash >> 8);
  longest_bytes_ = std::max(longest_bytes_, spelling.size());
  size_t i = hash >> shift_;
  for (int n_probes = 0; slots_[i].id >= 0; i = (i + 1) & mask_) {
    if (slots_[i].tag == tag && spells(slots_[i].id, {}, spelling)) break;
    if (++n_probes > kMaxProbes) {
      fail(Status::kBadFile, "%s.vocab has too many tokens of one hash", where.c_str());
    }
  }
  slots_[i] = {tag, id};
}

}  // namespace headlane
