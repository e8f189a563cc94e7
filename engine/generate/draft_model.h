// A smaller model of the same tokens guesses what comes next in sequences (guesses.h). It has a
// cache of its own, which follows the sequences by their tokens: whoever ended, went back or was
// taken out meanwhile need not be told of.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "engine/generate/sequence_cache.h"
#include "engine/generate/sequence_stepper.h"

namespace headlane {

class Model;

struct DraftLimits {
  const Model* model = nullptr;  // null: there is none
  SequenceStepLimits step;
  SequenceCacheLimits cache;
};

class DraftModel {
 public:
  // A sequence, and what is guessed of it.
  struct Job {
    int32_t place = 0;  // of max_sequences; no two jobs of a call have the same
    int64_t number = 0;
    int64_t room = 0;  // as of SequenceTokens
    std::vector<int32_t> ids;
    int64_t most = 0;  // guesses that are wanted
    std::vector<int32_t> guesses;
    int64_t ranked = -1;  // in the draft's step at hand; -1: there are more tokens to compute
  };

  static size_t bytes(const DraftLimits& limits);
  // `memory`: bytes() of it, 64-byte aligned; it, the model and the team outlive this.
  DraftModel(const DraftLimits& limits, void* memory, Team* team);

  // Fills the guesses of all jobs; none where the cache has no room. The likeliest token each time.
  // Throws as SequenceStepper::run.
  void guess(std::vector<Job>* jobs);

 private:
  // This is what the cache has of the sequence in a place.
  struct Known {
    std::vector<int32_t> ids;
    int64_t room = 0;
  };
  void keep_common(const Job& job);
  bool make_room(const std::vector<Job>& jobs, const Job& job);
  int64_t n_known(const Job& job) const;
  void list_tokens(Job* job, int64_t most);
  void take_step(const std::vector<Job*>& jobs);
  void forget(int32_t place);

  DraftLimits limits_;
  SequenceCache cache_;
  SequenceStepper stepper_;
  std::vector<Known> known_;  // [max_sequences]
};

}  // namespace headlane
