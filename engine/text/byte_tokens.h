// The tokens "<0x00>" to "<0xFF>", which stand for bytes of characters that have no token.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "engine/text/vocabulary.h"

namespace headlane {

using ByteTokens = std::array<int32_t, 256>;  // ids by byte, -1 where there is no such token

ByteTokens find_byte_tokens(const Vocabulary& vocabulary);

// Appends the tokens of the bytes of `text`; nothing, and false, if one of them has none.
bool append_byte_tokens(const ByteTokens& tokens, std::string_view text, std::vector<int32_t>* ids);

// The byte that a token stands for, or -1.
int byte_of_token(std::string_view token);

}  // namespace headlane
