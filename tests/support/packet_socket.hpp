// SPDX-License-Identifier: BSL-1.0
// Decides: how a test is the far end of a TAP or TUN interface: a raw packet socket on Linux's side of it, which sends
// and receives whole frames with their virtio header, so that checksums and segments left to the device can be seen.
#pragma once
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "netstack/drivers/detail/tun_file.hpp"
#include "netstack/wire/checksum.hpp"
#include "support/catch.hpp"

namespace netstack::test {

class packet_socket {
  int fd_ = -1;

 public:
  using virtio_net_hdr = drivers::detail::virtio_net_hdr;

  packet_socket() = default;
  packet_socket(packet_socket const&) = delete;
  packet_socket& operator=(packet_socket const&) = delete;
  ~packet_socket() { close(); }
  void close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }
  /// Frames of one ethertype of one interface.
  void open(std::string const& ifname, u16 type) {
    close();
    fd_ = ::socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    REQUIRE(fd_ >= 0);
    int const one = 1, room = 64 << 20;
    constexpr int ignore_outgoing = 23, vnet_hdr = 15;  // PACKET_IGNORE_OUTGOING, PACKET_VNET_HDR
    REQUIRE(::setsockopt(fd_, SOL_PACKET, ignore_outgoing, &one, sizeof one) == 0);
    REQUIRE(::setsockopt(fd_, SOL_PACKET, vnet_hdr, &one, sizeof one) == 0);
    REQUIRE(::setsockopt(fd_, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room) == 0);
    ::sockaddr_ll addr{};
    addr.sll_family = AF_PACKET;
    addr.sll_protocol = htons(type);
    addr.sll_ifindex = static_cast<int>(::if_nametoindex(ifname.c_str()));
    REQUIRE(addr.sll_ifindex != 0);
    REQUIRE(::bind(fd_, reinterpret_cast<::sockaddr const*>(&addr), sizeof addr) == 0);
  }
  bool send(std::span<u8 const> frame, virtio_net_hdr const& header = {}) const {
    std::vector<u8> all(sizeof header + frame.size());
    std::memcpy(all.data(), &header, sizeof header);
    std::memcpy(all.data() + sizeof header, frame.data(), frame.size());
    return ::send(fd_, all.data(), all.size(), 0) == static_cast<ssize_t>(all.size());
  }
  bool receive(std::vector<u8>& frame, virtio_net_hdr& header) const {
    std::vector<u8> all(70000);
    auto const n = ::recv(fd_, all.data(), all.size(), 0);
    if (n < static_cast<ssize_t>(sizeof header)) return false;
    std::memcpy(&header, all.data(), sizeof header);
    frame.assign(all.data() + sizeof header, all.data() + n);
    return true;
  }
  /// The same with the checksum finished, as the frame would be on a wire.
  bool receive(std::vector<u8>& frame) const {
    virtio_net_hdr header;
    if (!receive(frame, header)) return false;
    if (header.flags & virtio_net_hdr::needs_csum) {
      sum16 sum = csum_fold(csum_partial(frame.data() + header.csum_start, frame.size() - header.csum_start, 0));
      if (sum == sum16{}) sum = csum_mangled_0;
      std::memcpy(frame.data() + header.csum_start + header.csum_offset, &sum, sizeof sum);
    }
    return true;
  }
};

}  // namespace netstack::test
