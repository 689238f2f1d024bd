include(GoogleTest)

# Debian's gRPC, Protobuf and Abseil are built without ThreadSanitizer (tests/support/tsan.supp).
set(SPEARFISH_TEST_ENVIRONMENT "")
if(SPEARFISH_SANITIZE STREQUAL "thread")
  set(SPEARFISH_TEST_ENVIRONMENT
      "TSAN_OPTIONS=suppressions=${CMAKE_SOURCE_DIR}/tests/support/tsan.supp:ignore_noninstrumented_modules=1")
endif()

# spearfish_library(NAME SRCS a.cc ... DEPS target ...): one static library a folder.
function(spearfish_library name)
  cmake_parse_arguments(arg "" "" "SRCS;DEPS" ${ARGN})
  if(arg_SRCS)
    add_library(${name} STATIC ${arg_SRCS})
    target_link_libraries(${name} PUBLIC spearfish_options ${arg_DEPS})
  else()
    add_library(${name} INTERFACE)
    target_link_libraries(${name} INTERFACE spearfish_options ${arg_DEPS})
  endif()
endfunction()

# spearfish_binary(NAME SRCS ... DEPS ...): an executable in build/<preset>/bin.
function(spearfish_binary name)
  cmake_parse_arguments(arg "" "" "SRCS;DEPS" ${ARGN})
  add_executable(${name} ${arg_SRCS})
  target_link_libraries(${name} PRIVATE spearfish_options ${arg_DEPS})
endfunction()

# spearfish_test(NAME SRCS ... DEPS ... [TIMEOUT seconds] [LABELS ...]): one GoogleTest binary;
# every case in it is a ctest test of its own.
function(spearfish_test name)
  cmake_parse_arguments(arg "" "TIMEOUT" "SRCS;DEPS;LABELS" ${ARGN})
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 300)
  endif()
  add_executable(${name} ${arg_SRCS})
  target_link_libraries(${name} PRIVATE spearfish_options ${arg_DEPS} GTest::gmock GTest::gtest_main)
  target_compile_definitions(${name} PRIVATE SPEARFISH_SOURCE_DIR="${CMAKE_SOURCE_DIR}"
                                             SPEARFISH_BINARY_DIR="${CMAKE_BINARY_DIR}/bin")
  set(properties TIMEOUT ${arg_TIMEOUT})
  if(arg_LABELS)
    list(APPEND properties LABELS "${arg_LABELS}")
  endif()
  if(SPEARFISH_TEST_ENVIRONMENT)
    list(APPEND properties ENVIRONMENT "${SPEARFISH_TEST_ENVIRONMENT}")
  endif()
  gtest_discover_tests(${name} DISCOVERY_MODE PRE_TEST DISCOVERY_TIMEOUT 120
                       PROPERTIES ${properties})
endfunction()

# spearfish_fuzz(NAME SRCS ... DEPS ...): a libFuzzer binary, only with SPEARFISH_FUZZ.
function(spearfish_fuzz name)
  if(NOT SPEARFISH_FUZZ)
    return()
  endif()
  cmake_parse_arguments(arg "" "" "SRCS;DEPS" ${ARGN})
  add_executable(${name} ${arg_SRCS})
  target_link_libraries(${name} PRIVATE spearfish_options ${arg_DEPS})
  target_link_options(${name} PRIVATE -fsanitize=fuzzer)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/fuzz)
endfunction()

# spearfish_npm_packages(NAME FIXTURE FOLDER): a test that installs what FOLDER's lock file names, for
# tests that require FIXTURE. One at a time: they share npm's cache.
function(spearfish_npm_packages name fixture folder)
  find_program(NPM npm REQUIRED)
  add_test(NAME ${name}
           COMMAND ${NPM} ci --no-audit --no-fund --loglevel=error --prefer-offline
                   --fetch-retries=5
           WORKING_DIRECTORY ${folder})
  set_tests_properties(${name} PROPERTIES
    FIXTURES_SETUP ${fixture} RESOURCE_LOCK npm TIMEOUT 600)
endfunction()
