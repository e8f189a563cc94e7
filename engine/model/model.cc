#include "engine/model/model.h"

#include "engine/error.h"
#include "engine/isa.h"
#include "engine/run/team.h"

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
  const kernels::Table kernels = choose_kernels(isa, gemm);
  std::unique_ptr<Model> model(new Model(Container::open(path)));
  const Container& container = model->container_;
  model->kernels_ = kernels;
  model->config_ = ModelConfig::from_json(container.config(), path);
  model->graph_ = build_graph(model->config_, container);
  if (!container.tokenizer().is_null()) {
    const TensorInfo* vocab = container.find("tokenizer.vocab");
    if (vocab == nullptr || vocab->dtype != DType::kU8) {
      fail(Status::kBadFile, "%s: there is a tokenizer, but no u8 tensor \"tokenizer.vocab\"",
           path.c_str());
    }
    model->tokenizer_ = make_tokenizer(container.tokenizer(), container.data(*vocab), path);
    if (model->tokenizer_->vocab_size() > model->config_.vocab_size) {
      fail(Status::kBadFile, "%s: the tokenizer has %lld tokens, the model embeddings for %lld",
           path.c_str(), static_cast<long long>(model->tokenizer_->vocab_size()),
           static_cast<long long>(model->config_.vocab_size));
    }
  }
  model->pack_weights();
  return model;
}

void Model::pack_weights() {
  constexpr int64_t kAlign = kernels::kRowAlign;
  Team::with_one_thread([&] {
    for (const auto& op : graph_.ops) op->prepare(kernels_);
  });
  std::vector<int64_t> offsets;
  int64_t floats = 0;
  for (const auto& op : graph_.ops) {
    offsets.push_back(floats);
    floats += (op->packed_floats(kernels_) + kAlign - 1) / kAlign * kAlign;
  }
  packed_ = Buffer(static_cast<size_t>(floats) * sizeof(float));
  float* base = static_cast<float*>(packed_.data());
  // Where the kernels' provider has threads of its own, it packs on them; ours are then one.
  Team team(kernels_.gemm_f32.create ? 1 : available_cpus());
  team.run([&](int thread, int count) {
    for (size_t i = 0; i < graph_.ops.size(); ++i) {
      graph_.ops[i]->pack(kernels_, base + offsets[i], {thread, count});
    }
  });
  for (const TensorInfo& tensor : container_.tensors()) {
    // The norms' and biases' own pages stay: they are small, and norms are read where they lie.
    if (tensor.shape.size() == 2 && tensor.name.starts_with("layers."))
      container_.release_pages(tensor);
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
