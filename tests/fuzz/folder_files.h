// Inputs that stand for one file of a model's folder: the first byte says which, the rest is the
// file. All other files of the folder are golden ones. make_seeds.py reads the lists from
// the sources.
#pragma once

#include <algorithm>
#include <map>
#include <span>

#include "tests/fuzz/folder.h"
#include "tests/fuzz/json_change.h"

namespace headlane::fuzz {

struct FolderFile {
  const char* folder;  // of tests/golden
  const char* file;
};

class FilledFolders {
 public:
  explicit FilledFolders(std::span<const FolderFile> files) {
    for (const FolderFile& file : files) {
      auto& folder = folders_[file.folder];
      if (folder) continue;
      folder = std::make_unique<Folder>();
      folder->copy_golden(file.folder);
    }
  }

  // Calls use(folder's path) while the file has these contents.
  template <typename Use>
  void with(const FolderFile& file, std::string_view contents, Use use) {
    Folder& folder = *folders_.at(file.folder);
    folder.write(file.file, contents);
    use(folder.path());
    folder.write(file.file, golden_file(file));
  }

  const std::string& path(const char* folder) const { return folders_.at(folder)->path(); }

 private:
  const std::string& golden_file(const FolderFile& file) {
    const std::string path = golden(std::string(file.folder) + "/" + file.file);
    std::string& contents = golden_files_[path];
    if (contents.empty()) contents = read_file(path);
    return contents;
  }

  std::map<std::string, std::unique_ptr<Folder>> folders_;
  std::map<std::string, std::string> golden_files_;
};

// A custom mutator's work: JSON stays JSON, mostly, and which file it is for is kept.
inline size_t change_file_input(uint8_t* data, size_t size, size_t max_size, unsigned int seed) {
  if (size < 2) return LLVMFuzzerMutate(data, size, max_size);
  Random random(seed);
  const std::string text(reinterpret_cast<char*>(data) + 1, size - 1);
  const bool json = text.find_first_of("{[") < 2;
  const std::string changed =
      json ? changed_json(text, max_size - 1, &random) : mutated(text, max_size - 1);
  const size_t n = std::min(changed.size(), max_size - 1);
  std::copy_n(changed.data(), n, data + 1);
  return n + 1;
}

}  // namespace headlane::fuzz
