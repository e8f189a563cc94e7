#include "tools/headlane/picture/canvas.h"

#include <pango/pangocairo.h>

#include <cmath>
#include <stdexcept>

namespace tool {
namespace {

cairo_status_t append(void* out, const unsigned char* data, unsigned bytes) {
  static_cast<std::string*>(out)->append(reinterpret_cast<const char*>(data), bytes);
  return CAIRO_STATUS_SUCCESS;
}

}  // namespace

void Canvas::Unref::operator()(PangoLayout* layout) const { g_object_unref(layout); }

Canvas::Canvas(int width, int height)
    : surface_(cairo_image_surface_create(CAIRO_FORMAT_RGB24, width, height)),
      context_(cairo_create(surface_.get())) {
  if (cairo_status(context_.get()) != CAIRO_STATUS_SUCCESS) {
    throw std::runtime_error("a picture of " + std::to_string(width) + " x " +
                             std::to_string(height) + " pixels is too large");
  }
  cairo_set_antialias(context_.get(), CAIRO_ANTIALIAS_NONE);  // cells are whole pixels
  rectangle(0, 0, width, height, {1, 1, 1});
  layout_.reset(pango_cairo_create_layout(context_.get()));
  pango_layout_set_single_paragraph_mode(layout_.get(), TRUE);
  pango_layout_set_ellipsize(layout_.get(), PANGO_ELLIPSIZE_END);
  // Without any font Pango draws a box for each character: nothing is better.
  set_text("0a", 10, 1e4);
  if (pango_layout_get_unknown_glyphs_count(layout_.get()) > 0) layout_.reset();
}

void Canvas::rectangle(double x, double y, double width, double height, const Rgb& colour) {
  cairo_set_source_rgb(context_.get(), colour.red, colour.green, colour.blue);
  cairo_rectangle(context_.get(), x, y, width, height);
  cairo_fill(context_.get());
}

// Its extents in pixels.
PangoRectangle Canvas::set_text(const std::string& text, double size, double max_width) {
  PangoFontDescription* font = pango_font_description_from_string("Sans");
  pango_font_description_set_absolute_size(font, size * PANGO_SCALE);
  pango_layout_set_font_description(layout_.get(), font);  // which copies it
  pango_font_description_free(font);
  pango_layout_set_width(layout_.get(), static_cast<int>(std::floor(max_width * PANGO_SCALE)));
  pango_layout_set_text(layout_.get(), text.data(), static_cast<int>(text.size()));
  PangoRectangle extents;
  pango_layout_get_pixel_extents(layout_.get(), nullptr, &extents);
  return extents;
}

int Canvas::text_width(const std::string& text, double size, double max_width) {
  return layout_ ? set_text(text, size, max_width).width : 0;
}

void Canvas::text(const std::string& text, double x, double y, double size, double max_width,
                  Align align, const Rgb& colour, bool upwards) {
  if (!layout_) return;
  const PangoRectangle extents = set_text(text, size, max_width);
  const double shift = align == Align::kLeft     ? 0
                       : align == Align::kCentre ? extents.width / 2.0
                                                 : extents.width;
  cairo_save(context_.get());
  cairo_set_source_rgb(context_.get(), colour.red, colour.green, colour.blue);
  cairo_translate(context_.get(), x, y);
  if (upwards) cairo_rotate(context_.get(), -std::acos(0.0));
  cairo_move_to(context_.get(), -extents.x - shift, -extents.y - extents.height / 2.0);
  pango_cairo_update_layout(context_.get(), layout_.get());
  pango_cairo_show_layout(context_.get(), layout_.get());
  cairo_restore(context_.get());
}

std::string Canvas::png() const {
  std::string bytes;
  if (cairo_surface_write_to_png_stream(surface_.get(), append, &bytes) != CAIRO_STATUS_SUCCESS) {
    throw std::runtime_error("the picture cannot be encoded as PNG");
  }
  return bytes;
}

}  // namespace tool
