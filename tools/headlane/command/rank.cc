#include <algorithm>
#include <cmath>
#include <cstdio>
#include <memory>

#include "tools/headlane/commands.h"
#include "tools/headlane/options/common_options.h"
#include "tools/headlane/output/json.h"
#include "tools/headlane/output/json_number.h"
#include "tools/headlane/output/labels.h"
#include "tools/headlane/output/scores.h"
#include "tools/headlane/output/standard_streams.h"

namespace tool {
namespace {

struct RankOptions {
  RunOptions run;
  std::string query;
  Texts texts;
  int64_t top_k = 0;  // 0: all
  bool raw = false, as_json = false;
};

using Ranked = Session::Ranked;

// How alike two vectors are, by the name that the model's makers gave (headlane_model_facts). The
// cosine with a vector of zeros is 0.
float likeness(const std::string& similarity, const float* a, const float* b, size_t d) {
  double product = 0, squares_a = 0, squares_b = 0, squares = 0, differences = 0;
  for (size_t i = 0; i < d; ++i) {
    const double x = a[i], y = b[i];
    product += x * y;
    squares_a += x * x;
    squares_b += y * y;
    squares += (x - y) * (x - y);
    differences += std::abs(x - y);
  }
  if (similarity == "dot") return static_cast<float>(product);
  if (similarity == "euclidean") return static_cast<float>(-std::sqrt(squares));
  if (similarity == "manhattan") return static_cast<float>(-differences);
  const double length = std::sqrt(squares_a * squares_b);
  if (std::isnan(length)) return std::nanf("");
  return length > 0 ? static_cast<float>(product / length) : 0.0f;
}

// By vectors, each made behind the prompt that the model has for its side.
std::vector<Ranked> rank_by_vectors(const Model& model, Session* session,
                                    const RankOptions& options,
                                    const std::vector<std::string>& texts, size_t top_k,
                                    headlane::TokenizeOptions tokenize) {
  tokenize.prompt = model.find_prompt("query");
  const std::vector<float> query =
      session->embed(std::vector<std::string>{options.query}, tokenize);
  tokenize.prompt = model.find_prompt("document");
  const std::vector<float> documents = session->embed(texts, tokenize);
  const std::string similarity = model.facts().similarity;
  const size_t d = query.size();
  std::vector<Ranked> ranked;
  for (size_t i = 0; i < texts.size(); ++i) {
    ranked.push_back(
        {static_cast<int64_t>(i), likeness(similarity, query.data(), documents.data() + i * d, d)});
  }
  std::stable_sort(ranked.begin(), ranked.end(),
                   [](const Ranked& a, const Ranked& b) { return is_before(a.score, b.score); });
  ranked.resize(std::min(ranked.size(), top_k));
  return ranked;
}

std::vector<Ranked> rank_texts(const RankOptions& options, const std::vector<std::string>& texts) {
  const Model model = open_model(options.run);
  const headlane::ModelFacts facts = model.facts();
  headlane::TokenizeOptions tokenize;
  tokenize.max_len = length_limit(facts, options.run);
  Session session = create_session(model, options.run, tokenize.max_len);
  const size_t top_k = options.top_k > 0 ? static_cast<size_t>(options.top_k) : texts.size();
  if (facts.n_labels == 0) {
    if (options.raw) throw UsageError("--raw is for classifiers; this model makes vectors");
    return rank_by_vectors(model, &session, options, texts, top_k, tokenize);
  }
  headlane::ClassifyOptions classify;
  classify.tokenize = &tokenize;
  if (options.raw) classify.outcome = HEADLANE_OUTCOME_RAW;
  return session.rank(options.query, texts, static_cast<int64_t>(top_k), classify);
}

void rank(const RankOptions& options) {
  // The texts are shown beside their scores, so they are read once, here.
  std::vector<std::string> texts;
  for_each_text(options.texts, [&](const std::string& text, int64_t) { texts.push_back(text); });
  for (const Ranked& ranked : rank_texts(options, texts)) {
    const std::string& text = texts[static_cast<size_t>(ranked.document)];
    if (options.as_json) {
      print(
          Json::object("document", ranked.document, "score", as_written(ranked.score), "text", text)
              .dump() +
          "\n");
    } else {
      print(shown_score(ranked.score) + padded_number(ranked.document + 1) + "  " +
            valid_utf8(text) + "\n");
    }
  }
}

}  // namespace

void declare_rank(Command* command) {
  const auto options = std::make_shared<RankOptions>();
  add_run_options(command, &options->run);
  add_max_length(command, &options->run);
  command->text("QUERY", &options->query, "What the texts are to answer")->required();
  add_texts(command, &options->texts);
  command->integer("--top-k", &options->top_k, 0, kMostCount,
                   "How many texts to print, the best; 0: all");
  command->flag("--raw", &options->raw, "Print what the last product gives, no probabilities");
  command->flag("--json", &options->as_json, "Print JSON, a line for each text");
  command->run = [options] { rank(*options); };
}

}  // namespace tool
