// SPDX-License-Identifier: BSL-1.0
// Fuzzes settings: an input is lines of `path=text`, or of `number=text` for that setting of the sorted list; a line
// with @ in front goes to a second namespace. Whatever is written, the setting then reads as a text that can be written
// again and changes nothing, in both workers' slices; what is refused changes nothing; and with the first values back
// in place the stack is as it was.
#include <string>

#include "fuzz/host.hpp"

namespace {

using namespace netstack;
using fuzz::require;

constexpr config with_two_workers() {
  config c = fuzz::small;
  c.workers = 2;
  return c;
}
struct host : stack<host, presets::host, fuzz::wire, sizes<with_two_workers()>> {};
using net_t = net<host>;

/// What a setting says, or the errno in brackets.
std::string read(net_t& net, std::string_view path, std::vector<char>& room) {
  auto const n = sysctl_read(net, path, room);
  return n ? std::string(room.data(), *n) : "[" + std::to_string(static_cast<int>(n.error())) + "]";
}

struct setting {
  std::string path, first;
  bool custom, writable;
};

class session {
  fuzz::rig<host> rig_;
  std::vector<setting> settings_;
  std::vector<char> room_ = std::vector<char>(1 << 19);  // all odd ports, and some
  net_t* other_ = nullptr;

  void settle() {
    rig_.run();
    for (int i = 0; i < 100 && rig_.host.poll(1) != 0; ++i) {
    }
  }
  /// The same namespace as worker 1 sees it.
  net_t& other_slice(net_t& net) { return rig_.host.worker(1).nets[net.index]; }
  [[nodiscard]] setting const* known(std::string_view path) const {
    for (auto const& s : settings_)
      if (s.path == path) return &s;
    return nullptr;
  }
  /// The path that a number stands for.
  std::string_view path_of(std::string_view text) {
    u64 index = 0;
    auto const [stop, error] = std::from_chars(text.data(), text.data() + text.size(), index);
    bool const number = error == std::errc{} && stop == text.data() + text.size();
    return number ? std::string_view(settings_[index % settings_.size()].path) : text;
  }

  void line(std::string_view text) {
    bool const elsewhere = text.starts_with('@');
    if (elsewhere) text.remove_prefix(1);
    net_t& net = elsewhere ? *other_ : rig_.net();
    auto const equals = std::min(text.find('='), text.size());
    std::string_view const path = path_of(text.substr(0, equals));
    std::string const before = read(net, path, room_);
    auto const written = sysctl_write(net, path, text.substr(std::min(equals + 1, text.size())));
    settle();
    std::string const after = read(net, path, room_);
    setting const* const s = known(path);
    if (!written) return require(after == before || (s && s->custom), "what is refused changes nothing:", path);
    require(s, "what is written is in the list:", path);
    if (s->custom || after.starts_with('[')) return;
    require(read(other_slice(net), path, room_) == after, "both workers have the same:", path);
    require(sysctl_write(net, path, after).has_value(), "what is read can be written:", path);
    settle();
    require(read(net, path, room_) == after, "what is read and written stays:", path);
  }

 public:
  session() {
    for (u8 number = 0; number < 2; ++number) {  // worker 1's queues of the devices
      auto& net = rig_.host.init_net(1);
      auto made = register_netdev<fuzz::wire>(net, "eth%d", {.number = number});
      require(made && dev_open(net, **made), "a device has two queues");
    }
    auto made = rig_.host.copy_net_ns();
    require(made.has_value(), "a second namespace is to be had");
    other_ = *made;
    settle();
    sysctl_for_each(rig_.net(), [&](std::string_view path, ctl_table const& row) {
      settings_.push_back(
          {std::string(path), read(rig_.net(), path, room_), row.type == ctl_type::custom, (row.mode & 0222) != 0});
    });
  }
  void run(std::string_view text) {
    for (int n = 0; n < 500 && !text.empty(); ++n) {
      std::size_t const end = std::min(text.find('\n'), text.size());
      line(text.substr(0, end));
      text.remove_prefix(std::min(end + 1, text.size()));
    }
    for (u32 n = 0; auto const& s : settings_) {
      if (s.writable && !s.first.starts_with('['))
        require(sysctl_write(rig_.net(), s.path, s.first).has_value(), "the first value is a good one:", s.path);
      if (++n % 64 == 0) settle();  // before worker 1's ring is full
    }
    for (auto const& s : settings_)
      if (!s.custom) require(read(rig_.net(), s.path, room_) == s.first, "the first value is back:", s.path);
    rig_.host.put_net(*other_);
    settle();
    rig_.still_answers();
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(u8 const* data, std::size_t size) {
  session{}.run({reinterpret_cast<char const*>(data), size});
  return 0;
}
