// A PNG file, read by cairo.
#pragma once

#include <cairo.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace headlane::test {

struct Picture {
  int width = 0, height = 0;
  std::vector<uint32_t> pixels;  // [height, width], 0xrrggbb

  std::map<uint32_t, int> colours() const {  // how many pixels have each
    std::map<uint32_t, int> counts;
    for (const uint32_t colour : pixels) ++counts[colour];
    return counts;
  }
};

inline Picture read_picture(const std::string& path) {
  Picture picture;
  cairo_surface_t* surface = cairo_image_surface_create_from_png(path.c_str());
  EXPECT_EQ(cairo_surface_status(surface), CAIRO_STATUS_SUCCESS) << path;
  picture.width = cairo_image_surface_get_width(surface);
  picture.height = cairo_image_surface_get_height(surface);
  const int stride = cairo_image_surface_get_stride(surface);
  const unsigned char* data = cairo_image_surface_get_data(surface);
  for (int y = 0; y < picture.height; ++y) {
    const auto* row = reinterpret_cast<const uint32_t*>(data + y * stride);
    for (int x = 0; x < picture.width; ++x) picture.pixels.push_back(row[x] & 0xffffff);
  }
  cairo_surface_destroy(surface);
  return picture;
}

}  // namespace headlane::test
