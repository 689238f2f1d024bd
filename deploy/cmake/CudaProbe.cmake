# Whether the CUDA backend can be built here, and if not, why.
set(SPEARFISH_OLDEST_CUDA 13.0)

# Accepts an nvcc that is new enough; what it rejects is noted in the global property rejected_nvcc.
function(spearfish_accept_nvcc accepted nvcc)
  execute_process(COMMAND ${nvcc} --version OUTPUT_VARIABLE text ERROR_QUIET RESULT_VARIABLE status)
  if(NOT text MATCHES "release [0-9.]+, V([0-9.]+)")
    set_property(GLOBAL APPEND PROPERTY rejected_nvcc "${nvcc} does not run (${status})")
    set(${accepted} FALSE PARENT_SCOPE)
  elseif(CMAKE_MATCH_1 VERSION_LESS SPEARFISH_OLDEST_CUDA)
    set_property(GLOBAL APPEND PROPERTY rejected_nvcc "${nvcc} is ${CMAKE_MATCH_1}")
    set(${accepted} FALSE PARENT_SCOPE)
  endif()
endfunction()

# nvcc: the one that CMAKE_CUDA_COMPILER or CUDACXX names; else the first that is new enough in PATH
# and in the toolkit's usual folder. Empty, with the reason, when there is none.
function(spearfish_find_nvcc nvcc why)
  set_property(GLOBAL PROPERTY rejected_nvcc "")
  if(CMAKE_CUDA_COMPILER)
    set(looked_at ${CMAKE_CUDA_COMPILER})
  elseif(NOT "$ENV{CUDACXX}" STREQUAL "")
    set(looked_at $ENV{CUDACXX})
  endif()
  if(looked_at)
    find_program(found NAMES ${looked_at} VALIDATOR spearfish_accept_nvcc NO_CACHE)
  else()
    set(looked_at "in PATH or /usr/local/cuda/bin")
    find_program(found NAMES nvcc PATHS /usr/local/cuda/bin VALIDATOR spearfish_accept_nvcc NO_CACHE)
  endif()
  get_property(rejected GLOBAL PROPERTY rejected_nvcc)
  list(REMOVE_DUPLICATES rejected)
  list(JOIN rejected ", " rejected)
  if(found)
    set(${nvcc} ${found} PARENT_SCOPE)
  elseif(rejected)
    set(${why} "${rejected}; it needs nvcc ${SPEARFISH_OLDEST_CUDA} or later" PARENT_SCOPE)
  else()
    set(${why} "no nvcc ${looked_at}" PARENT_SCOPE)
  endif()
endfunction()

# Builds cuda_probe with nvcc. Only success is remembered: what is repaired is found again.
function(spearfish_probe_nvcc nvcc why)
  find_program(host NAMES ${CMAKE_CUDA_HOST_COMPILER} NO_CACHE)
  if(NOT host)
    set(${why} "no ${CMAKE_CUDA_HOST_COMPILER} for nvcc; set CMAKE_CUDA_HOST_COMPILER" PARENT_SCOPE)
    return()
  endif()
  set(probed "${nvcc} ${host} ${CMAKE_CUDA_ARCHITECTURES}")
  if(SPEARFISH_CUDA_PROBED STREQUAL probed)
    return()
  endif()
  set(folder ${CMAKE_BINARY_DIR}/CMakeFiles/cuda_probe)
  file(REMOVE_RECURSE ${folder})
  execute_process(
    COMMAND ${CMAKE_COMMAND} -S ${CMAKE_SOURCE_DIR}/deploy/cmake/cuda_probe -B ${folder}
            -G ${CMAKE_GENERATOR} -DCMAKE_MAKE_PROGRAM=${CMAKE_MAKE_PROGRAM}
            -DCMAKE_CXX_COMPILER=${host} -DCMAKE_CUDA_COMPILER=${nvcc}
            -DCMAKE_CUDA_HOST_COMPILER=${host}
            "-DCMAKE_CUDA_ARCHITECTURES=${CMAKE_CUDA_ARCHITECTURES}"
    OUTPUT_VARIABLE configured ERROR_VARIABLE configured RESULT_VARIABLE status)
  if(status EQUAL 0)
    execute_process(COMMAND ${CMAKE_COMMAND} --build ${folder}
                    OUTPUT_VARIABLE built ERROR_VARIABLE built RESULT_VARIABLE status)
  endif()
  file(WRITE ${folder}.log "${configured}${built}")
  if(status EQUAL 0)
    set(SPEARFISH_CUDA_PROBED ${probed} CACHE INTERNAL "Where the probe of CUDA succeeded")
  else()
    set(${why} "${nvcc} builds no program with cuBLASLt, see ${folder}.log" PARENT_SCOPE)
  endif()
endfunction()
