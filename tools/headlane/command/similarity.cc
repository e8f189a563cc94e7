#include <algorithm>
#include <cmath>
#include <cstdio>
#include <memory>

#include "tools/headlane/commands.h"
#include "tools/headlane/options/common_options.h"
#include "tools/headlane/output/labels.h"

namespace tool {
namespace {

constexpr size_t kMostTexts = 1000;  // the matrix has a column for each
constexpr int kLabelColumns = 44;    // of a terminal; CJK characters take two

struct Pair {
  size_t a, b;  // a < b
  float cosine;
};

// Lengths 1, so that a product of two is their cosine. A vector of zeros stays.
void normalize(std::vector<float>* rows, size_t n, size_t d) {
  for (size_t r = 0; r < n; ++r) {
    float* row = rows->data() + r * d;
    double squares = 0;
    for (size_t i = 0; i < d; ++i) squares += static_cast<double>(row[i]) * row[i];
    const double scale = squares > 0 ? 1 / std::sqrt(squares) : 0;
    for (size_t i = 0; i < d; ++i) row[i] = static_cast<float>(row[i] * scale);
  }
}

// [n, n]
std::vector<float> cosines(const std::vector<float>& rows, size_t n, size_t d) {
  std::vector<float> matrix(n * n);
  for (size_t a = 0; a < n; ++a) {
    for (size_t b = 0; b <= a; ++b) {
      double sum = 0;
      for (size_t i = 0; i < d; ++i) sum += static_cast<double>(rows[a * d + i]) * rows[b * d + i];
      matrix[a * n + b] = matrix[b * n + a] = static_cast<float>(sum);
    }
  }
  return matrix;
}

void print_matrix(const std::vector<std::string>& texts, const std::vector<float>& matrix) {
  const size_t n = texts.size();
  const std::string title = "cosine similarity";
  std::printf("     %s", padded_label(title, kLabelColumns).c_str());
  for (size_t b = 0; b < n; ++b) std::printf(" %5zu", b + 1);
  std::printf("\n");
  for (size_t a = 0; a < n; ++a) {
    std::printf("%4zu %s", a + 1, padded_label(texts[a], kLabelColumns).c_str());
    // + 0.0f: a cosine that rounds to zero from below is printed without a sign
    for (size_t b = 0; b < n; ++b) {
      std::printf(" %5.2f", static_cast<double>(std::round(matrix[a * n + b] * 100) / 100 + 0.0f));
    }
    std::printf("\n");
  }
}

// Each text with the one that is most like it, the most alike first, each pair once.
std::vector<Pair> nearest_pairs(const std::vector<float>& matrix, size_t n) {
  std::vector<Pair> pairs;
  for (size_t a = 0; a < n; ++a) {
    size_t best = a == 0 ? 1 : 0;
    for (size_t b = 0; b < n; ++b) {
      if (b != a && matrix[a * n + b] > matrix[a * n + best]) best = b;
    }
    const Pair pair{std::min(a, best), std::max(a, best), matrix[a * n + best]};
    const bool known = std::any_of(pairs.begin(), pairs.end(), [&](const Pair& other) {
      return other.a == pair.a && other.b == pair.b;
    });
    if (!known) pairs.push_back(pair);
  }
  std::stable_sort(pairs.begin(), pairs.end(),
                   [](const Pair& x, const Pair& y) { return x.cosine > y.cosine; });
  return pairs;
}

struct SimilarityOptions {
  RunOptions run;
  Texts texts;
};

void similarity(const SimilarityOptions& options) {
  // The texts are shown beside their cosines, so they are read once, here.
  Texts texts;
  for_each_text(options.texts, [&](const std::string& text, int64_t) {
    if (texts.of_command_line.size() == kMostTexts) {
      throw std::runtime_error("similarity shows at most " + std::to_string(kMostTexts) + " texts");
    }
    texts.of_command_line.push_back(text);
  });
  const std::vector<std::string>& list = texts.of_command_line;
  if (list.size() < 2) throw std::runtime_error("similarity needs two texts or more");

  const Model model = open_model(options.run);
  const auto d = static_cast<size_t>(columns_of(model, options.run));
  std::vector<float> rows;
  embed_texts(model, options.run, texts, false, [&](const float* emitted, int64_t n_rows) {
    rows.insert(rows.end(), emitted, emitted + static_cast<size_t>(n_rows) * d);
  });
  normalize(&rows, list.size(), d);
  const std::vector<float> matrix = cosines(rows, list.size(), d);
  print_matrix(list, matrix);
  std::printf("\nnearest pairs\n");
  for (const Pair& pair : nearest_pairs(matrix, list.size())) {
    int width = 0;
    std::printf("%5.2f  %s  %s\n", static_cast<double>(pair.cosine),
                padded_label(list[pair.a], kLabelColumns).c_str(),
                label(list[pair.b], kLabelColumns, &width).c_str());
  }
}

}  // namespace

void declare_similarity(Command* command) {
  const auto options = std::make_shared<SimilarityOptions>();
  add_run_options(command, &options->run);
  add_max_length(command, &options->run);
  add_prompts(command, &options->run);
  add_vectors(command, &options->run);
  add_texts(command, &options->texts);
  command->run = [options] { similarity(*options); };
}

}  // namespace tool
