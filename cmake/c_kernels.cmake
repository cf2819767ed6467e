# The functions of pydarts/export/c_file/kernels that float files take, as a source file of the library.
set(pieces "")
foreach(name layer range float_avg float_conv float_copy float_input float_max float_pointwise float_store float_zero)
  set(kernel "${CMAKE_CURRENT_SOURCE_DIR}/pydarts/export/c_file/kernels/${name}.c")
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${kernel}")
  file(READ "${kernel}" piece)
  string(APPEND pieces "    {\"${name}\", R\"kernel(${piece})kernel\"},\n")
endforeach()
configure_file(cpp/export/c_kernels.cpp.in "${CMAKE_CURRENT_BINARY_DIR}/c_kernels.cpp" @ONLY)
