// SPDX-License-Identifier: BSL-1.0
// Decides: in which format a device's capture is written: pcapng where the file's name ends so, else pcap; both with
// nanosecond times. Called by drivers/pcap for what the stack sends.
#pragma once
#include <string_view>
#include <variant>

#include "netstack/drivers/detail/pcap_file.hpp"
#include "netstack/drivers/detail/pcapng_file.hpp"

namespace netstack::drivers::detail {

class capture_file {
  std::variant<std::monostate, pcap_file, pcapng_file> file_;
  bool ether_ = false;

 public:
  [[nodiscard]] bool is_open() const { return file_.index() != 0; }
  /// Ethernet frames, or bare IP packets. Errors: the kernel's.
  result<void> open(char const* path, bool ether) {
    ether_ = ether;
    auto const r =
        std::string_view(path).ends_with(".pcapng")
            ? file_.emplace<pcapng_file>().open(path, pcapng_file::snaplen_max)
            : file_.emplace<pcap_file>().open(path, ether ? pcap_file::linktype_ethernet : pcap_file::linktype_raw,
                                              pcap_file::snaplen_max, true);
    if (!r) close();
    return r;
  }
  void add(u64 now_real, sk_buff const& skb) {
    if (auto* const classic = std::get_if<pcap_file>(&file_))
      classic->add(now_real, skb, 0);
    else if (auto* const ng = std::get_if<pcapng_file>(&file_))
      ng->add(now_real, ether_ ? pcapng_file::link::ethernet : pcapng_file::link::raw_ip, skb, 0, {});
  }
  void flush() {
    if (auto* const classic = std::get_if<pcap_file>(&file_)) classic->flush();
    if (auto* const ng = std::get_if<pcapng_file>(&file_)) ng->flush();
  }
  void close() { file_.emplace<std::monostate>(); }
  /// Records that are in the file, and that could not be written.
  [[nodiscard]] std::pair<u64, u64> counts() const {
    if (auto* const classic = std::get_if<pcap_file>(&file_)) return {classic->written, classic->lost};
    if (auto* const ng = std::get_if<pcapng_file>(&file_)) return {ng->written, ng->lost};
    return {};
  }
};

}  // namespace netstack::drivers::detail
