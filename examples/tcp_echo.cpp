// SPDX-License-Identifier: BSL-1.0
// TCP twice, in one process over loopback: a server that is called back and looks at bytes where they lie, and a client
// that calls and waits, as programs on a kernel do.
// RUN:
// OUTPUT: ^1000000 bytes came back as they were$
#include <array>
#include <cstdio>
#include <string>

#include "netstack/netstack.hpp"

using namespace netstack;

struct host : stack<host, presets::full> {};
using Net = net<host>;

// [server]
class echo {  // one connection at a time
  Net& net_;
  tcp_socket<Net> listener_, peer_;
  std::array<u8, 4096> text_{};  // what was read and is not sent back yet
  u32 len_ = 0;

  void accept_one() {
    if (peer_.is_open()) return;
    auto const fd = accept(net_, listener_.fd());
    if (fd && peer_.adopt(*fd)) go_on();  // it may have said something already
  }
  void go_on() {
    for (;;) {
      auto const read = peer_.read([&](std::span<u8 const> piece) {
        auto const n = static_cast<u32>(std::min(piece.size(), text_.size() - len_));
        std::copy_n(piece.begin(), n, text_.begin() + len_);
        len_ += n;
        return n;  // the rest is shown again
      });
      auto const sent = static_cast<u32>(send(net_, peer_.fd(), text_.data(), len_, msg::dontwait).value_or(0));
      std::copy(text_.begin() + sent, text_.begin() + len_, text_.begin());
      len_ -= sent;  // what has no room waits for on_write_space
      if (!read && read.error() == std::errc::resource_unavailable_try_again) return;
      if (read && *read != 0) continue;
      if (read && len_ != 0) return;
      len_ = 0;  // an error, or the client has ended and has everything
      peer_.close();
      return accept_one();  // another may wait
    }
  }

 public:
  explicit echo(Net& net) : net_(net), listener_(net), peer_(net) {}
  bool start(u16 port) {
    if (!listener_.open() || !bind(net_, listener_.fd(), inet_addr_of({}, port)) || !listen(net_, listener_.fd(), 8))
      return false;
    listener_.on_data_ready([](void* self) { static_cast<echo*>(self)->accept_one(); }, this);
    peer_.on_data_ready([](void* self) { static_cast<echo*>(self)->go_on(); }, this);
    peer_.on_write_space([](void* self) { static_cast<echo*>(self)->go_on(); }, this);
    return true;
  }
};
// [/server]

int main() {
  host h;
  if (!h.boot()) return 1;
  auto& net = h.init_net();
  if (!dev_open(net, *net.loopback_dev)) return 1;
  echo server{net};
  if (!server.start(7)) return 1;

  // [client]
  auto const fd = socket(net, af::inet, sock_type::stream);
  if (!fd || !connect(net, *fd, inet_addr_of(ipv4_addr("127.0.0.1"), 7))) return 1;
  std::string sent(1000, '\0'), back(1000, '\0');
  std::size_t right = 0;
  for (int i = 0; i < 1000; ++i) {
    sent.assign(sent.size(), static_cast<char>('a' + i % 26));
    if (!send(net, *fd, sent.data(), sent.size()) || !recv(net, *fd, back.data(), back.size(), msg::waitall)) return 1;
    if (back == sent) right += back.size();
  }
  // [/client]
  std::printf("%zu bytes came back as they were\n", right);
  return close(net, *fd) ? 0 : 1;
}
