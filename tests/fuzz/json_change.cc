#include "tests/fuzz/json_change.h"

#include <algorithm>
#include <iterator>
#include <limits>

namespace headlane::fuzz {

using nlohmann::json;

void collect(json* value, std::vector<json*>* nodes) {
  nodes->push_back(value);
  for (json& child : *value) {
    if (value->is_structured()) collect(&child, nodes);
  }
}

json* any_node(json* root, Random* random) {
  std::vector<json*> nodes;
  collect(root, &nodes);
  return nodes[random->below(nodes.size())];
}

int64_t other_integer(int64_t value, Random* random) {
  constexpr int64_t kOthers[] = {0,
                                 1,
                                 -1,
                                 2,
                                 3,
                                 4,
                                 7,
                                 8,
                                 16,
                                 17,
                                 63,
                                 64,
                                 255,
                                 256,
                                 257,
                                 512,
                                 513,
                                 1024,
                                 4096,
                                 65535,
                                 65536,
                                 1 << 20,
                                 2147483647,
                                 2147483648,
                                 std::numeric_limits<int64_t>::max(),
                                 std::numeric_limits<int64_t>::min()};
  switch (random->below(5)) {
    case 0:
      return static_cast<int64_t>(static_cast<uint64_t>(value) + 1);
    case 1:
      return static_cast<int64_t>(static_cast<uint64_t>(value) - 1);
    case 2:
      return static_cast<int64_t>(static_cast<uint64_t>(value) * 2);
    case 3:
      return value / 2;
    default:
      return kOthers[random->below(std::size(kOthers))];
  }
}

namespace {

json other_number(double value, Random* random) {
  const double others[] = {0,    -0.0,   1,     -1,        0.5,    1e-45,     1e-30,
                           1e30, 3.5e38, 1e300, value * 2, -value, value / 2, 1e18};
  return others[random->below(std::size(others))];
}

}  // namespace

std::string mutated(std::string bytes, size_t most) {
  most = std::max(most, bytes.size());
  const size_t before = bytes.size();
  bytes.resize(most);
  bytes.resize(LLVMFuzzerMutate(reinterpret_cast<uint8_t*>(bytes.data()), before, most));
  return bytes;
}

// Values that fields of a config or tokenizer may have, so that one may become another.
std::string other_string(const std::string& value, Random* random) {
  constexpr const char* kOthers[] = {"bert",
                                     "layers",
                                     "encoder_decoder",
                                     "gelu",
                                     "gelu_tanh",
                                     "relu",
                                     "silu",
                                     "none",
                                     "post",
                                     "pre",
                                     "layer",
                                     "rms",
                                     "mean",
                                     "cls",
                                     "max",
                                     "learned",
                                     "sinusoidal",
                                     "sinusoidal_halves",
                                     "sinusoidal_inclusive",
                                     "scaled_dot",
                                     "dot",
                                     "additive",
                                     "bilinear",
                                     "upper_left",
                                     "lower_right",
                                     "halves",
                                     "interleaved",
                                     "linear",
                                     "ntk",
                                     "dynamic",
                                     "yarn",
                                     "llama3",
                                     "bf16",
                                     "f32",
                                     "s8",
                                     "u8",
                                     "int8",
                                     "wordpiece",
                                     "sentencepiece",
                                     "source",
                                     "target_in_text",
                                     "heuristic",
                                     "first",
                                     "never",
                                     "",
                                     "[UNK]",
                                     "##",
                                     "en",
                                     "encoder.layers.0.attention.qkv"};
  if (random->one_in(4)) return mutated(value, value.size() + 8);
  return kOthers[random->below(std::size(kOthers))];
}

namespace {

json of_another_type(Random* random) {
  const json others[] = {nullptr,
                         true,
                         0,
                         -1,
                         1.5,
                         "",
                         "a",
                         json::array(),
                         json::object(),
                         json::array({1, 2}),
                         json::array({nullptr})};
  return others[random->below(std::size(others))];
}

}  // namespace

void change_value(json* node, Random* random) {
  const bool keeps_type = !random->one_in(10) && !node->is_null();
  if (!keeps_type || (node->is_object() && node->empty())) {
    *node = of_another_type(random);
  } else if (node->is_number_integer()) {
    *node = other_integer(node->get<int64_t>(), random);
  } else if (node->is_number_float()) {
    *node = other_number(node->get<double>(), random);
  } else if (node->is_boolean()) {
    *node = !node->get<bool>();
  } else if (node->is_string()) {
    *node = other_string(node->get<std::string>(), random);
  } else if (node->is_array()) {
    if (node->empty() || random->one_in(2)) {
      node->push_back(node->empty() ? json(1) : json((*node)[random->below(node->size())]));
    } else {
      node->erase(node->begin() + static_cast<int64_t>(random->below(node->size())));
    }
  } else {
    auto field = node->begin();
    std::advance(field, random->below(node->size()));
    node->erase(field);
  }
}

// One field's value to another's place.
void copy_value(json* root, Random* random) {
  const json value = *any_node(root, random);
  if (dump(value).size() > 2000) return;
  *any_node(root, random) = value;
}

std::optional<json> parse_shallow(std::string_view text) {
  bool deep = false;
  json value = json::parse(
      text.begin(), text.end(),
      [&](int depth, json::parse_event_t, json&) {
        deep = deep || depth > 40;
        return !deep;
      },
      false);
  if (deep || value.is_discarded()) return std::nullopt;
  return value;
}

std::string dump(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

std::string changed_json(const std::string& text, size_t most, Random* random) {
  std::optional<json> value = parse_shallow(text);
  if (!value || random->one_in(20)) return mutated(text, most);
  for (uint64_t n = 1 + random->below(3); n > 0; --n) {
    random->one_in(5) ? copy_value(&*value, random)
                      : change_value(any_node(&*value, random), random);
  }
  return dump(*value);
}

}  // namespace headlane::fuzz
