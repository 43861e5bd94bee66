// SPDX-License-Identifier: BSL-1.0
// Decides: how a worker sleeps: one epoll set over its devices' fds and a timerfd, which is itself one pollable fd, so
// an application's own event loop can drive the stack. [S78]
#pragma once
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <cerrno>

#include "netstack/base/result.hpp"

namespace netstack {

class waiter {
  int epoll_ = -1;
  int timer_ = -1;

 public:
  waiter() = default;
  waiter(waiter const&) = delete;
  waiter& operator=(waiter const&) = delete;
  ~waiter() { close(); }

  /// Errors: the kernel's (too_many_files_open).
  result<void> open() {
    epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
    timer_ = ::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (epoll_ < 0 || timer_ < 0) {
      auto const why = static_cast<std::errc>(errno);
      close();
      return failure{why};
    }
    watch(timer_);
    return {};
  }
  void close() {
    if (timer_ >= 0) ::close(timer_);
    if (epoll_ >= 0) ::close(epoll_);
    timer_ = epoll_ = -1;
  }

  /// Readable when poll() has something to do, once arm() has been called.
  [[nodiscard]] int fd() const { return epoll_; }
  void watch(int fd) const {
    epoll_event event{.events = EPOLLIN, .data = {.fd = fd}};
    if (fd >= 0) ::epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event);
  }
  void unwatch(int fd) const {
    if (fd >= 0) ::epoll_ctl(epoll_, EPOLL_CTL_DEL, fd, nullptr);
  }
  /// Makes fd() readable `ns` from now (0: at once); no_timer: not by time.
  static constexpr u64 no_timer = ~u64{0};
  void arm(u64 ns) const {
    itimerspec when{};
    if (ns != no_timer) {
      ns = ns ? ns : 1;
      when.it_value.tv_sec = static_cast<time_t>(ns / 1'000'000'000u);
      when.it_value.tv_nsec = static_cast<long>(ns % 1'000'000'000u);
    }
    ::timerfd_settime(timer_, 0, &when, nullptr);
  }
  /// Sleeps until an fd is readable or the time is over.
  void sleep(u64 ns) const {
    arm(ns);
    epoll_event events[8];
    ::epoll_wait(epoll_, events, 8, -1);
    u64 expirations = 0;
    [[maybe_unused]] auto n = ::read(timer_, &expirations, sizeof expirations);
  }
};

}  // namespace netstack
