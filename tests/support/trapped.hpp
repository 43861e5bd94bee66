// SPDX-License-Identifier: BSL-1.0
// Decides: how a test sees a trap: BUG_ON ends a child process, and what that said is compared.
#pragma once
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <string>

#include "support/catch.hpp"

namespace netstack::test {

/// Runs `f` in a child process and returns what it said on stderr if that ended it; "" if it went on.
template <class F>
std::string trapped(F f) {
  int out[2];
  REQUIRE(::pipe(out) == 0);
  pid_t const child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    ::dup2(out[1], 2);
    std::signal(SIGABRT, SIG_DFL);
    f();
    ::_exit(0);
  }
  ::close(out[1]);
  std::string said;
  char buffer[4096];
  for (ssize_t n; (n = ::read(out[0], buffer, sizeof buffer)) > 0;) said.append(buffer, static_cast<std::size_t>(n));
  ::close(out[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  bool const ended = WIFSIGNALED(status) || WEXITSTATUS(status) != 0;
  return ended ? said.empty() ? "ended without a word" : said : "";
}
inline bool has_text(std::string const& text, char const* part) { return text.find(part) != std::string::npos; }

}  // namespace netstack::test
