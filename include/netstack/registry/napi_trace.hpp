// SPDX-License-Identifier: BSL-1.0
// Decides: how a module watches the poll loop, Linux's tracepoint napi:napi_poll. A composition without a row has no
// code for it. [S80]
// rx: called by core/napi after each poll
// Linux: include/trace/events/napi.h
#pragma once
#include "netstack/base/config.hpp"

namespace netstack {

struct napi_struct;

template <class Net>
struct napi_trace {
  /// The device's namespace; init_net for the backlog (napi.dev is null then). work ≤ budget.
  void (*trace_napi_poll)(Net&, napi_struct const& napi, u32 work, u32 budget) = nullptr;
  char const* name = "";
};

}  // namespace netstack
