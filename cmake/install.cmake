# Library, headers, package configuration and pkg-config file. All paths are relative: the prefix may be moved.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(config_dir share/cmake/pydarts)
install(TARGETS pydarts EXPORT pydarts
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
  RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(DIRECTORY cpp/include/ DESTINATION include)
install(EXPORT pydarts NAMESPACE pydarts:: FILE pydartsTargets.cmake DESTINATION ${config_dir})
configure_package_config_file(cmake/pydartsConfig.cmake.in pydartsConfig.cmake INSTALL_DESTINATION ${config_dir})
# Before 1.0 a minor version may break C++; what the ABI number promises is the loader's business.
write_basic_package_version_file(pydartsConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES
  ${CMAKE_CURRENT_BINARY_DIR}/pydartsConfig.cmake ${CMAKE_CURRENT_BINARY_DIR}/pydartsConfigVersion.cmake
  DESTINATION ${config_dir})

# What a program that links the static library needs further; a shared one has it.
set(libraries "")
if(NOT BUILD_SHARED_LIBS)
  foreach(name IN LISTS CMAKE_CXX_IMPLICIT_LINK_LIBRARIES)
    if(NOT name MATCHES "^(c|gcc|gcc_s)$")
      list(APPEND libraries "-l${name}")
    endif()
  endforeach()
  list(APPEND libraries "${CMAKE_THREAD_LIBS_INIT}")
  list(REMOVE_DUPLICATES libraries)
  list(JOIN libraries " " libraries)
endif()
if(BUILD_SHARED_LIBS)
  set(definitions "-DPYDARTS_SHARED")
endif()
file(RELATIVE_PATH up "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/")
configure_file(cmake/pydarts.pc.in pydarts.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/pydarts.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
