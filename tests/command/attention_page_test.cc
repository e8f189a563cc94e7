// The page of headlane attention, as a browser shows it. Without Chromium these tests are skipped.
#include <algorithm>
#include <cmath>

#include "tests/command/attention_fixture.h"
#include "tests/command/picture.h"

namespace headlane::test {
namespace {

using nlohmann::json;

bool has_chromium() {
  try {
    static const int status = run_program("chromium", {"--version"}).status;
    return status == 0;
  } catch (const std::runtime_error&) {
    return false;
  }
}

// Text as HTML writes it, read back.
std::string unescaped(std::string text) {
  const std::pair<const char*, const char*> entities[] = {
      {"&lt;", "<"}, {"&gt;", ">"}, {"&quot;", "\""}, {"&nbsp;", "\xc2\xa0"}, {"&amp;", "&"}};
  for (const auto& [entity, character] : entities) {
    for (size_t at = 0; (at = text.find(entity, at)) != std::string::npos; ++at) {
      text.replace(at, std::string(entity).size(), character);
    }
  }
  return text;
}

// The parts between `begin` and `end`, each time, in order.
std::vector<std::string> all_between(const std::string& text, const std::string& begin,
                                     const std::string& end) {
  std::vector<std::string> found;
  for (size_t at = 0; (at = text.find(begin, at)) != std::string::npos;) {
    at += begin.size();
    found.push_back(unescaped(text.substr(at, text.find(end, at) - at)));
  }
  return found;
}

class AttentionPage : public AttentionTest {
 protected:
  void SetUp() override {
    if (!has_chromium()) GTEST_SKIP() << "no chromium on this machine";
    AttentionTest::SetUp();
  }

  void write_page(const std::string& text, std::vector<std::string> more = {}) const {
    more.insert(more.end(), {"--html", page_});
    const Finished done = attention(text, more);
    ASSERT_EQ(done.status, 0) << done.err;
    EXPECT_EQ(done.out + done.err, "");
  }

  Finished browse(const std::string& hash, std::vector<std::string> more) const {
    more.insert(more.end(), {"--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
                             "--disable-dev-shm-usage", "--disable-background-networking",
                             "--user-data-dir=" + dir_.file("profile"), "file://" + page_ + hash});
    return run_program("chromium", more);
  }

  // The page's elements once its script has run.
  std::string dom(const std::string& hash = "") const {
    const Finished done = browse(hash, {"--dump-dom"});
    EXPECT_EQ(done.status, 0) << done.err;
    return done.out;
  }

  // The cells are those of one head of `maps`, to the six decimals that they have.
  static void expect_head(const std::string& dom, const json& maps, size_t layer, size_t head) {
    const std::vector<std::string> values = all_between(dom, "data-value=\"", "\"");
    const json& rows = maps["layers"][layer]["heads"][head]["probabilities"];
    const size_t n = rows.size();
    ASSERT_EQ(values.size(), n * n);
    double largest = 0;
    for (size_t k = 0; k < n * n; ++k) {
      const double off = std::stod(values[k]) - rows[k / n][k % n].get<double>();
      largest = std::max(largest, std::fabs(off));
    }
    EXPECT_LE(largest, 0.5001e-6);
  }

  static void expect_tokens(const std::string& dom, const json& maps, const std::string& scope) {
    std::vector<std::string> titles =
        all_between(dom, "<th scope=\"" + scope + "\" title=\"", "\"");
    EXPECT_EQ(json(titles), maps["tokens"]) << scope;
    std::vector<std::string> shown = all_between(dom, "<th scope=\"" + scope + "\"", "</span>");
    for (size_t i = 0; i < shown.size(); ++i) {
      EXPECT_TRUE(shown[i].ends_with("\"><span>" + maps["tokens"][i].get<std::string>()))
          << shown[i];
    }
  }

  const std::string page_ = dir_.file("page.html");
};

TEST_F(AttentionPage, CellsAreThoseOfTheJson) {
  for (const int n : {3, 60}) {
    const std::string text = text_of(n);
    write_page(text);
    const json maps = maps_of(text);
    const std::string shown = dom();
    expect_head(shown, maps, 0, 0);
    expect_tokens(shown, maps, "col");
    expect_tokens(shown, maps, "row");
    expect_head(dom("#layer=1&head=3"), maps, 1, 3);
    expect_head(dom("#head=2"), maps, 0, 2);
    expect_head(dom("#layer=7&head=x"), maps, 0, 0);
  }
}

TEST_F(AttentionPage, PartsHaveTheirNumbers) {
  const std::string text = text_of(4);
  write_page(text, {"--layer", "1"});
  const json maps = maps_of(text);
  const std::string shown = dom("#layer=1&head=4");
  expect_head(shown, maps, 1, 4);
  EXPECT_TRUE(contains(shown, "aria-label=\"Layer 1, head 4\""));
}

// The content of tokens and texts stays text: it neither ends the script nor runs.
TEST_F(AttentionPage, HostileTokensDoNothing) {
  std::string text = text_of(2 * static_cast<int>(hostile_tokens().size()) + 3);
  write_page(text);
  const std::string shown = dom();
  const std::vector<std::string> titles = all_between(shown, "<title>", "</title>");
  ASSERT_EQ(titles.size(), 1u);
  EXPECT_EQ(titles[0], "Attention: hostile.headlane: " + text);
  EXPECT_EQ(all_between(shown, "<script", ">").size(), 2u) << "its data and its own script";
  EXPECT_EQ(all_between(shown, "<img", ">").size(), 0u);
}

// As it is drawn: a style of its own can show what is hidden.
TEST_F(AttentionPage, EncoderHasNoChoiceOfParts) {
  write_page("a b");
  std::string html = read_file(page_);
  const std::string end = "</body>";
  ASSERT_TRUE(contains(html, end));
  html.insert(html.rfind(end),
              "<script>document.title = [...document.querySelectorAll('#controls label')]"
              ".filter((label) => getComputedStyle(label).display !== 'none')"
              ".map((label) => label.firstChild.data.trim()).join()</script>");
  write_file(page_, html);
  EXPECT_EQ(all_between(dom(), "<title>", "</title>"),
            std::vector<std::string>{"Layer,Head,Colours"});
}

TEST_F(AttentionPage, NeedsNothingElse) {
  write_page("a b");
  const std::string html = read_file(page_);
  for (const char* word : {"http:", "https:", "src=", "url(", "@import", "<link", "fetch("}) {
    EXPECT_FALSE(contains(html, word)) << word;
  }
}

TEST_F(AttentionPage, ScreenshotsShowIt) {
  for (const int n : {3, 60}) {
    write_page(text_of(n));
    for (const char* scheme : {"0", "1"}) {  // dark, light
      const std::string png = dir_.file("shot.png");
      const Finished done =
          browse("#layer=1&head=2", {"--screenshot=" + png, "--window-size=900,900",
                                     std::string("--blink-settings="
                                                 "preferredColorScheme=") +
                                         scheme});
      ASSERT_EQ(done.status, 0) << done.err;
      const Picture picture = read_picture(png);
      EXPECT_EQ(picture.width, 900);
      const std::map<uint32_t, int> colours = picture.colours();
      EXPECT_GT(colours.size(), 100u) << n << " tokens";
      const auto most =
          std::max_element(colours.begin(), colours.end(),
                           [](const auto& a, const auto& b) { return a.second < b.second; });
      EXPECT_EQ(most->first, scheme[0] == '0' ? 0x14171bu : 0xffffffu) << "the page's ground";
    }
  }
}

}  // namespace
}  // namespace headlane::test
