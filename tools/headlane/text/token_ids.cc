#include "tools/headlane/text/token_ids.h"

#include <algorithm>
#include <charconv>

namespace tool {

std::vector<int32_t> parse_ids(const std::string& line, const std::string& where) {
  std::vector<int32_t> ids;
  const char* at = line.data();
  const char* end = at + line.size();
  while (true) {
    while (at < end && (*at == ' ' || *at == '\t' || *at == '\r')) ++at;
    if (at == end) return ids;
    int32_t id = 0;
    const auto [next, error] = std::from_chars(at, end, id);
    const bool ends_here = next == end || *next == ' ' || *next == '\t' || *next == '\r';
    if (error != std::errc() || !ends_here) {
      const std::string word(at,
                             std::find_if(at, end, [](char c) { return c == ' ' || c == '\t'; }));
      throw std::runtime_error(where + ": \"" + word.substr(0, 40) + "\" is not a token id");
    }
    ids.push_back(id);
    at = next;
  }
}

void check_ids(const std::vector<int32_t>& ids, const headlane_model_facts& facts,
               const std::string& where) {
  if (static_cast<int64_t>(ids.size()) > facts.max_positions) {
    throw std::runtime_error(where + ": there are " + std::to_string(ids.size()) +
                             " ids, but the model takes at most " +
                             std::to_string(facts.max_positions));
  }
  for (const int32_t id : ids) {
    if (id < 0 || id >= facts.vocab_size) {
      throw std::runtime_error(where + ": id " + std::to_string(id) +
                               " is not in the range from 0 to " +
                               std::to_string(facts.vocab_size - 1));
    }
  }
}

}  // namespace tool
