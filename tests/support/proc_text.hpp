// SPDX-License-Identifier: BSL-1.0
// Decides: how tests read a /proc text of a stack and of the running kernel, and compare their columns.
#pragma once
#include <cctype>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "netstack/stack/procfs.hpp"
#include "support/catch.hpp"

namespace netstack::test {

/// The whole text, or "" with a failed check.
template <class Net>
std::string proc_text(Net& net, std::string_view name) {
  std::string text;
  auto const r = proc_print(net, name, [&](std::string_view piece) { text += piece; });
  CAPTURE(std::string(name));
  CHECK(r.has_value());
  return text;
}

/// The text of a file of the running kernel.
inline std::string host_text(char const* path) {
  std::ifstream in(path);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

inline std::vector<std::string> lines_of(std::string const& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

inline std::vector<std::string> words_of(std::string const& line) {
  std::vector<std::string> words;
  std::istringstream in(line);
  for (std::string word; in >> word;) words.push_back(word);
  return words;
}

/// The line with every run of digits and lower-case hex digits replaced by as many '#': the columns, without the
/// values.
inline std::string masked(std::string line) {
  for (char& c : line)
    if (std::isxdigit(static_cast<unsigned char>(c)) && !std::isupper(static_cast<unsigned char>(c))) c = '#';
  return line;
}

}  // namespace netstack::test
