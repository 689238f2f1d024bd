# The CUDA backend's compiler: nvcc 13.0 with g++-12, C++17 (all that CMake 3.25 knows of CUDA).
# Machine code for A100, H100/H200 and Blackwell, PTX for what comes after; set
# CMAKE_CUDA_ARCHITECTURES to build for one of them only.
if(NOT CMAKE_CUDA_COMPILER AND EXISTS /usr/local/cuda/bin/nvcc)
  set(CMAKE_CUDA_COMPILER /usr/local/cuda/bin/nvcc)
endif()
set(CMAKE_CUDA_ARCHITECTURES "80-real;90-real;120" CACHE STRING "GPU architectures to build for")
set(CMAKE_CUDA_HOST_COMPILER g++-12 CACHE STRING "Host compiler of nvcc")
set(CMAKE_CUDA_STANDARD 17)
set(CMAKE_CUDA_STANDARD_REQUIRED ON)
set(CMAKE_CUDA_EXTENSIONS OFF)
enable_language(CUDA)
find_package(CUDAToolkit 13.0 REQUIRED)

if(CCACHE)
  set(CMAKE_CUDA_COMPILER_LAUNCHER ${CCACHE})
endif()
# CMake would link the toolkit's runtime by itself; kernels_cuda says which.
set(CMAKE_CUDA_RUNTIME_LIBRARY Static)
target_compile_options(spearfish_options INTERFACE
  "$<$<COMPILE_LANGUAGE:CUDA>:--expt-relaxed-constexpr;-Werror=all-warnings;-Xcompiler=-Wall,-Wextra,-Wshadow>")
