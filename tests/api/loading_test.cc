// The library loaded by dlopen and let go again, as a plug-in's or an interpreter's host does. This
// program is not linked with it.
#include <dlfcn.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <thread>
#include <vector>

#include "headlane/headlane.h"
#include "tests/support/allocators.h"
#include "tests/support/temp_dir.h"
#include "tests/support/threads.h"

namespace headlane::test {
namespace {

// The library, from dlopen to dlclose.
class Library {
 public:
  Library() : handle_(dlopen(HEADLANE_LIBRARY, RTLD_NOW | RTLD_LOCAL)) {
    if (handle_ == nullptr) throw std::runtime_error(dlerror());
  }
  Library(const Library&) = delete;
  Library& operator=(const Library&) = delete;
  ~Library() { dlclose(handle_); }

  template <typename Function>
  Function* get(const char* name) const {
    return reinterpret_cast<Function*>(dlsym(handle_, name));
  }

 private:
  void* handle_;
};

#define HEADLANE_OF(library, name) (library).get<decltype(name)>(#name)

// Sums that tell one result from another.
std::vector<float> encode(const Library& library, const std::string& path) {
  headlane_model* model = nullptr;
  headlane_session* session = nullptr;
  if (HEADLANE_OF(library, headlane_model_open)(path.c_str(), nullptr, &model) != HEADLANE_OK) {
    return {};
  }
  headlane_session_options options = HEADLANE_INIT(headlane_session_options);
  options.max_tokens = 64;
  options.n_threads = 3;
  std::vector<float> hidden(64 * 64);
  const std::vector<int32_t> ids = {1, 2, 3, 4, 5};
  const int64_t offsets[] = {0, 5};
  const headlane_batch batch{
      .struct_size = sizeof batch, .n_seqs = 1, .offsets = offsets, .ids = ids.data()};
  const headlane_outputs outputs{.struct_size = sizeof outputs, .hidden = hidden.data()};
  const bool encoded =
      HEADLANE_OF(library, headlane_session_create)(model, &options, &session) == HEADLANE_OK &&
      HEADLANE_OF(library, headlane_session_encode)(session, &batch, &outputs) == HEADLANE_OK;
  HEADLANE_OF(library, headlane_session_destroy)(session);
  HEADLANE_OF(library, headlane_model_destroy)(model);
  return encoded ? hidden : std::vector<float>();
}

bool is_mapped() {
  static const std::string kFile = std::filesystem::canonical(HEADLANE_LIBRARY).string();
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    if (line.ends_with(kFile)) return true;
  }
  return false;
}

size_t n_descriptors_of_process() {
  size_t n = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    n += entry.exists();
  }
  return n;
}

class Loading : public testing::Test {
 protected:
  Loading() {
    const Library library;
    const headlane_status status = HEADLANE_OF(library, headlane_convert)(
        HEADLANE_GOLDEN_DIR "/bert/head_dim_16_mean_normalize", path_.c_str(), nullptr);
    if (status != HEADLANE_OK) throw std::runtime_error("cannot convert");
  }

  const TempDir temp_;
  const std::string path_ = temp_.file("model.headlane");
};

// Loaded, used by two threads, and unloaded a hundred times: it is really gone each time, and of
// memory, threads and descriptors nothing stays.
TEST_F(Loading, AHundredTimes) {
  ASSERT_FALSE(is_mapped());
  std::vector<float> first;
  int64_t live = 0;
  size_t n_threads = 0, n_descriptors = 0;
  for (int i = 0; i < 100; ++i) {
    {
      const Library library;
      const std::vector<float> here = encode(library, path_);
      std::vector<float> there;
      std::thread([&] { there = encode(library, path_); }).join();
      if (i == 0) first = here;
      ASSERT_FALSE(here.empty());
      ASSERT_EQ(here, first);
      ASSERT_EQ(there, first);
      ASSERT_TRUE(is_mapped());
    }
    ASSERT_FALSE(is_mapped()) << "time " << i;
    if (i < 5) {  // what the C and C++ libraries keep, they have by then; it goes up and down
      live = std::max(live, n_live_allocations());
      n_threads = threads_of_process().size();
      n_descriptors = n_descriptors_of_process();
    }
  }
  EXPECT_LE(n_live_allocations(), live);
  EXPECT_EQ(threads_of_process().size(), n_threads);
  EXPECT_EQ(n_descriptors_of_process(), n_descriptors);
}

// A thread that was in a call, and ends after the library was unloaded.
TEST_F(Loading, AThreadOutlivesTheLibrary) {
  auto library = std::make_unique<Library>();
  std::atomic<bool> has_called{false}, may_end{false};
  std::vector<float> got;
  std::thread thread([&] {
    got = encode(*library, path_);
    HEADLANE_OF(*library, headlane_model_get_facts)(nullptr, nullptr);  // an error's sentence
    has_called = true;
    while (!may_end) std::this_thread::yield();
  });
  while (!has_called) std::this_thread::yield();
  library.reset();
  EXPECT_FALSE(is_mapped());
  may_end = true;
  thread.join();
  EXPECT_FALSE(got.empty());
}

// A thread's first call, where there is no memory for what is the thread's own.
TEST_F(Loading, AThreadsFirstCallWithoutMemory) {
  const Library library;
  const auto open = HEADLANE_OF(library, headlane_model_open);
  const auto error = HEADLANE_OF(library, headlane_error);
  for (int64_t n = 1, n_failed = 1; n_failed > 0; ++n) {
    headlane_status status = HEADLANE_OK;
    std::string sentence;
    std::thread thread([&] {
      char copied[64] = "";
      headlane_model* model = nullptr;
      fail_allocation(n, true);
      status = open("/no such file", nullptr, &model);
      std::strncpy(copied, error(), sizeof copied - 1);
      n_failed = n_failed_allocations();
      fail_allocation(0, false);
      sentence = copied;
    });
    thread.join();
    // The last to fail is the sentence's room.
    EXPECT_TRUE(status == HEADLANE_OUT_OF_MEMORY || status == HEADLANE_IO) << n << ": " << status;
    EXPECT_NE(sentence, "");
  }
}

}  // namespace
}  // namespace headlane::test
