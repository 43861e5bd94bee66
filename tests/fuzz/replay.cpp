// SPDX-License-Identifier: BSL-1.0
// Runs a fuzz target once over files, or over all files of folders, without libFuzzer: so that any compiler can hold
// the corpus to its promises, and a debugger replay a finding. Names each file before it runs it.
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <set>
#include <string>

#include "fuzz/input.hpp"

int main(int argc, char** argv) {
  namespace fs = std::filesystem;
  std::set<fs::path> files;
  for (int i = 1; i < argc; ++i) {
    if (!fs::is_directory(argv[i])) {
      files.insert(argv[i]);
      continue;
    }
    for (auto const& entry : fs::directory_iterator(argv[i])) files.insert(entry.path());
  }
  for (auto const& path : files) {
    std::printf("%s\n", path.c_str());
    std::fflush(stdout);
    std::ifstream in(path, std::ios::binary);
    if (!in) return std::fprintf(stderr, "replay: cannot read %s\n", path.c_str()), 1;
    std::string const content{std::istreambuf_iterator<char>(in), {}};
    // Exactly as large as the input, so that ASan sees what reads past it.
    auto const exact = std::make_unique<netstack::u8[]>(content.size());
    std::copy(content.begin(), content.end(), exact.get());
    LLVMFuzzerTestOneInput(exact.get(), content.size());
  }
  std::printf("%zu inputs\n", files.size());
  return files.empty() ? 1 : 0;
}
