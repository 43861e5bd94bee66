// SPDX-License-Identifier: BSL-1.0
// What no_mutable_state.py must notice: each kind of variable that the library may not have.
namespace netstack {
inline int global = 1;
inline thread_local int per_thread = 1;
template <class T>
struct holder {
  static inline T member{};
};
template <class T>
T& local() {
  static T value = T(global);
  return value;
}
inline constexpr int const* constant = nullptr;
}  // namespace netstack

int main() {
  return netstack::global + netstack::per_thread + netstack::holder<int>::member + netstack::local<int>() - 4;
}
