// A thread that waits no longer ends the call of another.
#include <chrono>
#include <cstdio>
#include <exception>
#include <future>
#include <headlane/headlane.hpp>
#include <string>
#include <thread>
#include <vector>

int main(int argc, char** argv) try {
  if (argc != 2) {
    std::fprintf(stderr, "usage: cancel MODEL\n");
    return 2;
  }
  headlane::Session session{headlane::Model(argv[1])};
  const std::vector<std::string> texts(100, "a text");

  std::future<void> work = std::async(std::launch::async, [&] {
    while (true) session.embed(texts);
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  session.set_cancelled(true);  // the one function that may be called while another is running
  try {
    work.get();
  } catch (const headlane::Error& error) {
    if (error.status() != HEADLANE_CANCELLED) throw;
    std::printf("%s\n", error.what());
  }

  session.set_cancelled(false);  // until then each call ends at once
  std::printf("%zu numbers\n", session.embed(texts).size());
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
