// A host's threads may have small stacks: docs/memory.md says which are enough.
#include <pthread.h>

#include <functional>

#include "tests/api/attention.h"
#include "tests/api/precision.h"
#include "tests/support/sanitizers.h"

namespace headlane::test {
namespace {

class SmallStack : public AttentionTest {};

void run_on_stack(size_t bytes, const std::function<void()>& body) {
  pthread_attr_t attributes;
  ASSERT_EQ(pthread_attr_init(&attributes), 0);
  ASSERT_EQ(pthread_attr_setstacksize(&attributes, bytes), 0);
  const auto run = [](void* function) -> void* {
    (*static_cast<const std::function<void()>*>(function))();
    return nullptr;
  };
  pthread_t thread = {};
  ASSERT_EQ(pthread_create(&thread, &attributes, run, const_cast<std::function<void()>*>(&body)),
            0);
  pthread_join(thread, nullptr);
  pthread_attr_destroy(&attributes);
}

TEST_P(SmallStack, IsEnoughForEachPrecision) {
  if (kUnderAddressSanitizer) GTEST_SKIP() << "which takes many times as much of a stack";
  const std::string folder = golden_bert("head_dim_16_mean_normalize");
  const TempDir temp;
  const std::string path = temp.file("model.headlane");
  convert_to(folder, path, "");
  const Sequences ids = read_ids(folder + "/ids.txt");
  for (const char* precision : {"f32", "bf16", "int8", "int8g", "int6", "int5", "int4"}) {
    Encoder encoder(path, GetParam(), 1, 4096, "headlane", precision);
    const std::vector<float> expected = encoder.encode(ids).hidden;
    std::vector<float> got;
    run_on_stack(size_t{256} << 10, [&] { got = encoder.encode(ids).hidden; });
    EXPECT_TRUE(same_bits(got, expected)) << precision;
  }
}

HEADLANE_FOR_EACH_ISA(SmallStack);

}  // namespace
}  // namespace headlane::test
