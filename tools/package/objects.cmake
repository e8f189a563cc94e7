# HEADLANE_OBJECTS: the folder of a build of this source, whose objects become the library and the command. They are
# linked again with what is built in (bundled.cmake), and none is compiled twice. Objects of a build with oneDNN serve
# too: onednn_none.cc comes first, and then no one asks the archive for onednn.cc.
if(NOT HEADLANE_BUNDLED OR NOT HEADLANE_WHEEL)
  message(FATAL_ERROR "HEADLANE_OBJECTS needs HEADLANE_WHEEL=ON and HEADLANE_BUNDLED, as tools/wheel sets them.")
endif()
include(tools/package/bundled.cmake)

# The objects were compiled with the system's headers, and are linked with sources of our own choice.
foreach(pair "${sentencepiece_folder}/src/sentencepiece_processor.h" "${utf8proc_folder}/utf8proc.h"
             "${pcre2_headers}/pcre2.h")
  get_filename_component(name ${pair} NAME)
  find_file(system_header ${name} NO_CACHE REQUIRED)
  file(SHA256 ${system_header} system_sum)
  file(SHA256 ${pair} bundled_sum)
  if(NOT system_sum STREQUAL bundled_sum)
    message(FATAL_ERROR "${system_header} is of another version than ${pair}, so the objects of ${HEADLANE_OBJECTS} do "
                        "not fit: leave out HEADLANE_OBJECTS, and they are compiled again.")
  endif()
  unset(system_header)
endforeach()

# headlane_objects(TARGET OTHER): the objects that the target OTHER of that build is made of. Its folder may have older
# ones, too.
file(READ ${HEADLANE_OBJECTS}/compile_commands.json commands)
function(headlane_objects target other)
  string(REGEX MATCHALL " -o CMakeFiles/${other}\\.dir/[^ ]+" objects "${commands}")
  list(TRANSFORM objects REPLACE "^ -o " "${HEADLANE_OBJECTS}/")
  if(NOT objects)
    message(FATAL_ERROR "${HEADLANE_OBJECTS} makes no objects of ${other}: build the library and the command there first.")
  endif()
  set_source_files_properties(${objects} PROPERTIES EXTERNAL_OBJECT ON)
  target_sources(${target} PRIVATE ${objects})
endfunction()

add_library(headlane SHARED kernels/onednn_none.cc)
target_include_directories(headlane PRIVATE ${PROJECT_SOURCE_DIR})
headlane_objects(headlane headlane_api)
target_link_libraries(
  headlane PRIVATE ${HEADLANE_OBJECTS}/lib/libheadlane_engine.a ${HEADLANE_OBJECTS}/lib/libheadlane_kernels.a
                   ${SENTENCEPIECE_LIBRARY} PkgConfig::UTF8PROC PkgConfig::PCRE2)
target_link_options(headlane PRIVATE -Wl,--version-script=${PROJECT_SOURCE_DIR}/engine/exports.map -Wl,--no-undefined)
set_target_properties(headlane PROPERTIES SOVERSION ${PROJECT_VERSION_MAJOR})

add_executable(headlane_tool)
headlane_objects(headlane_tool headlane_tool)
set_target_properties(headlane_tool PROPERTIES OUTPUT_NAME headlane LINKER_LANGUAGE CXX)
target_link_libraries(headlane_tool PRIVATE headlane PkgConfig::UTF8PROC ${CMAKE_DL_LIBS})
include(tools/package/wheel.cmake)
