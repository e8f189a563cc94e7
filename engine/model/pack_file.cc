#include "engine/model/pack_file.h"

#include <algorithm>
#include <memory>
#include <set>
#include <utility>

#include "engine/base/error.h"
#include "engine/file/container.h"
#include "engine/file/container_write.h"
#include "engine/file/file_checksum.h"
#include "engine/graph/graph.h"
#include "engine/model/model_check.h"
#include "engine/spec/isa.h"

namespace headlane {
namespace {

const kernels::Table& exactly(const std::string& isa) {
  const kernels::Table& table = kernels_for(isa);
  if (isa.empty() || isa == table.isa) return table;
  fail(Status::kUnsupported,
       "this machine or HEADLANE_MAX_ISA lacks %s, which panels are to be packed for; it has %s",
       isa.c_str(), table.isa);
}

// The weights of a model as some kernels read them: all of them, and which are to be written.
struct ForKernels {
  const kernels::Table& kernels;
  PackedWeights weights;
  std::vector<const PackedWeight*> chosen;
};

using Packings = std::vector<std::unique_ptr<ForKernels>>;

// Kernels may share layouts, which are written once.
Packings list_packings(const Container& container, const ModelConfig& config,
                       const PackOptions& options) {
  std::vector<std::string> isas = options.isas;
  if (isas.empty()) isas.emplace_back();
  Packings packings;
  std::set<std::pair<std::string, std::string>> known;
  for (const std::string& isa : isas) {
    packings.push_back(std::make_unique<ForKernels>(ForKernels{exactly(isa), {}, {}}));
    ForKernels& one = *packings.back();
    const Precision precision =
        choose_precision(options.precision, one.kernels, precision_of(container));
    const GraphSource source{config, container, one.kernels, precision, &one.weights};
    for (const Part part : kAllParts) {
      if (has_part(config, part)) build_graph(source, part);
    }
    for (const PackedWeight& weight : one.weights.weights()) {
      const bool is_new = known.emplace(weight.name, layout_of(one.kernels, weight)).second;
      if (is_new) one.chosen.push_back(&weight);
    }
    options.log.info("packing for kernels %s in %s: %zu of %zu products", one.kernels.isa,
                     name_of(precision), one.chosen.size(), one.weights.weights().size());
  }
  return packings;
}

void write_panels(const kernels::Table& kernels, const PackedWeight& weight,
                  ContainerWriter* writer) {
  const kernels::Product& product = kernels.product(weight.precision);
  const int64_t bytes = product.panel_bytes(std::min(product.nr, weight.n), weight.k);
  Buffer panel(static_cast<size_t>(bytes));
  RowBuffer buffer;
  for (int64_t p = 0; p < product.n_panels(weight.n); ++p) {
    pack_panels(kernels, weight, {p, p + 1}, static_cast<char*>(panel.data()), &buffer);
    writer->write({static_cast<const std::byte*>(panel.data()), static_cast<size_t>(bytes)});
  }
}

}  // namespace

void pack_file(const std::string& path, const std::string& out_path, const PackOptions& options) {
  const Container container = Container::open(path);
  check_model(container);
  const ModelConfig config = read_config(container);
  const Packings packings = list_packings(container, config, options);

  std::vector<TensorSource> tensors;
  for (const TensorInfo& tensor : container.tensors()) {
    tensors.push_back({tensor.name, tensor.dtype, tensor.shape, {}});
  }
  std::vector<PanelsSource> panels;
  for (const auto& one : packings) {
    for (const PackedWeight* weight : one->chosen) {
      panels.push_back(
          {weight->name, layout_of(one->kernels, *weight), packed_bytes(one->kernels, *weight)});
    }
  }
  ContainerWriter writer(out_path, container.config(), container.tokenizer(), tensors, panels);
  for (const TensorInfo& tensor : container.tensors()) {
    read_parts(*container.file(), tensor.offset, tensor.end(),
               [&](std::span<const std::byte> part) { writer.write(part); });
  }
  for (const auto& one : packings) {
    for (const PackedWeight* weight : one->chosen) write_panels(one->kernels, *weight, &writer);
  }
  writer.commit();
}

}  // namespace headlane
