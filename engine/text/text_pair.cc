#include "engine/text/text_pair.h"

#include <algorithm>

#include "engine/base/error.h"
#include "engine/file/json_fields.h"
#include "engine/file/limits.h"
#include "engine/text/spec_fields.h"

namespace headlane {
namespace {

using PairKind = PairTemplate::Kind;

void cut(size_t length, bool from_left, std::vector<int32_t>* ids) {
  if (ids->size() <= length) return;
  if (from_left) std::copy(ids->end() - static_cast<ptrdiff_t>(length), ids->end(), ids->begin());
  ids->resize(length);
}

// An item is {"text": 0, "type": 0}, where 1 is the second text, or {"id": 102, "type": 1}.
PairTemplate::Item read_item(const Json& item, int64_t vocab_size, const std::string& where) {
  PairTemplate::Item out;
  out.type = static_cast<int32_t>(read_int(item, "type", where, 0, file_limits::kTypes - 1));
  if (json_has(item, "text", where)) {
    out.kind = read_int(item, "text", where, 0, 1) == 0 ? PairKind::kFirst : PairKind::kSecond;
  } else {
    out.id = static_cast<int32_t>(read_int(item, "id", where, 0, vocab_size - 1));
  }
  return out;
}

}  // namespace

int64_t PairTemplate::n_special() const {
  return std::count_if(items.begin(), items.end(),
                       [](const Item& item) { return item.kind == PairKind::kToken; });
}

PairTemplate bert_pair(const std::vector<int32_t>& before, const std::vector<int32_t>& after) {
  PairTemplate out;
  for (const int32_t id : before) out.items.push_back({PairKind::kToken, id, 0});
  out.items.push_back({PairKind::kFirst, 0, 0});
  for (const int32_t id : after) out.items.push_back({PairKind::kToken, id, 0});
  out.items.push_back({PairKind::kSecond, 0, 1});
  for (const int32_t id : after) out.items.push_back({PairKind::kToken, id, 1});
  return out;
}

PairTemplate read_pair_template(const Json& spec, int64_t vocab_size, const std::string& where) {
  PairTemplate out;
  if (json_field(spec, "pair", where).is_string()) {
    out.why_not = printable(json_string(spec, "pair", where));
    return out;
  }
  out.first_keeps_odd = json_bool(spec, "first_keeps_odd", where, false);
  out.why_no_types = printable(json_string(spec, "no_types", where, ""));
  const std::string pair_where = where + " field \"pair\":";
  for (const Json& item : read_array(spec, "pair", where, file_limits::kPairItems)) {
    out.items.push_back(read_item(item, vocab_size, pair_where));
  }
  for (const PairKind kind : {PairKind::kFirst, PairKind::kSecond}) {
    if (std::count_if(out.items.begin(), out.items.end(),
                      [&](const auto& item) { return item.kind == kind; }) == 1) {
      continue;
    }
    fail(Status::kBadFile, "%s text %d is not there once", pair_where.c_str(),
         kind == PairKind::kFirst ? 0 : 1);
  }
  return out;
}

void cut_pair(const PairCut& how, std::vector<int32_t>* first, std::vector<int32_t>* second) {
  const size_t total = first->size() + second->size();
  if (total <= how.most) return;
  if (how.truncation == Truncation::kLongestFirst || how.most == 0) {
    // Who keeps an odd id; with first_keeps_odd it may be the shorter one, which leaves what it
    // does not fill to the other.
    const bool is_first = first->size() > second->size() || how.first_keeps_odd;
    std::vector<int32_t>* const keeper = is_first ? first : second;
    std::vector<int32_t>* const other = is_first ? second : first;
    const size_t n_free = how.most - std::min(how.most, keeper->size());
    cut(std::max(how.most / 2, n_free), how.from_left, other);
    cut(how.most - other->size(), how.from_left, keeper);
    return;
  }
  const bool is_first = how.truncation == Truncation::kOnlyFirst;
  std::vector<int32_t>* const cuttable = is_first ? first : second;
  const size_t n_over = total - how.most;
  if (cuttable->size() <= n_over) {
    fail(Status::kInvalidArgument,
         "the %s text of a pair has %zu tokens, too few to cut the %zu that are over max_len from "
         "it alone",
         is_first ? "first" : "second", cuttable->size(), n_over);
  }
  cut(cuttable->size() - n_over, how.from_left, cuttable);
}

}  // namespace headlane
