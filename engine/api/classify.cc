// The C API's many texts to scores.
#include "engine/run/classify.h"

#include <algorithm>
#include <string_view>

#include "engine/api/text_arrays.h"
#include "engine/file/json_fields.h"

using headlane::fail;
using headlane::Status;
using namespace headlane::c_api;  // NOLINT(google-build-using-namespace): what this file is of

namespace {

using ll = long long;

headlane::ClassifyOptions read_options(const headlane_classify_options& read,
                                       const headlane::ModelConfig& config) {
  headlane::ClassifyOptions options;
  options.text = read_prompted(read.tokenize, config);
  switch (read_enum("outcome", read.outcome, HEADLANE_OUTCOME_SOFTMAX)) {
    case HEADLANE_OUTCOME_OF_MODEL:
      break;
    case HEADLANE_OUTCOME_RAW:
      options.outcome = headlane::Outcome::kRaw;
      break;
    case HEADLANE_OUTCOME_SIGMOID:
      options.outcome = headlane::Outcome::kSigmoid;
      break;
    case HEADLANE_OUTCOME_SOFTMAX:
      options.outcome = headlane::Outcome::kSoftmax;
      break;
  }
  return options;
}

// The hypothesis around its label.
void read_hypothesis(const char* given, headlane::ZeroShotOptions* options) {
  const std::string_view text = given ? given : "This example is {}.";
  const size_t at = text.find("{}");
  const auto has_brace = [](std::string_view part) {
    return part.find_first_of("{}") != std::string_view::npos;
  };
  if (at == std::string_view::npos || has_brace(text.substr(0, at)) ||
      has_brace(text.substr(at + 2))) {
    fail(Status::kInvalidArgument,
         "hypothesis is \"%s\"; it must have \"{}\" once, where the label goes, and no other brace",
         headlane::printable(text).c_str());
  }
  options->before = text.substr(0, at);
  options->after = text.substr(at + 2);
}

}  // namespace

headlane_status headlane_model_get_label(const headlane_model* model, int64_t i,
                                         headlane_label_facts* out) {
  return guarded([&] {
    require(model, "model");
    const headlane::ClassifierConfig& classifier = model->model->config().head.classifier;
    if (i < 0 || i >= classifier.n_labels()) {
      fail(Status::kInvalidArgument, "label index i is %lld; the model has %lld labels", ll{i},
           ll{classifier.n_labels()});
    }
    headlane_label_facts facts{};
    facts.name = classifier.labels[static_cast<size_t>(i)].c_str();
    facts.is_entailment = i == classifier.entailment ? 1 : 0;
    write_struct(facts, out, "headlane_label_facts");
  });
}

headlane_status headlane_session_classify(headlane_session* session, const headlane_texts* texts,
                                          const headlane_classify_options* options, float* scores,
                                          int64_t stride) {
  return guarded([&] {
    require(session, "session");
    const headlane::TextArray array = read_texts(texts, "texts");
    auto read = read_struct(options, "headlane_classify_options");
    const headlane::TextArray second = read_second(read.second, array.n_texts);
    const headlane::ModelConfig& config = session->session.model().config();
    stride = read_stride(stride, config.head.classifier.n_labels(), true, "the number of labels");
    if (array.n_texts > 0) require(scores, "scores");
    classify(&session->session, array, read.second ? &second : nullptr, read_options(read, config),
             {scores, stride}, listener_of(&read));
  });
}

headlane_status headlane_session_rank(headlane_session* session, const char* query,
                                      size_t query_bytes, const headlane_texts* documents,
                                      const headlane_classify_options* options, float* scores,
                                      int64_t* order, int64_t top_k) {
  return guarded([&] {
    require(session, "session");
    if (query_bytes > 0) require(query, "query");
    const headlane::TextArray array = read_texts(documents, "documents");
    auto read = read_struct(options, "headlane_classify_options");
    if (read.second) {
      fail(Status::kInvalidArgument, "second is set, but the documents are the second texts");
    }
    if (top_k < 0) fail(Status::kInvalidArgument, "top_k is %lld; it must be 0 or more", ll{top_k});
    const int64_t n_order = std::min(top_k, array.n_texts);
    if (n_order > 0) require(order, "order");
    const auto size_of = [](const void* to, int64_t n) {
      return to == nullptr ? 0 : static_cast<size_t>(n);
    };
    rank(&session->session, query_bytes > 0 ? std::string_view(query, query_bytes) : "", array,
         read_options(read, session->session.model().config()),
         {scores, size_of(scores, array.n_texts)}, {order, size_of(order, n_order)},
         listener_of(&read));
  });
}

headlane_status headlane_session_zero_shot(headlane_session* session, const headlane_texts* texts,
                                           const headlane_texts* labels,
                                           const headlane_zero_shot_options* options, float* scores,
                                           int64_t stride) {
  return guarded([&] {
    require(session, "session");
    const headlane::TextArray array = read_texts(texts, "texts");
    const headlane::TextArray names = read_texts(labels, "labels");
    auto read = read_struct(options, "headlane_zero_shot_options");
    if (names.n_texts == 0) {
      fail(Status::kInvalidArgument, "labels.n_texts is 0; there must be a label");
    }
    stride = read_stride(stride, names.n_texts, true, "the number of labels");
    if (array.n_texts > 0) require(scores, "scores");
    headlane::ZeroShotOptions to;
    to.text = read_prompted(read.tokenize, session->session.model().config());
    to.multi_label = read.multi_label != 0;
    read_hypothesis(read.hypothesis, &to);
    classify_zero_shot(&session->session, array, names, to, {scores, stride}, listener_of(&read));
  });
}
