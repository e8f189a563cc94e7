#include <algorithm>
#include <cstdio>

#include "tools/headlane/attention.h"
#include "tools/headlane/labels.h"

namespace tool {
namespace {

constexpr int kMostLabelColumns = 16;  // of a row
constexpr int kValueColumns = 7;       // " 0.1234", and the widest heading under a space

std::string range_text(int64_t first, int64_t n, const std::string& what) {
  if (n == 1) return what + " " + std::to_string(first);
  return what + "s " + std::to_string(first) + " to " + std::to_string(first + n - 1);
}

int widest_label(const std::vector<std::string>& tokens) {
  int widest = 0;
  for (const std::string& token : tokens) {
    int width = 0;
    label(token, kMostLabelColumns, &width);
    widest = std::max(widest, width);
  }
  return widest;
}

std::string right_aligned(const std::string& token) {
  int width = 0;
  const std::string shown = label(token, kValueColumns - 1, &width);
  return std::string(static_cast<size_t>(kValueColumns - width), ' ') + shown;
}

// All queries, keys first to last - 1.
void append_columns(const AttentionMaps& maps, size_t first, size_t last, int label_columns,
                    std::string* out) {
  const size_t n = maps.tokens.size();
  *out += padded_label("", label_columns);
  for (size_t j = first; j < last; ++j) *out += right_aligned(maps.tokens[j]);
  *out += '\n';
  for (size_t i = 0; i < n; ++i) {
    *out += padded_label(maps.tokens[i], label_columns);
    for (size_t j = first; j < last; ++j) {
      char digits[32];
      std::snprintf(digits, sizeof digits, "%*.4f", kValueColumns,
                    static_cast<double>(maps.map(0, 0)[i * n + j]));
      *out += digits;
    }
    *out += '\n';
  }
}

}  // namespace

std::string attention_table(const AttentionMaps& maps, int columns) {
  const size_t n = maps.tokens.size();
  std::string out = range_text(maps.first_layer, maps.n_layers, "layer") + ", " +
                    range_text(maps.first_head, maps.n_heads, "head") + ", " + std::to_string(n) +
                    " tokens\n";
  if (maps.n_layers > 1 || maps.n_heads > 1) {
    return out +
           "--layer L --head H shows one as a table; --html FILE, --png FILE or --json [FILE] "
           "writes them all\n";
  }
  const int label_columns = widest_label(maps.tokens);
  const int fitting = (columns - label_columns) / kValueColumns;
  const size_t per_block = columns == 0 ? n : static_cast<size_t>(std::max(fitting, 1));
  out += "each row: how much its token attends to the token of each column\n";
  for (size_t first = 0; first < n; first += per_block) {
    out += '\n';
    append_columns(maps, first, std::min(n, first + per_block), label_columns, &out);
  }
  return out;
}

}  // namespace tool
