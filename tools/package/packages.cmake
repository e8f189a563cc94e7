# Debian packages: `cpack` in the build's folder. Three of them, as is the custom for libraries: programs depend on
# libheadlane0 alone, which may stay beside a libheadlane1; headers go where programs are built; and only the command
# brings Pango and cairo along. What they depend on is read from the files by dpkg-shlibdeps.
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME headlane)
set(CPACK_PACKAGE_VENDOR headlane)
set(CPACK_PACKAGE_CONTACT "The Headlane authors")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "${PROJECT_DESCRIPTION}")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_PACKAGE_DIRECTORY ${PROJECT_BINARY_DIR}/packages)
set(CPACK_STRIP_FILES ON)
set(CPACK_COMPONENTS_ALL library development command)
set(CPACK_COMPONENTS_GROUPING ONE_PER_GROUP)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_ENABLE_COMPONENT_DEPENDS ON)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS ${PROJECT_BINARY_DIR}/lib)  # libheadlane.so, for the command
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)

set(CPACK_DEBIAN_LIBRARY_PACKAGE_NAME libheadlane${PROJECT_VERSION_MAJOR})
set(CPACK_DEBIAN_LIBRARY_PACKAGE_SECTION libs)
set(CPACK_COMPONENT_LIBRARY_DESCRIPTION "What programs that use Headlane need: libheadlane.so")

set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_NAME libheadlane-dev)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SHLIBDEPS OFF)
# For libheadlane.a alone; programs that link with libheadlane.so need none of it.
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SUGGESTS "libsentencepiece-dev, libutf8proc-dev, libpcre2-dev, libdnnl-dev")
set(CPACK_COMPONENT_DEVELOPMENT_DEPENDS library)
set(CPACK_COMPONENT_DEVELOPMENT_DESCRIPTION "Headers, libheadlane.a, and what CMake and pkg-config read")

set(CPACK_DEBIAN_COMMAND_PACKAGE_NAME headlane)
set(CPACK_DEBIAN_COMMAND_PACKAGE_SECTION science)
set(CPACK_COMPONENT_COMMAND_DEPENDS library)
set(CPACK_COMPONENT_COMMAND_DESCRIPTION "The command headlane: converts models, embeds, translates, shows attention")
include(CPack)
