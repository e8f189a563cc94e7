#include "engine/text/normal_forms.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "engine/text/unicode.h"

namespace headlane {
namespace {

// Marks between two starters, sorted by their class.
void sort_marks(std::vector<char32_t>* text) {
  for (auto begin = text->begin(); begin != text->end();) {
    if (combining_class(*begin) == 0) {
      ++begin;
      continue;
    }
    const auto end =
        std::find_if(begin, text->end(), [](char32_t c) { return combining_class(c) == 0; });
    std::stable_sort(
        begin, end, [](char32_t a, char32_t b) { return combining_class(a) < combining_class(b); });
    begin = end;
  }
}

void compose(std::vector<char32_t>* text) {
  static_assert(sizeof(char32_t) == sizeof(utf8proc_int32_t));
  const auto size =
      utf8proc_normalize_utf32(reinterpret_cast<utf8proc_int32_t*>(text->data()),
                               static_cast<utf8proc_ssize_t>(text->size()),
                               static_cast<utf8proc_option_t>(UTF8PROC_COMPOSE | UTF8PROC_STABLE));
  text->resize(static_cast<size_t>(size));
}

// ASCII stays as it is, except where a mark follows it. So a stretch of other characters and the
// one before them is enough to look at.
size_t stretch_end(std::string_view text, size_t pos) {
  while (pos < text.size() && !is_ascii(text[pos])) ++pos;
  return pos;
}

size_t ascii_end(std::string_view text, size_t pos) {
  while (pos < text.size() && is_ascii(text[pos])) ++pos;
  return pos;
}

}  // namespace

void append_normal_form(std::string_view text, NormalForm form, std::string* out) {
  const bool compatible = form == NormalForm::kKC || form == NormalForm::kKD;
  std::vector<char32_t> stretch;
  for (size_t pos = 0; pos < text.size();) {
    size_t start = ascii_end(text, pos);
    if (start < text.size() && start > pos) --start;
    out->append(text.substr(pos, start - pos));
    if (start == text.size()) return;
    const size_t end = stretch_end(text, start + (is_ascii(text[start]) ? 1 : 0));
    stretch.clear();
    for (pos = start; pos < end;) {
      char32_t decomposed[kMaxDecomposed];
      const int n = decompose(next_char(text, &pos), compatible, decomposed);
      stretch.insert(stretch.end(), decomposed, decomposed + n);
    }
    sort_marks(&stretch);
    if (form == NormalForm::kC || form == NormalForm::kKC) compose(&stretch);
    for (const char32_t c : stretch) append_char(c, out);
  }
}

}  // namespace headlane
