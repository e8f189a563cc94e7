#include "engine/run/session.h"

#include <algorithm>

#include "engine/base/block_layout.h"
#include "engine/base/checked_option.h"
#include "engine/base/cpus.h"
#include "engine/base/error.h"
#include "engine/graph/graph_builder.h"

namespace headlane {
namespace {

using ll = long long;

const Graph& graph_of(const Model& model, const Limits& limits) {
  return model.graph(limits.precision, limits.has_kv ? Part::kOverKv : Part::kMain);
}

// Parts of a session's block behind those of the runner, each a multiple of 64 bytes.
struct Parts {
  size_t positions, read_tokens, read_offsets, token_seq, token_row, kv_seq, kv_row, kv_positions,
      offsets, kv_offsets, total;
};

// Whether rows of kv have positions: those of an encoder's input have.
bool kv_has_positions(const ModelConfig& config) {
  return config.has_decoder() && config.has_encoder() &&
         config.encoder.positions != Positions::kNone;
}

// No sequence may be longer, of those that a session runs: a decoder that makes tokens is none of
// it, one on activations has the same rows as its encoder.
int64_t max_positions_of(const ModelConfig& config) {
  const bool both = !config.takes_tokens() && config.has_encoder() && config.has_decoder();
  const int64_t first = config.first_stack().max_positions;
  return both ? std::min(first, config.decoder.max_positions) : first;
}

Parts divide(const Model& model, const Limits& limits) {
  const bool maps = !model.config().takes_tokens();
  const Graph& graph = graph_of(model, limits);
  BlockLayout block;
  block.take(static_cast<int64_t>(PlanRunner::bytes(graph, model.kernels(), limits)), 1);
  Parts parts;
  parts.positions = block.take(limits.max_tokens, sizeof(int32_t));
  const int64_t n_read = graph.read ? limits.max_seqs : 0;
  parts.read_tokens = block.take(n_read, sizeof(int32_t));
  parts.read_offsets = block.take(graph.read ? n_read + 1 : 0, sizeof(int64_t));
  parts.token_seq = block.take(maps ? limits.max_tokens : 0, sizeof(int32_t));
  parts.token_row = block.take(maps ? limits.max_tokens : 0, sizeof(int32_t));
  parts.offsets = block.take(maps ? limits.max_seqs + 1 : 0, sizeof(int64_t));
  parts.kv_seq = block.take(limits.max_kv, sizeof(int32_t));
  parts.kv_row = block.take(limits.max_kv, sizeof(int32_t));
  parts.kv_positions =
      block.take(kv_has_positions(model.config()) ? limits.max_kv : 0, sizeof(int32_t));
  parts.kv_offsets = block.take(limits.has_kv ? limits.max_seqs + 1 : 0, sizeof(int64_t));
  parts.total = block.bytes();
  return parts;
}

}  // namespace

Limits session_limits(const Model& model, const SessionOptions& options) {
  constexpr int64_t kDefaultTokens = 4096, kMostTokens = int64_t{1} << 31, kMostThreads = 1024;
  const ModelConfig& config = model.config();
  const int64_t max_positions = max_positions_of(config);
  if (config.is_language_model()) {
    fail(Status::kUnsupported,
         "%s: a language model has no encoder for a session to run; create a generator",
         model.container().path().c_str());
  }
  Limits limits;
  limits.max_len = checked_option("session", "max_len", options.max_len, 0, max_positions);
  limits.max_tokens = checked_option("session", "max_tokens", options.max_tokens,
                                     std::max(kDefaultTokens, limits.max_len), kMostTokens);
  limits.precision = choose_precision(options.precision, model.kernels(), model.precision());
  limits.has_kv = options.cross_attention || (config.has_decoder() && !config.takes_tokens());
  if (limits.has_kv && !config.can_attend_to_kv()) {
    fail(Status::kUnsupported,
         "session option cross_attention is set, but only a model of one layer, or of a decoder's "
         "layers, on activations has it");
  }
  if (!limits.has_kv && !config.can_attend_to_itself()) {
    fail(Status::kInvalidArgument,
         "the model's keys have %lld columns and its values %lld, the queries' input %lld: set "
         "session option cross_attention",
         ll{config.kdim}, ll{config.vdim}, ll{config.d_model});
  }
  if (limits.has_kv) {
    limits.max_kv = checked_option("session", "max_kv_tokens", options.max_kv_tokens,
                                   limits.max_tokens, kMostTokens);
  } else if (options.max_kv_tokens != 0) {
    fail(Status::kInvalidArgument, "session option max_kv_tokens is set without cross_attention");
  }
  if (limits.max_len == 0) {
    limits.max_len = std::min(max_positions, std::max(limits.max_tokens, limits.max_kv));
  }
  limits.max_seqs =
      checked_option("session", "max_seqs", options.max_seqs, limits.max_tokens, kMostTokens);
  limits.n_threads =
      checked_option("session", "n_threads", options.n_threads, available_cpus(), kMostThreads);
  return limits;
}

size_t Session::bytes(const Model& model, const Limits& limits) {
  return divide(model, limits).total;
}

Session::Session(const Model& model, const Limits& limits, void* memory, const CallerPool& pool)
    : model_(model),
      limits_(limits),
      graph_(graph_of(model, limits)),
      team_(static_cast<int>(limits.n_threads), pool),
      runner_(graph_, model.kernels(), limits, &team_) {
  model.require_weights();
  const Parts parts = divide(model, limits);
  if (memory == nullptr) {
    own_memory_ = Buffer(parts.total);
    memory = own_memory_.data();
  }
  char* base = static_cast<char*>(memory);
  const auto ints = [&](size_t offset) { return reinterpret_cast<int32_t*>(base + offset); };
  runner_.use(memory);
  positions_ = ints(parts.positions);
  read_tokens_ = ints(parts.read_tokens);
  read_offsets_ = reinterpret_cast<int64_t*>(base + parts.read_offsets);
  tokens_ = {ints(parts.token_seq), ints(parts.token_row),
             reinterpret_cast<int64_t*>(base + parts.offsets), positions_};
  kv_ = {ints(parts.kv_seq), ints(parts.kv_row),
         reinterpret_cast<int64_t*>(base + parts.kv_offsets),
         kv_has_positions(model.config()) ? ints(parts.kv_positions) : nullptr};
}

void Session::check_takes_ids(Wanted wanted) const {
  if (!model_.config().takes_tokens()) {
    fail(Status::kUnsupported,
         "the model takes activations, not token ids: use headlane_session_forward");
  }
  if (wanted == Wanted::kScores && model_.config().head.kind != HeadKind::kClassify) {
    fail(Status::kUnsupported,
         "scores of labels are wanted, but the model has none: it is no classifier%s",
         model_.config().vector_columns() > 0 ? ", it makes vectors" : "");
  }
  if (wanted == Wanted::kVectors) vector_columns(Pooling::kNone);
}

int64_t Session::vector_columns(Pooling pooling) const {
  const ModelConfig& config = model_.config();
  const HeadConfig& head = config.head;
  if (head.kind == HeadKind::kClassify) {
    fail(Status::kUnsupported,
         "pooled vectors are wanted, but the model is a classifier, which makes scores of labels; "
         "for vectors, convert its folder again with a pooling, such as the mean");
  }
  if (pooling == Pooling::kNone && head.pooling == Pooling::kNone) {
    const bool could = graph_.pooled >= 0;
    fail(Status::kUnsupported, "pooled vectors are wanted, but the model has no pooling%s",
         could ? "; say one, such as the mean, or convert its folder again with one" : "");
  }
  if (pooling == Pooling::kNone) return config.vector_columns();
  if (graph_.pooled < 0) {
    fail(Status::kUnsupported, "a pooling is given, but the model cannot pool");
  }
  if (!head.beside.empty()) {
    fail(Status::kUnsupported,
         "a pooling is given, but the model has %zu poolings, whose vectors stand side by side; "
         "convert its folder again with the one that is wanted",
         head.beside.size() + 1);
  }
  return n_pooled_columns();
}

ReadRows Session::one_of_each(const Run& run) {
  ReadRows read{.tokens = read_tokens_, .offsets = read_offsets_};
  for (int64_t seq = 0; seq < run.n_seqs; ++seq) {
    const int64_t begin = run.offsets[seq], len = run.offsets[seq + 1] - begin;
    const int64_t place = place_of_row(*graph_.read, run.ids + begin, len, run.n_left_out);
    read_offsets_[seq] = read.n;
    if (place < 0) continue;
    read_tokens_[read.n++] = static_cast<int32_t>(begin + place);
    read.n_pairs += len;
  }
  read_offsets_[run.n_seqs] = read.n;
  return read;
}

void Session::encode(const TokenBatch& batch, float* hidden, float* pooled, const LayerMaps* maps,
                     Pooling pooling) {
  check_tokens(batch, model_.config(), limits_);
  Run run = run_of(batch, positions_);
  if (maps) check_maps(*maps, batch.n_seqs, run.longest, run.longest);
  run.kernels = &model_.kernels();
  run.maps = maps;
  run.read = {.n = run.n_tokens, .n_pairs = run.n_pairs, .offsets = run.offsets};
  const bool own_pooling = pooling == Pooling::kNone || pooling == model_.config().head.pooling;
  if (graph_.read && pooled && !hidden && !maps && own_pooling) run.read = one_of_each(run);
  PoolPart part;
  if (pooling != Pooling::kNone) {
    part = pool_part(pooling);
    run.pooling = &part;
  }
  runner_.run(run, {hidden, 0, model_.config().d_model}, pooled);
}

}  // namespace headlane
