// A run allocates nothing: every allocator of the C library is counted in this program.
#include <cstdlib>

#include "tests/api/attention.h"
#include "tests/api/encoder.h"
#include "tests/api/generator.h"
#include "tests/api/layer.h"
#include "tests/api/sequences.h"
#include "tests/support/allocators.h"
#include "tests/support/temp_dir.h"

namespace headlane::test {
namespace {

TEST(Allocations, TheCountersCount) {
  const int64_t before = n_allocations();
  void* volatile small = ::operator new(1);  // volatile: a compiler may leave out what nobody sees
  void* volatile large = std::malloc(5000000);
  void* volatile aligned = std::aligned_alloc(64, 640);
  EXPECT_GE(n_allocations() - before, 3);
  ::operator delete(small);
  std::free(large);
  std::free(aligned);
}

// The first run of a session counts too: short and long batches, with and without each output.
void expect_runs_without_allocations(Encoder& encoder, const std::string& what) {
  std::vector<int32_t> ids(1000);
  for (size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<int32_t>(i % 50);
  const size_t d = static_cast<size_t>(encoder.facts().d_model);
  std::vector<float> hidden(ids.size() * d), pooled(50 * d);
  for (const int64_t n_seqs : {1, 50, 3}) {
    std::vector<int64_t> offsets;
    for (int64_t i = 0; i <= n_seqs; ++i) offsets.push_back(i * 20);
    const headlane_batch batch{.struct_size = sizeof batch,
                               .n_seqs = n_seqs,
                               .offsets = offsets.data(),
                               .ids = ids.data()};
    for (float* wanted : {hidden.data(), static_cast<float*>(nullptr)}) {
      const headlane_outputs outputs{
          .struct_size = sizeof outputs, .hidden = wanted, .pooled = pooled.data()};
      const int64_t before = n_allocations();
      const headlane_status status = headlane_session_encode(encoder.session(), &batch, &outputs);
      const int64_t allocated = n_allocations() - before;
      ASSERT_EQ(status, HEADLANE_OK);
      ASSERT_EQ(allocated, 0) << what << ", " << n_seqs << " sequences";
    }
  }
}

TEST(Allocations, ARunAllocatesNothing) {
  TempDir temp;
  const std::string path = temp.file("model.headlane");
  check(headlane_convert(HEADLANE_GOLDEN_DIR "/bert/head_dim_16_mean_normalize", path.c_str(),
                         nullptr));
  for (const std::string precision : {"f32", "bf16", "int8"}) {
    for (const int n_threads : {1, 2, 3}) {
      Encoder encoder(path, "", n_threads, 4096, "headlane", precision);
      expect_runs_without_allocations(encoder,
                                      precision + ", " + std::to_string(n_threads) + " threads");
    }
  }
}

// The allocations of a call are counted from its beginning to its end.
template <typename Call>
void expect_no_allocation(const char* what, const Call& call) {
  const int64_t before = n_allocations();
  const headlane_status status = call();
  const int64_t allocated = n_allocations() - before;
  ASSERT_EQ(status, HEADLANE_OK) << what << ": " << headlane_error();
  ASSERT_EQ(allocated, 0) << what;
}

void expect_generates_without_allocations(headlane_generator* generator, int64_t vocab_size) {
  const FlatSequences all(random_sources(20, vocab_size, 20, 1));
  std::vector<float> logits(static_cast<size_t>(20 * vocab_size));
  std::vector<int32_t> ids(20, 3), sources(20), best_ids(100);
  for (int32_t i = 0; i < 20; ++i) sources[static_cast<size_t>(i)] = i;
  // The first call counts too; many sources after one.
  for (const int64_t n_seqs : {1, 20, 3}) {
    headlane_batch batch = all.batch();
    batch.n_seqs = n_seqs;
    headlane_generate_options sampled = beams(0, 4), penalized = beams(4);
    sampled.sample = 1;
    penalized.repetition_penalty = 1.5;
    for (const headlane_generate_options& options : {beams(1), beams(4, 4), sampled, penalized}) {
      expect_no_allocation(
          "generate", [&] { return headlane_generator_generate(generator, &batch, &options); });
    }
    expect_no_allocation("encode",
                         [&] { return headlane_generator_encode(generator, &batch, nullptr); });
    headlane_step step = HEADLANE_INIT(headlane_step);
    step.n_rows = n_seqs;
    step.ids = ids.data();
    step.sources = sources.data();
    for (int i = 0; i < 3; ++i) {
      step.k = i == 1 ? 5 : 0;
      step.best_ids = i == 1 ? best_ids.data() : nullptr;
      step.logits = i == 2 ? logits.data() : nullptr;
      expect_no_allocation("step", [&] { return headlane_generator_step(generator, &step); });
    }
  }
}

TEST(Allocations, GeneratingAllocatesNothing) {
  for (const std::string precision : {"f32", "bf16", "int8"}) {
    for (const int n_threads : {1, 2, 3}) {
      SCOPED_TRACE(precision + ", " + std::to_string(n_threads) + " threads");
      const ModelHandle model = open_model(golden_file("marian_shared"), "", precision);
      headlane_generator_options options = generator_options(20, 4, n_threads);
      options.all_logits = 1;
      const GeneratorHandle generator = create_generator(model.get(), options);
      expect_generates_without_allocations(generator.get(), facts_of(model.get()).vocab_size);
    }
  }
}

// A sequence takes its memory when it is added. Its text alone grows, and here there is none.
TEST(Allocations, StepsOfSequencesAllocateNothing) {
  for (const std::string precision : {"f32", "int8"}) {
    const ModelHandle model = open_model(language_model_file("llama_2", precision));
    headlane_sequences_options sizes = sequences_options(3, 500);
    sizes.max_step_tokens = 40;
    sizes.n_threads = 2;
    Growing growing(model.get(), sizes);
    std::mt19937 random(1);
    headlane_sequence_options options = sequence_options(9);
    options.prompt_logprobs = options.hidden = 1;
    options.n_top = 5;
    options.on_token = [](void*, const headlane_sequence_token*) { return HEADLANE_GO_ON; };
    for (int i = 0; i < 6; ++i) {
      options.sample = i % 2;
      options.repetition_penalty = i % 3 == 0 ? 1.2 : 0;
      options.keep = i == 0 ? 1 : 0;
      growing.add(random_prompt(&random, static_cast<size_t>(1 + 15 * i), 97), options);
    }
    for (int64_t n = 1; n > 0;) {
      expect_no_allocation("step", [&] { return headlane_sequences_step(growing.get(), &n); });
    }
  }
}

TEST(Allocations, AttentionOnOnesOwnBuffersAllocatesNothing) {
  for (const int n_threads : {1, 2, 3}) {
    headlane_attention_options options = attention_options(2, 16);
    options.n_threads = n_threads;
    const AttentionHandle attention = create_attention(options);
    const int64_t row = 2 * 16;
    const std::vector<float> x(1000 * row, 0.5f);
    std::vector<float> o(x.size());
    // The first run counts too; long after short.
    for (const int64_t len : {1, 20, 1000}) {
      const int64_t real = len - len / 4;
      headlane_attention_batch batch{};
      batch.struct_size = sizeof batch;
      batch.n_seqs = 1;
      batch.q_len = batch.kv_len = len;
      batch.q_lengths = batch.kv_lengths = &real;
      batch.q = batch.k = batch.v = {x.data(), 0, row, 16};
      batch.o = {o.data(), 0, row, 16};
      const int64_t before = n_allocations();
      const headlane_status status = headlane_attention_run(attention.get(), &batch);
      const int64_t allocated = n_allocations() - before;
      ASSERT_EQ(status, HEADLANE_OK) << headlane_error();
      ASSERT_EQ(allocated, 0) << n_threads << " threads, " << len << " tokens";
    }
  }
}

TEST(Allocations, ALayerAllocatesNothing) {
  const int64_t d = 32, head_dim = 16;
  Layer layer(d, 2, head_dim);
  layer.options.norm = HEADLANE_NORM_PRE;
  layer.options.residual = 1;
  const ModelHandle model = create_layer(layer.fill(), nullptr);
  const Floats x = layer.numbers(1000 * d, 1);
  Floats out(x.size()), maps_data(2 * 20 * 20);
  headlane_attention_maps maps = HEADLANE_INIT(headlane_attention_maps);
  maps.data = maps_data.data();
  maps.head_stride = 400;
  maps.query_stride = 20;
  for (const bool cross : {false, true}) {
    for (const auto& [n_threads, precision] :
         {std::pair{1, "f32"}, {2, "f32"}, {3, "f32"}, {2, "bf16"}, {2, "int8"}}) {
      const SessionHandle session = create_session(model.get(), cross, n_threads, 1000, precision);
      for (const int64_t len : {1, 20, 1000}) {
        headlane_forward_batch batch{};
        batch.struct_size = sizeof batch;
        batch.n_seqs = 1;
        batch.q_len = len;
        batch.x.data = x.data();
        batch.out.data = out.data();
        if (len == 20) batch.maps = &maps;
        const int64_t before = n_allocations();
        const headlane_status status = headlane_session_forward(session.get(), &batch);
        const int64_t allocated = n_allocations() - before;
        ASSERT_EQ(status, HEADLANE_OK) << headlane_error();
        ASSERT_EQ(allocated, 0) << precision << ", " << n_threads << " threads, " << len
                                << " tokens";
      }
    }
  }
}

TEST(Allocations, ATransformerAllocatesNothing) {
  const TempDir dir;
  const std::string path = dir.file("model.headlane");
  check(
      headlane_convert(HEADLANE_GOLDEN_DIR "/layers/transformer_post_norm", path.c_str(), nullptr));
  const ModelHandle model = open_model(path);
  const int64_t d = facts_of(model.get()).d_model;
  const Floats x(static_cast<size_t>(500 * d), 0.5f);
  Floats out(x.size());
  for (const auto& [n_threads, precision] :
       {std::pair{1, "f32"}, {2, "f32"}, {3, "f32"}, {2, "bf16"}, {2, "int8"}}) {
    const SessionHandle session = create_session(model.get(), false, n_threads, 500, precision);
    for (const auto& [len, kv_len] : {std::pair{1, 500}, {20, 7}, {500, 1}, {3, 0}}) {
      headlane_forward_batch batch = HEADLANE_INIT(headlane_forward_batch);
      batch.n_seqs = 1;
      batch.q_len = len;
      batch.kv_len = kv_len;
      batch.x.data = batch.key.data = x.data();
      batch.out.data = out.data();
      const int64_t before = n_allocations();
      const headlane_status status = headlane_session_forward(session.get(), &batch);
      const int64_t allocated = n_allocations() - before;
      ASSERT_EQ(status, HEADLANE_OK) << headlane_error();
      ASSERT_EQ(allocated, 0) << precision << ", " << n_threads << " threads, " << len
                              << " tokens, " << kv_len << " keys";
    }
  }
}

}  // namespace
}  // namespace headlane::test
