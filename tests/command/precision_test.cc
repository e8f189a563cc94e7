// headlane convert --precision and --keep, and --precision of the commands that run a model.
#include <cmath>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/command/model_fixture.h"

namespace headlane::test {
namespace {

using nlohmann::json;

class Precision : public CommandTest {
 protected:
  // The .headlane file of a golden model, made with these options of convert.
  std::string convert(const std::string& name, const std::vector<std::string>& options) {
    std::string path = dir_.file(std::to_string(dir_.n_entries()) + ".headlane");
    std::vector<std::string> arguments = {"convert", golden_folder(name), "-o", path};
    arguments.insert(arguments.end(), options.begin(), options.end());
    const Finished done = run_headlane(arguments);
    EXPECT_EQ(done.status, 0) << done.err;
    EXPECT_EQ(done.out, "");
    const bool is_told = std::filesystem::exists(golden_folder(name) + "/modules.json");
    EXPECT_EQ(done.err.empty(), is_told) << "how to pool: " << done.err;
    return path;
  }

  static json info(const std::string& path, const std::vector<std::string>& options = {}) {
    std::vector<std::string> arguments = {"info", "--json", path};
    arguments.insert(arguments.end(), options.begin(), options.end());
    const Finished done = run_headlane(arguments);
    EXPECT_EQ(done.status, 0) << done.err;
    return json::parse(done.out);
  }

  static std::vector<std::vector<double>> embed(const std::string& path,
                                                const std::vector<std::string>& options) {
    std::vector<std::string> arguments = {
        "embed", "-m", path, "-i", golden_folder("head_dim_16_mean_normalize") + "/texts.txt"};
    arguments.insert(arguments.end(), options.begin(), options.end());
    const Finished done = run_headlane(arguments);
    EXPECT_EQ(done.status, 0) << done.err;
    std::vector<std::vector<double>> rows;
    std::istringstream lines(done.out);
    for (std::string line; std::getline(lines, line);) {
      rows.push_back(json::parse(line).get<std::vector<double>>());
    }
    return rows;
  }

  // Compares vectors of length 1.
  static void expect_alike(const std::vector<std::vector<double>>& a,
                           const std::vector<std::vector<double>>& b, double least) {
    ASSERT_EQ(a.size(), b.size());
    ASSERT_FALSE(a.empty());
    for (size_t i = 0; i < a.size(); ++i) {
      double cosine = 0;
      for (size_t c = 0; c < a[i].size(); ++c) cosine += a[i][c] * b[i][c];
      EXPECT_GT(cosine, least) << "text " << i;
    }
  }
};

// Weights of products and words: half the bytes in bf16, a quarter in int8 and four bytes a row;
// and the file is smaller by as much.
TEST_F(Precision, ConvertShrinksFiles) {
  const std::string name = "head_dim_26_f16_weights";
  const json wide = info(model(name));
  for (const auto& [precision, dtype, bytes] : {std::tuple{"bf16", "bf16", 2}, {"int8", "s8", 1}}) {
    const std::string path = convert(name, {"--precision", precision, "--keep-none"});
    const json narrow = info(path);
    EXPECT_EQ(narrow["file_precision"], precision);
    EXPECT_EQ(narrow["n_parameters"], wide["n_parameters"]);
    std::map<std::string, json> stored;
    for (const json& tensor : narrow["tensors"]) stored[tensor["name"]] = tensor;
    int64_t saved = 0, of_weights = 0;
    for (const json& tensor : wide["tensors"]) {
      const json& now = stored.at(tensor["name"]);
      EXPECT_EQ(now["shape"], tensor["shape"]);
      if (now["dtype"] == tensor["dtype"]) continue;
      EXPECT_EQ(now["dtype"], dtype) << tensor["name"];
      EXPECT_EQ(now["bytes"].get<int64_t>(), tensor["bytes"].get<int64_t>() / 4 * bytes);
      of_weights += tensor["bytes"].get<int64_t>();
      saved += tensor["bytes"].get<int64_t>() - now["bytes"].get<int64_t>();
    }
    EXPECT_GT(of_weights, 0.9 * wide["file_bytes"].get<double>())
        << "the test's model is too small";
    // Tensors begin at multiples of 64, and the header has room for that; scales take 1 %.
    const auto size = static_cast<double>(std::filesystem::file_size(path));
    EXPECT_NEAR(size, wide["file_bytes"].get<double>() - static_cast<double>(saved),
                0.02 * static_cast<double>(of_weights));
  }
}

TEST_F(Precision, KeepNamesProducts) {
  const auto dtype = [](const json& facts, const std::string& name) {
    for (const json& tensor : facts["tensors"]) {
      if (tensor["name"] == name) return tensor["dtype"].get<std::string>();
    }
    return std::string("none");
  };
  const std::string name = "head_dim_8_cls", out = dir_.file("wrong.headlane");
  const json some = info(convert(name, {"--precision", "int8", "--keep", "encoder.layers.0.ffn.up",
                                        "--keep", "encoder.layers.1.ffn.down"}));
  EXPECT_EQ(dtype(some, "encoder.layers.0.ffn.up.weight"), "bf16");
  EXPECT_EQ(dtype(some, "encoder.layers.1.ffn.down.weight"), "bf16");
  EXPECT_EQ(dtype(some, "encoder.layers.1.attention.qkv.weight"), "s8");
  const json none = info(convert(name, {"--precision", "int8", "--keep-none"}));
  EXPECT_EQ(dtype(none, "encoder.layers.1.attention.qkv.weight"), "s8");
  const json usual = info(convert(name, {"--precision", "int8"}));
  EXPECT_EQ(dtype(usual, "encoder.layers.1.attention.qkv.weight"), "bf16");
  for (const char* precision : {"int8", "bf16", "f32"}) {
    expect_failure(run_headlane({"convert", golden_folder(name), "-o", out, "--precision",
                                 precision, "--keep", "encoder.layers.7.ffn.up"}),
                   "\"encoder.layers.7.ffn.up\"");
  }
  EXPECT_FALSE(std::filesystem::exists(out));
}

TEST_F(Precision, WrongCommandLinesExitWithTwo) {
  const std::vector<std::vector<std::string>> wrong = {
      {"convert", "folder", "-o", "x", "--precision", "auto"},
      {"convert", "folder", "-o", "x", "--precision", "fp16"},
      {"convert", "folder", "-o", "x", "--keep", "a", "--keep-none"},
      {"embed", "-m", "x", "--precision", "fp16"},
      {"info", "x", "--precision", "half"},
  };
  for (const std::vector<std::string>& arguments : wrong) {
    const Finished done = run_headlane(arguments);
    EXPECT_EQ(done.status, 2) << testing::PrintToString(arguments) << done.err;
  }
}

// Asked of the command, or of the file it runs.
TEST_F(Precision, EmbedGivesVectorsAlike) {
  const std::string name = "head_dim_16_mean_normalize";
  const auto wide = embed(model(), {});
  expect_alike(embed(model(), {"--precision", "f32"}), wide, 1 - 1e-6);
  expect_alike(embed(model(), {"--precision", "bf16"}), wide, 0.99);
  expect_alike(embed(model(), {"--precision", "int8"}), wide, 0.95);
  for (const std::string precision : {"bf16", "int8"}) {
    const std::string path = convert(name, {"--precision", precision});
    const auto narrow = embed(path, {});
    expect_alike(narrow, wide, 0.95);
    EXPECT_EQ(embed(path, {"--precision", precision}), narrow) << "the file's own is what runs";
    expect_alike(embed(path, {"--precision", "f32"}), wide, 0.95);
  }
}

TEST_F(Precision, InfoTellsWhatRuns) {
  const json facts = info(model());
  EXPECT_EQ(facts["file_precision"], "f32");
  EXPECT_EQ(facts["precision"], "f32");
  EXPECT_EQ(info(model(), {"--precision", "bf16"})["precision"], "bf16");
  EXPECT_EQ(info(model(), {"--precision", "auto"})["precision"], facts["auto_precision"]);
  EXPECT_EQ(info(model(), {"--isa", "ref"})["auto_precision"], "f32");
}

TEST_F(Precision, OneDnnIsRefusedOutsideF32) {
  const Finished plain = run_headlane({"embed", "-m", model(), "--gemm", "onednn", "text"});
  if (plain.status != 0) GTEST_SKIP() << plain.err;
  expect_failure(
      run_headlane({"embed", "-m", model(), "--gemm", "onednn", "--precision", "int8", "text"}),
      "by onednn in int8");
}

}  // namespace
}  // namespace headlane::test
