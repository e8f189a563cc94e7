// The slots of a table, each once: what dispatch's test, the benchmarks, the fuzzers and `headlane
// info` go through. tests/checks/slots fails on a slot without a test, a bench row or a fuzz row.
#pragma once

#include <string_view>

#include "kernels/kernels.h"

namespace headlane::kernels {

// Returns the content of a table's slot as a number, which two tables share where one took it from
// the other; 0 where the slot is empty.
template <auto kMember>
uintptr_t address_of(const Table& table) {
  return reinterpret_cast<uintptr_t>(table.*kMember);
}

struct Slot {
  const char* name;
  uintptr_t (*address)(const Table& table);
  bool in_every_table = true;

  // A slot whose name ends so says how much scratch the slot beside it takes, and is called with
  // it.
  constexpr bool is_size() const { return std::string_view(name).ends_with("_floats"); }
};
inline constexpr Slot kSlots[] = {
    {"convert", address_of<&Table::convert>},
    {"quantize_weights", address_of<&Table::quantize_weights>},
    {"layer_norm_f32", address_of<&Table::layer_norm_f32>},
    {"rms_norm_f32", address_of<&Table::rms_norm_f32>},
    {"gate_f32", address_of<&Table::gate_f32>},
    {"add_f32", address_of<&Table::add_f32>},
    {"embed_f32", address_of<&Table::embed_f32>},
    {"attention_f32", address_of<&Table::attention_f32>},
    {"attention_probabilities_f32", address_of<&Table::attention_probabilities_f32>},
    {"attention_scratch_floats", address_of<&Table::attention_scratch_floats>},
    {"attention_bf16", address_of<&Table::attention_bf16>, false},
    {"attention_probabilities_bf16", address_of<&Table::attention_probabilities_bf16>, false},
    {"attention_bf16_scratch_floats", address_of<&Table::attention_bf16_scratch_floats>, false},
    {"decode_attention_f32", address_of<&Table::decode_attention_f32>},
    {"decode_attention_bf16", address_of<&Table::decode_attention_bf16>},
    {"decode_attention_s8", address_of<&Table::decode_attention_s8>},
    {"decode_scratch_floats", address_of<&Table::decode_scratch_floats>},
    {"rotate", address_of<&Table::rotate>},
    {"top_k_f32", address_of<&Table::top_k_f32>},
    {"pool_f32", address_of<&Table::pool_f32>},
    {"activate_f32", address_of<&Table::activate_f32>},
};

// Products are listed by kProductKinds, and two numbers of attention are no slots.
static_assert(sizeof(Table) == sizeof(Table::isa) + sizeof(Table::gemm) + sizeof(Table::products) +
                                   sizeof(Table::attention_group_rows) +
                                   sizeof(Table::attention_bf16_group_rows) +
                                   sizeof(kSlots) / sizeof(Slot) * sizeof(void (*)()),
              "a slot of Table is missing from kSlots");

}  // namespace headlane::kernels
