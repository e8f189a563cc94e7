#include "engine/spec/fields.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "engine/base/error.h"
#include "engine/file/json_fields.h"

namespace headlane {
namespace {

using ll = long long;

std::string inside(const std::string& where, const char* name) {
  return where + " field \"" + name + "\":";
}

std::string element_of(const std::string& where, int64_t i) {
  return where + " element " + std::to_string(i) + ":";
}

void check_size(const std::string& where, const char* name, int64_t n, int64_t most) {
  if (n <= most) return;
  fail(Status::kBadFile, "%s field \"%s\" has %lld elements, more than %lld", where.c_str(), name,
       ll{n}, ll{most});
}

const Json& array_of(const Json& object, const char* name, const std::string& where) {
  const Json& array = json_field(object, name, where);
  if (array.is_array()) return array;
  fail(Status::kBadFile, "%s field \"%s\" is not an array", where.c_str(), name);
}

void check_range(const std::string& where, const char* name, int64_t value, int64_t least,
                 int64_t most) {
  if (value >= least && value <= most) return;
  fail(Status::kBadFile, "%s field \"%s\" is %lld, outside [%lld, %lld]", where.c_str(), name,
       ll{value}, ll{least}, ll{most});
}

// The double whose shortest decimal is that of the float: 1e-12, where a plain conversion would be
// written as 9.999999960041972e-13. It converts back to the same float.
double shortest_decimal(float value) {
  char text[32];
  const auto end = std::to_chars(text, text + sizeof text, value).ptr;
  double result = value;
  std::from_chars(text, end, result);
  return result;
}

// A value that cannot be an id becomes an id that no vocabulary has, and is refused for that.
int32_t read_id(const Json& value) {
  if (!value.is_number_integer()) return INT32_MAX;
  const bool too_large = value.is_number_unsigned() && value.get<uint64_t>() > INT32_MAX;
  const int64_t id = too_large ? INT32_MAX : value.get<int64_t>();
  return id >= -1 && id < INT32_MAX ? static_cast<int32_t>(id) : INT32_MAX;
}

}  // namespace

FieldReader::FieldReader(const Json& object, const std::string& where)
    : levels_{{&object, where, {}}} {}

const Json& FieldReader::with(const char* name) {
  levels_.back().known.emplace_back(name);
  return *levels_.back().object;
}

// At once, since an object that has 0 of something would count as one that is not there.
void FieldReader::integer(const char* name, int64_t* value, int64_t least, int64_t most) {
  *value = json_int(with(name), name, where());
  check_range(where(), name, *value, least, most);
}

void FieldReader::number(const char* name, float* value, float, float) { number(name, value); }

void FieldReader::number(const char* name, float* value) {
  *value = static_cast<float>(json_number(with(name), name, where()));
}

void FieldReader::number(const char* name, double* value) {
  *value = json_number(with(name), name, where());
}

void FieldReader::flag(const char* name, bool* value) {
  *value = json_bool(with(name), name, where());
}

void FieldReader::text(const char* name, std::string* value) {
  *value = json_string(with(name), name, where());
}

void FieldReader::texts(const char* name, std::map<std::string, std::string>* values) {
  const Json& object = json_field(with(name), name, where());
  if (!object.is_object()) {
    fail(Status::kBadFile, "%s field \"%s\" is not a JSON object", where().c_str(), name);
  }
  for (const auto& [key, value] : object.items()) {
    (*values)[key] = json_string(object, key.c_str(), inside(where(), name));
  }
}

void FieldReader::limit(const char* name, int64_t* value, int64_t unlimited) {
  const bool is_unlimited = json_field(with(name), name, where()).is_null();
  *value = is_unlimited ? unlimited : std::min(json_int(with(name), name, where()), unlimited);
}

void FieldReader::id(const char* name, int32_t* value) {
  *value = read_id(json_field(with(name), name, where()));
}

void FieldReader::ids(const char* name, std::vector<int32_t>* values) {
  for (const Json& id : array_of(with(name), name, where())) values->push_back(read_id(id));
}

void FieldReader::names(const char* name, std::vector<std::string>* values, int64_t) {
  if (with(name).contains(name)) *values = json_strings(with(name), name, where());
}

// A value that is no number becomes a number that nothing takes.
void FieldReader::numbers(const char* name, std::vector<double>* values, int64_t most) {
  const Json& array = array_of(with(name), name, where());
  check_size(where(), name, std::ssize(array.elements()), most);
  for (const Json& value : array) {
    values->push_back(value.is_number() ? value.get<double>() : std::nan(""));
  }
}

int64_t FieldReader::choose(const char* name, int64_t, std::span<const char* const> names) {
  const std::string text = json_string(with(name), name, where());
  std::string known;
  for (size_t i = 0; i < names.size(); ++i) {
    if (text == names[i]) return static_cast<int64_t>(i);
    known += (known.empty() ? "" : ", ") + std::string(names[i]);
  }
  fail(Status::kBadFile, "%s field \"%s\" is \"%s\", not one of: %s", where().c_str(), name,
       printable(text).c_str(), known.c_str());
}

bool FieldReader::enter(const char* name, bool, bool may_lack) {
  const Json& object = with(name);
  if (may_lack && !json_has(object, name, where())) return false;
  levels_.push_back({&json_field(object, name, where()), inside(where(), name), {}});
  if (levels_.back().object->is_object()) return true;
  fail(Status::kBadFile, "%s it is not a JSON object", where().c_str());
}

void FieldReader::leave() {
  const Level& level = levels_.back();
  for (const auto& [name, value] : level.object->items()) {
    if (std::find(level.known.begin(), level.known.end(), name) != level.known.end()) continue;
    fail(Status::kBadFile, "%s field \"%s\" is not known to this version of Headlane",
         level.where.c_str(), printable(name).c_str());
  }
  levels_.pop_back();
}

int64_t FieldReader::enter_list(const char* name, int64_t, int64_t most) {
  static const Json kNone = Json::array();
  const Json& object = with(name);
  const Json& array = json_has(object, name, where()) ? array_of(object, name, where()) : kNone;
  const int64_t n = std::ssize(array.elements());
  check_size(where(), name, n, most);
  levels_.push_back({&array, inside(where(), name), {}});
  return n;
}

void FieldReader::enter_element(int64_t i) {
  const Json& element = (*levels_.back().object)[i];
  levels_.push_back({&element, element_of(where(), i), {}});
  if (element.is_object()) return;
  fail(Status::kBadFile, "%s it is not a JSON object", where().c_str());
}

void FieldReader::leave_list() { levels_.pop_back(); }

void FieldWriter::integer(const char* name, int64_t* value, int64_t, int64_t) { put(name, *value); }
void FieldWriter::number(const char* name, float* value, float, float) { number(name, value); }
void FieldWriter::number(const char* name, float* value) { put(name, shortest_decimal(*value)); }
void FieldWriter::number(const char* name, double* value) { put(name, *value); }
void FieldWriter::flag(const char* name, bool* value) { put(name, *value); }
void FieldWriter::text(const char* name, std::string* value) { put(name, *value); }

void FieldWriter::texts(const char* name, std::map<std::string, std::string>* values) {
  Json object = Json::object();
  for (const auto& [key, value] : *values) object[key] = value;
  put(name, std::move(object));
}

void FieldWriter::limit(const char* name, int64_t* value, int64_t unlimited) {
  put(name, *value == unlimited ? Json(nullptr) : Json(*value));
}

void FieldWriter::id(const char* name, int32_t* value) { put(name, *value); }
void FieldWriter::ids(const char* name, std::vector<int32_t>* values) { put(name, *values); }

void FieldWriter::names(const char* name, std::vector<std::string>* values, int64_t) {
  if (!values->empty()) put(name, *values);
}

void FieldWriter::numbers(const char* name, std::vector<double>* values, int64_t) {
  put(name, *values);
}

int64_t FieldWriter::choose(const char* name, int64_t chosen, std::span<const char* const> names) {
  put(name, names[static_cast<size_t>(chosen)]);
  return chosen;
}

bool FieldWriter::enter(const char* name, bool exists, bool) {
  if (exists) levels_.push_back({name, Json::object()});
  return exists;
}

void FieldWriter::leave() {
  Level level = std::move(levels_.back());
  levels_.pop_back();
  Json& parent = levels_.back().value;
  level.name.empty() ? parent.push_back(std::move(level.value))
                     : put(level.name.c_str(), std::move(level.value));
}

int64_t FieldWriter::enter_list(const char* name, int64_t n, int64_t) {
  levels_.push_back({name, Json::array()});
  return n;
}

void FieldWriter::enter_element(int64_t) { levels_.push_back({"", Json::object()}); }

void FieldWriter::leave_list() { levels_.back().value.empty() ? levels_.pop_back() : leave(); }

void FieldChecker::integer(const char* name, int64_t* value, int64_t least, int64_t most) {
  check_range(where_.back(), name, *value, least, most);
}

void FieldChecker::number(const char* name, float* value, float above, float below) {
  if (*value > above && *value < below) return;  // false for NaN
  fail(Status::kBadFile, "%s field \"%s\" is %g, outside (%g, %g)", where_.back().c_str(), name,
       double{*value}, double{above}, double{below});
}

// Programs in C read texts as null-terminated strings.
void FieldChecker::text(const char* name, std::string* value) {
  if (value->find('\0') == std::string::npos) return;
  fail(Status::kBadFile, "%s field \"%s\" has a NUL byte", where_.back().c_str(), name);
}

void FieldChecker::limit(const char* name, int64_t* value, int64_t unlimited) {
  if (*value >= 0 && *value <= unlimited) return;
  fail(Status::kBadFile, "%s field \"%s\" is %lld; it must be 0 or more, or null",
       where_.back().c_str(), name, ll{*value});
}

void FieldChecker::names(const char* name, std::vector<std::string>* values, int64_t most) {
  check_size(where_.back(), name, std::ssize(*values), most);
}

void FieldChecker::numbers(const char* name, std::vector<double>* values, int64_t most) {
  check_size(where_.back(), name, std::ssize(*values), most);
}

int64_t FieldChecker::choose(const char* name, int64_t chosen, std::span<const char* const>) {
  if (chosen >= 0) return chosen;
  fail(Status::kBadFile, "%s field \"%s\" has no such value", where_.back().c_str(), name);
}

bool FieldChecker::enter(const char* name, bool exists, bool) {
  if (exists) where_.push_back(inside(where_.back(), name));
  return exists;
}

int64_t FieldChecker::enter_list(const char* name, int64_t n, int64_t most) {
  check_size(where_.back(), name, n, most);
  where_.push_back(inside(where_.back(), name));
  return n;
}

void FieldChecker::enter_element(int64_t i) { where_.push_back(element_of(where_.back(), i)); }

}  // namespace headlane
