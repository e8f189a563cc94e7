// The wire format of protocol buffers, as far as SentencePiece's models need it:
// https://protobuf.dev/programming-guides/encoding/.
#pragma once

#include <bit>
#include <cstdint>
#include <string>
#include <string_view>

#include "engine/base/error.h"

namespace headlane {

// Walks the fields of one message, in their order. What is malformed throws Error(kBadFile).
class WireReader {
 public:
  // `where` begins the sentence; both must outlive the reader.
  WireReader(std::string_view bytes, const std::string& where) : rest_(bytes), where_(where) {}

  // Steps to the next field, which must then be read or skipped; false at the end.
  bool next() {
    if (rest_.empty()) return false;
    const uint64_t tag = read_varint();
    field_ = tag >> 3;
    type_ = static_cast<int>(tag & 7);
    if (field_ == 0) broken("a field of number 0");
    return true;
  }

  uint64_t field() const { return field_; }

  uint64_t varint() {
    expect(kVarint);
    return read_varint();
  }
  float float32() {
    expect(kFixed32);
    uint32_t bits = 0;
    const std::string_view bytes = take(4);
    for (size_t i = 4; i-- > 0;) bits = bits << 8 | static_cast<uint8_t>(bytes[i]);
    return std::bit_cast<float>(bits);
  }
  std::string_view bytes() {
    expect(kBytes);
    return take(read_varint());
  }
  void skip() {
    if (type_ == kVarint) {
      read_varint();
    } else if (type_ == kFixed64) {
      take(8);
    } else if (type_ == kBytes) {
      take(read_varint());
    } else if (type_ == kFixed32) {
      take(4);
    } else {
      broken("a group");
    }
  }

 private:
  enum { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

  [[noreturn]] void broken(const char* found) const {
    fail(Status::kBadFile, "%s is no SentencePiece model: it has %s", where_.c_str(), found);
  }
  void expect(int type) const {
    if (type_ != type) broken("a field of another type than SentencePiece's");
  }
  std::string_view take(uint64_t n) {
    if (n > rest_.size()) broken("a field that ends beyond it");
    const std::string_view taken = rest_.substr(0, n);
    rest_.remove_prefix(n);
    return taken;
  }
  uint64_t read_varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const auto byte = static_cast<uint8_t>(take(1)[0]);
      value |= static_cast<uint64_t>(byte & 0x7F) << shift;
      if (byte < 0x80) return value;
    }
    broken("a number of more than ten bytes");
  }

  std::string_view rest_;
  const std::string& where_;
  uint64_t field_ = 0;
  int type_ = 0;
};

// Appends fields to a message.
class WireWriter {
 public:
  void varint(uint32_t field, uint64_t value) {
    append_varint(field << 3);
    append_varint(value);
  }
  void float32(uint32_t field, float value) {
    append_varint(field << 3 | 5);
    const uint32_t bits = std::bit_cast<uint32_t>(value);
    for (int shift = 0; shift < 32; shift += 8) out_.push_back(static_cast<char>(bits >> shift));
  }
  void bytes(uint32_t field, std::string_view value) {
    append_varint(field << 3 | 2);
    append_varint(value.size());
    out_.append(value);
  }
  const std::string& message() const { return out_; }

 private:
  void append_varint(uint64_t value) {
    for (; value >= 0x80; value >>= 7) out_.push_back(static_cast<char>(value | 0x80));
    out_.push_back(static_cast<char>(value));
  }

  std::string out_;
};

}  // namespace headlane
