// SPDX-License-Identifier: BSL-1.0
// Decides: how a worker sleeps: one epoll set over its devices' fds, a timerfd for an application's own event loop, and
// an eventfd by which other workers call. The epoll set is itself one pollable fd. [S78]
//
//   Sleeper: prepare() → looks once more for work → sleep(), or the application's own poll of fd() → done()
//   Others:  put work where the sleeper looks → wake()
//
// Both change `asleep_` by read-modify-write, so either the sleeper finds the work, or the other finds it asleep.
#pragma once
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>

#include "netstack/base/result.hpp"

namespace netstack {

class waiter {
  int epoll_ = -1;
  int timer_ = -1;
  int event_ = -1;
  bool prepared_ = false;
  bool timer_set_ = false;
  std::atomic<bool> asleep_{false};

  static void drain(int fd) {
    u64 count = 0;
    [[maybe_unused]] auto n = ::read(fd, &count, sizeof count);
  }
  static timespec to_timespec(u64 ns) {
    return {static_cast<time_t>(ns / 1'000'000'000u), static_cast<long>(ns % 1'000'000'000u)};
  }

 public:
  static constexpr u64 no_timer = ~u64{0};

  waiter() = default;
  waiter(waiter const&) = delete;
  waiter& operator=(waiter const&) = delete;
  ~waiter() { close(); }

  /// Errors: the kernel's (too_many_files_open).
  result<void> open() {
    epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
    timer_ = ::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    event_ = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (epoll_ < 0 || timer_ < 0 || event_ < 0) {
      auto const why = static_cast<std::errc>(errno);
      close();
      return failure{why};
    }
    watch(timer_);
    watch(event_);
    return {};
  }
  void close() {
    for (int* fd : {&timer_, &event_, &epoll_})
      if (*fd >= 0) ::close(std::exchange(*fd, -1));
  }

  /// Readable when there is something to do, between prepare() and done().
  [[nodiscard]] int fd() const { return epoll_; }
  void watch(int fd) const {
    epoll_event event{.events = EPOLLIN, .data = {.fd = fd}};
    if (fd >= 0) ::epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event);
  }
  void unwatch(int fd) const {
    if (fd >= 0) ::epoll_ctl(epoll_, EPOLL_CTL_DEL, fd, nullptr);
  }

  /// From now on wake() makes fd() readable.
  void prepare() {
    prepared_ = true;
    asleep_.exchange(true, std::memory_order_acq_rel);
  }
  /// Makes fd() readable `ns` from now (0: at once), too; no_timer: not by time.
  void set_timer(u64 ns) {
    if (ns == no_timer && !timer_set_) return;
    itimerspec when{};
    if (ns != no_timer) when.it_value = to_timespec(ns ? ns : 1);
    ::timerfd_settime(timer_, 0, &when, nullptr);
    timer_set_ = ns != no_timer;
  }
  /// Sleeps until fd() is readable or the time is over.
  void sleep(u64 ns) const {
    ::pollfd set{.fd = epoll_, .events = POLLIN, .revents = 0};
    timespec const limit = to_timespec(ns);
    ::ppoll(&set, 1, ns == no_timer ? nullptr : &limit, nullptr);
  }
  /// Awake: what made fd() readable and is not a device's is taken back. Cheap when nothing was prepared.
  void done() {
    if (!prepared_) [[likely]]
      return;
    prepared_ = false;
    asleep_.exchange(false, std::memory_order_acq_rel);
    drain(event_);
    if (timer_set_) drain(timer_);
  }

  /// Any thread, after it left work: the sleeper wakes up, if it sleeps.
  void wake() {
    if (!asleep_.exchange(false, std::memory_order_acq_rel)) return;
    u64 const one = 1;
    [[maybe_unused]] auto n = ::write(event_, &one, sizeof one);
  }
};

}  // namespace netstack
