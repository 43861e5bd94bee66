// SPDX-License-Identifier: BSL-1.0
// /proc/net/protocols: the kernel's header, and each proto's letters from the ops that it has.
#include "netstack/core/sock_proc.hpp"

#include "netstack/core/snmp_proc.hpp"
#include "netstack/core/socket.hpp"
#include "netstack/stack/stack.hpp"
#include "support/catch.hpp"
#include "support/proc_text.hpp"

namespace {

using namespace netstack;
using namespace netstack::test;

/// An op of whatever signature a member of proto asks for; it is never called.
template <class R, class... A>
R never(A...) {
  std::abort();
}
template <class R, class... A>
constexpr void set(bool yes, R (*&op)(A...)) {
  op = yes ? never<R, A...> : nullptr;
}

/// A proto with exactly the ops that the letters name, cl … em. (set) in brackets: an argument-dependent lookup would
/// complete Net, and descriptors are read before it is.
template <class Net>
constexpr proto<Net> proto_of(char const* name, char const* letters) {
  proto<Net> p{.name = name, .slab_alloc = never<sock*, Net&>, .obj_size = 1344};
  auto const yes = [&](std::size_t i) { return letters[i] == 'y'; };
  (set)(yes(0), p.close), (set)(yes(1), p.connect), (set)(yes(2), p.disconnect), (set)(yes(3), p.accept),
      (set)(yes(4), p.ioctl);
  (set)(yes(5), p.init), (set)(yes(6), p.destroy), (set)(yes(7), p.shutdown), (set)(yes(8), p.setsockopt);
  (set)(yes(9), p.getsockopt), (set)(yes(10), p.sendmsg), (set)(yes(11), p.recvmsg), (set)(yes(12), p.sendpage);
  (set)(yes(13), p.bind), (set)(yes(14), p.backlog_rcv), (set)(yes(15), p.hash), (set)(yes(16), p.unhash);
  (set)(yes(17), p.get_port), (set)(yes(18), p.enter_memory_pressure);
  return p;
}

constexpr char const* tcp_ops = "yyyyyyyyyyyyynyyyyy";
constexpr char const* udp_ops = "yyynynynyyyyynyyyyn";
constexpr char const* raw_ops = "yyynyyynyyyynyyyynn";
constexpr char const* ping_ops = "yyynnynnyyyynyyyyyn";

template <class Net>
proto_memory* some_memory(Net& net);

/// A test module that plays the transports of the document era.
struct transports : module {
  struct pernet {
    proto_memory memory{.allocated = 12, .sockets_allocated = 1, .pressure = false};
  };
  template <class Net>
  static constexpr proto<Net> tcp() {
    auto p = proto_of<Net>("TCP", tcp_ops);
    p.memory = some_memory<Net>;
    p.max_header = 192;
    return p;
  }
  template <class Net>
  static constexpr std::array protos{tcp<Net>(), proto_of<Net>("UDP", udp_ops), proto_of<Net>("RAW", raw_ops),
                                     proto_of<Net>("PING", ping_ops)};
};
template <class Net>
proto_memory* some_memory(Net& net) {
  return &net_generic<transports>(net).memory;
}

struct host : stack<host, transports, sizes<config{.max_net = 2, .skb_pool = 64}>> {};

std::string letters_of(std::string const& row) {
  auto const words = words_of(row);
  std::string letters;
  for (std::size_t i = 8; i < words.size(); ++i) letters += words[i];
  return letters;
}

}  // namespace

TEST_CASE("/proc/net/protocols: header as the kernel's, letters from the ops", "[S90]") {
  host h;
  REQUIRE(h.boot());
  auto& net = h.init_net();
  net.prot_inuse[0] = 3;
  auto const lines = lines_of(proc_text(net, "net/protocols"));
  REQUIRE(lines.size() == 5);
  CHECK(
      lines[0] ==
      "protocol  size sockets  memory press maxhdr  slab module     cl co di ac io in de sh ss gs se re sp bi br ha uh "
      "gp em");
  CHECK(lines[4] ==
        "TCP       1344      3      12   no     192   yes  kernel      y  y  y  y  y  y  y  y  y  y  y  y  y  n  y  y  "
        "y  "
        "y  y");
  CHECK(lines[1].starts_with("PING      1344      0      -1   NI       0   yes  kernel      y  y  y  n  n  y"));
  CHECK(letters_of(lines[1]) == ping_ops);
  CHECK(letters_of(lines[2]) == raw_ops);
  CHECK(letters_of(lines[3]) == udp_ops);
  CHECK(letters_of(lines[4]) == tcp_ops);
  net_generic<transports>(net).memory.pressure = true;
  CHECK(words_of(lines_of(proc_text(net, "net/protocols"))[4])[4] == "yes");

  // The kernel's own: without the letter of a removed op, the header and the columns before the letters are the same.
  auto const kernel = lines_of(host_text("/proc/net/protocols"));
  REQUIRE(kernel.size() > 1);
  std::string ours = lines[0];
  if (kernel[0].find(" sp ") == std::string::npos) ours.erase(ours.find(" sp"), 3);
  CHECK(ours == kernel[0]);
  for (auto const& row : kernel) {
    if (!row.starts_with("TCP ")) continue;
    std::size_t const letters = row.find("kernel") + 10;
    // Same widths: every column ends where the kernel's ends.
    CHECK(lines[4].find("kernel") == row.find("kernel"));
    CHECK(lines[4].substr(letters, 3) == row.substr(letters, 3));
    CHECK(lines[4].substr(0, 10) == row.substr(0, 10));
    CHECK(lines[4].substr(32, 20) == row.substr(32, 20));
  }
}

TEST_CASE("sockstat begins with the sockets of all families", "[S175]") {
  host h;
  REQUIRE(h.boot());
  h.init_net().sock_inuse = 17;
  char buffer[64];
  seq_file m{buffer};
  seq_cursor at;
  while (sockstat_seq_show(h.init_net(), m, at)) {
  }
  CHECK(m.text() == "sockets: used 17\n");
  auto const kernel = lines_of(host_text("/proc/net/sockstat"));
  REQUIRE_FALSE(kernel.empty());
  CHECK(kernel[0].starts_with("sockets: used "));
}
