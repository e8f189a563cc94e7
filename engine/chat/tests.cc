// Jinja's tests: what stands behind "is".
#include <algorithm>
#include <iterator>

#include "engine/base/error.h"
#include "engine/chat/operations.h"

namespace headlane::chat {
namespace {

bool is_iterable(const Datum& value) {
  return value.is_text() || value.is_list() || value.is_map() || value.is_undefined();
}

// It has a length and items by their places or names.
bool has_places(const Datum& value) {
  if (value.is_list()) {
    return value.list().kind != ListKind::kView && value.list().kind != ListKind::kIterator;
  }
  return is_iterable(value);
}

struct KindTest {
  const char* name;
  bool (*passes)(const Datum& value);
};
constexpr KindTest kKindTests[] = {
    {"defined", [](const Datum& value) { return !value.is_undefined(); }},
    {"undefined", [](const Datum& value) { return value.is_undefined(); }},
    {"none", [](const Datum& value) { return value.is_none(); }},
    {"string", [](const Datum& value) { return value.is_text(); }},
    {"number", [](const Datum& value) { return value.is_number(); }},
    {"integer", [](const Datum& value) { return value.is_integer(); }},
    {"float", [](const Datum& value) { return value.is_float(); }},
    {"boolean", [](const Datum& value) { return value.is_bool(); }},
    {"true", [](const Datum& value) { return value.is_bool() && value.boolean(); }},
    {"false", [](const Datum& value) { return value.is_bool() && !value.boolean(); }},
    {"mapping", [](const Datum& value) { return value.is_map(); }},
    {"sequence", has_places},
    {"iterable", is_iterable},
    {"callable", [](const Datum& value) { return value.is_function(); }}};

struct OrderTest {
  const char *name, *operation;
};
constexpr OrderTest kOrderTests[] = {
    {"==", "=="},      {"eq", "=="}, {"equalto", "=="}, {"!=", "!="},
    {"ne", "!="},      {">", ">"},   {"gt", ">"},       {"greaterthan", ">"},
    {">=", ">="},      {"ge", ">="}, {"<", "<"},        {"lt", "<"},
    {"lessthan", "<"}, {"<=", "<="}, {"le", "<="},      {"in", "in"}};

int64_t whole(const std::string& name, const Datum& value) {
  if (value.is_whole()) return value.integer();
  fail(Status::kInvalidArgument, "the test \"%s\" wants an int, not a value of the type %s",
       name.c_str(), value.type_name());
}

bool is_same(const Datum& value, const Datum& other) {
  const bool plain = other.is_none() || other.is_bool();
  if (!plain) fail(Status::kUnsupported, "the test \"sameas\" of this value is not supported");
  return value.is_none() == other.is_none() && value.is_bool() == other.is_bool() &&
         equal(value, other);
}

}  // namespace

bool passes(const std::string& name, const Datum& value, const Arguments& arguments, Work* work) {
  work->step();
  for (const KindTest& kind : kKindTests) {
    if (name != kind.name) continue;
    takes_nothing(name, arguments);
    return kind.passes(value);
  }
  for (const OrderTest& order : kOrderTests) {
    if (name != order.name) continue;
    const Parameters read(name, arguments, {"other"});
    return compares(order.operation, value, read.value(0), work);
  }
  if (name == "odd" || name == "even") {
    takes_nothing(name, arguments);
    return (whole(name, value) % 2 != 0) == (name == "odd");
  }
  if (name == "divisibleby" || name == "sameas") {
    const Parameters read(name, arguments, {"other"});
    if (name == "sameas") return is_same(value, read.value(0));
    const Datum rest = binary("%", whole(name, value), whole(name, read.value(0)), work);
    return rest.integer() == 0;
  }
  fail(Status::kUnsupported, "the test \"%s\" is not supported", name.c_str());
}

}  // namespace headlane::chat
