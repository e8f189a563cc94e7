#include "engine/import/families/classifier.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <utility>

#include "engine/base/error.h"
#include "engine/file/limits.h"
#include "engine/import/source/json_file.h"

namespace headlane {
namespace {

using json = Json;
using ll = long long;

int64_t check_n_labels(int64_t n, const char* field, const std::string& path) {
  if (n >= 1 && n <= file_limits::kLabels) return n;
  fail(Status::kBadFile, "%s field \"%s\" is of %lld labels, outside [1, %lld]", path.c_str(),
       field, ll{n}, ll{file_limits::kLabels});
}

std::string default_label(int64_t i) { return "LABEL_" + std::to_string(i); }

// {"0": "negative", "1": "positive"}: every number from 0 on, once.
std::vector<std::string> read_id2label(const json& field, const std::string& path) {
  const std::string where = path + " field \"id2label\":";
  if (!field.is_object()) fail(Status::kBadFile, "%s it is not a JSON object", where.c_str());
  const int64_t n = check_n_labels(std::ssize(field.items()), "id2label", path);
  std::vector<std::string> labels(static_cast<size_t>(n));
  std::vector<bool> known(labels.size());
  for (const auto& [key, value] : field.items()) {
    int64_t id = -1;
    const char* end = key.data() + key.size();
    const auto parsed = std::from_chars(key.data(), end, id);
    if (parsed.ec != std::errc() || parsed.ptr != end || id < 0 || id >= n ||
        known[static_cast<size_t>(id)]) {
      fail(Status::kBadFile, "%s the key \"%s\" is no number from 0 to %lld, each once",
           where.c_str(), printable(key).c_str(), ll{n - 1});
    }
    known[static_cast<size_t>(id)] = true;
    labels[static_cast<size_t>(id)] = json_string(field, key.c_str(), where);
  }
  return labels;
}

// As transformers: a config without names has two labels unless it says otherwise, and names of
// another number than it says are forgotten.
std::vector<std::string> read_labels(const json& config, const std::string& path) {
  std::vector<std::string> labels;
  if (json_has(config, "id2label", path)) labels = read_id2label(config["id2label"], path);
  const int64_t n_named = labels.empty() ? 2 : std::ssize(labels);
  const int64_t n =
      check_n_labels(json_int(config, "num_labels", path, n_named), "num_labels", path);
  if (std::ssize(labels) == n) return labels;
  labels.clear();
  for (int64_t i = 0; i < n; ++i) labels.push_back(default_label(i));
  return labels;
}

bool means_entailment(const std::string& label) {
  constexpr const char* kBegin = "entail";
  size_t i = 0;
  for (; kBegin[i] != '\0' && i < label.size(); ++i) {
    const char c = label[i];
    if ((c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c) != kBegin[i]) return false;
  }
  return kBegin[i] == '\0';
}

// As transformers' zero-shot classification: the first label whose name begins so, by the map from
// names to ids where the file has one.
int32_t find_entailment(const json& config, const std::vector<std::string>& labels,
                        const std::string& path) {
  const bool has_map = json_has(config, "id2label", path) && json_has(config, "label2id", path) &&
                       json_int(config, "num_labels", path, std::ssize(labels)) ==
                           std::ssize(config["id2label"].items());
  if (has_map && config["label2id"].is_object()) {
    const std::string where = path + " field \"label2id\":";
    for (const auto& [label, value] : config["label2id"].items()) {
      if (!means_entailment(label)) continue;
      const int64_t id = json_int(config["label2id"], label.c_str(), where);
      if (id >= 0 && id < std::ssize(labels)) return static_cast<int32_t>(id);
      fail(Status::kBadFile, "%s \"%s\" is %lld; there are %zu labels", where.c_str(),
           printable(label).c_str(), ll{id}, labels.size());
    }
    return -1;
  }
  for (size_t i = 0; i < labels.size(); ++i) {
    if (means_entailment(labels[i])) return static_cast<int32_t>(i);
  }
  return -1;
}

Outcome read_activation_name(const std::string& name, const char* field, const std::string& path) {
  if (name == "torch.nn.modules.activation.Sigmoid") return Outcome::kSigmoid;
  if (name == "torch.nn.modules.linear.Identity") return Outcome::kRaw;
  fail(Status::kUnsupported,
       "%s field \"%s\" is \"%s\"; supported are torch.nn.modules.activation.Sigmoid and "
       "torch.nn.modules.linear.Identity",
       path.c_str(), field, printable(name).c_str());
}

Outcome read_outcome(const json& config, const std::string& path, int64_t n_labels,
                     const CrossEncoderSettings* settings) {
  constexpr const char* kNew = "sentence_transformers";
  constexpr const char* kOld = "sbert_ce_default_activation_function";
  constexpr const char* kType = "problem_type";
  if (settings != nullptr && !settings->activation.empty()) {
    return read_activation_name(settings->activation, "activation_fn", settings->path);
  }
  const bool has_new = json_has(config, kNew, path);
  bool says = false;  // in the new place, be it null
  if (has_new) {
    const std::string where = path + " field \"" + kNew + "\":";
    constexpr const char* kField = "activation_fn";
    if (json_has(config[kNew], kField, where)) {
      return read_activation_name(json_string(config[kNew], kField, where), kField, where);
    }
    says = config[kNew].contains(kField);
  }
  if (!says && json_has(config, kOld, path)) {
    return read_activation_name(json_string(config, kOld, path), kOld, path);
  }
  // That place is in folders that a CrossEncoder has saved, and in no others.
  if (settings != nullptr || has_new) return n_labels == 1 ? Outcome::kSigmoid : Outcome::kRaw;
  const std::string type = json_has(config, kType, path) ? json_string(config, kType, path) : "";
  if (type == "regression") return Outcome::kRaw;
  if (type == "multi_label_classification" || n_labels == 1) return Outcome::kSigmoid;
  if (type.empty() || type == "single_label_classification") return Outcome::kSoftmax;
  fail(Status::kUnsupported,
       "%s field \"%s\" is \"%s\", not one of: regression, single_label_classification, "
       "multi_label_classification",
       path.c_str(), kType, printable(type).c_str());
}

}  // namespace

std::string head_of_class(const json& config, const std::string& path) {
  constexpr const char* kField = "architectures";
  if (!json_has(config, kField, path)) return "";
  const std::vector<std::string> classes = json_strings(config, kField, path);
  const size_t at = classes.empty() ? std::string::npos : classes.front().find("For");
  return at == std::string::npos ? "" : classes.front().substr(at);
}

HeadConfig read_classifier(const json& config, const std::string& path, const ClassifierForm& form,
                           int64_t d_model, const CrossEncoderSettings* settings) {
  HeadConfig head;
  head.kind = HeadKind::kClassify;
  head.pooling = form.pooling;
  ClassifierConfig& classifier = head.classifier;
  classifier.labels = read_labels(config, path);
  classifier.outcome = read_outcome(config, path, classifier.n_labels(), settings);
  classifier.entailment = find_entailment(config, classifier.labels, path);
  if (form.dense != nullptr) {
    head.steps.push_back({HeadStepKind::kDense, d_model, form.activation});
  }
  if (form.norm != nullptr) {
    head.steps.push_back({.kind = HeadStepKind::kLayerNorm, .eps = form.norm_eps});
  }
  head.steps.push_back({HeadStepKind::kDense, classifier.n_labels()});
  return head;
}

HeadConfig read_logit_score(const json& config, const std::string& path,
                            const CrossEncoderSettings& settings) {
  HeadConfig head;
  head.kind = HeadKind::kClassify;
  head.pooling = Pooling::kLastToken;
  head.classifier.labels = {default_label(0)};
  head.classifier.outcome = read_outcome(config, path, 1, &settings);
  head.steps.push_back({HeadStepKind::kDense, 1});
  return head;
}

TensorRecipe take_logit_score(const Checkpoint& checkpoint, const LogitScore& score,
                              int64_t vocab_size, std::vector<TensorRecipe>* recipes) {
  const auto find = [&](const char* name) {
    return std::find_if(recipes->begin(), recipes->end(),
                        [&](const TensorRecipe& recipe) { return recipe.name == name; });
  };
  const auto own = find("lm_head.weight");
  const TensorRecipe& logits = own != recipes->end() ? *own : *find("encoder.embeddings.word");
  const auto weights_of = [&](int64_t id) {
    if (id >= vocab_size) {
      fail(Status::kBadFile, "%s has the id %lld of a token; the model has %lld tokens",
           score.path.c_str(), ll{id}, ll{vocab_size});
    }
    const TensorSlice& slice = logits.slices.front();
    std::vector<float> row(static_cast<size_t>(logits.shape.back()));
    checkpoint.read(slice.tensor, slice.first + id * logits.shape.back(), row);
    return row;
  };
  TensorRecipe head;
  head.name = "head.steps.0.weight";
  head.shape = {1, logits.shape.back()};
  head.values = weights_of(score.yes);
  if (score.no >= 0) {
    const std::vector<float> no = weights_of(score.no);
    for (size_t i = 0; i < no.size(); ++i) head.values[i] -= no[i];
  }
  if (own != recipes->end()) recipes->erase(own);
  return head;
}

std::vector<TensorRecipe> classifier_tensors(const Checkpoint& checkpoint,
                                             const ClassifierForm& form,
                                             const ModelConfig& config) {
  Recipes recipes(checkpoint);
  int64_t step = 0;
  const int64_t d = config.d_model;
  const auto add = [&](const std::string& source, std::vector<int64_t> shape, bool has_bias) {
    const std::string name = "head.steps." + std::to_string(step++);
    const int64_t n = shape[0];
    recipes.add(source + ".weight", name + ".weight", std::move(shape));
    if (has_bias) recipes.add(source + ".bias", name + ".bias", {n});
  };
  if (form.dense != nullptr) add(form.dense, {d, d}, form.has_bias && form.dense_bias);
  if (form.norm != nullptr) add(form.norm, {d}, form.norm_bias);
  add(form.out, {config.head.classifier.n_labels(), d}, form.has_bias);
  return recipes.take();
}

}  // namespace headlane
