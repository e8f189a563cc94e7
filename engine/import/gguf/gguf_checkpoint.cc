#include "engine/import/gguf/gguf_checkpoint.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <utility>

#include "engine/base/error.h"
#include "engine/file/json_fields.h"
#include "engine/file/limits.h"
#include "engine/import/source/own_files.h"

namespace headlane {
namespace {

using ll = long long;

constexpr const char *kCount = "split.count", *kNumber = "split.no";
constexpr int64_t kMostSplits = 99999;  // file names have five digits

// "-00001-of-00003.gguf"
std::string ending_of_split(int64_t number, int64_t count) {
  std::array<char, 64> text;
  const int n =
      std::snprintf(text.data(), text.size(), "-%05lld-of-%05lld.gguf", ll{number} + 1, ll{count});
  return {text.data(), static_cast<size_t>(n)};
}

}  // namespace

GgufCheckpoint::GgufCheckpoint(const std::string& path) {
  add_file(path);
  const int64_t count = json_int(fields(), kCount, path, 1);
  if (count > 1) add_splits(path, count);
  set_names({});
}

void GgufCheckpoint::add_file(const std::string& path) {
  files_.push_back(std::make_unique<GgufFile>(path));
  const GgufFile& file = *files_.back();
  for (const auto& [name, entry] : file.entries()) {
    if (places_.emplace(name, &file).second) continue;
    fail(Status::kBadFile, "%s is also in %s", file.where(name).c_str(),
         places_.at(name)->path().c_str());
  }
}

void GgufCheckpoint::add_splits(const std::string& path, int64_t count) {
  const std::string ending = ending_of_split(0, count);
  if (count > kMostSplits || json_int(fields(), kNumber, path) != 0 || !path.ends_with(ending)) {
    fail(Status::kBadFile,
         "%s is one of %lld files of a model; give the first one, whose name ends with \"%s\"",
         path.c_str(), ll{count}, ending.c_str());
  }
  const std::string stem = path.substr(0, path.size() - ending.size());
  for (int64_t i = 1; i < count; ++i) {
    add_file(stem + ending_of_split(i, count));
    const GgufFile& file = *files_.back();
    if (json_int(file.fields(), kCount, file.path()) == count &&
        json_int(file.fields(), kNumber, file.path()) == i) {
      continue;
    }
    fail(Status::kBadFile, "%s does not say that it is file %lld of %lld of the model of %s",
         file.path().c_str(), ll{i} + 1, ll{count}, path.c_str());
  }
}

void GgufCheckpoint::refuse_to_be_replaced(const std::string& out_path) const {
  for (const auto& file : files_) refuse_to_replace(file->path(), out_path);
}

const GgufFile& GgufCheckpoint::file_of(const std::string& source) const {
  const auto found = places_.find(source);
  return found == places_.end() ? *files_.front() : *found->second;
}

const GgufEntry* GgufCheckpoint::entry(const std::string& source) const {
  const auto found = places_.find(source);
  return found == places_.end() ? nullptr : &found->second->entries().at(source);
}

void GgufCheckpoint::set_names(const std::map<std::string, GgufTensor>& names,
                               std::span<const std::string> left_out) {
  std::map<std::string, GgufTensor> all;
  for (const auto& [name, file] : places_) all[name] = {name, {}};
  for (const auto& [name, tensor] : names) {
    if (!places_.contains(tensor.source)) continue;
    all.erase(tensor.source);
    all[name] = tensor;
  }
  for (const std::string& source : left_out) all.erase(source);
  names_ = std::move(all);
}

std::vector<std::string> GgufCheckpoint::names() const {
  std::vector<std::string> names;
  for (const auto& [name, tensor] : names_) names.push_back(name);
  return names;
}

bool GgufCheckpoint::contains(const std::string& name) const { return names_.contains(name); }

const std::vector<int64_t>& GgufCheckpoint::shape_of(const std::string& name) const {
  return entry(tensor(name).source)->shape;
}

std::string GgufCheckpoint::where(const std::string& name) const {
  const std::string& source = contains(name) ? tensor(name).source : name;
  return file_of(source).where(source);
}

void GgufCheckpoint::check_type(const std::string& name) const {
  const std::string& source = tensor(name).source;
  file_of(source).check_type(source);
}

void GgufCheckpoint::read(const std::string& name, int64_t first, std::span<float> to) const {
  const GgufTensor& own = tensor(name);
  if (own.form.heads > 0) {
    read_reordered(own, first, to);
  } else {
    file_of(own.source).read(own.source, first, to);
  }
  if (!own.form.plus_one) return;
  for (float& element : to) element -= 1;
}

Checkpoint::GroupFormat GgufCheckpoint::group_format_of(const std::string& name) const {
  const GgufTensor& own = tensor(name);
  const GgufType& type = *entry(own.source)->type;
  return {type.format, type.to_groups != nullptr && !own.form.plus_one};
}

void GgufCheckpoint::read_groups(const std::string& name, int64_t first,
                                 std::span<std::byte> to) const {
  const GgufTensor& own = tensor(name);
  const GgufFile& file = file_of(own.source);
  if (own.form.heads == 0) return file.read_groups(own.source, first, to);
  const GgufEntry& entry = file.entries().at(own.source);
  const auto size = static_cast<size_t>(row_bytes(entry.type->format, entry.shape.back()));
  for (; !to.empty(); to = to.subspan(size), ++first) {
    file.read_groups(own.source, stored_row(own, entry.shape[0], first), to.first(size));
  }
}

int64_t GgufCheckpoint::stored_row(const GgufTensor& tensor, int64_t n_rows, int64_t row) {
  const int64_t rows_of_head = n_rows / tensor.form.heads, half = rows_of_head / 2;
  const int64_t in_head = row % rows_of_head;
  return row - in_head + (in_head % half * 2) + in_head / half;
}

void GgufCheckpoint::read_reordered(const GgufTensor& own, int64_t first,
                                    std::span<float> to) const {
  const GgufFile& file = file_of(own.source);
  const std::vector<int64_t>& shape = file.entries().at(own.source).shape;
  const int64_t columns = shape.size() < 2 ? 1 : shape[1];  // of a bias, each element is a row
  while (!to.empty()) {
    const int64_t row = first / columns, column = first % columns;
    const int64_t stored = stored_row(own, shape[0], row);
    const int64_t n = std::min(columns - column, std::ssize(to));
    file.read(own.source, stored * columns + column, to.first(static_cast<size_t>(n)));
    to = to.subspan(static_cast<size_t>(n));
    first += n;
  }
}

}  // namespace headlane
