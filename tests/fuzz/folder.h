// A model's folder in memory, for the importers, which read files by their names.
#pragma once

#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "tests/fuzz/fuzz.h"

namespace headlane::fuzz {

inline std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) finding("cannot open", path.c_str());
  return {std::istreambuf_iterator<char>(in), {}};
}

inline std::string golden(const std::string& path) {
  return std::string(HEADLANE_GOLDEN_DIR) + "/" + path;
}

// Removed with all that is in it when the process ends as it should.
class Folder {
 public:
  Folder() {
    const std::filesystem::path shared = "/dev/shm";
    const bool in_memory = std::filesystem::is_directory(shared);
    path_ =
        ((in_memory ? shared : std::filesystem::temp_directory_path()) / "fuzz.XXXXXX").string();
    if (mkdtemp(path_.data()) == nullptr) finding("cannot make a folder", path_.c_str());
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() {
    std::error_code error;
    std::filesystem::remove_all(path_, error);
  }

  const std::string& path() const { return path_; }
  std::string file(const std::string& name) const { return path_ + "/" + name; }

  void write(const std::string& name, std::string_view bytes) {
    std::filesystem::create_directories(std::filesystem::path(file(name)).parent_path());
    std::ofstream out(file(name), std::ios::binary | std::ios::trunc);
    out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  }
  // The files of a golden folder that a model's folder has: not arrays, ids and manifests.
  void copy_golden(const std::string& from) {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(golden(from))) {
      if (!entry.is_regular_file()) continue;
      const std::string name = entry.path().filename().string();
      const std::string extension = entry.path().extension().string();
      if (extension == ".npy" || name == "manifest.json" || name == "attention.json") continue;
      if (extension == ".txt" && name != "vocab.txt") continue;
      write(std::filesystem::relative(entry.path(), golden(from)).string(),
            read_file(entry.path().string()));
    }
  }

 private:
  std::string path_;
};

}  // namespace headlane::fuzz
