// What the files of the C API share: exceptions become status and message, structs of any age are
// read.
#pragma once

#include <cstring>
#include <memory>
#include <new>
#include <string>

#include "engine/base/default_floats.h"
#include "engine/base/error.h"
#include "engine/model/model.h"
#include "engine/run/session.h"
#include "engine/run/text_tokens.h"
#include "headlane/headlane.h"

struct headlane_model {
  std::unique_ptr<headlane::Model> model;
  std::string kernels;  // the text of headlane_model_kernels
};

struct headlane_session {
  headlane::Session session;
};

namespace headlane::c_api {

// What headlane_error() says to this thread from now on: nothing, or a copy of `message`; where
// there is no memory for a copy, that there is none.
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

// The caller's block, if there is one: large enough and aligned.
inline void check_memory(const void* memory, size_t memory_bytes, size_t needed) {
  if (memory == nullptr) return;
  if (memory_bytes < needed) {
    fail(Status::kInvalidArgument, "option memory_bytes is %zu; these options need %zu",
         memory_bytes, needed);
  }
  if (reinterpret_cast<uintptr_t>(memory) % 64 != 0) {
    fail(Status::kInvalidArgument, "option memory is not aligned to 64 bytes");
  }
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

// The parts of a model's handle; `made` is owned by the result.
headlane_model* new_model(std::unique_ptr<Model> made);

// What options say of threads, checked: how many (0: not said), and whose.
struct Threads {
  int64_t count = 0;
  CallerPool pool;
};
Threads read_threads(int32_t n_threads, const headlane_thread_pool* pool);

// Null gives defaults. Its strings stay the caller's.
TextOptions read_text_options(const headlane_tokenize_options* options);

ModelOptions model_options(const headlane_model_options& options);

// What the options of an attention say, checked.
AttentionSpec read_spec(const headlane_attention_options& options);
AttentionWeights read_weights(const headlane_attention_options& options, const AttentionSpec& spec);

// Bias, mask and prefixes of a batch, whose sequences lie as the rows say.
template <typename Batch>
ScoreInputs read_scores(const Batch& batch, const SeqRows& q_rows, const SeqRows& kv_rows) {
  ScoreInputs scores;
  scores.q_rows = q_rows;
  scores.kv_rows = kv_rows;
  scores.bias = {batch.bias, batch.bias_seq_stride, batch.bias_head_stride,
                 batch.bias_query_stride};
  scores.mask = {batch.mask, batch.mask_seq_stride, batch.mask_head_stride,
                 batch.mask_query_stride};
  scores.prefix_lengths = batch.prefix_lengths;
  return scores;
}
template <typename Batch>
SeqRows read_q_rows(const Batch& batch) {
  return {batch.q_offsets, batch.q_len, batch.q_lengths, batch.left_padded != 0};
}
template <typename Batch>
SeqRows read_kv_rows(const Batch& batch) {
  return {batch.kv_offsets ? batch.kv_offsets : batch.q_offsets, batch.kv_len, batch.kv_lengths,
          batch.left_padded != 0};
}

// Null gives maps of no layer and no head.
LayerMaps read_maps(const headlane_attention_maps* maps, int64_t n_layers, int64_t n_heads);

}  // namespace headlane::c_api
