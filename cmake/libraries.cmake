# The targets: cargo makes the static library, and the C compiler links the shared one from it.
# rustc would link a shared library too, but without a SONAME and without symbol versions.

find_program(BATPAK_CARGO cargo HINTS ENV CARGO_HOME PATHS "$ENV{HOME}/.cargo"
  PATH_SUFFIXES bin REQUIRED DOC "The cargo that builds batpak")

# The number of the binary interface: of the SONAME and of the symbol versions. It changes only
# when programs that were linked before would no longer run.
file(STRINGS "${PROJECT_SOURCE_DIR}/include/batpak.h" batpak_abi
  REGEX "^#define BATPAK_ABI_VERSION ")
string(REGEX MATCH "[0-9]+$" batpak_abi "${batpak_abi}")

# What the Rust standard library needs. The unwinder is not named: the compiler adds the right one
# by itself, and it is a different one in a wholly static program.
set(batpak_system_libraries pthread m dl rt util)

# Cargo knows best what is out of date, so it always runs; it leaves a current archive untouched,
# and then nothing is linked again.
set(batpak_archive "${BATPAK_CARGO_TARGET_DIR}/release/libbatpak.a")
add_custom_target(batpak_cargo
  COMMAND ${CMAKE_COMMAND} -E env "CARGO_TARGET_DIR=${BATPAK_CARGO_TARGET_DIR}"
    "${BATPAK_CARGO}" build --package batpak-ffi --release --lib
  BYPRODUCTS "${batpak_archive}"
  WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}"
  COMMENT "Building libbatpak.a with cargo"
  USES_TERMINAL VERBATIM)

set(batpak_includes
  "$<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>"
  "$<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/bindings/cpp>"
  "$<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>")

add_library(batpak_static INTERFACE)
add_library(batpak::static ALIAS batpak_static)
add_dependencies(batpak_static batpak_cargo)
target_include_directories(batpak_static INTERFACE ${batpak_includes})
target_link_libraries(batpak_static INTERFACE
  "$<BUILD_INTERFACE:${batpak_archive}>"
  "$<INSTALL_INTERFACE:$<INSTALL_PREFIX>/${CMAKE_INSTALL_LIBDIR}/libbatpak.a>"
  ${batpak_system_libraries})

# Exactly the listed functions are exported. Each is also required, which pulls its object out of
# the archive; a listed function that does not exist fails the link.
set(batpak_symbols_file "${PROJECT_SOURCE_DIR}/cmake/batpak.symbols")
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS
  "${batpak_symbols_file}" "${PROJECT_SOURCE_DIR}/Cargo.toml"
  "${PROJECT_SOURCE_DIR}/include/batpak.h")
file(STRINGS "${batpak_symbols_file}" batpak_symbols REGEX "^batpak_")
list(TRANSFORM batpak_symbols PREPEND "LINKER:--require-defined=" OUTPUT_VARIABLE batpak_require)
list(JOIN batpak_symbols ";\n    " batpak_exports)
set(batpak_map "${PROJECT_BINARY_DIR}/batpak.map")
file(CONFIGURE OUTPUT "${batpak_map}" CONTENT [[
BATPAK_@batpak_abi@ {
  global:
    @batpak_exports@;
  local:
    *;
};
]] @ONLY)

# All code comes from the archive; CMake wants a source file all the same.
file(CONFIGURE OUTPUT "${PROJECT_BINARY_DIR}/empty.c" CONTENT "")
add_library(batpak SHARED "${PROJECT_BINARY_DIR}/empty.c")
add_library(batpak::batpak ALIAS batpak)
add_dependencies(batpak batpak_cargo)
target_include_directories(batpak INTERFACE ${batpak_includes})
target_link_libraries(batpak PRIVATE "${batpak_archive}" ${batpak_system_libraries})
target_link_options(batpak PRIVATE ${batpak_require}
  "LINKER:--version-script=${batpak_map}" "LINKER:--gc-sections"
  "LINKER:-z,defs" "LINKER:-z,relro" "LINKER:-z,now")
set_target_properties(batpak PROPERTIES
  VERSION ${PROJECT_VERSION}
  SOVERSION ${batpak_abi}
  LINK_DEPENDS "${batpak_map}")

add_library(batpak_cpp INTERFACE)
add_library(batpak::cpp ALIAS batpak_cpp)
target_link_libraries(batpak_cpp INTERFACE batpak)
target_compile_features(batpak_cpp INTERFACE cxx_std_17)
