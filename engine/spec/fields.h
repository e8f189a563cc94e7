// The fields of a config, listed once. Each struct has a function visit_fields that names its
// fields in order, each with its member and its range; reading, writing and checking a config are
// three visitors of that list. A new field is one line of the list.
//
//   void visit_fields(StackConfig* stack, FieldVisitor* fields) {
//     fields->integer("n_layers", &stack->n_layers, 1, file_limits::kLayers);
//     ...
//
// A list may look at fields that it has already visited, so that a field exists only where others
// say so. A field of a file must be there, unless the list says that it may be left out; a field
// that the list does not have is refused, since nobody knows what the model computes with it.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "engine/file/json.h"
#include "engine/spec/enum_names.h"

namespace headlane {

class FieldVisitor {
 public:
  virtual ~FieldVisitor() = default;

  virtual void integer(const char* name, int64_t* value, int64_t least, int64_t most) = 0;
  void integer(const char* name, int64_t* value) { integer(name, value, INT64_MIN, INT64_MAX); }
  // Between the two bounds, neither of which it may be.
  virtual void number(const char* name, float* value, float above, float below) = 0;
  virtual void number(const char* name, float* value) = 0;
  virtual void number(const char* name, double* value) = 0;
  virtual void flag(const char* name, bool* value) = 0;
  virtual void text(const char* name, std::string* value) = 0;
  virtual void texts(const char* name, std::map<std::string, std::string>* values) = 0;
  // 0 or more; `unlimited` is null in a file.
  virtual void limit(const char* name, int64_t* value, int64_t unlimited) = 0;
  // Token ids, which are not looked at here.
  virtual void id(const char* name, int32_t* value) = 0;
  virtual void ids(const char* name, std::vector<int32_t>* values) = 0;
  // Left out where there are none.
  virtual void names(const char* name, std::vector<std::string>* values, int64_t most) = 0;
  virtual void numbers(const char* name, std::vector<double>* values, int64_t most) = 0;

  // One of the names of an enum.
  template <typename Enum, size_t n>
  void choice(const char* name, Enum* value, const EnumName<Enum> (&names)[n]) {
    const char* texts[n];
    int64_t chosen = -1;
    for (size_t i = 0; i < n; ++i) {
      texts[i] = names[i].name;
      if (names[i].value == *value) chosen = static_cast<int64_t>(i);
    }
    *value = names[choose(name, chosen, texts)].value;
  }
  // Another struct, whose visit_fields may want to know more than the struct.
  template <typename T, typename... More>
  void object(const char* name, T* value, More... more) {
    enter(name, true, false);
    visit_fields(value, this, more...);
    leave();
  }
  // One that is left out unless it `exists`.
  template <typename T, typename... More>
  void optional(const char* name, T* value, bool exists, More... more) {
    if (!enter(name, exists, true)) return;
    visit_fields(value, this, more...);
    leave();
  }
  // Structs in an order, left out where there are none.
  template <typename T>
  void list(const char* name, std::vector<T>* values, int64_t most) {
    const int64_t n = enter_list(name, std::ssize(*values), most);
    values->resize(static_cast<size_t>(n));
    for (int64_t i = 0; i < n; ++i) {
      enter_element(i);
      visit_fields(&(*values)[static_cast<size_t>(i)], this);
      leave();
    }
    leave_list();
  }

 private:
  // Says which of the names counts; `chosen` counts now, -1: none of them.
  virtual int64_t choose(const char* name, int64_t chosen, std::span<const char* const> names) = 0;
  // Whether there is an object to visit.
  virtual bool enter(const char* name, bool exists, bool may_lack) = 0;
  virtual void leave() = 0;
  // How many elements there are to visit.
  virtual int64_t enter_list(const char* name, int64_t n, int64_t most) = 0;
  virtual void enter_element(int64_t i) = 0;
  virtual void leave_list() = 0;
};

// Every field from a JSON object. Throws Error(kBadFile) that names the first field that is
// missing, not of the right type, or not known, or the first integer out of its range.
class FieldReader : public FieldVisitor {
 public:
  // `where` names the object in messages. Both must outlive the reader.
  FieldReader(const Json& object, const std::string& where);

  void integer(const char* name, int64_t* value, int64_t least, int64_t most) override;
  void number(const char* name, float* value, float above, float below) override;
  void number(const char* name, float* value) override;
  void number(const char* name, double* value) override;
  void flag(const char* name, bool* value) override;
  void text(const char* name, std::string* value) override;
  void texts(const char* name, std::map<std::string, std::string>* values) override;
  void limit(const char* name, int64_t* value, int64_t unlimited) override;
  void id(const char* name, int32_t* value) override;
  void ids(const char* name, std::vector<int32_t>* values) override;
  void names(const char* name, std::vector<std::string>* values, int64_t most) override;
  void numbers(const char* name, std::vector<double>* values, int64_t most) override;
  void leave() override;  // also after the last field

 private:
  struct Level {
    const Json* object;  // or, in a list, the array
    std::string where;
    std::vector<std::string> known;
  };
  int64_t choose(const char* name, int64_t chosen, std::span<const char* const> names) override;
  bool enter(const char* name, bool exists, bool may_lack) override;
  int64_t enter_list(const char* name, int64_t n, int64_t most) override;
  void enter_element(int64_t i) override;
  void leave_list() override;
  // The object at hand, one of whose fields is `name`.
  const Json& with(const char* name);
  const std::string& where() const { return levels_.back().where; }

  std::vector<Level> levels_;
};

// Every field to a JSON object, from a config that was checked.
class FieldWriter : public FieldVisitor {
 public:
  FieldWriter() : levels_(1) { levels_[0].value = Json::object(); }
  Json take() { return std::move(levels_[0].value); }

  void integer(const char* name, int64_t* value, int64_t least, int64_t most) override;
  void number(const char* name, float* value, float above, float below) override;
  void number(const char* name, float* value) override;
  void number(const char* name, double* value) override;
  void flag(const char* name, bool* value) override;
  void text(const char* name, std::string* value) override;
  void texts(const char* name, std::map<std::string, std::string>* values) override;
  void limit(const char* name, int64_t* value, int64_t unlimited) override;
  void id(const char* name, int32_t* value) override;
  void ids(const char* name, std::vector<int32_t>* values) override;
  void names(const char* name, std::vector<std::string>* values, int64_t most) override;
  void numbers(const char* name, std::vector<double>* values, int64_t most) override;

 private:
  struct Level {
    std::string name;  // in the level before, "" for an element of a list
    Json value;
  };
  int64_t choose(const char* name, int64_t chosen, std::span<const char* const> names) override;
  bool enter(const char* name, bool exists, bool may_lack) override;
  void leave() override;
  int64_t enter_list(const char* name, int64_t n, int64_t most) override;
  void enter_element(int64_t i) override;
  void leave_list() override;
  void put(const char* name, Json value) { levels_.back().value[name] = std::move(value); }

  std::vector<Level> levels_;
};

// Throws Error(kBadFile) that names the first field out of its range.
class FieldChecker : public FieldVisitor {
 public:
  explicit FieldChecker(const std::string& where) : where_{where} {}

  void integer(const char* name, int64_t* value, int64_t least, int64_t most) override;
  void number(const char* name, float* value, float above, float below) override;
  void number(const char*, float*) override {}
  void number(const char*, double*) override {}
  void flag(const char*, bool*) override {}
  void text(const char* name, std::string* value) override;
  void texts(const char*, std::map<std::string, std::string>*) override {}
  void limit(const char* name, int64_t* value, int64_t unlimited) override;
  void id(const char*, int32_t*) override {}
  void ids(const char*, std::vector<int32_t>*) override {}
  void names(const char* name, std::vector<std::string>* values, int64_t most) override;
  void numbers(const char* name, std::vector<double>* values, int64_t most) override;

 private:
  int64_t choose(const char* name, int64_t chosen, std::span<const char* const> names) override;
  bool enter(const char* name, bool exists, bool may_lack) override;
  void leave() override { where_.pop_back(); }
  int64_t enter_list(const char* name, int64_t n, int64_t most) override;
  void enter_element(int64_t i) override;
  void leave_list() override { where_.pop_back(); }

  std::vector<std::string> where_;
};

// The three of them on a struct that has a visit_fields.
template <typename T>
void read_fields(const Json& object, const std::string& where, T* value) {
  FieldReader reader(object, where);
  visit_fields(value, &reader);
  reader.leave();
}
template <typename T>
Json write_fields(T value) {
  FieldWriter writer;
  visit_fields(&value, &writer);
  return writer.take();
}
template <typename T>
void check_fields(T value, const std::string& where) {
  FieldChecker checker(where);
  visit_fields(&value, &checker);
}

}  // namespace headlane
