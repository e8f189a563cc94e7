#include "engine/ops/packed_weight.h"

#include <algorithm>
#include <exception>
#include <span>
#include <vector>

#include "engine/base/team.h"
#include "engine/file/input_file.h"

namespace headlane {
namespace {

using kernels::Bf16;

const kernels::NarrowGemm& narrow_gemm(const kernels::Table& kernels, Precision precision) {
  return precision == Precision::kBf16 ? kernels.gemm_bf16 : kernels.gemm_u8;
}

int64_t panel_columns(const kernels::Table& kernels, const PackedWeight& weight) {
  return headlane::panel_columns(kernels, weight.precision);
}

int64_t panel_bytes(const kernels::Table& kernels, const PackedWeight& weight) {
  if (weight.precision == Precision::kF32) {
    const kernels::GemmF32& gemm = kernels.gemm_f32;
    return gemm.packed_floats(gemm.nr, weight.k) * static_cast<int64_t>(sizeof(float));
  }
  return narrow_gemm(kernels, weight.precision).panel_bytes(weight.k);
}

// A thread's room for the rows of one panel on their way from the file, and from one element to
// another. A panel's rows are some 50 to 200 KB: they are packed while they lie in L2, and never
// are all of a model's in memory twice.
struct Scratch {
  std::vector<std::byte> stored;
  std::vector<float> floats, scales;
  std::vector<char> narrow;
  std::vector<Bf16> row;

  void fit(const kernels::Table& kernels, const PackedWeight& w) {
    const auto rows = static_cast<size_t>(std::min(panel_columns(kernels, w), w.n));
    const size_t elements = rows * static_cast<size_t>(w.k);
    if (w.rows.data == nullptr) {
      const size_t bytes = rows * static_cast<size_t>(row_bytes(w.rows.format, w.k));
      stored.resize(std::max(stored.size(), bytes));
    }
    if (w.rows.format == Format::kF32 && w.precision == Precision::kF32) return;
    floats.resize(std::max(floats.size(), elements));
    scales.resize(std::max(scales.size(), rows));
    narrow.resize(std::max(narrow.size(), elements * sizeof(Bf16)));
    row.resize(std::max(row.size(), static_cast<size_t>(kernels::round_up_to(w.k, 32))));
  }
};

// Rows of a weight, from what its file stores to what its product takes. Where these are the same,
// they are not converted. Throws Error if they cannot be read.
class Rows {
 public:
  Rows(const kernels::Table& kernels, const PackedWeight& weight, int64_t first, int64_t n,
       Scratch* scratch)
      : kernels_(kernels), k_(weight.k), n_(n), format_(weight.rows.format), scratch_(*scratch) {
    const int64_t row_size = row_bytes(format_, k_);
    if (weight.rows.data != nullptr) {
      data_ = static_cast<const char*>(weight.rows.data) + first * row_size;
    } else {
      const auto bytes = static_cast<size_t>(n_ * row_size);
      weight.rows.file->read(weight.rows.offset + first * row_size,
                             std::span(scratch->stored).first(bytes));
      data_ = scratch->stored.data();
    }
    scale_ = weight.rows.scale ? weight.rows.scale + first : nullptr;
  }

  const float* as_floats() {
    if (format_ == Format::kF32) return static_cast<const float*>(data_);
    float* to = scratch_.floats.data();
    for (int64_t row = 0; row < n_; ++row) {
      for (int64_t i = row * k_; i < (row + 1) * k_; ++i) to[i] = element(row, i);
    }
    return to;
  }

  const Bf16* as_bf16() {
    if (format_ == Format::kBf16) return static_cast<const Bf16*>(data_);
    const float* floats = as_floats();
    // Whole rows are converted, with the zeros that fill their last 64 bytes; W has none.
    Bf16* to = reinterpret_cast<Bf16*>(scratch_.narrow.data());
    for (int64_t i = 0; i < n_; ++i) {
      kernels_.convert({.rows = 1,
                        .cols = k_,
                        .from = Element::kF32,
                        .to = Element::kBf16,
                        .x = floats + i * k_,
                        .y = scratch_.row.data()});
      std::copy_n(scratch_.row.data(), k_, to + i * k_);
    }
    return to;
  }

  // Sets *scale to the scales [n].
  const int8_t* as_s8(const float** scale) {
    *scale = scale_;
    if (format_ == Format::kS8) return static_cast<const int8_t*>(data_);
    const float* floats = as_floats();
    int8_t* to = reinterpret_cast<int8_t*>(scratch_.narrow.data());
    for (int64_t i = 0; i < n_; ++i) {
      kernels_.quantize_weights(floats + i * k_, k_, to + i * k_, &scratch_.scales[i]);
    }
    *scale = scratch_.scales.data();
    return to;
  }

 private:
  float element(int64_t row, int64_t i) const {
    if (format_ == Format::kS8) {
      return static_cast<float>(static_cast<const int8_t*>(data_)[i]) * scale_[row];
    }
    return kernels::widen(static_cast<const Bf16*>(data_)[i]);
  }

  const kernels::Table& kernels_;
  int64_t k_, n_;
  Format format_;
  const void* data_;
  const float* scale_;
  Scratch& scratch_;
};

// Packs panel p of a weight into its place behind `base`, the weight's.
void pack_panel(const kernels::Table& kernels, const PackedWeight& w, int64_t p, char* base,
                Scratch* scratch) {
  const int64_t nr = panel_columns(kernels, w), first = p * nr;
  const int64_t n = std::min(nr, w.n - first);
  const float* bias = w.bias ? w.bias + first : nullptr;
  Rows rows(kernels, w, first, n, scratch);
  if (w.precision == Precision::kF32) {
    // A weight of its own, as far as the kernel can tell.
    float* to = reinterpret_cast<float*>(base);
    if (p > 0) to += p * kernels.gemm_f32.packed_floats(nr, w.k);
    return kernels.gemm_f32.pack(rows.as_floats(), bias, n, w.k, 0, 1, to);
  }
  const kernels::NarrowGemm& gemm = narrow_gemm(kernels, w.precision);
  void* panel = base + p * gemm.panel_bytes(w.k);
  if (w.precision == Precision::kBf16) {
    return gemm.pack_panel(rows.as_bf16(), nullptr, bias, n, w.k, panel);
  }
  const float* scale = nullptr;
  const int8_t* s8 = rows.as_s8(&scale);
  gemm.pack_panel(s8, scale, bias, n, w.k, panel);
}

}  // namespace

int64_t packed_bytes(const kernels::Table& kernels, const PackedWeight& w) {
  if (w.precision == Precision::kF32) {
    return kernels::round_up_to(kernels.gemm_f32.packed_floats(w.n, w.k) * 4, 64);
  }
  const kernels::NarrowGemm& gemm = narrow_gemm(kernels, w.precision);
  return gemm.n_panels(w.n) * gemm.panel_bytes(w.k);
}

int64_t panel_columns(const kernels::Table& kernels, Precision precision) {
  return precision == Precision::kF32 ? kernels.gemm_f32.nr : narrow_gemm(kernels, precision).nr;
}

int64_t n_panels(const kernels::Table& kernels, Precision precision, int64_t n) {
  const int64_t nr = panel_columns(kernels, precision);
  return (n + nr - 1) / nr;
}

PackedView view_of(const PackedWeight& w) {
  return {w.packed, w.state.get(), w.n, w.k, w.activation, w.precision};
}

PackedView panels_of(const kernels::Table& kernels, const PackedWeight& weight, int64_t first,
                     int64_t count) {
  const int64_t nr = panel_columns(kernels, weight);
  PackedView view = view_of(weight);
  view.packed = static_cast<const char*>(weight.packed) + first * panel_bytes(kernels, weight);
  view.n = std::min(count * nr, weight.n - first * nr);
  return view;
}

void multiply(const kernels::Table& kernels, const PackedView& w, Range panels, int64_t m, View a,
              Element c_element, View c) {
  if (w.precision == Precision::kF32) {
    return kernels.gemm_f32.run({.m = m,
                                 .k = w.k,
                                 .n = w.n,
                                 .panel_begin = panels.begin,
                                 .panel_end = panels.end,
                                 .a = a.data,
                                 .lda = a.ld,
                                 .packed = static_cast<const float*>(w.packed),
                                 .state = w.state,
                                 .activation = w.activation,
                                 .c = c.data,
                                 .ldc = c.ld});
  }
  narrow_gemm(kernels, w.precision)
      .run({.m = m,
            .k = w.k,
            .n = w.n,
            .panel_begin = panels.begin,
            .panel_end = panels.end,
            .a = a.data,
            .lda = a.ld,
            .packed = w.packed,
            .activation = w.activation,
            .c_element = c_element,
            .c = c.data,
            .ldc = c.ld});
}

const PackedWeight* PackedWeights::add(PackedWeight weight) {
  for (const PackedWeight& known : weights_) {
    if (known.name == weight.name) return &known;
  }
  return &weights_.emplace_back(std::move(weight));
}

void PackedWeights::pack(const kernels::Table& kernels, Team* team) {
  const kernels::GemmF32& gemm = kernels.gemm_f32;
  for (PackedWeight& w : weights_) {
    if (gemm.create) w.state = {gemm.create(w.n, w.k, w.activation), gemm.destroy};
  }
  std::vector<int64_t> offsets;
  int64_t bytes = 0;
  for (const PackedWeight& w : weights_) {
    offsets.push_back(bytes);
    bytes += packed_bytes(kernels, w);
  }
  memory_ = Buffer(static_cast<size_t>(bytes));
  char* base = static_cast<char*>(memory_.data());
  // A provider with a state of its own packs a matrix as one panel.
  const int n_threads = gemm.create ? 1 : team->n_threads();
  std::vector<Scratch> scratch(static_cast<size_t>(n_threads));
  for (Scratch& own : scratch) {
    for (const PackedWeight& w : weights_) own.fit(kernels, w);
  }
  const auto pack_share = [&](int thread, int count) {
    for (size_t i = 0; i < weights_.size(); ++i) {
      const PackedWeight& w = weights_[i];
      const int64_t nr = panel_columns(kernels, w);
      const Range panels = part_of((w.n + nr - 1) / nr, {thread, count});
      for (int64_t p = panels.begin; p < panels.end; ++p) {
        pack_panel(kernels, w, p, base + offsets[i], &scratch[static_cast<size_t>(thread)]);
      }
    }
  };
  // What a thread of a team throws would end the process: it is thrown on by this one.
  std::vector<std::exception_ptr> failures(static_cast<size_t>(n_threads));
  team->run(1, n_threads, [&](int /*phase*/, int thread, int count) {
    try {
      pack_share(thread, count);
    } catch (...) {
      failures[static_cast<size_t>(thread)] = std::current_exception();
    }
  });
  for (const std::exception_ptr& failure : failures) {
    if (failure) std::rethrow_exception(failure);
  }
  for (size_t i = 0; i < weights_.size(); ++i) weights_[i].packed = base + offsets[i];
}

}  // namespace headlane
