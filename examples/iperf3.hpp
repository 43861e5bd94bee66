// SPDX-License-Identifier: BSL-1.0
// What the client of iperf3 talks to (port 5201): one test at a time over TCP, either way (-R) or both (--bidir), with
// up to 64 streams each way (-P). A control connection says what is wanted, the streams follow it, and all of them
// begin with the same cookie. What it cannot do (UDP, a second test beside the first) it refuses. There is one test at
// a time: who does not begin within ten seconds goes, and so does a test whose streams carry nothing for two minutes.
#pragma once
#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <iterator>
#include <string_view>

#include "tcp_server.hpp"

namespace services {

template <class Net>
class iperf3_session {
  static constexpr u32 cookie_size = 37, most_streams = 128, longest_text = 32768;
  static constexpr u64 patience = 10'000'000'000, silence = 120'000'000'000;  // ns
  // What is said on the control connection: a byte each.
  enum : char {
    test_start = 1,
    test_running = 2,
    test_end = 4,
    param_exchange = 9,
    create_streams = 10,
    exchange_results = 13,
    display_results = 14,
    iperf_done = 16,
    access_denied = -1
  };

 public:
  /// The test that is under way.
  struct shared {
    stream<Net>* control = nullptr;  ///< none: there is none
    u32 number = 0;                  ///< of the test
    char cookie[cookie_size]{};
    u32 wanted = 0, streams = 0;
    u32 ours = 0;  ///< from this stream on it is we who send
    u64 bytes[most_streams]{};
    u64 moved_at = 0;         ///< ns: when a stream last carried some
    char text[longest_text];  ///< what is said on its control connection
  };

  iperf3_session() = default;
  iperf3_session(iperf3_session const&) = delete;
  ~iperf3_session() {
    if (test_) test_->control = nullptr;
  }

  bool step(stream<Net>& io, shared& test) {
    u64 const now = io.net().worker().now;
    if (since_ == 0) since_ = now;
    if (!go_on(io, test)) return false;
    return has_begun() ? now - std::max(since_, test.moved_at) < silence : now - since_ < patience;
  }

 private:
  bool go_on(stream<Net>& io, shared& test) {
    for (;;) switch (phase_) {
        case phase::cookie:
          if (!read_cookie(io, test)) return !io.ended();
          break;
        case phase::stream: return move_bytes(io, test);
        case phase::params:
          if (!read_params(io, test)) return !io.ended();
          break;
        case phase::run: {
          char said;
          if (io.receive(&said, 1) == 0) return !io.ended();
          if (said == iperf_done || said != test_end) return false;
          if (!say(io, exchange_results)) return false;
          phase_ = phase::results;
          break;
        }
        case phase::results:
          if (read_text(io, test).empty()) return !io.ended();
          to_say_ = write_results(test), said_ = 0;
          phase_ = phase::answer;
          break;
        case phase::answer:  // a hundred streams may have left it little memory: the rest follows
          said_ += io.send(test.text + said_, to_say_ - said_);
          if (said_ != to_say_) return !io.ended();
          phase_ = phase::run;  // iperf_done
          break;
        default: return (void)io.discard(), !io.ended();
      }
  }

  enum class phase : u8 { cookie, stream, params, run, results, answer, denied };

  phase phase_ = phase::cookie;
  u32 number_ = 0, index_ = 0;  // of a stream: its test, its place there
  shared* test_ = nullptr;      // of the control connection
  u32 to_say_ = 0, said_ = 0;   // of test_'s text
  u64 since_ = 0;               // ns

  /// It is a stream, or has all of its test's.
  [[nodiscard]] bool has_begun() const {
    return phase_ == phase::stream || (test_ && test_->wanted != 0 && test_->streams == test_->wanted);
  }
  static bool say(stream<Net>& io, char what) { return io.send(&what, 1) == 1; }

  /// The first of a test is its control connection; the others must know its cookie.
  bool read_cookie(stream<Net>& io, shared& test) {
    char cookie[cookie_size];
    if (io.receive(cookie, sizeof cookie, msg::peek) < sizeof cookie) return false;
    (void)io.receive(cookie, sizeof cookie);
    if (!test.control) {
      test.control = &io, ++test.number;
      test.wanted = test.streams = test.ours = 0;
      std::fill(std::begin(test.bytes), std::end(test.bytes), 0);
      std::memcpy(test.cookie, cookie, sizeof cookie);
      test_ = &test;
      phase_ = phase::params;
      return say(io, param_exchange);
    }
    if (std::memcmp(cookie, test.cookie, sizeof cookie) != 0 || test.streams == test.wanted) {
      phase_ = phase::denied;
      (void)say(io, access_denied);
      io.end();
      return true;
    }
    phase_ = phase::stream;
    number_ = test.number;
    index_ = test.streams++;
    if (test.streams == test.wanted) (void)(say(*test.control, test_start) && say(*test.control, test_running));
    return true;
  }
  bool move_bytes(stream<Net>& io, shared& test) {
    bool const over = !test.control || test.number != number_;  // what is still on its way is not to be reset
    u64 const before = io.moved();
    if (index_ >= test.ours && !over) {
      static constexpr char zeros[32768]{};
      while (io.send(zeros, sizeof zeros) == sizeof zeros) continue;
    }
    (void)io.discard();
    if (u64 const moved = io.moved() - before; moved != 0 && !over)
      test.bytes[index_] += moved, test.moved_at = io.net().worker().now;
    return !io.ended();
  }
  /// JSON behind its length in four bytes; empty: it is not all there.
  std::string_view read_text(stream<Net>& io, shared& test) {
    char* const text = test.text;
    u32 const n = io.receive(text, longest_text, msg::peek);
    if (n < 4) return {};
    u32 size = 0;
    for (u32 i = 0; i < 4; ++i) size = size << 8 | static_cast<u8>(text[i]);
    if (size > longest_text - 4 || size + 4 > n) return {};
    (void)io.receive(text, size + 4);
    return {text + 4, size};
  }
  bool read_params(stream<Net>& io, shared& test) {
    auto const text = read_text(io, test);
    if (text.empty()) return false;
    auto const has = [&](char const* what) { return text.find(what) != text.npos; };
    u32 wanted = 1;
    bool const both = has("\"bidirectional\":true");
    constexpr std::string_view parallel = "\"parallel\":";
    if (auto const at = text.find(parallel); at != text.npos)
      (void)std::from_chars(text.data() + at + parallel.size(), text.data() + text.size(), wanted);
    wanted = std::min(wanted, most_streams + 1);
    test.ours = has("\"reverse\":true") ? 0 : wanted;
    test.wanted = both ? 2 * wanted : wanted;
    if (!has("\"tcp\":true") || wanted == 0 || test.wanted > most_streams) {
      phase_ = phase::denied;
      (void)say(io, access_denied);
      io.end();
      return true;
    }
    phase_ = phase::run;
    return say(io, create_streams);
  }
  /// The results, and that they are to be shown; how many bytes.
  u32 write_results(shared& test) {
    char* const json = test.text + 4;
    u32 n = 0;
    auto const add = [&](char const* format, auto first, auto... values) {
      n += static_cast<u32>(std::snprintf(json + n, longest_text - 4 - n, format, first, values...));
    };
    add("{\"cpu_util_total\":0,\"cpu_util_user\":0,\"cpu_util_system\":0,\"sender_has_retransmits\":%d,\"streams\":[",
        test.ours < test.wanted ? 0 : -1);
    for (u32 i = 0; i < test.wanted; ++i)  // iperf3 numbers its streams 1, 3, 4, 5 …
      add("%s{\"id\":%u,\"bytes\":%llu,\"retransmits\":0,\"jitter\":0,\"errors\":0,\"packets\":0,\"start_time\":0,"
          "\"end_time\":0}",
          i == 0 ? "" : ",", i == 0 ? 1 : i + 2, static_cast<unsigned long long>(test.bytes[i]));
    add("%s", "]}");
    for (u32 i = 0; i < 4; ++i) test.text[i] = static_cast<char>(n >> (24 - 8 * i));
    json[n] = display_results;
    return n + 5;
  }
};

}  // namespace services
