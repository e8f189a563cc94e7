#include <gtest/gtest.h>

#include <string>

#include "engine/file/json_fields.h"
#include "engine/import/source/json_file.h"
#include "tests/support/expect_error.h"
#include "tests/support/json_values.h"
#include "tests/support/temp_dir.h"

namespace headlane {
namespace {

TEST(ParseJson, KeepsEveryKindOfValue) {
  const std::string text = R"({"a":[1,-2,2.5,true,null,"x\u00e4"],"b":{"c":{}},"d":[[],[1]]})";
  EXPECT_EQ(library_json(parse_json(text, "f")), nlohmann::json::parse(text));
  EXPECT_EQ(parse_json("7", "f"), Json(7));
}

TEST(ParseJson, RejectsWhatIsNotJson) {
  for (const char* text : {"", "{", "{\"a\":}", "[1,]", "{} {}", "nul", "1e999", "{\"a\" 1}",
                           "\"\xff\"", "\"\xc3\"", "\"\xed\xa0\x80\"", "// c\n{}"}) {
    EXPECT_ERROR(parse_json(text, "f.json"), Status::kBadFile, "f.json is not valid JSON");
  }
  EXPECT_ERROR(parse_json(std::string_view("{}\0x", 4), "f"), Status::kBadFile, "byte 2");
}

TEST(ParseJson, LimitsDepth) {
  const auto nested = [](int depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  EXPECT_NO_THROW(parse_json(nested(32), "f"));
  EXPECT_ERROR(parse_json(nested(33), "f"), Status::kBadFile, "f is JSON nested deeper than 32");
  EXPECT_ERROR(parse_json(std::string(1000000, '['), "f"), Status::kBadFile, "nested deeper");
}

TEST(ParseJson, LimitsValues) {
  std::string text = "[0";
  for (int i = 0; i < (1 << 22); ++i) text += ",0";
  EXPECT_ERROR(parse_json(text + "]", "f"), Status::kBadFile,
               "f has more than 4194304 JSON values");
}

TEST(ParseJson, RejectsKeysTwice) {
  EXPECT_ERROR(parse_json(R"({"x":{"ab":1,"ab":2}})", "f"), Status::kBadFile,
               "f has the key \"ab\" twice");
  EXPECT_NO_THROW(parse_json(R"({"a":{"a":1},"b":{"a":1}})", "f"));
}

TEST(JsonFields, NameWhereKeyAndType) {
  const Json object = {{"i", 3},   {"f", 3.0},  {"u", UINT64_MAX},
                       {"s", "t"}, {"b", true}, {"n", nullptr}};
  EXPECT_EQ(json_int(object, "i", "f"), 3);
  EXPECT_EQ(json_number(object, "i", "f"), 3.0);
  EXPECT_EQ(json_string(object, "s", "f"), "t");
  EXPECT_TRUE(json_bool(object, "b", "f"));
  EXPECT_ERROR(json_int(object, "z", "f.json"), Status::kBadFile, "f.json field \"z\" is missing");
  EXPECT_ERROR(json_int(object, "f", "f"), Status::kBadFile, "\"f\" is 3.0, not an integer");
  EXPECT_ERROR(json_int(object, "u", "f"), Status::kBadFile, "is 18446744073709551615, not an int");
  EXPECT_ERROR(json_int(object, "s", "f"), Status::kBadFile, "is a string, not an integer");
  EXPECT_ERROR(json_bool(object, "i", "f"), Status::kBadFile, "is 3, not true or false");
  EXPECT_ERROR(json_string(object, "i", "f"), Status::kBadFile, "is 3, not a string");
  EXPECT_ERROR(json_number(object, "n", "f"), Status::kBadFile, "is null, not a number");
  EXPECT_ERROR(json_int(Json::array(), "a", "f"), Status::kBadFile, "f is not a JSON object");
}

TEST(JsonFields, DefaultsStandForMissingAndNull) {
  const Json object = {{"i", 3}, {"n", nullptr}};
  EXPECT_EQ(json_int(object, "i", "f", 5), 3);
  EXPECT_EQ(json_int(object, "n", "f", 5), 5);
  EXPECT_EQ(json_string(object, "z", "f", "other"), "other");
  EXPECT_TRUE(json_bool(object, "z", "f", true));
  EXPECT_ERROR(json_bool(object, "i", "f", true), Status::kBadFile, "not true or false");
}

TEST(JsonFields, PrintableTextIsShortAndHasNoControls) {
  EXPECT_EQ(printable("a\nb\x1b\x7f"), "a\\x0ab\\x1b\\x7f");
  EXPECT_EQ(printable(std::string(81, 'a')), std::string(80, 'a') + "...");
  EXPECT_EQ(printable(std::string(79, 'a') + "\xc3\xa4z"), std::string(79, 'a') + "\xc3\xa4...");
}

TEST(JsonFile, ReadsAndNamesTheFile) {
  const TempDir dir;
  write_file(dir.file("a.json"), R"({"a":1})");
  write_file(dir.file("bad.json"), "{");
  write_file(dir.file("empty.json"), "");
  EXPECT_EQ(read_json_file(dir.file("a.json")), Json({{"a", 1}}));
  EXPECT_EQ(read_json_file_if_present(dir.file("none.json")), std::nullopt);
  EXPECT_TRUE(read_json_file_if_present(dir.file("a.json")).has_value());
  EXPECT_TRUE(file_exists(dir.file("a.json")));
  EXPECT_FALSE(file_exists(dir.file("a.json/b")));
  EXPECT_ERROR(read_json_file(dir.file("none.json")), Status::kIo,
               "none.json: cannot open: No such file");
  EXPECT_ERROR(read_json_file(dir.file("bad.json")), Status::kBadFile, "bad.json is not valid");
  EXPECT_ERROR(read_json_file(dir.file("empty.json")), Status::kBadFile, "empty.json is not valid");
  EXPECT_ERROR(read_json_file(dir.path()), Status::kIo, "Is a directory");
}

}  // namespace
}  // namespace headlane
