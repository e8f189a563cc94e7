#include <stdexcept>
#include <string_view>

#include "tools/headlane/attention/attention.h"

namespace tool {

extern const std::string_view kAttentionPage;  // attention_page.html, by way of CMake

// The page holds a sample of what attention_json() gives, so that it can be opened and edited as it
// is. Here the sample's place is taken. "<" occurs in JSON's strings only; escaped, no token can
// end the element.
std::string attention_page(const AttentionMaps& maps) {
  constexpr std::string_view kBegin = "<script type=\"application/json\" id=\"maps\">";
  constexpr std::string_view kEnd = "</script>";
  const size_t begin = kAttentionPage.find(kBegin);
  const size_t end = kAttentionPage.find(kEnd, begin);
  if (end == std::string_view::npos) throw std::logic_error("attention_page.html has no data");
  std::string page(kAttentionPage.substr(0, begin + kBegin.size()));
  page += '\n';
  for (const char c : attention_json(maps)) {
    c == '<' ? page += "\\u003c" : page += c;
  }
  return page.append(kAttentionPage.substr(end));
}

}  // namespace tool
