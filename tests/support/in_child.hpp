// SPDX-License-Identifier: BSL-1.0
// Decides: how a test tries something in a process of its own: with other privileges, in other namespaces, or beside
// what this one holds.
#pragma once
#include <sys/wait.h>
#include <unistd.h>

#include <system_error>

#include "support/catch.hpp"

namespace netstack::test {

/// Runs f in a child process, whose exit code is the errno it answers.
template <class F>
std::errc in_child(F f) {
  pid_t const child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) ::_exit(static_cast<int>(f()));
  int status = 0;
  ::waitpid(child, &status, 0);
  REQUIRE(WIFEXITED(status));
  return static_cast<std::errc>(WEXITSTATUS(status));
}

}  // namespace netstack::test
