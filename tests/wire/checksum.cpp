// SPDX-License-Identifier: BSL-1.0
// Proves wire/checksum.hpp against the definition of RFC 1071: pairs of bytes summed as big-endian 16-bit numbers with
// end-around carry, one pair at a time. Lengths reach every kernel that the target of the build has; CMake builds this
// file for each target that has others (NETSTACK_TEST_ISA).
#include "netstack/wire/checksum.hpp"

#include <algorithm>
#include <random>
#include <vector>

#include "support/catch.hpp"

using namespace netstack;
#if defined(NETSTACK_TEST_ISA)
namespace tested =
    netstack::detail::NETSTACK_TEST_ISA;  // an error if the kernels are others than this test's name says
#endif

namespace {

/// RFC 1071 §1 in network order; shares no code with the library. Zero only if every byte is zero.
constexpr u16 oracle(unsigned char const* p, std::size_t len, u32 sum = 0) {
  for (std::size_t i = 0; i < len; ++i) {
    sum += i % 2 == 0 ? u32{p[i]} << 8 : u32{p[i]};
    if (sum > 0xffff) sum -= 0xffff;
  }
  return static_cast<u16>(sum);
}

/// A sum of the library as the oracle's number: folded, not complemented, network order.
constexpr u16 folded(u32 sum) { return be16::from_raw(static_cast<u16>(~csum_fold(sum).raw())).host(); }
constexpr u16 host(sum16 check) { return be16::from_raw(check.raw()).host(); }

std::vector<unsigned char> noise(std::size_t len, unsigned seed) {
  std::mt19937 rng{seed};
  std::vector<unsigned char> bytes(len);
  std::generate(bytes.begin(), bytes.end(), [&] { return static_cast<unsigned char>(rng()); });
  return bytes;
}

/// Fails with the place of the first difference; one assertion per buffer keeps millions of comparisons fast.
struct mismatch {
  std::size_t align = 0, len = 0;
  u16 got = 0, want = 0;
  bool found = false;
  void check(std::size_t a, std::size_t l, u16 g, u16 w) {
    if (g != w && !found) *this = {a, l, g, w, true};
  }
};
void require_none(mismatch const& m) {
  CAPTURE(m.align, m.len, m.got, m.want);
  REQUIRE_FALSE(m.found);
}

// The header of a ping from 192.0.2.1 to 198.51.100.7: length 84, id 0x1c46, DF, ttl 64, ICMP, checksum 0x3227.
constexpr std::array<unsigned char, 20> ping_header{0x45, 0x00, 0x00, 0x54, 0x1c, 0x46, 0x40, 0x00, 0x40, 0x01,
                                                    0x32, 0x27, 0xc0, 0x00, 0x02, 0x01, 0xc6, 0x33, 0x64, 0x07};

// UDP 192.0.2.1:4369 -> 198.51.100.7:8738, "netstack" (8 bytes of payload), with its checksum.
constexpr std::array<unsigned char, 16> udp_datagram{0x11, 0x11, 0x22, 0x22, 0x00, 0x10, 0x25, 0xb9,
                                                     'n',  'e',  't',  's',  't',  'a',  'c',  'k'};

constexpr be32 ping_saddr = ipv4_addr("192.0.2.1");
constexpr be32 ping_daddr = ipv4_addr("198.51.100.7");

/// Run once by the compiler and once by the processor: true if every function that both can run is right. The locals
/// are not const, since the initialiser of a const integer would be computed by the compiler both times.
constexpr bool captured_frames_verify() {
  auto const ip = std::bit_cast<iphdr>(ping_header);
  if (ip_fast_csum(&ip, 5) != sum16{}) return false;
  if (ip_header_csum(ip) != ip.check) return false;
  if (ip_compute_csum(ping_header.data(), ping_header.size()) != sum16{}) return false;

  u32 sum = csum_partial(udp_datagram.data(), udp_datagram.size(), 0);
  if (csum_tcpudp_magic(ping_saddr, ping_daddr, 16, ipproto::udp, sum) != sum16{}) return false;
  std::array<unsigned char, 16> copy{};
  u32 copied = csum_partial_copy(copy.data(), udp_datagram.data(), copy.size(), 0);
  if (csum_fold(copied) != csum_fold(sum) || copy != udp_datagram) return false;

  // RFC 1071 §3: the worked example, 00 01 f2 03 f4 f5 f6 f7 sums to ddf2.
  constexpr std::array<unsigned char, 8> rfc1071{0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};
  if (folded(csum_partial(rfc1071.data(), 8, 0)) != 0xddf2) return false;
  // The same bytes in two parts, the first of odd length.
  u32 split = csum_block_add(csum_partial(rfc1071.data(), 3, 0), csum_partial(rfc1071.data() + 3, 5, 0), 3);
  if (folded(split) != 0xddf2) return false;

  // RFC 1624 §4: HC 0xdd2f, a word goes from 0x5555 to 0x3285, and HC' is 0x0000, not 0xffff.
  sum16 check{be16{0xdd2f}.raw()};
  csum_replace2(check, be16{0x5555}, be16{0x3285});
  return check == sum16{};
}
static_assert(captured_frames_verify());

}  // namespace

TEST_CASE("captured frames verify, in constant expressions as at run time", "[checksum]") {
  REQUIRE(captured_frames_verify());
}

TEST_CASE("csum_partial equals the definition for every length, alignment and content", "[checksum]") {
  std::vector<unsigned char> const contents[]{noise(2100, 1), std::vector<unsigned char>(2100, 0xff),
                                              std::vector<unsigned char>(2100, 0x00)};
  for (auto const& bytes : contents) {
    mismatch m;
    for (std::size_t align = 0; align < 8; ++align)
      for (std::size_t len = 0; len <= 2000; ++len)
        m.check(align, len, folded(csum_partial(bytes.data() + align, len, 0)), oracle(bytes.data() + align, len));
    require_none(m);
  }
}

TEST_CASE("csum_partial reads no byte beyond its block", "[checksum]") {
  // Exact heap blocks: a sanitizer sees one byte too many; without one the neighbours' bytes would change the sum.
  mismatch m;
  for (std::size_t len = 0; len <= 600; ++len) {
    auto const exact = noise(len, 2);
    m.check(0, len, folded(csum_partial(exact.data(), len, 0)), oracle(exact.data(), len));
    std::vector<unsigned char> framed(len + 128, 0xa5);
    std::copy(exact.begin(), exact.end(), framed.begin() + 64);
    m.check(64, len, folded(csum_partial(framed.data() + 64, len, 0)), oracle(exact.data(), len));
  }
  require_none(m);
}

TEST_CASE("csum_partial continues any sum", "[checksum]") {
  auto const bytes = noise(1600, 3);
  mismatch m;
  for (u32 const sum : {0U, 1U, 0xffffU, 0x10000U, 0xffff0000U, 0xfffffffeU, 0xffffffffU})
    for (std::size_t len = 0; len <= 1600; len += 7)
      m.check(0, len, folded(csum_partial(bytes.data(), len, sum)), oracle(bytes.data(), len, folded(sum)));
  require_none(m);
}

TEST_CASE("blocks longer than one vector run are cut without loss", "[checksum]") {
  for (unsigned char const fill : {u8{0xff}, u8{0x5a}}) {
    std::vector<unsigned char> const bytes((std::size_t{5} << 23) + 77, fill);
    REQUIRE(folded(csum_partial(bytes.data(), bytes.size(), 0)) == oracle(bytes.data(), bytes.size()));
  }
  auto const bytes = noise((std::size_t{1} << 24) + 255, 4);
  std::vector<unsigned char> copy(bytes.size());
  REQUIRE(folded(csum_partial_copy(copy.data(), bytes.data(), bytes.size(), 0)) == oracle(bytes.data(), bytes.size()));
  REQUIRE(copy == bytes);
}

TEST_CASE("csum_partial_copy copies exactly and sums like csum_partial", "[checksum]") {
  auto const bytes = noise(2100, 5);
  mismatch m;
  std::vector<unsigned char> dst(2200);
  bool exact = true;
  for (std::size_t align = 0; align < 8; ++align)
    for (std::size_t len = 0; len <= 2000; ++len) {
      auto const* src = bytes.data() + align;
      std::size_t const to = 64 + (align * 5 + 2) % 8;
      std::fill_n(dst.begin(), to + len + 64, u8{0xcc});
      m.check(align, len, folded(csum_partial_copy(dst.data() + to, src, len, 0x1234)),
              oracle(src, len, folded(0x1234)));
      exact = exact && std::equal(src, src + len, dst.data() + to) && dst[to - 1] == 0xcc && dst[to + len] == 0xcc &&
              std::count(dst.data() + to + len, dst.data() + to + len + 64, u8{0xcc}) == 64;
    }
  require_none(m);
  REQUIRE(exact);

  auto in_place = bytes;
  REQUIRE(folded(csum_partial_copy(in_place.data(), in_place.data(), 1999, 0)) == oracle(bytes.data(), 1999));
  REQUIRE(in_place == bytes);
}

TEST_CASE("blocks add up at every split, odd ones included, and subtract again", "[checksum]") {
  auto const bytes = noise(600, 6);
  mismatch m;
  for (std::size_t len = 0; len <= 600; len += 37)
    for (std::size_t at = 0; at <= len; ++at) {
      u32 const first = csum_partial(bytes.data(), at, 0);
      u32 const second = csum_partial(bytes.data() + at, len - at, 0);
      u32 const both = csum_block_add(first, second, at);
      m.check(at, len, folded(both), oracle(bytes.data(), len));
      if (at > 0) m.check(at, len, folded(csum_block_sub(both, second, at)), folded(first));
    }
  require_none(m);
  REQUIRE(csum_sub(csum_add(0xfffffff0U, 0x20U), 0x20U) == 0xfffffff0U);
}

TEST_CASE("a sum is zero only over zeros, so the two zeros are told apart", "[checksum]") {
  std::vector<unsigned char> bytes(700, 0);
  bool told_apart = true;
  for (std::size_t len = 1; len <= 700; ++len) {
    told_apart = told_apart && csum_fold(csum_partial(bytes.data(), len, 0)) == sum16{u16{0xffff}};
    // ff ff anywhere is the other zero: the checksum over it is 0x0000.
    if (len >= 2) {
      std::size_t const at = (len / 2) & ~std::size_t{1};
      bytes[at == len ? at - 2 : at] = 0xff;
      std::size_t const next = (at == len ? at - 2 : at) + 1;
      if (next < len) {
        bytes[next] = 0xff;
        told_apart = told_apart && csum_fold(csum_partial(bytes.data(), len, 0)) == sum16{};
      }
      std::fill(bytes.begin(), bytes.end(), u8{0});
    }
  }
  REQUIRE(told_apart);
  REQUIRE(csum_fold(0) == sum16{u16{0xffff}});
  REQUIRE(csum_fold(0xffff) == sum16{});
  REQUIRE(csum_fold(0xffffffff) == sum16{});
  REQUIRE(csum_fold(0x00010000) == csum_fold(1));
  REQUIRE(csum_unfold(csum_mangled_0) == 0xffffU);
}

TEST_CASE("csum_fold is the 16-bit sum of its halves, complemented", "[checksum]") {
  std::mt19937 rng{7};
  bool equal = true;
  for (int i = 0; i < 1'000'000; ++i) {
    u32 const sum = static_cast<u32>(rng()) & (i % 3 == 0 ? 0xffff8001U : 0xffffffffU);
    u32 slow = (sum & 0xffffU) + (sum >> 16);
    slow = (slow & 0xffffU) + (slow >> 16);
    equal = equal && csum_fold(sum).raw() == static_cast<u16>(~slow);
  }
  REQUIRE(equal);
}

TEST_CASE("ip_fast_csum and ip_header_csum agree with the definition, with options and without", "[checksum]") {
  mismatch m;
  for (unsigned seed = 0; seed < 2000; ++seed)
    for (unsigned ihl = 5; ihl <= 15; ++ihl) {
      auto bytes = noise(61, seed * 16 + ihl);
      auto* p = bytes.data() + seed % 2;  // alignment 1: any address of a frame will do
      p[0] = static_cast<unsigned char>(0x40 | ihl);
      auto* iph = reinterpret_cast<iphdr*>(p);
      auto const want = static_cast<u16>(~oracle(p, ihl * std::size_t{4}));
      m.check(seed, ihl, host(ip_fast_csum(iph, ihl)), want);
      iph->check = {};
      iph->check = ip_fast_csum(iph, ihl);
      m.check(seed, ihl, host(ip_fast_csum(iph, ihl)), 0);
      if (ihl == 5) m.check(seed, ihl, host(ip_header_csum(*iph)), host(iph->check));
    }
  require_none(m);
}

TEST_CASE("the pseudo header is addresses, zero, protocol and length", "[checksum]") {
  std::mt19937 rng{8};
  mismatch m;
  for (int i = 0; i < 20000; ++i) {
    std::array<unsigned char, 12> pseudo{};
    for (std::size_t k = 0; k < 8; ++k) pseudo[k] = static_cast<unsigned char>(rng());
    pseudo[9] = static_cast<unsigned char>(i % 5 == 0 ? 255 : rng());
    u32 const len = i % 7 == 0 ? 65535 : rng() & 0xffffU;
    pseudo[10] = static_cast<unsigned char>(len >> 8);
    pseudo[11] = static_cast<unsigned char>(len);
    be32 saddr, daddr;
    std::memcpy(&saddr, pseudo.data(), 4);
    std::memcpy(&daddr, pseudo.data() + 4, 4);
    u32 const sum = i % 3 == 0 ? 0xffffffffU : static_cast<u32>(rng());
    u16 const want = oracle(pseudo.data(), pseudo.size(), folded(sum));
    m.check(0, len, folded(csum_tcpudp_nofold(saddr, daddr, len, pseudo[9], sum)), want);
    m.check(1, len, host(csum_tcpudp_magic(saddr, daddr, len, pseudo[9], sum)), static_cast<u16>(~want));
  }
  require_none(m);
}

TEST_CASE("an incremental update equals summing again, RFC 1624", "[checksum]") {
  // Every new value of a word, against old values and remainders that include both zeros.
  mismatch m;
  std::array<unsigned char, 8> data{0x45, 0x00, 0x12, 0x34, 0, 0, 0xab, 0xcd};
  auto const put = [&](std::size_t at, u16 v) {
    data[at] = static_cast<unsigned char>(v >> 8);
    data[at + 1] = static_cast<unsigned char>(v);
  };
  for (u16 const rest : {u16{0x0000}, u16{0x0001}, u16{0x55aa}, u16{0xba00}, u16{0xfffe}, u16{0xffff}})
    for (u16 const from : {u16{0}, u16{1}, u16{0x00ff}, u16{0x7fff}, u16{0x8000}, u16{0xfffe}, u16{0xffff}})
      for (u32 to = 0; to <= 0xffff; ++to) {
        put(2, rest), put(4, from);
        sum16 check = ip_compute_csum(data.data(), data.size());
        csum_replace2(check, be16{from}, be16{static_cast<u16>(to)});
        put(4, static_cast<u16>(to));
        m.check(from, to, host(check), static_cast<u16>(~oracle(data.data(), data.size())));
      }
  require_none(m);

  std::mt19937 rng{9};
  for (int i = 0; i < 200'000; ++i) {
    u32 const extremes[]{0, 0xffff, 0xffff0000, 0xffffffff};
    u32 const from = i % 11 == 0 ? extremes[rng() % 4] : static_cast<u32>(rng());
    u32 const to = i % 7 == 0 ? extremes[rng() % 4] : static_cast<u32>(rng());
    put(4, static_cast<u16>(from >> 16)), put(6, static_cast<u16>(from));
    sum16 check = ip_compute_csum(data.data(), data.size());
    csum_replace4(check, be32{from}, be32{to});
    put(4, static_cast<u16>(to >> 16)), put(6, static_cast<u16>(to));
    m.check(from, to, host(check), static_cast<u16>(~oracle(data.data(), data.size())));
  }
  require_none(m);
}

TEST_CASE("any single flipped bit is noticed", "[checksum]") {
  auto header = ping_header;
  for (std::size_t bit = 0; bit < header.size() * 8; ++bit) {
    header[bit / 8] = static_cast<unsigned char>(header[bit / 8] ^ (1U << bit % 8));
    REQUIRE(ip_compute_csum(header.data(), header.size()) != sum16{});
    header[bit / 8] = static_cast<unsigned char>(header[bit / 8] ^ (1U << bit % 8));
  }
}
