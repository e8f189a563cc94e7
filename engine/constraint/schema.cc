#include "engine/constraint/schema.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <functional>
#include <iterator>
#include <optional>
#include <utility>

#include "engine/base/error.h"
#include "engine/chat/json_value.h"
#include "engine/constraint/json_pointer.h"
#include "engine/constraint/json_texts.h"
#include "engine/constraint/limits.h"
#include "engine/constraint/string_formats.h"

namespace headlane {
namespace {

using chat::Datum;
using ll = long long;

enum class Type { kObject, kArray, kString, kNumber, kInteger, kBoolean, kNull };

struct TypeName {
  const char* name;
  Type type;
};
constexpr TypeName kTypes[] = {
    {"object", Type::kObject}, {"array", Type::kArray},     {"string", Type::kString},
    {"number", Type::kNumber}, {"integer", Type::kInteger}, {"boolean", Type::kBoolean},
    {"null", Type::kNull},
};

// Keywords that say nothing about values, and those that do, of one type alone.
constexpr const char* kNotes[] = {"title",       "description", "default",   "examples",
                                  "example",     "$schema",     "$comment",  "$defs",
                                  "definitions", "readOnly",    "writeOnly", "deprecated"};
struct TypeKeyword {
  const char* name;
  Type type;
};
constexpr TypeKeyword kTypeKeywords[] = {
    {"properties", Type::kObject},
    {"required", Type::kObject},
    {"additionalProperties", Type::kObject},
    {"items", Type::kArray},
    {"prefixItems", Type::kArray},
    {"minItems", Type::kArray},
    {"maxItems", Type::kArray},
    {"minLength", Type::kString},
    {"maxLength", Type::kString},
    {"pattern", Type::kString},
    {"format", Type::kString},
    {"minimum", Type::kNumber},
    {"maximum", Type::kNumber},
    {"exclusiveMinimum", Type::kNumber},
    {"exclusiveMaximum", Type::kNumber},
};
constexpr const char* kOthers[] = {"$ref",  "$id",   "type",  "enum",
                                   "const", "anyOf", "oneOf", "allOf"};

bool is_one_of(std::string_view name, std::span<const char* const> names) {
  return std::ranges::any_of(names, [&](const char* one) { return name == one; });
}

class SchemaParser {
 public:
  SchemaParser(const Datum& root, Expressions* expressions)
      : root_(root), expressions_(*expressions), texts_(expressions) {}

  ExpressionId parse() { return value(root_, "#"); }

 private:
  [[noreturn]] static void refuse(const std::string& path, const std::string& what) {
    fail(Status::kInvalidArgument, "schema %s: %s", path.c_str(), what.c_str());
  }
  [[noreturn]] static void lacks(const std::string& path, const std::string& what) {
    fail(Status::kUnsupported, "schema %s: %s", path.c_str(), what.c_str());
  }

  // References may lead from schema to schema more often than the text of a schema can nest.
  ExpressionId value(const Datum& schema, const std::string& path) {
    if (++depth_ > constraint_limits::kSchemaDepth) {
      fail(Status::kTooLarge, "schema %s: schemas are more than %d inside each other", path.c_str(),
           constraint_limits::kSchemaDepth);
    }
    const ExpressionId made = value_of(schema, path);
    --depth_;
    return made;
  }

  ExpressionId value_of(const Datum& schema, const std::string& path) {
    if (schema.is_bool()) return schema.boolean() ? texts_.any_value() : expressions_.choice({});
    if (!schema.is_map()) refuse(path, "a schema is an object, true or false");
    check_keywords(schema, path);
    if (const Datum* ref = schema.map().find("$ref")) {
      check_alone(schema, "$ref", {}, path);
      return reference(*ref, path + "/$ref");
    }
    for (const char* name : {"enum", "const"}) {
      const Datum* given = schema.map().find(name);
      if (given == nullptr) continue;
      check_alone(schema, name, "type", path);
      return given_values(schema, *given, path + "/" + name);
    }
    for (const char* name : {"anyOf", "oneOf", "allOf"}) {
      const Datum* given = schema.map().find(name);
      if (given == nullptr) continue;
      check_alone(schema, name, {}, path);
      return combined(*given, name, path + "/" + name);
    }
    return typed(schema, path);
  }

  void check_keywords(const Datum& schema, const std::string& path) const {
    for (const auto& [key, of] : schema.map().members()) {
      const std::string& name = key.text().bytes();
      const bool is_known =
          is_one_of(name, kNotes) || is_one_of(name, kOthers) ||
          std::ranges::any_of(kTypeKeywords, [&](const TypeKeyword& k) { return name == k.name; });
      const bool is_base = name == "$id" && path != "#";
      if (is_known && !is_base) continue;
      lacks(path, "the keyword \"" + name + "\" is one that Headlane does not have here");
    }
  }

  // What stands beside some keywords would have to hold too.
  void check_alone(const Datum& schema, std::string_view keyword, std::string_view also,
                   const std::string& path) const {
    for (const auto& [key, of] : schema.map().members()) {
      const std::string& name = key.text().bytes();
      if (name == keyword || name == also || name == "$id" || is_one_of(name, kNotes)) continue;
      lacks(path, "\"" + name + "\" stands beside \"" + std::string(keyword) +
                      "\", which Headlane takes by itself alone");
    }
  }

  // A schema that is referred to is a rule, so that it may refer to itself.
  ExpressionId reference(const Datum& ref, const std::string& path) {
    if (!ref.is_text()) refuse(path, "it must be a string");
    const std::string& pointer = ref.text().bytes();
    if (!pointer.starts_with('#')) lacks(path, "\"" + pointer + "\" is of another schema");
    const Datum* at = at_pointer(root_, std::string_view(pointer).substr(1));
    if (at == nullptr) refuse(path, "\"" + pointer + "\" is not there");
    return texts_.shared("$ref " + pointer, [&] { return value(*at, pointer); });
  }

  ExpressionId given_values(const Datum& schema, const Datum& given, const std::string& path) {
    const bool is_const = path.ends_with("/const");
    if (!is_const && !given.is_list()) refuse(path, "it must be a list");
    const std::vector<Datum> values = is_const ? std::vector<Datum>{given} : given.list().items;
    const std::vector<Type> types = types_of(schema, path);
    std::vector<ExpressionId> choices;
    for (const Datum& one : values) {
      const bool fits = std::ranges::any_of(types, [&](Type type) { return is_of(one, type); });
      if (types.empty() || fits) choices.push_back(texts_.literal(one));
    }
    return expressions_.choice(std::move(choices));
  }

  static bool is_of(const Datum& value, Type type) {
    switch (type) {
      case Type::kObject:
        return value.is_map();
      case Type::kArray:
        return value.is_list();
      case Type::kString:
        return value.is_text();
      case Type::kNumber:
        return value.is_integer() || value.is_float();
      case Type::kInteger:
        return value.is_integer() ||
               (value.is_float() && std::floor(value.number()) == value.number());
      case Type::kBoolean:
        return value.is_bool();
      case Type::kNull:
        return value.is_none();
    }
    return false;
  }

  ExpressionId combined(const Datum& given, std::string_view name, const std::string& path) {
    if (!given.is_list() || given.list().items.empty()) {
      refuse(path, "it must be a list of schemas");
    }
    const std::vector<Datum>& items = given.list().items;
    if (name == "allOf" && items.size() > 1) {
      lacks(path, "there are several schemas that all must hold; Headlane takes one alone");
    }
    std::vector<ExpressionId> choices;
    for (size_t i = 0; i < items.size(); ++i) {
      choices.push_back(value(items[i], path + "/" + std::to_string(i)));
    }
    return expressions_.choice(std::move(choices));
  }

  // The types that the schema names; none where it names none.
  std::vector<Type> types_of(const Datum& schema, const std::string& path) const {
    const Datum* given = schema.map().find("type");
    std::vector<Type> types;
    if (given == nullptr) return types;
    const std::vector<Datum> names = given->is_list() ? given->list().items : std::vector{*given};
    for (const Datum& name : names) {
      const auto* const known = std::ranges::find_if(kTypes, [&](const TypeName& type) {
        return name.is_text() && name.text().bytes() == type.name;
      });
      if (known == std::end(kTypes)) refuse(path + "/type", "it is no type that JSON has");
      types.push_back(known->type);
    }
    if (types.empty()) refuse(path + "/type", "it has no type");
    return types;
  }

  // Without a type, values of those types that keywords are about: others are left out, and where
  // there are no such keywords, all are there.
  ExpressionId typed(const Datum& schema, const std::string& path) {
    std::vector<Type> types = types_of(schema, path);
    for (const TypeKeyword& keyword : kTypeKeywords) {
      if (schema.map().find("type") != nullptr || !schema.map().find(keyword.name)) continue;
      if (std::ranges::find(types, keyword.type) == types.end()) types.push_back(keyword.type);
    }
    if (types.empty()) return texts_.any_value();
    std::vector<ExpressionId> choices;
    choices.reserve(types.size());
    for (const Type type : types) choices.push_back(of_type(schema, type, path));
    return expressions_.choice(std::move(choices));
  }

  ExpressionId of_type(const Datum& schema, Type type, const std::string& path) {
    switch (type) {
      // Rules, since they may be used more than once in what they are part of.
      case Type::kObject:
        return texts_.shared("object " + path, [&] { return object(schema, path); });
      case Type::kArray:
        return texts_.shared("array " + path, [&] { return array(schema, path); });
      case Type::kString:
        return string(schema, path);
      case Type::kNumber:
        return number(schema, false, path);
      case Type::kInteger:
        return number(schema, true, path);
      case Type::kBoolean:
        return texts_.boolean();
      case Type::kNull:
        return expressions_.text("null");
    }
    return expressions_.choice({});
  }

  int64_t count(const Datum& schema, const char* name, int64_t fallback, const std::string& path) {
    const Datum* given = schema.map().find(name);
    if (given == nullptr) return fallback;
    const bool is_count =
        (given->is_integer() && given->integer() >= 0) ||
        (given->is_float() && is_of(*given, Type::kInteger) && given->number() >= 0);
    if (!is_count) refuse(path + "/" + name, "it must be a whole number, 0 or more");
    if (given->number() > static_cast<double>(constraint_limits::kRepeats)) {
      if (std::string_view(name).starts_with("max")) return fallback;  // as good as no bound
      fail(Status::kTooLarge, "schema %s/%s: it must be at most %lld", path.c_str(), name,
           ll{constraint_limits::kRepeats});
    }
    return static_cast<int64_t>(given->number());
  }

  ExpressionId object(const Datum& schema, const std::string& path) {
    const Datum* properties = schema.map().find("properties");
    const Datum* additional = schema.map().find("additionalProperties");
    if (properties && !properties->is_map()) refuse(path + "/properties", "it must be an object");
    const std::vector<std::string> required = required_names(schema, path);
    std::vector<std::string> names;
    std::vector<ExpressionId> parts;
    std::vector<bool> optional;
    const auto add = [&](const std::string& name, ExpressionId value, bool is_required) {
      names.push_back(name);
      parts.push_back(texts_.member(texts_.string_literal(name), value));
      optional.push_back(!is_required);
    };
    for (const auto& [key, of] : properties ? properties->map().members() : kNoMembers) {
      const std::string& name = key.text().bytes();
      const bool is_required = std::ranges::find(required, name) != required.end();
      add(name, value(of, path + "/properties/" + pointer_name(name)), is_required);
    }
    const auto others = [&] {
      return additional ? value(*additional, path + "/additionalProperties") : texts_.any_value();
    };
    for (const std::string& name : required) {
      if (std::ranges::find(names, name) == names.end()) add(name, others(), true);
    }
    // Others come where the schema asks for them, or names none.
    const bool is_open = additional ? !additional->is_bool() || additional->boolean() : !properties;
    if (is_open) {
      const ExpressionId name = names.empty() ? texts_.any_string() : texts_.name_without(names);
      parts.push_back(texts_.members(texts_.member(name, others())));
      optional.push_back(true);
    }
    return expressions_.sequence(
        {expressions_.byte('{'),
         expressions_.list(std::move(parts), std::move(optional), texts_.comma()),
         expressions_.byte('}')});
  }

  static std::vector<std::string> required_names(const Datum& schema, const std::string& path) {
    std::vector<std::string> names;
    const Datum* required = schema.map().find("required");
    if (required == nullptr) return names;
    if (!required->is_list()) refuse(path + "/required", "it must be a list of strings");
    for (const Datum& name : required->list().items) {
      if (!name.is_text()) refuse(path + "/required", "it must be a list of strings");
      names.push_back(name.text().bytes());
    }
    return names;
  }

  // The items from one on, each behind a comma: made from the last one to the first.
  ExpressionId array(const Datum& schema, const std::string& path) {
    Expressions& e = expressions_;
    const Datum* first = schema.map().find("prefixItems");
    const Datum* items = schema.map().find("items");
    if (first && !first->is_list()) refuse(path + "/prefixItems", "it must be a list of schemas");
    if (items && items->is_list()) {
      lacks(path + "/items", "it is a list; the keyword for lists is prefixItems");
    }
    const int64_t least = count(schema, "minItems", 0, path);
    const int64_t most = count(schema, "maxItems", ByteExpression::kUnlimited, path);
    std::vector<ExpressionId> given;
    for (size_t i = 0; first && i < first->list().items.size(); ++i) {
      if (most != ByteExpression::kUnlimited && std::ssize(given) == most) break;
      given.push_back(value(first->list().items[i], path + "/prefixItems/" + std::to_string(i)));
    }
    const auto n_given = std::ssize(given);
    const int64_t left = most == ByteExpression::kUnlimited ? most : most - n_given;
    const int64_t needed = std::max<int64_t>(least - n_given, 0);
    if (most != ByteExpression::kUnlimited && least > most) return e.choice({});
    const ExpressionId item = items ? value(*items, path + "/items") : texts_.any_value();
    // Where nothing stands before the items, the first of them has no comma.
    ExpressionId rest = -1;
    if (left == 0) {
      rest = e.empty();
    } else if (n_given == 0) {
      const int64_t more = left == ByteExpression::kUnlimited ? left : left - 1;
      const ExpressionId some =
          e.sequence({item, e.repeat(e.sequence({texts_.comma(), item}),
                                     std::max<int64_t>(needed - 1, 0), more)});
      rest = needed > 0 ? some : e.optional(some);
    } else {
      rest = e.repeat(e.sequence({texts_.comma(), item}), needed, left);
    }
    for (int64_t i = n_given; i-- > 0;) {
      const ExpressionId one = given[static_cast<size_t>(i)];
      rest = i > 0 ? e.sequence({texts_.comma(), one, rest}) : e.sequence({one, rest});
      if (i >= least) rest = e.optional(rest);
    }
    return e.sequence({e.byte('['), rest, e.byte(']')});
  }

  ExpressionId string(const Datum& schema, const std::string& path) {
    const int64_t least = count(schema, "minLength", 0, path);
    const int64_t most = count(schema, "maxLength", ByteExpression::kUnlimited, path);
    const Datum* pattern = schema.map().find("pattern");
    const Datum* format = schema.map().find("format");
    const bool has_length = schema.map().find("minLength") || schema.map().find("maxLength");
    if ((pattern != nullptr) + (format != nullptr) + has_length > 1) {
      lacks(path,
            "\"pattern\", \"format\" and lengths of a string stand together, of which Headlane "
            "takes one alone");
    }
    if (format != nullptr) {
      if (!format->is_text()) refuse(path + "/format", "it must be a string");
      const std::string& name = format->text().bytes();
      return texts_.shared("format " + name, [&] {
        return texts_.quoted(string_format(name, "schema " + path + "/format", &expressions_));
      });
    }
    if (pattern != nullptr) {
      if (!pattern->is_text()) refuse(path + "/pattern", "it must be a string");
      const std::string& text = pattern->text().bytes();
      return texts_.shared("pattern " + text, [&] {
        return texts_.quoted(string_pattern(text, "schema " + path + "/pattern", &expressions_));
      });
    }
    if (most != ByteExpression::kUnlimited && least > most) return expressions_.choice({});
    return texts_.string_of_length(least, most);
  }

  // The bound as the next whole number inside of it. One that no number of 18 digits keeps stays
  // outside of them.
  std::optional<int64_t> bound(const Datum& schema, const char* name, bool is_least, bool is_open,
                               const std::string& path) {
    const Datum* given = schema.map().find(name);
    if (given == nullptr) return std::nullopt;
    if (given->is_bool() || !given->is_number()) refuse(path + "/" + name, "it must be a number");
    constexpr auto kMost = static_cast<double>(JsonTexts::kLargest);
    const double number = std::clamp(given->number(), -kMost, kMost);
    const double whole = is_least ? std::ceil(number) : std::floor(number);
    constexpr int64_t kOutside = JsonTexts::kLargest + 1;  // 1e18, as kMost
    int64_t inside = given->is_integer() ? std::clamp(given->integer(), -kOutside, kOutside)
                                         : static_cast<int64_t>(whole);
    if (is_open && (given->is_integer() || whole == number)) inside += is_least ? 1 : -1;
    return is_least ? std::max(inside, -JsonTexts::kLargest)
                    : std::min(inside, JsonTexts::kLargest);
  }

  ExpressionId number(const Datum& schema, bool is_integer, const std::string& path) {
    const std::optional<int64_t> least[] = {bound(schema, "minimum", true, false, path),
                                            bound(schema, "exclusiveMinimum", true, true, path)};
    const std::optional<int64_t> most[] = {bound(schema, "maximum", false, false, path),
                                           bound(schema, "exclusiveMaximum", false, true, path)};
    if (!least[0] && !least[1] && !most[0] && !most[1]) {
      return is_integer ? texts_.any_integer() : texts_.any_number();
    }
    constexpr int64_t kMost = JsonTexts::kLargest;
    const int64_t from = std::max(least[0].value_or(-kMost), least[1].value_or(-kMost));
    const int64_t to = std::min(most[0].value_or(kMost), most[1].value_or(kMost));
    if (from > to) {
      lacks(path,
            "no whole number of at most 18 digits is between the bounds, which Headlane needs");
    }
    const std::string name =
        (is_integer ? "integer " : "number ") + std::to_string(from) + " " + std::to_string(to);
    return texts_.shared(name, [&] {
      return is_integer ? texts_.integer_between(from, to) : texts_.number_between(from, to);
    });
  }

  static inline const std::vector<chat::ValueMap::Member> kNoMembers;

  const Datum& root_;
  Expressions& expressions_;
  JsonTexts texts_;
  int depth_ = 0;  // of schemas inside schemas, at hand
};

}  // namespace

ExpressionId parse_schema(std::string_view json, Expressions* expressions) {
  if (json.size() > constraint_limits::kTextBytes) {
    fail(Status::kTooLarge, "the schema has %zu bytes; it must have at most %zu", json.size(),
         constraint_limits::kTextBytes);
  }
  const Datum root = chat::parse_value(json, "the schema");
  return SchemaParser(root, expressions).parse();
}

}  // namespace headlane
