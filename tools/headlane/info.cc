#include <charconv>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tools/headlane/commands.h"
#include "tools/headlane/languages.h"

namespace tool {
namespace {

using nlohmann::ordered_json;

ordered_json tensors_of(const headlane_model* model, int64_t n_tensors) {
  ordered_json tensors = ordered_json::array();
  for (int64_t i = 0; i < n_tensors; ++i) {
    headlane_tensor_facts tensor{};
    tensor.struct_size = sizeof tensor;
    check(headlane_model_get_tensor(model, i, &tensor));
    tensors.push_back({{"name", tensor.name},
                       {"dtype", tensor.dtype},
                       {"shape", std::vector<int64_t>(tensor.shape, tensor.shape + tensor.rank)},
                       {"bytes", tensor.bytes}});
  }
  return tensors;
}

ordered_json kernels_of(const headlane_model* model) {
  ordered_json kernels;
  std::istringstream lines(headlane_model_kernels(model));
  for (std::string line; std::getline(lines, line);) {
    const size_t colon = line.find(": ");
    kernels[line.substr(0, colon)] = line.substr(colon + 2);
  }
  return kernels;
}

// The double with the shortest decimal that reads back as the same float: 1e-12, where the float
// itself, widened, is 9.999999960041972e-13.
double as_written(float value) {
  char digits[32];
  const char* end = std::to_chars(digits, digits + sizeof digits, value).ptr;
  double widened = 0;
  std::from_chars(digits, end, widened);
  return widened;
}

// What a model has depends on what it takes: token ids, or activations.
ordered_json describe(const std::string& path, const headlane_model* model) {
  const headlane_model_facts f = facts_of(model);
  ordered_json facts = {{"file", path},
                        {"architecture", f.architecture},
                        {"n_layers", f.n_layers},
                        {"d_model", f.d_model},
                        {"n_heads", f.n_heads},
                        {"head_dim", f.head_dim},
                        {"d_ff", f.d_ff},
                        {"activation", f.activation},
                        {"norm_eps", as_written(f.norm_eps)}};
  if (f.vocab_size > 0) {
    facts.update({{"vocab_size", f.vocab_size},
                  {"n_types", f.n_types},
                  {"max_positions", f.max_positions},
                  {"max_seq_len", f.max_seq_len},
                  {"pooling", f.pooling},
                  {"normalize", f.normalize != 0},
                  {"tokenizer", f.has_tokenizer != 0}});
  } else {
    facts.update({{"n_kv_heads", f.n_kv_heads},
                  {"kdim", f.kdim},
                  {"vdim", f.vdim},
                  {"norm", f.norm},
                  {"residual", f.residual != 0},
                  {"final_norm", f.final_norm != 0},
                  {"batch_first", f.batch_first != 0},
                  {"max_positions", f.max_positions}});
    if (f.n_decoder_layers > 0) {
      facts.update({{"n_decoder_layers", f.n_decoder_layers},
                    {"n_decoder_heads", f.n_decoder_heads},
                    {"decoder_d_ff", f.decoder_d_ff}});
    }
  }
  if (f.has_decoder != 0) {
    facts.update({{"n_decoder_layers", f.n_decoder_layers},
                  {"n_decoder_heads", f.n_decoder_heads},
                  {"decoder_d_ff", f.decoder_d_ff},
                  {"decoder_vocab_size", f.decoder_vocab_size},
                  {"max_target_len", f.max_target_len},
                  {"max_new_tokens", f.max_new_tokens},
                  {"n_beams", f.n_beams}});
  }
  if (f.n_languages > 0) facts["languages"] = language_names(model);
  facts.update({{"n_parameters", f.n_parameters},
                {"file_bytes", f.file_bytes},
                {"packed_bytes", f.packed_bytes},
                {"file_precision", f.file_precision},
                {"precision", f.precision},
                {"auto_precision", f.auto_precision},
                {"isa", f.isa},
                {"kernels", kernels_of(model)},
                {"tensors", tensors_of(model, f.n_tensors)}});
  return facts;
}

std::string shape_text(const ordered_json& shape) {
  std::string text;
  for (const auto& n : shape) {
    if (!text.empty()) text += ", ";
    text += n.dump();
  }
  return text;
}

// The names of a few languages, the number of many.
std::string languages_text(const ordered_json& names) {
  constexpr size_t kMostNames = 20;
  if (names.size() > kMostNames) return std::to_string(names.size());
  std::string text;
  for (const auto& name : names) {
    if (!text.empty()) text += ' ';
    text += name.get<std::string>();
  }
  return text;
}

}  // namespace

void info(const InfoOptions& options) {
  const Model model = open_model(options.run);
  const ordered_json facts = describe(options.run.model_path, model.get());
  if (options.as_json) {
    std::printf("%s\n", facts.dump(2).c_str());
    return;
  }
  for (const auto& [key, value] : facts.items()) {
    const bool languages = key == "languages";
    if (!languages && (value.is_array() || value.is_object())) continue;
    const std::string text = languages           ? languages_text(value)
                             : value.is_string() ? value.get<std::string>()
                                                 : value.dump();
    std::printf("%-18s %s\n", key.c_str(), text.c_str());
  }
  std::printf("\nkernels on this machine\n");
  for (const auto& [slot, name] : facts["kernels"].items()) {
    std::printf("  %-20s %s\n", slot.c_str(), name.get<std::string>().c_str());
  }
  std::printf("\n%zu tensors\n", facts["tensors"].size());
  for (const auto& tensor : facts["tensors"]) {
    std::printf("  %-36s %-4s [%s]  %lld bytes\n", tensor["name"].get<std::string>().c_str(),
                tensor["dtype"].get<std::string>().c_str(), shape_text(tensor["shape"]).c_str(),
                static_cast<long long>(tensor["bytes"].get<int64_t>()));
  }
}

}  // namespace tool
