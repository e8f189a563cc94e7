#include "engine/text/word_pieces.h"

#include <algorithm>
#include <utility>

#include "engine/base/error.h"
#include "engine/file/json_fields.h"
#include "engine/file/limits.h"
#include "engine/text/spec_fields.h"

namespace headlane {
namespace {

bool starts_char(char byte) { return (static_cast<uint8_t>(byte) & 0xC0) != 0x80; }

}  // namespace

WordPieces::WordPieces(const Vocabulary& vocabulary, const std::string& unk_token,
                       std::string prefix, int64_t max_chars, const std::string& where)
    : vocabulary_(vocabulary),
      prefix_(std::move(prefix)),
      max_chars_(static_cast<size_t>(max_chars)),
      prefix_hash_(Vocabulary::extend_hash(Vocabulary::kHashSeed, prefix_)),
      unk_id_(vocabulary.find(unk_token)) {
  if (unk_id_ >= 0) return;
  fail(Status::kBadFile, "%s field \"unk_token\" is \"%s\", not in the vocabulary", where.c_str(),
       printable(unk_token).c_str());
}

WordPieces::WordPieces(const Json& spec, const TokenizerTensors& /*tensors*/,
                       const Vocabulary& vocabulary, const std::string& where)
    : WordPieces(vocabulary, json_string(spec, "unk_token", where),
                 json_string(spec, "continuing_subword_prefix", where),
                 read_int(spec, "max_input_chars_per_word", where, 1, file_limits::kCharsPerWord),
                 where) {}

void WordPieces::encode_word(std::string_view word, Hashes* hashes,
                             std::vector<int32_t>* ids) const {
  if (word.empty()) return;
  const bool too_long =
      word.size() > max_chars_ &&
      static_cast<size_t>(std::count_if(word.begin(), word.end(), starts_char)) > max_chars_;
  const size_t n_ids = ids->size();
  if (too_long || !add_pieces(word, hashes, ids)) {
    ids->resize(n_ids);
    ids->push_back(unk_id_);
  }
}

// False if no piece fits somewhere; ids are then left half done.
bool WordPieces::add_pieces(std::string_view word, Hashes* scratch,
                            std::vector<int32_t>* ids) const {
  std::string_view prefix;
  uint64_t start_hash = Vocabulary::kHashSeed;
  while (!word.empty()) {
    const size_t longest = std::min(word.size(), vocabulary_.longest_bytes());
    if (scratch->of_heads.size() <= longest) scratch->of_heads.resize(longest + 1);
    uint64_t* const hashes = scratch->of_heads.data();
    hashes[0] = start_hash;
    for (size_t i = 0; i < longest; ++i) {
      hashes[i + 1] = Vocabulary::extend_hash(hashes[i], word[i]);
    }
    int32_t id = -1;
    size_t length = longest;
    for (; length > 0; --length) {
      if (length < word.size() && !starts_char(word[length])) continue;
      id = vocabulary_.find(hashes[length], prefix, word.substr(0, length));
      if (id >= 0) break;
    }
    if (id < 0) return false;
    ids->push_back(id);
    word.remove_prefix(length);
    prefix = prefix_;
    start_hash = prefix_hash_;
  }
  return true;
}

}  // namespace headlane
