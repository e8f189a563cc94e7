// The tensors of a model as another program saved them: what an importer reads, whatever the format
// of the files. A format is a class of its own; families of models know this one alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "kernels/format.h"

namespace headlane {

class Checkpoint {
 public:
  virtual ~Checkpoint() = default;

  virtual std::vector<std::string> names() const = 0;
  virtual bool contains(const std::string& name) const = 0;
  // The tensor must be there.
  virtual const std::vector<int64_t>& shape_of(const std::string& name) const = 0;

  // Throws Error that names the file and the tensor: kBadFile if it is missing or has another
  // shape, kUnsupported if its elements are of a type that read() does not know.
  void require(const std::string& name, const std::vector<int64_t>& shape) const;

  // Throws Error(kUnsupported) that names the file and the tensor, which is there, and then says
  // `why`: "is ...".
  [[noreturn]] void refuse(const std::string& name, const std::string& why) const;

  // Elements [first, first + to.size()) in row-major order, as f32, of a tensor that was required.
  // The same bits, however the tensor is cut into pieces. Throws Error as InputFile::read.
  virtual void read(const std::string& name, int64_t first, std::span<float> to) const = 0;

  // The format of weights in groups that has a tensor's elements best; f32: none does. `in_groups`
  // says whether read_groups() gives them.
  struct GroupFormat {
    kernels::Format format = kernels::Format::kF32;
    bool in_groups = false;
  };
  virtual GroupFormat group_format_of(const std::string&) const { return {}; }
  // Whole rows of a matrix from row `first` on in that format. Throws Error as read().
  virtual void read_groups(const std::string&, int64_t /*first*/, std::span<std::byte>) const {}

 protected:
  Checkpoint() = default;
  Checkpoint(Checkpoint&&) = default;

  // Returns the beginning of messages about a tensor: its file and its name. For a tensor that is
  // missing, the file is the one that says which tensors there are.
  virtual std::string where(const std::string& name) const = 0;
  // Throws Error(kUnsupported) if the elements are of a type that read() does not know.
  virtual void check_type(const std::string& name) const = 0;
};

// The whole of a small tensor, such as a vector, which must have this shape. Throws Error as
// require() and read().
std::vector<float> read_tensor(const Checkpoint& checkpoint, const std::string& name,
                               const std::vector<int64_t>& shape);

// Whether two tensors, both of which were required, have the same shape and the same bits as f32.
bool same_tensors(const Checkpoint& checkpoint, const std::string& a, const std::string& b);

}  // namespace headlane
