#include "tools/headlane/picture/attention_colour.h"

#include <algorithm>
#include <cmath>

namespace tool {
namespace {

struct Oklab {
  double lightness, a, b;
};

Oklab from_hue(double lightness, double chroma, double degrees) {
  const double hue = degrees * 3.14159265358979323846 / 180;
  return {lightness, chroma * std::cos(hue), chroma * std::sin(hue)};
}

// Ottosson 2020, "A perceptual color space for image processing".
Rgb srgb(const Oklab& c) {
  const double l = std::pow(c.lightness + 0.3963377774 * c.a + 0.2158037573 * c.b, 3);
  const double m = std::pow(c.lightness - 0.1055613458 * c.a - 0.0638541728 * c.b, 3);
  const double s = std::pow(c.lightness - 0.0894841775 * c.a - 1.291485548 * c.b, 3);
  const auto encode = [](double linear) {
    const double x = std::clamp(linear, 0.0, 1.0);
    return x <= 0.0031308 ? 12.92 * x : 1.055 * std::pow(x, 1 / 2.4) - 0.055;
  };
  return {encode(4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s),
          encode(-1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s),
          encode(-0.0041960863 * l - 0.7034186147 * m + 1.707614701 * s)};
}

}  // namespace

Rgb attention_colour(double share) {
  static const Oklab stops[] = {from_hue(0.985, 0.005, 240), from_hue(0.68, 0.12, 235),
                                from_hue(0.3, 0.13, 270)};
  const double at = 2 * std::clamp(share, 0.0, 1.0);
  const Oklab& from = stops[at < 1 ? 0 : 1];
  const Oklab& to = stops[at < 1 ? 1 : 2];
  const double t = at < 1 ? at : at - 1;
  return srgb({from.lightness + t * (to.lightness - from.lightness), from.a + t * (to.a - from.a),
               from.b + t * (to.b - from.b)});
}

}  // namespace tool
