// SPDX-License-Identifier: BSL-1.0
// Decides: how a test works with one of the examples as a program: starts it, waits for a line, ends it, reads all it
// printed. NETSTACK_EXAMPLES names the directory of the built examples (CTest sets it).
//   program inetd({example("inetd"), "--dev", "tap:nst0", "--addr", "192.0.2.2/24"});
//   REQUIRE(inetd.prints("ready"));
//   auto const end = inetd.terminate();        // {exit code, all it printed}
#pragma once
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "support/catch.hpp"
#include "support/privileges.hpp"

namespace netstack::test {

/// The path of a built example; empty when it was not built.
inline std::string example(char const* name) {
  char const* dir = std::getenv("NETSTACK_EXAMPLES");
  std::string const path = std::string(dir ? dir : "build/release/examples") + "/" + name;
  return ::access(path.c_str(), X_OK) == 0 ? path : std::string{};
}
/// True, after a visible skip, when the example was not built.
[[nodiscard]] inline bool skip_without_example(char const* name) {
  if (!example(name).empty()) return false;
  skip("needs the built example " + std::string(name) + " (NETSTACK_EXAMPLES names its directory)");
  return true;
}

/// A child process whose output, both streams, the test reads. It is killed with this object.
class program {
  pid_t pid_ = -1;
  int out_ = -1;
  std::string text_;

  /// Reads what is there, waiting at most this long for the first of it; false at the end, or after the time.
  bool read_some(int timeout_ms) {
    pollfd p{.fd = out_, .events = POLLIN, .revents = 0};
    if (::poll(&p, 1, timeout_ms) <= 0) return false;
    char chunk[4096];
    ssize_t const n = ::read(out_, chunk, sizeof chunk);
    if (n > 0) text_.append(chunk, static_cast<std::size_t>(n));
    return n > 0;
  }

 public:
  static constexpr int patience_ms = 30'000;  ///< a sanitized program on a busy machine takes its time
  struct end {
    int code;  ///< of exit(); minus the signal that ended it
    std::string text;
  };

  explicit program(std::vector<std::string> const& command) {
    int pipe[2];
    REQUIRE(::pipe2(pipe, O_CLOEXEC) == 0);
    std::vector<char*> argv;
    for (auto const& word : command) argv.push_back(const_cast<char*>(word.c_str()));
    argv.push_back(nullptr);
    pid_ = ::fork();
    REQUIRE(pid_ >= 0);
    if (pid_ == 0) {
      ::dup2(pipe[1], STDOUT_FILENO);
      ::dup2(pipe[1], STDERR_FILENO);
      ::execvp(argv[0], argv.data());
      ::_exit(127);
    }
    ::close(pipe[1]);
    out_ = pipe[0];
  }
  ~program() {
    if (pid_ > 0) {
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, nullptr, 0);
    }
    ::close(out_);
  }
  program(program const&) = delete;
  program& operator=(program const&) = delete;

  /// Waits for this line; false if the program ended without it.
  [[nodiscard]] bool prints(std::string const& line) {
    auto const there = [&] { return ("\n" + text_).find("\n" + line + "\n") != std::string::npos; };
    while (!there())
      if (!read_some(patience_ms)) return false;
    return true;
  }
  [[nodiscard]] pid_t pid() const { return pid_; }
  [[nodiscard]] bool running() const {
    siginfo_t ended{};
    return ::waitid(P_PID, static_cast<id_t>(pid_), &ended, WEXITED | WNOHANG | WNOWAIT) == 0 && ended.si_pid == 0;
  }
  /// Waits for it to end by itself.
  end wait() {
    while (read_some(patience_ms)) {
    }
    for (int ms = 0; running() && ms < patience_ms; ++ms) ::usleep(1000);  // between its last words and its end
    if (running()) ::kill(pid_, SIGKILL);
    int status = 0;
    ::waitpid(pid_, &status, 0);
    pid_ = -1;
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status), text_};
  }
  end terminate() {
    ::kill(pid_, SIGTERM);
    return wait();
  }
};

}  // namespace netstack::test
