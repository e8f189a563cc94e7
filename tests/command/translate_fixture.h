// Models that translate, for the command: the example, and a small random one for many languages.
#pragma once

#include <sstream>

#include "tests/command/model_fixture.h"
#include "tests/support/lines.h"
#include "tests/support/npy.h"
#include "tests/support/polyglot_folder.h"

namespace headlane::test {

inline const std::string kExample = HEADLANE_GOLDEN_DIR "/../../examples/translate/zh-en.headlane";
inline const std::string kPairs = HEADLANE_GOLDEN_DIR "/translate";
inline const std::string kFineDay =
    "\xe4\xbb\x8a\xe5\xa4\xa9\xe5\xa4\xa9\xe6\xb0\x94\xe5\xbe\x88\xe5\xa5\xbd";

class TranslateTest : public CommandTest {
 protected:
  static Finished translate(const std::vector<std::string>& more, const std::string& input = "") {
    return translate_by(kExample, more, input);
  }

  static Finished translate_by(const std::string& model, const std::vector<std::string>& more,
                               const std::string& input = "") {
    std::vector<std::string> arguments = {"translate", "-m", model};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_headlane(arguments, {.input = input, .more = {}});
  }

  static std::string output(const std::vector<std::string>& more, const std::string& input = "") {
    const Finished done = translate(more, input);
    EXPECT_EQ(done.status, 0) << done.err;
    EXPECT_EQ(done.err, "");
    return done.out;
  }

  static std::vector<std::string> lines_of(const std::string& text) {
    std::vector<std::string> lines;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) lines.push_back(line);
    return lines;
  }

  // The first n golden pairs' sources, a line each.
  static std::string sources(size_t n) { return first_lines(kPairs + "/sources.txt", n); }

  static std::string first_lines(const std::string& file, size_t n) {
    std::string text;
    for (const std::string& line : read_lines(file)) {
      if (n-- == 0) break;
      text += line + "\n";
    }
    return text;
  }

  // tests/support/polyglot_folder.h, converted.
  std::string polyglot(int forced_first = -1) const {
    const std::string folder = dir_.file("folder");
    write_polyglot_folder(folder, forced_first);
    std::string model = dir_.file("polyglot.headlane");
    const Finished done = run_headlane({"convert", folder, "-o", model});
    EXPECT_EQ(done.status, 0) << done.err;
    std::filesystem::remove_all(folder);
    return model;
  }
};

}  // namespace headlane::test
