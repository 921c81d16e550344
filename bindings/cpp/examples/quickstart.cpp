// Appends two events, reads them back, and verifies the log. Takes the directory to use.
#include <batpak.hpp>
#include <iostream>

int main(int count, char **arguments) try {
  const batpak::event_kind placed = 0x1001, paid = 0x1002;
  batpak::store store(count > 1 ? arguments[1] : "orders");

  // Durable when append returns.
  const batpak::receipt order = store.append({"order:42", "shop", placed, "2 apples"});

  // Only if nobody has written to the stream meanwhile.
  batpak::new_event payment{"order:42", "shop", paid, "3.20"};
  payment.expected = batpak::expect::exactly(order.clock);
  payment.causation = batpak::cause::event(order.id);
  store.append(payment);

  for (const batpak::event &event : store.read(batpak::query().entity("order:42")))
    std::cout << event.sequence() << " 0x" << std::hex << event.kind().value << std::dec << ' '
              << event.payload().text() << '\n';

  const batpak::verify_report report = store.verify();
  std::cout << report.events << " events, " << (report.is_intact() ? "intact" : "damaged") << '\n';
  store.close();
  return report.is_intact() ? 0 : 1;
} catch (const batpak::error &error) {
  std::cerr << batpak::name(error.kind()) << ": " << error.what() << '\n';
  return 1;
}
