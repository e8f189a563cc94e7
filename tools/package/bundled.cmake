# The libraries that Headlane uses, from their sources, for what is built or runs where no packages are: the wheel
# (tools/wheel) and its sdist. SentencePiece, utf8proc and PCRE2 become a part of libheadlane.so. HEADLANE_BUNDLED is the folder that tools/fetch-sources made.
file(GLOB sentencepiece_folder ${HEADLANE_BUNDLED}/sentencepiece-*)
file(GLOB utf8proc_folder ${HEADLANE_BUNDLED}/utf8proc-*)
file(GLOB pcre2_folder ${HEADLANE_BUNDLED}/pcre2-*)
set(bundled_headers ${HEADLANE_BUNDLED}/include)
foreach(file ${sentencepiece_folder}/src/sentencepiece_processor.h ${utf8proc_folder}/utf8proc.c
             ${pcre2_folder}/src/pcre2_match.c ${bundled_headers}/xsimd/xsimd.hpp)
  if(NOT EXISTS ${file})
    message(FATAL_ERROR "HEADLANE_BUNDLED=${HEADLANE_BUNDLED} has not got all sources: there is no ${file}. "
                        "tools/fetch-sources ${HEADLANE_BUNDLED} fetches them.")
  endif()
endforeach()

# All that there is of these are headers.
set(XSIMD_INCLUDE_DIR ${bundled_headers})
set(XXHASH_INCLUDE_DIR ${bundled_headers})
foreach(target nlohmann_json::nlohmann_json CLI11::CLI11)
  add_library(${target} INTERFACE IMPORTED)
  target_include_directories(${target} SYSTEM INTERFACE ${bundled_headers})
endforeach()

add_library(headlane_utf8proc STATIC ${utf8proc_folder}/utf8proc.c)
target_include_directories(headlane_utf8proc SYSTEM PUBLIC ${utf8proc_folder})
target_compile_definitions(headlane_utf8proc PUBLIC UTF8PROC_STATIC)
target_compile_options(headlane_utf8proc PRIVATE -w -ffunction-sections -fdata-sections)
add_library(PkgConfig::UTF8PROC ALIAS headlane_utf8proc)

# With characters of 8 bits, Unicode and no machine code. Its generic files say what it asks a machine otherwise.
set(pcre2_headers ${PROJECT_BINARY_DIR}/bundled/pcre2)
configure_file(${pcre2_folder}/src/config.h.generic ${pcre2_headers}/config.h COPYONLY)
configure_file(${pcre2_folder}/src/pcre2.h.generic ${pcre2_headers}/pcre2.h COPYONLY)
configure_file(${pcre2_folder}/src/pcre2_chartables.c.dist ${pcre2_headers}/pcre2_chartables.c COPYONLY)
set(pcre2_sources auto_possess compile config context convert dfa_match error extuni find_bracket maketables match
                  match_data newline ord2utf pattern_info script_run serialize string_utils study substitute substring
                  tables ucd valid_utf xclass)
list(TRANSFORM pcre2_sources PREPEND ${pcre2_folder}/src/pcre2_)
list(TRANSFORM pcre2_sources APPEND .c)
add_library(headlane_pcre2 STATIC ${pcre2_sources} ${pcre2_headers}/pcre2_chartables.c)
target_include_directories(headlane_pcre2 SYSTEM PUBLIC ${pcre2_headers} PRIVATE ${pcre2_folder}/src)
target_compile_definitions(headlane_pcre2 PUBLIC PCRE2_STATIC PRIVATE HAVE_CONFIG_H PCRE2_CODE_UNIT_WIDTH=8 SUPPORT_PCRE2_8
                                                                      SUPPORT_UNICODE)
target_compile_options(headlane_pcre2 PRIVATE -w -ffunction-sections -fdata-sections)
add_library(PkgConfig::PCRE2 ALIAS headlane_pcre2)

# Only the part that runs models is built, not the part that trains them. Its own CMake file makes programs and shared libraries too, and sets flags.
set(third_party ${sentencepiece_folder}/third_party)
file(GLOB protobuf_sources ${third_party}/protobuf-lite/*.cc)
set(sentencepiece_sources builtin_pb/sentencepiece.pb.cc builtin_pb/sentencepiece_model.pb.cc bpe_model.cc char_model.cc
                          error.cc filesystem.cc model_factory.cc model_interface.cc normalizer.cc
                          sentencepiece_processor.cc unigram_model.cc util.cc word_model.cc)
list(TRANSFORM sentencepiece_sources PREPEND ${sentencepiece_folder}/src/)
add_library(headlane_sentencepiece STATIC ${sentencepiece_sources} ${protobuf_sources} ${third_party}/absl/flags/flag.cc)
# Its config.h, whose names are those of its own programs.
file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/bundled/config.h
     CONTENT "#define VERSION \"0.1.97\"
#define PACKAGE \"sentencepiece\"
#define PACKAGE_STRING \"sentencepiece\"
")
target_include_directories(
  headlane_sentencepiece SYSTEM
  PRIVATE ${PROJECT_BINARY_DIR}/bundled ${sentencepiece_folder}/src ${sentencepiece_folder}/src/builtin_pb
          ${sentencepiece_folder} ${third_party} ${third_party}/protobuf-lite)
# Its thread-local variables take 5 KB, and libstdc++.a's make all of a library's come from what glibc keeps for libraries
# that are loaded later: less than 2 KB.
target_compile_definitions(headlane_sentencepiece PRIVATE HAVE_PTHREAD=1 SPM_NO_THREADLOCAL=1
                                                          GOOGLE_PROTOBUF_NO_THREADLOCAL=1)
target_compile_options(headlane_sentencepiece PRIVATE -w -ffunction-sections -fdata-sections ${no_unique_symbols})
# A model's file is read once: what reads it need not be fast, and is half of what there is to compile.
set_source_files_properties(${protobuf_sources} ${sentencepiece_folder}/src/builtin_pb/sentencepiece.pb.cc
                            ${sentencepiece_folder}/src/builtin_pb/sentencepiece_model.pb.cc
                            PROPERTIES COMPILE_OPTIONS $<$<CONFIG:Release>:-O1>)
set_target_properties(headlane_sentencepiece PROPERTIES CXX_STANDARD 17)
set(UTF8PROC_LINK_LIBRARIES headlane_utf8proc)
set(PCRE2_LINK_LIBRARIES headlane_pcre2)
set(SENTENCEPIECE_LIBRARY headlane_sentencepiece)
set(SENTENCEPIECE_INCLUDE_DIR ${sentencepiece_folder}/src)
