// SPDX-License-Identifier: BSL-1.0
// Decides: which functions a packet passed. A program built with -finstrument-functions -O0 -fno-inline -rdynamic (as
// tests/paths is) calls __cyg_profile_func_enter at every entry; while a recording is on, the addresses are kept, and
// afterwards dladdr and the demangler make them names.
//
//   auto const calls = netstack::test::record([&] { host.poll(); });
//   calls[i].name                       // ip_rcv, worker::poll: no return type, arguments, template arguments,
//   namespace calls[i].is_stage()                 // it took the packet and said what became of it
//
// One file of a program includes this header, since it defines the hooks.
#pragma once
#include <cxxabi.h>
#include <dlfcn.h>

#include <cstdlib>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "support/catch.hpp"

namespace netstack::test {

inline constexpr std::size_t max_recorded_calls = 1u << 18;
struct call_record {
  bool on = false;
  std::size_t n = 0;
  void* functions[max_recorded_calls];
};
inline call_record the_calls;

/// One entry into a function of the library.
struct recorded_call {
  std::string name;       ///< ip_rcv, worker::poll
  std::string signature;  ///< as the demangler prints it

  [[nodiscard]] bool in_detail() const { return qualified.find("detail::") != std::string::npos; }
  /// Handlers answer a verdict, senders a result<void>, drivers a netdev_tx; each was given the packet, or a list.
  [[nodiscard]] bool is_stage() const {
    auto const answers = [&](std::string_view type) { return signature.rfind(type, 0) == 0; };
    auto const takes = [&](std::string_view type) { return signature.find(type) != std::string::npos; };
    return ((answers("netstack::verdict ") || answers("netstack::result<void> ") || answers("netstack::netdev_tx ")) &&
            takes("netstack::sk_buff&")) ||
           (answers("void ") && takes("netstack::skb_list&"));
  }
  std::string qualified;  ///< with its namespaces
};

namespace detail {

/// `text` without what stands in angle brackets.
inline std::string without_template_arguments(std::string_view text) {
  std::string out;
  int depth = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text.compare(i, 8, "operator") == 0) return out.append(text.substr(i));  // its brackets are its name
    if (text[i] == '<')
      ++depth;
    else if (text[i] == '>')
      --depth;
    else if (depth == 0)
      out += text[i];
  }
  return out;
}

/// The qualified name in a demangled signature.
inline std::string qualified_name(std::string_view signature) {
  std::string text = without_template_arguments(signature);
  for (std::size_t at; (at = text.find("(anonymous namespace)")) != std::string::npos;) text.erase(at, 21);
  text.erase(std::min(text.find('('), text.size()));
  return text.substr(text.rfind(' ') + 1);
}

inline std::string bare_name(std::string name) {
  for (std::string_view scope : {"netstack::", "drivers::", "detail::"})
    if (name.rfind(scope, 0) == 0) name.erase(0, scope.size());
  return name;
}

/// The entry for an address, or one with an empty name: not the library's, or a lambda's.
inline recorded_call resolve(void* function) {
  Dl_info where{};
  if (!::dladdr(function, &where) || !where.dli_sname) return {};
  int status = 0;
  char* const text = abi::__cxa_demangle(where.dli_sname, nullptr, nullptr, &status);
  if (status != 0) return {};
  std::string const signature = text;
  std::free(text);
  std::string const qualified = qualified_name(signature);
  if (qualified.rfind("netstack::", 0) != 0 || qualified.rfind("netstack::test::", 0) == 0) return {};
  return {bare_name(qualified), signature, qualified};
}

}  // namespace detail

/// Runs work() and answers the library's functions that were entered meanwhile, in order.
template <class Work>
std::vector<recorded_call> record(Work work) {
  the_calls.n = 0;
  the_calls.on = true;
  work();
  the_calls.on = false;
  REQUIRE(the_calls.n < max_recorded_calls);
  std::unordered_map<void*, recorded_call> known;
  std::vector<recorded_call> calls;
  for (std::size_t i = 0; i < the_calls.n; ++i) {
    auto const [entry, fresh] = known.try_emplace(the_calls.functions[i]);
    if (fresh) entry->second = detail::resolve(entry->first);
    if (!entry->second.name.empty()) calls.push_back(entry->second);
  }
  return calls;
}

}  // namespace netstack::test

extern "C" {
[[gnu::no_instrument_function]] void __cyg_profile_func_enter(void* function, void*);
[[gnu::no_instrument_function]] void __cyg_profile_func_exit(void*, void*);
void __cyg_profile_func_enter(void* function, void*) {
  auto& calls = netstack::test::the_calls;
  if (calls.on && calls.n < netstack::test::max_recorded_calls) calls.functions[calls.n++] = function;
}
void __cyg_profile_func_exit(void*, void*) {}
}
