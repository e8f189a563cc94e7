// Tokens by id and ids by token: one buffer of spellings, and one open-addressing table of 8-byte
// slots that is at most half full. A spelling may be looked up in two parts (prefix and rest) by a
// hash that is extended byte by byte, so that all heads of a word are hashed in one pass.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace headlane {

// A table of hashes is given up where an empty slot is farther than this from where it was looked
// for. With the table half full even a million tokens need fewer than a hundred steps; a file built
// to collide would otherwise take time squared to load.
inline constexpr int kMaxProbes = 512;

class Vocabulary {
 public:
  static constexpr uint64_t kHashSeed = 0xCBF29CE484222325;

  // `bytes` holds tokens by id, each ended by '\n', or each by '\0', which tokens may have a
  // newline with: the last byte tells. The first n_pieces of them can be found by their spelling
  // (of equal ones the last); those after are known by id only. Throws Error(kBadFile), where
  // `where` names the file.
  Vocabulary(std::span<const std::byte> bytes, int64_t n_pieces, const std::string& where);

  static uint64_t extend_hash(uint64_t hash, char byte) {
    return (hash ^ static_cast<uint8_t>(byte)) * 0x9E3779B97F4A7C15;
  }
  static uint64_t extend_hash(uint64_t hash, std::string_view bytes) {
    for (char byte : bytes) hash = extend_hash(hash, byte);
    return hash;
  }

  // The id of the token spelled prefix + rest, or -1. `hash` is that of the whole spelling.
  int32_t find(uint64_t hash, std::string_view prefix, std::string_view rest) const {
    const uint32_t tag = static_cast<uint32_t>(hash >> 8);
    for (size_t i = hash >> shift_;; i = (i + 1) & mask_) {
      const Slot slot = slots_[i];
      if (slot.id < 0) return -1;
      if (slot.tag == tag && spells(slot.id, prefix, rest)) return slot.id;
    }
  }
  int32_t find(std::string_view token) const {
    return find(extend_hash(kHashSeed, token), {}, token);
  }

  int64_t n_pieces() const { return n_pieces_; }
  int64_t size() const { return static_cast<int64_t>(starts_.size()) - 1; }
  size_t longest_bytes() const { return longest_bytes_; }  // of the tokens that can be found
  std::string_view token(int32_t id) const {
    return std::string_view(text_).substr(starts_[id], starts_[id + 1] - starts_[id] - 1);
  }

 private:
  struct Slot {
    uint32_t tag;
    int32_t id;  // -1: empty
  };

  bool spells(int32_t id, std::string_view prefix, std::string_view rest) const {
    const std::string_view spelling = token(id);
    return spelling.size() == prefix.size() + rest.size() && spelling.starts_with(prefix) &&
           spelling.ends_with(rest);
  }
  void insert(int32_t id, const std::string& where);

  std::string text_;
  std::vector<uint32_t> starts_;  // in text_, of each token and of what follows the last
  std::vector<Slot> slots_;
  size_t mask_ = 0;
  int shift_ = 0;
  int64_t n_pieces_ = 0;
  size_t longest_bytes_ = 0;
};

}  // namespace headlane
