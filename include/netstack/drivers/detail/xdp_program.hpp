// SPDX-License-Identifier: BSL-1.0
// Decides: which of an interface's frames come to the stack, by a program of our own that the kernel runs on each: a
// few instructions written down here, so nobody needs a BPF compiler. The first who claims a queue of the interface
// attaches it; those after, in this process or another, find it there and add their queue to its map. Each holds the
// attachment by a file descriptor, so it ends with the last of them, also of those that are killed.
// Linux: Documentation/bpf/instruction-set.rst, net/core/dev.c (bpf_xdp_link_attach), net/xdp/xskmap.c
#pragma once
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstring>
#include <string_view>

#include "netstack/base/bug.hpp"
#include "netstack/base/byteorder.hpp"
#include "netstack/base/result.hpp"
#include "netstack/wire/eth_p.hpp"
#include "netstack/wire/ipproto.hpp"

namespace netstack::drivers {

/// What comes to the stack; the kernel keeps the rest. Nothing set: everything comes.
struct xdp_filter {
  u16 ethertypes[4]{};  ///< frames of these types (untagged)
  u16 ports[8]{};       ///< UDP and TCP to these ports over IPv4 or IPv6; no fragments
  friend bool operator==(xdp_filter const&, xdp_filter const&) = default;
};

/// How the program is attached: in the interface's driver, or behind it, where Linux has made its packet already.
enum class xdp_mode : u8 { automatic, native, skb };

namespace detail {

/// The program as instructions: `missed` is the answer for a queue that nobody has.
class xdp_code {
  std::array<::bpf_insn, 128> code_{};
  u32 n_ = 0;
  u32 to_pass_[32];
  u32 to_take_[16];
  u32 passes_ = 0, takes_ = 0;

  enum reg : u8 { r0, r1, r2, r3, r4, r5, r6 };

  void emit(int code, u8 dst, u8 src, int off, s32 imm) {
    BUG_ON(n_ == code_.size(), "XDP program too long");
    ::bpf_insn& i = code_[n_++];
    i.code = static_cast<u8>(code);
    i.dst_reg = dst & 15u;
    i.src_reg = src & 15u;
    i.off = static_cast<std::int16_t>(off);
    i.imm = imm;
  }
  void mov(reg dst, reg src) { emit(BPF_ALU64 | BPF_MOV | BPF_X, dst, src, 0, 0); }
  void set(reg dst, s32 value) { emit(BPF_ALU64 | BPF_MOV | BPF_K, dst, 0, 0, value); }
  void load(int size, reg dst, reg base, int off) { emit(BPF_LDX | BPF_MEM | size, dst, base, off, 0); }
  void pass_if(int condition, reg a, s32 value) {
    to_pass_[passes_++] = n_;
    emit(BPF_JMP | BPF_K | condition, a, 0, 0, value);
  }
  /// Frames with fewer than `size` bytes behind `base` are passed.
  void need(reg base, s32 size) {
    mov(r4, base);
    emit(BPF_ALU64 | BPF_ADD | BPF_K, r4, 0, 0, size);
    to_pass_[passes_++] = n_;
    emit(BPF_JMP | BPF_JGT | BPF_X, r4, r3, 0, 0);
  }
  void take_if(reg a, u16 value) {
    to_take_[takes_++] = n_;
    emit(BPF_JMP | BPF_JEQ | BPF_K, a, 0, 0, on_wire(value));
  }
  void land(u32 jump) { code_[jump].off = static_cast<std::int16_t>(n_ - jump - 1); }
  /// As a 16-bit load sees it.
  static s32 on_wire(u16 value) { return be16{value}.raw(); }

  void take(int map, u32 missed) {
    load(BPF_W, r2, r6, 16);  // xdp_md.rx_queue_index
    emit(BPF_LD | BPF_DW | BPF_IMM, r1, BPF_PSEUDO_MAP_FD, 0, map);
    emit(0, 0, 0, 0, 0);
    set(r3, static_cast<s32>(missed));
    emit(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_redirect_map);
    emit(BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
  }
  /// r2: the frame. Leaves r2 at the transport header, or passes.
  void find_ports() {
    u32 const not_ipv4 = n_;
    emit(BPF_JMP | BPF_JNE | BPF_K, r5, 0, 0, on_wire(eth_p::ip));
    need(r2, 34);
    load(BPF_H, r0, r2, 20);
    emit(BPF_ALU64 | BPF_AND | BPF_K, r0, 0, 0, on_wire(0x3fff));  // RFC 791: more fragments, or an offset
    pass_if(BPF_JNE, r0, 0);
    load(BPF_B, r1, r2, 23);
    load(BPF_B, r0, r2, 14);
    emit(BPF_ALU64 | BPF_AND | BPF_K, r0, 0, 0, 15);
    emit(BPF_ALU64 | BPF_LSH | BPF_K, r0, 0, 0, 2);
    emit(BPF_ALU64 | BPF_ADD | BPF_K, r2, 0, 0, 14);
    emit(BPF_ALU64 | BPF_ADD | BPF_X, r2, r0, 0, 0);
    u32 const found = n_;
    emit(BPF_JMP | BPF_JA, 0, 0, 0, 0);
    land(not_ipv4);
    pass_if(BPF_JNE, r5, on_wire(eth_p::ipv6));
    need(r2, 58);
    load(BPF_B, r1, r2, 20);
    emit(BPF_ALU64 | BPF_ADD | BPF_K, r2, 0, 0, 54);
    land(found);
    need(r2, 4);
    emit(BPF_JMP | BPF_JEQ | BPF_K, r1, 0, 1, ipproto::udp);
    pass_if(BPF_JNE, r1, ipproto::tcp);
  }

 public:
  xdp_code(xdp_filter const& filter, int map, u32 missed) {
    mov(r6, r1);
    if (filter != xdp_filter{}) select(filter);
    for (u32 i = 0; i < takes_; ++i) land(to_take_[i]);
    take(map, missed);
  }
  [[nodiscard]] ::bpf_insn const* data() const { return code_.data(); }
  [[nodiscard]] std::size_t size() const { return n_; }

  /// The program's file descriptor, or negative.
  [[nodiscard]] int load_program(char const* name, bool frags) const {
    ::bpf_prog_load_opts options{};
    options.sz = sizeof options;
    options.expected_attach_type = BPF_XDP;
    options.prog_flags = frags ? 1u << 5 : 0;  // BPF_F_XDP_HAS_FRAGS: takes frames of several pieces
    return ::bpf_prog_load(BPF_PROG_TYPE_XDP, name, "Dual BSD/GPL", data(), size(), &options);
  }

 private:
  /// Passes what the filter does not name; the jumps of what it names are left to land.
  void select(xdp_filter const& filter) {
    load(BPF_W, r2, r6, 0);  // xdp_md.data
    load(BPF_W, r3, r6, 4);  // xdp_md.data_end
    need(r2, 14);
    load(BPF_H, r5, r2, 12);
    for (u16 type : filter.ethertypes)
      if (type != 0) take_if(r5, type);
    bool ports = false;
    for (u16 port : filter.ports) {
      if (port == 0) continue;
      if (!std::exchange(ports, true)) {
        find_ports();
        load(BPF_H, r5, r2, 2);
      }
      take_if(r5, port);
    }
    for (u32 i = 0; i < passes_; ++i) land(to_pass_[i]);
    set(r0, XDP_PASS);
    emit(BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
  }
};

}  // namespace detail
}  // namespace netstack::drivers
