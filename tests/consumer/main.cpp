// A program outside the tree that uses batpak from C++: main DIRECTORY.

#include <batpak.hpp>

int main(int count, char** arguments) {
  if (count != 2) return 2;
  const batpak::store store(arguments[1]);
  const batpak::receipt receipt = store.append({"order:42", "shop", 0x1001, "2 apples"});
  for (const batpak::event& event : store.read(batpak::query().prefix("order")))
    if (event.hash() != receipt.hash || event.payload().text() != "2 apples") return 1;

  batpak::follow follow = store.follow(batpak::query().from(1));
  const batpak::ticket ticket = store.append_async({"order:42", "shop", 0x1002, "3.20"});
  for (const batpak::event& event : follow.within(std::chrono::minutes(1)))
    return event.hash() == ticket.wait().at(0).hash ? 0 : 1;
  return 1;
}
