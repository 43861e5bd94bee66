// SPDX-License-Identifier: BSL-1.0
// Counters by name: sums over workers, states, groups in order, absent groups, counters that only show when not 0.
#include "netstack/core/snmp_proc.hpp"

#include "netstack/stack/stack.hpp"
#include "support/catch.hpp"
#include "support/proc_text.hpp"

namespace {

using namespace netstack;
using namespace netstack::test;

struct sample_mib {
  counter In, Out, Errors;
  s64 MaxConn = -1;
};
struct by_type_mib {
  counter in[256], out[256];
};
struct sample_net {
  u32 settings = 2;
  sample_mib mib;
  by_type_mib types;
};
inline s64 twice(sample_net const& net) { return 2 * static_cast<s64>(net.settings); }

inline constexpr snmp_item sample_items[]{
    SNMP_MIB_ITEM<&sample_mib::In>("InDatagrams"),
    SNMP_MIB_ITEM<&sample_mib::Out>("OutDatagrams"),
    SNMP_MIB_ITEM<&sample_mib::Errors>("InErrors"),
    SNMP_MIB_ITEM<&sample_mib::MaxConn>("MaxConn"),
};
inline constexpr snmp_item whole_items[]{
    SNMP_MIB_GAUGE<twice>("Forwarding"),
    SNMP_MIB_ITEM<&sample_net::types, &by_type_mib::in, std::size_t{3}>("InDestUnreachs"),
};
u64 type_read(void const* block, u32 i) {
  auto const& mib = *static_cast<by_type_mib const*>(block);
  return (i < 256 ? mib.in[i] : mib.out[i - 256]).read();
}
void type_name(seq_file& m, u32 i) { seq_put_decimal_ull(m, i < 256 ? "InType" : "OutType", i & 255); }

/// A test module that plays a protocol with all kinds of groups, listed in no particular order.
struct sample : module {
  using pernet = sample_net;
  static constexpr std::array snmp{
      snmp_group{.prefix = "SampleExt",
                 .items = sample_items,
                 .file = snmp_file::netstat,
                 .block = snmp_block<&sample_net::mib>,
                 .order = snmp_order::ipext},
      snmp_group{.prefix = "Sample", .items = sample_items, .block = snmp_block<&sample_net::mib>, .order = 50},
      snmp_group{.prefix = "Types",
                 .block = snmp_block<&sample_net::types>,
                 .order = 30,
                 .sparse_count = 512,
                 .sparse_read = type_read,
                 .sparse_name = type_name},
      snmp_group{.prefix = "Whole", .items = whole_items, .order = 10},
  };
  template <class Net>
  static constexpr auto proc = snmp_proc<Net>;
};
/// Another that comes later in the list and earlier in the file.
struct early : module {
  struct pernet {
    counter First;
  };
  static constexpr std::array items{SNMP_MIB_ITEM<&pernet::First>("First")};
  static constexpr std::array snmp{snmp_group{.prefix = "Early", .items = items, .order = 5}};
};

struct host : stack<host, sample, early, sizes<config{.workers = 2, .max_net = 2, .skb_pool = 64}>> {};
struct without_sample : stack<without_sample, early, sizes<config{.skb_pool = 64}>> {};

}  // namespace

TEST_CASE("snmp and netstat: pairs of lines in order, sums over workers, states of the asker", "[S161][S169]") {
  host h;
  REQUIRE(h.boot());
  auto& a = net_generic<sample>(h.init_net(0));
  auto& b = net_generic<sample>(h.init_net(1));
  CHECK(proc_text(h.init_net(), "net/snmp") ==
        "Early: First\nEarly: 0\n"
        "Whole: Forwarding InDestUnreachs\nWhole: 4 0\n"
        "Sample: InDatagrams OutDatagrams InErrors MaxConn\nSample: 0 0 0 -1\n");
  a.mib.In += 3, b.mib.In += 4, b.mib.Errors += 18446744073709551615u;
  ++net_generic<early>(h.init_net(1)).First;
  a.types.in[3] += 5, b.types.in[3] += 6, b.types.out[0] += 7;
  a.settings = 1;
  CHECK(proc_text(h.init_net(), "net/snmp") ==
        "Early: First\nEarly: 1\n"
        "Whole: Forwarding InDestUnreachs\nWhole: 2 11\n"
        "Types: InType3 OutType0\nTypes: 11 7\n"
        "Sample: InDatagrams OutDatagrams InErrors MaxConn\nSample: 7 0 18446744073709551615 -1\n");
  CHECK(proc_text(h.init_net(), "net/netstat") ==
        "SampleExt: InDatagrams OutDatagrams InErrors MaxConn\nSampleExt: 7 0 18446744073709551615 -1\n");
  CHECK(snmp_get(h.init_net(), "Sample", "InDatagrams").value_or(99) == 7);
  CHECK(snmp_get(h.init_net(1), "Sample", "InDatagrams").value_or(99) == 7);
  CHECK(snmp_get(h.init_net(1), "Whole", "Forwarding").value_or(99) == 4);
  CHECK(static_cast<s64>(snmp_get(h.init_net(), "Sample", "MaxConn").value_or(99)) == -1);
  CHECK(snmp_get(h.init_net(), "Types", "InType3").value_or(99) == 11);
  CHECK(snmp_get(h.init_net(), "Types", "OutType255").value_or(99) == 0);
  for (auto [group, item] : {std::pair{"Sample", "Nothing"}, {"Nothing", "InDatagrams"}, {"Types", "InType256"}})
    CHECK(snmp_get(h.init_net(), group, item).error() == std::errc::no_such_file_or_directory);
}

TEST_CASE("counters that are not 0 come sixteen to a pair of lines", "[S161]") {
  host h;
  REQUIRE(h.boot());
  auto& types = net_generic<sample>(h.init_net(0)).types;
  for (auto& c : types.in) c += 1;
  ++types.out[7];
  auto const lines = lines_of(proc_text(h.init_net(), "net/snmp"));
  std::size_t pairs = 0, names = 0;
  for (std::size_t i = 0; i + 1 < lines.size(); i += 2) {
    CHECK(words_of(lines[i]).size() == words_of(lines[i + 1]).size());
    if (!lines[i].starts_with("Types:")) continue;
    ++pairs;
    names += words_of(lines[i]).size() - 1;
    CHECK(words_of(lines[i]).size() <= 17);
  }
  CHECK(pairs == 17);
  CHECK(names == 257);
  CHECK(lines[4].starts_with("Types: InType0 InType1 "));
}

TEST_CASE("a namespace counts for itself and starts at 0", "[S161][S170]") {
  host h;
  REQUIRE(h.boot());
  ++net_generic<sample>(h.init_net(0)).mib.In;
  auto other = h.copy_net_ns();
  REQUIRE(other);
  h.poll(1);
  CHECK(snmp_get(**other, "Sample", "InDatagrams").value_or(99) == 0);
  net_generic<sample>(**other).mib.In += 5;
  CHECK(snmp_get(**other, "Sample", "InDatagrams").value_or(99) == 5);
  CHECK(snmp_get(h.init_net(), "Sample", "InDatagrams").value_or(99) == 1);
  h.put_net(**other);
  h.poll(0), h.poll(1);
  auto again = h.copy_net_ns();
  REQUIRE(again);
  h.poll(1);
  CHECK(snmp_get(**again, "Sample", "InDatagrams").value_or(99) == 0);
  h.put_net(**again);
}

TEST_CASE("a module that is not composed leaves neither group nor file", "[S9]") {
  without_sample h;
  REQUIRE(h.boot());
  CHECK(netstack::net<without_sample>::snmp_groups.size() == 1);
  CHECK(snmp_get(h.init_net(), "Early", "First").value_or(99) == 0);
  CHECK(snmp_get(h.init_net(), "Sample", "InDatagrams").error() == std::errc::no_such_file_or_directory);
  CHECK(proc_open(h.init_net(), "net/snmp").error() == std::errc::no_such_file_or_directory);
}
