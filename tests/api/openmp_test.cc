// The pool of OpenMP's threads, also where OpenMP gives fewer than it is asked for: CMakeLists.txt
// runs these cases with OMP_THREAD_LIMIT too.
#include "headlane/openmp.h"

#include <atomic>
#include <string>
#include <vector>

#include "tests/api/generator.h"

namespace headlane::test {
namespace {

class OpenMp : public testing::Test {
 protected:
  OpenMp() {
    convert(HEADLANE_GOLDEN_DIR "/bert/head_dim_16_mean_normalize", path_);
    for (int i = 0; i < 60; ++i) texts_.push_back(std::string(static_cast<size_t>(i), 'a') + " b");
  }

  std::vector<float> embed(const headlane_thread_pool* pool) const {
    ModelOptions model_options;
    model_options.pool = pool;
    SessionOptions options;
    options.pool = pool;
    options.max_tokens = 200;
    return Session(Model(path_, model_options), options).embed(texts_);
  }

  const TempDir temp_;
  const std::string path_ = temp_.file("model.headlane");
  std::vector<std::string> texts_;
};

TEST_F(OpenMp, EachTaskIsCalledOnce) {
  for (const int32_t n : {1, 2, 3, 17, 1024}) {
    std::vector<std::atomic<int>> calls(static_cast<size_t>(n));
    const headlane_thread_pool pool = headlane_openmp_pool(n);
    EXPECT_EQ(pool.n_threads, n);
    pool.parallel_for(
        pool.user, n,
        [](void* context, int32_t i) { ++(*static_cast<decltype(calls)*>(context))[i]; }, &calls);
    for (const std::atomic<int>& count : calls) EXPECT_EQ(count, 1);
  }
}

TEST_F(OpenMp, AsManyThreadsAsOpenMpHasUnlessToldOtherwise) {
  const int before = omp_get_max_threads();
  omp_set_num_threads(3);
  EXPECT_EQ(headlane_openmp_pool(0).n_threads, 3);
  EXPECT_EQ(headlane_openmp_pool(5).n_threads, 5);
  EXPECT_EQ(headlane_openmp_pool(5000).n_threads, 1024);
  omp_set_num_threads(before);
}

TEST_F(OpenMp, BitsAreThoseOfOwnThreads) {
  const std::vector<float> expected = embed(nullptr);
  for (const int32_t n_threads : {0, 1, 2, 5}) {
    const headlane_thread_pool pool = headlane_openmp_pool(n_threads);
    EXPECT_TRUE(embed(&pool) == expected) << n_threads << " threads";
  }
}

// A program whose own parallel region calls: the inner regions get one thread, or some.
TEST_F(OpenMp, InsideOfAParallelRegion) {
  const std::vector<float> expected = embed(nullptr);
  const int before = omp_get_max_active_levels();
  for (const int levels : {1, 2}) {
    omp_set_max_active_levels(levels);
    int n_wrong = 0;
#pragma omp parallel for num_threads(3) reduction(+ : n_wrong)
    for (int i = 0; i < 6; ++i) {
      const headlane_thread_pool pool = headlane_openmp_pool(2);
      n_wrong += embed(&pool) == expected ? 0 : 1;
    }
    EXPECT_EQ(n_wrong, 0) << levels << " levels";
  }
  omp_set_max_active_levels(before);
}

TEST_F(OpenMp, AGeneratorRunsOnIt) {
  const Model model(golden_file("marian_shared"));
  const Batch sources = Batch().add(std::vector<int32_t>{5, 6, 7}).add(std::vector<int32_t>{9, 8});
  const auto answers = [&](const headlane_thread_pool* pool) {
    headlane::GeneratorOptions options;
    options.pool = pool;
    Generator generator(model, options);
    generator.generate(sources);
    std::vector<std::vector<int32_t>> all;
    for (int64_t source = 0; source < 2; ++source) {
      const std::span<const int32_t> ids = generator.answer(source).ids;
      all.emplace_back(ids.begin(), ids.end());
    }
    return all;
  };
  const headlane_thread_pool pool = headlane_openmp_pool(3);
  EXPECT_EQ(answers(&pool), answers(nullptr));
}

}  // namespace
}  // namespace headlane::test
