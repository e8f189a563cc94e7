// The C API's models: opening them, and what they are.
#include "engine/model/model.h"

#include <iterator>
#include <memory>
#include <string>
#include <utility>

#include "engine/api/c_api.h"
#include "engine/api/model_facts.h"
#include "engine/api/options.h"
#include "engine/spec/isa.h"
#include "kernels/slots.h"

using headlane::fail;
using headlane::Status;
using namespace headlane::c_api;  // NOLINT(google-build-using-namespace): what this file is of

namespace {

// The instruction set that brought what a table has in a slot.
std::string origin_of(const headlane::kernels::Table& table, const headlane::kernels::Slot& slot) {
  if (slot.address(table) == 0) return "none (f32 instead)";
  for (const headlane::kernels::Table* other : headlane::kernels::supported()) {
    if (slot.address(*other) == slot.address(table)) return other->isa;
  }
  return table.isa;
}

std::string describe_kernels(const headlane::kernels::Table& table) {
  std::string text;
  for (const headlane::kernels::ProductKind& kind : headlane::kernels::kProductKinds) {
    const headlane::kernels::Product& product = table.product(kind.precision);
    text += std::string("gemm_") + kind.name + ": " + (product.name ? product.name : "none");
    if (product.nr > 0 && product.nr != headlane::kernels::Product::kAllColumns) {
      text += " " + std::to_string(product.mr) + "x" + std::to_string(product.nr);
    }
    text += product.native || product.name == nullptr ? "\n" : " (widened)\n";
  }
  const auto amx = headlane::kernels::amx_state();
  text += "amx: ";
  text += amx == headlane::kernels::AmxState::kUsable    ? "usable\n"
          : amx == headlane::kernels::AmxState::kRefused ? "refused to this process by the system\n"
                                                         : "not of this CPU\n";
  for (const headlane::kernels::Slot& slot : headlane::kernels::kSlots) {
    if (!slot.is_size()) text += std::string(slot.name) + ": " + origin_of(table, slot) + "\n";
  }
  return text;
}

}  // namespace

headlane::ModelOptions headlane::c_api::model_options(const headlane_model_options& options) {
  const auto text = [](const char* given, const char* otherwise) {
    return given ? given : otherwise;
  };
  const Threads threads = read_threads(options.n_threads, options.pool);
  return {text(options.isa, ""),
          text(options.gemm, "headlane"),
          text(options.precision, ""),
          threads.count,
          threads.pool,
          read_log(options.log, options.log_user),
          options.sizes_only != 0,
          {options.map != 0, options.verify != 0}};
}

headlane_model* headlane::c_api::new_model(std::unique_ptr<headlane::Model> made) {
  std::string kernels = describe_kernels(made->kernels());
  return new headlane_model{std::move(made), std::move(kernels)};
}

headlane_status headlane_model_open(const char* path, const headlane_model_options* options,
                                    headlane_model** out) {
  return guarded([&] {
    require(path, "path");
    require(out, "out");
    const headlane_model_options read = read_struct(options, "headlane_model_options");
    *out = new_model(headlane::Model::open(path, model_options(read)));
  });
}

void headlane_model_destroy(headlane_model* model) { delete model; }

headlane_status headlane_model_get_facts(const headlane_model* model, headlane_model_facts* out) {
  return guarded([&] {
    require(model, "model");
    write_struct(facts_of(*model->model), out, "headlane_model_facts");
  });
}

headlane_status headlane_model_get_json(const headlane_model* model, char* json, int64_t capacity,
                                        int64_t* n_bytes) {
  return guarded([&] {
    require(model, "model");
    require(n_bytes, "n_bytes");
    check_room(json, "json", capacity);
    const std::string text = json_of(*model).dump();
    write_results<char>(text, "bytes", json, capacity, n_bytes);
  });
}

headlane_status headlane_model_get_tensor(const headlane_model* model, int64_t i,
                                          headlane_tensor_facts* out) {
  return guarded([&] {
    require(model, "model");
    const auto& tensors = model->model->container().tensors();
    if (i < 0 || i >= static_cast<int64_t>(tensors.size())) {
      fail(Status::kInvalidArgument, "tensor index i is %lld; the file has %zu tensors",
           static_cast<long long>(i), tensors.size());
    }
    const headlane::TensorInfo& tensor = tensors[static_cast<size_t>(i)];
    headlane_tensor_facts facts{};
    facts.name = tensor.name.c_str();
    facts.dtype = name_of(tensor.dtype);
    facts.rank = static_cast<int64_t>(tensor.shape.size());
    facts.shape = tensor.shape.data();
    facts.bytes = tensor.bytes;
    write_struct(facts, out, "headlane_tensor_facts");
  });
}

headlane_status headlane_model_get_prompt(const headlane_model* model, int64_t i,
                                          headlane_prompt_facts* out) {
  return guarded([&] {
    require(model, "model");
    const headlane::Prompts& prompts = model->model->config().prompts;
    if (i < 0 || i >= std::ssize(prompts.texts)) {
      fail(Status::kInvalidArgument, "prompt index i is %lld; the model has %zu prompts",
           static_cast<long long>(i), prompts.texts.size());
    }
    const auto& [name, text] = *std::next(prompts.texts.begin(), i);
    headlane_prompt_facts facts{};
    facts.name = name.c_str();
    facts.text = text.c_str();
    facts.is_default = name == prompts.default_name ? 1 : 0;
    write_struct(facts, out, "headlane_prompt_facts");
  });
}

headlane_status headlane_model_find_prompt(const headlane_model* model, const char* name,
                                           const char** text) {
  return guarded([&] {
    require(model, "model");
    require(name, "name");
    require(text, "text");
    *text = model->model->config().prompts.require(name).c_str();
  });
}

headlane_status headlane_isa(const char* isa, const char** out) {
  return guarded([&] {
    require(out, "out");
    *out = headlane::kernels_for(isa ? isa : "").isa;
  });
}

const char* headlane_isa_names(void) {
  static const std::string kNames = headlane::kernels::isa_names();
  return kNames.c_str();
}

const char* headlane_model_kernels(const headlane_model* model) {
  return model ? model->kernels.c_str() : nullptr;
}
