// SPDX-License-Identifier: BSL-1.0
// Fuzzes the replay of capture files: an input is one, pcap or pcapng, played to a host at full speed and again by its
// own times. What the host answers and what it rejects goes into files of ours, which must read back whole.
#include <sys/mman.h>
#include <sys/stat.h>

#include "fuzz/host.hpp"
#include "netstack/drivers/drop_capture.hpp"
#include "netstack/drivers/pcap.hpp"

namespace {

using namespace netstack;

struct host : stack<host, presets::host, fuzz::wire, drivers::pcap, drivers::drop_capture, fuzz::sizes> {};

/// A file that lies in memory.
class memory_file {
  int fd_ = ::memfd_create("fuzz", MFD_CLOEXEC);
  char path_[32];

 public:
  explicit memory_file(std::span<u8 const> content = {}) {
    fuzz::require(fd_ >= 0 && ::write(fd_, content.data(), content.size()) == static_cast<ssize_t>(content.size()),
                  "memory is to be had");
    std::snprintf(path_, sizeof path_, "/proc/self/fd/%d", fd_);
  }
  ~memory_file() { ::close(fd_); }
  memory_file(memory_file const&) = delete;
  memory_file& operator=(memory_file const&) = delete;
  [[nodiscard]] char const* path() const { return path_; }

  [[nodiscard]] fuzz::bytes content() const {
    struct stat facts {};
    fuzz::require(::fstat(fd_, &facts) == 0, "a file has a size");
    fuzz::bytes all(static_cast<std::size_t>(facts.st_size));
    fuzz::require(::pread(fd_, all.data(), all.size(), 0) == facts.st_size, "a file can be read");
    return all;
  }
};

/// How many frames libpcap reads from a file of ours; each must be whole.
u64 pcap_frames(memory_file const& written) {
  drivers::detail::pcap_handle file;
  fuzz::require(file.open_file(written.path(), nullptr).has_value(), "a file of ours can be opened");
  u64 n = 0;
  for (; file.more(); file.read_ahead(), ++n)
    fuzz::require(file.header().caplen <= file.header().len, "a record is sound");
  return n;
}

/// How many packets stand in a pcapng file, whose blocks say in front and behind how long they are. (libpcap reads
/// none in which both Ethernet and bare IP are described.)
u64 pcapng_packets(memory_file const& written) {
  fuzz::bytes const all = written.content();
  auto const word = [&](std::size_t at) {
    u32 w = 0;
    fuzz::require(at + sizeof w <= all.size(), "a block is whole");
    std::memcpy(&w, all.data() + at, sizeof w);
    return w;
  };
  u64 n = 0;
  for (std::size_t at = 0; at < all.size(); at += word(at + 4)) {
    u32 const length = word(at + 4);
    fuzz::require(length >= 12 && length % 4 == 0 && word(at + length - 4) == length, "a block has its length");
    n += word(at) == 6;  // an enhanced packet
  }
  return n;
}

void replay(std::span<u8 const> capture, drivers::pcap_speed speed) {
  memory_file const in(capture), answers, drops;
  fuzz::rig<host> rig;
  auto& net = rig.net();
  fuzz::require(drivers::drop_capture::start(net, drops.path()).has_value(), "drops can be kept");
  auto const made =
      register_netdev<drivers::pcap>(net, "cap0", {.file = in.path(), .dump = answers.path(), .speed = speed});
  if (made) {
    net_device& dev = **made;
    fuzz::require(dev_open(net, dev) && inet_addr_add(net, dev.ifindex, ipv4_cidr("203.0.113.1/24")),
                  "a replay starts");
    for (int i = 0; i < 100 && !drivers::pcap::finished(dev); ++i) rig.run_for(10'000'000);
    if (speed == drivers::pcap_speed::full) fuzz::require(drivers::pcap::finished(dev), "a replay ends");
    dev_close(net, dev);
    auto const [kept, missed] = netdev_priv<drivers::pcap>(dev).dump.counts();
    fuzz::require(missed == 0 && (kept == 0 || pcap_frames(answers) == kept), "answers are kept");
    unregister_netdev(net, dev);
  }
  drivers::drop_capture::flush(net);
  auto const [written, lost] = drivers::drop_capture::counts(net);
  fuzz::require(lost == 0 && pcapng_packets(drops) == written, "drops are kept");
  drivers::drop_capture::stop(net);
  rig.still_answers();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(u8 const* data, std::size_t size) {
  for (auto const speed : {drivers::pcap_speed::full, drivers::pcap_speed::recorded}) replay({data, size}, speed);
  return 0;
}
