#include <algorithm>
#include <cstdio>

#include "tools/headlane/attention/attention.h"
#include "tools/headlane/output/labels.h"

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

// All rows, columns first to last - 1.
void append_columns(const AttentionPart& part, size_t first, size_t last, int label_columns,
                    std::string* out) {
  *out += padded_label("", label_columns);
  for (size_t j = first; j < last; ++j) *out += right_aligned(part.columns[j]);
  *out += '\n';
  for (size_t i = 0; i < part.rows.size(); ++i) {
    *out += padded_label(part.rows[i], label_columns);
    for (size_t j = first; j < last; ++j) {
      char digits[32];
      std::snprintf(digits, sizeof digits, "%*.4f", kValueColumns,
                    static_cast<double>(part.map(0, 0)[i * part.columns.size() + j]));
      *out += digits;
    }
    *out += '\n';
  }
}

std::string heading(const AttentionPart& part) {
  const std::string title = part.title();
  return (title.empty() ? "" : title + ": ") +
         range_text(part.first_layer, part.n_layers, "layer") + ", " +
         range_text(part.first_head, part.n_heads, "head") + ", " +
         (part.name == "cross" ? std::to_string(part.rows.size()) + " tokens on " : "") +
         std::to_string(part.columns.size()) + " tokens\n";
}

void append_part(const AttentionPart& part, int columns, std::string* out) {
  const size_t n = part.columns.size();
  *out += heading(part);
  const int label_columns = widest_label(part.rows);
  const int fitting = (columns - label_columns) / kValueColumns;
  const size_t per_block = columns == 0 ? n : static_cast<size_t>(std::max(fitting, 1));
  *out += "each row: how much its token attends to the token of each column\n";
  for (size_t first = 0; first < n; first += per_block) {
    *out += '\n';
    append_columns(part, first, std::min(n, first + per_block), label_columns, out);
  }
}

}  // namespace

std::string attention_table(const AttentionMaps& maps, int columns) {
  std::string out;
  const AttentionPart& front = maps.parts[0];
  const bool of_one = std::all_of(
      maps.parts.begin(), maps.parts.end(),
      [](const AttentionPart& part) { return part.n_layers == 1 && part.n_heads == 1; });
  for (const AttentionPart& part : maps.parts) {
    if (of_one) {
      if (&part != &front) out += '\n';
      append_part(part, columns, &out);
    } else {
      out += heading(part);
    }
  }
  if (of_one) return out;
  return out + (front.name.empty() ? "" : "--part encoder, decoder or cross; ") +
         "--layer L --head H shows one as a table; --html FILE, --png FILE or --json [FILE] writes "
         "them all\n";
}

}  // namespace tool
