// Handles that end themselves, for tests that call the C API as a program in C does; and its
// statuses as exceptions.
#pragma once

#include <headlane/headlane.hpp>
#include <memory>

namespace headlane::test {

template <auto destroy>
struct Destroy {
  template <typename Handle>
  void operator()(Handle* handle) const {
    destroy(handle);
  }
};
using ModelHandle = std::unique_ptr<headlane_model, Destroy<headlane_model_destroy>>;
using SessionHandle = std::unique_ptr<headlane_session, Destroy<headlane_session_destroy>>;
using GeneratorHandle = std::unique_ptr<headlane_generator, Destroy<headlane_generator_destroy>>;
using SequencesHandle = std::unique_ptr<headlane_sequences, Destroy<headlane_sequences_destroy>>;
using AttentionHandle = std::unique_ptr<headlane_attention, Destroy<headlane_attention_destroy>>;

inline ModelFacts facts_of(const headlane_model* model) {
  ModelFacts facts;
  check(headlane_model_get_facts(model, &facts));
  return facts;
}

}  // namespace headlane::test
