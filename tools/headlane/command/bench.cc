// headlane bench: the speed of a model on this machine, case by case and pass by pass, beside what
// the machine can do.
#include <sched.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <memory>
#include <optional>
#include <random>

#include "bench/machine.h"
#include "tools/headlane/command/trace.h"
#include "tools/headlane/commands.h"
#include "tools/headlane/options/common_options.h"
#include "tools/headlane/output/json.h"
#include "tools/headlane/output/output_file.h"

namespace tool {
namespace {

using Clock = std::chrono::steady_clock;
using headlane::bench::Limits;

struct BenchOptions {
  RunOptions run;
  std::vector<std::string> cases;  // "8x128": sequences x tokens; none: usual ones
  double seconds = 1;              // for each case
  bool profile = false;            // pass by pass
  std::string trace;               // a file for the timeline of each case's last run; "": none
  bool as_json = false;
};

struct Case {
  int64_t n_seqs = 0, n_tokens = 0;  // sequences, and tokens of each
  std::string name() const { return std::to_string(n_seqs) + "x" + std::to_string(n_tokens); }
  int64_t all_tokens() const { return n_seqs * n_tokens; }
};

// "8x128": 8 sequences of 128 tokens
Case parse_case(const std::string& text, int64_t max_positions) {
  Case parsed;
  const char* end = text.data() + text.size();
  const auto [x, error] = std::from_chars(text.data(), end, parsed.n_seqs);
  const bool has_x = error == std::errc() && x < end && *x == 'x';
  const auto [last, error_2] =
      has_x ? std::from_chars(x + 1, end, parsed.n_tokens) : std::from_chars_result{x, error};
  constexpr int64_t kMostSeqs = 1 << 20;
  if (!has_x || error_2 != std::errc() || last != end || parsed.n_seqs < 1 ||
      parsed.n_seqs > kMostSeqs || parsed.n_tokens < 1) {
    throw UsageError("case \"" + text + "\" is not SEQUENCESxTOKENS, such as 8x128");
  }
  if (parsed.n_tokens > max_positions) {
    throw std::runtime_error("case " + text + ": the model takes at most " +
                             std::to_string(max_positions) + " tokens in a sequence");
  }
  return parsed;
}

struct Pass {
  std::string name;
  double seconds = 0, flops = 0, weight_bytes = 0;  // of one run
  double activation_bytes = 0;                      // likewise
  int64_t block_rows = 0;
};

struct Result {
  Case shape;
  double median = 0, least = 0, most = 0;  // seconds of one run
  int64_t n_runs = 0;
  std::vector<Pass> passes;
  double flops() const {
    double sum = 0;
    for (const Pass& pass : passes) sum += pass.flops;
    return sum;
  }
};

// Random input of a case, and the call that runs it.
class Runner {
 public:
  Runner(const Model& model, const headlane_model_facts& facts, const Case& shape, int n_threads)
      : takes_ids_(facts.vocab_size > 0),
        needs_keys_(!takes_ids_ && facts.n_decoder_layers > 0),
        session_(create(model, shape, n_threads)) {
    for (int64_t i = 0; i <= shape.n_seqs; ++i) offsets_.push_back(i * shape.n_tokens);
    const auto n = static_cast<size_t>(shape.all_tokens());
    std::mt19937 random(1);
    if (takes_ids_) {
      std::uniform_int_distribution<int32_t> id(0, static_cast<int32_t>(facts.vocab_size) - 1);
      std::vector<int32_t> ids(static_cast<size_t>(shape.n_tokens));
      for (int64_t seq = 0; seq < shape.n_seqs; ++seq) {
        for (int32_t& one : ids) one = id(random);
        batch_.add(ids);
      }
    } else {
      std::normal_distribution<float> normal;
      for (size_t i = 0; i < n * static_cast<size_t>(facts.d_model); ++i)
        x_.push_back(normal(random));
    }
    out_.resize(n * static_cast<size_t>(facts.d_model));
  }

  Session* session() { return &session_; }

  void run() {
    if (takes_ids_) return session_.encode(batch_, out_);
    headlane::ForwardBatch batch;
    batch.n_seqs = static_cast<int64_t>(offsets_.size()) - 1;
    batch.q_offsets = offsets_.data();
    batch.x.data = x_.data();
    if (needs_keys_) {  // a decoder's, as many as there are rows of x
      batch.kv_offsets = offsets_.data();
      batch.key.data = x_.data();
    }
    batch.out.data = out_.data();
    session_.forward(batch);
  }

 private:
  static Session create(const Model& model, const Case& shape, int n_threads) {
    headlane::SessionOptions options;
    options.max_tokens = shape.all_tokens();
    options.max_seqs = shape.n_seqs;
    options.max_len = shape.n_tokens;
    options.n_threads = n_threads;
    return Session(model, options);
  }

  bool takes_ids_, needs_keys_;
  Session session_;
  Batch batch_;                   // of a model that takes ids
  std::vector<int64_t> offsets_;  // of one that takes activations, as x_
  std::vector<float> x_, out_;
};

std::vector<Pass> passes_of(const Session& session) {
  std::vector<Pass> passes;
  const int64_t n_passes = session.pass(0).n_passes;
  for (int64_t i = 0; i < n_passes; ++i) {
    const headlane::PassFacts facts = session.pass(i);
    if (facts.n_runs == 0) continue;  // such as pooling, which this does not ask for
    const auto n = static_cast<double>(facts.n_runs);
    passes.push_back({facts.name, facts.seconds / n, facts.flops / n, facts.weight_bytes,
                      facts.activation_bytes / n, facts.block_rows});
  }
  return passes;
}

Result measure(Runner* runner, const Case& shape, double seconds) {
  for (int i = 0; i < 3; ++i) runner->run();
  runner->session()->profile(true);
  std::vector<double> times;
  const Clock::time_point start = Clock::now();
  const auto since = [](Clock::time_point t) {
    return std::chrono::duration<double>(Clock::now() - t).count();
  };
  while (times.size() < 5 || since(start) < seconds) {
    const Clock::time_point begin = Clock::now();
    runner->run();
    times.push_back(since(begin));
  }
  Result result;
  result.shape = shape;
  result.n_runs = static_cast<int64_t>(times.size());
  result.passes = passes_of(*runner->session());
  std::sort(times.begin(), times.end());
  result.median = times[times.size() / 2];
  result.least = times.front();
  result.most = times.back();
  return result;
}

// CPUs that this process may run on: what a session takes for 0 threads.
int available_cpus() {
  cpu_set_t set;
  return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
}

// Bytes of weights that a run reads: all of them for each block of rows.
double weight_bytes(const Pass& pass, const Case& shape) {
  if (pass.block_rows == 0) return 0;
  const double blocks =
      static_cast<double>(shape.all_tokens()) / static_cast<double>(pass.block_rows);
  return std::max(1.0, blocks) * pass.weight_bytes;
}

// Multiplications and additions a second of a core in what a pass is computed in: where products
// are int8, attention is bf16.
double ops_limit(const Pass& pass, const Limits& limits, const std::string& precision) {
  const bool is_attention = pass.name == "attention";
  return limits.ops(is_attention && precision == "int8" ? "bf16" : precision);
}

// The bound of a pass is its arithmetic, or its weights and activations from where they lie. The
// first block of rows finds the weights where those of the whole model fit (`all_weights` bytes),
// later ones where those of the pass do.
double bound_seconds(const Pass& pass, const Case& shape, double all_weights, const Limits& limits,
                     const std::string& precision, int n_threads) {
  const auto rate = [&](double bytes) { return limits.read(static_cast<int64_t>(bytes)); };
  const double first = pass.block_rows > 0 ? pass.weight_bytes : 0;
  const double reading = first / rate(all_weights) +
                         (weight_bytes(pass, shape) - first) / rate(pass.weight_bytes) +
                         pass.activation_bytes / rate(pass.activation_bytes);
  return std::max(pass.flops / ops_limit(pass, limits, precision), reading) / n_threads;
}

void print_passes(const Result& result, const Limits& limits, const std::string& precision,
                  int n_threads) {
  // Equal passes of a model's layers are one line.
  struct Line {
    Pass sum;
    double bytes = 0, bound = 0;
    int n = 0;
  };
  std::vector<Line> lines;
  double all = 0, all_weights = 0;
  for (const Pass& pass : result.passes) {
    all += pass.seconds;
    all_weights += pass.weight_bytes;
  }
  for (const Pass& pass : result.passes) {
    auto line = std::find_if(lines.begin(), lines.end(), [&](const Line& other) {
      return other.sum.name == pass.name && other.sum.weight_bytes == pass.weight_bytes;
    });
    if (line == lines.end()) {
      lines.push_back({pass});
      line = std::prev(lines.end());
    } else {
      line->sum.seconds += pass.seconds;
      line->sum.flops += pass.flops;
    }
    line->bytes += weight_bytes(pass, result.shape) + pass.activation_bytes;
    line->bound += bound_seconds(pass, result.shape, all_weights, limits, precision, n_threads);
    ++line->n;
  }
  for (const Line& line : lines) {
    const Pass& pass = line.sum;
    std::printf("    %5.1f %%  %9.3f ms  %7.1f GFLOP/s  %8.1f MB  %3.0f %% of its bound  %dx %s\n",
                100 * pass.seconds / all, 1e3 * pass.seconds, pass.flops / pass.seconds / 1e9,
                line.bytes / 1e6, 100 * line.bound / pass.seconds, line.n, pass.name.c_str());
  }
}

Json to_json(const Result& result) {
  Json passes = Json::array();
  for (const Pass& pass : result.passes) {
    passes.add(Json::object("name", pass.name,                          //
                            "seconds", pass.seconds,                    //
                            "flops", pass.flops,                        //
                            "weight_bytes", pass.weight_bytes,          //
                            "activation_bytes", pass.activation_bytes,  //
                            "block_rows", pass.block_rows));
  }
  return Json::object("case", result.shape.name(),          //
                      "median_s", result.median,            //
                      "least_s", result.least,              //
                      "most_s", result.most,                //
                      "n_runs", result.n_runs,              //
                      "flops", result.flops(),              //
                      "tokens", result.shape.all_tokens(),  //
                      "passes", std::move(passes));
}

Json to_json(const Limits& limits) {
  Json products = Json::array();
  for (const headlane::bench::ProductLimit& product : limits.products) {
    products.add(Json::object("precision", std::string(product.precision),      //
                              "instruction", std::string(product.instruction),  //
                              "ops", product.ops));
  }
  return Json::object("flops", limits.flops,                        //
                      "read_l1", limits.read_l1,                    //
                      "read_l2", limits.read_l2,                    //
                      "read_l3", limits.read_l3,                    //
                      "read_memory", limits.read_memory,            //
                      "l1_bytes", headlane::bench::level_bytes(1),  //
                      "l2_bytes", headlane::bench::level_bytes(2),  //
                      "l3_bytes", headlane::bench::level_bytes(3),  //
                      "products", std::move(products));
}

void print_limits(const std::string& isa, const Limits& limits, int n_threads) {
  std::printf(
      "%s, %d threads; of a core, all at work: %.0f GFLOP/s, GB/s from L1 %.0f, L2 %.0f, L3 %.0f, "
      "memory %.0f\n",
      isa.c_str(), n_threads, limits.flops / 1e9, limits.read_l1 / 1e9, limits.read_l2 / 1e9,
      limits.read_l3 / 1e9, limits.read_memory / 1e9);
  for (const headlane::bench::ProductLimit& product : limits.products) {
    std::printf("    %.*s products by %.*s: %.0f GOP/s\n",
                static_cast<int>(product.precision.size()), product.precision.data(),
                static_cast<int>(product.instruction.size()), product.instruction.data(),
                product.ops / 1e9);
  }
}

void print_result(const Result& result, const Limits& limits, const std::string& precision,
                  int n_threads) {
  const double rate = result.flops() / result.median;
  std::printf("%10s %10.3f %10.3f %10.3f %12.0f %10.1f %7.0f %%\n", result.shape.name().c_str(),
              1e3 * result.median, 1e3 * result.least, 1e3 * result.most,
              static_cast<double>(result.shape.all_tokens()) / result.median, rate / 1e9,
              100 * rate / (limits.ops(precision) * n_threads));
}

std::vector<Case> cases_of(const BenchOptions& options, const headlane_model_facts& facts) {
  std::vector<Case> cases;
  for (const std::string& text : options.cases) {
    cases.push_back(parse_case(text, facts.max_positions));
  }
  for (const Case& usual : {Case{1, 16}, {1, 128}, {8, 128}, {32, 128}, {1, 512}}) {
    if (options.cases.empty() && usual.n_tokens <= facts.max_positions) cases.push_back(usual);
  }
  return cases;
}

void bench(const BenchOptions& options) {
  const RunOptions& run = options.run;
  const int n_threads = run.n_threads > 0 ? run.n_threads : available_cpus();
  std::optional<Model> model;
  headlane::ModelFacts facts;
  std::string isa, precision;
  std::vector<Case> cases;
  if (run.model_path.empty()) {
    if (!options.cases.empty()) throw UsageError("a case needs a model; name one with -m");
    isa = headlane::isa(run.isa);
  } else {
    model = open_model(run);
    facts = model->facts();
    isa = facts.isa;
    precision = facts.precision;
    cases = cases_of(options, facts);
  }
  const Limits& limits = headlane::bench::limits(
      isa, n_threads, std::min(options.seconds, headlane::bench::kLimitSeconds));
  Json results = Json::array(), trace = Json::array();
  if (!options.as_json) print_limits(isa, limits, n_threads);
  if (!options.as_json && !cases.empty()) {
    std::printf("\"of limit\" is of products in %s: %.0f GFLOP/s a core\n", precision.c_str(),
                limits.ops(precision) / 1e9);
    std::printf("%10s %10s %10s %10s %12s %10s %9s\n", "case", "ms", "least", "most", "tokens/s",
                "GFLOP/s", "of limit");
  }
  for (const Case& shape : cases) {
    Runner runner(*model, facts, shape, n_threads);
    const Result result = measure(&runner, shape, options.seconds);
    const int n_traced = static_cast<int>(&shape - cases.data());
    trace.add_all(trace_events(*runner.session(), n_traced, shape.name()));
    if (options.as_json) {
      results.add(to_json(result));
      continue;
    }
    print_result(result, limits, precision, n_threads);
    if (options.profile) print_passes(result, limits, precision, n_threads);
  }
  if (!options.trace.empty()) {
    write_output(options.trace, Json::object("traceEvents", std::move(trace)).dump(1) + "\n");
  }
  if (!options.as_json) return;
  Json report = Json::object("isa", isa, "threads", n_threads, "limits", to_json(limits));
  if (!precision.empty()) report.set("precision", precision);
  report.set("cases", std::move(results));
  std::printf("%s\n", report.dump(2).c_str());
}

}  // namespace

void declare_bench(Command* command) {
  const auto options = std::make_shared<BenchOptions>();
  command->file("-m,--model", &options->run.model_path,
                "A .headlane file; without it, only the limits of the machine are measured");
  add_machine(command, &options->run);
  command->texts("CASE", &options->cases,
                 "SEQUENCESxTOKENS, such as 8x128; without any, usual ones");
  constexpr double kMostSeconds = 3600;
  command
      ->real("--seconds", &options->seconds, {0, kMostSeconds},
             "How long each case is measured; 0: 5 times, and each limit once")
      ->default_is("1");
  command->flag("--profile", &options->profile, "Print time, work and bound of each pass");
  command->flag("--json", &options->as_json, "Print JSON, passes included");
  command->file("--trace", &options->trace,
                "Write the last run of each case there, as a Chrome trace");
  command->run = [options] {
    if (options->trace == "-") {
      throw UsageError("--trace - would mix the trace with the report; name a file");
    }
    bench(*options);
  };
}

}  // namespace tool
