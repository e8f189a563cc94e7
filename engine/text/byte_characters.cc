#include "engine/text/byte_characters.h"

#include <array>
#include <cstdint>

#include "engine/text/unicode.h"

namespace headlane {
namespace {

constexpr int kEndOfCharacters = 0x144;  // behind the last of the characters

constexpr bool stands_for_itself(int byte) {
  return (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

struct Encoded {
  char bytes[2];  // UTF-8
  uint8_t size;
};

constexpr std::array<Encoded, 256> make_encoded() {
  std::array<Encoded, 256> encoded = {};
  int next = 0x100;
  for (int byte = 0; byte < 256; ++byte) {
    const int c = stands_for_itself(byte) ? byte : next++;
    if (c < 0x80) {
      encoded[byte] = {{static_cast<char>(c), 0}, 1};
    } else {
      encoded[byte] = {{static_cast<char>(0xC0 | c >> 6), static_cast<char>(0x80 | (c & 0x3F))}, 2};
    }
  }
  return encoded;
}
constexpr std::array<Encoded, 256> kEncoded = make_encoded();

constexpr std::array<int16_t, kEndOfCharacters> make_decoded() {
  std::array<int16_t, kEndOfCharacters> decoded = {};
  decoded.fill(-1);
  int next = 0x100;
  for (int byte = 0; byte < 256; ++byte) {
    decoded[stands_for_itself(byte) ? byte : next++] = static_cast<int16_t>(byte);
  }
  return decoded;
}
constexpr std::array<int16_t, kEndOfCharacters> kDecoded = make_decoded();

}  // namespace

void append_byte_characters(std::string_view bytes, std::string* out) {
  const size_t old_size = out->size();
  out->resize(old_size + 2 * bytes.size());
  char* write = out->data() + old_size;
  for (const char byte : bytes) {
    const Encoded encoded = kEncoded[static_cast<uint8_t>(byte)];
    write[0] = encoded.bytes[0];
    write[1] = encoded.bytes[1];
    write += encoded.size;
  }
  out->resize(static_cast<size_t>(write - out->data()));
}

void append_bytes_of_characters(std::string_view text, std::string* out) {
  const size_t old_size = out->size();
  for (size_t pos = 0; pos < text.size();) {
    const char32_t c = next_char(text, &pos);
    if (c >= kEndOfCharacters || kDecoded[c] < 0) {
      out->resize(old_size);
      out->append(text);
      return;
    }
    out->push_back(static_cast<char>(kDecoded[c]));
  }
}

}  // namespace headlane
