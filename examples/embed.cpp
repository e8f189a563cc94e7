// Texts in, vectors out: prints how alike the first text is to each. Build: c++ -std=c++20
// embed.cpp -lheadlane
#include <cstdio>
#include <exception>
#include <headlane/headlane.hpp>
#include <numeric>
#include <span>
#include <vector>

int main(int argc, char** argv) try {
  const std::span<char*> arguments(argv, static_cast<size_t>(argc));
  if (argc < 3) {
    std::fprintf(stderr, "usage: embed MODEL TEXT...\n");
    return 2;
  }
  const auto texts = arguments.subspan(2);

  const headlane::Model model(arguments[1]);  // shared by any number of sessions and threads
  headlane::Session session(model);           // its memory is all that a run takes
  const std::vector<float> vectors = session.embed(texts);  // [texts, d_model], of length 1

  const size_t d_model = vectors.size() / texts.size();
  for (size_t i = 0; i < texts.size(); ++i) {
    const float* vector = vectors.data() + i * d_model;
    const float cosine = std::inner_product(vector, vector + d_model, vectors.data(), 0.0f);
    std::printf("%6.3f  %s\n", static_cast<double>(cosine), texts[i]);
  }
} catch (const std::exception& error) {  // headlane::Error also says what kind: status()
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
