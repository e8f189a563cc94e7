#include "tools/headlane/command/info.h"

#include <memory>
#include <sstream>

#include "tools/headlane/commands.h"
#include "tools/headlane/options/common_options.h"
#include "tools/headlane/output/json_number.h"
#include "tools/headlane/output/report.h"
#include "tools/headlane/output/standard_streams.h"
#include "tools/headlane/text/languages.h"

namespace tool {
namespace {

std::string shape_text(const headlane_tensor_facts& tensor) {
  std::string text;
  for (int i = 0; i < tensor.rank; ++i) {
    if (i > 0) text += ", ";
    text += std::to_string(tensor.shape[i]);
  }
  return text;
}

void add_tensors(const Model& model, int64_t n_tensors, Report* report) {
  std::string title = "\n";  // gcc 12 warns of a literal + a temporary
  title += std::to_string(n_tensors) + " tensors";
  report->add_line(title);
  for (int64_t i = 0; i < n_tensors; ++i) {
    const headlane::TensorFacts tensor = model.tensor(i);
    report->add_line("  " + padded(tensor.name, 36) + " " + padded(tensor.dtype, 4) + " [" +
                     shape_text(tensor) + "]  " + std::to_string(tensor.bytes) + " bytes");
  }
}

// The one that is put before texts unless another is asked for is the default.
void add_prompt_facts(const Model& model, int64_t n_prompts, Report* report) {
  report->add_line("\nprompts");
  for (int64_t i = 0; i < n_prompts; ++i) {
    const headlane::PromptFacts prompt = model.prompt(i);
    report->add_line("  " + padded(prompt.name, 20) + " " + Json(prompt.text).dump() +
                     (prompt.is_default != 0 ? "  (put before texts by default)" : ""));
  }
}

void add_labels(const Model& model, int64_t n_labels, Report* report) {
  report->add_line("\nlabels");
  for (int64_t i = 0; i < n_labels; ++i) {
    const headlane::LabelFacts label = model.label(i);
    report->add_line("  " + Json(label.name).dump() +
                     (label.is_entailment != 0 ? "  (entailment: classify --labels works)" : ""));
  }
}

void add_kernels(const Model& model, Report* report) {
  report->add_line("\nkernels on this machine");
  std::istringstream lines{std::string(model.kernels())};
  for (std::string line; std::getline(lines, line);) {
    const size_t colon = line.find(": ");
    report->add_line("  " + padded(line.substr(0, colon), 20) + " " + line.substr(colon + 2));
  }
}

// The names of a few languages, the number of many.
std::string languages_text(const std::vector<std::string>& names) {
  constexpr size_t kMostNames = 20;
  if (names.size() > kMostNames) return std::to_string(names.size());
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : " ") + name;
  return text;
}

void add_text_facts(const headlane_model_facts& f, Report* report) {
  report->add("vocab_size", f.vocab_size);
  report->add("n_types", f.n_types);
  report->add("max_positions", f.max_positions);
  report->add("max_seq_len", f.max_seq_len);
  report->add("pooling", f.pooling);
  report->add("normalize", f.normalize != 0);
  if (f.d_vector > 0 && f.d_vector != f.d_model) report->add("d_vector", f.d_vector);
  if (f.d_embedding != f.d_vector) report->add("d_embedding", f.d_embedding);
  if (f.leaves_out_prompt != 0) report->add("leaves_out_prompt", true);
  if (f.d_vector > 0) report->add("similarity", f.similarity);
  report->add("n_labels", f.n_labels);
  report->add("outcome", f.outcome);
  report->add("tokenizer", f.has_tokenizer != 0);
}

void add_layer_facts(const headlane_model_facts& f, Report* report) {
  report->add("n_kv_heads", f.n_kv_heads);
  report->add("kdim", f.kdim);
  report->add("vdim", f.vdim);
  report->add("norm", f.norm);
  report->add("residual", f.residual != 0);
  report->add("final_norm", f.final_norm != 0);
  report->add("batch_first", f.batch_first != 0);
  report->add("max_positions", f.max_positions);
}

void add_decoder_facts(const headlane_model_facts& f, Report* report) {
  report->add("n_decoder_layers", f.n_decoder_layers);
  report->add("n_decoder_heads", f.n_decoder_heads);
  report->add("decoder_d_ff", f.decoder_d_ff);
  if (f.has_decoder == 0) return;
  report->add("decoder_vocab_size", f.decoder_vocab_size);
  report->add("max_target_len", f.max_target_len);
  report->add("max_new_tokens", f.max_new_tokens);
  report->add("n_beams", f.n_beams);
}

// The memory that one sequence of a language model takes, beside the weights.
struct ContextMemory {
  int64_t token_bytes = 0;  // of the cache
  int64_t context = 0, bytes = 0;
};

int64_t token_bytes_of(const headlane_model_facts& f, const std::string& cache) {
  if (cache == "f32") return f.cache_token_bytes_f32;
  if (cache == "bf16") return f.cache_token_bytes_bf16;
  return cache == "int8" ? f.cache_token_bytes_int8 : f.cache_token_bytes;
}

bool is_language_model(const headlane_model_facts& f) {
  return f.has_decoder != 0 && f.n_layers == 0;
}

ContextMemory memory_of(const Model& model, const InfoOptions& options) {
  const int64_t most = model.facts().max_positions;
  if (options.context > most) {
    throw std::runtime_error("--context is " + std::to_string(options.context) +
                             ", and the model has room for " + std::to_string(most) + " tokens");
  }
  ContextMemory memory;
  memory.token_bytes = token_bytes_of(model.facts(), options.run.cache);
  memory.context = options.context > 0 ? options.context : most;
  headlane::SequencesOptions limits;
  limits.max_sequences = 1;
  limits.max_len = memory.context;
  limits.max_tokens = memory.context;
  limits.cache = options.run.cache_or_null();
  memory.bytes = static_cast<int64_t>(headlane::Sequences::bytes(model, limits));
  return memory;
}

void add_memory_facts(const headlane_model_facts& f, const ContextMemory& memory, Report* report) {
  report->add("cache_token_bytes", memory.token_bytes);
  report->add("context", memory.context);
  report->add("context_bytes", memory.bytes);
  report->add("memory_bytes", f.packed_bytes + memory.bytes);
}

// Only of a file with panels: whether they are those that this machine reads.
void add_panel_facts(const headlane_model_facts& f, Report* report) {
  report->add("n_panels", f.n_panels);
  const std::string all = std::to_string(f.n_products);
  report->add("packed_in_file", f.n_stored_products == f.n_products
                                    ? "all " + all + " products, as this machine reads them"
                                    : std::to_string(f.n_stored_products) + " of " + all +
                                          " products; this machine packs the others anew");
}

// Prints the library's facts, and the file that they describe.
void print_json(const Model& model, const InfoOptions& options) {
  Json facts = Json::parse(model.json());
  facts.set("file", options.run.model_path);
  if (is_language_model(model.facts())) {
    const ContextMemory memory = memory_of(model, options);
    facts.set("cache_token_bytes", memory.token_bytes, "context", memory.context, "context_bytes",
              memory.bytes, "memory_bytes", model.facts().packed_bytes + memory.bytes);
  }
  print(facts.dump(2) + "\n");
}

void info(const InfoOptions& options) {
  const Model model = open_sizes(options.run);
  if (options.context > 0 || !options.run.cache.empty()) {
    check_language_model(model.facts(), options.run.model_path);
  }
  if (options.as_json) return print_json(model, options);
  const headlane::ModelFacts f = model.facts();
  Report report;
  report.add("file", options.run.model_path);
  report.add("architecture", f.architecture);
  report.add("n_layers", f.n_layers);
  report.add("d_model", f.d_model);
  report.add("n_heads", f.n_heads);
  report.add("head_dim", f.head_dim);
  report.add("d_ff", f.d_ff);
  report.add("activation", f.activation);
  report.add("norm_eps", as_written(f.norm_eps));
  // A model's facts depend on its input: token ids, or activations.
  f.vocab_size > 0 ? add_text_facts(f, &report) : add_layer_facts(f, &report);
  if (f.has_decoder != 0 || f.n_decoder_layers > 0) add_decoder_facts(f, &report);
  if (f.n_languages > 0) {
    const std::vector<std::string> names = language_names(model);
    report.add("languages", languages_text(names));
  }
  report.add("n_parameters", f.n_parameters);
  report.add("file_bytes", f.file_bytes);
  report.add("packed_bytes", f.packed_bytes);
  if (f.n_panels > 0) add_panel_facts(f, &report);
  if (is_language_model(f)) add_memory_facts(f, memory_of(model, options), &report);
  report.add("file_precision", f.file_precision);
  report.add("precision", f.precision);
  report.add("auto_precision", f.auto_precision);
  report.add("isa", f.isa);
  if (f.n_prompts > 0) add_prompt_facts(model, f.n_prompts, &report);
  if (f.n_labels > 0) add_labels(model, f.n_labels, &report);
  add_kernels(model, &report);
  add_tensors(model, f.n_tensors, &report);
  report.print(false);
}

}  // namespace

void declare_info(Command* command) {
  const auto options = std::make_shared<InfoOptions>();
  command->file("FILE", &options->run.model_path, "A .headlane file")->required();
  command->flag("--json", &options->as_json, "Print JSON");
  command->flag("--check", &options->check,
                "Read all of the file instead: its checksum, and weights that are NaN or infinite; "
                "exit status 1 if something is wrong");
  command->integer("--context", &options->context, 1, kMostCount,
                   "Of a language model: the memory for a sequence of this many tokens");
  add_cache(command, &options->run);
  add_isa(command, &options->run.isa);
  add_precision(command, &options->run.precision);
  command->run = [options] { options->check ? check_file(*options) : info(*options); };
}

}  // namespace tool
