// The vectors of two sentences, and how alike they are: the cosine of the angle between them.
#include <cstdio>
#include <headlane/headlane.hpp>
#include <numeric>
#include <vector>

int main(int, char** argv) {
  const headlane::Model model(argv[1]);
  headlane::Session session(model);
  const std::vector<float> vectors = session.embed({"A cat is sleeping.", "The kitten naps."});

  const float* first = vectors.data();  // [2, d_model]; the length of each vector is 1
  const float* second = first + vectors.size() / 2;
  std::printf("%.2f\n", std::inner_product(first, second, second, 0.0));
}
