// Attention probabilities of one text, and the forms in which they are shown: a file each.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace tool {

// One kind of attention: the tokens of rows attend to those of columns.
struct AttentionPart {
  // "encoder", "decoder", "cross" of a model that has all of them; "" of one with an encoder alone.
  std::string name;
  std::vector<std::string> rows, columns;  // tokens; the same ones except in "cross"
  int64_t first_layer = 0, n_layers = 0;
  int64_t first_head = 0, n_heads = 0;
  std::vector<float> probabilities;  // [n_layers, n_heads, rows, columns]

  std::string title() const { return name == "cross" ? "cross-attention" : name; }

  // [rows, columns]: row i is what its token attends to. Layer and head count from the first that
  // is there.
  const float* map(int64_t i_layer, int64_t i_head) const {
    const auto size = static_cast<int64_t>(rows.size() * columns.size());
    return probabilities.data() + (i_layer * n_heads + i_head) * size;
  }
};

struct AttentionMaps {
  std::string model;   // the name of its file, without folders
  std::string text;    // UTF-8, as all strings here
  std::string target;  // what a decoder was given; "" where there is none
  std::vector<AttentionPart> parts;
};

// For a terminal `columns` wide; 0: as wide as need be. One layer and one head of a part are shown
// as a table; of more it says what there is to choose from.
std::string attention_table(const AttentionMaps& maps, int columns);
std::string attention_json(const AttentionMaps& maps);
std::string attention_page(const AttentionMaps& maps);  // HTML
std::string attention_png(const AttentionMaps& maps);   // of the only part

// The function that attention_png() calls in libheadlane_picture.so: draw_attention_png, in
// picture/.
using DrawAttentionPng = void(const AttentionMaps& maps, std::string* png);

}  // namespace tool
