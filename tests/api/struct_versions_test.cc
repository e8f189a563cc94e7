// Structs of other versions: of models, texts, sessions, profiles and conversion. A test is called
// as its struct is.
#include "tests/api/struct_versions.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "tests/api/encoder.h"
#include "tests/support/polyglot_folder.h"
#include "tests/support/temp_dir.h"

namespace headlane::test {
namespace {

// One that turns texts into vectors, one for many languages, both converted once.
class StructVersions : public testing::Test {
 protected:
  static std::string bert() {
    static const std::string path =
        converted(HEADLANE_GOLDEN_DIR "/bert/head_dim_3_wide_three_types");
    return path;
  }
  static std::string polyglot() {
    static const std::string path = [] {
      const TempDir folder;
      write_polyglot_folder(folder.file("polyglot"));
      return converted(folder.file("polyglot"));
    }();
    return path;
  }

 private:
  static std::string converted(const std::string& folder) {
    static const TempDir dir;
    static int n = 0;
    std::string path = dir.file("model" + std::to_string(n++) + ".headlane");
    check(headlane_convert(folder.c_str(), path.c_str(), nullptr));
    return path;
  }
};

TEST_F(StructVersions, EveryStructHasATest) {
  std::set<std::string> tests;
  const testing::UnitTest& all = *testing::UnitTest::GetInstance();
  for (int suite = 0; suite < all.total_test_suite_count(); ++suite) {
    if (std::string(all.GetTestSuite(suite)->name()).find("StructVersions") != 0) continue;
    for (int i = 0; i < all.GetTestSuite(suite)->total_test_count(); ++i) {
      tests.insert(all.GetTestSuite(suite)->GetTestInfo(i)->name());
    }
  }
  const auto versions = versions_of_structs();
  EXPECT_GE(versions.size(), 25u);
  for (const auto& [name, sizes] : versions) EXPECT_TRUE(tests.contains(name)) << name;
}

TEST_F(StructVersions, headlane_model_options) {
  headlane_model_options full = HEADLANE_INIT(headlane_model_options);
  full.isa = "ref";
  full.gemm = "headlane";
  full.precision = "int8";
  full.n_threads = 1;
  int n_calls = 0;
  const headlane_thread_pool pool = counting_pool(&n_calls);
  full.pool = &pool;
  static std::string log;
  full.log = [](void* user, headlane_log_level, const char* message) {
    log += (user ? "to somebody: " : "") + std::string(message) + "\n";
  };
  full.log_user = &n_calls;
  full.sizes_only = 1;
  full.map = 1;
  full.verify = 1;
  expect_all_versions_read("headlane_model_options", full, [](const auto* options) {
    log.clear();
    headlane_model* opened = nullptr;
    Outcome outcome(headlane_model_open(bert().c_str(), options, &opened));
    const ModelHandle model(opened);
    outcome << log;
    if (!outcome.ok()) return outcome;
    const headlane_model_facts facts = facts_of(opened);
    return outcome << facts.isa << facts.gemm << facts.precision;
  });
}

TEST_F(StructVersions, headlane_model_facts) {
  const ModelHandle model = open_model(bert());
  expect_all_versions_written<headlane_model_facts>("headlane_model_facts", [&](auto* facts) {
    return headlane_model_get_facts(model.get(), facts);
  });
}

TEST_F(StructVersions, headlane_tensor_facts) {
  const ModelHandle model = open_model(bert());
  expect_all_versions_written<headlane_tensor_facts>("headlane_tensor_facts", [&](auto* facts) {
    return headlane_model_get_tensor(model.get(), 2, facts);
  });
}

TEST_F(StructVersions, headlane_tokenize_options) {
  const ModelHandle model = open_model(polyglot());
  headlane_tokenize_options full = HEADLANE_INIT(headlane_tokenize_options);
  full.max_len = 7;
  full.source_language = "fr";
  full.target_language = "zh";
  full.as_target = 1;
  full.prompt = "before it ";
  const std::string text = "a sentence in some language";
  expect_all_versions_read("headlane_tokenize_options", full, [&](const auto* options) {
    std::vector<int32_t> ids(64);
    int64_t n = 0;
    Outcome outcome(headlane_model_tokenize(model.get(), text.data(), text.size(), options,
                                            ids.data(), 64, &n));
    return outcome << ids << std::to_string(n);
  });
  full.as_target = 0;  // targets are no pairs
  full.max_len = 60;
  full.truncation = HEADLANE_ONLY_SECOND;
  expect_all_versions_read("headlane_tokenize_options", full, [&](const auto* options) {
    std::vector<int32_t> ids(64);
    int64_t n = 0;
    Outcome outcome(headlane_model_tokenize_pair(model.get(), text.data(), text.size(), text.data(),
                                                 text.size(), options, ids.data(), nullptr, 64,
                                                 &n));
    return outcome << ids << std::to_string(n);
  });
}

// Three texts, the second of them empty, and all that can be asked of them.
class StructVersionsOfTexts : public StructVersions {
 protected:
  StructVersionsOfTexts() : encoder_(texts_model(), "", 1) {
    texts_.n_texts = 3;
    texts_.data = "a bc";
    texts_.data_bytes = 4;
    texts_.offsets_64 = offsets_;
    tokenize_.prompt = "before it ";
    options_.tokenize = &tokenize_;
    options_.on_progress = [](void* user, const headlane_embed_progress* progress) {
      auto* told = static_cast<StructVersionsOfTexts*>(user);
      if (told == nullptr) return int32_t{0};  // of a version that has no user
      told->told_ += std::to_string(progress->n_texts) + "/" + std::to_string(progress->n_tokens) +
                     (progress->struct_size == sizeof *progress ? "" : " of another size");
      return int32_t{0};
    };
    options_.user = this;
    second_ = texts_;
    options_.second = &second_;
    options_.truncate_dim = 9;
    options_.pooling = "max";
  }
  static std::string texts_model() {
    static const TempDir dir;
    static const std::string path = [] {
      const std::string to = dir.file("texts.headlane");
      check(headlane_convert(HEADLANE_GOLDEN_DIR "/bert/head_dim_16_mean_normalize", to.c_str(),
                             nullptr));
      return to;
    }();
    return path;
  }
  Outcome run(const headlane_texts* texts, const headlane_embed_options* options) {
    std::vector<float> vectors(3 * static_cast<size_t>(encoder_.facts().d_model));
    told_.clear();
    Outcome outcome(headlane_session_embed(encoder_.session(), texts, options, vectors.data(),
                                           encoder_.facts().d_model));
    return outcome << vectors << told_;
  }

  Encoder encoder_;
  const int64_t offsets_[4] = {0, 3, 3, 4};
  headlane_texts texts_ = HEADLANE_INIT(headlane_texts), second_{};
  headlane_tokenize_options tokenize_ = HEADLANE_INIT(headlane_tokenize_options);
  headlane_embed_options options_ = HEADLANE_INIT(headlane_embed_options);
  std::string told_;
};

TEST_F(StructVersionsOfTexts, headlane_texts) {
  expect_all_versions_read("headlane_texts", texts_,
                           [&](const auto* texts) { return run(texts, &options_); });
}

TEST_F(StructVersionsOfTexts, headlane_embed_options) {
  expect_all_versions_read("headlane_embed_options", options_,
                           [&](const auto* options) { return run(&texts_, options); });
}

// The library's own struct, which says how large that is.
TEST_F(StructVersionsOfTexts, headlane_embed_progress) {
  EXPECT_TRUE(run(&texts_, &options_).ok());
  int64_t n_tokens = 0;
  for (const std::string text : {"a b", "", "c"}) {
    int64_t n = 0;
    check(headlane_model_tokenize_pair(encoder_.model(), text.data(), text.size(), text.data(),
                                       text.size(), &tokenize_, nullptr, nullptr, 0, &n));
    n_tokens += n;
  }
  EXPECT_EQ(told_, "3/" + std::to_string(n_tokens));
}

TEST_F(StructVersions, headlane_prompt_facts) {
  const TempDir dir;
  const std::string folder = dir.file("hf"), path = dir.file("model.headlane");
  std::filesystem::copy(HEADLANE_GOLDEN_DIR "/bert/head_dim_16_mean_normalize", folder,
                        std::filesystem::copy_options::recursive);
  write_file(folder + "/config_sentence_transformers.json",
             R"({"prompts": {"query": "a: "}, "default_prompt_name": "query"})");
  check(headlane_convert(folder.c_str(), path.c_str(), nullptr));
  const ModelHandle model = open_model(path);
  expect_all_versions_written<headlane_prompt_facts>("headlane_prompt_facts", [&](auto* facts) {
    return headlane_model_get_prompt(model.get(), 0, facts);
  });
}

TEST_F(StructVersions, headlane_language_facts) {
  const ModelHandle model = open_model(polyglot());
  expect_all_versions_written<headlane_language_facts>("headlane_language_facts", [&](auto* facts) {
    return headlane_model_get_language(model.get(), 3, facts);
  });
}

TEST_F(StructVersions, headlane_session_options) {
  const ModelHandle model = open_model(bert());
  alignas(64) static char block[4 << 20];
  headlane_session_options full = HEADLANE_INIT(headlane_session_options);
  full.max_tokens = 24;
  full.max_seqs = 3;
  full.max_len = 12;
  full.n_threads = 1;
  full.memory = block;
  full.memory_bytes = sizeof block;
  full.precision = "f32";
  int n_calls = 0;
  const headlane_thread_pool pool = counting_pool(&n_calls);
  full.pool = &pool;
  expect_all_versions_read("headlane_session_options", full, [&](const auto* options) {
    size_t bytes = 0;
    Outcome sizes(headlane_session_bytes(model.get(), options, &bytes));
    headlane_session* session = nullptr;
    Outcome created(headlane_session_create(model.get(), options, &session));
    headlane_session_destroy(session);
    return created << sizes << std::to_string(bytes);
  });
}

TEST_F(StructVersions, headlane_thread_pool) {
  const ModelHandle model = open_model(bert());
  int n_calls = 0;
  expect_all_versions_read("headlane_thread_pool", counting_pool(&n_calls), [&](const auto* pool) {
    n_calls = 0;
    headlane_session_options options = HEADLANE_INIT(headlane_session_options);
    options.max_tokens = 64;
    options.pool = pool;
    headlane_session* made = nullptr;
    Outcome outcome(headlane_session_create(model.get(), &options, &made));
    const SessionHandle session(made);
    if (!outcome.ok()) return outcome;
    const Encoded encoded = encode(made, facts_of(model.get()), {{1, 2, 3}});
    return outcome << encoded.hidden << std::to_string(n_calls);
  });
}

// Two sequences with segment types, and all that can be had of them.
class StructVersionsOfRuns : public StructVersions {
 protected:
  StructVersionsOfRuns() : encoder_(bert(), "", 1) {
    maps_.data = probabilities_.data();
    maps_.layer_stride = 1 << 10;
    maps_.seq_stride = 1 << 8;
    maps_.head_stride = 25;
    maps_.query_stride = 5;
    maps_.n_layers = 1;
    maps_.first_head = 1;
    maps_.n_heads = 2;
    outputs_.hidden = hidden_.data();
    outputs_.pooled = test::pools(encoder_.facts()) ? pooled_.data() : nullptr;
    outputs_.attention = &maps_;
    outputs_.d_pooled = encoder_.facts().d_model;
    if (test::pools(encoder_.facts())) outputs_.pooling = "lasttoken";
  }
  Outcome run(const headlane_batch* batch, const headlane_outputs* outputs) {
    std::fill(hidden_.begin(), hidden_.end(), 0.0f);
    std::fill(pooled_.begin(), pooled_.end(), 0.0f);
    std::fill(probabilities_.begin(), probabilities_.end(), 0.0f);
    Outcome outcome(headlane_session_encode(encoder_.session(), batch, outputs));
    return outcome << hidden_ << pooled_ << probabilities_;
  }

  Encoder encoder_;
  const std::vector<int64_t> offsets_ = {0, 3, 8};
  const std::vector<int32_t> ids_ = {1, 2, 3, 4, 5, 6, 7, 8}, types_ = {0, 1, 2, 0, 1, 2, 0, 1};
  const headlane_batch batch_ = {.struct_size = sizeof batch_,
                                 .n_seqs = 2,
                                 .offsets = offsets_.data(),
                                 .ids = ids_.data(),
                                 .type_ids = types_.data(),
                                 .n_left_out = 1};
  std::vector<float> hidden_ = std::vector<float>(8 * 512), pooled_ = std::vector<float>(2 * 512),
                     probabilities_ = std::vector<float>(1 << 12);
  headlane_attention_maps maps_ = HEADLANE_INIT(headlane_attention_maps);
  headlane_outputs outputs_ = {.struct_size = sizeof outputs_};
};

TEST_F(StructVersionsOfRuns, headlane_batch) {
  ASSERT_LE(encoder_.facts().d_model, 512);
  expect_all_versions_read("headlane_batch", batch_,
                           [&](const auto* batch) { return run(batch, &outputs_); });
}

TEST_F(StructVersionsOfRuns, headlane_outputs) {
  expect_all_versions_read("headlane_outputs", outputs_,
                           [&](const auto* outputs) { return run(&batch_, outputs); });
}

TEST_F(StructVersionsOfRuns, headlane_attention_maps) {
  expect_all_versions_read("headlane_attention_maps", maps_, [&](const auto* maps) {
    headlane_outputs outputs = outputs_;
    outputs.attention = maps;
    return run(&batch_, &outputs);
  });
}

TEST_F(StructVersionsOfRuns, headlane_pass_facts) {
  check(headlane_session_profile(encoder_.session(), 1));
  encoder_.encode({{1, 2}});
  expect_all_versions_written<headlane_pass_facts>("headlane_pass_facts", [&](auto* facts) {
    return headlane_session_get_pass(encoder_.session(), 0, facts);
  });
}

TEST_F(StructVersionsOfRuns, headlane_pass_span) {
  check(headlane_session_profile(encoder_.session(), 1));
  encoder_.encode({{1, 2}});
  expect_all_versions_written<headlane_pass_span>("headlane_pass_span", [&](auto* span) {
    return headlane_session_get_span(encoder_.session(), 0, 0, span);
  });
}

TEST_F(StructVersions, headlane_file_check) {
  const std::string path = bert();
  expect_all_versions_written<headlane_file_check>("headlane_file_check", [&](auto* found) {
    return headlane_check_file(path.c_str(), nullptr, nullptr, found);
  });
}

// The library's own struct, which says how large that is.
TEST_F(StructVersions, headlane_tensor_check) {
  std::string bytes = read_file(bert());
  uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, bytes.data() + 16, sizeof header_bytes);
  const auto header = nlohmann::json::parse(bytes.substr(24, header_bytes));
  const nlohmann::json& tensor = header.at("tensors").at(0);
  ASSERT_EQ(tensor.at("dtype"), "f32");
  const float bad[] = {NAN, INFINITY, NAN};
  std::memcpy(bytes.data() + tensor.at("offset").get<size_t>(), bad, sizeof bad);
  const TempDir dir;
  write_file(dir.file("bad.headlane"), bytes);
  std::string told;
  const auto on_tensor = [](void* user, const headlane_tensor_check* found) {
    *static_cast<std::string*>(user) +=
        found->name + std::string(": ") + std::to_string(found->n_nan) + ", " +
        std::to_string(found->n_infinite) +
        (found->struct_size == sizeof *found ? "" : " in a struct of another size");
  };
  headlane_file_check found{};
  found.struct_size = sizeof found;
  ASSERT_EQ(headlane_check_file(dir.file("bad.headlane").c_str(), on_tensor, &told, &found),
            HEADLANE_OK)
      << headlane_error();
  EXPECT_EQ(told, tensor.at("name").get<std::string>() + ": 2, 1");
  EXPECT_EQ(found.checksum_matches, 0);
  EXPECT_EQ(found.n_bad_tensors, 1);
  EXPECT_EQ(found.n_nan, 2);
  EXPECT_EQ(found.n_infinite, 1);
}

TEST_F(StructVersions, headlane_convert_options) {
  const TempDir dir;
  const std::string path = dir.file("converted.headlane");
  const char* higher[] = {"encoder.layers.0.attention.qkv"};
  headlane_convert_options full = HEADLANE_INIT(headlane_convert_options);
  full.precision = "int8";
  full.higher_precision = higher;
  full.n_higher_precision = 1;
  full.pooling = "max";
  expect_all_versions_read("headlane_convert_options", full, [&](const auto* options) {
    std::filesystem::remove(path);
    Outcome outcome(
        headlane_convert(HEADLANE_GOLDEN_DIR "/bert/head_dim_8_cls", path.c_str(), options));
    return outcome << (std::filesystem::exists(path) ? read_file(path) : "no file");
  });
}

}  // namespace
}  // namespace headlane::test
