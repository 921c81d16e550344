// A program outside the tree that uses batpak from C++: main DIRECTORY.

#include <batpak.hpp>

int main(int count, char** arguments) {
  if (count != 2) return 2;
  const batpak::store store(arguments[1]);
  const batpak::receipt receipt = store.append({"order:42", "shop", 0x1001, "2 apples"});
  for (const batpak::event& event : store.read(batpak::query().prefix("order")))
    if (event.hash() == receipt.hash && event.payload().text() == "2 apples") return 0;
  return 1;
}
