#include <nlohmann/json.hpp>

#include "tools/headlane/attention.h"
#include "tools/headlane/json_number.h"

namespace tool {
namespace {

// One line a row. By hand: a tree of as many numbers would take many times their memory.
void append_matrix(const float* map, size_t n, std::string* out) {
  for (size_t i = 0; i < n; ++i) {
    *out += i == 0 ? "[\n[" : ",\n[";
    for (size_t j = 0; j < n; ++j) {
      if (j > 0) *out += ',';
      append_json_number(map[i * n + j], out);
    }
    *out += ']';
  }
  *out += ']';
}

}  // namespace

std::string attention_json(const AttentionMaps& maps) {
  using nlohmann::json;
  std::string out = "{\"model\":" + json(maps.model).dump() +
                    ",\n\"text\":" + json(maps.text).dump() +
                    ",\n\"tokens\":" + json(maps.tokens).dump() + ",\n\"layers\":[";
  for (int64_t l = 0; l < maps.n_layers; ++l) {
    out += l == 0 ? "\n" : ",\n";
    out += "{\"layer\":" + std::to_string(maps.first_layer + l) + ",\"heads\":[";
    for (int64_t h = 0; h < maps.n_heads; ++h) {
      out += h == 0 ? "\n" : ",\n";
      out += "{\"head\":" + std::to_string(maps.first_head + h) + ",\"probabilities\":";
      append_matrix(maps.map(l, h), maps.tokens.size(), &out);
      out += '}';
    }
    out += "]}";
  }
  return out + "]}\n";
}

}  // namespace tool
