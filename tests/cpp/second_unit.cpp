// A second translation unit with the header.

#include <batpak.hpp>

std::uint64_t events_of(const batpak::store& store) {
  std::uint64_t count = 0;
  for (const batpak::event& event : store.read()) count += event.stored_bytes() > 0;
  return count;
}
