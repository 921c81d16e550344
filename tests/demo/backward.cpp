// Reads a store from its end to its beginning, prints the last events, and verifies it.
//
//   backward STORE

#include <batpak.hpp>

#include <chrono>
#include <cstdint>
#include <ctime>
#include <iostream>
#include <string>
#include <string_view>

namespace {

const std::uint64_t shown = 5;

std::string_view name(batpak::event_kind kind) {
  switch (kind.value) {
    case 0x1001: return "departed";
    case 0x1002: return "arrived";
    case 0x1003: return "cancelled";
    default: return "?";
  }
}

std::string utc(std::int64_t microseconds) {
  const std::time_t seconds = microseconds / 1'000'000;
  char text[20];
  std::strftime(text, sizeof text, "%Y-%m-%d %H:%M", std::gmtime(&seconds));
  return text;
}

}  // namespace

int main(int argument_count, char** arguments) try {
  if (argument_count != 2) {
    std::cerr << "usage: backward STORE\n";
    return 1;
  }
  batpak::open_options options;
  options.mode = batpak::open_mode::read_only;
  batpak::store store(arguments[1], options);

  const auto start = std::chrono::steady_clock::now();
  std::uint64_t left = store.head().events, payload_bytes = 0, count = 0;
  std::cout << "C++     the last " << shown << " events:\n";
  for (const batpak::event& event : store.read(batpak::query().backward())) {
    if (event.sequence() != --left) {
      std::cerr << "backward: event " << event.sequence() << " came, not " << left << '\n';
      return 1;
    }
    payload_bytes += event.payload().size();
    if (count++ < shown)
      std::cout << "        " << event.sequence() << "  " << utc(event.timestamp_us()) << "  "
                << name(event.kind()) << "  " << event.entity() << "  " << event.scope() << '\n';
  }
  const auto time = std::chrono::duration_cast<std::chrono::milliseconds>(
      std::chrono::steady_clock::now() - start);
  if (left != 0) {
    std::cerr << "backward: the first " << left << " events did not come\n";
    return 1;
  }
  std::cout << "C++     read " << count << " events backwards, with " << payload_bytes
            << " bytes of payload, in " << time.count() << " ms\n";

  const batpak::verify_report report = store.verify();
  if (!report.is_intact()) {
    std::cerr << "backward: the store is damaged\n";
    return 1;
  }
  std::cout << "verified C++ " << report.events << ' ' << report.last_hash.hex() << ' '
            << report.root.hex() << '\n';
  return 0;
} catch (const batpak::error& error) {
  std::cerr << batpak::name(error.kind()) << ": " << error.what() << '\n';
  return 1;
}
