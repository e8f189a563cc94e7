#include "tools/headlane/attention/attention.h"
#include "tools/headlane/output/json.h"
#include "tools/headlane/output/json_number.h"

namespace tool {
namespace {

// One line a row. By hand: a tree of as many numbers would take many times their memory.
void append_matrix(const float* map, size_t rows, size_t columns, std::string* out) {
  for (size_t i = 0; i < rows; ++i) {
    *out += i == 0 ? "[\n[" : ",\n[";
    for (size_t j = 0; j < columns; ++j) {
      if (j > 0) *out += ',';
      append_json_number(map[i * columns + j], out);
    }
    *out += ']';
  }
  *out += ']';
}

void append_layers(const AttentionPart& part, std::string* out) {
  *out += ",\n\"layers\":[";
  for (int64_t l = 0; l < part.n_layers; ++l) {
    *out += l == 0 ? "\n" : ",\n";
    *out += "{\"layer\":" + std::to_string(part.first_layer + l) + ",\"heads\":[";
    for (int64_t h = 0; h < part.n_heads; ++h) {
      *out += h == 0 ? "\n" : ",\n";
      *out += "{\"head\":" + std::to_string(part.first_head + h) + ",\"probabilities\":";
      append_matrix(part.map(l, h), part.rows.size(), part.columns.size(), out);
      *out += '}';
    }
    *out += "]}";
  }
  *out += "]";
}

}  // namespace

// A model with an encoder alone has its part's members beside the text.
std::string attention_json(const AttentionMaps& maps) {
  std::string out =
      "{\"model\":" + Json(maps.model).dump() + ",\n\"text\":" + Json(maps.text).dump();
  if (maps.parts[0].name.empty()) {
    out += ",\n\"tokens\":" + Json(maps.parts[0].rows).dump();
    append_layers(maps.parts[0], &out);
    return out + "}\n";
  }
  out += ",\n\"target\":" + Json(maps.target).dump() + ",\n\"parts\":[";
  for (const AttentionPart& part : maps.parts) {
    out += &part == maps.parts.data() ? "\n" : ",\n";
    out += "{\"part\":" + Json(part.name).dump() + ",\n\"rows\":" + Json(part.rows).dump() +
           ",\n\"columns\":" + Json(part.columns).dump();
    append_layers(part, &out);
    out += '}';
  }
  return out + "]}\n";
}

}  // namespace tool
