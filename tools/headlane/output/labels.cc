#include "tools/headlane/output/labels.h"

#include <utf8proc.h>

#include <algorithm>

namespace tool {

std::string label(const std::string& text, int columns, int* width) {
  std::string out, cut;
  int cut_width = 0;
  *width = 0;
  const auto* at = reinterpret_cast<const utf8proc_uint8_t*>(text.data());
  for (auto left = static_cast<utf8proc_ssize_t>(text.size()); left > 0;) {
    utf8proc_int32_t code = 0;
    const utf8proc_ssize_t taken = utf8proc_iterate(at, left, &code);
    const bool shown = taken > 0 && code >= 0x20 && (code < 0x7f || code > 0x9f);
    const int code_width = shown ? utf8proc_charwidth(code) : 1;
    if (*width + code_width > columns) {
      *width = cut_width + 3;
      return cut + "...";
    }
    const utf8proc_ssize_t step = std::max<utf8proc_ssize_t>(taken, 1);
    shown ? out.append(reinterpret_cast<const char*>(at), static_cast<size_t>(step)) : out += '?';
    *width += code_width;
    if (*width + 3 <= columns) {
      cut = out;
      cut_width = *width;
    }
    at += step;
    left -= step;
  }
  return out;
}

std::string padded_label(const std::string& text, int columns) {
  int width = 0;
  std::string shown = label(text, columns, &width);
  return shown.append(static_cast<size_t>(columns - width), ' ');
}

std::string valid_utf8(const std::string& text) {
  std::string out;
  const auto* at = reinterpret_cast<const utf8proc_uint8_t*>(text.data());
  for (auto left = static_cast<utf8proc_ssize_t>(text.size()); left > 0;) {
    utf8proc_int32_t code = 0;
    const utf8proc_ssize_t taken = utf8proc_iterate(at, left, &code);
    const utf8proc_ssize_t step = std::max<utf8proc_ssize_t>(taken, 1);
    taken > 0 ? out.append(reinterpret_cast<const char*>(at), static_cast<size_t>(step))
              : out += "\xef\xbf\xbd";
    at += step;
    left -= step;
  }
  return out;
}

}  // namespace tool
