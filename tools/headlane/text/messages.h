// The messages of a conversation, as JSON.
#pragma once

#include <string>

namespace tool {

class Messages {
 public:
  // `system`: what the first message says; "": there is none.
  explicit Messages(const std::string& system);

  void add(const std::string& role, const std::string& content);
  // Takes back what was added last.
  void drop_last();
  bool empty() const { return list_.empty(); }
  std::string json() const { return "[" + list_ + "]"; }

  // The file has them all, as an array of JSON. Both throw std::runtime_error.
  void save(const std::string& path) const;
  void load(const std::string& path);

 private:
  std::string list_;   // without the brackets around it
  size_t n_kept_ = 0;  // bytes of it before what was added last
};

}  // namespace tool
