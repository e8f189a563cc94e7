// Files with their weights packed: read, mapped or packed anew, a model gives the same bits.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "tests/api/generator.h"
#include "tests/support/child.h"
#include "tests/support/lines.h"
#include "tests/support/safetensors_writer.h"
#include "tests/support/sanitizers.h"
#include "tests/support/temp_dir.h"

namespace headlane::test {
namespace {

namespace fs = std::filesystem;

constexpr const char* kPrecisionNames[] = {"f32", "bf16", "int8", "int8g", "int4"};
const std::string kLanguageModel = "language_models/llama_2",
                  kBert = "bert/head_dim_16_mean_normalize";

// How a file is opened.
struct Opening {
  bool map = false, verify = false;
  std::string isa;
};

class Pack : public testing::Test {
 protected:
  // The file packed for some instruction sets; none: the fastest.
  std::string packed(const std::string& path, const std::vector<const char*>& isas = {}) {
    const std::string to = dir_.file(std::to_string(++n_files_) + ".headlane");
    headlane_pack_options options = HEADLANE_INIT(headlane_pack_options);
    options.isas = isas.data();
    options.n_isas = static_cast<int64_t>(isas.size());
    check(headlane_pack(path.c_str(), to.c_str(), &options));
    return to;
  }

  headlane_status open(const std::string& path, const Opening& how, ModelHandle* model) {
    headlane_model_options options = HEADLANE_INIT(headlane_model_options);
    options.map = how.map ? 1 : 0;
    options.verify = how.verify ? 1 : 0;
    options.isa = how.isa.empty() ? nullptr : how.isa.c_str();
    options.log = [](void* user, headlane_log_level level, const char* message) {
      auto* log = static_cast<std::string*>(user);
      *log += (level == HEADLANE_LOG_WARNING ? "warning: " : "") + std::string(message) + "\n";
    };
    options.log_user = &log_;
    log_.clear();
    headlane_model* opened = nullptr;
    const headlane_status status = headlane_model_open(path.c_str(), &options, &opened);
    model->reset(opened);
    return status;
  }

  ModelHandle must_open(const std::string& path, const Opening& how = {}) {
    ModelHandle model;
    check(open(path, how, &model));
    return model;
  }

  // Hidden states and vectors of some sequences.
  static std::vector<float> encoded(headlane_model* model) {
    headlane_session* session = nullptr;
    check(headlane_session_create(model, nullptr, &session));
    const SessionHandle handle(session);
    Encoded out = encode(session, facts_of(model), {{1, 2, 3, 4, 5}, {6}, {7, 8, 9}});
    out.hidden.insert(out.hidden.end(), out.pooled.begin(), out.pooled.end());
    return out.hidden;
  }

  static Answers generated(headlane_model* model) {
    headlane_generator_options options = generator_options(3, 2);
    options.max_source_tokens = 64;
    options.max_new_tokens = 8;
    const GeneratorHandle generator = create_generator(model, options);
    return generate(generator.get(), {{5, 6, 7, 8}, {9}, {3, 2, 1}}, beams(2));
  }

  template <typename Compute>
  void expect_same_bits(const std::string& path, Compute compute) {
    const auto expected = compute(must_open(path).get());
    const std::string own = packed(path), other = packed(path, {"ref"});
    for (const bool map : {false, true}) {
      for (const std::string& file : {path, own, other}) {
        const ModelHandle model = must_open(file, {map, file == own});
        EXPECT_EQ(compute(model.get()), expected) << file << " " << map;
        const headlane_model_facts facts = facts_of(model.get());
        EXPECT_EQ(facts.n_panels > 0, file != path);
        if (file == own) {
          EXPECT_EQ(facts.n_stored_products, facts.n_products);
          EXPECT_EQ(facts.mapped_bytes, map ? facts.packed_bytes : 0);
          EXPECT_EQ(log_.find("packed anew"), std::string::npos) << log_;
        }
      }
    }
  }

  TempDir dir_;
  std::string log_;
  int n_files_ = 0;
};

TEST_F(Pack, GivesTheSameBitsReadMappedOrPackedAnew) {
  for (const char* precision : kPrecisionNames) {
    SCOPED_TRACE(precision);
    expect_same_bits(converted_golden(kBert, precision), encoded);
    expect_same_bits(converted_golden(kLanguageModel, precision), generated);
  }
}

TEST_F(Pack, OtherKernelsPackAnewAndSaySo) {
  const std::string path = converted_golden(kBert, "int8"), ref = packed(path, {"ref"});
  const headlane_model_facts fastest = facts_of(must_open(path).get());
  if (std::string(fastest.isa) == "ref") GTEST_SKIP() << "this machine has no other kernels";
  const ModelHandle model = must_open(ref, {true, false});
  EXPECT_NE(log_.find("warning: the file is packed for other kernels or another precision"),
            std::string::npos)
      << log_;
  EXPECT_LT(facts_of(model.get()).n_stored_products, facts_of(model.get()).n_products);
  const ModelHandle same = must_open(ref, {true, false, "ref"});
  EXPECT_EQ(facts_of(same.get()).n_stored_products, facts_of(same.get()).n_products);
  EXPECT_EQ(encoded(same.get()), encoded(must_open(path, {false, false, "ref"}).get()));
}

// A session of another precision than the file is packed for packs its own weights.
TEST_F(Pack, OtherPrecisionsArePackedAnew) {
  const std::string path = converted_golden(kBert, "f32"), own = packed(path);
  const auto in_bf16 = [&](const std::string& file, bool map) {
    const ModelHandle model = must_open(file, {map, false});
    headlane_session_options options = HEADLANE_INIT(headlane_session_options);
    options.precision = "bf16";
    headlane_session* session = nullptr;
    check(headlane_session_create(model.get(), &options, &session));
    const SessionHandle handle(session);
    return encode(session, facts_of(model.get()), {{1, 2, 3}}).hidden;
  };
  EXPECT_EQ(in_bf16(path, false), in_bf16(own, true));
}

TEST_F(Pack, MakesTheSameBytesAgain) {
  const std::string path = converted_golden(kLanguageModel, "int4"), own = packed(path);
  EXPECT_EQ(read_file(own), read_file(packed(path)));
  EXPECT_EQ(read_file(own), read_file(packed(own)));  // panels that it has are left out
  EXPECT_EQ(read_file(own), read_file(packed(packed(path, {"ref"}))));
  check(headlane_pack(own.c_str(), own.c_str(), nullptr));
  EXPECT_EQ(read_file(own), read_file(packed(path)));
}

TEST_F(Pack, RefusesInstructionSetsThatTheMachineLacks) {
  const std::string path = converted_golden(kBert, "f32"), to = dir_.file("to");
  headlane_pack_options options = HEADLANE_INIT(headlane_pack_options);
  const char* isa = "quantum";
  options.isas = &isa;
  options.n_isas = 1;
  expect_status(headlane_pack(path.c_str(), to.c_str(), &options), HEADLANE_INVALID_ARGUMENT,
                "quantum");
  if (!runs(path, "amx")) {
    isa = "amx";
    expect_status(headlane_pack(path.c_str(), to.c_str(), &options), HEADLANE_UNSUPPORTED, "amx");
  }
  options.isas = nullptr;
  expect_status(headlane_pack(path.c_str(), to.c_str(), &options), HEADLANE_INVALID_ARGUMENT,
                "n_isas is 1");
  EXPECT_FALSE(fs::exists(to));
}

// Panels are bytes behind the tensors: each that is damaged is found by who asks for it.
TEST_F(Pack, DamageIsFoundByWhoVerifies) {
  const std::string path = packed(converted_golden(kBert, "int4"));
  std::string bytes = read_file(path);
  bytes[bytes.size() - 100] ^= 1;
  write_file(path, bytes);
  ModelHandle model;
  EXPECT_EQ(open(path, {true, false}, &model), HEADLANE_OK) << headlane_error();
  for (const bool map : {false, true}) {
    expect_status(open(path, {map, true}, &model), HEADLANE_BAD_FILE, "checksum does not match");
  }
  headlane_file_check found = HEADLANE_INIT(headlane_file_check);
  check(headlane_check_file(path.c_str(), nullptr, nullptr, &found));
  EXPECT_EQ(found.checksum_matches, 0);
}

// What is cut or written to between calls is a status; what the map has is never read then.
TEST_F(Pack, AMappedFileThatIsCutOrWrittenToIsAStatus) {
  for (const bool cut : {true, false}) {
    const std::string path = packed(converted_golden(kBert, "f32"));
    const timespec times[] = {{1'000'000'000, 0}, {1'000'000'000, 0}};
    ASSERT_EQ(utimensat(AT_FDCWD, path.c_str(), times, 0), 0);
    const ModelHandle model = must_open(path, {true, false});
    headlane_session* session = nullptr;
    check(headlane_session_create(model.get(), nullptr, &session));
    const SessionHandle handle(session);
    encode(session, facts_of(model.get()), {{1, 2, 3}});
    if (cut) {
      fs::resize_file(path, 4096);
    } else {
      std::fstream(path, std::ios::in | std::ios::out | std::ios::binary).write("x", 1);
    }
    const std::vector<int64_t> offsets = {0, 3};
    const std::vector<int32_t> ids = {1, 2, 3};
    headlane_batch batch = HEADLANE_INIT(headlane_batch);
    batch.n_seqs = 1;
    batch.offsets = offsets.data();
    batch.ids = ids.data();
    std::vector<float> hidden(3 * static_cast<size_t>(facts_of(model.get()).d_model));
    headlane_outputs outputs = HEADLANE_INIT(headlane_outputs);
    outputs.hidden = hidden.data();
    expect_status(headlane_session_encode(session, &batch, &outputs), HEADLANE_BAD_FILE,
                  cut ? "was cut after it was opened" : "was written to after it was opened");
  }
}

TEST_F(Pack, AMappedFileMayBeReplacedOrRemoved) {
  const std::string path = packed(converted_golden(kBert, "f32"));
  const ModelHandle model = must_open(path, {true, false});
  const std::vector<float> before = encoded(model.get());
  check(headlane_pack(path.c_str(), path.c_str(), nullptr));
  EXPECT_EQ(encoded(model.get()), before);
  fs::remove(path);
  EXPECT_EQ(encoded(model.get()), before);
}

// The kilobytes of a line of /proc/self/smaps_rollup.
int64_t rollup(const std::string& key) {
  for (const std::string& line : read_lines("/proc/self/smaps_rollup")) {
    if (line.starts_with(key + ":")) return std::stoll(line.substr(key.size() + 1));
  }
  return -1;
}

// Runs in a child: says that its model is open, waits until all are, says by how many bytes its
// share of memory grew, and waits until all have said it.
void measure_in_child(const std::string& path, int told, int all_are_open, int all_have_told) {
  alarm(60);  // whatever goes wrong, nobody waits for it for ever
  const int64_t before = rollup("Pss");
  headlane_model_options options = HEADLANE_INIT(headlane_model_options);
  options.map = 1;
  options.n_threads = 1;
  headlane_model* model = nullptr;
  check(headlane_model_open(path.c_str(), &options, &model));
  headlane_session_options small = HEADLANE_INIT(headlane_session_options);
  small.max_tokens = 16;
  small.n_threads = 1;
  headlane_session* session = nullptr;
  check(headlane_session_create(model, &small, &session));
  encode(session, facts_of(model), {{1, 2, 3}});
  char byte = 'y';
  const bool is_open = write(told, &byte, 1) == 1 && read(all_are_open, &byte, 1) == 1;
  const int64_t grown = (rollup("Pss") - before) * 1024;
  const bool is_told = write(told, &grown, sizeof grown) == sizeof grown;
  if (!is_open || !is_told || read(all_have_told, &byte, 1) != 1) throw std::runtime_error("pipe");
}

// Writes a BERT whose products have 23.6 MB in f32, without a tokenizer.
std::string write_large_bert(const TempDir& dir) {
  constexpr int64_t kModel = 384, kInner = 3072, kLayers = 2, kWords = 11, kPlaces = 16;
  std::vector<TestTensor> tensors;
  const auto add = [&](const std::string& name, const std::vector<int64_t>& shape) {
    int64_t n = 1;
    for (const int64_t size : shape) n *= size;
    std::vector<float> values(static_cast<size_t>(n));
    for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i % 31) / 310;
    tensors.push_back(f32_tensor(name, shape, values));
  };
  const auto linear = [&](const std::string& name, int64_t n_out, int64_t n_in) {
    add(name + ".weight", {n_out, n_in});
    add(name + ".bias", {n_out});
  };
  const auto norm = [&](const std::string& name) {
    add(name + ".LayerNorm.weight", {kModel});
    add(name + ".LayerNorm.bias", {kModel});
  };
  add("embeddings.word_embeddings.weight", {kWords, kModel});
  add("embeddings.position_embeddings.weight", {kPlaces, kModel});
  add("embeddings.token_type_embeddings.weight", {2, kModel});
  norm("embeddings");
  for (int64_t i = 0; i < kLayers; ++i) {
    const std::string layer = "encoder.layer." + std::to_string(i) + ".";
    for (const char* part : {"query", "key", "value"}) {
      linear(layer + "attention.self." + part, kModel, kModel);
    }
    linear(layer + "attention.output.dense", kModel, kModel);
    norm(layer + "attention.output");
    linear(layer + "intermediate.dense", kInner, kModel);
    linear(layer + "output.dense", kModel, kInner);
    norm(layer + "output");
  }
  const nlohmann::json config = {
      {"model_type", "bert"},         {"vocab_size", kWords},
      {"type_vocab_size", 2},         {"max_position_embeddings", kPlaces},
      {"num_hidden_layers", kLayers}, {"hidden_size", kModel},
      {"num_attention_heads", 6},     {"intermediate_size", kInner},
      {"hidden_act", "gelu"},         {"layer_norm_eps", 1e-12}};
  const std::string folder = dir.file("large"), path = dir.file("large.headlane");
  fs::create_directory(folder);
  write_file(folder + "/config.json", config.dump());
  write_file(folder + "/model.safetensors", safetensors_bytes(tensors));
  check(headlane_convert(folder.c_str(), path.c_str(), nullptr));
  return path;
}

TEST_F(Pack, FourProcessesShareAMappedFile) {
  if (kUnderAddressSanitizer) GTEST_SKIP() << "a sanitizer's own memory would be counted";
  if (rollup("Pss") < 0) GTEST_SKIP() << "the system has no /proc/self/smaps_rollup";
  const std::string path = packed(write_large_bert(dir_));
  const int64_t file_bytes = static_cast<int64_t>(fs::file_size(path));
  const ModelHandle model = must_open(path);
  const int64_t weights = facts_of(model.get()).packed_bytes;
  ASSERT_EQ(facts_of(model.get()).n_stored_products, facts_of(model.get()).n_products);
  ASSERT_GT(weights, 15 << 20);

  constexpr int kProcesses = 4;
  int told[2], open[2], done[2];
  for (int* ends : {told, open, done}) ASSERT_EQ(pipe(ends), 0);
  std::vector<pid_t> children;
  for (int i = 0; i < kProcesses; ++i) {
    const pid_t child = fork();
    if (child == 0) {
      alarm(300);  // one that fails would leave the others waiting for what it does not say
      try {
        measure_in_child(path, told[1], open[0], done[0]);
      } catch (...) {
        _exit(1);
      }
      _exit(0);
    }
    children.push_back(child);
  }
  close(told[1]);  // so that reading ends where all children have
  const std::string signals(kProcesses, 'g');
  char ready = 0;
  for (int i = 0; i < kProcesses; ++i) ASSERT_EQ(read(told[0], &ready, 1), 1);
  ASSERT_EQ(write(open[1], signals.data(), kProcesses), kProcesses);
  int64_t sum = 0;
  for (int i = 0; i < kProcesses; ++i) {
    int64_t grown = 0;
    ASSERT_EQ(read(told[0], &grown, sizeof grown), static_cast<ssize_t>(sizeof grown));
    sum += grown;
  }
  ASSERT_EQ(write(done[1], signals.data(), kProcesses), kProcesses);
  for (const pid_t child : children) {
    EXPECT_EQ(wait_for_child(child), 0);
  }
  // The file once, and of each process a session of 16 tokens, a plan and what malloc keeps, less
  // than 2 MB: without sharing, the weights alone would be there four times.
  EXPECT_LE(sum, file_bytes + kProcesses * (2 << 20));
  EXPECT_LT(sum, 3 * weights);
  for (const int fd : {told[0], open[0], open[1], done[0], done[1]}) close(fd);
}

}  // namespace
}  // namespace headlane::test
