// Methods of dicts and lists, and how all are found.
#include <algorithm>
#include <memory>

#include "engine/base/error.h"
#include "engine/chat/method_table.h"
#include "engine/chat/operations.h"

namespace headlane::chat {
namespace {

enum class MapPart { kKeys, kValues, kItems };

template <MapPart part>
Datum map_view(const Datum& self, const Arguments& arguments, Work* work) {
  takes_nothing("a method of a dict", arguments);
  work->step(self.length());
  std::vector<Datum> items;
  for (const auto& [key, value] : self.map().members()) {
    if (part == MapPart::kItems) {
      items.push_back(make_list({key, value}, ListKind::kTuple));
    } else {
      items.push_back(part == MapPart::kKeys ? key : value);
    }
  }
  return make_list(std::move(items), ListKind::kView);
}

Datum map_get(const Datum& self, const Arguments& arguments, Work*) {
  const Parameters read("get", arguments, {"key", "default"});
  const Datum* found = self.map().find(read.value(0));
  return found ? *found : read.value(1, Datum());
}

Datum map_copy(const Datum& self, const Arguments& arguments, Work*) {
  takes_nothing("copy", arguments);
  return self;  // nothing here changes
}

constexpr NamedMethod kMapMethods[] = {{"keys", map_view<MapPart::kKeys>},
                                       {"values", map_view<MapPart::kValues>},
                                       {"items", map_view<MapPart::kItems>},
                                       {"get", map_get},
                                       {"copy", map_copy}};

Datum list_index(const Datum& self, const Arguments& arguments, Work* work) {
  const Parameters read("index", arguments, {"value"});
  const std::vector<Datum>& items = self.list().items;
  work->step(self.length() + self.weight() / 16);
  for (size_t i = 0; i < items.size(); ++i) {
    if (equal(items[i], read.value(0))) return static_cast<int64_t>(i);
  }
  fail(Status::kInvalidArgument, "index finds nothing");
}

Datum list_count(const Datum& self, const Arguments& arguments, Work* work) {
  const Parameters read("count", arguments, {"value"});
  const std::vector<Datum>& items = self.list().items;
  work->step(self.length() + self.weight() / 16);
  return static_cast<int64_t>(std::count_if(
      items.begin(), items.end(), [&](const Datum& item) { return equal(item, read.value(0)); }));
}

constexpr NamedMethod kListMethods[] = {{"index", list_index}, {"count", list_count}};

// Python's other members: a template that uses one means it.
constexpr const char* kOtherText[] = {
    "casefold",  "center",       "encode",  "expandtabs", "format",      "format_map", "isascii",
    "isdecimal", "isidentifier", "islower", "isnumeric",  "isprintable", "istitle",    "isupper",
    "ljust",     "maketrans",    "rindex",  "rjust",      "swapcase",    "translate",  "zfill"};
constexpr const char* kOtherMap[] = {"clear", "fromkeys", "pop", "popitem", "setdefault", "update"};
constexpr const char* kOtherList[] = {"append", "clear",  "copy",    "extend", "insert",
                                      "pop",    "remove", "reverse", "sort"};
constexpr const char* kOtherNumber[] = {"real",       "imag",      "numerator",  "denominator",
                                        "bit_length", "conjugate", "is_integer", "as_integer_ratio",
                                        "hex"};

template <size_t n>
bool is_among(const std::string& name, const char* const (&names)[n]) {
  return std::find(names, names + n, name) != names + n;
}

bool is_other_member(const Datum& value, const std::string& name) {
  if (value.is_text()) return is_among(name, kOtherText);
  if (value.is_map()) return is_among(name, kOtherMap);
  if (value.is_list()) return is_among(name, kOtherList);
  return value.is_number() && is_among(name, kOtherNumber);
}

}  // namespace

Datum method_of(const Datum& value, const std::string& name, Work* work) {
  Method method = nullptr;
  if (value.is_text()) method = find_named(text_methods(), name);
  if (value.is_map()) method = find_named(kMapMethods, name);
  const bool is_list = value.is_list() && value.list().kind != ListKind::kIterator &&
                       value.list().kind != ListKind::kView;
  if (is_list) method = find_named(kListMethods, name);
  if (method == nullptr) {
    if (!is_other_member(value, name)) return Datum::undefined("\"" + name + "\"");
    fail(Status::kUnsupported, "the member \"%s\" of a value of the type %s is not supported",
         name.c_str(), value.type_name());
  }
  return std::make_shared<const Function>(
      Function{name,
               [value, method, work](const Arguments& arguments) {
                 work->step(1 + value.length());
                 return method(value, arguments, work);
               },
               value.depth()});
}

}  // namespace headlane::chat
