# Python's wheel holds these beside the modules of python/headlane: the library and the command, in the folder of the
# package, and _abi.py, the API as ctypes has it, made from the headers that the library is built with. A wheel holds no symbolic links, so the library's only name is its soname.
set_target_properties(headlane PROPERTIES VERSION ${PROJECT_VERSION_MAJOR})
add_library(headlane_older_glibc OBJECT tools/package/older_glibc.c)
target_link_libraries(headlane PRIVATE headlane_older_glibc)
install(TARGETS headlane LIBRARY DESTINATION headlane/lib NAMELINK_SKIP COMPONENT wheel)
if(HEADLANE_TOOLS)
  target_link_libraries(headlane_tool PRIVATE headlane_older_glibc)
  set_target_properties(headlane_tool PROPERTIES INSTALL_RPATH "$ORIGIN/../lib")
  install(TARGETS headlane_tool RUNTIME DESTINATION headlane/bin COMPONENT wheel)
endif()

find_package(
  Python3 REQUIRED
  COMPONENTS Interpreter
  OPTIONAL_COMPONENTS Development.Module)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS python/make_abi.py)
execute_process(COMMAND ${Python3_EXECUTABLE} ${PROJECT_SOURCE_DIR}/python/make_abi.py ${PROJECT_BINARY_DIR}/_abi.py
                COMMAND_ERROR_IS_FATAL ANY)
install(FILES ${PROJECT_BINARY_DIR}/_abi.py DESTINATION headlane COMPONENT wheel)

# What calls take of one short text, of Python's stable ABI. Without Python's headers it is left out, and ctypes serves.
if(Python3_Development.Module_FOUND)
  add_library(headlane_one_text MODULE python/one_text.c)
  target_include_directories(headlane_one_text PRIVATE include ${Python3_INCLUDE_DIRS})
  target_compile_options(headlane_one_text PRIVATE -Wall -Wextra)
  set_target_properties(headlane_one_text PROPERTIES PREFIX "" OUTPUT_NAME _one_text SUFFIX .abi3.so)
  add_dependencies(headlane headlane_one_text)
  install(TARGETS headlane_one_text LIBRARY DESTINATION headlane COMPONENT wheel)
endif()
