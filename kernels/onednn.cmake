# headlane_onednn: oneDNN's headers and library. They are looked for by name, because the package file that oneDNN
# installs for CMake also asks for OpenCL (or whatever else oneDNN was built with), which nothing here uses.
find_path(ONEDNN_INCLUDE_DIR oneapi/dnnl/dnnl.hpp)
find_library(ONEDNN_LIBRARY dnnl)
set(onednn_advice "Install oneDNN 2.6 or newer (Debian and Ubuntu: libdnnl-dev), or build with -DHEADLANE_ONEDNN=OFF.")
if(NOT ONEDNN_INCLUDE_DIR OR NOT ONEDNN_LIBRARY)
  message(FATAL_ERROR "oneDNN was not found: header oneapi/dnnl/dnnl.hpp: ${ONEDNN_INCLUDE_DIR}, library dnnl: "
                      "${ONEDNN_LIBRARY}. ${onednn_advice}")
endif()

# The header has the lines "#define DNNL_VERSION_MAJOR 2" and "#define DNNL_VERSION_MINOR 6".
file(STRINGS ${ONEDNN_INCLUDE_DIR}/oneapi/dnnl/dnnl_version.h onednn_version REGEX "DNNL_VERSION_M(AJOR|INOR) +[0-9]+")
list(TRANSFORM onednn_version REPLACE ".*DNNL_VERSION_M(AJOR|INOR) +([0-9]+).*" "\\2")
list(JOIN onednn_version "." onednn_version)
if(NOT onednn_version VERSION_GREATER_EQUAL 2.6)
  message(FATAL_ERROR "${ONEDNN_INCLUDE_DIR} has version ${onednn_version} of oneDNN. ${onednn_advice}")
endif()
message(STATUS "Found oneDNN ${onednn_version}: ${ONEDNN_LIBRARY}")

add_library(headlane_onednn UNKNOWN IMPORTED)
set_target_properties(headlane_onednn PROPERTIES IMPORTED_LOCATION ${ONEDNN_LIBRARY} INTERFACE_INCLUDE_DIRECTORIES
                                                                                     ${ONEDNN_INCLUDE_DIR})
