# SPDX-License-Identifier: BSL-1.0
# What our own tests, examples and benchmarks are built with. A program that uses the library sees none of it:
# the flags travel on netstack_dev, which only our targets link.
find_package(Threads REQUIRED)

set(NETSTACK_SANITIZE "" CACHE STRING "Sanitizers of our own targets: address,undefined or thread")

add_library(netstack_dev INTERFACE)
target_link_libraries(netstack_dev INTERFACE netstack::netstack Threads::Threads)
target_compile_options(netstack_dev INTERFACE -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror)
if(NETSTACK_SANITIZE)
  target_compile_options(netstack_dev INTERFACE -fsanitize=${NETSTACK_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  # g++ loses track of initialisation behind the code that the sanitizers insert; the release build keeps the warning.
  target_compile_options(netstack_dev INTERFACE $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
  target_link_options(netstack_dev INTERFACE -fsanitize=${NETSTACK_SANITIZE})
endif()

if(PROJECT_IS_TOP_LEVEL)
  set(CMAKE_CXX_EXTENSIONS OFF)
  set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
  if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
    set(CMAKE_BUILD_TYPE Release)
  endif()
  find_program(CCACHE_PROGRAM ccache)
  if(CCACHE_PROGRAM AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
    set(CMAKE_CXX_COMPILER_LAUNCHER "${CCACHE_PROGRAM}")
  endif()
endif()
