#pragma once

namespace tool {

struct Rgb {
  double red, green, blue;  // sRGB, 0 to 1
};

// The colour of a value that is `share` (0 to 1) of the largest one: from near white by a light
// blue to a dark one. Straight lines in OKLab, so that equal steps look equal; lightness alone
// tells values apart, which colour-blind eyes see too. The page's light theme has the same.
Rgb attention_colour(double share);

}  // namespace tool
