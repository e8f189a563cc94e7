# libheadlane.a: API, engine and kernels in one archive. They are linked into one object, in which all but
# headlane_* becomes local, so that a program may have its own utf8_decode(), nlohmann::json or xsimd of another version.
# Where the linker has not got what that takes, the archive holds the objects as they are.
set(static_objects $<TARGET_OBJECTS:headlane_api> $<TARGET_OBJECTS:headlane_engine>
                   $<TARGET_OBJECTS:headlane_engine_once> $<TARGET_OBJECTS:headlane_kernels>)
include(CheckLinkerFlag)
set(CMAKE_REQUIRED_QUIET ON)
check_linker_flag(CXX -Wl,--force-group-allocation HEADLANE_LINKER_FORCES_GROUPS)
unset(CMAKE_REQUIRED_QUIET)

if(HEADLANE_LINKER_FORCES_GROUPS AND CMAKE_OBJCOPY)
  set(static_object ${PROJECT_BINARY_DIR}/headlane_static${CMAKE_CXX_OUTPUT_EXTENSION})
  # Groups are what linkers keep one copy of by name; a local symbol of a copy that was dropped would lead nowhere.
  add_custom_command(
    OUTPUT ${static_object}
    COMMAND ${CMAKE_CXX_COMPILER} -r -nostdlib -Wl,--force-group-allocation -o ${static_object} ${static_objects}
    COMMAND ${CMAKE_OBJCOPY} --wildcard --keep-global-symbol=headlane_* ${static_object}
    DEPENDS ${static_objects}
    COMMAND_EXPAND_LISTS VERBATIM
    COMMENT "Linking headlane_static into one object")
  set_source_files_properties(${static_object} PROPERTIES EXTERNAL_OBJECT ON GENERATED ON)
  set(static_objects ${static_object})
endif()
add_library(headlane_static STATIC ${static_objects})
set_target_properties(headlane_static PROPERTIES OUTPUT_NAME headlane LINKER_LANGUAGE C)
target_include_directories(headlane_static PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>)

# The libraries that it needs, by file here and by name in the installation. The C++ runtime too: programs in C are linked without.
set(static_files ${SENTENCEPIECE_LIBRARY} ${UTF8PROC_LINK_LIBRARIES} ${PCRE2_LINK_LIBRARIES} ${OpenMP_CXX_LIBRARIES})
set(HEADLANE_STATIC_NAMES sentencepiece utf8proc pcre2-8)
if(HEADLANE_ONEDNN)
  list(APPEND static_files ${ONEDNN_LIBRARY})
  list(APPEND HEADLANE_STATIC_NAMES dnnl)
endif()
set(cxx_runtime ${CMAKE_CXX_IMPLICIT_LINK_LIBRARIES})
list(FILTER cxx_runtime INCLUDE REGEX "^(stdc\\+\\+|c\\+\\+|c\\+\\+abi|m)$")
list(APPEND HEADLANE_STATIC_NAMES ${OpenMP_CXX_LIB_NAMES} ${cxx_runtime})
target_link_libraries(
  headlane_static INTERFACE $<BUILD_INTERFACE:${static_files}> $<BUILD_INTERFACE:${cxx_runtime}>
                            $<INSTALL_INTERFACE:${HEADLANE_STATIC_NAMES}>)

if(NOT PROJECT_IS_TOP_LEVEL)
  set_target_properties(headlane_static PROPERTIES EXCLUDE_FROM_ALL ON)
endif()
