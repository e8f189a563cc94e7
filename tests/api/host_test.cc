// All that is the host's stays as it is: floating-point modes, signals, locale, folder,
// environment, descriptors, threads, output. Each test takes the state, calls everything, and
// compares.
#include <fcntl.h>
#include <immintrin.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <clocale>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <locale>
#include <set>

#include "tests/api/all_calls.h"
#include "tests/support/threads.h"

namespace headlane::test {
namespace {

namespace fs = std::filesystem;

// Does it again at the end of a test, however it ends.
class Undo {
 public:
  explicit Undo(std::function<void()> undo) : undo_(std::move(undo)) {}
  Undo(const Undo&) = delete;
  Undo& operator=(const Undo&) = delete;
  ~Undo() { undo_(); }

 private:
  std::function<void()> undo_;
};

uint16_t x87_control() {
  uint16_t word = 0;
  __asm__ volatile("fnstcw %0" : "=m"(word));
  return word;
}
void set_x87_control(uint16_t word) { __asm__ volatile("fldcw %0" : : "m"(word)); }

class Host : public testing::Test {
 protected:
  Results call() { return call_everything(temp_.path()); }

  const TempDir temp_;
};

// Rounding, denormals, masks of traps, and flags of what happened before.
class OddFloats : public Host, public testing::WithParamInterface<unsigned> {
 protected:
  // Runs body in the mode, and checks that it is the same after.
  void in_mode(const std::function<void()>& body) {
    constexpr unsigned kFlags = 0x3f, kDivisionFlag = 0x04;
    constexpr uint16_t kSinglePrecision = 0x007f;
    const unsigned mxcsr = _mm_getcsr(), odd = (mxcsr & ~kFlags) | kDivisionFlag | GetParam();
    const uint16_t x87 = x87_control();
    _mm_setcsr(odd);
    set_x87_control(kSinglePrecision);
    body();
    const unsigned after = _mm_getcsr();
    const uint16_t x87_after = x87_control();
    _mm_setcsr(mxcsr);
    set_x87_control(x87);
    EXPECT_EQ(after, odd);
    EXPECT_EQ(x87_after, kSinglePrecision);
  }
};

constexpr unsigned kFlushToZero = 0x8000, kDenormalsAreZero = 0x40;
constexpr unsigned kDown = 0x2000, kTowardZero = 0x6000;

// Denormal inputs, whose results are other ones where they are taken for zeros.
TEST_P(OddFloats, StayAndChangeNoResult) {
  constexpr int64_t kRows = 300, kColumns = 64;
  Layer layer(kColumns, 4, 16);
  layer.fill(false);
  Floats x = layer.numbers(kRows * kColumns, 1e-39f);
  headlane_forward_batch batch = HEADLANE_INIT(headlane_forward_batch);
  batch.n_seqs = 1;
  batch.q_len = kRows;
  batch.x.data = x.data();
  for (const char* precision : {"f32", "bf16", "int8"}) {
    SCOPED_TRACE(precision);
    headlane_model_options options = HEADLANE_INIT(headlane_model_options);
    options.precision = precision;
    Floats usual(x.size(), -1), odd(x.size(), -2);
    const auto run = [&](Floats* out) {
      headlane_model* model = nullptr;
      headlane_session* session = nullptr;
      headlane_session_options of = HEADLANE_INIT(headlane_session_options);
      of.n_threads = 3;
      batch.out.data = out->data();
      EXPECT_EQ(headlane_model_create_layer(&layer.options, &options, &model), HEADLANE_OK);
      EXPECT_EQ(headlane_session_create(model, &of, &session), HEADLANE_OK);
      EXPECT_EQ(headlane_session_forward(session, &batch), HEADLANE_OK);
      headlane_session_destroy(session);
      headlane_model_destroy(model);
    };
    run(&usual);
    in_mode([&] { run(&odd); });
    EXPECT_EQ(std::memcmp(odd.data(), usual.data(), usual.size() * sizeof(float)), 0);
    // Instructions for bf16 take denormals for zeros in any mode, and so are rows of them in int8.
    const bool are_zeros = std::count(usual.begin(), usual.end(), 0.0f) == std::ssize(usual);
    EXPECT_TRUE(!are_zeros || precision != std::string("f32"));
  }
}

TEST_P(OddFloats, StayAndChangeNoFile) {
  const std::string path = temp_.file("model.headlane");
  const std::string bert = HEADLANE_GOLDEN_DIR "/bert/head_dim_16_mean_normalize";
  headlane_convert_options options = HEADLANE_INIT(headlane_convert_options);
  options.precision = "int8";
  check(headlane_convert(bert.c_str(), path.c_str(), &options));
  const std::string usual = read_file(path);
  in_mode([&] { EXPECT_EQ(headlane_convert(bert.c_str(), path.c_str(), &options), HEADLANE_OK); });
  EXPECT_TRUE(read_file(path) == usual);
}

INSTANTIATE_TEST_SUITE_P(Modes, OddFloats,
                         testing::Values(0u, kFlushToZero | kDenormalsAreZero, kDown, kTowardZero));

// The handlers and flags of all signals.
std::vector<std::pair<void*, int>> signal_actions() {
  std::vector<std::pair<void*, int>> actions;
  for (int number = 1; number < SIGRTMAX; ++number) {
    struct sigaction action = {};
    if (sigaction(number, nullptr, &action) != 0) continue;  // the C library's own
    actions.emplace_back(reinterpret_cast<void*>(action.sa_handler), action.sa_flags);
  }
  return actions;
}

TEST_F(Host, SignalsStay) {
  struct sigaction mine = {}, before = {};
  mine.sa_handler = [](int) {};
  mine.sa_flags = SA_RESTART;
  sigset_t mask, mask_before, mask_after;
  sigemptyset(&mask);
  sigaddset(&mask, SIGUSR2);
  sigaction(SIGUSR1, &mine, &before);
  pthread_sigmask(SIG_BLOCK, &mask, &mask_before);
  const Undo undo([&] {
    sigaction(SIGUSR1, &before, nullptr);
    pthread_sigmask(SIG_SETMASK, &mask_before, nullptr);
  });
  const auto actions = signal_actions();
  call();
  EXPECT_EQ(signal_actions(), actions);
  pthread_sigmask(SIG_BLOCK, nullptr, &mask_after);
  for (int number = 1; number < SIGRTMAX; ++number) {
    EXPECT_EQ(sigismember(&mask_after, number),
              number == SIGUSR2 ? 1 : sigismember(&mask_before, number))
        << number;
  }
}

// A comma in place of the point, and points between thousands: of C, by a locale made here, and of
// C++. Files, numbers and sentences are the same.
TEST_F(Host, ADecimalCommaChangesNothing) {
  const Results expected = call();
  const std::string make =
      "localedef -i de_DE -f UTF-8 '" + temp_.file("de_DE.UTF-8") + "' 2>/dev/null >/dev/null";
  const bool is_made = std::system(make.c_str()) == 0;
  setenv("LOCPATH", temp_.path().c_str(), 1);
  const char* got = std::setlocale(LC_ALL, "de_DE.UTF-8");
  std::setlocale(LC_MESSAGES, "C");  // the system names its errors in the host's language
  const Undo undo([] {
    unsetenv("LOCPATH");
    std::setlocale(LC_ALL, "C");
  });
  if (got == nullptr) {
    ASSERT_FALSE(is_made);
    GTEST_SKIP() << "no locale with a comma, and localedef cannot make one";
  }
  char text[16];
  std::snprintf(text, sizeof text, "%.1f", 1.5);
  ASSERT_STREQ(text, "1,5");
  const std::string name = std::setlocale(LC_ALL, nullptr);
  EXPECT_TRUE(call() == expected);
  EXPECT_EQ(std::setlocale(LC_ALL, nullptr), name);
}

TEST_F(Host, AStreamLocaleWithACommaChangesNothing) {
  struct Comma : std::numpunct<char> {
    char do_decimal_point() const override { return ','; }
    char do_thousands_sep() const override { return '.'; }
    std::string do_grouping() const override { return "\3"; }
  };
  const Results expected = call();
  const std::locale before = std::locale::global(std::locale(std::locale(), new Comma));
  const Undo undo([&] { std::locale::global(before); });
  EXPECT_TRUE(call() == expected);
}

std::vector<std::string> environment() {
  std::vector<std::string> variables;
  for (char** variable = environ; *variable; ++variable) variables.emplace_back(*variable);
  return variables;
}

TEST_F(Host, FolderUmaskAndEnvironmentStay) {
  const fs::path folder = fs::current_path();
  const auto variables = environment();
  const mode_t mask = umask(0027);
  const Undo undo([&] {
    umask(mask);
    fs::current_path(folder);
  });
  fs::current_path(temp_.path());
  const fs::path here = fs::current_path();
  call_everything(".");
  EXPECT_EQ(fs::current_path(), here);
  EXPECT_EQ(environment(), variables);
  EXPECT_EQ(umask(0027), mode_t{0027});
}

// By number.
std::set<std::string> descriptors_of_process() {
  std::set<std::string> names;
  for (const auto& entry : fs::directory_iterator("/proc/self/fd")) {
    names.insert(entry.path().filename().string());
  }
  return names;
}

TEST_F(Host, NoDescriptorAndNoThreadStays) {
  call();
  const auto descriptors = descriptors_of_process(), threads = threads_of_process();
  call();
  EXPECT_EQ(descriptors_of_process(), descriptors);
  EXPECT_EQ(threads_of_process(), threads);
}

// It is the descriptor of its file, from which rows of words and weights in other precisions are
// read when they are needed. A program that the host starts does not inherit it.
TEST_F(Host, AnOpenModelHoldsOneDescriptor) {
  const std::string path = temp_.file("model.headlane");
  check(headlane_convert(HEADLANE_GOLDEN_DIR "/bert/head_dim_16_mean_normalize", path.c_str(),
                         nullptr));
  const auto before = descriptors_of_process();
  Encoder encoder(path, "", 2);
  int n_of_file = 0;
  for (const auto& entry : fs::directory_iterator("/proc/self/fd")) {
    std::error_code gone;  // the listing's own
    if (fs::read_symlink(entry.path(), gone) != fs::canonical(path)) continue;
    ++n_of_file;
    const int fd = std::stoi(entry.path().filename().string());
    EXPECT_NE(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
  }
  EXPECT_EQ(n_of_file, 1);
  EXPECT_EQ(descriptors_of_process().size(), before.size() + 1);
}

// The field of a thread's status in /proc, such as "SigBlk".
std::string thread_status(const std::string& thread, const std::string& field) {
  std::ifstream status("/proc/self/task/" + thread + "/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(field + ":\t")) return line.substr(field.size() + 2);
  }
  return {};
}

// A signal to the process is for the host's threads: those of a session let none through.
TEST_F(Host, ThreadsOfASessionTakeNoSignals) {
  const auto before = threads_of_process();
  headlane_attention_options options = attention_options(1, 8);
  options.n_threads = 3;
  const AttentionHandle attention = create_attention(options);
  int n = 0;
  for (const std::string& thread : threads_of_process()) {
    if (before.contains(thread)) continue;
    ++n;
    const uint64_t blocked = std::stoull(thread_status(thread, "SigBlk"), nullptr, 16);
    for (const int number : {SIGINT, SIGTERM, SIGUSR1, SIGCHLD, SIGALRM, SIGPROF, SIGPIPE}) {
      EXPECT_TRUE(blocked >> (number - 1) & 1) << "signal " << number;
    }
  }
  EXPECT_EQ(n, 2);
}

TEST_F(Host, NothingIsPrinted) {
  const std::string path = temp_.file("printed");
  std::fflush(nullptr);
  const int out = dup(1), err = dup(2);
  const int file = open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  ASSERT_GE(file, 0);
  dup2(file, 1);
  dup2(file, 2);
  const auto restore = [&] {
    std::fflush(nullptr);
    dup2(out, 1);
    dup2(err, 2);
  };
  const Undo undo([&] {
    restore();
    for (const int fd : {out, err, file}) close(fd);
  });
  call();
  restore();
  EXPECT_EQ(read_file(path), "");
}

// Whatever errno was: nothing is taken for an error of now.
TEST_F(Host, AnOldErrnoDoesNotMatter) {
  const Results expected = call();
  for (const int error : {EINTR, EEXIST, ENOMEM, ERANGE}) {
    errno = error;
    EXPECT_TRUE(call() == expected) << error;
  }
}

// Signals that interrupt system calls do no harm: a timer of the host's, without SA_RESTART.
TEST_F(Host, InterruptionsDoNoHarm) {
  const Results expected = call();
  struct sigaction mine = {}, before = {};
  mine.sa_handler = [](int) {};
  sigaction(SIGALRM, &mine, &before);
  const itimerval often = {{0, 500}, {0, 500}}, never = {};
  setitimer(ITIMER_REAL, &often, nullptr);
  const Undo undo([&] {
    setitimer(ITIMER_REAL, &never, nullptr);
    sigaction(SIGALRM, &before, nullptr);
  });
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(call() == expected);
}

}  // namespace
}  // namespace headlane::test
