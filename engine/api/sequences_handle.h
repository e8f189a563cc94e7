// The handle of sequences.
#pragma once

#include "engine/generate/sequences.h"
#include "headlane/sequences.h"

struct headlane_sequences {
  headlane::Sequences sequences;
  const headlane_model* model;
};
