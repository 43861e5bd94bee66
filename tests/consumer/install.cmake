# SPDX-License-Identifier: BSL-1.0
# Installs into an empty prefix and checks that exactly the public headers arrived.
file(REMOVE_RECURSE "${PREFIX}")
execute_process(COMMAND "${CMAKE_COMMAND}" --install "${BUILD_DIR}" --prefix "${PREFIX}" OUTPUT_QUIET COMMAND_ERROR_IS_FATAL ANY)
file(GLOB_RECURSE installed RELATIVE "${PREFIX}/include" "${PREFIX}/include/*")
file(GLOB_RECURSE public RELATIVE "${CMAKE_CURRENT_LIST_DIR}/../../include" "${CMAKE_CURRENT_LIST_DIR}/../../include/*.hpp")
if(NOT installed STREQUAL public)
  message(FATAL_ERROR "installed headers differ from include/:\n${installed}\n${public}")
endif()
