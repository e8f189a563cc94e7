#include "engine/model/model.h"

#include <algorithm>

#include "engine/base/cpus.h"
#include "engine/base/error.h"
#include "engine/file/tensor_shape.h"
#include "engine/model/model_check.h"
#include "engine/spec/isa.h"

namespace headlane {

namespace {

kernels::Table choose_kernels(const std::string& isa, const std::string& gemm) {
  kernels::Table table = kernels_for(isa);
  if (gemm == "onednn") {
    if (!with_onednn(&table)) fail(Status::kUnsupported, "this library was built without oneDNN");
  } else if (gemm != "headlane") {
    fail(Status::kInvalidArgument, "option gemm is \"%s\"; it must be \"headlane\" or \"onednn\"",
         gemm.c_str());
  }
  return table;
}

}  // namespace

std::unique_ptr<Model> Model::open(const std::string& path, const ModelOptions& options) {
  // Before the file: an option's mistake costs no reading.
  choose_precision(options.precision, choose_kernels(options.isa, options.gemm), Precision::kF32);
  Container container = Container::open(path, options.file);
  ModelConfig config = read_config(container);
  return make(std::move(container), std::move(config), options);
}

std::unique_ptr<Model> Model::make(Container opened, ModelConfig config,
                                   const ModelOptions& options) {
  std::unique_ptr<Model> model(new Model(std::move(opened), options));
  const Container& container = model->container_;
  model->kernels_ = choose_kernels(options.isa, options.gemm);
  model->config_ = std::move(config);
  model->file_precision_ = precision_of(container);
  model->precision_ = choose_precision(options.precision, model->kernels_, model->file_precision_);
  model->log_kernels(options.isa);
  model->tokenizer_ = read_tokenizer(container, model->config_);
  model->program(model->precision_);
  return model;
}

Model::Model(Container container, const ModelOptions& options)
    : container_(std::move(container)),
      n_threads_(options.n_threads ? options.n_threads : available_cpus()),
      pool_(options.pool),
      log_(options.log),
      sizes_only_(options.sizes_only) {}

void Model::require_weights() const {
  if (!sizes_only_) return;
  fail(Status::kUnsupported,
       "%s: the model was opened for its sizes only, without its weights, and cannot run",
       container_.path().c_str());
}

void Model::log_kernels(const std::string& isa) const {
  log_.info("%s: %zu tensors, %lld bytes, weights in %s", container_.path().c_str(),
            container_.tensors().size(), static_cast<long long>(container_.file_bytes()),
            name_of(file_precision_));
  log_.info("kernels are %s, matrix products by %s in %s", kernels_.isa, kernels_.gemm,
            name_of(precision_));
  if (!isa.empty() && isa != kernels_.isa) {
    log_.warn("option isa is \"%s\", which this machine or HEADLANE_MAX_ISA lacks: kernels are %s",
              isa.c_str(), kernels_.isa);
  }
  if (!kernels_.product(precision_).native) {
    log_.warn("kernels %s have no instructions for products in %s, which are widened: slower",
              kernels_.isa, name_of(precision_));
  }
  if (kernels::amx_state() == kernels::AmxState::kRefused) {
    log_.warn("the system refuses this process the CPU's AMX tiles: kernels are without them");
  }
}

void Model::log_packed(const PackedWeights& packed, Precision precision) const {
  const int64_t n = std::ssize(packed.weights()), n_packed = n - packed.n_stored();
  if (n_packed > 0) {
    log_.info("packed %zu bytes of weights for products in %s, with %lld threads", packed.bytes(),
              name_of(precision), static_cast<long long>(n_threads_));
  }
  if (container_.panels().empty()) return;
  log_.info("the file has %lld of %lld products' weights as kernels %s read them in %s: %s",
            static_cast<long long>(packed.n_stored()), static_cast<long long>(n), kernels_.isa,
            name_of(precision), container_.mapped() != nullptr ? "mapped" : "read");
  if (n_packed == 0) return;
  log_.warn(
      "the file is packed for other kernels or another precision than %s in %s: %lld products"
      " were packed anew",
      kernels_.isa, name_of(precision), static_cast<long long>(n_packed));
}

const Program& Model::program(Precision precision) const {
  const std::lock_guard lock(making_);
  std::unique_ptr<Program>& made = programs_[static_cast<int>(precision)];
  if (made) return *made;
  if (kernels_.product(precision).name == nullptr) {
    fail(Status::kUnsupported, "there are no products by %s in %s", kernels_.gemm,
         name_of(precision));
  }
  auto program = std::make_unique<Program>();
  const GraphSource source{config_, container_, kernels_, precision, &program->packed};
  for (const Part part : kAllParts) {
    if (has_part(config_, part))
      program->graphs[static_cast<int>(part)] = build_graph(source, part);
  }
  if (sizes_only_) {
    program->packed.measure(kernels_, &container_);
    made = std::move(program);
    return *made;
  }
  Team team(static_cast<int>(n_threads_), pool_);
  program->packed.pack(kernels_, &container_, &team);
  log_packed(program->packed, precision);
  made = std::move(program);
  return *made;
}

// Scales of rows of s8 are no parameters; the tokenizer's bytes neither.
int64_t Model::n_parameters() const {
  int64_t n = 0;
  for (const TensorInfo& tensor : container_.tensors()) {
    const bool counts = tensor.dtype != Format::kU8 && !tensor.name.ends_with(".scale");
    if (counts) n += *shape_bytes(tensor.shape, 1);
  }
  return n;
}

Model::PackedFacts Model::packed_facts() const {
  const std::lock_guard lock(making_);
  PackedFacts facts;
  for (const auto& program : programs_) {
    if (!program) continue;
    facts.bytes += static_cast<int64_t>(program->packed.bytes());
    facts.mapped_bytes += program->packed.mapped_bytes();
    facts.n_products += std::ssize(program->packed.weights());
    facts.n_stored += program->packed.n_stored();
  }
  return facts;
}

}  // namespace headlane
