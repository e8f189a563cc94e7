# `cmake --install` installs three components, which are the Debian packages too (packages.cmake).
include(CMakePackageConfigHelpers)
set(package_folder ${CMAKE_INSTALL_LIBDIR}/cmake/headlane)
set(package_build ${PROJECT_BINARY_DIR}/package)

# The interface of both: nothing else of the build's folders is named in what is installed.
foreach(target headlane headlane_static)
  target_include_directories(${target} INTERFACE $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  install(
    TARGETS ${target}
    EXPORT ${target}_targets
    LIBRARY COMPONENT library NAMELINK_COMPONENT development
    ARCHIVE COMPONENT development)
  install(
    EXPORT ${target}_targets
    FILE ${target}-targets.cmake
    NAMESPACE headlane::
    DESTINATION ${package_folder}
    COMPONENT development)
endforeach()
install(
  DIRECTORY ${PROJECT_SOURCE_DIR}/include/headlane
  DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
  COMPONENT development)

configure_package_config_file(tools/package/headlane-config.cmake.in ${package_build}/headlane-config.cmake
                              INSTALL_DESTINATION ${package_folder} NO_SET_AND_CHECK_MACRO)
# Within a major version, headers and library only grow (docs/abi.md).
write_basic_package_version_file(${package_build}/headlane-config-version.cmake COMPATIBILITY SameMajorVersion)
install(
  FILES ${package_build}/headlane-config.cmake ${package_build}/headlane-config-version.cmake
  DESTINATION ${package_folder}
  COMPONENT development)

# Relative to the file itself, so that an installation may be moved.
file(RELATIVE_PATH prefix_from_pc ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
string(REGEX REPLACE "/$" "" prefix_from_pc ${prefix_from_pc})
list(TRANSFORM HEADLANE_STATIC_NAMES PREPEND -l OUTPUT_VARIABLE static_flags)
list(JOIN static_flags " " static_flags)
configure_file(tools/package/headlane.pc.in ${package_build}/headlane.pc @ONLY)
install(
  FILES ${package_build}/headlane.pc
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig
  COMPONENT development)

if(HEADLANE_TOOLS)
  install(TARGETS headlane_tool RUNTIME COMPONENT command)
  if(HEADLANE_PICTURES)
    install(
      TARGETS headlane_picture
      LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}/headlane
      COMPONENT command)
  endif()
  install(
    FILES ${PROJECT_SOURCE_DIR}/docs/headlane.1
    DESTINATION ${CMAKE_INSTALL_MANDIR}/man1
    COMPONENT command)
endif()

if(PROJECT_IS_TOP_LEVEL)
  include(tools/package/packages.cmake)
endif()
