#include "engine/text/byte_tokens.h"

#include <algorithm>
#include <charconv>
#include <string>

namespace headlane {

ByteTokens find_byte_tokens(const Vocabulary& vocabulary) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  ByteTokens ids;
  for (size_t byte = 0; byte < ids.size(); ++byte) {
    const char digits[] = {kDigits[byte / 16], kDigits[byte % 16]};
    ids[byte] = vocabulary.find("<0x" + std::string(digits, sizeof digits) + ">");
  }
  return ids;
}

bool append_byte_tokens(const ByteTokens& tokens, std::string_view text,
                        std::vector<int32_t>* ids) {
  const auto id_of = [&](char byte) { return tokens[static_cast<uint8_t>(byte)]; };
  if (!std::all_of(text.begin(), text.end(), [&](char byte) { return id_of(byte) >= 0; })) {
    return false;
  }
  for (const char byte : text) ids->push_back(id_of(byte));
  return true;
}

int byte_of_token(std::string_view token) {
  if (token.size() != 6 || !token.starts_with("<0x") || token.back() != '>') return -1;
  int byte = -1;
  const char* const end = token.data() + 5;
  return std::from_chars(token.data() + 3, end, byte, 16).ptr == end ? byte : -1;
}

}  // namespace headlane
