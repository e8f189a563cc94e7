#include "engine/chat/item_filters.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "engine/base/error.h"

namespace headlane::chat {
namespace {

// The member of an item that "a.b.0" names, or the item itself where the path is none.
Datum member_of(Datum item, const Datum& path, Work* work) {
  if (path.is_none()) return item;
  if (path.is_whole()) return item_of(item, path, work);
  if (!path.is_text()) {
    fail(Status::kInvalidArgument, "an attribute is of the type %s", path.type_name());
  }
  const std::string& names = path.text().bytes();
  for (size_t begin = 0; begin <= names.size();) {
    const size_t end = std::min(names.find('.', begin), names.size());
    const std::string name = names.substr(begin, end - begin);
    const bool is_number = !name.empty() && name.size() < 10 &&
                           name.find_first_not_of("0123456789") == std::string::npos;
    item = item_of(item, is_number ? Datum(std::stoll(name)) : Datum(MarkedText(name)), work);
    begin = end + 1;
  }
  return item;
}

// Items are compared as Jinja does: without regard to case, unless it is asked to.
Datum sort_key(const Datum& item, const Datum& path, bool by_case, Work* work) {
  Datum key = member_of(item, path, work);
  if (by_case || !key.is_text()) return key;
  return with_case(key.text(), LetterCase::kLower);
}

struct Keyed {
  Datum key, item;
};

std::vector<Keyed> keyed(const Datum& value, const Datum& path, bool by_case, Work* work) {
  std::vector<Keyed> all;
  for (Datum& item : items_of(value, work)) {
    Datum key = sort_key(item, path, by_case, work);
    all.push_back({std::move(key), std::move(item)});
  }
  work->step(16 * std::ssize(all));
  return all;
}

void sort_keyed(std::vector<Keyed>* all, bool reverse) {
  std::stable_sort(all->begin(), all->end(), [&](const Keyed& a, const Keyed& b) {
    return reverse ? compare(b.key, a.key) < 0 : compare(a.key, b.key) < 0;
  });
}

Datum taken(std::vector<Keyed> all) {
  std::vector<Datum> items;
  items.reserve(all.size());
  for (Keyed& one : all) items.push_back(std::move(one.item));
  return make_list(std::move(items));
}

Datum best_item(const char* name, const Datum& value, const Arguments& arguments, bool largest,
                Work* work) {
  const Parameters read(name, arguments, {"case_sensitive", "attribute"});
  std::vector<Keyed> all = keyed(value, read.value(1, Datum()), read.flag(0, false), work);
  if (all.empty()) return Datum::undefined("an item of what is empty");
  const auto less = [](const Keyed& a, const Keyed& b) { return compare(a.key, b.key) < 0; };
  const auto best = largest ? std::max_element(all.begin(), all.end(), less)
                            : std::min_element(all.begin(), all.end(), less);
  return best->item;
}

bool is_reversible(const Datum& value) {
  return value.is_map() || (value.is_list() && value.list().kind != ListKind::kIterator);
}

// The items that pass a test, or, without one, are true. The first `n_before` arguments are not the
// test's.
Datum selected(const Datum& value, const Arguments& arguments, bool by_member, bool wanted,
               Work* work) {
  const size_t n_before = by_member ? 1 : 0;
  if (arguments.positional.size() < n_before) {
    fail(Status::kInvalidArgument, "selectattr or rejectattr has no attribute");
  }
  const bool has_test = arguments.positional.size() > n_before;
  Arguments rest{{}, arguments.named};
  std::string test;
  if (has_test) {
    test = text_of(arguments.positional[n_before]).bytes();
    rest.positional.assign(arguments.positional.begin() + static_cast<ptrdiff_t>(n_before) + 1,
                           arguments.positional.end());
  }
  std::vector<Datum> items;
  for (Datum& item : items_of(value, work)) {
    const Datum looked_at = by_member ? member_of(item, arguments.positional[0], work) : item;
    const bool passed = has_test ? passes(test, looked_at, rest, work) : looked_at.is_true();
    if (passed == wanted) items.push_back(std::move(item));
  }
  return make_list(std::move(items), ListKind::kIterator);
}

}  // namespace

Datum first_item(const Datum& value, const Arguments& arguments, Work* work) {
  takes_nothing("first", arguments);
  const std::vector<Datum> items = items_of(value, work);
  return items.empty() ? Datum::undefined("the first item of what is empty") : items.front();
}

Datum last_item(const Datum& value, const Arguments& arguments, Work* work) {
  takes_nothing("last", arguments);
  if (!value.is_text() && !is_reversible(value) && !value.is_undefined()) {
    fail(Status::kInvalidArgument, "last wants a list");
  }
  const std::vector<Datum> items = items_of(value, work);
  return items.empty() ? Datum::undefined("the last item of what is empty") : items.back();
}

Datum join_items(const Datum& value, const Arguments& arguments, Work* work) {
  const Parameters read("join", arguments, {"d", "attribute"});
  const MarkedText between = text_of(read.value(0, ""));
  MarkedText result;
  bool is_first = true;
  for (const Datum& item : items_of(value, work)) {
    const Datum member = member_of(item, read.value(1, Datum()), work);
    work->take(member.weight() + static_cast<int64_t>(between.size()));
    if (!is_first) result.append(between);
    is_first = false;
    result.append(text_of(member));
  }
  return result;
}

Datum list_items(const Datum& value, const Arguments& arguments, Work* work) {
  takes_nothing("list", arguments);
  return make_list(items_of(value, work));
}

Datum map_items(const Datum& value, const Arguments& arguments, Work* work) {
  takes_nothing("items", arguments);
  if (value.is_undefined()) return make_list({}, ListKind::kIterator);
  if (!value.is_map()) fail(Status::kInvalidArgument, "items wants a dict");
  const Datum view = call(method_of(value, "items", work), {});
  return make_list(items_of(view, work), ListKind::kIterator);
}

Datum sort_map(const Datum& value, const Arguments& arguments, Work* work) {
  const Parameters read("dictsort", arguments, {"case_sensitive", "by", "reverse"});
  const std::string by = read.has(1) ? read.text(1).bytes() : "key";
  if (by != "key" && by != "value") fail(Status::kInvalidArgument, "dictsort has a wrong \"by\"");
  if (!value.is_map()) fail(Status::kInvalidArgument, "dictsort wants a dict");
  const Datum view = call(method_of(value, "items", work), {});
  std::vector<Keyed> all =
      keyed(make_list(view.list().items), by == "key" ? 0 : 1, read.flag(0, false), work);
  sort_keyed(&all, read.flag(2, false));
  return taken(std::move(all));
}

Datum reverse_items(const Datum& value, const Arguments& arguments, Work* work) {
  takes_nothing("reverse", arguments);
  if (value.is_text()) return slice_of(value, Datum(), Datum(), -1, work);
  std::vector<Datum> items = items_of(value, work);
  std::reverse(items.begin(), items.end());
  // An iterator is made a list, and anything else gone through from behind.
  return make_list(std::move(items), is_reversible(value) ? ListKind::kIterator : ListKind::kList);
}

Datum sort_items(const Datum& value, const Arguments& arguments, Work* work) {
  const Parameters read("sort", arguments, {"reverse", "case_sensitive", "attribute"});
  const Datum path = read.value(2, Datum());
  if (path.is_text() && path.text().bytes().find(',') != std::string::npos) {
    fail(Status::kUnsupported, "sort by several attributes is not supported");
  }
  std::vector<Keyed> all = keyed(value, path, read.flag(1, false), work);
  sort_keyed(&all, read.flag(0, false));
  return taken(std::move(all));
}

Datum unique_items(const Datum& value, const Arguments& arguments, Work* work) {
  const Parameters read("unique", arguments, {"case_sensitive", "attribute"});
  ValueMap seen;
  std::vector<Datum> items;
  for (Keyed& one : keyed(value, read.value(1, Datum()), read.flag(0, false), work)) {
    if (seen.find(one.key) != nullptr) continue;
    seen.set(one.key, Datum());
    items.push_back(std::move(one.item));
  }
  return make_list(std::move(items), ListKind::kIterator);
}

Datum least_item(const Datum& value, const Arguments& arguments, Work* work) {
  return best_item("min", value, arguments, false, work);
}
Datum largest_item(const Datum& value, const Arguments& arguments, Work* work) {
  return best_item("max", value, arguments, true, work);
}

Datum sum_items(const Datum& value, const Arguments& arguments, Work* work) {
  const Parameters read("sum", arguments, {"attribute", "start"});
  Datum sum = read.value(1, 0);
  for (const Datum& item : items_of(value, work)) {
    sum = binary("+", sum, member_of(item, read.value(0, Datum()), work), work);
  }
  return sum;
}

Datum map_each(const Datum& value, const Arguments& arguments, Work* work) {
  std::vector<Datum> items = items_of(value, work);
  if (arguments.positional.empty()) {
    const Parameters read("map", arguments, {"attribute", "default"});
    const Datum otherwise = read.value(1, Datum());
    for (Datum& item : items) {
      item = member_of(item, read.value(0), work);
      if (item.is_undefined() && !otherwise.is_none()) item = otherwise;
    }
  } else {
    const std::string filter = text_of(arguments.positional[0]).bytes();
    work->step(std::ssize(arguments.positional));
    work->take(16 * std::ssize(arguments.positional));
    const Arguments rest{{arguments.positional.begin() + 1, arguments.positional.end()},
                         arguments.named};
    for (Datum& item : items) item = filtered(filter, item, rest, work);
  }
  return make_list(std::move(items), ListKind::kIterator);
}

Datum select_items(const Datum& value, const Arguments& arguments, Work* work) {
  return selected(value, arguments, false, true, work);
}
Datum reject_items(const Datum& value, const Arguments& arguments, Work* work) {
  return selected(value, arguments, false, false, work);
}
Datum select_by_member(const Datum& value, const Arguments& arguments, Work* work) {
  return selected(value, arguments, true, true, work);
}
Datum reject_by_member(const Datum& value, const Arguments& arguments, Work* work) {
  return selected(value, arguments, true, false, work);
}

}  // namespace headlane::chat
