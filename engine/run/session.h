// The working memory and threads of one stream of calls on a model, and what a call may be.
#pragma once

#include <cstdint>
#include <string>

#include "engine/model/model.h"
#include "engine/run/plan_runner.h"
#include "engine/run/token_batch.h"

namespace headlane {

struct SessionOptions {
  int64_t max_tokens = 0;  // 0: as headlane.h says
  int64_t max_seqs = 0;
  int64_t max_len = 0;
  int64_t n_threads = 0;
  bool cross_attention = false;
  int64_t max_kv_tokens = 0;
  std::string precision;  // as of choose_precision; "": the model's
};

// A batch for a model that takes activations. Keys and values are only of a session that has rows
// for them; without, they come from x, and kv_rows are q_rows.
struct ActivationBatch {
  int64_t n_seqs = 0;
  SeqRows q_rows, kv_rows;
  RowSource x, key, value;  // [n_seqs, q_len, d_model], [n_seqs, kv_len, kdim], [.., vdim]
  RowTarget out;            // [n_seqs, q_len, d_model]
  ScoreInputs scores;
};

// A caller wants one of these of each sequence as a whole.
enum class Wanted { kNothing, kVectors, kScores };

// The defaults filled in and every field checked against the model; throws Error.
Limits session_limits(const Model& model, const SessionOptions& options);

class Session {
 public:
  static size_t bytes(const Model& model, const Limits& limits);

  // `memory`: bytes() of it, 64-byte aligned, or null: the session takes its own.
  Session(const Model& model, const Limits& limits, void* memory, const CallerPool& pool);

  const Model& model() const { return model_; }
  const Limits& limits() const { return limits_; }
  Team& team() { return team_; }
  bool has_kv() const { return limits_.has_kv; }
  void set_cancelled(bool cancelled) { team_.set_cancelled(cancelled); }

  Profile& profile() { return runner_.profile(); }
  const Profile& profile() const { return runner_.profile(); }

  // Throws Error(kUnsupported) if the model takes activations, or makes nothing of that kind of a
  // sequence.
  void check_takes_ids(Wanted wanted) const;
  // Columns of what the head makes of a sequence.
  int64_t n_pooled_columns() const { return graph_.values[graph_.pooled].cols; }
  // Columns of the vectors that are pooled so: by the model's own pooling if `pooling` is kNone.
  // Throws Error(kUnsupported) if the model cannot be pooled so.
  int64_t vector_columns(Pooling pooling) const;

  // Both throw Error before anything is written, except Error(kCancelled), which may leave a part
  // of the outputs written. `maps` may be null. Outputs as in headlane_outputs: either may be null;
  // `pooled` is what the head makes of each sequence, which check_takes_ids or vector_columns says
  // that it does. `pooling`: in place of the model's own; kNone: that.
  void encode(const TokenBatch& batch, float* hidden, float* pooled, const LayerMaps* maps,
              Pooling pooling = Pooling::kNone);
  void forward(const ActivationBatch& batch, const LayerMaps* maps);

 private:
  void check(const ActivationBatch& batch) const;
  void check_fits(const char* name, const SeqRows& rows, int64_t n_seqs, int64_t max_rows) const;

  const Model& model_;
  Limits limits_;
  const Graph& graph_;
  Team team_;
  PlanRunner runner_;
  Buffer own_memory_;
  // One row of each sequence is read: all that the graph's head needs, and nobody asks for more.
  ReadRows one_of_each(const Run& run);

  int32_t* positions_ = nullptr;  // [max_tokens]
  // Graphs whose head reads one row of each sequence have these.
  int32_t* read_tokens_ = nullptr;   // [max_seqs]
  int64_t* read_offsets_ = nullptr;  // [max_seqs + 1]
  // For models that take activations: which of the caller's rows each of the session's rows is.
  struct RowPlaces {
    int32_t *seq = nullptr, *token = nullptr;  // [max_tokens] or [max_kv]
    int64_t* offsets = nullptr;                // [max_seqs + 1]
    int32_t* positions = nullptr;              // within the sequence; null: not wanted
  };
  static void map_rows(const SeqRows& rows, int64_t n_seqs, const RowPlaces& map);
  RowPlaces tokens_, kv_;
};

}  // namespace headlane
