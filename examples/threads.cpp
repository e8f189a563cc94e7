// One model, and a session for each thread that calls: the bits are those of one session.
#include <algorithm>
#include <cstdio>
#include <exception>
#include <future>
#include <headlane/headlane.hpp>
#include <span>
#include <string>
#include <thread>
#include <vector>

int main(int argc, char** argv) try {
  if (argc != 2) {
    std::fprintf(stderr, "usage: threads MODEL\n");
    return 2;
  }
  const headlane::Model model(argv[1]);  // any number of threads may use it at once
  std::vector<std::string> texts;
  for (size_t i = 0; i < 100; ++i) texts.push_back("text " + std::to_string(i * i));

  const size_t n_threads = std::max(2U, std::thread::hardware_concurrency());
  std::vector<std::future<std::vector<float>>> parts;
  for (size_t i = 0; i < n_threads; ++i) {
    const size_t begin = i * texts.size() / n_threads, end = (i + 1) * texts.size() / n_threads;
    parts.push_back(std::async(std::launch::async, [&model, &texts, begin, end] {
      headlane::SessionOptions options;
      options.n_threads = 1;  // the threads of the program are enough
      headlane::Session session(model, options);
      return session.embed(std::span(texts).subspan(begin, end - begin));
    }));
  }
  std::vector<float> vectors;
  for (auto& part : parts) {
    const std::vector<float> done = part.get();  // throws what was thrown there
    vectors.insert(vectors.end(), done.begin(), done.end());
  }

  headlane::Session session(model);  // with a thread for each CPU, in one batch
  const bool same = session.embed(texts) == vectors;
  std::printf("%zu sessions and one: %s\n", n_threads, same ? "the same bits" : "other bits");
  return same ? 0 : 1;
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
