// No .headlane file, however broken, does more harm than Error, whose sentence names the field.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstring>
#include <functional>
#include <nlohmann/json.hpp>

#include "engine/file/container.h"
#include "tests/support/expect_error.h"
#include "tests/support/temp_dir.h"

namespace headlane {
namespace {

using nlohmann::json;

// A file of which a test can spoil any part.
struct RawFile {
  std::string magic = "HEADLANE";
  uint32_t version = 2;
  uint32_t reserved = 0;
  json header = json::parse(R"({
    "config": {}, "tokenizer": null, "tensors": [
      {"name": "a", "dtype": "f32", "shape": [2, 3], "offset": 1024, "bytes": 24},
      {"name": "b", "dtype": "u8", "shape": [7], "offset": 1088, "bytes": 7}]})");
  std::string header_text;  // instead of `header`, if not empty
  int64_t extra_header_bytes = 0;

  json& a() { return header["tensors"][0]; }
  json& b() { return header["tensors"][1]; }

  std::string bytes() const {
    const std::string text = header_text.empty() ? header.dump() : header_text;
    const uint64_t length = text.size() + static_cast<uint64_t>(extra_header_bytes);
    std::string out = magic;
    out.append(reinterpret_cast<const char*>(&version), 4);
    out.append(reinterpret_cast<const char*>(&reserved), 4);
    out.append(reinterpret_cast<const char*>(&length), 8);
    out += text;
    out.resize(1024, '\0');
    out.resize(1088 + 7, 'x');
    return out;
  }
};

class ContainerRead : public testing::Test {
 protected:
  Container open(const std::string& bytes) {
    write_file(path_, bytes);
    return Container::open(path_);
  }
  void expect_bad(const std::function<void(RawFile*)>& spoil, const std::string& words) {
    RawFile raw;
    spoil(&raw);
    EXPECT_ERROR(open(raw.bytes()), Status::kBadFile, "m.headlane" + words);
  }

  TempDir dir_;
  const std::string path_ = dir_.file("m.headlane");
};

TEST_F(ContainerRead, TheUnspoiltFileOpens) {
  const Container opened = open(RawFile().bytes());
  EXPECT_EQ(opened.tensors().size(), 2u);
}

TEST_F(ContainerRead, ForeignFiles) {
  const std::string not_ours = "m.headlane is not a .headlane file";
  for (const std::string& bytes :
       {std::string(), std::string("HEADLAN"), std::string("GGUF\3\0\0\0\0\0\0\0", 12),
        std::string("\x40\0\0\0\0\0\0\0{\"__metadata__\":{}}", 27), std::string("hello\n")}) {
    EXPECT_ERROR(open(bytes), Status::kBadFile, not_ours);
  }
}

TEST_F(ContainerRead, RefusesAPointerOfGitLfs) {
  EXPECT_ERROR(open("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"),
               Status::kBadFile, "is not the file itself, only a pointer of git-lfs");
}

TEST_F(ContainerRead, RefusedByTheSystem) {
  EXPECT_ERROR(Container::open(dir_.file("none")), Status::kIo, "none: cannot open: No such file");
  EXPECT_ERROR(Container::open(dir_.path()), Status::kIo, ": is a folder, not a .headlane file");
  EXPECT_ERROR(Container::open("/dev/null"), Status::kIo, "/dev/null: not a regular file");
  ASSERT_EQ(mkfifo(dir_.file("pipe").c_str(), 0600), 0);
  EXPECT_ERROR(Container::open(dir_.file("pipe")), Status::kIo, "pipe: not a regular file");
}

TEST_F(ContainerRead, Prefix) {
  expect_bad([](RawFile* f) { f->magic = "headlane"; }, " is not a .headlane file");
  expect_bad([](RawFile* f) { f->version = 3; },
             ": format version is 3; this library reads version 2");
  for (const uint32_t old : {0u, 1u}) {
    expect_bad([&](RawFile* f) { f->version = old; },
               ": format version is " + std::to_string(old) +
                   "; this library reads version 2: convert the model again with this version's "
                   "headlane convert");
  }
  expect_bad([](RawFile* f) { f->reserved = 1; }, ": reserved field is 1");
  expect_bad([](RawFile* f) { f->extra_header_bytes = 1071; }, ": header length is ");
  expect_bad([](RawFile* f) { f->extra_header_bytes = -10000; }, ": header length is 18446744");
  expect_bad([](RawFile* f) { f->extra_header_bytes = 1; }, ": header is not valid JSON");
  expect_bad([](RawFile* f) { f->extra_header_bytes = -1; }, ": header is not valid JSON");
}

TEST_F(ContainerRead, HeaderOverTheLimit) {
  RawFile raw;
  raw.extra_header_bytes = int64_t{64} << 20;
  write_file(path_, raw.bytes());
  std::filesystem::resize_file(path_, size_t{65} << 20);
  EXPECT_ERROR(Container::open(path_), Status::kBadFile, "67108864 is the limit");
}

TEST_F(ContainerRead, HeaderText) {
  const auto text = [&](const std::string& header, const std::string& words) {
    expect_bad([&](RawFile* f) { f->header_text = header; }, words);
  };
  text("{", ": header is not valid JSON");
  text("{\"config\":\"\xff\"}", ": header is not valid JSON");
  text(std::string(200, '['), ": header is JSON nested deeper than 32");
  text(R"({"config":{},"config":{}})", ": header has the key \"config\" twice");
  text("[]", ": header is not a JSON object");
  text("{}", ": header field \"config\" is missing");
  text(R"({"config":null,"tokenizer":null,"tensors":[]})", ": header field \"config\" is not an");
  text(R"({"config":{},"tensors":[]})", ": header field \"tokenizer\" is missing");
  text(R"({"config":{},"tokenizer":3,"tensors":[]})", ": header field \"tokenizer\" is not");
  text(R"({"config":{},"tokenizer":{}})", ": header field \"tensors\" is missing");
  text(R"({"config":{},"tokenizer":{},"tensors":{}})", ": header field \"tensors\" is not");
  text(R"({"config":{},"tokenizer":{},"tensors":[7]})", ": tensor 0 is not a JSON object");
}

TEST_F(ContainerRead, TensorFieldsMissingOrOfAnotherType) {
  for (const char* key : {"name", "dtype", "shape", "offset", "bytes"}) {
    const std::string field = std::string(" field \"") + key + "\" is ";
    const std::string where = key == std::string("name") ? ": tensor 0" : ": tensor \"a\"";
    expect_bad([&](RawFile* f) { f->a().erase(key); }, where + field + "missing");
    for (const json& wrong : {json(nullptr), json(1.5), json(true), json::object()}) {
      expect_bad([&](RawFile* f) { f->a()[key] = wrong; }, where + field);
    }
  }
}

TEST_F(ContainerRead, TensorNames) {
  expect_bad([](RawFile* f) { f->a()["name"] = ""; }, ": tensor 0 field \"name\" is \"\"");
  expect_bad([](RawFile* f) { f->a()["name"] = "a\u0001"; }, ": tensor 0 field \"name\" is \"a\\x");
  expect_bad([](RawFile* f) { f->a()["name"] = std::string(256, 'a'); }, ": tensor 0 field");
  expect_bad([](RawFile* f) { f->b()["name"] = "a"; }, ": tensor \"a\" is in the table twice");
}

TEST_F(ContainerRead, TensorDTypes) {
  expect_bad([](RawFile* f) { f->a()["dtype"] = "F32"; }, ": tensor \"a\" field \"dtype\" is \"F3");
  expect_bad([](RawFile* f) { f->b()["dtype"] = "f32"; }, ": tensor \"b\" field \"bytes\" is 7");
}

TEST_F(ContainerRead, TensorShapes) {
  const std::string where = ": tensor \"a\" field ";
  const auto shape = [&](const json& value, const std::string& words) {
    expect_bad([&](RawFile* f) { f->a()["shape"] = value; }, where + words);
  };
  shape({1, 1, 1, 1, 1, 1, 2, 3, 1}, "\"shape\" has 9 elements, more than 8");
  shape({-2, -3}, "\"shape\" has an element");
  shape({2.0, 3}, "\"shape\" has an element");
  shape({"2", 3}, "\"shape\" has an element");
  shape({UINT64_MAX, 3}, "\"shape\" has an element");
  shape({2, 4}, "\"bytes\" is 24, which is not the size of f32 [2, 4]");
  shape({0, 3}, "\"bytes\" is 24, which is not");
  // Products that come out as 6 (or as 24 bytes) modulo 2^64.
  shape({int64_t{1} << 32, int64_t{1} << 32, 6}, "\"bytes\" is 24, which is not");
  shape({(int64_t{1} << 62) + 6}, "\"bytes\" is 24, which is not");
  shape({INT64_MAX, 2, 0}, "\"bytes\" is 24, which is not");
}

TEST_F(ContainerRead, TensorPlaces) {
  const auto place = [&](const json& offset, const std::string& words) {
    expect_bad([&](RawFile* f) { f->b()["offset"] = offset; }, ": tensor \"b\" field " + words);
  };
  place(1089, "\"offset\" is 1089, not a multiple of 64 in [");
  place(0, "\"offset\" is 0, not");
  place(64, "\"offset\" is 64, not");  // inside the header
  place(-64, "\"offset\" is -64, not");
  place(1152, "\"offset\" is 1152, not");  // after the end
  place(INT64_MAX - 63, "\"offset\" is 9223372036854775744, not");
  place(uint64_t{1} << 63, "\"offset\" is 9223372036854775808, not an integer");
  expect_bad(
      [](RawFile* f) {
        f->b().update({{"bytes", 8}, {"shape", {8}}});
      },
      ": tensor \"b\" field \"bytes\" is 8, but the file ends 7 bytes after it");
  expect_bad(
      [](RawFile* f) {
        f->b().update({{"bytes", INT64_MAX}, {"shape", {INT64_MAX}}});
      },
      ": tensor \"b\" field \"bytes\" is 9223372036854775807, but");
  expect_bad([](RawFile* f) { f->b()["bytes"] = -7; }, ": tensor \"b\" field \"bytes\" is -7, wh");
}

TEST_F(ContainerRead, TensorsOverlap) {
  const std::string words = ": the data of tensors \"a\" and \"b\" overlap";
  expect_bad([](RawFile* f) { f->a().update({{"bytes", 68}, {"shape", {17}}}); }, words);
  RawFile raw;
  raw.b()["offset"] = 1024;
  EXPECT_ERROR(open(raw.bytes()), Status::kBadFile, "overlap");
  raw.b().update({{"bytes", 0}, {"shape", {0}}});  // an empty tensor overlaps nothing
  EXPECT_NO_THROW(open(raw.bytes()));
}

TEST_F(ContainerRead, TruncatedAtEveryLength) {
  const std::string whole = RawFile().bytes();
  for (size_t n = 0; n < whole.size(); ++n) {
    EXPECT_ERROR(open(whole.substr(0, n)), Status::kBadFile, "m.headlane");
  }
}

// Every value of every byte of prefix and header: opens, and then reads within bounds, or Error.
TEST_F(ContainerRead, EveryByteFlipped) {
  const std::string whole = RawFile().bytes();
  const size_t end = whole.find('\0', 24);
  int n_opened = 0;
  for (size_t i = 0; i < end; ++i) {
    for (int flip = 1; flip < 256; flip = flip < 8 ? flip + 1 : flip * 2 + 1) {
      std::string bytes = whole;
      bytes[i] = static_cast<char>(bytes[i] ^ flip);
      try {
        const Container opened = open(bytes);
        for (const TensorInfo& tensor : opened.tensors()) {
          for (const std::byte byte : opened.data(tensor)) n_opened += byte == std::byte{'x'};
        }
      } catch (const Error& error) {
        EXPECT_EQ(error.status(), Status::kBadFile);
        EXPECT_NE(std::strstr(error.what(), "m.headlane"), nullptr);
      }
    }
  }
  EXPECT_GT(n_opened, 0);  // a changed name, for one, is a valid file
}

}  // namespace
}  // namespace headlane
