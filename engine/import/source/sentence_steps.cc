#include "engine/import/source/sentence_steps.h"

#include <algorithm>
#include <utility>

#include "engine/base/error.h"
#include "engine/file/json.h"
#include "engine/file/limits.h"
#include "engine/import/source/json_file.h"
#include "engine/import/source/model_path.h"

namespace headlane {
namespace {

using json = Json;
using ll = long long;

constexpr const char* kVector = "sentence_embedding";

struct PoolingName {
  const char* mode;  // "pooling_mode": MODE in newer files
  const char* flag;  // FLAG: true in older ones
  Pooling pooling;
};
// They are in the order in which vectors stand behind each other if several flags are true.
constexpr PoolingName kPoolingNames[] = {
    {"cls", "pooling_mode_cls_token", Pooling::kCls},
    {"max", "pooling_mode_max_tokens", Pooling::kMax},
    {"mean", "pooling_mode_mean_tokens", Pooling::kMean},
    {"mean_sqrt_len_tokens", "pooling_mode_mean_sqrt_len_tokens", Pooling::kMeanSqrtLen},
    {"weightedmean", "pooling_mode_weightedmean_tokens", Pooling::kWeightedMean},
    {"lasttoken", "pooling_mode_lasttoken", Pooling::kLastToken},
};

Pooling pooling_of(const json& mode, const std::string& path) {
  std::string known;
  for (const PoolingName& name : kPoolingNames) {
    if (mode.is_string() && mode.text() == name.mode) return name.pooling;
    known += (known.empty() ? "" : ", ") + std::string(name.mode);
  }
  fail(Status::kUnsupported, "%s field \"pooling_mode\" has %s, which is not one of: %s",
       path.c_str(), printable(mode.dump()).c_str(), known.c_str());
}

// One mode or several, in their order.
std::vector<Pooling> read_pooling_mode(const json& field, const std::string& path) {
  if (!field.is_array()) return {pooling_of(field, path)};
  if (field.empty() || std::ssize(field) > file_limits::kHeadSteps) {
    fail(Status::kBadFile, "%s field \"pooling_mode\" has %zu modes, not 1 to %lld", path.c_str(),
         field.size(), ll{file_limits::kHeadSteps});
  }
  std::vector<Pooling> poolings;
  for (const json& mode : field) poolings.push_back(pooling_of(mode, path));
  return poolings;
}

// Reads which of the fields "pooling_mode_..." are true; if none is, it is the mean.
std::vector<Pooling> read_pooling_flags(const json& config, const std::string& path) {
  for (const auto& member : config.items()) {
    const std::string& key = member.first;
    const bool known = std::any_of(std::begin(kPoolingNames), std::end(kPoolingNames),
                                   [&](const PoolingName& name) { return key == name.flag; });
    if (known || !key.starts_with("pooling_mode_")) continue;
    if (!json_bool(config, key.c_str(), path, false)) continue;
    fail(Status::kUnsupported, "%s field \"%s\" is true, which is no pooling that is known",
         path.c_str(), printable(key).c_str());
  }
  std::vector<Pooling> poolings;
  for (const PoolingName& name : kPoolingNames) {
    if (json_bool(config, name.flag, path, false)) poolings.push_back(name.pooling);
  }
  if (poolings.empty()) poolings.push_back(Pooling::kMean);
  return poolings;
}

void add_pooling(const std::string& dir, SentenceHead* head) {
  const std::string path = dir + "/config.json";
  const json config = read_json_file(path);
  const std::vector<Pooling> poolings = json_has(config, "pooling_mode", path)
                                            ? read_pooling_mode(config["pooling_mode"], path)
                                            : read_pooling_flags(config, path);
  head->pooling = poolings.front();
  for (size_t i = 1; i < poolings.size(); ++i) head->beside.push_back({poolings[i]});
  head->leaves_out_prompt = !json_bool(config, "include_prompt", path, true);
}

// Newer releases can tell a module to take something else than the vector of a text.
void check_names(const json& config, const std::string& path) {
  for (const char* key : {"module_input_name", "module_output_name"}) {
    const std::string name = json_string(config, key, path, kVector);
    if (name == kVector) continue;
    fail(Status::kUnsupported, "%s field \"%s\" is \"%s\"; only \"%s\" is supported", path.c_str(),
         key, printable(name).c_str(), kVector);
  }
}

struct ActivationClass {
  const char* name;
  Activation activation;
};
constexpr ActivationClass kActivationClasses[] = {
    {"activation.Tanh", Activation::kTanh}, {"activation.ReLU", Activation::kRelu},
    {"activation.GELU", Activation::kGelu}, {"activation.SiLU", Activation::kSilu},
    {"linear.Identity", Activation::kNone},
};

// The class of PyTorch by its full name, or by one of those under which it may be had as well.
Activation read_activation(const json& config, const std::string& path) {
  constexpr const char* kKey = "activation_function";
  constexpr std::string_view kTorch = "torch.nn.", kModules = "modules.";
  const std::string full = json_string(config, kKey, path, "torch.nn.modules.activation.Tanh");
  std::string_view name = full;
  if (name.starts_with(kTorch)) {
    name.remove_prefix(kTorch.size());
    const bool in_modules = name.starts_with(kModules);
    if (in_modules) name.remove_prefix(kModules.size());
    for (const ActivationClass& known : kActivationClasses) {
      const std::string_view whole = known.name, last = whole.substr(whole.find('.') + 1);
      if ((in_modules && name == whole) || name == last) return known.activation;
    }
  }
  fail(
      Status::kUnsupported,
      "%s field \"%s\" is \"%s\"; only the classes Tanh, ReLU, GELU, SiLU and Identity of torch.nn "
      "are supported",
      path.c_str(), kKey, printable(full).c_str());
}

// A size that the module was made with.
int64_t read_columns(const json& config, const char* key, const std::string& path) {
  const int64_t n = json_int(config, key, path);
  if (n >= 1 && n <= file_limits::kDModel) return n;
  fail(Status::kBadFile, "%s field \"%s\" is %lld, not in 1 .. %lld", path.c_str(), key, ll{n},
       ll{file_limits::kDModel});
}

void add_dense(const std::string& dir, SentenceHead* head) {
  const std::string path = dir + "/config.json";
  const json config = read_json_file(path);
  check_names(config, path);
  if (json_bool(config, "use_residual", path, false)) {
    fail(Status::kUnsupported, "%s field \"use_residual\" is true; only false is supported",
         path.c_str());
  }
  head->weights.push_back({dir, head->steps.size(), read_columns(config, "in_features", path),
                           json_bool(config, "bias", path, true)});
  HeadStep step;
  step.kind = HeadStepKind::kDense;
  step.columns = read_columns(config, "out_features", path);
  step.activation = read_activation(config, path);
  head->steps.push_back(step);
}

void add_layer_norm(const std::string& dir, SentenceHead* head) {
  const std::string path = dir + "/config.json";
  const json config = read_json_file(path);
  head->weights.push_back({dir, head->steps.size(), read_columns(config, "dimension", path), true});
  HeadStep step;
  step.kind = HeadStepKind::kLayerNorm;
  step.eps = 1e-5f;  // PyTorch's, which the module leaves as it is
  head->steps.push_back(step);
}

void add_normalize(const std::string& dir, SentenceHead* head) {
  const std::string path = dir + "/config.json";
  const std::optional<json> config = read_json_file_if_present(path);
  if (config) check_names(*config, path);
  HeadStep step;
  step.kind = HeadStepKind::kNormalize;
  head->steps.push_back(step);
}

// Returns what PyTorch calls the layer inside a module.
const char* layer_of(const HeadStep& step) {
  return step.kind == HeadStepKind::kDense ? "linear" : "norm";
}

// Begins the names of a module's tensors in the checkpoint that has them all.
std::string prefix_of(const SentenceWeights& module) {
  return "head.steps." + std::to_string(module.step) + " ";
}

std::vector<std::string> names_of(const SentenceHead& head, const SentenceWeights& module) {
  const std::string layer = layer_of(head.steps[module.step]);
  std::vector<std::string> names = {layer + ".weight"};
  if (module.has_bias) names.push_back(layer + ".bias");
  return names;
}

}  // namespace

void add_sentence_module(const std::string& kind, const std::string& dir, SentenceHead* head) {
  if (kind == "Pooling") {
    add_pooling(dir, head);
  } else if (kind == "Dense") {
    add_dense(dir, head);
  } else if (kind == "LayerNorm") {
    add_layer_norm(dir, head);
  } else if (kind == "Normalize") {
    add_normalize(dir, head);
  } else if (kind != "Dropout") {  // which does nothing outside of training
    fail(Status::kInternal, "a module \"%s\" has no reader", kind.c_str());
  }
}

void check_sentence_columns(const SentenceHead& head, int64_t columns) {
  size_t next = 0;
  for (const SentenceWeights& module : head.weights) {
    for (; next < module.step; ++next) {
      if (head.steps[next].kind == HeadStepKind::kDense) columns = head.steps[next].columns;
    }
    if (module.columns == columns) continue;
    const bool dense = head.steps[module.step].kind == HeadStepKind::kDense;
    fail(Status::kBadFile,
         "%s/config.json field \"%s\" is %lld, but the vectors that the module is given have %lld "
         "columns",
         module.dir.c_str(), dense ? "in_features" : "dimension", ll{module.columns}, ll{columns});
  }
}

void open_sentence_weights(const SentenceHead& head, SafetensorsModel* checkpoint) {
  for (const SentenceWeights& module : head.weights) {
    const std::string path = module.dir + "/model.safetensors";
    if (!file_exists(path)) fail_without_weights(module.dir);
    const std::vector<std::string> known = names_of(head, module);
    for (const std::string& name : checkpoint->add_file(path, prefix_of(module))) {
      if (std::find(known.begin(), known.end(), name) != known.end()) continue;
      fail(Status::kBadFile,
           "%s has a tensor \"%s\", which a module of its config.json does not have", path.c_str(),
           printable(name).c_str());
    }
  }
}

std::vector<TensorRecipe> sentence_tensors(const SentenceHead& head, const Checkpoint& checkpoint) {
  Recipes recipes(checkpoint);
  for (const SentenceWeights& module : head.weights) {
    const HeadStep& step = head.steps[module.step];
    const bool dense = step.kind == HeadStepKind::kDense;
    const int64_t n = dense ? step.columns : module.columns;
    const std::string name = "head.steps." + std::to_string(module.step);
    const std::string layer = prefix_of(module) + layer_of(step);
    recipes.add(layer + ".weight", name + ".weight",
                dense ? std::vector<int64_t>{n, module.columns} : std::vector<int64_t>{n});
    if (module.has_bias) recipes.add(layer + ".bias", name + ".bias", {n});
  }
  return recipes.take();
}

}  // namespace headlane
