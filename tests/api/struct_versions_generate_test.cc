// Structs of other versions: of generation.
#include "tests/api/generator_step.h"
#include "tests/api/struct_versions.h"

namespace headlane::test {
namespace {

// The tokens that on_token was told.
std::string told;

headlane_next tell_tokens(void* user, int64_t source, int32_t id, int64_t n_tokens) {
  told += (user ? "to somebody: " : "") + std::to_string(source) + " " + std::to_string(id) + " " +
          std::to_string(n_tokens) + "\n";
  return HEADLANE_GO_ON;
}

// Every token but the first few.
headlane_next mask_first(void* user, const headlane_token_mask* mask) {
  for (int64_t i = 0; i < (mask->vocab_size + 31) / 32; ++i) mask->mask[i] = ~uint32_t{0};
  mask->mask[0] = user != nullptr ? ~uint32_t{0xffff} : ~uint32_t{0xff};
  return HEADLANE_GO_ON;
}

class StructVersionsOfGeneration : public testing::Test {
 protected:
  static headlane_generator_options roomy() {
    headlane_generator_options options = generator_options(2, 3);
    options.max_source_tokens = 32;
    options.max_source_len = 16;
    options.max_new_tokens = 8;
    options.max_prefix = 2;
    options.max_candidates = 40;
    options.all_logits = 1;
    return options;
  }
  Outcome answers(headlane_status status) const {
    Outcome outcome(status);
    if (!outcome.ok()) return outcome;
    for (const auto& source : answers_of(generator_.get(), 2)) {
      for (const GeneratedAnswer& answer : source) {
        outcome << answer.ids << std::to_string(answer.score);
      }
    }
    return outcome;
  }

  static ModelHandle open() {
    const TempDir dir;
    const std::string path = dir.file("model.headlane");
    check(headlane_convert(HEADLANE_GOLDEN_DIR "/encoder_decoder/marian_shared", path.c_str(),
                           nullptr));
    return open_model(path);
  }

  const ModelHandle model_ = open();
  const GeneratorHandle generator_ = create_generator(model_.get(), roomy());
  const FlatSequences sources_ = FlatSequences({{5, 6, 7}, {8, 9, 10, 11}});
  const headlane_batch batch_ = sources_.batch();
};

TEST_F(StructVersionsOfGeneration, headlane_generator_options) {
  alignas(64) static char block[4 << 20];
  headlane_generator_options full = roomy();
  full.memory = block;
  full.memory_bytes = sizeof block;
  full.precision = "f32";
  int n_calls = 0;
  const headlane_thread_pool pool = counting_pool(&n_calls);
  full.pool = &pool;
  full.cache = "int8";
  expect_all_versions_read("headlane_generator_options", full, [&](const auto* options) {
    size_t bytes = 0;
    Outcome sizes(headlane_generator_bytes(model_.get(), options, &bytes));
    headlane_generator* generator = nullptr;
    Outcome created(headlane_generator_create(model_.get(), options, &generator));
    headlane_generator_destroy(generator);
    return created << sizes << std::to_string(bytes);
  });
}

TEST_F(StructVersionsOfGeneration, headlane_generate_options) {
  const int32_t first = 12, end[] = {0}, suppressed[] = {13, 14}, prefixes[] = {15, 16};
  const int64_t prefix_offsets[] = {0, 1, 2};
  const uint64_t keys[] = {100, 200};
  int user = 0;
  headlane_generate_options full = HEADLANE_INIT(headlane_generate_options);
  full.n_beams = 1;
  full.n_best = 2;
  full.length_penalty = 0.5;
  full.early_stopping = HEADLANE_EARLY_STOPPING_NEVER;
  full.sample = 1;
  full.temperature = 0.8f;
  full.top_k = 9;
  full.top_p = 0.9f;
  full.seed = 3;
  full.repetition_penalty = 1.25;
  full.min_new_tokens = 2;
  full.max_new_tokens = 6;
  full.first_id = &first;
  full.end_ids = end;
  full.n_end_ids = 1;
  full.suppressed_ids = suppressed;
  full.n_suppressed_ids = 2;
  full.prefix_offsets = prefix_offsets;
  full.prefix_ids = prefixes;
  full.keys = keys;
  full.on_token = tell_tokens;
  full.user = &user;
  full.min_p = 0.5;
  full.mask_tokens = mask_first;
  full.mask_user = &user;
  expect_all_versions_read("headlane_generate_options", full, [&](const auto* options) {
    told.clear();
    Outcome outcome = answers(headlane_generator_generate(generator_.get(), &batch_, options));
    return outcome << told;
  });
}

TEST_F(StructVersionsOfGeneration, headlane_answer) {
  check(headlane_generator_generate(generator_.get(), &batch_, nullptr));
  expect_all_versions_written<headlane_answer>("headlane_answer", [&](auto* answer) {
    return headlane_generator_get_answer(generator_.get(), 1, 0, answer);
  });
}

TEST_F(StructVersionsOfGeneration, headlane_step) {
  const headlane_model_facts facts = facts_of(model_.get());
  StepRows rows(facts, 2, 3);
  rows.ids = {facts.start_id, facts.start_id};
  rows.sources = {1, 0};
  std::vector<float> self(1 << 10), cross(1 << 10);
  headlane_attention_maps of_self = HEADLANE_INIT(headlane_attention_maps);
  of_self.layer_stride = 256;
  of_self.seq_stride = 128;
  of_self.head_stride = 8;
  of_self.query_stride = 8;
  of_self.n_layers = 1;
  headlane_attention_maps of_cross = of_self;
  of_self.data = self.data();
  of_cross.data = cross.data();
  headlane_step full = rows.step();
  full.self_attention = &of_self;
  full.cross_attention = &of_cross;
  expect_all_versions_read("headlane_step", full, [&](const auto* step) {
    for (auto* values :
         {&rows.logits, &rows.hidden, &rows.best_logits, &rows.log_sum_exp, &self, &cross}) {
      std::fill(values->begin(), values->end(), 0.0f);
    }
    std::fill(rows.best_ids.begin(), rows.best_ids.end(), 0);
    check(headlane_generator_encode(generator_.get(), &batch_, nullptr));
    Outcome outcome(headlane_generator_step(generator_.get(), step));
    return outcome << rows.logits << rows.hidden << rows.best_ids << rows.best_logits
                   << rows.log_sum_exp << self << cross;
  });
}

}  // namespace
}  // namespace headlane::test
