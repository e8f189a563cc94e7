// How much memory converting takes: some blocks, however large the model is.
#include <nlohmann/json.hpp>

#include "tests/command/model_fixture.h"
#include "tests/support/sanitizers.h"

namespace headlane::test {
namespace {

using nlohmann::json;

class ConvertMemory : public CommandTest {
 protected:
  // A folder of nn.TransformerEncoder(d_model, dim_feedforward), whose weights are bf16 zeros: the
  // end of the file is a hole, which takes no room on the disk.
  std::string make_folder(int64_t d, int64_t d_ff, int64_t n_layers) {
    const std::string folder = dir_.file(std::to_string(d));
    std::filesystem::create_directory(folder);
    write_file(folder + "/config.json", json({{"d_model", d}, {"nhead", 8}}).dump());
    json header;
    int64_t end = 0;
    const auto add = [&](const std::string& name, const std::vector<int64_t>& shape) {
      const int64_t begin = end;
      end += 2 * shape[0] * (shape.size() == 2 ? shape[1] : 1);
      header[name] = {{"dtype", "BF16"}, {"shape", shape}, {"data_offsets", {begin, end}}};
    };
    for (int64_t i = 0; i < n_layers; ++i) {
      const std::string layer = "layers." + std::to_string(i) + ".";
      add(layer + "self_attn.in_proj_weight", {3 * d, d});
      add(layer + "self_attn.in_proj_bias", {3 * d});
      add(layer + "self_attn.out_proj.weight", {d, d});
      add(layer + "self_attn.out_proj.bias", {d});
      add(layer + "linear1.weight", {d_ff, d});
      add(layer + "linear1.bias", {d_ff});
      add(layer + "linear2.weight", {d, d_ff});
      add(layer + "linear2.bias", {d});
      for (const char* norm : {"norm1", "norm2"}) {
        add(layer + norm + ".weight", {d});
        add(layer + norm + ".bias", {d});
      }
    }
    const std::string text = header.dump(), path = folder + "/model.safetensors";
    const uint64_t length = text.size();
    write_file(path, std::string(reinterpret_cast<const char*>(&length), 8) + text);
    std::filesystem::resize_file(path, 8 + text.size() + static_cast<size_t>(end));
    return folder;
  }

  long peak_kb(const std::string& folder, const char* precision) {
    const std::string out = dir_.file("out.headlane");
    const Finished done = run_headlane({"convert", folder, "-o", out, "--precision", precision});
    EXPECT_EQ(done.status, 0) << done.err;
    std::filesystem::remove(out);
    return done.peak_kb;
  }
};

// The large model's weights are 144 MB as bf16, and would be 288 MB as floats.
TEST_F(ConvertMemory, DoesNotGrowWithTheModel) {
  if (kUnderAddressSanitizer) {
    GTEST_SKIP() << "AddressSanitizer keeps freed memory";
  }
  const std::string small = make_folder(64, 256, 2), large = make_folder(1024, 16384, 2);
  for (const char* precision : {"bf16", "int8"}) {
    const long few = peak_kb(small, precision), many = peak_kb(large, precision);
    EXPECT_LT(many - few, 20 * 1024) << few << " KB for the small model, " << many << " KB";
  }
}

}  // namespace
}  // namespace headlane::test
