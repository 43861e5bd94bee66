# SPDX-License-Identifier: BSL-1.0
# Installs the headers, the CMake package and netstack.pc. Nothing is built, so everything goes to share/.
include(CMakePackageConfigHelpers)
include(GNUInstallDirs)

set(package_dir "${CMAKE_INSTALL_DATADIR}/cmake/netstack")

install(DIRECTORY "${PROJECT_SOURCE_DIR}/include/netstack" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}" FILES_MATCHING PATTERN "*.hpp")
install(FILES "${PROJECT_SOURCE_DIR}/LICENSE" DESTINATION "${CMAKE_INSTALL_DOCDIR}")
install(TARGETS netstack netstack_af_xdp netstack_pcap EXPORT netstackTargets)
install(EXPORT netstackTargets NAMESPACE netstack:: DESTINATION "${package_dir}")

configure_package_config_file("${PROJECT_SOURCE_DIR}/cmake/netstackConfig.cmake.in" "${PROJECT_BINARY_DIR}/netstackConfig.cmake"
                              INSTALL_DESTINATION "${package_dir}")
write_basic_package_version_file("${PROJECT_BINARY_DIR}/netstackConfigVersion.cmake" COMPATIBILITY SameMinorVersion ARCH_INDEPENDENT)
install(FILES "${PROJECT_BINARY_DIR}/netstackConfig.cmake" "${PROJECT_BINARY_DIR}/netstackConfigVersion.cmake" DESTINATION "${package_dir}")

configure_file("${PROJECT_SOURCE_DIR}/cmake/netstack.pc.in" "${PROJECT_BINARY_DIR}/netstack.pc" @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/netstack.pc" DESTINATION "${CMAKE_INSTALL_DATADIR}/pkgconfig")
