// SPDX-License-Identifier: BSL-1.0
// Decides: the main program of every test binary. Beside running Catch2 it knows which cases were skipped, returns 4
// (CTest's SKIP_RETURN_CODE) when nothing else ran, and writes one line per case to the file that NETSTACK_RESULTS
// names: `passed|failed|skipped <tab> tags <tab> name`. scripts/test counts these lines; scripts/linux_map.py asks them
// whether the test of a row really ran.
#if !__has_include(<catch2/catch_all.hpp>)
#define CATCH_CONFIG_RUNNER
#endif
#include "support/catch.hpp"

#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "support/privileges.hpp"

namespace netstack::test {
namespace {

constexpr int skipped_exit_code = 4;

struct {
  bool case_skipped = false;
  int passed = 0, failed = 0, skipped = 0;
} tally;

#if __has_include(<catch2/catch_all.hpp>)
using listener = Catch::EventListenerBase;
Catch::TestCaseInfo const& info(Catch::TestCaseStats const& stats) { return *stats.testInfo; }
#else
using listener = Catch::TestEventListenerBase;
Catch::TestCaseInfo const& info(Catch::TestCaseStats const& stats) { return stats.testInfo; }
#endif

struct recorder : listener {
  using listener::listener;

  void testRunStarting(Catch::TestRunInfo const&) override {
    if (char const* path = std::getenv("NETSTACK_RESULTS")) out_ = std::fopen(path, "w");
  }
  void testCaseStarting(Catch::TestCaseInfo const&) override { tally.case_skipped = false; }
  void testCaseEnded(Catch::TestCaseStats const& stats) override {
    bool const failed = stats.totals.assertions.failed != 0;
    ++(failed ? tally.failed : tally.case_skipped ? tally.skipped : tally.passed);
    if (!out_) return;
    std::fprintf(out_, "%s\t%s\t%s\n",
                 failed               ? "failed"
                 : tally.case_skipped ? "skipped"
                                      : "passed",
                 info(stats).tagsAsString().c_str(), std::string(info(stats).name).c_str());
    std::fflush(out_);  // a later case may end the process
  }
  void testRunEnded(Catch::TestRunStats const&) override {
    if (out_) std::fclose(out_);
    out_ = nullptr;
  }

 private:
  std::FILE* out_ = nullptr;
};

CATCH_REGISTER_LISTENER(recorder)

}  // namespace

void skip(std::string_view reason) {
  std::printf("SKIPPED: %.*s\n", static_cast<int>(reason.size()), reason.data());
  std::fflush(stdout);
  char const* no_skip = std::getenv("NETSTACK_NO_SKIP");
  if (no_skip && std::string_view(no_skip) == "1") FAIL("NETSTACK_NO_SKIP=1, but: " << reason);
  SUCCEED("skipped");
  tally.case_skipped = true;
}

}  // namespace netstack::test

int main(int argc, char** argv) {
  int const code = Catch::Session().run(argc, argv);
  auto const& t = netstack::test::tally;
  return code == 0 && t.skipped && !t.passed ? netstack::test::skipped_exit_code : code;
}
