// headlane encode on activations: PyTorch's modules of tests/golden/layers, as arrays that NumPy
// writes.
#include <nlohmann/json.hpp>

#include "tests/command/model_fixture.h"
#include "tests/support/npy.h"
#include "tools/headlane/output/npy.h"

namespace headlane::test {
namespace {

using nlohmann::json;
using Words = std::vector<std::string>;

class Layers : public CommandTest {
 protected:
  static std::string folder(const std::string& name) {
    return HEADLANE_GOLDEN_DIR "/layers/" + name;
  }

  std::string converted(const std::string& name) {
    std::string path = dir_.file(name + ".headlane");
    const Finished done = run_headlane({"convert", folder(name), "-o", path});
    EXPECT_EQ(done.status, 0) << done.err;
    return path;
  }

  // Rows of the golden array with another shape.
  std::string reshaped(const std::string& golden, const std::vector<int64_t>& shape) {
    std::string path = dir_.file("in_" + std::to_string(n_files_++) + ".npy");
    tool::write_npy(path, shape, test::read_npy(golden).data.data());
    return path;
  }
  std::string booleans(const std::vector<int64_t>& shape, const std::string& bytes) {
    std::string path = dir_.file("in_" + std::to_string(n_files_++) + ".npy");
    std::string text = "{'descr': '|b1', 'fortran_order': False, 'shape': (";
    for (const int64_t size : shape) text += std::to_string(size) + ", ";
    text += "), }\n";
    write_file(path, std::string("\x93NUMPY\x01\x00", 8) + static_cast<char>(text.size()) +
                         std::string(1, '\0') + text + bytes);
    return path;
  }

  // The bytes of a padding mask: 1 behind each sequence's length.
  static std::string padding_of(std::initializer_list<int> lengths, int n) {
    std::string bytes;
    for (const int length : lengths) {
      for (int j = 0; j < n; ++j) bytes += j < length ? '\0' : '\1';
    }
    return bytes;
  }

  // Runs encode and compares with the golden output of the call; `more` are further words.
  void expect_golden(const std::string& module, const std::string& call,
                     const std::vector<int64_t>& shape, const Words& more = {}) {
    const std::string golden = folder(module) + "/" + call, out = dir_.file("out.npy");
    Words words = {"encode", "-m", converted(module), "--x", reshaped(golden + "_x.npy", shape),
                   "-o",     out};
    words.insert(words.end(), more.begin(), more.end());
    const Finished done = run_headlane(words);
    ASSERT_EQ(done.status, 0) << done.err;
    const tool::NpyArray got = tool::read_npy(out);
    EXPECT_EQ(got.shape, shape);
    const std::vector<float> expected = test::read_npy(golden + "_out.npy").data;
    ASSERT_EQ(got.values.size(), expected.size());
    for (size_t i = 0; i < expected.size(); ++i)
      ASSERT_NEAR(got.values[i], expected[i], bound_of(module, call)) << i;
  }

  // Four times what PyTorch's own float32 is off by in that call.
  static double bound_of(const std::string& module, const std::string& call) {
    const json manifest = json::parse(read_file(folder(module) + "/manifest.json"));
    for (const json& entry : manifest.at("calls")) {
      if (entry.at("name") == call) return 4 * entry.at("float32_from_float64").get<double>();
    }
    throw std::runtime_error("no call " + call);
  }

  int n_files_ = 0;
};

TEST_F(Layers, BatchFirst) { expect_golden("attention", "plain", {2, 5, 24}); }

// Without batch_first [n, batch, d_model]: the same numbers with batch and rows exchanged.
TEST_F(Layers, SeqFirst) {
  const std::string module = "layer_no_bias_seq_first";
  const std::vector<float> x = test::read_npy(folder(module) + "/plain_x.npy").data;
  const std::vector<float> expected = test::read_npy(folder(module) + "/plain_out.npy").data;
  std::vector<float> swapped(x.size());
  const int64_t batch = 3, n = 5, d = 21;
  const auto at = [&](int64_t e) {  // element e of [n, batch, d] in [batch, n, d]
    const int64_t t = e / d / batch, b = e / d % batch;
    return static_cast<size_t>((b * n + t) * d + e % d);
  };
  for (int64_t e = 0; e < batch * n * d; ++e) swapped[static_cast<size_t>(e)] = x[at(e)];
  const std::string in = dir_.file("x.npy"), out = dir_.file("out.npy");
  tool::write_npy(in, {n, batch, d}, swapped.data());
  const Finished done = run_headlane({"encode", "-m", converted(module), "--x", in, "-o", out});
  ASSERT_EQ(done.status, 0) << done.err;
  const tool::NpyArray got = tool::read_npy(out);
  EXPECT_EQ(got.shape, (std::vector<int64_t>{n, batch, d}));
  const double bound = bound_of(module, "plain");
  for (int64_t e = 0; e < batch * n * d; ++e) {
    ASSERT_NEAR(got.values[static_cast<size_t>(e)], expected[at(e)], bound) << e;
  }
}

TEST_F(Layers, Causal) { expect_golden("layer_pre_norm_gelu", "causal", {12, 64}, {"--causal"}); }

TEST_F(Layers, CrossAttention) {
  const std::string golden = folder("attention_cross_kdim_vdim") + "/plain";
  expect_golden("attention_cross_kdim_vdim", "plain", {2, 4, 40},
                {"--key", reshaped(golden + "_key.npy", {2, 9, 12}), "--value",
                 reshaped(golden + "_value.npy", {2, 9, 17})});
}

TEST_F(Layers, AttnMaskOfBooleansHides) {
  const std::string golden = folder("attention") + "/mask";
  std::string hidden;
  for (const float seen : test::read_npy(golden + "_mask.npy").data)
    hidden += seen == 0 ? '\1' : '\0';
  expect_golden("attention", "mask", {2, 7, 24}, {"--attn-mask", booleans({7, 7}, hidden)});
  std::string each;  // one for each head of each sequence
  for (int map = 0; map < 2 * 3; ++map) each += hidden;
  expect_golden("attention", "mask", {2, 7, 24}, {"--attn-mask", booleans({6, 7, 7}, each)});
}

TEST_F(Layers, AttnMaskOfNumbersIsAdded) {
  const std::string bias = folder("attention") + "/bias_bias.npy";
  expect_golden("attention", "bias", {2, 7, 24}, {"--attn-mask", bias});
}

// Lengths 9, 4 and 1 of 9. PyTorch's rows of padding are something, the golden files have zeros.
TEST_F(Layers, KeyPaddingMask) {
  const std::string golden = folder("attention") + "/lengths", out = dir_.file("out.npy");
  std::string padding;
  for (const int length : {9, 4, 1}) {
    for (int j = 0; j < 9; ++j) padding += j < length ? '\0' : '\1';
  }
  const Finished done = run_headlane({"encode", "-m", converted("attention"), "--x",
                                      reshaped(golden + "_x.npy", {3, 9, 24}), "-o", out,
                                      "--key-padding-mask", booleans({3, 9}, padding)});
  ASSERT_EQ(done.status, 0) << done.err;
  const std::vector<float> got = tool::read_npy(out).values;
  const std::vector<float> expected = test::read_npy(golden + "_out.npy").data;
  for (size_t i = 0; i < got.size(); ++i) {
    if (padding[i / 24] == '\0') {
      ASSERT_NEAR(got[i], expected[i], bound_of("attention", "lengths")) << i;
    }
  }
}

// A mask of an encoder with padding beside it.
TEST_F(Layers, AttnMaskAndKeyPaddingTogether) {
  const std::string module = "encoder_pre_norm_final", call = "mask_and_lengths";
  const std::string golden = folder(module) + "/" + call, out = dir_.file("out.npy");
  std::string hidden, padding;
  for (const float seen : test::read_npy(golden + "_mask.npy").data) {
    hidden += seen == 0 ? '\1' : '\0';
  }
  for (const int length : {8, 5}) {
    for (int j = 0; j < 8; ++j) padding += j < length ? '\0' : '\1';
  }
  const Finished done = run_headlane(
      {"encode", "-m", converted(module), "--x", reshaped(golden + "_x.npy", {2, 8, 40}), "-o", out,
       "--attn-mask", booleans({8, 8}, hidden), "--key-padding-mask", booleans({2, 8}, padding)});
  ASSERT_EQ(done.status, 0) << done.err;
  const std::vector<float> got = tool::read_npy(out).values;
  const std::vector<float> expected = test::read_npy(golden + "_out.npy").data;
  const double bound = bound_of(module, call);
  for (size_t i = 0; i < got.size(); ++i) {
    if (padding[i / 40] == '\0') {
      ASSERT_NEAR(got[i], expected[i], bound) << i;
    }
  }
}

TEST_F(Layers, Decoder) {
  const std::string module = "decoder_layer_post_norm", golden = folder(module) + "/";
  expect_golden(module, "plain", {2, 5, 24},
                {"--key", reshaped(golden + "plain_key.npy", {2, 8, 24})});
  expect_golden(module, "bias", {2, 7, 24},
                {"--key", reshaped(golden + "bias_key.npy", {2, 3, 24}), "--attn-mask",
                 golden + "bias_bias.npy"});
}

// Padding of src, and with it of what the encoder makes of it.
TEST_F(Layers, TransformerCausalWithPaddedSource) {
  const std::string module = "transformer_post_norm";
  expect_golden(module, "lengths_causal", {3, 7, 16},
                {"--key", reshaped(folder(module) + "/lengths_causal_key.npy", {3, 8, 16}),
                 "--key-padding-mask", booleans({3, 8}, padding_of({8, 2, 5}, 8)), "--causal"});
}

// Padding of both inputs beside a mask. Rows of padding are something, the golden files have zeros.
TEST_F(Layers, TransformerWithPaddedTarget) {
  const std::string module = "transformer_post_norm", call = "mask_and_lengths";
  const std::string golden = folder(module) + "/" + call, out = dir_.file("out.npy");
  std::string hidden;
  for (const float seen : test::read_npy(golden + "_mask.npy").data) {
    hidden += seen == 0 ? '\1' : '\0';
  }
  const std::string padding = padding_of({5, 3}, 5);
  const Finished done = run_headlane(
      {"encode", "-m", converted(module), "--x", reshaped(golden + "_x.npy", {2, 5, 16}), "--key",
       reshaped(golden + "_key.npy", {2, 6, 16}), "-o", out, "--attn-mask",
       booleans({5, 5}, hidden), "--tgt-key-padding-mask", booleans({2, 5}, padding),
       "--key-padding-mask", booleans({2, 6}, padding_of({1, 6}, 6))});
  ASSERT_EQ(done.status, 0) << done.err;
  const std::vector<float> got = tool::read_npy(out).values;
  const std::vector<float> expected = test::read_npy(golden + "_out.npy").data;
  ASSERT_EQ(got.size(), expected.size());
  const double bound = bound_of(module, call);
  for (size_t i = 0; i < got.size(); ++i) {
    if (padding[i / 16] == '\0') {
      ASSERT_NEAR(got[i], expected[i], bound) << i;
    }
  }
}

TEST_F(Layers, DecodersOptionsAreChecked) {
  const std::string golden = folder("decoder_layer_post_norm") + "/plain",
                    decoder = converted("decoder_layer_post_norm"),
                    x = reshaped(golden + "_x.npy", {2, 5, 24}),
                    key = reshaped(golden + "_key.npy", {2, 8, 24}), out = dir_.file("o.npy");
  const auto encode = [&](const Words& words) {
    Words all = {"encode", "-m", decoder, "--x", x, "-o", out};
    all.insert(all.end(), words.begin(), words.end());
    return run_headlane(all);
  };
  expect_failure(encode({}), "--key is needed");
  expect_failure(encode({"--key", key, "--value", key}), "leave out --value");
  std::string padding = padding_of({4, 6}, 8);
  padding[7] = '\0';
  expect_failure(encode({"--key", key, "--key-padding-mask", booleans({2, 8}, padding)}),
                 "sequence 0 has a key behind one that is padding");
  expect_failure(
      encode({"--key", key, "--key-padding-mask", booleans({2, 5}, std::string(10, '\0'))}),
      "must be boolean, [2, 8]");
  expect_failure(encode({"--key", key, "--attn-mask", booleans({5, 8}, std::string(40, '\0'))}),
                 "is [5, 8]; it must be [5, 5] or [6, 5, 5]");
  const std::string attention = reshaped(folder("attention") + "/plain_x.npy", {2, 5, 24});
  expect_failure(run_headlane({"encode", "-m", converted("attention"), "--x", attention, "-o", out,
                               "--tgt-key-padding-mask", booleans({2, 5}, std::string(10, '\0'))}),
                 "has no decoder");
  const std::string info = run_headlane({"info", decoder}).out;
  for (const char* line :
       {"n_layers           0", "n_decoder_layers   1", "decoder_d_ff       50"}) {
    EXPECT_TRUE(contains(info, "\n" + std::string(line) + "\n")) << line;
  }
  const Finished bench = run_headlane({"bench", "-m", decoder, "2x8", "--seconds", "0.01"});
  EXPECT_EQ(bench.status, 0) << bench.err;
}

TEST_F(Layers, NoRowsGiveNoRows) {
  const std::string in = dir_.file("x.npy"), out = dir_.file("out.npy");
  tool::write_npy(in, {3, 0, 24}, nullptr);
  const Finished done =
      run_headlane({"encode", "-m", converted("attention"), "--x", in, "-o", out});
  ASSERT_EQ(done.status, 0) << done.err;
  EXPECT_EQ(tool::read_npy(out).shape, (std::vector<int64_t>{3, 0, 24}));
}

TEST_F(Layers, WhatIsWrongIsNamed) {
  const std::string layers = converted("attention"),
                    x = reshaped(folder("attention") + "/plain_x.npy", {2, 5, 24});
  const auto encode = [&](const Words& words) {
    Words all = {"encode", "-m", layers, "-o", dir_.file("out.npy")};
    all.insert(all.end(), words.begin(), words.end());
    return run_headlane(all);
  };
  const std::string wide = reshaped(folder("attention") + "/plain_x.npy", {10, 12, 2});
  expect_failure(encode({"--x", wide}), "is [10, 12, 2]; it must be float32, [n, 24]");
  expect_failure(encode({"--x", dir_.file("none.npy")}), "none.npy: cannot be read");
  expect_failure(encode({"--x", x, "--attn-mask", booleans({5, 4}, std::string(20, '\0'))}),
                 "is [5, 4]; it must be [5, 5] or [6, 5, 5]");
  expect_failure(encode({"--x", x, "--key-padding-mask", booleans({5}, std::string(5, '\0'))}),
                 "must be boolean, [2, 5]");
  expect_failure(encode({"--x", booleans({2, 24}, std::string(48, '\0'))}), "must be float32");
  expect_failure(run_headlane({"encode", "-m", converted("attention_cross_kdim_vdim"), "--x", x,
                               "-o", dir_.file("o.npy")}),
                 "other columns than x; give --key and --value");
  expect_failure(encode({"--ids", x}), "takes activations; use --x");
  expect_failure(run_headlane({"encode", "-m", model(), "--x", x, "-o", dir_.file("o.npy")}),
                 "takes token ids; use --ids");
  EXPECT_EQ(encode({}).status, 2);
  EXPECT_EQ(encode({"--x", x, "--ids", x}).status, 2);
  EXPECT_FALSE(std::filesystem::exists(dir_.file("out.npy")));
}

// A header says how many bytes follow; no memory is taken for what is not there.
TEST_F(Layers, HostileArrays) {
  const std::string layers = converted("attention");
  const std::string magic("\x93NUMPY\x01\x00", 8);
  const auto with_header = [&](std::string text) {
    text += '\n';
    return magic + static_cast<char>(text.size()) + std::string(1, '\0') + text;
  };
  const std::pair<std::string, const char*> files[] = {
      {"", "is not a .npy file"},
      {"PK\3\4 something else", "is not a .npy file"},
      {magic + "\xff\xff", "ends inside its header"},
      {with_header("{'descr': '<f8', 'fortran_order': False, 'shape': (1, 24), }"), "float32"},
      {with_header("{'descr': '<f4', 'fortran_order': True, 'shape': (1, 24), }"), "C order"},
      {with_header("{'descr': '<f4', 'fortran_order': False, 'shape': (-1, 24), }"), "shape"},
      {with_header("{'descr': '<f4', 'fortran_order': False, 'shape': (1, 24"), "shape"},
      {with_header("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999, 24), }"),
       "shape"},
      {with_header("{'descr': '<f4', 'fortran_order': False, 'shape': (1000000, 24), }"),
       "0 bytes of elements"},
      {with_header("{'descr': '<f4', 'fortran_order': False}"), "shape"},
  };
  for (const auto& [bytes, words] : files) {
    const std::string path = dir_.file("hostile.npy");
    write_file(path, bytes);
    expect_failure(run_headlane({"encode", "-m", layers, "--x", path, "-o", dir_.file("o.npy")}),
                   words);
  }
}

}  // namespace
}  // namespace headlane::test
