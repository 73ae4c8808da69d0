# The CUDA compiler, called directly: CMake's own CUDA language would make every configuration look for a device compiler.
#   COVE_CUDA = AUTO: with the CUDA backend where nvcc is found; ON: refuse to configure without it; OFF: without.
# Sets COVE_HAS_CUDA, COVE_CUDA_INCLUDE, COVE_CUDART and the function cove_cuda_objects().
set(COVE_CUDA OFF CACHE STRING "the CUDA backend: AUTO (where nvcc is found), ON, OFF")
set_property(CACHE COVE_CUDA PROPERTY STRINGS AUTO ON OFF)
set(COVE_HAS_CUDA OFF)
if(NOT COVE_CUDA STREQUAL "OFF")
  find_program(COVE_NVCC nvcc HINTS $ENV{CUDA_HOME}/bin PATHS /usr/local/cuda/bin /opt/cuda/bin)
  if(COVE_NVCC)
    get_filename_component(cuda_real ${COVE_NVCC} REALPATH)
    get_filename_component(cuda_bin ${cuda_real} DIRECTORY)
    get_filename_component(cuda_root ${cuda_bin} DIRECTORY)
    find_path(COVE_CUDA_INCLUDE cuda_runtime_api.h HINTS ${cuda_root}/include ${cuda_root}/targets/x86_64-linux/include)
    find_library(COVE_CUDART cudart_static
      HINTS ${cuda_root}/lib64 ${cuda_root}/lib ${cuda_root}/targets/x86_64-linux/lib ${cuda_root}/targets/sbsa-linux/lib)
  endif()
  if(COVE_NVCC AND COVE_CUDA_INCLUDE AND COVE_CUDART)
    set(COVE_HAS_CUDA ON)
    message(STATUS "CUDA backend: ${COVE_NVCC}")
  elseif(COVE_CUDA STREQUAL "ON")
    message(FATAL_ERROR "COVE_CUDA is ON, but nvcc, cuda_runtime_api.h or libcudart_static.a was not found; set CUDA_HOME")
  else()
    message(STATUS "CUDA backend: skipped: no nvcc")
  endif()
endif()

# Machine code for Ampere (runs on Ada too) and Hopper, and PTX that newer drivers compile for what comes after. Hopper's own instructions
# need the architecture-specific target, so the files that use them get that alone.
set(cuda_portable -gencode=arch=compute_80,code=[sm_80,compute_80] -gencode=arch=compute_90a,code=sm_90a)
set(cuda_hopper -gencode=arch=compute_90a,code=sm_90a)

# cove_cuda_objects(VARIABLE files...): compiles .cu files and puts the objects' names into VARIABLE. Files under hopper/ are for sm_90a.
function(cove_cuda_objects variable)
  set(objects)
  foreach(file ${ARGN})
    file(RELATIVE_PATH name ${CMAKE_SOURCE_DIR} ${file})
    string(REPLACE "/" "_" name ${name})
    set(object ${CMAKE_CURRENT_BINARY_DIR}/${name}.o)
    set(architectures ${cuda_portable})
    if(file MATCHES "/hopper/")
      set(architectures ${cuda_hopper})
    endif()
    add_custom_command(OUTPUT ${object}
      COMMAND ${CMAKE_CXX_COMPILER_LAUNCHER} ${COVE_NVCC} -ccbin ${CMAKE_CXX_COMPILER} -std=c++20 -O3 -DNDEBUG -lineinfo
        -fmad=false --expt-relaxed-constexpr --Werror all-warnings ${architectures} -I${CMAKE_SOURCE_DIR}/src -MD -MF ${object}.d -c ${file} -o ${object}
      DEPENDS ${file} DEPFILE ${object}.d COMMENT "Building CUDA object ${name}.o" VERBATIM)
    list(APPEND objects ${object})
  endforeach()
  set(${variable} ${objects} PARENT_SCOPE)
endfunction()
