// SPDX-License-Identifier: BSL-1.0
// Decides: what a test does where the machine does not allow it: it says so, returns, and is counted as skipped.
//   TEST_CASE("a TAP device answers", "[S74]") {
//     if (netstack::test::skip_without_root("opens a TAP device")) return;
// NETSTACK_NO_SKIP=1 (set by .ci/run as root) turns every skip into a failure, so CI cannot pass by skipping.
#pragma once
#include <unistd.h>

#include <string>
#include <string_view>

namespace netstack::test {

/// Prints "SKIPPED: <reason>" and records the running test case as skipped; with NETSTACK_NO_SKIP=1 it fails instead.
void skip(std::string_view reason);

inline bool is_root() { return ::geteuid() == 0; }

/// True, after a visible skip, when the test cannot run for lack of privileges. `what` says what it needs them for.
[[nodiscard]] inline bool skip_without_root(std::string_view what) {
  if (is_root()) return false;
  skip("needs root: " + std::string(what));
  return true;
}

/// The same for a file of the system, such as /dev/net/tun.
[[nodiscard]] inline bool skip_without_file(char const* path) {
  if (::access(path, F_OK) == 0) return false;
  skip("needs " + std::string(path));
  return true;
}

}  // namespace netstack::test
