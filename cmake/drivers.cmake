# SPDX-License-Identifier: BSL-1.0
# Drivers that need a library of the system are targets of their own: netstack::af_xdp (libbpf) and netstack::pcap
# (libpcap). netstack::netstack needs neither; whoever includes one of these drivers links its target.
foreach(driver IN ITEMS af_xdp pcap)
  add_library(netstack_${driver} INTERFACE)
  add_library(netstack::${driver} ALIAS netstack_${driver})
  set_target_properties(netstack_${driver} PROPERTIES EXPORT_NAME ${driver})
  target_link_libraries(netstack_${driver} INTERFACE netstack)
endforeach()
target_link_libraries(netstack_af_xdp INTERFACE bpf)
target_link_libraries(netstack_pcap INTERFACE pcap)
# pcap/bpf.h and linux/bpf.h, which libbpf needs, cannot be included together.
target_compile_definitions(netstack_pcap INTERFACE PCAP_DONT_INCLUDE_PCAP_BPF_H)
