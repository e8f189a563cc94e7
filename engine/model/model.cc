#include "engine/model/model.h"

#include "engine/error.h"
#include "engine/isa.h"

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

std::unique_ptr<Model> Model::open(const std::string& path, const std::string& isa,
                                   const std::string& gemm) {
  choose_kernels(isa, gemm);  // before the file: an option's mistake costs no reading
  return make(Container::open(path), isa, gemm);
}

std::unique_ptr<Model> Model::make(Container opened, const std::string& isa,
                                   const std::string& gemm) {
  std::unique_ptr<Model> model(new Model(std::move(opened)));
  const Container& container = model->container_;
  model->kernels_ = choose_kernels(isa, gemm);
  model->config_ = ModelConfig::from_json(container.config(), container.path());
  const GraphSource source{model->config_, container, model->packed_.get()};
  if (model->config_.can_attend_to_itself()) model->graph_ = build_graph(source, false);
  if (model->config_.can_attend_to_memory()) model->memory_graph_ = build_graph(source, true);
  model->make_tokenizer();
  model->packed_->pack(model->kernels_);
  model->release_packed_pages();
  return model;
}

void Model::make_tokenizer() {
  if (container_.tokenizer().is_null()) return;
  const std::string& path = container_.path();
  const TensorInfo* vocab = container_.find("tokenizer.vocab");
  if (vocab == nullptr || vocab->dtype != DType::kU8) {
    fail(Status::kBadFile, "%s: there is a tokenizer, but no u8 tensor \"tokenizer.vocab\"",
         path.c_str());
  }
  tokenizer_ = headlane::make_tokenizer(container_.tokenizer(), container_.data(*vocab), path);
  if (tokenizer_->vocab_size() > config_.vocab_size) {
    fail(Status::kBadFile, "%s: the tokenizer has %lld tokens, the model embeddings for %lld",
         path.c_str(), static_cast<long long>(tokenizer_->vocab_size()),
         static_cast<long long>(config_.vocab_size));
  }
}

void Model::release_packed_pages() const {
  for (const TensorInfo& tensor : container_.tensors()) {
    // The norms' and biases' own pages stay: they are small, and norms are read where they lie.
    if (tensor.shape.size() == 2 && tensor.name.starts_with("layers.")) {
      container_.release_pages(tensor);
    }
  }
}

int64_t Model::n_parameters() const {
  int64_t n = 0;
  for (const TensorInfo& tensor : container_.tensors()) {
    if (tensor.dtype == DType::kF32) n += tensor.bytes / size_of(DType::kF32);
  }
  return n;
}

}  // namespace headlane
