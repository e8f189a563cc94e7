// Options of attention: numbers that cannot be right are refused by name, and
// headlane_attention_bytes says of all options what headlane_attention_create says.
#include <functional>
#include <string>
#include <vector>

#include "tests/api/attention.h"

namespace headlane::test {
namespace {

struct Said {
  headlane_status status;
  std::string sentence;
  bool operator==(const Said&) const = default;
};

Said said_by_bytes(const headlane_attention_options& options, size_t* bytes) {
  const headlane_status status = headlane_attention_bytes(&options, bytes);
  return {status, headlane_error()};
}

Said said_by_create(const headlane_attention_options& options) {
  headlane_attention* attention = nullptr;
  const headlane_status status = headlane_attention_create(&options, &attention);
  const Said said = {status, headlane_error()};
  headlane_attention_destroy(attention);
  return said;
}

void expect_refused(const headlane_attention_options& options, const std::string& named) {
  size_t bytes = 7;
  const Said by_create = said_by_create(options);
  EXPECT_EQ(by_create.status, HEADLANE_INVALID_ARGUMENT) << named;
  EXPECT_EQ(by_create.sentence.rfind(named, 0), 0u) << named << ": " << by_create.sentence;
  EXPECT_EQ(by_create, said_by_bytes(options, &bytes));
  EXPECT_EQ(bytes, 7u);
}

// Each with all scalings, those that do not have the number too.
TEST(AttentionOptions, NumbersOfRotaryPositionsThatCannotBe) {
  using Field = std::pair<const char*, double headlane_rotary::*>;
  const Field fields[] = {{"rotary.base", &headlane_rotary::base},
                          {"rotary.factor", &headlane_rotary::factor},
                          {"rotary.beta_fast", &headlane_rotary::beta_fast},
                          {"rotary.beta_slow", &headlane_rotary::beta_slow},
                          {"rotary.attention_factor", &headlane_rotary::attention_factor},
                          {"rotary.low_freq_factor", &headlane_rotary::low_freq_factor},
                          {"rotary.high_freq_factor", &headlane_rotary::high_freq_factor}};
  headlane_attention_options options = attention_options(1, 8);
  for (int scaling = HEADLANE_ROTARY_PLAIN; scaling <= HEADLANE_ROTARY_LLAMA3; ++scaling) {
    headlane_rotary rotary = HEADLANE_INIT(headlane_rotary);
    rotary.max_positions = 16;
    rotary.original_max_positions = 8;
    rotary.factor = 2;
    rotary.scaling = static_cast<headlane_rotary_scaling>(scaling);
    options.rotary = &rotary;
    EXPECT_EQ(said_by_create(options).status, HEADLANE_OK) << scaling << headlane_error();
    for (const auto& [name, field] : fields) {
      const double before = rotary.*field;
      for (const double bad : {double{kNan}, double{kInfinity}, -double{kInfinity}, -1.0, 1e300}) {
        rotary.*field = bad;
        expect_refused(options, name);
      }
      rotary.*field = before;
    }
    rotary.original_max_positions = -1;
    expect_refused(options, "rotary.original_max_positions");
  }
}

TEST(AttentionOptions, NumbersOfHeadsThatCannotBe) {
  headlane_attention_options options = attention_options(3, 8);
  float numbers[] = {0.5f, -0.25f, 0};
  options.alibi_slopes = options.sinks = numbers;
  EXPECT_EQ(said_by_create(options).status, HEADLANE_OK) << headlane_error();
  for (const float bad : {kNan, kInfinity, -kInfinity}) {
    numbers[2] = bad;
    options.sinks = nullptr;
    expect_refused(options, "alibi_slopes[2]");
    options.alibi_slopes = nullptr;
    options.sinks = numbers;
    if (bad == -kInfinity) {  // takes no share
      EXPECT_EQ(said_by_create(options).status, HEADLANE_OK) << headlane_error();
    } else {
      expect_refused(options, "sinks[2]");
    }
    options.alibi_slopes = numbers;
  }
}

// The settings of one option, right and wrong; each of them with each of another option.
using Setting = std::function<void(headlane_attention_options*)>;

TEST(AttentionOptions, BytesSaysWhatCreateSays) {
  using Options = headlane_attention_options;
  static const float numbers[64] = {}, nans[2] = {kNan, kNan};
  static headlane_rotary rotary = HEADLANE_INIT(headlane_rotary),
                         bad_rotary = HEADLANE_INIT(headlane_rotary);
  static headlane_relative_bias relative = HEADLANE_INIT(headlane_relative_bias), no_table,
                                no_buckets;
  static headlane_thread_pool no_pool{};
  rotary.max_positions = bad_rotary.max_positions = 16;
  bad_rotary.attention_factor = kNan;
  relative.table = numbers;
  relative.n_buckets = 8;
  relative.max_distance = 16;
  relative.max_len = 32;
  no_table = no_buckets = relative;
  no_table.table = nullptr;
  no_buckets.n_buckets = 0;
  no_pool.struct_size = sizeof no_pool;
  const Setting nothing = [](Options*) {};
  std::vector<Setting> scores;
  for (int score = 0; score <= HEADLANE_SCORE_ADDITIVE + 1; ++score) {
    scores.push_back([score](Options* o) { std::memcpy(&o->score, &score, sizeof score); });
  }
  const std::vector<std::vector<Setting>> all = {
      scores,
      {nothing, [](Options* o) { o->additive = numbers; }},
      {nothing, [](Options* o) { o->relative_bias = &relative; },
       [](Options* o) { o->relative_bias = &no_table; },
       [](Options* o) { o->relative_bias = &no_buckets; }},
      {nothing, [](Options* o) { o->rotary = &rotary; },
       [](Options* o) { o->rotary = &bad_rotary; }},
      {nothing, [](Options* o) { o->precision = "bf16"; },
       [](Options* o) { o->precision = "int8"; }},
      {nothing, [](Options* o) { o->scale = 0.5f; }, [](Options* o) { o->scale = kNan; }},
      {nothing, [](Options* o) { o->softcap = -1; }},
      {nothing, [](Options* o) { o->alibi_slopes = numbers; },
       [](Options* o) { o->alibi_slopes = nans; }},
      {nothing, [](Options* o) { o->sinks = numbers; }, [](Options* o) { o->sinks = nans; }},
      {nothing, [](Options* o) { o->n_heads = 0; }, [](Options* o) { o->window_left = -2; }},
      {nothing, [](Options* o) { o->isa = "ref"; }, [](Options* o) { o->isa = "sse9"; }},
      {nothing, [](Options* o) { o->n_threads = -1; }, [](Options* o) { o->pool = &no_pool; }}};
  int64_t n_combinations = 1, n_made = 0;
  for (const auto& settings : all) n_combinations *= std::ssize(settings);
  // Each eleventh combination: 11 divides no number of settings, so that any settings of any three
  // options come together all the same.
  constexpr int64_t kStep = 11;
  for (int64_t i = 0; i < n_combinations; i += kStep) {
    Options options = attention_options(2, 4);
    int64_t rest = i;
    for (const auto& settings : all) {
      settings[static_cast<size_t>(rest % std::ssize(settings))](&options);
      rest /= std::ssize(settings);
    }
    size_t bytes = 7;
    const Said by_bytes = said_by_bytes(options, &bytes), by_create = said_by_create(options);
    ASSERT_EQ(by_bytes, by_create) << i << ": " << by_bytes.sentence << " / " << by_create.sentence;
    ASSERT_EQ(bytes == 7, by_bytes.status != HEADLANE_OK) << i;
    n_made += by_bytes.status == HEADLANE_OK;
  }
  // Dot products of either kind and additive scores, with and without each of what goes with them.
  EXPECT_GE(n_made, 100 / kStep);
  EXPECT_LT(n_made, n_combinations / kStep);
}

}  // namespace
}  // namespace headlane::test
