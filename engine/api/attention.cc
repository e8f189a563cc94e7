// The C API's attention on the caller's buffers.
#include "engine/api/attention_options.h"
#include "engine/api/c_api.h"
#include "engine/api/options.h"
#include "engine/base/cpus.h"
#include "engine/file/json_fields.h"
#include "engine/run/attention_call.h"
#include "engine/spec/isa.h"

using headlane::fail;
using headlane::Status;
using namespace headlane::c_api;  // NOLINT(google-build-using-namespace): what this file is of

// A call on rows of one element or another.
struct headlane_attention {
  virtual ~headlane_attention() = default;
  virtual void run(const headlane_attention_batch& batch) = 0;
  virtual void set_cancelled(bool cancelled) = 0;
};

namespace {

using ll = long long;
using headlane::Score;
using headlane::kernels::Bf16;

// Bilinear scores need weights, so a call on buffers has none.
headlane::AttentionSpec spec_of_call(const headlane_attention_options& options) {
  headlane::AttentionSpec spec = read_spec(options);
  if (spec.score == Score::kBilinear) {
    fail(Status::kInvalidArgument,
         "score is bilinear, which only layers can have (headlane_model_create_layer); choose "
         "another");
  }
  return spec;
}

// Whether the caller's rows are bf16, which some scores and machines cannot be computed on.
bool takes_bf16(const std::string& precision, const headlane::AttentionSpec& spec,
                const headlane::kernels::Table& kernels) {
  if (precision.empty() || precision == "f32") return false;
  if (precision != "bf16") {
    fail(Status::kInvalidArgument,
         "option precision is \"%s\"; an attention's must be \"f32\" or \"bf16\"",
         headlane::printable(precision).c_str());
  }
  if (spec.score == Score::kAdditive) {
    fail(Status::kUnsupported, "precision is bf16, but additive scores are computed in f32 alone");
  }
  if (kernels.attention_bf16 == nullptr) {
    fail(Status::kUnsupported, "precision is bf16, but the kernels \"%s\" have no products of bf16",
         kernels.isa);
  }
  return true;
}

// Data of the precision that the call is not in would be ignored.
void require_none(const void* data, const char* name, const char* precision) {
  if (data == nullptr) return;
  fail(Status::kInvalidArgument, "%s must be null: the attention's precision is %s", name,
       precision);
}

template <typename T, typename Heads>
headlane::Heads<T> heads_of(T* data, const Heads& heads) {
  return {data, heads.seq_stride, heads.token_stride, heads.head_stride};
}

void set_heads(const headlane_attention_batch& in, headlane::AttentionBatch<float>* batch) {
  require_none(in.q_bf16, "q_bf16", "f32");
  require_none(in.k_bf16, "k_bf16", "f32");
  require_none(in.v_bf16, "v_bf16", "f32");
  require_none(in.o_bf16, "o_bf16", "f32");
  batch->q = heads_of(in.q.data, in.q);
  batch->k = heads_of(in.k.data, in.k);
  batch->v = heads_of(in.v.data, in.v);
  batch->o = heads_of(in.o.data, in.o);
}

void set_heads(const headlane_attention_batch& in, headlane::AttentionBatch<Bf16>* batch) {
  require_none(in.q.data, "q.data", "bf16");
  require_none(in.k.data, "k.data", "bf16");
  require_none(in.v.data, "v.data", "bf16");
  require_none(in.o.data, "o.data", "bf16");
  batch->q = heads_of(in.q_bf16, in.q);
  batch->k = heads_of(in.k_bf16, in.k);
  batch->v = heads_of(in.v_bf16, in.v);
  batch->o = heads_of(in.o_bf16, in.o);
}

// The options of an attention. All of them have been checked except the caller's memory, so that
// only options that an attention can be made of have a size.
struct CheckedOptions {
  headlane::AttentionSpec spec;
  headlane::AttentionWeights weights;
  const headlane::kernels::Table& kernels;
  WorkOptions work;
  bool is_bf16;

  size_t bytes() const {
    return is_bf16 ? headlane::AttentionCall<Bf16>::bytes(spec, kernels, work.threads.count)
                   : headlane::AttentionCall<float>::bytes(spec, kernels, work.threads.count);
  }
};

template <typename T>
class AttentionOn final : public headlane_attention {
 public:
  explicit AttentionOn(const CheckedOptions& of)
      : call_(of.spec, of.weights, of.kernels, of.work.threads.count, of.work.memory,
              of.work.threads.pool),
        n_heads_(of.spec.n_heads) {}

  void set_cancelled(bool cancelled) override { call_.set_cancelled(cancelled); }

  void run(const headlane_attention_batch& in) override {
    const headlane::LayerMaps maps = read_maps(in.maps, INT64_MAX, n_heads_);
    headlane::AttentionBatch<T> batch;
    batch.n_seqs = in.n_seqs;
    batch.q_rows = read_q_rows(in);
    batch.kv_rows = read_kv_rows(in);
    set_heads(in, &batch);
    batch.scores = read_scores(in, batch.q_rows, batch.kv_rows);
    call_.run(batch, maps.maps);
  }

 private:
  headlane::AttentionCall<T> call_;
  int64_t n_heads_;
};

CheckedOptions check_options(const headlane_attention_options* options) {
  require(options, "options");
  const auto read = read_struct(options, "headlane_attention_options");
  const headlane::AttentionSpec spec = spec_of_call(read);
  const headlane::AttentionWeights weights = read_weights(read, spec);
  const auto& kernels = headlane::kernels_for(read.isa ? read.isa : "");
  WorkOptions work = read_work_options(read);
  if (work.threads.count == 0) work.threads.count = headlane::available_cpus();
  return {spec, weights, kernels, work, takes_bf16(work.precision, spec, kernels)};
}

}  // namespace

headlane_status headlane_alibi_slopes(int64_t n_heads, float* slopes) {
  return guarded([&] {
    if (n_heads < 1)
      fail(Status::kInvalidArgument, "n_heads is %lld; it must be 1 or more", ll{n_heads});
    require(slopes, "slopes");
    headlane::fill_alibi_slopes(n_heads, slopes);
  });
}

headlane_status headlane_attention_bytes(const headlane_attention_options* options, size_t* out) {
  return guarded([&] {
    const CheckedOptions checked = check_options(options);
    require(out, "out");
    *out = checked.bytes();
  });
}

headlane_status headlane_attention_create(const headlane_attention_options* options,
                                          headlane_attention** out) {
  return guarded([&] {
    const CheckedOptions checked = check_options(options);
    require(out, "out");
    checked.work.check_memory(checked.bytes());
    if (checked.is_bf16) {
      *out = new AttentionOn<Bf16>(checked);
    } else {
      *out = new AttentionOn<float>(checked);
    }
  });
}

void headlane_attention_destroy(headlane_attention* attention) { delete attention; }

headlane_status headlane_attention_set_cancelled(headlane_attention* attention, int32_t cancelled) {
  return guarded([&] {
    require(attention, "attention");
    attention->set_cancelled(cancelled != 0);
  });
}

headlane_status headlane_attention_run(headlane_attention* attention,
                                       const headlane_attention_batch* batch) {
  return guarded([&] {
    require(attention, "attention");
    require(batch, "batch");
    attention->run(read_struct(batch, "headlane_attention_batch"));
  });
}
