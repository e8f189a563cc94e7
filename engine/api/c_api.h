// The files of the C API share this: exceptions become status and message, structs of any age are
// read.
#pragma once

#include <cstring>
#include <memory>
#include <mutex>
#include <new>
#include <span>
#include <string>

#include "engine/base/default_floats.h"
#include "engine/base/error.h"
#include "engine/constraint/token_trie.h"
#include "engine/model/model.h"
#include "engine/run/session.h"
#include "engine/run/text_tokens.h"
#include "headlane/headlane.h"

struct headlane_model {
  std::unique_ptr<headlane::Model> model;
  std::string kernels;  // the text of headlane_model_kernels
  // The bytes of its tokens, once a constraint needs them.
  mutable std::mutex trie_mutex = {};
  mutable std::shared_ptr<const headlane::TokenTrie> trie = nullptr;
};

struct headlane_session {
  headlane::Session session;
};

namespace headlane::c_api {

// These set what headlane_error() says to this thread from now on: nothing, or a copy of `message`.
// Where there is no memory for a copy, it says that there is none.
void clear_message() noexcept;
void set_message(const char* message) noexcept;

inline headlane_status report(Status status, const char* message) noexcept {
  set_message(message);
  return static_cast<headlane_status>(status);
}

// Runs the body of a call. Nothing that it throws leaves.
template <typename Body>
headlane_status guarded(Body body) noexcept {
  clear_message();
  const DefaultFloats floats;
  try {
    body();
    return HEADLANE_OK;
  } catch (const Error& error) {
    return report(error.status(), error.what());
  } catch (const std::bad_alloc&) {
    return report(Status::kOutOfMemory, "out of memory");
  } catch (const std::exception& error) {
    return report(Status::kInternal, error.what());
  } catch (...) {
    return report(Status::kInternal, "an unknown exception");
  }
}

inline void require(const void* argument, const char* name) {
  if (argument == nullptr) fail(Status::kInvalidArgument, "%s is null", name);
}

// struct_size is the first field of every struct.
inline size_t size_of_struct(const void* theirs, const char* name) {
  size_t size = 0;
  std::memcpy(&size, theirs, sizeof size);
  constexpr size_t kMostBytes =
      4096;  // no struct comes near; an unset field mostly does not either
  if (size < sizeof size || size > kMostBytes) {
    fail(Status::kInvalidArgument, "%s: struct_size is %zu; set it to sizeof(%s)", name, size,
         name);
  }
  return size;
}

// A caller's struct as this library knows it: fields that the caller's version lacks are zero;
// fields that this version lacks must be zero, since they would be ignored.
template <typename Struct>
Struct read_struct(const Struct* theirs, const char* name) {
  Struct ours{};
  if (theirs == nullptr) return ours;
  const size_t size = size_of_struct(theirs, name);
  std::memcpy(&ours, theirs, size < sizeof ours ? size : sizeof ours);
  const char* bytes = reinterpret_cast<const char*>(theirs);
  for (size_t i = sizeof ours; i < size; ++i) {
    if (bytes[i] != 0) {
      fail(Status::kUnsupported, "%s sets a field that this version of Headlane does not know",
           name);
    }
  }
  return ours;
}

// Fills a caller's struct as far as both versions know it; what this version lacks becomes zero.
// struct_size stays the caller's.
template <typename Struct>
void write_struct(const Struct& ours, Struct* theirs, const char* name) {
  require(theirs, name);
  const size_t size = size_of_struct(theirs, name);
  constexpr size_t kFirst = sizeof(size_t);
  char* to = reinterpret_cast<char*>(theirs);
  std::memset(to + kFirst, 0, size - kFirst);
  const size_t end = size < sizeof ours ? size : sizeof ours;
  std::memcpy(to + kFirst, reinterpret_cast<const char*>(&ours) + kFirst, end - kFirst);
}

// C may put any number into an enum field; as an enum it could not be looked at.
template <typename Enum>
Enum read_enum(const char* name, const Enum& field, int last) {
  int value = 0;
  static_assert(sizeof value == sizeof field);
  std::memcpy(&value, &field, sizeof value);
  if (value < 0 || value > last) {
    fail(Status::kInvalidArgument, "%s is %d; it must be from 0 to %d", name, value, last);
  }
  return static_cast<Enum>(value);
}

// Results for a caller who has room for `capacity` of them; 0 asks for their number alone.
inline void check_room(const void* out, const char* name, int64_t capacity) {
  if (capacity < 0) {
    fail(Status::kInvalidArgument, "capacity is %lld; it must be 0 or more",
         static_cast<long long>(capacity));
  }
  if (capacity > 0) require(out, name);
}
template <typename Element>
void write_results(std::span<const Element> results, const char* what, Element* out,
                   int64_t capacity, int64_t* n_out) {
  *n_out = static_cast<int64_t>(results.size());
  if (capacity == 0) return;
  if (*n_out > capacity) {
    fail(Status::kTooLarge, "capacity is %lld, but there are %zu %s",
         static_cast<long long>(capacity), results.size(), what);
  }
  if (!results.empty()) std::memcpy(out, results.data(), results.size_bytes());
}

// The parts of a model's handle; `made` is owned by the result.
headlane_model* new_model(std::unique_ptr<Model> made);

// Null gives defaults. Its strings stay the caller's.
TextOptions read_text_options(const headlane_tokenize_options* options);

ModelOptions model_options(const headlane_model_options& options);

}  // namespace headlane::c_api
