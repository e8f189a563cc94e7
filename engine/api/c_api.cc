// The C API: arguments checked, structs of any age read, exceptions turned into status and message.
// No work of its own.
#include "engine/api/c_api.h"

#include <cstdio>
#include <cstring>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include "engine/base/error.h"
#include "engine/file/json_fields.h"
#include "engine/import/convert.h"
#include "engine/spec/isa.h"
#include "kernels/slots.h"

using headlane::fail;
using headlane::Status;
using namespace headlane::c_api;  // NOLINT(google-build-using-namespace): what this file is of

namespace {

static_assert(static_cast<int>(Status::kInvalidArgument) == HEADLANE_INVALID_ARGUMENT);
static_assert(static_cast<int>(Status::kIo) == HEADLANE_IO);
static_assert(static_cast<int>(Status::kBadFile) == HEADLANE_BAD_FILE);
static_assert(static_cast<int>(Status::kUnsupported) == HEADLANE_UNSUPPORTED);
static_assert(static_cast<int>(Status::kOutOfMemory) == HEADLANE_OUT_OF_MEMORY);
static_assert(static_cast<int>(Status::kTooLarge) == HEADLANE_TOO_LARGE);
static_assert(static_cast<int>(Status::kInternal) == HEADLANE_INTERNAL);
static_assert(static_cast<int>(Status::kCancelled) == HEADLANE_CANCELLED);
static_assert(static_cast<int>(headlane::LogLevel::kInfo) == HEADLANE_LOG_INFO);
static_assert(static_cast<int>(headlane::LogLevel::kWarning) == HEADLANE_LOG_WARNING);

headlane::Limits limits_of(const headlane_model* model, const headlane_session_options& options) {
  const Threads threads = read_threads(options.n_threads, options.pool);
  return session_limits(*model->model, {.max_tokens = options.max_tokens,
                                        .max_seqs = options.max_seqs,
                                        .max_len = options.max_len,
                                        .n_threads = threads.count,
                                        .cross_attention = options.cross_attention != 0,
                                        .max_kv_tokens = options.max_kv_tokens,
                                        .precision = options.precision ? options.precision : ""});
}

headlane::Log read_log(headlane_log log, void* user) {
  const auto tell = [](void (*host)(), void* to, headlane::LogLevel level, const char* message) {
    reinterpret_cast<headlane_log>(host)(to, static_cast<headlane_log_level>(level), message);
  };
  return log ? headlane::Log(tell, reinterpret_cast<void (*)()>(log), user) : headlane::Log();
}

headlane::Pooling read_pooling(const std::string& name) {
  using headlane::Pooling;
  for (const Pooling pooling : {Pooling::kNone, Pooling::kMean, Pooling::kCls, Pooling::kMax}) {
    if (name == name_of(pooling)) return pooling;
  }
  fail(Status::kInvalidArgument, "pooling is \"%s\"; it must be one of: none, mean, cls, max",
       headlane::printable(name).c_str());
}

headlane::ConvertOptions convert_options(const headlane_convert_options& options) {
  headlane::ConvertOptions result;
  const std::string precision = options.precision ? options.precision : "";
  if (precision == "auto") {
    fail(Status::kInvalidArgument, "a file's precision is of no machine: \"auto\" is none");
  }
  result.precision =
      headlane::choose_precision(precision, headlane::kernels_for(""), headlane::Precision::kF32);
  result.log = read_log(options.log, options.log_user);
  if (options.pooling) result.pooling = read_pooling(options.pooling);
  if (options.higher_precision == nullptr) return result;
  result.higher_precision.emplace();
  for (int64_t i = 0; i < options.n_higher_precision; ++i) {
    require(options.higher_precision[i], "an element of higher_precision");
    result.higher_precision->emplace_back(options.higher_precision[i]);
  }
  return result;
}

// The instruction set that brought what a table has in a slot.
std::string origin_of(const headlane::kernels::Table& table, const headlane::kernels::Slot& slot) {
  if (slot.address(table) == 0) return "none (f32 instead)";
  for (const headlane::kernels::Table* other : headlane::kernels::supported()) {
    if (slot.address(*other) == slot.address(table)) return other->isa;
  }
  return table.isa;
}

std::string describe_kernels(const headlane::kernels::Table& table) {
  std::string text;
  for (const headlane::kernels::ProductKind& kind : headlane::kernels::kProductKinds) {
    const headlane::kernels::Product& product = table.product(kind.precision);
    text += std::string("gemm_") + kind.name + ": " + (product.name ? product.name : "none");
    if (product.nr > 0 && product.nr != headlane::kernels::Product::kAllColumns) {
      text += " " + std::to_string(product.mr) + "x" + std::to_string(product.nr);
    }
    text += product.native || product.name == nullptr ? "\n" : " (widened)\n";
  }
  const auto amx = headlane::kernels::amx_state();
  text += "amx: ";
  text += amx == headlane::kernels::AmxState::kUsable    ? "usable\n"
          : amx == headlane::kernels::AmxState::kRefused ? "refused to this process by the system\n"
                                                         : "not of this CPU\n";
  for (const headlane::kernels::Slot& slot : headlane::kernels::kSlots) {
    if (!slot.is_size()) text += std::string(slot.name) + ": " + origin_of(table, slot) + "\n";
  }
  return text;
}

}  // namespace

headlane::c_api::Threads headlane::c_api::read_threads(int32_t n_threads,
                                                       const headlane_thread_pool* pool) {
  constexpr int kMostThreads = 1024;
  const auto check = [](const char* name, int n) {
    if (n >= 0 && n <= kMostThreads) return;
    fail(Status::kInvalidArgument, "%s is %d; it must be from 0 to %d", name, n, kMostThreads);
  };
  check("n_threads", n_threads);
  if (pool == nullptr) return {n_threads, {}};
  const auto read = read_struct(pool, "headlane_thread_pool");
  if (read.parallel_for == nullptr) fail(Status::kInvalidArgument, "pool.parallel_for is null");
  check("pool.n_threads", read.n_threads);
  if (read.n_threads == 0) fail(Status::kInvalidArgument, "pool.n_threads is 0");
  return {n_threads ? n_threads : read.n_threads, {read.parallel_for, read.user}};
}

headlane::ModelOptions headlane::c_api::model_options(const headlane_model_options& options) {
  const auto text = [](const char* given, const char* otherwise) {
    return given ? given : otherwise;
  };
  const Threads threads = read_threads(options.n_threads, options.pool);
  return {text(options.isa, ""),
          text(options.gemm, "headlane"),
          text(options.precision, ""),
          threads.count,
          threads.pool,
          read_log(options.log, options.log_user)};
}

headlane_model* headlane::c_api::new_model(std::unique_ptr<headlane::Model> made) {
  std::string kernels = describe_kernels(made->kernels());
  return new headlane_model{std::move(made), std::move(kernels)};
}

const char* headlane_version(void) { return HEADLANE_VERSION; }

const char* headlane_status_name(headlane_status status) {
  switch (status) {
    case HEADLANE_OK:
      return "ok";
    case HEADLANE_INVALID_ARGUMENT:
      return "invalid argument";
    case HEADLANE_IO:
      return "input/output error";
    case HEADLANE_BAD_FILE:
      return "bad file";
    case HEADLANE_UNSUPPORTED:
      return "unsupported";
    case HEADLANE_OUT_OF_MEMORY:
      return "out of memory";
    case HEADLANE_TOO_LARGE:
      return "too large";
    case HEADLANE_INTERNAL:
      return "internal error";
    case HEADLANE_CANCELLED:
      return "cancelled";
  }
  return "unknown status";
}

headlane_status headlane_model_open(const char* path, const headlane_model_options* options,
                                    headlane_model** out) {
  return guarded([&] {
    require(path, "path");
    require(out, "out");
    const headlane_model_options read = read_struct(options, "headlane_model_options");
    *out = new_model(headlane::Model::open(path, model_options(read)));
  });
}

void headlane_model_destroy(headlane_model* model) { delete model; }

headlane_status headlane_model_get_facts(const headlane_model* model, headlane_model_facts* out) {
  return guarded([&] {
    require(model, "model");
    const headlane::Model& m = *model->model;
    const headlane::ModelConfig& config = m.config();
    const headlane::StackConfig& stack = config.first_stack();
    headlane_model_facts facts{};
    facts.architecture = config.architecture.c_str();
    facts.activation = name_of(stack.activation);
    facts.pooling = name_of(config.head.pooling);
    facts.isa = m.kernels().isa;
    facts.gemm = m.kernels().gemm;
    facts.n_layers = config.encoder.n_layers;
    facts.d_model = config.d_model;
    facts.n_heads = stack.attention.n_heads;
    facts.head_dim = stack.attention.head_dim;
    facts.d_ff = config.encoder.d_ff;
    facts.vocab_size = config.encoder.vocab_size;
    facts.max_positions = stack.max_positions;
    facts.max_seq_len = config.max_seq_len;
    facts.n_types = config.encoder.n_types;
    facts.norm_eps = stack.norm_eps;
    facts.normalize = config.head.normalize ? 1 : 0;
    facts.has_tokenizer = m.tokenizer() ? 1 : 0;
    facts.n_parameters = m.n_parameters();
    facts.file_bytes = m.container().file_bytes();
    facts.packed_bytes = m.packed_bytes();
    facts.n_tensors = static_cast<int64_t>(m.container().tensors().size());
    facts.kdim = config.kdim;
    facts.vdim = config.vdim;
    facts.n_kv_heads = stack.attention.n_kv_heads;
    facts.norm = name_of(stack.norm);
    facts.residual = stack.residual ? 1 : 0;
    facts.final_norm = stack.final_norm ? 1 : 0;
    facts.batch_first = config.batch_first ? 1 : 0;
    facts.precision = name_of(m.precision());
    facts.file_precision = name_of(m.file_precision());
    facts.auto_precision =
        name_of(headlane::choose_precision("auto", m.kernels(), headlane::Precision::kF32));
    const headlane::StackConfig& decoder = config.decoder;
    facts.n_decoder_layers = decoder.n_layers;
    facts.n_decoder_heads = decoder.attention.n_heads;
    facts.decoder_d_ff = decoder.d_ff;
    if (config.generates()) {
      facts.has_decoder = 1;
      facts.decoder_vocab_size = decoder.vocab_size;
      facts.max_target_len = decoder.max_positions;
      facts.max_new_tokens = config.generation.max_new_tokens;
      facts.n_beams = config.generation.n_beams;
      facts.start_id = config.generation.start_id;
      facts.forced_first_id = config.generation.forced_first_id;
    }
    facts.n_prompts = std::ssize(config.prompts.texts);
    facts.default_prompt = config.prompts.default_text().c_str();
    if (m.tokenizer()) facts.n_languages = std::ssize(m.tokenizer()->languages());
    write_struct(facts, out, "headlane_model_facts");
  });
}

headlane_status headlane_model_get_tensor(const headlane_model* model, int64_t i,
                                          headlane_tensor_facts* out) {
  return guarded([&] {
    require(model, "model");
    const auto& tensors = model->model->container().tensors();
    if (i < 0 || i >= static_cast<int64_t>(tensors.size())) {
      fail(Status::kInvalidArgument, "tensor index i is %lld; the file has %zu tensors",
           static_cast<long long>(i), tensors.size());
    }
    const headlane::TensorInfo& tensor = tensors[static_cast<size_t>(i)];
    headlane_tensor_facts facts{};
    facts.name = tensor.name.c_str();
    facts.dtype = name_of(tensor.dtype);
    facts.rank = static_cast<int64_t>(tensor.shape.size());
    facts.shape = tensor.shape.data();
    facts.bytes = tensor.bytes;
    write_struct(facts, out, "headlane_tensor_facts");
  });
}

headlane_status headlane_isa(const char* isa, const char** out) {
  return guarded([&] {
    require(out, "out");
    *out = headlane::kernels_for(isa ? isa : "").isa;
  });
}

const char* headlane_isa_names(void) {
  static const std::string kNames = headlane::kernels::isa_names();
  return kNames.c_str();
}

const char* headlane_model_kernels(const headlane_model* model) {
  return model ? model->kernels.c_str() : nullptr;
}

headlane_status headlane_session_bytes(const headlane_model* model,
                                       const headlane_session_options* options, size_t* out) {
  return guarded([&] {
    require(model, "model");
    require(out, "out");
    const auto read = read_struct(options, "headlane_session_options");
    *out = headlane::Session::bytes(*model->model, limits_of(model, read));
  });
}

headlane_status headlane_session_create(headlane_model* model,
                                        const headlane_session_options* options,
                                        headlane_session** out) {
  return guarded([&] {
    require(model, "model");
    require(out, "out");
    const auto read = read_struct(options, "headlane_session_options");
    const headlane::Limits limits = limits_of(model, read);
    check_memory(read.memory, read.memory_bytes, headlane::Session::bytes(*model->model, limits));
    const Threads threads = read_threads(read.n_threads, read.pool);
    *out =
        new headlane_session{headlane::Session(*model->model, limits, read.memory, threads.pool)};
    model->model->log().info("session: %lld tokens, sequences to %lld, %lld %s, products in %s",
                             static_cast<long long>(limits.max_tokens),
                             static_cast<long long>(limits.max_len),
                             static_cast<long long>(limits.n_threads),
                             threads.pool.parallel_for ? "tasks on the caller's pool" : "threads",
                             name_of(limits.precision));
  });
}

headlane_status headlane_session_set_cancelled(headlane_session* session, int32_t cancelled) {
  return guarded([&] {
    require(session, "session");
    session->session.set_cancelled(cancelled != 0);
  });
}

void headlane_session_destroy(headlane_session* session) { delete session; }

headlane_status headlane_session_profile(headlane_session* session, int32_t on) {
  return guarded([&] {
    require(session, "session");
    session->session.profile().set(on != 0);
  });
}

namespace {

// Index i of `n` passes or threads.
size_t checked_index(const char* name, int64_t i, int64_t n) {
  if (i >= 0 && i < n) return static_cast<size_t>(i);
  fail(Status::kInvalidArgument, "%s is %lld; the session has %lld of them", name,
       static_cast<long long>(i), static_cast<long long>(n));
}

}  // namespace

headlane_status headlane_session_get_pass(const headlane_session* session, int64_t i,
                                          headlane_pass_facts* out) {
  return guarded([&] {
    require(session, "session");
    const auto& passes = session->session.profile().passes();
    const auto n = static_cast<int64_t>(passes.size());
    const headlane::PassProfile& pass = passes[checked_index("pass", i, n)];
    headlane_pass_facts facts{};
    facts.name = pass.name.c_str();
    facts.n_passes = n;
    facts.n_runs = pass.n_runs;
    facts.seconds = pass.seconds;
    facts.flops = pass.flops;
    facts.weight_bytes = pass.weight_bytes;
    facts.block_rows = pass.block_rows;
    facts.activation_bytes = pass.activation_bytes;
    facts.n_threads = session->session.profile().n_threads();
    write_struct(facts, out, "headlane_pass_facts");
  });
}

headlane_status headlane_session_get_span(const headlane_session* session, int64_t pass,
                                          int64_t thread, headlane_pass_span* out) {
  return guarded([&] {
    require(session, "session");
    const headlane::Profile& profile = session->session.profile();
    const auto n = static_cast<int64_t>(profile.passes().size());
    const headlane::TimeSpan& span =
        profile.span(checked_index("pass", pass, n),
                     static_cast<int64_t>(checked_index("thread", thread, profile.n_threads())));
    write_struct(headlane_pass_span{.struct_size = 0, .begin = span.begin, .end = span.end}, out,
                 "headlane_pass_span");
  });
}

headlane_status headlane_session_encode(headlane_session* session, const headlane_batch* batch,
                                        const headlane_outputs* outputs) {
  return guarded([&] {
    require(session, "session");
    require(batch, "batch");
    require(outputs, "outputs");
    const auto in = read_struct(batch, "headlane_batch");
    const auto out = read_struct(outputs, "headlane_outputs");
    const headlane::ModelConfig& config = session->session.model().config();
    const headlane::LayerMaps maps =
        read_maps(out.attention, config.encoder.n_layers, config.encoder.attention.n_heads);
    session->session.encode({in.n_seqs, in.offsets, in.ids, in.type_ids}, out.hidden, out.pooled,
                            out.attention ? &maps : nullptr);
  });
}

headlane_status headlane_convert(const char* path, const char* out_path,
                                 const headlane_convert_options* options) {
  return guarded([&] {
    require(path, "path");
    require(out_path, "out_path");
    headlane::convert_model(path, out_path,
                            convert_options(read_struct(options, "headlane_convert_options")));
  });
}
