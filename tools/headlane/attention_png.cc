// One panel for each layer and head: a head alone is large; the heads of one layer fill a near
// square; of many layers each is a row.
#include <algorithm>
#include <cmath>
#include <cstdio>

#include "tools/headlane/attention.h"
#include "tools/headlane/canvas.h"

namespace tool {
namespace {

constexpr Rgb kInk{0.11, 0.12, 0.14}, kFaint{0.35, 0.38, 0.43}, kLine{0.72, 0.74, 0.77};
constexpr Rgb kNotANumber{0.8, 0.2, 0.2}, kPaper{1, 1, 1};
constexpr int kMargin = 20, kGap = 8, kTitle = 26, kHeader = 56, kFooter = 40;
constexpr int kLeastLabelledCell = 8;  // pixels: below them tokens cannot be read
constexpr int kMostLabel = 130;

struct Layout {
  int n, columns, rows;  // tokens of a panel; panels
  int cell;              // pixels
  double font;
  bool labelled, with_values;
  int labels = 0;  // pixels beside and above a matrix, for its tokens
  int panel_width() const { return labels + n * cell + 2 * kGap; }
  int panel_height() const { return kTitle + labels + n * cell + 2 * kGap; }
  int width() const { return std::max(columns * panel_width(), 420) + 2 * kMargin; }
  int height() const { return rows * panel_height() + kHeader + kFooter + 2 * kMargin; }
};

Layout lay_out(const AttentionMaps& maps) {
  Layout l{};
  l.n = static_cast<int>(maps.tokens.size());
  const auto n_heads = static_cast<int>(maps.n_heads);
  l.columns = maps.n_layers > 1 ? n_heads : static_cast<int>(std::ceil(std::sqrt(1.3 * n_heads)));
  l.columns = std::min(l.columns, n_heads);
  l.rows =
      maps.n_layers > 1 ? static_cast<int>(maps.n_layers) : (n_heads + l.columns - 1) / l.columns;
  const bool alone = l.columns * l.rows == 1;
  l.with_values = alone && l.n <= 12;
  if (l.with_values) {
    l.cell = 56;
  } else if (alone) {
    l.cell = std::clamp(1200 / l.n, l.n <= 1000 ? kLeastLabelledCell : 2, 36);
  } else if (maps.n_layers == 1) {
    l.cell = std::clamp(420 / l.n, l.n <= 120 ? kLeastLabelledCell : 2, 28);
  } else {
    l.cell = std::clamp(120 / l.n, 1, 16);
  }
  l.labelled = l.cell >= kLeastLabelledCell;
  l.font = std::min(0.8 * l.cell, 14.0);
  if (l.labelled) {
    Canvas scratch(1, 1);
    for (const std::string& token : maps.tokens) {
      l.labels = std::max(l.labels, scratch.text_width(token, l.font, kMostLabel) + kGap);
    }
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

void draw_matrix(const float* map, float largest, const Layout& l, int x, int y, Canvas* canvas) {
  const int side = l.n * l.cell;
  canvas->rectangle(x - 1, y - 1, side + 2, side + 2, kLine);
  for (int i = 0; i < l.n; ++i) {
    for (int j = 0; j < l.n; ++j) {
      const float p = map[i * l.n + j];
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

void draw_panel(const AttentionMaps& maps, int64_t i_layer, int64_t i_head, float largest,
                const Layout& l, int x, int y, Canvas* canvas) {
  const std::string title = "layer " + std::to_string(maps.first_layer + i_layer) + ", head " +
                            std::to_string(maps.first_head + i_head);
  const int left = x + l.labels, top = y + kTitle + l.labels, side = l.n * l.cell;
  // Where rows and columns of panels are too narrow for words, "2, 3" has to do.
  const bool wide = canvas->text_width(title, 13, 1e4) <= l.panel_width();
  const std::string numbers =
      std::to_string(maps.first_layer + i_layer) + ", " + std::to_string(maps.first_head + i_head);
  canvas->text(wide ? title : numbers, left + side / 2.0, y + 10, 13, l.panel_width(),
               Canvas::Align::kCentre, kInk);
  draw_matrix(maps.map(i_layer, i_head), largest, l, left, top, canvas);
  if (!l.labelled) return;
  for (int i = 0; i < l.n; ++i) {
    const std::string& token = maps.tokens[static_cast<size_t>(i)];
    const double middle = (i + 0.5) * l.cell;
    canvas->text(token, left - kGap / 2.0, top + middle, l.font, kMostLabel, Canvas::Align::kRight,
                 kInk);
    canvas->text(token, left + middle, top - kGap / 2.0, l.font, kMostLabel, Canvas::Align::kLeft,
                 kInk, true);
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

}  // namespace

std::string attention_png(const AttentionMaps& maps) {
  const Layout l = lay_out(maps);
  const float largest = largest_of(maps.probabilities);
  Canvas canvas(l.width(), l.height());
  const int room = l.width() - 2 * kMargin;
  canvas.text(maps.text, kMargin, kMargin + 10, 17, room, Canvas::Align::kLeft, kInk);
  canvas.text("attention of " + maps.model, kMargin, kMargin + 34, 13, room, Canvas::Align::kLeft,
              kFaint);
  for (int64_t i = 0; i < maps.n_layers * maps.n_heads; ++i) {
    const int column = static_cast<int>(i) % l.columns, row = static_cast<int>(i) / l.columns;
    draw_panel(maps, i / maps.n_heads, i % maps.n_heads, largest, l,
               kMargin + column * l.panel_width(), kMargin + kHeader + row * l.panel_height(),
               &canvas);
  }
  draw_legend(largest, kMargin, l.height() - kMargin - kFooter / 2, &canvas);
  return canvas.png();
}

}  // namespace tool
