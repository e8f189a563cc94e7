#include "engine/constraint/json_pointer.h"

#include <algorithm>

namespace headlane {
namespace {

using chat::Datum;

const Datum* member_at(const Datum& of, const std::string& name) {
  if (of.is_map()) return of.map().find(Datum(chat::MarkedText(name)));
  if (!of.is_list()) return nullptr;
  const bool is_number =
      !name.empty() && name.size() < 7 && name.find_first_not_of("0123456789") == std::string::npos;
  const size_t i = is_number ? std::stoul(name) : of.list().items.size();
  return i < of.list().items.size() ? &of.list().items[i] : nullptr;
}

std::string name_of_pointer(std::string_view pointer) {
  std::string name;
  for (size_t i = 0; i < pointer.size(); ++i) {
    const bool is_escape = pointer[i] == '~' && i + 1 < pointer.size() &&
                           (pointer[i + 1] == '0' || pointer[i + 1] == '1');
    name += !is_escape ? pointer[i] : pointer[i + 1] == '0' ? '~' : '/';
    if (is_escape) ++i;
  }
  return name;
}

}  // namespace

const Datum* at_pointer(const Datum& root, std::string_view pointer) {
  const Datum* at = &root;
  for (size_t pos = 0; pos < pointer.size() && at != nullptr;) {
    if (pointer[pos] != '/') return nullptr;
    const size_t end = std::min(pointer.find('/', pos + 1), pointer.size());
    at = member_at(*at, name_of_pointer(pointer.substr(pos + 1, end - pos - 1)));
    pos = end;
  }
  return at;
}

std::string pointer_name(std::string_view name) {
  std::string out;
  for (const char c : name) out += c == '~' ? "~0" : c == '/' ? "~1" : std::string(1, c);
  return out;
}

}  // namespace headlane
