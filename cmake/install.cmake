# Installs the headers, the libraries, the CMake package and the pkg-config file.

include(CMakePackageConfigHelpers)

install(FILES
  "${PROJECT_SOURCE_DIR}/include/batpak.h" "${PROJECT_SOURCE_DIR}/bindings/cpp/batpak.hpp"
  DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
install(FILES "${batpak_archive}" DESTINATION "${CMAKE_INSTALL_LIBDIR}")

set(batpak_package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/batpak")
set_target_properties(batpak_static PROPERTIES EXPORT_NAME static)
set_target_properties(batpak_cpp PROPERTIES EXPORT_NAME cpp)
install(TARGETS batpak batpak_static batpak_cpp EXPORT batpak
  LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}")
# The package needs nothing but its targets, so the file of the targets is the package file.
install(EXPORT batpak NAMESPACE batpak:: FILE batpakConfig.cmake
  DESTINATION "${batpak_package_dir}")

# Before 1.0 a minor version may break its callers.
write_basic_package_version_file("${PROJECT_BINARY_DIR}/batpakConfigVersion.cmake"
  COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/batpakConfigVersion.cmake" DESTINATION "${batpak_package_dir}")

# The pkg-config file finds everything from its own place, so that the tree may be moved.
file(RELATIVE_PATH batpak_pc_include "${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig"
  "${CMAKE_INSTALL_FULL_INCLUDEDIR}")
list(TRANSFORM batpak_system_libraries PREPEND "-l" OUTPUT_VARIABLE batpak_pc_private)
list(JOIN batpak_pc_private " " batpak_pc_private)
configure_file("${CMAKE_CURRENT_LIST_DIR}/batpak.pc.in" "${PROJECT_BINARY_DIR}/batpak.pc" @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/batpak.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
