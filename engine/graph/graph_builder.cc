#include "engine/graph/graph_builder.h"

#include <algorithm>

#include "engine/base/error.h"

namespace headlane {
namespace {

std::vector<PoolPart> parts_of(const HeadConfig& head) {
  if (head.pooling == Pooling::kNone) return {{}};  // the run says which
  std::vector<PoolPart> parts = {pool_part(head.pooling)};
  parts.front().passed_over = head.classifier.row.passed_over;
  for (const PoolingBeside& beside : head.beside) parts.push_back(pool_part(beside.pooling));
  return parts;
}

}  // namespace

PoolPart pool_part(Pooling pooling) {
  switch (pooling) {
    case Pooling::kMean:
      return {kernels::Pooling::kMean};
    case Pooling::kCls:
      return {kernels::Pooling::kCls};
    case Pooling::kMax:
      return {kernels::Pooling::kMax};
    case Pooling::kMeanSqrtLen:
      return {kernels::Pooling::kMeanSqrtLen};
    case Pooling::kWeightedMean:
      return {kernels::Pooling::kWeightedMean};
    case Pooling::kLastToken:
      return {kernels::Pooling::kCls, true};
    case Pooling::kNone:
      break;
  }
  fail(Status::kInternal, "pooling %d has no kernel", static_cast<int>(pooling));
}

kernels::Activation kernel_of(Activation activation) {
  switch (activation) {
    case Activation::kGelu:
      return kernels::Activation::kGelu;
    case Activation::kGeluTanh:
      return kernels::Activation::kGeluTanh;
    case Activation::kRelu:
      return kernels::Activation::kRelu;
    case Activation::kSilu:
      return kernels::Activation::kSilu;
    case Activation::kTanh:
      return kernels::Activation::kTanh;
    case Activation::kNone:
      return kernels::Activation::kNone;
  }
  fail(Status::kInternal, "activation %d has no kernel", static_cast<int>(activation));
}

const float* GraphBuilder::optional_f32(const std::string& name,
                                        std::initializer_list<int64_t> shape) const {
  return weights_.find(name) != nullptr ? weights_.f32(name, shape) : nullptr;
}

const float* GraphBuilder::bias(const std::string& name, int64_t n, bool must) const {
  return must ? weights_.f32(name + ".bias", {n}) : optional_f32(name + ".bias", {n});
}

ValueId GraphBuilder::load(Input input, Rows rows, int64_t d) {
  return graph_.add(std::make_unique<Load>(d, input, rows), {}, rows, d);
}

ValueId GraphBuilder::operand(ValueId x, Precision precision) {
  const Value in = graph_.values[x];
  const Element element = kind_of(precision).a;
  // Attention leaves the end of a row's last 64 bytes as it is; products in less than f32 need
  // zeros there.
  if (in.element == element && (element == Element::kF32 || in.cols % 32 == 0)) return x;
  const auto [known, is_new] = converted_.try_emplace({x, element}, -1);
  if (is_new) {
    known->second = graph_.add(std::make_unique<Convert>(in.cols, in.element, element), {x},
                               in.rows, in.cols, element);
  }
  return known->second;
}

Element GraphBuilder::attention_element(const AttentionSpec& spec) const {
  const bool has_kernel = kernels_.attention_bf16 != nullptr;
  const bool narrow = precision_ != Precision::kF32 && spec.score != Score::kAdditive;
  return has_kernel && narrow ? Element::kBf16 : Element::kF32;
}

Element GraphBuilder::kept_element() const {
  return precision_ == Precision::kF32 ? Element::kF32 : Element::kBf16;
}

const PackedWeight* GraphBuilder::weight(const std::string& name, WeightRows rows,
                                         const float* bias, int64_t n, int64_t k,
                                         kernels::Activation activation, Precision precision) {
  PackedWeight source;
  source.name = name;
  source.n = n;
  source.k = k;
  source.rows = rows;
  source.bias = bias;
  source.activation = activation;
  source.precision = product_precision(config_, precision, name, k);
  return packed_.add(std::move(source));
}

ValueId GraphBuilder::linear(const std::string& name, ValueId x, int64_t n, bool must,
                             kernels::Activation activation, Element element) {
  const std::vector<StoredPart> stored = stored_parts(name, n);
  return product({name, n, must, activation, element}, stored, x, 0, n);
}

bool GraphBuilder::can_begin_at(const std::string& name, int64_t n_all, int64_t first) const {
  return first % kPartColumns == 0 || first >= stored_parts(name, n_all).back().first;
}

ValueId GraphBuilder::some_of_linear(const std::string& name, ValueId x, int64_t n_all,
                                     int64_t first, int64_t n, bool must, Element element) {
  const std::vector<StoredPart> stored = stored_parts(name, n_all);
  return product({name, n_all, must, kernels::Activation::kNone, element}, stored, x, first, n);
}

std::vector<GraphBuilder::StoredPart> GraphBuilder::stored_parts(const std::string& name,
                                                                 int64_t n) const {
  const auto part_name = [&](size_t i) { return part_of_product(name, i); };
  if (has(name + ".weight") || !has(part_name(0) + ".weight")) return {{name, 0, n}};
  std::vector<StoredPart> parts;
  int64_t first = 0;
  while (first < n) {
    const std::string own = part_name(parts.size());
    const TensorInfo* tensor = weights_.find(own + ".weight");
    const int64_t rows = tensor == nullptr || tensor->shape.empty() ? 0 : tensor->shape[0];
    const bool is_last = rows == n - first;
    if (rows < 1 || rows > n - first || (!is_last && rows % kPartColumns != 0)) {
      fail(Status::kBadFile,
           "%s: tensor \"%s.weight\" has %lld rows; the parts of \"%s\" must have %lld rows in "
           "all, and each but the last a multiple of %lld",
           weights_.path().c_str(), own.c_str(), static_cast<long long>(rows), name.c_str(),
           static_cast<long long>(n), static_cast<long long>(kPartColumns));
    }
    parts.push_back({own, first, rows});
    first += rows;
  }
  return parts;
}

ValueId GraphBuilder::product(const LinearSpec& spec, std::span<const StoredPart> stored, ValueId x,
                              int64_t first, int64_t n) {
  const int64_t k = cols_of(x);
  std::vector<const PackedWeight*> parts;
  for (const StoredPart& part : stored) {
    const int64_t begin = std::max(first, part.first);
    const int64_t end = std::min(first + n, part.first + part.n);
    if (begin >= end) continue;
    const WeightRows rows = weights_.weight(part.name + ".weight", part.name + ".scale", part.n, k);
    const float* all = bias(spec.name, spec.n, spec.must);
    PackedWeight source;
    source.name = part.name;
    if (end - begin < part.n) source.name += " from " + std::to_string(begin);
    source.n = end - begin;
    source.k = k;
    source.rows = rows_from(rows, begin - part.first, k);
    source.bias = all ? all + begin : nullptr;
    source.activation = spec.activation;
    source.precision = product_precision(config_, precision_, part.name, k);
    parts.push_back(packed_.add(std::move(source)));
  }
  const Precision precision = parts.front()->precision;
  for (const PackedWeight* part : parts) {
    if (kind_of(part->precision).a == kind_of(precision).a) continue;
    fail(Status::kBadFile, "%s: the parts of \"%s\" are in %s and in %s, which do not go together",
         weights_.path().c_str(), spec.name.c_str(), name_of(precision), name_of(part->precision));
  }
  const Element element = precision == Precision::kF32 ? Element::kF32 : spec.element;
  const ValueId in = operand(x, precision);
  return graph_.add(std::make_unique<Linear>(std::move(parts), element), {in}, rows_of(x), n,
                    element);
}

ExpertWeights GraphBuilder::experts(const std::string& name, ExpertRange range, int64_t k) {
  const int64_t n_all = range.n_experts * range.rows;
  const WeightRows rows = weights_.weight(name + ".weight", name + ".scale", n_all, k);
  const float* all = bias(name, n_all, false);
  ExpertWeights experts;
  for (int64_t i = 0; i < range.n_experts; ++i) {
    const int64_t first = i * range.rows + range.first;
    PackedWeight source;
    source.name = name + " from " + std::to_string(first);
    source.n = range.n;
    source.k = k;
    source.rows = rows_from(rows, first, k);
    source.bias = all ? all + first : nullptr;
    source.precision = product_precision(config_, precision_, name, k);
    experts.push_back(packed_.add(std::move(source)));
  }
  return experts;
}

ValueId GraphBuilder::take(ValueId x) {
  const auto [known, is_new] = taken_.try_emplace(x, -1);
  if (is_new) {
    const int64_t d = cols_of(x);
    known->second = graph_.add(std::make_unique<Take>(d), {x}, Rows::kRead, d);
  }
  return known->second;
}

bool GraphBuilder::reads_one_row() const {
  const HeadConfig& head = config_.head;
  if (!config_.takes_tokens() || !head.beside.empty()) return false;
  const bool makes_one = head.kind == HeadKind::kPool || head.kind == HeadKind::kClassify;
  return makes_one && (head.pooling == Pooling::kCls || head.pooling == Pooling::kLastToken);
}

ValueId GraphBuilder::dense(const std::string& name, ValueId x, int64_t n, Activation activation) {
  const int64_t k = cols_of(x);
  const WeightRows rows = weights_.weight(name + ".weight", name + ".scale", n, k);
  const PackedWeight* own =
      weight(name, rows, bias(name, n, false), n, k, kernel_of(activation), Precision::kF32);
  auto op = std::make_unique<Linear>(std::vector{own}, Element::kF32);
  return graph_.add(std::move(op), {operand(x, Precision::kF32)}, rows_of(x), n);
}

ValueId GraphBuilder::step(const HeadStep& step, const std::string& name, ValueId x) {
  const int64_t d = cols_of(x);
  switch (step.kind) {
    case HeadStepKind::kDense:
      return dense(name, x, step.columns, step.activation);
    case HeadStepKind::kLayerNorm: {
      const float* gamma = weights_.f32(name + ".weight", {d});
      auto op = std::make_unique<Norm>(d, gamma, bias(name, d, false), step.eps, false);
      return graph_.add(std::move(op), {x}, Rows::kSeqs, d);
    }
    case HeadStepKind::kNormalize:
      return graph_.add(std::make_unique<Vectors>(d, true), {x}, Rows::kSeqs, d);
  }
  fail(Status::kInternal, "step %d of a head has no op", static_cast<int>(step.kind));
}

void GraphBuilder::pool(ValueId hidden) {
  const HeadConfig& head = config_.head;
  const bool at_once = head.steps.empty();
  std::vector<PoolPart> parts = parts_of(head);
  const int64_t n = std::ssize(parts) * config_.d_model;
  if (rows_of(hidden) == Rows::kRead) graph_.read = parts.front();
  auto op = std::make_unique<Pool>(config_.d_model, std::move(parts), head.normalize && at_once,
                                   rows_of(hidden));
  ValueId x = graph_.add(std::move(op), {hidden}, Rows::kSeqs, n);
  for (size_t i = 0; i < head.steps.size(); ++i) {
    x = step(head.steps[i], "head.steps." + std::to_string(i), x);
  }
  // The caller's rows are not padded, as those of a product must be.
  if (!at_once) {
    const int64_t d = cols_of(x);
    x = graph_.add(std::make_unique<Vectors>(d, head.normalize), {x}, Rows::kSeqs, d);
  }
  graph_.pooled = x;
}

void GraphBuilder::rank(ValueId hidden, const std::string& words) {
  const int64_t n = config_.decoder.vocab_size, k = config_.d_model;
  const std::string name = kLogits;
  const bool own = has(name + ".weight");
  const WeightRows rows =
      weights_.weight(own ? name + ".weight" : words, (own ? name : words) + ".scale", n, k);
  const PackedWeight* head =
      weight(name, rows, bias(name, n, false), n, k, kernels::Activation::kNone, precision_);
  graph_.add_last(std::make_unique<TopLogits>(head, config_.head.cap.limit),
                  {operand(hidden, head->precision)});
}

void GraphBuilder::add_head(ValueId hidden, const std::string& words) {
  switch (config_.head.kind) {
    case HeadKind::kHidden:
      // A call may ask for a pooling of its own.
      if (config_.takes_tokens()) pool(hidden);
      return;
    case HeadKind::kPool:
    case HeadKind::kClassify:
      return pool(hidden);
    case HeadKind::kLogits:
      return rank(hidden, words);
  }
}

Graph GraphBuilder::finish(ValueId hidden) && {
  graph_.hidden = hidden;
  if (weights_.mapped() != nullptr) graph_.mapped = weights_.file();
  return std::move(graph_);
}

}  // namespace headlane
