// headlane pack, and what info says of the file.
#include <filesystem>

#include "tests/command/model_fixture.h"

namespace headlane::test {
namespace {

class PackCommand : public CommandTest {
 protected:
  PackCommand() {
    const Finished done =
        run_headlane({"convert", HEADLANE_GOLDEN_DIR "/language_models/llama_texts", "-o", model_});
    EXPECT_EQ(done.status, 0) << done.err;
  }

  static std::string told(const std::vector<std::string>& arguments) {
    const Finished done = run_headlane(arguments);
    EXPECT_EQ(done.status, 0) << done.err;
    return done.out;
  }

  const std::string model_ = dir_.file("model.headlane"), packed_ = dir_.file("packed.headlane");
};

TEST_F(PackCommand, InfoSaysForWhom) {
  EXPECT_EQ(told({"info", model_}).find("packed_in_file"), std::string::npos);
  Finished done = run_headlane({"pack", model_, "-o", packed_});
  EXPECT_EQ(done.status, 0) << done.err;
  EXPECT_NE(done.err.find("headlane: note: packing for kernels"), std::string::npos) << done.err;
  EXPECT_NE(told({"info", packed_}).find("products, as this machine reads them"),
            std::string::npos);
  EXPECT_NE(told({"info", packed_, "--precision", "int8"}).find("0 of "), std::string::npos);
  EXPECT_NE(told({"info", packed_, "--check"}).find("matches"), std::string::npos);
  done = run_headlane({"pack", model_, "-o", packed_, "--isa", "ref", "--isa", "ref"});
  EXPECT_EQ(done.status, 0) << done.err;
  EXPECT_NE(told({"info", packed_, "--isa", "ref"}).find("products, as this machine reads them"),
            std::string::npos);
}

TEST_F(PackCommand, RunsAsBefore) {
  told({"pack", model_, "-o", packed_});
  const std::string expected = told({"generate", "-m", model_, "--max-new-tokens", "8", "the cat"});
  for (const std::vector<std::string>& how :
       {std::vector<std::string>{}, {"--map"}, {"--verify"}, {"--map", "--verify"}}) {
    std::vector<std::string> arguments = {"generate", "-m", packed_, "--max-new-tokens", "8"};
    arguments.insert(arguments.end(), how.begin(), how.end());
    arguments.emplace_back("the cat");
    EXPECT_EQ(told(arguments), expected);
  }
}

TEST_F(PackCommand, MistakesAreSentences) {
  EXPECT_EQ(run_headlane({"pack", model_, "-o", "-"}).status, 2);
  EXPECT_EQ(run_headlane({"pack", model_}).status, 2);
  Finished done = run_headlane({"pack", model_, "-o", packed_, "--isa", "quantum"});
  EXPECT_EQ(done.status, 1);
  EXPECT_NE(done.err.find("quantum"), std::string::npos) << done.err;
  done = run_headlane({"pack", HEADLANE_GOLDEN_DIR "/language_models", "-o", packed_});
  EXPECT_EQ(done.status, 1);
  EXPECT_FALSE(std::filesystem::exists(packed_));
}

}  // namespace
}  // namespace headlane::test
