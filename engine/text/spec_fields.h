// Fields that the kinds of tokenizers share in the header's "tokenizer". All throw Error(kBadFile),
// whose sentence begins with `where`.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "engine/file/json.h"
#include "engine/text/added_tokens.h"

namespace headlane {

inline constexpr int64_t kMaxTokenId = std::numeric_limits<int32_t>::max() - 1;

// An integer in [min, max].
int64_t read_int(const Json& object, const char* key, const std::string& where, int64_t min,
                 int64_t max);

// A text that a step puts into texts, or looks for.
std::string read_step_text(const Json& object, const char* key, const std::string& where);

// Throws Error(kBadFile) if the steps of a tokenizer have made a text of so many bytes too long.
void check_growth(size_t text_bytes, size_t bytes);

// The field "id".
int32_t read_id(const Json& object, const std::string& where);

const Json& read_array(const Json& object, const char* key, const std::string& where,
                       int64_t max_size);

std::vector<int32_t> read_ids(const Json& object, const char* key, const std::string& where,
                              int64_t max_size);

// An element of "added_tokens", without its content, which the vocabulary has; `normalized` becomes
// whether it is found in normalized text.
AddedToken read_added_token(const Json& added, const std::string& where, bool* normalized);

}  // namespace headlane
