// A picture to draw rectangles and text on, by cairo and Pango.
#pragma once

#include <cairo.h>
#include <pango/pango.h>

#include <memory>
#include <string>

#include "tools/headlane/picture/attention_colour.h"

namespace tool {

class Canvas {
 public:
  Canvas(int width, int height);  // white; throws std::runtime_error if it is too large

  void rectangle(double x, double y, double width, double height, const Rgb& colour);

  enum class Align { kLeft, kCentre, kRight };
  // One line, its middle at height y, cut with an ellipsis to max_width. Text is upright, or runs
  // from bottom to top with x and y changing places: kLeft begins at y, and x is its middle.
  void text(const std::string& text, double x, double y, double size, double max_width, Align align,
            const Rgb& colour, bool upwards = false);

  // Returns how much of `max_width` text() takes; 0 without fonts.
  int text_width(const std::string& text, double size, double max_width);

  std::string png() const;

 private:
  struct Unref {
    void operator()(cairo_surface_t* surface) const { cairo_surface_destroy(surface); }
    void operator()(cairo_t* context) const { cairo_destroy(context); }
    void operator()(PangoLayout* layout) const;
  };
  PangoRectangle set_text(const std::string& text, double size, double max_width);

  std::unique_ptr<cairo_surface_t, Unref> surface_;
  std::unique_ptr<cairo_t, Unref> context_;
  std::unique_ptr<PangoLayout, Unref> layout_;  // null: the machine has no font, so no text
};

}  // namespace tool
