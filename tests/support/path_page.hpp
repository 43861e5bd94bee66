// SPDX-License-Identifier: BSL-1.0
// Decides: whether a page of docs/ tells the truth about a packet's way. A way is a section (`## title`) whose numbered
// items start with a stop's function and its file:
//
//   3. `netif_receive_skb` in [core/dev_input.hpp](../include/netstack/core/dev_input.hpp): …
//
// Against a recording (support/path_recorder.hpp) it fails when a stop was not passed, or not in this order; when the
// file does not hold the function; and when the packet passed a stage of the public API that the section leaves out.
#pragma once
#include <cctype>
#include <fstream>
#include <regex>
#include <sstream>
#include <string>
#include <vector>

#include "support/path_recorder.hpp"

namespace netstack::test {

struct path_stop {
  std::string name;
  std::string file;  ///< below include/netstack
};

inline std::string source_text(std::string const& path) {
  std::ifstream in(std::string(NETSTACK_SOURCE_DIR) + "/" + path);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

/// The stops of the section with this title.
inline std::vector<path_stop> stops_of(std::string const& page, std::string const& title) {
  static std::regex const item(R"(^\d+\. `([\w:~]+)` in \[([\w/]+\.hpp)\]\(\.\./include/netstack/([\w/]+\.hpp)\): )");
  std::vector<path_stop> stops;
  std::istringstream lines(page);
  bool inside = false;
  std::size_t numbered = 0;
  for (std::string line; std::getline(lines, line);) {
    if (line.rfind("## ", 0) == 0) inside = line == "## " + title;
    if (!inside) continue;
    numbered += std::regex_search(line, std::regex(R"(^\d+\. )"));
    std::smatch found;
    if (!std::regex_search(line, found, item)) continue;
    CHECK(found[2] == found[3]);
    stops.push_back({found[1], found[2]});
  }
  CHECK(stops.size() == numbered);  // an item in another form would go unchecked
  return stops;
}

/// Is the function mentioned as `name(`?
inline bool holds(std::string const& text, std::string const& name) {
  for (std::size_t at = 0; (at = text.find(name + "(", at)) != std::string::npos; ++at)
    if (at == 0 || !(std::isalnum(static_cast<unsigned char>(text[at - 1])) || text[at - 1] == '_')) return true;
  return false;
}

/// What is wrong with the section, one line each; empty: the page tells the truth.
inline std::vector<std::string> faults_of(std::vector<path_stop> const& stops,
                                          std::vector<recorded_call> const& calls) {
  std::vector<std::string> faults;
  std::size_t at = 0;
  for (auto const& stop : stops) {
    std::size_t found = at;
    while (found < calls.size() && calls[found].name != stop.name) ++found;
    if (found == calls.size())
      faults.push_back("`" + stop.name + "` was not passed, or not after the stop before it");
    else
      at = found + 1;
    if (!holds(source_text("include/netstack/" + stop.file), stop.name.substr(stop.name.rfind(':') + 1)))
      faults.push_back(stop.file + " does not hold `" + stop.name + "`");
  }
  for (auto const& call : calls) {
    auto const listed = [&](path_stop const& stop) { return stop.name == call.name; };
    if (!call.is_stage() || call.in_detail()) continue;
    if (call.name == "drop" || call.name == "NF_HOOK") continue;
    if (std::none_of(stops.begin(), stops.end(), listed)) faults.push_back("the page leaves out `" + call.name + "`");
  }
  return faults;
}

/// Fails unless the section of docs/<page> tells this recording.
inline void check_path(std::string const& page, std::string const& title, std::vector<recorded_call> const& calls) {
  auto const stops = stops_of(source_text("docs/" + page), title);
  INFO("docs/" << page << ", " << title);
  std::string passed;
  for (auto const& call : calls)
    if (call.is_stage()) passed += call.name + " ";
  INFO("stages passed: " << passed);
  REQUIRE(stops.size() >= 3);
  for (auto const& fault : faults_of(stops, calls)) FAIL_CHECK(fault);
}

}  // namespace netstack::test
