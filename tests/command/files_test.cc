// headlane convert and info, and what all commands do with wrong options and bad files.
#include <filesystem>
#include <nlohmann/json.hpp>

#include "tests/command/model_fixture.h"

namespace headlane::test {
namespace {

using nlohmann::json;

using Files = CommandTest;

TEST_F(Files, HelpAndVersionSucceed) {
  EXPECT_EQ(run_headlane({"--help"}).status, 0);
  EXPECT_EQ(run_headlane({"embed", "--help"}).status, 0);
  const Finished version = run_headlane({"--version"});
  EXPECT_EQ(version.status, 0);
  EXPECT_TRUE(version.out.starts_with("headlane 0.")) << version.out;
}

TEST_F(Files, WrongCommandLinesExitWithTwo) {
  const std::vector<std::vector<std::string>> wrong = {
      {},
      {"paint"},
      {"embed"},
      {"embed", "--sideways", "-m", "x"},
      {"embed", "-m", "x", "--isa", "sse9"},
      {"embed", "-m", "x", "--threads", "-1"},
      {"embed", "-m", "x", "--batch-tokens", "0"},
      {"embed", "-m", "x", "-i", "file", "text"},
      {"convert", "folder"},
      {"info"},
      {"info", "one", "two"},
      {"encode", "-m", "x", "--ids", "file"},
      {"similarity", "a", "b"},
      {"attention", "-m", "x"},
      {"attention", "-m", "x", "text", "another"},
      {"attention", "-m", "x", "text", "--layer", "-1"},
      {"attention", "-m", "x", "text", "--head", "first"},
      {"attention", "-m", "x", "text", "--html"},
  };
  for (const std::vector<std::string>& arguments : wrong) {
    const Finished done = run_headlane(arguments);
    EXPECT_EQ(done.status, 2) << testing::PrintToString(arguments) << done.err;
    EXPECT_EQ(done.out, "") << testing::PrintToString(arguments);
    EXPECT_NE(done.err, "") << testing::PrintToString(arguments);
  }
}

TEST_F(Files, ConvertGivesTheSameBytesEachTime) {
  for (const char* name : {"head_dim_8_cls", "head_dim_17_max_normalize", "head_dim_32_sharded"}) {
    const std::string again = dir_.file("again.headlane");
    const Finished done = run_headlane({"convert", golden_folder(name), "-o", again});
    ASSERT_EQ(done.status, 0) << done.err;
    EXPECT_EQ(done.out, "");
    const bool is_told = std::filesystem::exists(golden_folder(name) + "/modules.json");
    EXPECT_EQ(done.err.empty(), is_told) << "how to pool: " << done.err;
    EXPECT_TRUE(read_file(again) == read_file(model(name))) << name;
  }
  EXPECT_EQ(dir_.n_entries(), 1u) << "a temporary was left behind";
}

// Published folders of BART have its tokenizer's files.
TEST_F(Files, ConvertSaysThatATokenizerIsLeftOut) {
  const std::string folder = dir_.file("bart"), out = dir_.file("bart.headlane");
  std::filesystem::copy(HEADLANE_GOLDEN_DIR "/encoder_decoder/bart", folder);
  write_file(folder + "/tokenizer_config.json", R"({"tokenizer_class": "BartTokenizer"})");
  write_file(folder + "/vocab.json", "{}");
  const Finished done = run_headlane({"convert", folder, "-o", out});
  ASSERT_EQ(done.status, 0) << done.err;
  EXPECT_EQ(done.out, "");
  EXPECT_EQ(done.err, "headlane: note: " + folder + ": its tokenizer is not read: " + folder +
                          "/tokenizer_config.json field \"tokenizer_class\" is \"BartTokenizer\", "
                          "but neither tokenizer.json nor vocab.json and merges.txt are here; the "
                          "converted model takes and gives token ids, not texts\n");
  expect_failure(run_headlane({"translate", "-m", out, "a text"}),
                 "--ids takes lines of token ids");
  EXPECT_EQ(
      run_headlane({"translate", "-m", out, "--ids"}, {.input = "5 6 2\n", .more = {}}).status, 0);
}

TEST_F(Files, ConvertNamesAMissingFolder) {
  const std::string out = dir_.file("x.headlane");
  expect_failure(run_headlane({"convert", dir_.file("missing"), "-o", out}), dir_.file("missing"));
  expect_failure(run_headlane({"convert", dir_.path(), "-o", out}), dir_.path());
  expect_failure(
      run_headlane({"convert", golden_folder("head_dim_8_cls"), "-o", dir_.file("no/x.headlane")}),
      dir_.file("no/x.headlane"));
  EXPECT_EQ(dir_.n_entries(), 0u);
}

TEST_F(Files, InfoTellsWhatTheFileHolds) {
  const Finished text = run_headlane({"info", model()});
  ASSERT_EQ(text.status, 0) << text.err;
  for (const char* words : {"head_dim           16\n", "norm_eps           1e-12\n",
                            "pooling            mean\n", "gemm_f32 ", "tensors"}) {
    EXPECT_TRUE(contains(text.out, words)) << words << " is not in\n" << text.out;
  }
  const Finished done = run_headlane({"info", "--json", model()});
  ASSERT_EQ(done.status, 0) << done.err;
  EXPECT_TRUE(contains(done.out, "\"norm_eps\": 1e-12,")) << done.out;
  const json facts = json::parse(done.out);
  EXPECT_EQ(facts["file"], model());
  EXPECT_EQ(facts["config"]["d_model"], 48);
  EXPECT_EQ(facts["config"]["head"]["normalize"], true);
  EXPECT_EQ(facts["tokenizer"]["type"], "wordpiece");
  EXPECT_EQ(facts["file_bytes"], std::filesystem::file_size(model()));
  EXPECT_GT(facts["tensors"].size(), 10u);
}

// The cap counts whether it comes from the option or from the environment: ref is always ref, and
// no cap gives more than a higher one.
TEST_F(Files, InfoShowsThatTheCapTookEffect) {
  const auto isa = [&](const std::string& option, const std::string& variable) {
    const Finished done = run_headlane({"info", "--json", "--isa", option, model()},
                                       {.input = "", .more = {"HEADLANE_MAX_ISA=" + variable}});
    return done.status == 0 ? json::parse(done.out)["isa"].get<std::string>() : done.err;
  };
  const std::string best = isa("avx512", "");
  const std::string middle = best == "ref" ? "ref" : "avx2";
  EXPECT_TRUE(best == "ref" || best == "avx2" || best == "avx512") << best;
  for (const std::string& cap : {std::string("ref"), std::string("avx2"), std::string("avx512")}) {
    const std::string& expected = cap == "ref" ? cap : cap == "avx2" ? middle : best;
    EXPECT_EQ(isa(cap, ""), expected) << "--isa " << cap;
    EXPECT_EQ(isa("avx512", cap), expected) << "HEADLANE_MAX_ISA=" << cap;
  }
  EXPECT_EQ(isa("ref", "avx2"), "ref");
  EXPECT_EQ(isa("avx2", "ref"), "ref");
}

TEST_F(Files, UnknownCapIsRefused) {
  const Settings settings{.input = "", .more = {"HEADLANE_MAX_ISA=sse9"}};
  expect_failure(run_headlane({"info", model()}, settings), "HEADLANE_MAX_ISA");
}

TEST_F(Files, MissingModelIsNamed) {
  const std::string missing = dir_.file("missing.headlane");
  expect_failure(run_headlane({"info", missing}), missing);
  expect_failure(run_headlane({"embed", "-m", missing, "text"}), missing);
  expect_failure(run_headlane({"similarity", "-m", missing, "a", "b"}), missing);
  expect_failure(run_headlane({"encode", "-m", missing, "--ids", "x", "-o", "y"}), missing);
  expect_failure(run_headlane({"attention", "-m", missing, "text"}), missing);
  expect_failure(run_headlane({"info", dir_.path()}), dir_.path());
}

// Through both buffers that a message passes, fail()'s and headlane_error()'s.
TEST_F(Files, LongPathIsNamedWhole) {
  const std::string folder = dir_.file(std::string(200, 'a') + "/" + std::string(200, 'b'));
  std::filesystem::create_directories(folder);
  const std::string path = folder + "/" + std::string(200, 'c');
  expect_failure(run_headlane({"info", path}), path + ": cannot open: ");
  write_file(path, "not a model");
  expect_failure(run_headlane({"info", path}), path + " is not a .headlane file");
}

TEST_F(Files, CutModelIsRefused) {
  const std::string whole = read_file(model());
  const std::string cut = dir_.file("cut.headlane");
  for (const size_t bytes :
       {size_t{0}, size_t{7}, size_t{64}, whole.size() / 2, whole.size() - 1}) {
    write_file(cut, whole.substr(0, bytes));
    expect_failure(run_headlane({"embed", "-m", cut, "text"}), cut);
  }
}

TEST_F(Files, CheckFindsAWholeFileWhole) {
  const Finished done = run_headlane({"info", "--check", model()});
  EXPECT_EQ(done.status, 0) << done.err;
  EXPECT_TRUE(contains(done.out, "checksum           matches\n")) << done.out;
  EXPECT_TRUE(contains(done.out, "NaN                0\n")) << done.out;
  const Finished as_json = run_headlane({"info", "--check", "--json", model()});
  ASSERT_EQ(as_json.status, 0) << as_json.err;
  const json report = json::parse(as_json.out);
  EXPECT_EQ(report["checksum"], "matches");
  EXPECT_GT(report["n_tensors"], 10);
  EXPECT_TRUE(report["bad_tensors"].empty());
}

TEST_F(Files, CheckFindsDamage) {
  std::string bytes = read_file(model());
  bytes[bytes.size() - 100] = static_cast<char>(bytes[bytes.size() - 100] ^ 1);
  const std::string damaged = dir_.file("damaged.headlane");
  write_file(damaged, bytes);
  const Finished done = run_headlane({"info", "--check", damaged});
  EXPECT_EQ(done.status, 1);
  EXPECT_TRUE(contains(done.out, "checksum           does not match\n")) << done.out;
  EXPECT_TRUE(contains(done.err, damaged + ": the checksum does not match")) << done.err;
  expect_failure(run_headlane({"info", "--check", dir_.file("none")}), dir_.file("none"));
}

}  // namespace
}  // namespace headlane::test
