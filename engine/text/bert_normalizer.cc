#include "engine/text/bert_normalizer.h"

#include <algorithm>
#include <cstring>

#include "engine/text/unicode.h"

namespace headlane {
namespace {

constexpr uint8_t kDropped = 0xFF;

// Bytes of ASCII copied at once, so that `out` grows by little more than is needed.
constexpr size_t kMaxAsciiRun = 4096;

// The blocks BERT's authors took for Chinese; later extensions are not among them.
bool is_chinese(char32_t c) {
  return (c >= 0x3400 && c <= 0x4DBF) || (c >= 0x4E00 && c <= 0x9FFF) ||
         (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x20000 && c <= 0x2A6DF) ||
         (c >= 0x2A700 && c <= 0x2B81F) || (c >= 0x2B920 && c <= 0x2CEAF) ||
         (c >= 0x2F800 && c <= 0x2FA1F);
}

size_t ascii_run_end(std::string_view text, size_t pos) {
  const size_t end = std::min(text.size(), pos + kMaxAsciiRun);
  uint64_t word;
  while (pos + sizeof word <= end) {
    std::memcpy(&word, text.data() + pos, sizeof word);
    if (word & 0x8080808080808080) break;
    pos += sizeof word;
  }
  while (pos < end && static_cast<uint8_t>(text[pos]) < 0x80) ++pos;
  return pos;
}

}  // namespace

BertNormalizer::BertNormalizer(const Options& options) : options_(options) {
  for (uint8_t c = 0; c < 128; ++c) {
    const bool white = c == '\t' || c == '\n' || c == '\r';
    ascii_[c] = c;
    if (options.lowercase && c >= 'A' && c <= 'Z') ascii_[c] = c + ('a' - 'A');
    if (options.clean_text && white) ascii_[c] = ' ';
    if (options.clean_text && !white && (c < 0x20 || c == 0x7F)) ascii_[c] = kDropped;
  }
}

size_t BertNormalizer::normalize(std::string_view text, size_t pos, size_t min_bytes,
                                 std::string* out) const {
  Marks marks;
  while (pos < text.size()) {
    if (static_cast<uint8_t>(text[pos]) < 0x80) {
      // A dropped character must not part the marks on its two sides, so it flushes nothing.
      if (ascii_[static_cast<uint8_t>(text[pos])] == kDropped) {
        ++pos;
        continue;
      }
      flush(&marks, out);
      pos = add_ascii(text, pos, min_bytes, out);
    } else {
      add(next_char(text, &pos), &marks, out);
    }
    if (out->size() >= min_bytes && marks.empty() && out->ends_with(' ')) break;
  }
  flush(&marks, out);
  return pos;
}

size_t BertNormalizer::add_ascii(std::string_view text, size_t pos, size_t min_bytes,
                                 std::string* out) const {
  const size_t end = ascii_run_end(text, pos);
  const size_t old_size = out->size();
  out->resize(old_size + (end - pos));
  char* write = out->data() + old_size;
  while (pos < end) {
    const uint8_t c = ascii_[static_cast<uint8_t>(text[pos++])];
    *write = static_cast<char>(c);
    write += c != kDropped;
    if (c == ' ' && static_cast<size_t>(write - out->data()) >= min_bytes) break;
  }
  out->resize(static_cast<size_t>(write - out->data()));
  return pos;
}

void BertNormalizer::add(char32_t c, Marks* marks, std::string* out) const {
  if (options_.clean_text) {
    if (c == 0xFFFD || is_control(c)) return;
    if (is_space(c)) c = ' ';
  }
  if (options_.handle_chinese_chars && is_chinese(c)) {
    flush(marks, out);
    out->push_back(' ');
    add_cleaned(c, marks, out);
    out->push_back(' ');
  } else {
    add_cleaned(c, marks, out);
  }
}

void BertNormalizer::add_cleaned(char32_t c, Marks* marks, std::string* out) const {
  if (!options_.strip_accents) {
    put(c, out);
    return;
  }
  char32_t decomposed[kMaxDecomposed];
  const int n = decompose(c, false, decomposed);
  for (int i = 0; i < n; ++i) {
    const int ccc = combining_class(decomposed[i]);
    if (ccc == 0) flush(marks, out);
    if (is_mark(decomposed[i])) continue;
    if (ccc != 0) {
      marks->push_back({ccc, decomposed[i]});
    } else {
      put(decomposed[i], out);
    }
  }
}

void BertNormalizer::put(char32_t c, std::string* out) const {
  if (options_.lowercase) {
    append_lower(c, out);
  } else {
    append_char(c, out);
  }
}

void BertNormalizer::flush(Marks* marks, std::string* out) const {
  if (marks->empty()) return;
  std::stable_sort(marks->begin(), marks->end(), [](const Mark& a, const Mark& b) {
    return a.combining_class < b.combining_class;
  });
  for (const Mark& mark : *marks) put(mark.c, out);
  marks->clear();
}

}  // namespace headlane
