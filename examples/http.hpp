// SPDX-License-Identifier: BSL-1.0
// A small HTTP server (RFC 9110, RFC 9112): `/` is a page of the stack's own counters, sockets and drop reasons, and
// /bytes/N are N bytes that are always the same. GET and HEAD, connections that stay open, requests one after another
// without waiting. A request is read where the stack keeps it, so it needs no buffer here, and is at most 4,096 bytes
// long.
#pragma once
#include <cstdio>
#include <cstring>
#include <string_view>

#include "tcp_server.hpp"

namespace services {

/// Bytes [at, at + n) of /bytes/…: in words of eight, least byte first, word w is x ^ x >> 32 with x = (w + 1) *
/// 0x9e3779b97f4a7c15.
inline void fill_bytes(u64 at, std::span<u8> out) {
  auto const word = [](u64 w) {
    u64 const x = (w + 1) * 0x9e3779b97f4a7c15u;
    return x ^ x >> 32;
  };
  std::size_t i = 0;
  for (; i < out.size() && (at + i) % 8 != 0; ++i) out[i] = static_cast<u8>(word((at + i) / 8) >> (at + i) % 8 * 8);
  for (; i + 8 <= out.size(); i += 8) {
    u64 const w = word((at + i) / 8);
    std::memcpy(out.data() + i, &w, 8);
  }
  for (; i < out.size(); ++i) out[i] = static_cast<u8>(word((at + i) / 8) >> (at + i) % 8 * 8);
}

/// What a request asks for; status 0: it is not whole yet.
struct http_request {
  u16 status = 0;
  u32 length = 0;  ///< of the request, the empty line included
  bool head = false;
  bool keep_alive = false, close = false;
  bool content = false;  ///< something follows the request, which nobody will look at
  std::string_view path;
};

namespace detail {

inline bool same_word(std::string_view a, std::string_view b) {
  auto const lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [&](char x, char y) { return lower(x) == lower(y); });
}
inline std::string_view trimmed(std::string_view s) {
  while (!s.empty() && (s.front() == ' ' || s.front() == '\t')) s.remove_prefix(1);
  while (!s.empty() && (s.back() == ' ' || s.back() == '\t')) s.remove_suffix(1);
  return s;
}
/// Takes the first line off `text`, without its end; false: there is no whole one. RFC 9112 §2.2: LF alone will do.
inline bool take_line(std::string_view& text, std::string_view& line) {
  auto const end = text.find('\n');
  if (end == text.npos) return false;
  line = text.substr(0, end);
  if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
  text.remove_prefix(end + 1);
  return true;
}

/// RFC 9112 §3: the status that this request line deserves, 200 if it is good.
inline u16 read_request_line(std::string_view line, http_request& r, bool& http11) {
  auto const one = line.find(' '), two = line.rfind(' ');
  if (one == line.npos || one == two || one == 0) return 400;
  auto const method = line.substr(0, one), version = line.substr(two + 1);
  r.path = line.substr(one + 1, two - one - 1);
  if (version.size() != 8 || version.substr(0, 5) != "HTTP/" || version[6] != '.') return 400;
  if (version[5] != '1') return 505;
  // RFC 9112 §3.2.2: asked as a proxy would be; whoever is meant, it is here. What is asked for has no parameters.
  if (same_word(r.path.substr(0, 7), "http://")) {
    auto const slash = r.path.find('/', 7);
    r.path = slash == r.path.npos ? std::string_view{"/"} : r.path.substr(slash);
  }
  r.path = r.path.substr(0, r.path.find('?'));
  if (r.path.empty() || r.path[0] != '/' || r.path.find(' ') != r.path.npos) return 400;
  http11 = r.keep_alive = version[7] != '0';
  r.head = method == "HEAD";
  return r.head || method == "GET" ? 200 : 405;
}
/// RFC 9112 §5, §6.3: a field; what is not as it must be makes the status 400.
inline void read_field(std::string_view line, http_request& r, u32& hosts) {
  auto const colon = line.find(':');
  auto const name = line.substr(0, colon);
  if (colon == line.npos || name.empty() || name.find_first_of(" \t") != name.npos) {
    r.status = 400;
    return;
  }
  auto const value = trimmed(line.substr(colon + 1));
  if (same_word(name, "host")) ++hosts;
  if (same_word(name, "transfer-encoding") || (same_word(name, "content-length") && value != "0")) r.content = true;
  if (!same_word(name, "connection")) return;
  for (auto rest = value; !rest.empty(); rest.remove_prefix(std::min(rest.find(','), rest.size() - 1) + 1)) {
    auto const option = trimmed(rest.substr(0, rest.find(',')));
    if (same_word(option, "close")) r.close = true;
    if (same_word(option, "keep-alive")) r.keep_alive = true;
  }
}

}  // namespace detail

/// Reads the request at the front of `text`. What cannot be read, or could be taken for more than one, is not kept
/// alive.
inline http_request read_request(std::string_view text, bool full) {
  http_request r;
  std::string_view rest = text, line;
  bool http11 = false;
  u32 hosts = 0;
  u16 status = 0;
  while (detail::take_line(rest, line)) {
    if (status == 0 && line.empty()) continue;  // RFC 9112 §2.2: before the request
    if (status == 0) {
      status = r.status = detail::read_request_line(line, r, http11);
    } else if (!line.empty()) {
      detail::read_field(line, r, hosts);
    } else {
      r.length = static_cast<u32>(text.size() - rest.size());
      if (http11 && hosts != 1) r.status = 400;  // RFC 9112 §3.2
      if (r.content && r.status == 200) r.status = 400;
      if (r.close || r.content || (r.status != 200 && r.status != 405)) r.keep_alive = false;
      return r;
    }
  }
  r = {};
  r.length = static_cast<u32>(text.size());
  if (full) r.status = 431;
  return r;
}

template <class Net>
class http_session {
  static constexpr u32 longest_request = 4096;
  static constexpr std::array pages{"net/snmp",         "net/netstat",  "net/tcp",     "net/udp",
                                    "net/drop_reasons", "net/sockstat", "net/skb_pool"};
  enum class phase : u8 { none, request, head, bytes, page, drain };

  phase phase_ = phase::request, body_ = phase::none;
  bool keep_alive_ = false;
  u32 out_at_ = 0, out_end_ = 0;  // what of out_ is to be sent
  u64 at_ = 0, end_ = 0;          // of /bytes/N; of pages
  proc_file<Net> file_;
  char out_[1024];

  /// False: there is no room for all of it now.
  bool send_out(stream<Net>& io, u32 flags = 0) {
    if (out_at_ != out_end_) out_at_ += io.send(out_ + out_at_, out_end_ - out_at_, flags);
    return out_at_ == out_end_;
  }
  /// An answer is complete.
  void finish(stream<Net>& io) {
    phase_ = keep_alive_ ? phase::request : phase::drain;
    if (!keep_alive_) io.end();
  }
  void say(char const* text) { say("%s", text); }
  template <class First, class... Rest>
  void say(char const* format, First first, Rest... values) {
    out_end_ += static_cast<u32>(std::snprintf(out_ + out_end_, sizeof out_ - out_end_, format, first, values...));
  }

  /// /bytes/N: N; -1: it is another path.
  static s64 bytes_of(std::string_view path) {
    constexpr std::string_view prefix = "/bytes/";
    if (path.substr(0, prefix.size()) != prefix || path.size() == prefix.size() || path.size() > prefix.size() + 18)
      return -1;
    s64 n = 0;
    for (char c : path.substr(prefix.size())) {
      if (c < '0' || c > '9') return -1;
      n = n * 10 + (c - '0');
    }
    return n;
  }
  void answer(http_request const& r) {
    static constexpr struct {
      u16 status;
      char const* reason;
    } reasons[]{{200, "OK"},
                {400, "Bad Request"},
                {404, "Not Found"},
                {405, "Method Not Allowed"},
                {431, "Request Header Fields Too Large"},
                {505, "HTTP Version Not Supported"}};
    s64 const n = bytes_of(r.path);
    bool const page = r.path == "/";
    u16 const status = r.status == 200 && n < 0 && !page ? 404 : r.status;
    auto const* reason = reasons;
    while (reason->status != status) ++reason;
    keep_alive_ = r.keep_alive && (status != 200 || !page);  // the end of the connection is the end of the page
    out_at_ = out_end_ = 0;
    say("HTTP/1.1 %u %s\r\nServer: netstack\r\nConnection: %s\r\n", status, reason->reason,
        keep_alive_ ? "keep-alive" : "close");
    if (status == 405) say("Allow: GET, HEAD\r\n");
    body_ = phase::none;
    if (status != 200) {
      say("Content-Type: text/plain\r\nContent-Length: %zu\r\n\r\n", std::strlen(reason->reason) + 1);
      if (!r.head) say("%s\n", reason->reason);
    } else if (page) {
      say("Content-Type: text/plain\r\nCache-Control: no-store\r\n\r\n");
      body_ = phase::page, at_ = 0, end_ = pages.size(), file_ = {};
    } else {
      say("Content-Type: application/octet-stream\r\nContent-Length: %llu\r\n\r\n", static_cast<unsigned long long>(n));
      body_ = n != 0 ? phase::bytes : phase::none, at_ = 0, end_ = static_cast<u64>(n);
    }
    if (r.head) body_ = phase::none;
    phase_ = phase::head;
  }

  /// Each answers whether the phase is over; if not, it goes on when there is more room, or more to read.
  bool read(stream<Net>& io) {
    char text[longest_request];
    u32 const n = io.receive(text, sizeof text, msg::peek);
    if (n == 0) return false;
    auto request = read_request({text, n}, n == sizeof text);
    if (request.status == 0 && io.all_came()) request.status = 400;  // RFC 9112 §8: it will never be whole
    if (request.status == 0) return false;
    (void)io.receive(text, request.length, msg::trunc);
    answer(request);
    return true;
  }
  bool send_bytes(stream<Net>& io) {
    u8 chunk[16384];
    while (at_ < end_) {
      u32 const n = static_cast<u32>(std::min<u64>(sizeof chunk, end_ - at_));
      fill_bytes(at_, {chunk, n});
      u32 const sent = io.send(chunk, n, at_ + n < end_ ? msg::more : 0);
      at_ += sent;
      if (sent < n) return false;
    }
    return true;
  }
  bool send_page(stream<Net>& io) {
    for (;;) {
      if (!send_out(io)) return false;
      out_at_ = 0;
      out_end_ = static_cast<u32>(file_.read(io.net(), out_));
      if (out_end_ != 0) continue;
      if (at_ == end_) return true;
      char const* const name = pages[at_++];
      say("--- /proc/%s\n", name);
      if (auto file = proc_open(io.net(), name)) file_ = *file;
    }
  }

 public:
  struct shared {};
  bool step(stream<Net>& io, shared&) {
    for (;;) switch (phase_) {
        case phase::request:
          if (!read(io)) return !io.ended();
          break;
        case phase::head:
          if (!send_out(io, body_ == phase::none ? 0 : msg::more)) return true;
          body_ == phase::none ? finish(io) : void(phase_ = body_);
          break;
        case phase::bytes:
          if (!send_bytes(io)) return true;
          finish(io);
          break;
        case phase::page:
          if (!send_page(io)) return true;
          finish(io);
          break;
        default:  // RFC 9112 §9.6: what still comes must not reset the connection before all was read
          (void)io.discard();
          return !io.ended();
      }
  }
};

}  // namespace services
