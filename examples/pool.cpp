// A session on the threads of the program's own pool: Headlane makes none.
#include <condition_variable>
#include <cstdio>
#include <exception>
#include <headlane/headlane.hpp>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

// As small as a pool can be: one call at a time, whose tasks are taken one by one.
class Pool {
 public:
  explicit Pool(int n_threads) {
    for (int i = 0; i < n_threads; ++i) threads_.emplace_back([this] { work(); });
  }
  ~Pool() {
    {
      const std::lock_guard lock(mutex_);
      ending_ = true;
    }
    changed_.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }

  // The function that headlane_thread_pool asks for.
  static void parallel_for(void* user, int32_t n, void (*task)(void*, int32_t), void* context) {
    auto* self = static_cast<Pool*>(user);
    std::unique_lock lock(self->mutex_);
    self->task_ = task;
    self->context_ = context;
    self->next_ = 0;
    self->n_ = self->n_left_ = n;
    self->changed_.notify_all();
    self->changed_.wait(lock, [&] { return self->n_left_ == 0; });
  }

 private:
  void work() {
    std::unique_lock lock(mutex_);
    while (true) {
      changed_.wait(lock, [&] { return ending_ || next_ < n_; });
      if (ending_) return;
      const int32_t i = next_++;
      lock.unlock();
      task_(context_, i);
      lock.lock();
      if (--n_left_ == 0) changed_.notify_all();
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  void (*task_)(void*, int32_t) = nullptr;
  void* context_ = nullptr;
  int32_t next_ = 0, n_ = 0, n_left_ = 0;
  bool ending_ = false;
  std::vector<std::thread> threads_;
};

int main(int argc, char** argv) try {
  if (argc != 2) {
    std::fprintf(stderr, "usage: pool MODEL\n");
    return 2;
  }
  Pool own(2);  // outlives what is made with it
  headlane::ThreadPool pool;
  pool.user = &own;
  pool.n_threads = 2;
  pool.parallel_for = Pool::parallel_for;

  headlane::ModelOptions model_options;
  model_options.pool = &pool;  // weights are packed on it
  const headlane::Model model(argv[1], model_options);
  headlane::SessionOptions options;
  options.pool = &pool;
  headlane::Session session(model, options);

  const std::vector<std::string> texts(100, "a text");
  const bool same = session.embed(texts) == headlane::Session(model).embed(texts);
  std::printf("on the program's threads: %s\n", same ? "the same bits" : "other bits");
  return same ? 0 : 1;
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
