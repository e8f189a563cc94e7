// headlane bench: what it prints and writes; no time of it is checked.
#include <nlohmann/json.hpp>

#include "tests/command/model_fixture.h"
#include "tests/support/isas.h"

namespace headlane::test {
namespace {

using nlohmann::json;

class Bench : public CommandTest {
 protected:
  std::string model() {
    std::string path = dir_.file("model.headlane");
    const Finished done = run_headlane(
        {"convert", HEADLANE_GOLDEN_DIR "/bert/head_dim_16_mean_normalize", "-o", path});
    EXPECT_EQ(done.status, 0) << done.err;
    return path;
  }
};

TEST_F(Bench, TellsTheLimitsOfTheMachineWithoutAModel) {
  const Finished done = run_headlane({"bench", "--json", "--isa", "ref", "--seconds", "0"});
  ASSERT_EQ(done.status, 0) << done.err;
  const json told = json::parse(done.out);
  EXPECT_EQ(told.at("isa"), "ref");
  for (const char* name : {"flops", "read_l1", "read_l2", "read_l3", "read_memory", "l1_bytes",
                           "l2_bytes", "l3_bytes"}) {
    EXPECT_GT(told.at("limits").at(name), 0) << name;
  }
  EXPECT_EQ(told.at("limits").at("products"), json::array());  // SSE2 has none
  EXPECT_EQ(run_headlane({"bench", "2x8"}).status, 2);
}

TEST_F(Bench, TellsTheLimitsOfTheProductsThatTheMachineHas) {
  const Finished done = run_headlane({"bench", "--json", "--threads", "1", "--seconds", "0"});
  ASSERT_EQ(done.status, 0) << done.err;
  const json limits = json::parse(done.out).at("limits");
  for (const json& product : limits.at("products")) {
    EXPECT_TRUE(product.at("precision") == "bf16" || product.at("precision") == "int8") << product;
    EXPECT_FALSE(product.at("instruction").get<std::string>().empty());
    EXPECT_GT(product.at("ops"), 0);
  }
}

// The test covers the sets that the machine has.
TEST_F(Bench, KnowsTheLimitsOfEveryInstructionSet) {
  for (const char* isa : kIsas) {
    if (has_kernels_of_its_own(isa, "f32")) continue;
    const Finished done =
        run_headlane({"bench", "--json", "--isa", isa, "--threads", "1", "--seconds", "0"});
    ASSERT_EQ(done.status, 0) << done.err;
    const json told = json::parse(done.out);
    EXPECT_GT(told.at("limits").at("flops"), 0) << told.at("isa");
    const bool has_it = told.at("isa") == isa;
    EXPECT_TRUE(!has_it || !told.at("limits").at("products").empty()) << isa;
  }
}

TEST_F(Bench, SaysWhatTheModelComputesIn) {
  const std::string path = model();
  for (const char* precision : {"f32", "bf16", "int8"}) {
    const Finished done = run_headlane({"bench", "-m", path, "1x3", "--seconds", "0", "--threads",
                                        "1", "--json", "--precision", precision});
    ASSERT_EQ(done.status, 0) << done.err;
    EXPECT_EQ(json::parse(done.out).at("precision"), precision);
  }
}

TEST_F(Bench, WritesEveryPassOfEveryCase) {
  const std::string trace = dir_.file("trace.json");
  const Finished done = run_headlane({"bench", "-m", model(), "2x8", "1x3", "--seconds", "0",
                                      "--threads", "1", "--json", "--trace", trace});
  ASSERT_EQ(done.status, 0) << done.err;
  const json told = json::parse(done.out);
  ASSERT_EQ(told.at("cases").size(), 2u);
  size_t n_passes = 0;
  for (const json& shape : told.at("cases")) {
    n_passes += shape.at("passes").size();
    for (const json& pass : shape.at("passes")) EXPECT_GE(pass.at("seconds"), 0);
  }
  size_t n_bars = 0;
  const json events = json::parse(read_file(trace)).at("traceEvents");
  for (const json& event : events) n_bars += event.at("ph") == "X";
  EXPECT_EQ(n_bars, n_passes);  // of one thread
}

TEST_F(Bench, RefusesWhatIsNoCase) {
  const Finished done = run_headlane({"bench", "-m", model(), "8by128"});
  EXPECT_EQ(done.status, 2);
  EXPECT_NE(done.err.find("8by128"), std::string::npos) << done.err;
}

}  // namespace
}  // namespace headlane::test
