// SPDX-License-Identifier: BSL-1.0
// Decides: where interop tests meet the Linux kernel: in a network namespace of the test process's own, so that nothing
// on the machine changes and tests do not see each other. Needs root.
//   if (netstack::test::skip_without_root("makes a network namespace")) return;
//   netstack::test::netns ns;                              // lo is up in it
//   ns.run("ip addr add 192.0.2.1/24 dev nst0");           // a command line; fails the test if it fails
#pragma once
#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <string>

#include "support/catch.hpp"
#include "support/privileges.hpp"

namespace netstack::test {

/// The calling thread (and threads and processes it starts) is in a fresh network namespace while this lives.
class netns {
  int home_ = -1;

 public:
  netns() {
    home_ = ::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    REQUIRE(home_ >= 0);
    REQUIRE(::unshare(CLONE_NEWNET) == 0);
    run("ip link set lo up");
  }
  ~netns() {
    if (::setns(home_, CLONE_NEWNET) != 0) std::perror("setns");
    ::close(home_);
  }
  netns(netns const&) = delete;
  netns& operator=(netns const&) = delete;

  /// Runs a command line through the shell; its output, both streams. A failure fails the test.
  static std::string run(std::string const& command) {
    auto const [status, text] = attempt(command);
    INFO(command << "\n" << text);
    REQUIRE(status == 0);
    return text;
  }
  struct outcome {
    int status;
    std::string text;
  };
  /// The same for a command that may fail.
  static outcome attempt(std::string const& command) {
    std::FILE* out = ::popen((command + " 2>&1").c_str(), "re");
    REQUIRE(out != nullptr);
    std::string text;
    std::array<char, 4096> chunk;
    while (auto const n = std::fread(chunk.data(), 1, chunk.size(), out)) text.append(chunk.data(), n);
    return {::pclose(out), text};
  }
};

}  // namespace netstack::test
