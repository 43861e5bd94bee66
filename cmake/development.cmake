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
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # With these checks g++ no longer takes the address of a function for a constant that is not null, which the tables
    # are checked for while compiling; ASan stops at a null pointer anyway. And behind the code that sanitizers insert
    # g++ loses track of initialisation; the release build keeps that warning.
    target_compile_options(netstack_dev INTERFACE -fno-sanitize=null,nonnull-attribute,returns-nonnull-attribute -Wno-maybe-uninitialized)
  endif()
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
