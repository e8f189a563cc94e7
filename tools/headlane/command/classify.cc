#include <algorithm>
#include <cstdio>
#include <memory>
#include <numeric>
#include <optional>
#include <span>

#include "tools/headlane/commands.h"
#include "tools/headlane/options/common_options.h"
#include "tools/headlane/output/json.h"
#include "tools/headlane/output/json_number.h"
#include "tools/headlane/output/labels.h"
#include "tools/headlane/output/scores.h"
#include "tools/headlane/output/standard_streams.h"

namespace tool {
namespace {

struct ClassifyOptions {
  RunOptions run;
  Texts texts;
  std::optional<std::string> pair;    // the second text; none: the texts are no pairs
  std::optional<std::string> labels;  // of the user's, with commas; none: the model's own
  std::optional<std::string> hypothesis;
  bool multi_label = false, raw = false, as_json = false;
};

// "a, b" has the labels "a" and "b", as transformers reads such a list.
std::vector<std::string> split_labels(const std::string& list) {
  const char* const kBlanks = " \t\r\n";
  std::vector<std::string> labels;
  for (size_t begin = 0; begin <= list.size();) {
    const size_t end = std::min(list.find(',', begin), list.size());
    const std::string label = list.substr(begin, end - begin);
    const size_t first = label.find_first_not_of(kBlanks);
    if (first != std::string::npos) {
      labels.push_back(label.substr(first, label.find_last_not_of(kBlanks) - first + 1));
    }
    begin = end + 1;
  }
  if (labels.empty()) throw UsageError("--labels has no label");
  return labels;
}

// A classifier as a command asks it, many texts at a time.
class Classifier {
 public:
  explicit Classifier(const ClassifyOptions& options)
      : options_(options), model_(open_model(options.run)), facts_(model_.facts()) {
    if (facts_.n_labels == 0) {
      throw std::runtime_error(options.run.model_path +
                               " is no classifier: it has no labels. Classifiers are folders whose "
                               "config.json names a model ForSequenceClassification");
    }
    tokenize_.max_len = length_limit(facts_, options.run);
    session_.emplace(create_session(model_, options.run, tokenize_.max_len));
    if (options.run.prompt || !options.run.prompt_name.empty()) {
      prompt_ = prompt_of(model_, options.run);
      tokenize_.prompt = prompt_.c_str();
    }
    if (options.labels) {
      labels_ = split_labels(*options.labels);
    } else {
      for (int64_t i = 0; i < facts_.n_labels; ++i) labels_.emplace_back(model_.label(i).name);
    }
  }

  const std::vector<std::string>& labels() const { return labels_; }

  int64_t max_len() const { return tokenize_.max_len; }

  // [texts, labels]
  std::vector<float> scores(const std::vector<std::string>& texts) {
    if (options_.labels) {
      headlane::ZeroShotOptions options;
      options.tokenize = &tokenize_;
      options.hypothesis = options_.hypothesis ? options_.hypothesis->c_str() : nullptr;
      options.multi_label = options_.multi_label ? 1 : 0;
      return session_->zero_shot(texts, labels_, options);
    }
    headlane::ClassifyOptions options;
    options.tokenize = &tokenize_;
    if (options_.raw) options.outcome = HEADLANE_OUTCOME_RAW;
    const headlane::JoinedTexts second(
        std::vector<std::string>(options_.pair ? texts.size() : 0, options_.pair.value_or("")));
    const headlane::TextArray array = second.get();
    if (options_.pair) options.second = &array;
    return session_->classify(texts, options);
  }

 private:
  const ClassifyOptions& options_;
  Model model_;
  headlane::ModelFacts facts_;
  std::optional<Session> session_;
  headlane::TokenizeOptions tokenize_;
  std::string prompt_;
  std::vector<std::string> labels_;
};

// The numbers of the labels, that with the highest score first.
std::vector<size_t> order_of(std::span<const float> scores) {
  std::vector<size_t> order(scores.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return is_before(scores[a], scores[b]); });
  return order;
}

// A text with its scores, as the command prints it.
std::string shown(const std::string& text, const std::vector<std::string>& labels,
                  std::span<const float> scores, const ClassifyOptions& options) {
  const bool is_list = options.texts.of_command_line.size() != 1;
  Json list = Json::array();
  std::string lines = is_list ? valid_utf8(text) + "\n" : "";
  for (const size_t i : order_of(scores)) {
    list.add(Json::object("label", labels[i], "score", as_written(scores[i])));
    lines += (is_list ? "  " : "") + shown_score(scores[i]) + "  " + valid_utf8(labels[i]) + "\n";
  }
  if (!options.as_json) return lines;
  return Json::object("text", text, "scores", std::move(list)).dump() + "\n";
}

void classify(const ClassifyOptions& options) {
  Classifier classifier(options);
  const std::vector<std::string>& labels = classifier.labels();
  const auto print_window = [&](const std::vector<std::string>& texts) {
    const std::vector<float> scores = classifier.scores(texts);
    for (size_t i = 0; i < texts.size(); ++i) {
      const auto row = std::span(scores).subspan(i * labels.size(), labels.size());
      print(shown(texts[i], labels, row, options));
    }
    std::fflush(stdout);
  };
  for_each_window(options.texts, options.run, classifier.max_len(), print_window);
}

}  // namespace

void declare_classify(Command* command) {
  const auto options = std::make_shared<ClassifyOptions>();
  add_run_options(command, &options->run);
  add_max_length(command, &options->run);
  add_prompts(command, &options->run);
  add_texts(command, &options->texts);
  const Option* pair = command->text("--pair", &options->pair,
                                     "The second text of a pair, of which TEXT is the first");
  const Option* labels =
      command
          ->text("--labels", &options->labels,
                 "Labels of your own, with commas between them, for a model that says whether a "
                 "text follows from another (zero-shot classification)")
          ->excludes(pair);
  command
      ->text("--template", &options->hypothesis,
             "The sentence that a text with a label follows from; {} stands for the label; none "
             "given: This example is {}.")
      ->needs(labels);
  command
      ->flag("--multi-label", &options->multi_label,
             "Any number of the labels may be right, not one of them")
      ->needs(labels);
  command->flag("--raw", &options->raw, "Print what the last product gives, no probabilities")
      ->excludes(labels);
  command->flag("--json", &options->as_json, "Print JSON, a line for each text");
  command->run = [options] { classify(*options); };
}

}  // namespace tool
