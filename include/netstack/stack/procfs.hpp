// SPDX-License-Identifier: BSL-1.0
// Decides: how a text under /proc/net is read: in pieces of any size, whose concatenation is the full text. A reader
// (proc_file) keeps a cursor and one record, so a call does work in proportion to what it returns, and records may come
// and go between calls. The caller's namespace decides what is seen. Lists (devices, routes, neighbours, sockets) are
// those of the net's worker; counters are sums over all workers. [S170] [S183]
// Linux: fs/seq_file.c (seq_read_iter), fs/proc/generic.c, fs/proc/proc_net.c
#pragma once
#include "netstack/base/result.hpp"
#include "netstack/stack/net.hpp"

namespace netstack {

/// An open text. Holds no pointer into any table: it may be kept as long as the namespace lives.
template <class Net>
class proc_file {
  proc_entry<Net> const* entry_ = nullptr;
  seq_cursor at_{};
  bool header_ = true;  ///< the header is what is being read
  u32 begin_ = 0;       ///< of what is not yet read of the header or the record
  u32 end_ = 0;
  char record_[seq_record_max];

  /// Fetches the next record; false at the end of the text, for now: what is added later is found by a later call.
  bool next(Net& net) {
    seq_file m{record_};
    header_ = false;
    if (!entry_ || !entry_->show(net, m, at_)) return false;
    begin_ = 0;
    end_ = static_cast<u32>(m.count());
    return true;
  }

 public:
  proc_file() = default;  ///< an empty text
  explicit proc_file(proc_entry<Net> const& entry)
      : entry_(&entry), end_(static_cast<u32>(std::string_view(entry.header).size())) {}

  /// Up to out.size() further bytes of the text; 0: the end. `net` is the same in every call.
  std::size_t read(Net& net, std::span<char> out) {
    std::size_t n = 0;
    while (n < out.size()) {
      if (begin_ == end_ && !next(net)) break;
      std::size_t const chunk = std::min<std::size_t>(end_ - begin_, out.size() - n);
      std::memcpy(out.data() + n, (header_ ? entry_->header : record_) + begin_, chunk);
      begin_ += static_cast<u32>(chunk);
      n += chunk;
    }
    return n;
  }

  /// Goes on by up to n bytes; by how many.
  std::size_t skip(Net& net, std::size_t n) {
    std::size_t left = n;
    while (left > 0) {
      if (begin_ == end_ && !next(net)) break;
      std::size_t const chunk = std::min<std::size_t>(end_ - begin_, left);
      begin_ += static_cast<u32>(chunk);
      left -= chunk;
    }
    return n - left;
  }
};

/// Opens "net/udp". Error: no_such_file_or_directory. The entries there are: Net::proc_entries, by name.
template <class Net>
result<proc_file<Net>> proc_open(Net&, std::string_view name) {
  std::size_t const i = tables::find_path(Net::proc_entries, name, [](auto const& e) { return e.name; });
  if (i == Net::proc_entries.size()) return failure{std::errc::no_such_file_or_directory};
  return proc_file<Net>{Net::proc_entries[i]};
}

/// The bytes of the text from `offset` on; how many, 0 at its end. Renders what comes before the offset again: read a
/// long text through proc_open. Error: no_such_file_or_directory.
template <class Net>
result<std::size_t> proc_read(Net& net, std::string_view name, std::size_t offset, std::span<char> out) {
  auto file = proc_open(net, name);
  if (!file) return failure{file.error()};
  if (file->skip(net, offset) < offset) return std::size_t{0};
  return file->read(net, out);
}

/// f(std::string_view) for each piece of the text, in order. Error: no_such_file_or_directory.
template <class Net, class F>
result<void> proc_print(Net& net, std::string_view name, F f) {
  auto file = proc_open(net, name);
  if (!file) return failure{file.error()};
  char piece[1024];
  while (std::size_t const n = file->read(net, piece)) f(std::string_view(piece, n));
  return {};
}

}  // namespace netstack
