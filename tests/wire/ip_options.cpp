// SPDX-License-Identifier: BSL-1.0
// Proves wire/ip_options.hpp: options that Linux wrote, every malformed length and pointer, duplicates, and that no
// input whatever leads outside its block (Ripple20, URGENT/11, AMNESIA:33 are families of such bugs).
#include "netstack/wire/ip_options.hpp"

#include <initializer_list>
#include <random>
#include <vector>

#include "netstack/wire/ethernet.hpp"
#include "support/captures.hpp"
#include "support/frame.hpp"

using namespace netstack;

namespace {

constexpr std::size_t options_at = eth_hlen + ip_hlen_min;

struct verdict {
  ip_options opt;
  u8 error;
};
template <std::size_t N>
constexpr verdict parse(std::array<unsigned char, N> const& block) {
  verdict v{};
  v.error = parse_ip_options(v.opt, block.data(), N);
  return v;
}
/// The RFC 792 pointer for a block.
template <class... Bytes>
constexpr int error_of(Bytes... bytes) {
  return parse(support::frame_of(bytes...)).error;
}
template <std::size_t N>
constexpr verdict parse_frame(std::array<unsigned char, N> const& frame) {
  verdict v{};
  std::size_t const len = std::size_t{frame[eth_hlen] & 0x0fU} * 4 - ip_hlen_min;
  v.error = parse_ip_options(v.opt, frame.data() + options_at, len);
  return v;
}

constexpr verdict recorded = parse_frame(support::icmp_record_route);
constexpr verdict stamped = parse_frame(support::icmp_timestamps);
constexpr verdict joined = parse_frame(support::igmpv3_join);

/// How many options a block has, and how many bytes they take.
template <class... Bytes>
constexpr std::array<unsigned, 2> walk(Bytes... bytes) {
  auto const block = support::frame_of(bytes...);
  std::array<unsigned, 2> seen{};
  ip_option_parser parser{block.data(), block.size()};
  while (auto const* option = parser.next()) seen[0] += 1, seen[1] += option->length;
  return seen;
}
using count = std::array<unsigned, 2>;

}  // namespace

TEST_CASE("options that Linux wrote are found", "[ip_options]") {
  CHECK_BOTH(recorded.error == 0 && recorded.opt.rr == 20 && recorded.opt.srr == 0 && recorded.opt.optlen == 40);
  CHECK_BOTH(stamped.error == 0 && stamped.opt.ts == 20 && stamped.opt.rr == 0);
  CHECK_BOTH(joined.error == 0 && joined.opt.router_alert == 20 && joined.opt.optlen == 4);
}

TEST_CASE("the walk gives kind, length, place and data", "[ip_options]") {
  auto const block = support::frame_of(1, 1, ipopt::rr, 7, 4, 0, 0, 0, 0, 1, 222, 2, 0, 99);
  ip_option_parser parser{block.data(), block.size()};
  auto const* rr = parser.next();
  REQUIRE(rr != nullptr);
  CHECK((rr->kind == ipopt::rr && rr->length == 7 && rr->at == 22 && rr->data == block.data() + 4));
  auto const* unknown = parser.next();
  REQUIRE(unknown != nullptr);
  CHECK((unknown->kind == 222 && unknown->length == 2 && unknown->at == 30));
  CHECK(parser.next() == nullptr);
  CHECK(parser.error() == 0);
  CHECK(parser.next() == nullptr);
}

TEST_CASE("no-ops are stepped over and an end of list ends the walk", "[ip_options]") {
  CHECK_BOTH(walk(1, 1, 1, 1) == count{0, 0} && error_of(1, 1, 1, 1) == 0);
  CHECK_BOTH(walk(0, 7, 0, 0) == count{0, 0} && error_of(0, 7, 0, 0) == 0);
  CHECK_BOTH(walk(222, 2, 0, 131) == count{1, 2} && error_of(222, 2, 0, 131) == 0);
  CHECK_BOTH(walk(222, 4, 9, 9, 1, 222, 3, 9) == count{2, 7});
  CHECK_BOTH(parse(std::array<unsigned char, 0>{}).error == 0);
}

TEST_CASE("a length below 2 or beyond the header points at its option", "[ip_options]") {
  CHECK_BOTH(error_of(131, 0, 4, 0) == 20);
  CHECK_BOTH(error_of(131, 1, 4, 0) == 20);
  CHECK_BOTH(error_of(131, 5, 4, 0) == 20);
  CHECK_BOTH(error_of(131, 255, 4, 0) == 20);
  CHECK_BOTH(error_of(1, 222, 0, 0) == 21);
  CHECK_BOTH(error_of(222, 4, 0, 0, 222, 5, 0, 0) == 24);
  CHECK_BOTH(error_of(1, 1, 1, 222) == 23);  // the kind is the header's last byte: no length at all
  CHECK_BOTH(error_of(222, 4, 0, 0) == 0);   // exactly to the end
}

TEST_CASE("a route needs its pointer, and whole slots", "[ip_options]") {
  for (auto const kind : {ipopt::lsrr, ipopt::ssrr, ipopt::rr}) {
    CHECK(error_of(kind, 2, 0, 0) == 21);              // no room for the pointer
    CHECK(error_of(kind, 7, 3, 1, 1, 1, 1, 0) == 22);  // points at itself
    CHECK(error_of(kind, 7, 0, 1, 1, 1, 1, 0) == 22);
    CHECK(error_of(kind, 7, 4, 1, 1, 1, 1, 0) == 0);
    CHECK(error_of(kind, 7, 5, 1, 1, 1, 1, 0) == 22);  // three bytes left for four
    CHECK(error_of(kind, 7, 7, 1, 1, 1, 1, 0) == 22);
    CHECK(error_of(kind, 7, 8, 1, 1, 1, 1, 0) == 0);  // used up
    CHECK(error_of(kind, 7, 255, 1, 1, 1, 1, 0) == 0);
    CHECK(error_of(kind, 3, 4, 0) == 0);  // no slot at all
  }
  CHECK_BOTH(parse(support::frame_of(ipopt::ssrr, 3, 4, 0)).opt.is_strictroute);
  CHECK_BOTH(!parse(support::frame_of(ipopt::lsrr, 3, 4, 0)).opt.is_strictroute);
  CHECK_BOTH(parse(support::frame_of(1, ipopt::lsrr, 3, 4)).opt.srr == 21);
}

TEST_CASE("a second source route is an error at its place", "[ip_options]") {
  CHECK_BOTH(error_of(131, 3, 4, 131, 3, 4, 0, 0) == 23);
  CHECK_BOTH(error_of(131, 3, 4, 137, 3, 4, 0, 0) == 23);
  CHECK_BOTH(error_of(137, 3, 4, 1, 131, 3, 4, 0) == 24);
  CHECK_BOTH(error_of(7, 3, 4, 7, 3, 4, 0, 0) == 23);
  CHECK_BOTH(error_of(68, 4, 5, 0, 68, 4, 5, 0) == 24);
  CHECK_BOTH(error_of(134, 4, 0, 0, 134, 4, 0, 0) == 24);
  CHECK_BOTH(error_of(131, 3, 4, 7, 3, 4, 0, 0) == 0);
}

TEST_CASE("a timestamp option's pointer, flag and overflow count are checked", "[ip_options]") {
  CHECK_BOTH(error_of(68, 3, 5, 0) == 21);
  CHECK_BOTH(error_of(68, 8, 4, 0, 0, 0, 0, 0) == 22);
  CHECK_BOTH(error_of(68, 8, 5, 0, 0, 0, 0, 0) == 0);
  CHECK_BOTH(error_of(68, 8, 6, 0, 0, 0, 0, 0) == 22);
  CHECK_BOTH(error_of(68, 8, 5, 1, 0, 0, 0, 0) == 22);  // an address and a time need eight
  CHECK_BOTH(error_of(68, 12, 5, 1, 0, 0, 0, 0, 0, 0, 0, 0) == 0);
  CHECK_BOTH(error_of(68, 12, 5, 3, 0, 0, 0, 0, 0, 0, 0, 0) == 0);
  CHECK_BOTH(error_of(68, 12, 5, 2, 0, 0, 0, 0, 0, 0, 0, 0) == 23);
  CHECK_BOTH(error_of(68, 8, 9, 0xe0, 0, 0, 0, 0) == 0);   // full: 14 hosts had no room
  CHECK_BOTH(error_of(68, 8, 9, 0xf0, 0, 0, 0, 0) == 23);  // full, and the count is full too
}

TEST_CASE("a router alert counts only with value 0", "[ip_options]") {
  CHECK_BOTH(parse(support::frame_of(148, 4, 0, 0)).opt.router_alert == 20);
  CHECK_BOTH(parse(support::frame_of(148, 4, 0, 1)).opt.router_alert == 0);
  CHECK_BOTH(error_of(148, 4, 0, 1) == 0);
  CHECK_BOTH(error_of(148, 3, 0, 0) == 21);
}

TEST_CASE("no input leads outside its block", "[ip_options][Ripple20][URGENT11]") {
  std::mt19937 rng{1};
  unsigned char const kinds[]{0, 1, 7, 68, 130, 131, 134, 136, 137, 148, 222};
  unsigned accepted = 0, refused = 0;
  for (int i = 0; i < 300'000; ++i) {
    std::vector<unsigned char> block(rng() % 11 * 4);  // exact size: a sanitizer sees the first byte too many
    for (auto& b : block) b = static_cast<unsigned char>(rng() % 3 ? rng() % 12 : rng());
    for (std::size_t at = 0; at < block.size(); at += 1 + rng() % 8) block[at] = kinds[rng() % std::size(kinds)];
    ip_option_parser parser{block.data(), block.size()};
    std::size_t end = 0;
    while (auto const* option = parser.next()) {
      std::size_t const at = option->at - ip_hlen_min;
      REQUIRE(at >= end);
      end = at + option->length;
      REQUIRE((option->length >= 2 && end <= block.size() && option->data == block.data() + at + 2));
    }
    ip_options opt;
    u8 const error = parse_ip_options(opt, block.data(), block.size());
    error ? ++refused : ++accepted;
    if (error) REQUIRE((error >= ip_hlen_min && error < ip_hlen_min + block.size()));
    if (parser.error()) REQUIRE(error != 0);
    // What a consumer relies on: a noted route or timestamp has its whole next slot inside, or none.
    for (u8 const noted : {opt.srr, opt.rr})
      if (!error && noted) {
        auto const* o = block.data() + (noted - ip_hlen_min);
        REQUIRE((o[1] >= 3 && o[2] >= 4 && (o[2] > o[1] || o[2] + 3 <= o[1])));
      }
  }
  CHECK(accepted > 1000);
  CHECK(refused > 1000);
}
