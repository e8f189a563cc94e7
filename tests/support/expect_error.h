// EXPECT_ERROR(statement, Status::kBadFile, "words"): it throws Error with that status, and the
// sentence contains the words.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "engine/base/error.h"

#define EXPECT_ERROR(statement, expected_status, words)                                        \
  do {                                                                                         \
    try {                                                                                      \
      statement;                                                                               \
      ADD_FAILURE() << "no error; expected: " << (words);                                      \
    } catch (const ::headlane::Error& error) {                                                 \
      EXPECT_EQ(static_cast<int>(error.status()), static_cast<int>(expected_status))           \
          << error.what();                                                                     \
      EXPECT_NE(std::string(error.what()).find(words), std::string::npos)                      \
          << "the sentence \"" << error.what() << "\" does not contain \"" << (words) << "\""; \
    }                                                                                          \
  } while (false)
