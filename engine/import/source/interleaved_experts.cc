#include "engine/import/source/interleaved_experts.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "engine/file/tensor_shape.h"
#include "engine/import/source/gguf_types.h"

namespace headlane {
namespace {

constexpr std::string_view kExperts = ".experts.", kGateUp = "gate_up_proj", kDown = "down_proj";
constexpr std::string_view kBlocks = "_blocks", kScales = "_scales", kBias = "_bias";
// A block has 32 codes of 4 bits; the folder has those of two neighbours in a byte.
constexpr int64_t kBlock = 32, kCodeBytes = 16;

const GgufType& block_type() {
  constexpr uint32_t kMxfp4 = 39;
  return *find_gguf_type(kMxfp4);
}

// A block of the folder as GGUF has it: its scale, and the codes of columns i and i + 16 in byte i.
void to_gguf_block(std::byte scale, const std::byte* codes, std::byte* to) {
  const auto code = [&](int64_t column) {
    const auto both = std::to_integer<unsigned>(codes[column / 2]);
    return column % 2 == 0 ? both & 15U : both >> 4;
  };
  to[0] = scale;
  for (int64_t i = 0; i < kCodeBytes; ++i) {
    to[1 + i] = static_cast<std::byte>(code(i) | code(i + kCodeBytes) << 4);
  }
}

// Calls f(expert, row, n, done) for the rows [row, row + n) of each expert, of which each has
// `rows`; `done` rows came before.
template <typename F>
void for_each_expert(int64_t row, int64_t n, int64_t rows, F f) {
  for (int64_t done = 0; done < n;) {
    const int64_t of_expert = (row + done) % rows, own = std::min(n - done, rows - of_expert);
    f((row + done) / rows, of_expert, own, done);
    done += own;
  }
}

}  // namespace

InterleavedExperts::InterleavedExperts(const SafetensorsModel& tensors, bool coded)
    : tensors_(tensors) {
  for (const std::string& name : tensors.names()) {
    const size_t at = name.rfind(kExperts);
    if (at == std::string::npos) continue;
    const std::string experts = name.substr(0, at + kExperts.size());
    const std::string_view rest = std::string_view(name).substr(experts.size());
    for (const std::string_view product : {kGateUp, kDown}) {
      if (!rest.starts_with(product)) continue;
      const std::string_view ending = rest.substr(product.size());
      if (ending == kBias) add(experts, std::string(product), Kind::kBias);
      if (ending.empty() && coded) {
        refuse(name, "is not in MXFP4, though config.json says that experts are");
      }
      if (ending.empty()) add(experts, std::string(product), Kind::kTransposed);
      if (ending == kBlocks && !coded) {
        refuse(name, "is in MXFP4, which config.json does not say");
      }
      if (ending == kBlocks) add(experts, std::string(product), Kind::kCoded);
    }
  }
}

std::vector<int64_t> InterleavedExperts::shape_in_folder(const std::string& source,
                                                         size_t n_sizes) const {
  const std::vector<int64_t>& shape = tensors_.shape_of(source);
  const bool is_empty = std::ranges::any_of(shape, [](int64_t size) { return size < 1; });
  if (shape.size() != n_sizes || is_empty) {
    tensors_.refuse(source, "is " + shape_text(shape) + ", which experts cannot be");
  }
  return shape;
}

void InterleavedExperts::add(const std::string& experts, const std::string& product, Kind kind) {
  Part part = {.kind = kind, .source = experts + product, .scales = {}, .shape = {}};
  if (kind == Kind::kBias) {
    part.source += kBias;
    part.shape = shape_in_folder(part.source, 2);
  } else if (kind == Kind::kTransposed) {
    part.shape = shape_in_folder(part.source, 3);
    std::swap(part.shape[1], part.shape[2]);
  } else {
    part.scales = part.source + std::string(kScales);
    part.source += kBlocks;
    const std::vector<int64_t> blocks = shape_in_folder(part.source, 4);
    if (blocks[3] != kCodeBytes) {
      tensors_.refuse(part.source, "is " + shape_text(blocks) + ", not blocks of 16 bytes");
    }
    part.shape = {blocks[0], blocks[1], blocks[2] * kBlock};
    if (!tensors_.contains(part.scales)) tensors_.require(part.scales, {});  // it says so
    for (const std::string& name : {part.source, part.scales}) {
      if (tensors_.entry_of(name).type_name == "U8") continue;
      tensors_.refuse(name, "has the type " + tensors_.entry_of(name).type_name + ", not U8");
    }
    if (tensors_.shape_of(part.scales) != std::vector{blocks[0], blocks[1], blocks[2]}) {
      tensors_.refuse(part.scales, "is " + shape_text(tensors_.shape_of(part.scales)) +
                                       ", which does not go with blocks of " + shape_text(blocks));
    }
    sources_.insert(part.scales);
  }
  sources_.insert(part.source);
  const std::string ending = kind == Kind::kBias ? ".bias" : ".weight";
  if (product == kDown) {
    parts_.emplace(experts + product + ending, std::move(part));
    return;
  }
  if (part.shape[1] % 2 != 0) tensors_.refuse(part.source, "has no row of up for each of gate");
  part.shape[1] /= 2;
  part.step = 2;
  parts_.emplace(experts + "gate_proj" + ending, part);
  part.first = 1;
  parts_.emplace(experts + "up_proj" + ending, std::move(part));
}

std::vector<std::string> InterleavedExperts::names() const {
  std::vector<std::string> names = tensors_.names();
  std::erase_if(names, [&](const std::string& name) { return sources_.contains(name); });
  for (const auto& [name, part] : parts_) names.push_back(name);
  return names;
}

bool InterleavedExperts::contains(const std::string& name) const {
  return parts_.contains(name) || (tensors_.contains(name) && !sources_.contains(name));
}

const std::vector<int64_t>& InterleavedExperts::shape_of(const std::string& name) const {
  const auto part = parts_.find(name);
  return part == parts_.end() ? tensors_.shape_of(name) : part->second.shape;
}

std::string InterleavedExperts::where(const std::string& name) const {
  const auto part = parts_.find(name);
  return tensors_.where(part == parts_.end() ? name : part->second.source);
}

void InterleavedExperts::check_type(const std::string& name) const {
  const auto part = parts_.find(name);
  if (part == parts_.end()) return tensors_.check_type(name);
  if (part->second.kind != Kind::kCoded) tensors_.check_type(part->second.source);
}

void InterleavedExperts::read(const std::string& name, int64_t first, std::span<float> to) const {
  const auto found = parts_.find(name);
  if (found == parts_.end()) return tensors_.read(name, first, to);
  if (to.empty()) return;
  const Part& part = found->second;
  const int64_t k = part.k(), row = first / k;
  const int64_t n = (first + std::ssize(to) - 1) / k + 1 - row;
  if (first % k == 0 && std::ssize(to) % k == 0) return read_rows(part, row, n, to.data());
  std::vector<float> rows(static_cast<size_t>(n * k));
  read_rows(part, row, n, rows.data());
  std::copy_n(rows.begin() + (first - row * k), to.size(), to.begin());
}

void InterleavedExperts::read_rows(const Part& part, int64_t row, int64_t n, float* to) const {
  const int64_t k = part.k();
  for_each_expert(row, n, part.rows(), [&](int64_t expert, int64_t own, int64_t m, int64_t done) {
    float* rows = to + done * k;
    if (part.kind == Kind::kTransposed) return read_transposed(part, expert, own, m, rows);
    if (part.kind == Kind::kBias) return read_biases(part, expert, own, m, rows);
    const GgufType& type = block_type();
    const std::vector<std::byte> blocks = read_blocks(part, expert, own, m);
    for (int64_t i = 0; i < m * k / kBlock; ++i) {
      type.widen(blocks.data() + i * type.block_bytes, rows + i * kBlock);
    }
  });
}

void InterleavedExperts::read_transposed(const Part& part, int64_t expert, int64_t row, int64_t n,
                                         float* to) const {
  constexpr int64_t kAtOnce = 16;  // floats of a cache line, so that each line is written once
  const int64_t k = part.k(), in_line = part.rows() * part.step;
  const int64_t width = (n - 1) * part.step + 1, begin = row * part.step + part.first;
  std::vector<float> lines(static_cast<size_t>(kAtOnce * width));
  for (int64_t column = 0; column < k; column += kAtOnce) {
    const int64_t n_lines = std::min(kAtOnce, k - column);
    for (int64_t i = 0; i < n_lines; ++i) {
      const std::span<float> line(lines.data() + i * width, static_cast<size_t>(width));
      tensors_.read(part.source, (expert * k + column + i) * in_line + begin, line);
    }
    for (int64_t r = 0; r < n; ++r) {
      for (int64_t i = 0; i < n_lines; ++i) {
        to[r * k + column + i] = lines[static_cast<size_t>(i * width + r * part.step)];
      }
    }
  }
}

void InterleavedExperts::read_biases(const Part& part, int64_t expert, int64_t row, int64_t n,
                                     float* to) const {
  const int64_t in_expert = part.rows() * part.step;
  std::vector<float> all(static_cast<size_t>((n - 1) * part.step + 1));
  tensors_.read(part.source, expert * in_expert + row * part.step + part.first, all);
  for (int64_t r = 0; r < n; ++r) to[r] = all[static_cast<size_t>(r * part.step)];
}

std::vector<std::byte> InterleavedExperts::read_blocks(const Part& part, int64_t expert,
                                                       int64_t row, int64_t n) const {
  const int64_t in_row = part.k() / kBlock, in_expert = part.rows() * part.step;
  const int64_t begin = (expert * in_expert + row * part.step + part.first) * in_row;
  const int64_t n_read = ((n - 1) * part.step + 1) * in_row;
  std::vector<std::byte> codes(static_cast<size_t>(n_read * kCodeBytes));
  std::vector<std::byte> scales(static_cast<size_t>(n_read));
  tensors_.read_bytes(part.source, begin * kCodeBytes, codes);
  tensors_.read_bytes(part.scales, begin, scales);
  const int64_t size = block_type().block_bytes;
  std::vector<std::byte> blocks(static_cast<size_t>(n * in_row * size));
  for (int64_t i = 0; i < n * in_row; ++i) {
    const int64_t at = i / in_row * part.step * in_row + i % in_row;
    to_gguf_block(scales[static_cast<size_t>(at)], codes.data() + at * kCodeBytes,
                  blocks.data() + i * size);
  }
  return blocks;
}

Checkpoint::GroupFormat InterleavedExperts::group_format_of(const std::string& name) const {
  const auto part = parts_.find(name);
  if (part == parts_.end() || part->second.kind != Kind::kCoded) return {};
  return {block_type().format, true};
}

void InterleavedExperts::read_groups(const std::string& name, int64_t first,
                                     std::span<std::byte> to) const {
  const Part& part = parts_.at(name);
  const GgufType& type = block_type();
  const int64_t in_row = part.k() / kBlock, row_size = kernels::row_bytes(type.format, part.k());
  const int64_t group_size = row_size / in_row, n = std::ssize(to) / row_size;
  for_each_expert(first, n, part.rows(), [&](int64_t expert, int64_t own, int64_t m, int64_t done) {
    const std::vector<std::byte> blocks = read_blocks(part, expert, own, m);
    for (int64_t i = 0; i < m * in_row; ++i) {
      type.to_groups(blocks.data() + i * type.block_bytes,
                     to.data() + done * row_size + i * group_size);
    }
  });
}

}  // namespace headlane
