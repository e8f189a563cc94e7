// headlane embed, encode and similarity.
#include <sys/stat.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <regex>

#include "tests/command/model_fixture.h"
#include "tests/command/terminal.h"
#include "tests/support/lines.h"
#include "tests/support/npy.h"
#include "tests/support/sanitizers.h"

namespace headlane::test {
namespace {

using nlohmann::json;

class Run : public CommandTest {
 protected:
  // Lines of 0 to 39 words of the golden model's own texts.
  std::string write_lines(const std::string& name, int n) {
    const std::vector<std::string> words = {"the", "cat", "sat", "on", "a", "mat", "and", "we"};
    std::string lines;
    for (int i = 0; i < n; ++i) {
      const int length = i * 7 % 40;
      for (int w = 0; w < length; ++w) lines += words[static_cast<size_t>(i + w * w) % 8] + " ";
      lines += '\n';
    }
    write_file(dir_.file(name), lines);
    return dir_.file(name);
  }

  static std::vector<float> parse_rows(const std::string& json_lines) {
    std::vector<float> values;
    std::istringstream in(json_lines);
    for (std::string line; std::getline(in, line);) {
      for (const json& value : json::parse(line)) values.push_back(value.get<float>());
    }
    return values;
  }

  static double largest_difference(const std::vector<float>& a, const std::vector<float>& b) {
    if (a.size() != b.size()) return INFINITY;
    double largest = 0;
    for (size_t i = 0; i < a.size(); ++i) {
      const double difference = std::fabs(static_cast<double>(a[i]) - b[i]);
      if (!(difference <= largest)) largest = difference;
    }
    return largest;
  }
};

TEST_F(Run, EmbedGivesTheGoldenVectors) {
  const std::string golden = golden_folder("head_dim_16_mean_normalize");
  const Finished done = run_headlane({"embed", "-m", model(), "-i", golden + "/texts.txt"});
  ASSERT_EQ(done.status, 0) << done.err;
  const std::vector<float> expected = read_npy(golden + "/text_pooled.npy").data;
  const json manifest = json::parse(read_file(golden + "/manifest.json"));
  EXPECT_LE(largest_difference(parse_rows(done.out), expected),
            4 * manifest["pooled_float32_from_float64"].get<double>());
}

TEST_F(Run, EmbedReadsArgumentsFileAndStandardInputAlike) {
  const std::string texts = golden_folder("head_dim_16_mean_normalize") + "/texts.txt";
  std::vector<std::string> arguments = {"embed", "-m", model(), "--"};
  for (const std::string& text : read_lines(texts)) arguments.push_back(text);
  const Finished of_file = run_headlane({"embed", "-m", model(), "-i", texts});
  const Finished of_input =
      run_headlane({"embed", "-m", model()}, {.input = read_file(texts), .more = {}});
  const Finished of_dash =
      run_headlane({"embed", "-m", model(), "-i", "-"}, {.input = read_file(texts), .more = {}});
  const Finished of_arguments = run_headlane(arguments);
  ASSERT_EQ(of_file.status, 0) << of_file.err;
  EXPECT_NE(of_file.out, "");
  EXPECT_EQ(of_file.err, "");
  EXPECT_EQ(of_input.out, of_file.out);
  EXPECT_EQ(of_dash.out, of_file.out) << of_dash.err;
  EXPECT_EQ(of_arguments.out, of_file.out);
}

TEST_F(Run, EmbedWritesTheSameFloatsAsNpyAndJson) {
  const std::string texts = write_lines("texts", 50), npy = dir_.file("out.npy");
  const Finished done = run_headlane({"embed", "-m", model(), "-i", texts, "-o", npy});
  ASSERT_EQ(done.status, 0) << done.err;
  EXPECT_EQ(done.out + done.err, "");
  const Npy written = read_npy(npy);
  EXPECT_EQ(written.shape, (std::vector<int64_t>{50, 48}));
  EXPECT_EQ(written.data, parse_rows(run_headlane({"embed", "-m", model(), "-i", texts}).out));
  EXPECT_EQ(dir_.n_entries(), 2u) << "a temporary was left behind";
}

TEST_F(Run, NothingInGivesNothingOut) {
  const Finished done = run_headlane({"embed", "-m", model()});
  EXPECT_EQ(done.status, 0) << done.err;
  EXPECT_EQ(done.out + done.err, "");
  const std::string npy = dir_.file("out.npy");
  ASSERT_EQ(run_headlane({"embed", "-m", model(), "-o", npy}).status, 0);
  EXPECT_EQ(read_npy(npy).shape, (std::vector<int64_t>{0, 48}));
}

TEST_F(Run, FilesThatCannotBeUsedAreNamed) {
  const std::string missing = dir_.file("missing.txt"), npy = dir_.file("out.npy");
  expect_failure(run_headlane({"embed", "-m", model(), "-i", missing, "-o", npy}), missing);
  expect_failure(run_headlane({"embed", "-m", model(), "-i", dir_.path()}), dir_.path());
  expect_failure(run_headlane({"similarity", "-m", model(), "-i", missing}), missing);
  expect_failure(run_headlane({"encode", "-m", model(), "--ids", missing, "-o", npy}), missing);
  expect_failure(run_headlane({"encode", "-m", model(), "--ids", dir_.path(), "-o", npy}),
                 dir_.path());
  EXPECT_EQ(dir_.n_entries(), 0u) << "an output was written all the same";
  const std::string nowhere = dir_.file("no/out.npy");
  expect_failure(run_headlane({"embed", "-m", model(), "-o", nowhere, "text"}), nowhere);
}

TEST_F(Run, OutputReplacesFilesOnly) {
  namespace fs = std::filesystem;
  const std::string pipe = dir_.file("pipe"), link = dir_.file("link"), file = dir_.file("file");
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);  // for a device, which only root can make
  fs::create_symlink("file", link);
  write_file(file, "old");
  const auto embed_to = [](const std::string& path) {
    return run_headlane({"embed", "-m", model(), "-o", path, "we"});
  };
  const std::string to_pipe = "embed -m " + model() + " -o " + pipe + " we";
  const Finished piped = run_program(
      "sh",
      {"-c", "cat " + pipe + " & " + std::string(HEADLANE_TOOL) + " " + to_pipe + " && wait"});
  EXPECT_EQ(piped.status, 0) << piped.err;
  expect_failure(embed_to(dir_.path()), dir_.path() + ": neither a regular file");
  EXPECT_TRUE(fs::is_fifo(pipe));
  ASSERT_EQ(embed_to(link).status, 0);
  EXPECT_TRUE(fs::is_symlink(link));
  EXPECT_EQ(read_npy(file).shape, (std::vector<int64_t>{1, 48}));
  EXPECT_EQ(piped.out, read_file(file));
  EXPECT_EQ(dir_.n_entries(), 3u) << "a temporary was left behind";
}

TEST_F(Run, ModelWithoutTokenizerIsNamed) {
  const std::string path = model("head_dim_5_one_type_gelu_new");
  const std::string words = path + ": the file has no tokenizer";
  expect_failure(run_headlane({"embed", "-m", path, "text"}), words);
  expect_failure(run_headlane({"embed", "-m", path, "-o", dir_.file("out.npy"), "text"}), words);
  expect_failure(run_headlane({"similarity", "-m", path, "a", "b"}), words);
  EXPECT_EQ(dir_.n_entries(), 0u) << "an output was written all the same";
}

TEST_F(Run, LengthBeyondTheModelIsRefused) {
  expect_failure(run_headlane({"embed", "-m", model(), "--max-length", "100000", "text"}),
                 "--max-length");
}

TEST_F(Run, WindowsBatchesAndThreadsDoNotShow) {
  constexpr int kLines = kUnderAddressSanitizer ? 800 : 3000;
  const std::string texts = write_lines("texts", kLines);
  const auto embed = [&](const std::string& tokens, const std::string& threads) {
    return run_headlane({"embed", "-m", model(), "-i", texts, "--max-length", "50",
                         "--batch-tokens", tokens, "--threads", threads});
  };
  const Finished large = embed("100000", "1");  // one window
  ASSERT_EQ(large.status, 0) << large.err;
  EXPECT_EQ(std::count(large.out.begin(), large.out.end(), '\n'), kLines);
  EXPECT_TRUE(embed("1", "2").out == large.out);
  EXPECT_TRUE(embed("333", "1").out == large.out);
}

TEST_F(Run, MemoryDoesNotGrowWithTheInput) {
  if (kUnderAddressSanitizer) {
    GTEST_SKIP() << "AddressSanitizer keeps freed memory";
  }
  const auto peak_kb = [&](int n) {
    const Finished done = run_headlane({"embed", "-m", model(), "-i", write_lines("texts", n), "-o",
                                        dir_.file("out.npy"), "--threads", "1"});
    EXPECT_EQ(done.status, 0);
    EXPECT_EQ(done.err, "") << "a progress bar where there is no terminal";
    return done.peak_kb;
  };
  const long few = peak_kb(20000), many = peak_kb(100000);
  EXPECT_LT(many - few, 10 * 1024) << few << " KB for 20,000 lines, " << many << " KB for 100,000";
}

// A line each 100 ms is slow enough for the bar, which waits for 200 ms of the program's own time:
// however long that takes to begin, lines are typed until the bar is there.
TEST_F(Run, ProgressIsNotShownAmongRows) {
  const std::string npy = dir_.file("out.npy");
  const auto has_progress = [](const OnTerminal& run) {
    return contains(run.shown, "sentences, ");
  };
  const OnTerminal without_rows =
      run_on_terminal({"embed", "-m", model(), "-o", npy}, has_progress);
  EXPECT_TRUE(has_progress(without_rows)) << without_rows.shown;
  EXPECT_EQ(read_npy(npy).shape, (std::vector<int64_t>{without_rows.n_lines, 48}));
  // The same again where rows are shown, and a few more lines.
  const OnTerminal with_rows = run_on_terminal(
      {"embed", "-m", model()},
      [&](const OnTerminal& run) { return run.n_lines == without_rows.n_lines + 4; });
  EXPECT_TRUE(contains(with_rows.shown, "[")) << with_rows.shown;
  EXPECT_FALSE(contains(with_rows.shown, "sentences")) << with_rows.shown;
}

TEST_F(Run, StatisticsCount) {
  const Finished done =
      run_headlane({"embed", "--stats", "-m", model(), "-o", dir_.file("out.npy"), "we", "we"});
  ASSERT_EQ(done.status, 0) << done.err;
  const std::regex pattern(
      "model opened in [0-9.]+ s\n2 sentences, 6 tokens, [0-9.]+ s, [0-9.]+ sentences/s\n");
  EXPECT_TRUE(std::regex_match(done.err, pattern)) << done.err;
}

TEST_F(Run, EncodeGivesTheGoldenStates) {
  const std::string name = "head_dim_5_one_type_gelu_new", golden = golden_folder(name);
  const std::string npy = dir_.file("out.npy");
  const Finished done =
      run_headlane({"encode", "-m", model(name), "--ids", golden + "/ids.txt", "-o", npy});
  ASSERT_EQ(done.status, 0) << done.err;
  const json manifest = json::parse(read_file(golden + "/manifest.json"));
  EXPECT_LE(largest_difference(read_npy(npy).data, read_npy(golden + "/hidden.npy").data),
            4 * manifest["hidden_float32_from_float64"].get<double>());
}

TEST_F(Run, EncodeTakesMoreEmptySequencesThanABatchHas) {
  const std::string ids = dir_.file("ids"), npy = dir_.file("out.npy");
  write_file(ids, std::string(5000, '\n') + "1 2\n");
  const Finished done = run_headlane({"encode", "-m", model(), "--ids", ids, "-o", npy});
  ASSERT_EQ(done.status, 0) << done.err;
  EXPECT_EQ(read_npy(npy).shape, (std::vector<int64_t>{2, 48}));
}

TEST_F(Run, EncodeNamesTheLineOfABadId) {
  const std::string ids = dir_.file("ids");
  const auto encode = [&](const std::string& lines) {
    write_file(ids, lines);
    return run_headlane({"encode", "-m", model(), "--ids", ids, "-o", dir_.file("out.npy")});
  };
  EXPECT_EQ(encode("1 2 3\n\n4\t5\r\n").status, 0);
  std::filesystem::remove(dir_.file("out.npy"));
  expect_failure(encode("1 2 3\n1 cat 3\n"), ids + ":2: \"cat\"");
  expect_failure(encode("1 2 3\n\n1 2.5\n"), ids + ":3: \"2.5\"");
  expect_failure(encode("-1\n"), ids + ":1: id -1");
  expect_failure(encode("99999999999999999999\n"), ids + ":1: ");
  expect_failure(encode("1000000\n"), ids + ":1: id 1000000");
  std::string long_line;
  for (int i = 0; i < 1000; ++i) long_line += "1 ";
  expect_failure(encode("1\n" + long_line + "\n"), ids + ":2: there are 1000 ids");
  EXPECT_EQ(dir_.n_entries(), 1u) << "an output was written all the same";
}

TEST_F(Run, SimilarityShowsMatrixAndPairs) {
  const Finished done = run_headlane({"similarity", "-m", model(), "we", "the cat", "we"});
  ASSERT_EQ(done.status, 0) << done.err;
  std::istringstream in(done.out);
  std::string header, first, second, third, empty, title, pair;
  for (std::string* line : {&header, &first, &second, &third, &empty, &title, &pair}) {
    std::getline(in, *line);
  }
  EXPECT_TRUE(header.ends_with("     1     2     3")) << header;
  EXPECT_TRUE(first.starts_with("   1 we ")) << first;
  EXPECT_TRUE(first.ends_with("  1.00")) << first;
  EXPECT_EQ(first.size(), header.size());
  EXPECT_EQ(second.size(), header.size());
  EXPECT_EQ(title, "nearest pairs");
  EXPECT_TRUE(pair.starts_with(" 1.00  we ") && pair.ends_with("  we")) << pair;
}

// Four ideographs are 8 columns in 12 bytes, so their line is 4 bytes longer and ends below.
TEST_F(Run, SimilarityAlignsWideText) {
  const std::string wide = "\xe5\x8c\x97\xe4\xba\xac\xe5\xa4\xa7\xe5\xad\xa6";
  const std::string odd =
      "a\tb\xff"
      "c\x1b[2J";
  std::string longer;
  for (int i = 0; i < 30; ++i) longer += wide;
  const Finished done = run_headlane({"similarity", "-m", model(), wide, odd, longer});
  ASSERT_EQ(done.status, 0) << done.err;
  std::istringstream in(done.out);
  std::string header, first, second, third;
  for (std::string* line : {&header, &first, &second, &third}) std::getline(in, *line);
  EXPECT_EQ(first.size(), header.size() + 4);
  EXPECT_EQ(second.size(), header.size());
  EXPECT_TRUE(second.starts_with("   2 a?b?c?[2J ")) << second;
  EXPECT_EQ(third.size(), header.size() + 20) << "20 ideographs and ... are 43 of 44 columns";
}

TEST_F(Run, SimilarityNeedsTwoTexts) {
  expect_failure(run_headlane({"similarity", "-m", model(), "alone"}), "two texts");
}

}  // namespace
}  // namespace headlane::test
