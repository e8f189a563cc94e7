// One panel for each layer and head: a head alone is large; the heads of one layer fill a near
// square; of many layers each is a row of thumbnails.
#include <algorithm>
#include <cmath>
#include <cstdio>

#include "tools/headlane/attention/attention.h"
#include "tools/headlane/picture/canvas.h"

namespace tool {
namespace {

constexpr Rgb kInk{0.11, 0.12, 0.14}, kFaint{0.35, 0.38, 0.43}, kLine{0.72, 0.74, 0.77};
constexpr Rgb kNotANumber{0.8, 0.2, 0.2}, kPaper{1, 1, 1};
constexpr int kMargin = 20, kGap = 8, kTitle = 26, kHeader = 56, kFooter = 40;
constexpr int kLeastLabelledCell = 8;  // pixels: below them tokens cannot be read
constexpr int kMostLabel = 130, kLayerName = 60, kLeastPanel = 60;

struct Layout {
  int tokens_down, tokens_across;  // of a panel
  int columns, rows;               // of panels
  int cell;                        // pixels
  double font;
  bool thumbnails, labelled, with_values;
  int labels_beside = 0, labels_above = 0;  // pixels for a matrix's tokens
  int longest() const { return std::max(tokens_down, tokens_across); }
  int left() const { return kMargin + (thumbnails ? kLayerName : 0); }  // of the panels
  int top() const { return kMargin + kHeader + (thumbnails ? kTitle : 0); }
  int panel_width() const {
    return std::max(labels_beside + tokens_across * cell + 2 * kGap, kLeastPanel);
  }
  int panel_height() const {
    return (thumbnails ? 0 : kTitle + labels_above) + tokens_down * cell + 2 * kGap;
  }
  int width() const { return std::max(left() + columns * panel_width(), 420) + kMargin; }
  int height() const { return top() + rows * panel_height() + kFooter + kMargin; }
};

int cell_size(const Layout& l) {
  const int n = l.longest();
  if (l.thumbnails) return std::clamp(100 / n, 1, 32);
  if (l.with_values) return 56;
  if (l.rows * l.columns == 1) {
    return std::clamp(1200 / n, n <= 1000 ? kLeastLabelledCell : 2, 36);
  }
  return std::clamp(420 / n, n <= 120 ? kLeastLabelledCell : 2, 28);
}

// The widest of them, or as wide as they may be.
int label_width(const std::vector<std::string>& tokens, double font) {
  Canvas scratch(1, 1);
  int widest = 0;
  for (const std::string& token : tokens) {
    widest = std::max(widest, scratch.text_width(token, font, kMostLabel) + kGap);
  }
  return widest;
}

Layout lay_out(const AttentionPart& maps) {
  Layout l{};
  l.tokens_down = static_cast<int>(maps.rows.size());
  l.tokens_across = static_cast<int>(maps.columns.size());
  l.thumbnails = maps.n_layers > 1;
  const auto n_heads = static_cast<int>(maps.n_heads);
  const int near_square = static_cast<int>(std::ceil(std::sqrt(1.3 * n_heads)));
  l.columns = l.thumbnails ? n_heads : std::min(near_square, n_heads);
  l.rows = l.thumbnails ? static_cast<int>(maps.n_layers) : (n_heads + l.columns - 1) / l.columns;
  l.with_values = l.rows * l.columns == 1 && l.longest() <= 12;
  l.cell = cell_size(l);
  l.labelled = !l.thumbnails && l.cell >= kLeastLabelledCell;
  l.font = std::min(0.8 * l.cell, 14.0);
  if (l.labelled) {
    l.labels_beside = label_width(maps.rows, l.font);
    l.labels_above = label_width(maps.columns, l.font);
  }
  return l;
}

float largest_of(const std::vector<float>& values) {
  float largest = 0;
  for (const float p : values) largest = p > largest ? p : largest;
  return largest > 0 ? largest : 1;
}

std::string decimals(float value) {
  char digits[32];
  std::snprintf(digits, sizeof digits, "%.4f", static_cast<double>(value));
  return digits;
}

std::string layer_name(const AttentionPart& maps, int64_t i_layer) {
  return "layer " + std::to_string(maps.first_layer + i_layer);
}

std::string head_name(const AttentionPart& maps, int64_t i_head) {
  return "head " + std::to_string(maps.first_head + i_head);
}

void draw_matrix(const float* map, float largest, const Layout& l, int x, int y, Canvas* canvas) {
  canvas->rectangle(x - 1, y - 1, l.tokens_across * l.cell + 2, l.tokens_down * l.cell + 2, kLine);
  for (int i = 0; i < l.tokens_down; ++i) {
    for (int j = 0; j < l.tokens_across; ++j) {
      const float p = map[i * l.tokens_across + j];
      const double share = static_cast<double>(p / largest);
      const int left = x + j * l.cell, top = y + i * l.cell;
      canvas->rectangle(left, top, l.cell, l.cell,
                        std::isnan(p) ? kNotANumber : attention_colour(share));
      if (!l.with_values) continue;
      canvas->text(decimals(p), left + l.cell / 2.0, top + l.cell / 2.0, 13, l.cell,
                   Canvas::Align::kCentre, share > 0.55 ? kPaper : kInk);
    }
  }
}

void draw_tokens(const AttentionPart& maps, const Layout& l, int x, int y, Canvas* canvas) {
  for (int i = 0; i < l.tokens_down; ++i) {
    canvas->text(maps.rows[static_cast<size_t>(i)], x - kGap / 2.0, y + (i + 0.5) * l.cell, l.font,
                 kMostLabel, Canvas::Align::kRight, kInk);
  }
  for (int j = 0; j < l.tokens_across; ++j) {
    canvas->text(maps.columns[static_cast<size_t>(j)], x + (j + 0.5) * l.cell, y - kGap / 2.0,
                 l.font, kMostLabel, Canvas::Align::kLeft, kInk, true);
  }
}

// x, y: its corner.
void draw_panel(const AttentionPart& maps, int64_t i_head, float largest, const Layout& l, int x,
                int y, Canvas* canvas) {
  const int left = x + l.labels_beside, top = y + kTitle + l.labels_above;
  canvas->text(layer_name(maps, 0) + ", " + head_name(maps, i_head),
               left + l.tokens_across * l.cell / 2.0, y + 10, 13, 1e4, Canvas::Align::kCentre,
               kInk);
  draw_matrix(maps.map(0, i_head), largest, l, left, top, canvas);
  if (l.labelled) draw_tokens(maps, l, left, top, canvas);
}

void draw_thumbnails(const AttentionPart& maps, float largest, const Layout& l, Canvas* canvas) {
  for (int column = 0; column < l.columns; ++column) {
    canvas->text(head_name(maps, column),
                 l.left() + column * l.panel_width() + l.tokens_across * l.cell / 2.0,
                 l.top() - kTitle / 2.0, 13, kLeastPanel, Canvas::Align::kCentre, kInk);
  }
  for (int row = 0; row < l.rows; ++row) {
    const int y = l.top() + row * l.panel_height();
    canvas->text(layer_name(maps, row), kMargin, y + l.tokens_down * l.cell / 2.0, 13, kLayerName,
                 Canvas::Align::kLeft, kInk);
    for (int column = 0; column < l.columns; ++column) {
      draw_matrix(maps.map(row, column), largest, l, l.left() + column * l.panel_width(), y,
                  canvas);
    }
  }
}

void draw_legend(float largest, int x, int y, Canvas* canvas) {
  constexpr int kSteps = 160, kHeight = 12;
  canvas->text("0", x, y + kHeight / 2.0, 12, 60, Canvas::Align::kLeft, kFaint);
  const int bar = x + 14;
  canvas->rectangle(bar - 1, y - 1, kSteps + 2, kHeight + 2, kLine);
  for (int i = 0; i < kSteps; ++i) {
    canvas->rectangle(bar + i, y, 1, kHeight, attention_colour(i / (kSteps - 1.0)));
  }
  canvas->text(decimals(largest) + "   rows attend to columns", bar + kSteps + 6, y + kHeight / 2.0,
               12, 220, Canvas::Align::kLeft, kFaint);
}

std::string picture_of(const AttentionMaps& maps) {
  const AttentionPart& part = maps.parts[0];
  const Layout l = lay_out(part);
  const float largest = largest_of(part.probabilities);
  const std::string title = part.title();
  Canvas canvas(l.width(), l.height());
  const int room = l.width() - 2 * kMargin;
  canvas.text(maps.target.empty() ? maps.text : maps.text + " \xe2\x86\x92 " + maps.target, kMargin,
              kMargin + 10, 17, room, Canvas::Align::kLeft, kInk);
  canvas.text("attention of " + maps.model + (title.empty() ? "" : ", " + title), kMargin,
              kMargin + 34, 13, room, Canvas::Align::kLeft, kFaint);
  if (l.thumbnails) {
    draw_thumbnails(part, largest, l, &canvas);
  } else {
    for (int i = 0; i < static_cast<int>(part.n_heads); ++i) {
      draw_panel(part, i, largest, l, l.left() + i % l.columns * l.panel_width(),
                 l.top() + i / l.columns * l.panel_height(), &canvas);
    }
  }
  draw_legend(largest, kMargin, l.height() - kMargin - kFooter / 2, &canvas);
  return canvas.png();
}

}  // namespace
}  // namespace tool

extern "C" __attribute__((visibility("default"))) tool::DrawAttentionPng draw_attention_png;

void draw_attention_png(const tool::AttentionMaps& maps, std::string* png) {
  *png = tool::picture_of(maps);
}
