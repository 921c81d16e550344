// The C++ example of the README: append, read, verify.

#include <batpak.hpp>

#include <filesystem>
#include <iostream>

int main() try {
  const auto directory = std::filesystem::temp_directory_path() / "batpak-smoke";
  std::filesystem::remove_all(directory);

  batpak::store store(directory.string());
  const batpak::event_kind placed = 0x1001, paid = 0x1002;

  // One event, with the bytes as they are. It is durable when append returns.
  const batpak::receipt first = store.append({"order:42", "shop", placed, "2 apples"});
  std::cout << "appended " << first.sequence << ": " << first.hash.hex() << '\n';

  // Only if nobody else has written to the stream meanwhile.
  batpak::new_event payment{"order:42", "shop", paid, "3.20"};
  payment.expected = batpak::expect::exactly(first.clock);
  payment.causation = batpak::cause::event(first.id);
  store.append(payment);
  try {
    store.append(payment);
  } catch (const batpak::error& error) {
    std::cout << "refused: " << batpak::name(error.kind()) << '\n';
  }

  // Several events, whole or not at all.
  store.append_batch({{"order:43", "shop", placed, "1 pear"}, {"order:43", "shop", paid, "0.90"}});

  for (const batpak::event& event : store.read(batpak::query().prefix("order:42")))
    std::cout << event.sequence() << ' ' << event.entity() << ' ' << event.payload().text() << '\n';

  const batpak::verify_report report = store.verify();
  std::cout << report.events << " events, " << (report.is_intact() ? "intact" : "damaged") << '\n';
  store.close();
  std::filesystem::remove_all(directory);
  return report.is_intact() ? 0 : 1;
} catch (const batpak::error& error) {
  std::cerr << batpak::name(error.kind()) << ": " << error.what() << '\n';
  return 1;
}
