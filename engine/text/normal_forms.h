// Unicode's normal forms, as the `tokenizers` library has them: with Unicode 9's combining classes.
#pragma once

#include <string>
#include <string_view>

namespace headlane {

enum class NormalForm { kC, kD, kKC, kKD };

// Appends the normal form of `text`, well-formed UTF-8.
void append_normal_form(std::string_view text, NormalForm form, std::string* out);

}  // namespace headlane
