# The CUDA backend: SPEARFISH_HAS_CUDA says whether it is built. nvcc 13.0 or later with g++-12,
# C++17 (all that CMake 3.25 knows of CUDA). Machine code for A100, H100/H200 and Blackwell, PTX for
# what comes after; set CMAKE_CUDA_ARCHITECTURES to build for one of them only.
set(SPEARFISH_CUDA AUTO CACHE STRING
    "CUDA backend and its tests: AUTO (wherever nvcc can build them), ON (fail without nvcc) or OFF")
set_property(CACHE SPEARFISH_CUDA PROPERTY STRINGS AUTO ON OFF)
set(CMAKE_CUDA_ARCHITECTURES "80-real;90-real;120" CACHE STRING "GPU architectures to build for")
set(CMAKE_CUDA_HOST_COMPILER g++-12 CACHE STRING "Host compiler of nvcc")
# Compiled for an older GPU, kernels have no barriers of clusters and do not wait for the kernels before
# them, which newer GPUs start early: PTX of an older one must never run there.
foreach(architecture IN LISTS CMAKE_CUDA_ARCHITECTURES)
  string(REGEX MATCH "^[0-9]+" generation "${architecture}")
  if(generation AND generation LESS 90 AND NOT architecture MATCHES "-real$")
    message(FATAL_ERROR "CMAKE_CUDA_ARCHITECTURES: ${architecture} makes PTX that newer GPUs would run "
                        "wrongly; set ${generation}-real")
  endif()
endforeach()
set(SPEARFISH_HAS_CUDA OFF)
if(NOT SPEARFISH_CUDA MATCHES "^(AUTO|ON|OFF)$")
  message(FATAL_ERROR "SPEARFISH_CUDA is AUTO, ON or OFF, not \"${SPEARFISH_CUDA}\"")
endif()
if(SPEARFISH_CUDA STREQUAL "OFF")
  return()
endif()

include(CudaProbe)
spearfish_find_nvcc(nvcc why)
if(nvcc)
  spearfish_probe_nvcc(${nvcc} why)
endif()
if(why AND SPEARFISH_CUDA STREQUAL "ON")
  message(FATAL_ERROR "SPEARFISH_CUDA is ON, but ${why}. Install the CUDA toolkit "
                      "${SPEARFISH_OLDEST_CUDA} or later and name its nvcc in CUDACXX, or set "
                      "SPEARFISH_CUDA to OFF.")
elseif(why)
  message(STATUS "CUDA backend: not built (${why})")
  return()
endif()

set(SPEARFISH_HAS_CUDA ON)
set(CMAKE_CUDA_COMPILER ${nvcc})
set(CMAKE_CUDA_STANDARD 17)
set(CMAKE_CUDA_STANDARD_REQUIRED ON)
set(CMAKE_CUDA_EXTENSIONS OFF)
enable_language(CUDA)
find_package(CUDAToolkit ${SPEARFISH_OLDEST_CUDA} REQUIRED)
message(STATUS "CUDA backend: nvcc ${CMAKE_CUDA_COMPILER_VERSION} for ${CMAKE_CUDA_ARCHITECTURES}")

if(CCACHE)
  set(CMAKE_CUDA_COMPILER_LAUNCHER ${CCACHE})
endif()
# CMake would link the toolkit's runtime by itself; kernels_cuda says which.
set(CMAKE_CUDA_RUNTIME_LIBRARY Static)
target_compile_options(spearfish_options INTERFACE
  "$<$<COMPILE_LANGUAGE:CUDA>:--expt-relaxed-constexpr;-Werror=all-warnings;-Xcompiler=-Wall,-Wextra,-Wshadow>")
