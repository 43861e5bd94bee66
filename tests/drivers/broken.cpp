// SPDX-License-Identifier: BSL-1.0
// The conformance cases find what they are for: a driver with one defect fails the case that names it, and the same
// driver without one passes them all.
#include <sys/wait.h>
#include <unistd.h>

#include <string>

#include "support/conformance.hpp"
#include "support/mock_wire.hpp"

namespace {

using namespace netstack;
using test::defect;

/// The text with which the case fails; empty if it passes. In a process of its own: a broken driver may damage its
/// stack, or use a freed frame and be ended by a sanitizer.
template <class Rig>
std::string failure_of(std::string_view name) {
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  pid_t const child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    for (auto const& c : testing::driver_conformance<Rig>())
      if (name == c.name) {
        auto const r = testing::run(c, true);
        if (r.is(testing::outcome::failed)) (void)!::write(ends[1], r.text.data(), r.text.size());
      }
    ::_exit(0);
  }
  ::close(ends[1]);
  std::string text;
  char chunk[256];
  for (ssize_t n; (n = ::read(ends[0], chunk, sizeof chunk)) > 0;) text.append(chunk, static_cast<std::size_t>(n));
  ::close(ends[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  CHECK(WIFEXITED(status));
  if (text.empty() && WIFEXITED(status) && WEXITSTATUS(status) != 0) text = "a sanitizer ended the process";
  return text;
}

template <defect D>
void fails(std::string_view name) {
  std::string const text = failure_of<test::mock_rig<D>>(name);
  INFO(name << " should have failed");
  CHECK(!text.empty());
  std::printf("%.*s: %s\n", static_cast<int>(name.size()), name.data(), text.c_str());
}

}  // namespace

TEST_CASE("a mock driver without defects conforms", "[S75]") {
  test::check_conformance<test::mock_rig<defect::none>>(73);
}

TEST_CASE("each broken driver fails the case that names its defect", "[S75]") {
  fails<defect::leaks_sent_frames>("tx_takes_each_skb_once");
  fails<defect::frees_refused_frames>("busy_takes_nothing");
  fails<defect::ignores_the_budget>("budget_1");
  fails<defect::writes_in_flight>("tx_frame_is_untouched_in_flight");
  fails<defect::forgets_the_link>("rx_describes_the_frame");
  fails<defect::sends_newest_first>("tx_order");
  fails<defect::drops_without_counting>("pool_empty");
  fails<defect::keeps_frames_after_stop>("down_with_tx_in_flight");
  fails<defect::never_signals>("fd_is_readable_with_a_frame");
  fails<defect::cuts_long_frames>("tx_mtu");
  fails<defect::counts_twice>("rx_counts");
  fails<defect::never_flushes>("tx_flush_after_more");
  fails<defect::delivers_old_frames>("received_while_down_is_for_nobody");
  fails<defect::shares_its_buffer>("rx_frame_is_private");
}
