// SPDX-License-Identifier: BSL-1.0
// Proves wire/tcp_options.hpp: a captured SYN of Linux, every option alone and together, written and read back, and
// that no input leads outside its block (AMNESIA:33, Ripple20: kinds cut short, lengths of zero, blocks that do not
// fit).
#include "netstack/wire/tcp_options.hpp"

#include <algorithm>
#include <random>
#include <tuple>
#include <vector>

#include "netstack/wire/ethernet.hpp"
#include "netstack/wire/ip.hpp"
#include "support/captures.hpp"
#include "support/frame.hpp"

using namespace netstack;

namespace {

struct outcome {
  tcp_options_received rx;
  bool ok;
};
template <std::size_t N>
constexpr outcome parse(std::array<unsigned char, N> const& block, bool syn) {
  outcome o{};
  o.ok = tcp_parse_options(o.rx, block.data(), N, syn);
  return o;
}
template <class... Bytes>
constexpr outcome in_syn(Bytes... bytes) {
  return parse(support::frame_of(bytes...), true);
}
template <class... Bytes>
constexpr outcome in_data(Bytes... bytes) {
  return parse(support::frame_of(bytes...), false);
}
constexpr auto linux_block = [] {
  std::array<unsigned char, 20> block{};
  for (std::size_t i = 0; i < block.size(); ++i)
    block[i] = support::tcp_syn.at(eth_hlen + ip_hlen_min + tcp_hlen_min + i);
  return block;
}();
constexpr outcome recorded = parse(linux_block, true);
constexpr auto as_linux = [] {
  std::array<unsigned char, 20> block{};
  tcp_options_write(block.data(), {.tsval = recorded.rx.rcv_tsval,
                                   .mss = 1460,
                                   .wscale = recorded.rx.snd_wscale,
                                   .tstamp = true,
                                   .wscale_ok = true,
                                   .sack_ok = true});
  return block;
}();

/// Written, and read back.
constexpr tcp_options_received round_trip(tcp_out_options const& opts, bool syn) {
  std::array<unsigned char, tcpopt::max_len> block{};
  tcp_options_write(block.data(), opts);
  tcp_options_received rx{};
  if (!tcp_parse_options(rx, block.data(), opts.size(), syn)) rx.mss = 0xdead;
  return rx;
}
constexpr tcp_out_options syn_options{
    .tsval = 7, .mss = 1460, .wscale = 7, .tstamp = true, .wscale_ok = true, .sack_ok = true};
constexpr tcp_out_options three_sacks{
    .tsval = 1, .tsecr = 2, .tstamp = true, .num_sacks = 3, .sacks = {{{10, 20}, {30, 40}, {50, 60}}}};
constexpr tcp_out_options four_sacks{.num_sacks = 4, .sacks = {{{1, 2}, {3, 4}, {5, 6}, {0xffffffff, 7}}}};
constexpr tcp_out_options cookie{.fastopen_len = 8, .fastopen = true, .cookie = {{1, 2, 3, 4, 5, 6, 7, 8}}};

}  // namespace

TEST_CASE("the options of Linux's SYN are read", "[tcp_options]") {
  CHECK_BOTH(recorded.ok && recorded.rx.mss == 1460 && recorded.rx.sack_ok && recorded.rx.saw_tstamp);
  CHECK_BOTH(recorded.rx.wscale_ok && recorded.rx.snd_wscale == 10 && recorded.rx.rcv_tsecr == 0);
  CHECK_BOTH(as_linux == linux_block);
  CHECK_BOTH(recorded.rx.rcv_tsval != 0 && !recorded.rx.fastopen && recorded.rx.num_sacks == 0);
}

TEST_CASE("what is written is read back, laid out on words", "[tcp_options][MUST-68]") {
  CHECK_BOTH(syn_options.size() == 20 && three_sacks.size() == 40 && four_sacks.size() == 36 && cookie.size() == 12);
  CHECK_BOTH(tcp_out_options{}.size() == 0 && tcp_out_options{.sack_ok = true}.size() == 4);
  constexpr auto syn = round_trip(syn_options, true);
  CHECK_BOTH(syn.mss == 1460 && syn.sack_ok && syn.saw_tstamp && syn.rcv_tsval == 7 && syn.snd_wscale == 7);
  constexpr auto sacks = round_trip(three_sacks, false);
  CHECK_BOTH(sacks.num_sacks == 3 && sacks.sacks == three_sacks.sacks && sacks.rcv_tsval == 1 && sacks.rcv_tsecr == 2);
  constexpr auto four = round_trip(four_sacks, false);
  CHECK_BOTH(four.num_sacks == 4 && four.sacks == four_sacks.sacks && !four.saw_tstamp);
  constexpr auto fast = round_trip(cookie, true);
  CHECK_BOTH(fast.fastopen && fast.fastopen_len == 8 && fast.cookie == cookie.cookie);
  constexpr auto timeout = round_trip({.user_timeout = 0x8005}, false);
  CHECK_BOTH(timeout.user_timeout == 0x8005);
}

TEST_CASE("the layout that nearly every segment has is found at once, and byte for byte", "[tcp_options]") {
  constexpr auto rx = in_data(1, 1, 8, 10, 0, 0, 1, 2, 0xff, 0xfe, 0xfd, 0xfc);
  CHECK_BOTH(rx.ok && rx.rx.saw_tstamp && rx.rx.rcv_tsval == 0x102 && rx.rx.rcv_tsecr == 0xfffefdfc);
}

TEST_CASE("the layout that nearly every SYN has says what its options say one by one", "[tcp_options]") {
  auto const said = [](outcome const& o) {
    return std::tuple{o.ok,
                      o.rx.rcv_tsval,
                      o.rx.rcv_tsecr,
                      o.rx.mss,
                      o.rx.user_timeout,
                      o.rx.snd_wscale,
                      o.rx.saw_tstamp,
                      o.rx.wscale_ok,
                      o.rx.sack_ok,
                      o.rx.num_sacks,
                      o.rx.fastopen,
                      o.rx.fastopen_len};
  };
  for (std::size_t at = 0; at < linux_block.size(); ++at)
    for (u32 value = 0; value < 256; ++value) {
      auto block = linux_block;
      block[at] = static_cast<unsigned char>(value);
      std::array<unsigned char, 24> behind_nops{1, 1, 1, 1};  // so that it is read option by option
      std::copy(block.begin(), block.end(), behind_nops.begin() + 4);
      INFO(at << ": " << value);
      REQUIRE(said(parse(block, true)) == said(parse(behind_nops, true)));
    }
}

TEST_CASE("options that only a SYN may carry are passed over elsewhere, and the other way round", "[tcp_options]") {
  constexpr auto data = in_data(2, 4, 5, 180, 4, 2, 3, 3, 9, 34, 2, 1);
  CHECK_BOTH(data.ok && data.rx.mss == 0 && !data.rx.sack_ok && !data.rx.wscale_ok && !data.rx.fastopen);
  constexpr auto syn = in_syn(5, 10, 0, 0, 0, 1, 0, 0, 0, 2);
  CHECK_BOTH(syn.ok && syn.rx.num_sacks == 0);
}

TEST_CASE("unknown options are stepped over and an end of list ends the walk", "[tcp_options][MUST-4]") {
  constexpr auto unknown = in_syn(253, 4, 1, 2, 2, 4, 2, 24, 1, 1, 200, 2);
  CHECK_BOTH(unknown.ok && unknown.rx.mss == 536);
  constexpr auto ended = in_syn(0, 2, 4, 5, 180);
  CHECK_BOTH(ended.ok && ended.rx.mss == 0);
}

TEST_CASE("a shift of more than 14 is taken for 14", "[tcp_options]") {
  CHECK_BOTH(in_syn(3, 3, 15).rx.snd_wscale == 14 && in_syn(3, 3, 255).rx.snd_wscale == 14);
  CHECK_BOTH(in_syn(3, 3, 14).rx.snd_wscale == 14 && in_syn(3, 3, 0).rx.wscale_ok);
}

TEST_CASE("a length that cannot be ends the reading; what stood before counts", "[tcp_options][AMNESIA:33]") {
  constexpr auto zero = in_syn(2, 4, 5, 180, 3, 0, 7);
  CHECK_BOTH(!zero.ok && zero.rx.mss == 1460 && !zero.rx.wscale_ok);
  CHECK_BOTH(!in_syn(2, 0, 5, 180).ok && !in_syn(2, 1, 5, 180).ok && !in_syn(2, 255, 5, 180).ok);
  CHECK_BOTH(!in_syn(1, 1, 3).ok);            // cut at the header's end
  CHECK_BOTH(!in_syn(3, 3).ok);               // its value is not there
  CHECK_BOTH(!in_syn(1, 8, 10, 0, 0, 0).ok);  // half a timestamp
}

TEST_CASE("an option of the wrong size says nothing", "[tcp_options][AMNESIA:33]") {
  constexpr auto wrong = in_syn(2, 3, 9, 3, 4, 1, 2, 4, 3, 1, 8, 4, 1, 2, 28, 3, 1, 2, 4, 2, 24);
  CHECK_BOTH(wrong.ok && wrong.rx.mss == 536 && !wrong.rx.wscale_ok && !wrong.rx.sack_ok && !wrong.rx.saw_tstamp);
  CHECK_BOTH(wrong.rx.user_timeout == 0);
  CHECK_BOTH(!in_syn(34, 3, 1).rx.fastopen && !in_syn(34, 5, 1, 2, 3).rx.fastopen);
  CHECK_BOTH(!in_syn(34, 7, 1, 2, 3, 4, 5).rx.fastopen && in_syn(34, 6, 1, 2, 3, 4).rx.fastopen_len == 4);
}

TEST_CASE("a SACK option that is cut short gives no block", "[tcp_options][Ripple20]") {
  CHECK_BOTH(in_data(5, 2).rx.num_sacks == 0 && in_data(5, 2).ok);
  CHECK_BOTH(in_data(5, 6, 0, 0, 0, 1).rx.num_sacks == 0);
  CHECK_BOTH(in_data(5, 14, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3).rx.num_sacks == 0);
  CHECK_BOTH(!in_data(5, 10, 0, 0, 0, 1, 0, 0).ok);  // reaches beyond the header
  constexpr auto whole = in_data(5, 10, 0, 0, 0, 1, 0, 0, 0, 2);
  CHECK_BOTH(whole.rx.num_sacks == 1 && whole.rx.sacks[0] == tcp_sack_block{1, 2});
}

TEST_CASE("no input leads outside its block", "[tcp_options][AMNESIA:33]") {
  std::mt19937 random(1);
  u32 malformed = 0;
  for (u32 round = 0; round < 200'000; ++round) {
    std::size_t const len = random() % 41;
    std::vector<unsigned char> block(len);  // of exactly this size, so that a sanitizer sees a step beyond it
    for (auto& b : block) b = static_cast<unsigned char>(random() % 3 ? random() % 12 : random());
    tcp_options_received rx;
    malformed += !tcp_parse_options(rx, block.data(), len, round & 1);
    if (rx.num_sacks > 4 || rx.snd_wscale > 14 || rx.fastopen_len > 16) FAIL("beyond its bound");
  }
  CHECK(malformed > 1000);
}
