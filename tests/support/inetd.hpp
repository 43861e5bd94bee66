// SPDX-License-Identifier: BSL-1.0
// Decides: how tests work with examples/inetd as a program: where it runs, how it is called, how it must end, and what
// its report says.
#pragma once
#include <sstream>

#include "support/netns.hpp"
#include "support/program.hpp"

namespace netstack::test {

[[nodiscard]] inline bool cannot_run_inetd() {
  return skip_without_root("makes a network namespace and a TAP device") || skip_without_example("inetd");
}
[[nodiscard]] inline bool says(std::string const& text, std::string const& what) {
  return text.find(what) != std::string::npos;
}

/// A directory that anybody may look into, gone with this object.
struct scratch {
  std::string path = "/tmp/netstack-inetd-XXXXXX";
  scratch() {
    REQUIRE(::mkdtemp(path.data()) != nullptr);
    netns::run("chmod 755 " + path);
  }
  ~scratch() { (void)netns::attempt("rm -r " + path); }
  scratch(scratch const&) = delete;
};

inline std::vector<std::string> inetd_on(std::string const& dev, std::vector<std::string> const& more = {}) {
  std::vector<std::string> command{example("inetd"), "--dev", dev, "--addr", "192.0.2.2/24"};
  command.insert(command.end(), more.begin(), more.end());
  return command;
}

/// A counter of the report's /proc/net/snmp; -1 when it is not there.
[[nodiscard]] inline long snmp(std::string const& report, std::string const& prefix, std::string const& name) {
  std::istringstream lines(report);
  std::string names, values;
  while (std::getline(lines, names))
    if (names.rfind(prefix + ": ", 0) == 0 && std::getline(lines, values)) {
      std::istringstream n(names), v(values);
      std::string key, value;
      while (n >> key && v >> value)
        if (key == name) return std::stol(value);
    }
  return -1;
}

/// The end of an inetd that is well: all three texts, nothing leaked, exit code 0.
inline std::string end_well(program& inetd) {
  CHECK(inetd.running());
  auto const end = inetd.terminate();
  INFO(end.text);
  CHECK(end.code == 0);
  for (char const* file : {"--- /proc/net/snmp\n", "--- /proc/net/drop_reasons\n", "--- /proc/net/skb_pool\n"})
    CHECK(says(end.text, file));
  auto const pool = end.text.find("worker     used   frames high_water clones_used");
  REQUIRE(pool != std::string::npos);
  std::istringstream row(end.text.substr(end.text.find('\n', pool)));
  long worker = -1, used = -1, frames = -1, high_water = -1, clones_used = -1;
  row >> worker >> used >> frames >> high_water >> clones_used;
  CHECK(used == 0);
  CHECK(clones_used == 0);
  CHECK(high_water > 0);
  return end.text;
}

}  // namespace netstack::test
