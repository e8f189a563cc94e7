// Plain C++ for any machine, and the oracle that the other tables are compared with: the obvious
// loops, sharing no code with them. Its panels are NR = 16 columns, so that compilers can use what
// vectors the baseline has.
#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstdint>

#include "kernels/isa/isas.h"
#include "kernels/isa/ref_attention.h"
#include "kernels/isa/ref_decode.h"
#include "kernels/isa/ref_narrow.h"

namespace headlane::kernels {
namespace {

// The most rows whose sums gcc keeps in SSE's registers: 28 GFLOP/s, against 27 at 4 rows, 10 at 2.
constexpr int64_t kMR = 3;
constexpr int64_t kNR = 16;

int64_t panel_bytes(int64_t, int64_t k) { return kNR * (k + 1) * 4; }

void pack_panel(const PanelArgs& args) {
  const float* w = static_cast<const float*>(args.w);
  float* panel = static_cast<float*>(args.panel);
  for (int64_t j = 0; j < kNR; ++j) {
    const bool inside = j < args.rows;
    panel[j] = inside && args.bias ? args.bias[j] : 0.0f;
    for (int64_t kk = 0; kk < args.k; ++kk) {
      panel[(kk + 1) * kNR + j] = inside ? w[j * args.k + kk] : 0.0f;
    }
  }
}

using ref::activate;

}  // namespace

float ref::activate(Activation activation, float x) {
  switch (activation) {
    case Activation::kGelu:
      return 0.5f * x * (1.0f + std::erf(x * 0.70710678118654752f));
    case Activation::kGeluTanh:
      return 0.5f * x * (1.0f + std::tanh(0.7978845608028654f * (x + 0.044715f * x * x * x)));
    case Activation::kRelu:
      return x < 0.0f ? 0.0f : x;  // NaN stays
    case Activation::kSilu:
      return x / (1.0f + std::exp(-x));
    case Activation::kTanh:
      return std::tanh(x);
    case Activation::kNone:
      break;
  }
  return x;
}

namespace {

constexpr int64_t kKC =
    256;  // sums of this many products are added up: shorter chains, smaller errors

// rows <= kMR rows of one panel. All loops have constant bounds, so that compilers keep the sums in
// registers: rows that are not there are computed from the last that is, and not stored.
void gemm_tile(const ProductArgs& args, int64_t m0, int64_t rows, const float* panel, float* c) {
  const float* a[kMR];
  float total[kMR][kNR];
  for (int64_t r = 0; r < kMR; ++r) {
    a[r] = static_cast<const float*>(args.a) + (m0 + (r < rows ? r : rows - 1)) * args.lda;
    for (int64_t j = 0; j < kNR; ++j) total[r][j] = panel[j];
  }
  for (int64_t k0 = 0; k0 < args.k; k0 += kKC) {
    float acc[kMR][kNR] = {};
    for (int64_t kk = k0; kk < std::min(args.k, k0 + kKC); ++kk) {
      const float* b = panel + (kk + 1) * kNR;
      for (int64_t r = 0; r < kMR; ++r) {
        const float a_r = a[r][kk];
        for (int64_t j = 0; j < kNR; ++j) acc[r][j] += a_r * b[j];
      }
    }
    for (int64_t r = 0; r < kMR; ++r) {
      for (int64_t j = 0; j < kNR; ++j) total[r][j] += acc[r][j];
    }
  }
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t j = 0; j < kNR; ++j) c[r * args.ldc + j] = activate(args.activation, total[r][j]);
  }
}

void gemm(const ProductArgs& args) {
  assert(args.m >= 0 && args.k >= 1 && args.ldc % kRowAlign == 0 && args.lda >= args.k);
  for (int64_t p = args.panel_begin; p < args.panel_end; ++p) {
    const float* panel = static_cast<const float*>(args.packed) + p * kNR * (args.k + 1);
    for (int64_t m0 = 0; m0 < args.m; m0 += kMR) {
      const int64_t rows = args.m - m0 < kMR ? args.m - m0 : kMR;
      gemm_tile(args, m0, rows, panel, static_cast<float*>(args.c) + m0 * args.ldc + p * kNR);
    }
  }
}

void layer_norm(const LayerNormF32Args& args) {
  for (int64_t r = 0; r < args.rows; ++r) {
    const float* x = args.x + r * args.ldx;
    const float* residual = args.residual ? args.residual + r * args.ld_residual : nullptr;
    float* y = args.y + r * args.ldy;
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < args.d; ++i) {
      y[i] = residual ? x[i] + residual[i] : x[i];
      sum += y[i];
    }
    const double mean = sum / static_cast<double>(args.d);
    for (int64_t i = 0; i < args.d; ++i) squares += (y[i] - mean) * (y[i] - mean);
    const double inverse = 1 / std::sqrt(squares / static_cast<double>(args.d) + args.eps);
    for (int64_t i = 0; i < args.d; ++i) {
      y[i] = static_cast<float>((y[i] - mean) * inverse * args.gamma[i] +
                                (args.beta ? args.beta[i] : 0.0f));
    }
  }
}

void rms_norm(const LayerNormF32Args& args) {
  for (int64_t r = 0; r < args.rows; ++r) {
    const float* x = args.x + r * args.ldx;
    const float* residual = args.residual ? args.residual + r * args.ld_residual : nullptr;
    float* y = args.y + r * args.ldy;
    double squares = 0;
    for (int64_t i = 0; i < args.d; ++i) {
      y[i] = residual ? x[i] + residual[i] : x[i];
      squares += static_cast<double>(y[i]) * y[i];
    }
    const double inverse = 1 / std::sqrt(squares / static_cast<double>(args.d) + args.eps);
    for (int64_t i = 0; i < args.d; ++i) {
      y[i] = static_cast<float>(y[i] * inverse * args.gamma[i]);
    }
  }
}

void gate(const GateF32Args& args) {
  for (int64_t r = 0; r < args.rows; ++r) {
    const float* x = args.x + r * args.ldx;
    const float* up = args.up != nullptr ? args.up + r * args.ldx : x + args.d;
    for (int64_t i = 0; i < args.d; ++i) {
      args.y[r * args.ldy + i] = activate(args.activation, x[i]) * up[i];
    }
  }
}

void add(const AddF32Args& args) {
  for (int64_t r = 0; r < args.rows; ++r) {
    for (int64_t i = 0; i < args.d; ++i) {
      args.y[r * args.ldy + i] = args.a[r * args.lda + i] + args.b[r * args.ldb + i];
    }
  }
}

float word_element(const EmbedF32Args& args, int64_t id, int64_t i) {
  const int64_t at = id * args.d + i;
  if (args.word_format == Format::kBf16) {
    return ref::from_bf16(static_cast<const Bf16*>(args.word)[at]);
  }
  if (args.word_format == Format::kS8) {
    return static_cast<float>(static_cast<const int8_t*>(args.word)[at]) * args.word_scale[id];
  }
  if (has_groups(args.word_format)) {
    const int64_t row = id * row_bytes(args.word_format, args.d);
    return ref::weight_in_groups(args.word_format, static_cast<const char*>(args.word) + row, i);
  }
  return static_cast<const float*>(args.word)[at];
}

void embed(const EmbedF32Args& args) {
  for (int64_t r = 0; r < args.rows; ++r) {
    const int64_t type = args.types ? args.types[r] : 0;
    for (int64_t i = 0; i < args.d; ++i) {
      float sum = word_element(args, args.ids[r], i) * args.scale;
      if (args.type) sum += args.type[type * args.d + i];
      if (args.position) sum += args.position[args.positions[r] * args.d + i];
      args.y[r * args.ldy + i] = sum;
    }
  }
}

// One column of the rows.
float pool_column(const PoolF32Args& args, const float* x) {
  const bool weighted = args.pooling == Pooling::kWeightedMean;
  const auto weight = [&](int64_t r) {
    return weighted ? static_cast<float>(args.place + r + 1) : 1.0f;
  };
  if (args.pooling == Pooling::kCls) return x[0];
  float result = x[0] * weight(0);
  double all = weight(0);
  for (int64_t r = 1; r < args.rows; ++r) {
    const float row = x[r * args.ldx];
    if (args.pooling != Pooling::kMax) {
      result += row * weight(r);
      all += weight(r);
    } else if (!(row <= result)) {
      result = std::isnan(result) ? result : row;
    }
  }
  if (args.pooling == Pooling::kMax) return result;
  if (args.pooling == Pooling::kMeanSqrtLen) return result / std::sqrt(static_cast<float>(all));
  return result / static_cast<float>(all);
}

void pool(const PoolF32Args& args) {
  assert(args.rows >= 1);
  double squares = 0;
  for (int64_t i = 0; i < args.d; ++i) {
    const float result = pool_column(args, args.x + i);
    args.y[i] = result;
    squares += static_cast<double>(result) * result;
  }
  if (!args.normalize) return;
  const double root = std::sqrt(squares);
  const double length = root < 1e-12 ? 1e-12 : root;  // NaN stays
  for (int64_t i = 0; i < args.d; ++i) args.y[i] = static_cast<float>(args.y[i] / length);
}

void activate_all(Activation activation, int64_t n, const float* x, float* y) {
  for (int64_t i = 0; i < n; ++i) y[i] = activate(activation, x[i]);
}

}  // namespace

void ref::fill(Table* table) {
  *table = {
      .products = {},
      .convert = ref::convert,
      .quantize_weights = ref::quantize_weights,
      .layer_norm_f32 = layer_norm,
      .rms_norm_f32 = rms_norm,
      .gate_f32 = gate,
      .add_f32 = add,
      .embed_f32 = embed,
      .attention_f32 = ref::attention,
      .attention_probabilities_f32 = ref::attention_probabilities,
      .attention_scratch_floats = ref::attention_scratch_floats,
      .attention_group_rows = 1,
      .decode_attention_f32 = ref::decode_attention_f32,
      .decode_attention_bf16 = ref::decode_attention_bf16,
      .decode_attention_s8 = ref::decode_attention_s8,
      .decode_scratch_floats = ref::decode_scratch_floats,
      .rotate = ref::rotate,
      .top_k_f32 = ref::top_k,
      .pool_f32 = pool,
      .activate_f32 = activate_all,
  };
  table->product(Precision::kF32) = {.name = "ref",
                                     .layout = "columns",
                                     .native = true,
                                     .mr = kMR,
                                     .nr = kNR,
                                     .panel_bytes = panel_bytes,
                                     .pack_panel = pack_panel,
                                     .run = gemm};
  ref::fill_narrow_products(table);
}

}  // namespace headlane::kernels
