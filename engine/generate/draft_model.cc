#include "engine/generate/draft_model.h"

#include <algorithm>

#include "engine/base/block_layout.h"
#include "engine/generate/decoder.h"
#include "engine/model/model.h"

namespace headlane {
namespace {

StepModel steps_of(const DraftLimits& limits) {
  return step_model(*limits.model, limits.step.run.precision, limits.cache.row.format);
}

struct DraftParts {
  size_t cache, stepper, total;
};

DraftParts divide(const DraftLimits& limits) {
  BlockLayout block;
  DraftParts parts;
  parts.cache = block.take(static_cast<int64_t>(SequenceCache::bytes(limits.cache)), 1);
  parts.stepper =
      block.take(static_cast<int64_t>(SequenceStepper::bytes(steps_of(limits), limits.step)), 1);
  parts.total = block.bytes();
  return parts;
}

}  // namespace

size_t DraftModel::bytes(const DraftLimits& limits) {
  return limits.model == nullptr ? 0 : divide(limits).total;
}

DraftModel::DraftModel(const DraftLimits& limits, void* memory, Team* team)
    : limits_(limits),
      cache_(limits.cache, static_cast<char*>(memory) + divide(limits).cache),
      stepper_(steps_of(limits), limits.step, static_cast<char*>(memory) + divide(limits).stepper,
               team),
      known_(static_cast<size_t>(limits.step.max_sequences)) {
  for (size_t i = 0; i < known_.size(); ++i) cache_.take_place();  // all of them, from 0 on
}

void DraftModel::forget(int32_t place) {
  cache_.cut(place, 0);
  known_[static_cast<size_t>(place)].ids.clear();
}

int64_t DraftModel::n_known(const Job& job) const {
  return std::ssize(known_[static_cast<size_t>(job.place)].ids);
}

// What is known of the place becomes the beginning that it has in common with the sequence, less
// the last token, of which it is computed what comes after it.
void DraftModel::keep_common(const Job& job) {
  Known& known = known_[static_cast<size_t>(job.place)];
  const bool turns_alike = limits_.model->config().decoder.turns_alike(job.room, known.room);
  const auto n = std::min(std::ssize(known.ids), std::ssize(job.ids) - 1);
  const int64_t common =
      std::mismatch(known.ids.begin(), known.ids.begin() + n, job.ids.begin()).first -
      known.ids.begin();
  if (!turns_alike || common < cache_.least_kept(job.place)) {
    forget(job.place);
  } else {
    cache_.cut(job.place, common);
    known.ids.resize(static_cast<size_t>(common));
  }
  known.room = job.room;
}

// If no rows are left, those of sequences that nobody asks about are given up.
bool DraftModel::make_room(const std::vector<Job>& jobs, const Job& job) {
  const int64_t n = std::ssize(job.ids) + job.most - 1;
  if (n > limits_.cache.max_len) return false;
  if (cache_.grow(job.place, n)) return true;
  for (size_t place = 0; place < known_.size(); ++place) {
    const bool is_asked = std::ranges::any_of(
        jobs, [&](const Job& other) { return other.place == static_cast<int32_t>(place); });
    if (!is_asked) forget(static_cast<int32_t>(place));
  }
  return cache_.grow(job.place, n);
}

// Lists more tokens of a job, at most so many; with guesses behind those that it came with.
void DraftModel::list_tokens(Job* job, int64_t most) {
  Known& known = known_[static_cast<size_t>(job->place)];
  const auto begin = std::ssize(known.ids);
  const int64_t n_ids = std::ssize(job->ids), n_all = n_ids + std::ssize(job->guesses);
  const int64_t end = std::min(n_all, begin + most);
  for (int64_t i = begin; i < end; ++i) {
    known.ids.push_back(i < n_ids ? job->ids[static_cast<size_t>(i)]
                                  : job->guesses[static_cast<size_t>(i - n_ids)]);
  }
  cache_.begin_tokens(job->place, end);
  const std::span<const int32_t> ids = known.ids;
  const int64_t ranked = stepper_.add({
      .rows = cache_.rows(job->place),
      .window_rows = cache_.window_rows(job->place),
      .position = begin,
      .room = job->room,
      .ids = ids.subspan(static_cast<size_t>(begin)),
      .n_ranked = end == n_all ? 1 : 0,
  });
  job->ranked = end == n_all ? ranked : -1;
}

// Computes more tokens of each job, and where these are all that there are, guesses one more.
void DraftModel::take_step(const std::vector<Job*>& jobs) {
  stepper_.begin(1);
  int64_t n_left = std::ssize(jobs);
  for (Job* job : jobs) {
    const int64_t tokens_left = limits_.step.run.max_tokens - stepper_.n_tokens();
    list_tokens(job, tokens_left / n_left--);
  }
  stepper_.run(cache_.layers(), false);
  for (Job* job : jobs) {
    cache_.end_tokens(job->place, n_known(*job));
    if (job->ranked < 0) continue;
    const int32_t id = stepper_.scores(job->ranked).best[0].id;
    if (id >= 0) {
      job->guesses.push_back(id);
    } else {
      job->most = std::ssize(job->guesses);  // its logits are no numbers
    }
  }
}

void DraftModel::guess(std::vector<Job>* jobs) {
  std::vector<Job*> left;
  for (Job& job : *jobs) {
    job.guesses.clear();
    keep_common(job);
    if (job.most > 0 && make_room(*jobs, job)) left.push_back(&job);
  }
  try {
    while (!left.empty()) {
      take_step(left);
      std::erase_if(left, [](const Job* job) { return std::ssize(job->guesses) >= job->most; });
    }
  } catch (...) {
    for (const Job& job : *jobs) forget(job.place);
    throw;
  }
}

}  // namespace headlane
