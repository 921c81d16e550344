// What only C++ has: ownership, lifetimes, exceptions, ranges. The behaviour of the store itself is
// tested by the scripts.

#include <batpak.hpp>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iomanip>
#include <iostream>
#include <map>
#include <optional>
#include <sstream>
#include <thread>
#include <unordered_map>

#include <sys/wait.h>
#include <unistd.h>

#if __cplusplus >= 202002L
#include <ranges>
#include <span>
#endif

namespace fs = std::filesystem;

// In second_unit.cpp.
std::uint64_t events_of(const batpak::store& store);

// ---------------------------------------------------------------------------- the test harness

/// A test with a fresh directory of its own.
struct test {
  const char* name;
  void (*body)(const std::string& directory);
};

std::vector<test>& tests() {
  static std::vector<test> all;
  return all;
}

#define TEST(name)                                                              \
  void name(const std::string& directory);                                      \
  const bool name##_is_listed = (tests().push_back({#name, name}), true);       \
  void name([[maybe_unused]] const std::string& directory)

#define CHECK(condition)                                                        \
  do {                                                                          \
    if (!(condition)) throw failed_check{__LINE__, #condition};                 \
  } while (false)

struct failed_check {
  int line;
  std::string what;
};

/// The error that a call ends with; the test fails when it ends with none.
template <class Call>
batpak::error error_of(Call call) {
  try {
    call();
  } catch (const batpak::error& error) {
    return error;
  }
  throw failed_check{__LINE__, "no batpak::error was thrown"};
}

template <class Call>
batpak::error_kind kind_of(Call call) {
  return error_of(call).kind();
}

using batpak::error_kind;
using batpak::new_event;

batpak::open_options buffered() {
  batpak::open_options options;
  options.durability = batpak::durability::buffered;
  return options;
}

/// Overwrites one byte of a file with its complement.
void flip_byte(const fs::path& file, std::streamoff offset) {
  std::fstream bytes(file, std::ios::in | std::ios::out | std::ios::binary);
  bytes.exceptions(std::ios::failbit | std::ios::badbit);
  char byte = 0;
  bytes.seekg(offset).get(byte);
  bytes.seekp(offset).put(static_cast<char>(~byte));
}

// ----------------------------------------------------------------------------------- ownership

static_assert(!std::is_copy_constructible_v<batpak::store>);
static_assert(!std::is_copy_assignable_v<batpak::store>);
static_assert(std::is_nothrow_move_constructible_v<batpak::store>);
static_assert(std::is_nothrow_move_assignable_v<batpak::store>);
static_assert(!std::is_copy_constructible_v<batpak::scan>);
static_assert(std::is_nothrow_move_constructible_v<batpak::scan>);
static_assert(!std::is_copy_constructible_v<batpak::follow>);
static_assert(std::is_nothrow_move_constructible_v<batpak::follow>);
static_assert(!std::is_copy_constructible_v<batpak::fence>);
static_assert(std::is_nothrow_move_constructible_v<batpak::fence>);
static_assert(std::is_nothrow_move_assignable_v<batpak::fence>);
static_assert(!std::is_copy_constructible_v<batpak::ticket>);
static_assert(std::is_nothrow_move_constructible_v<batpak::ticket>);
static_assert(std::is_nothrow_move_assignable_v<batpak::ticket>);
static_assert(std::is_copy_constructible_v<batpak::event>);
static_assert(std::is_nothrow_move_constructible_v<batpak::event>);

TEST(a_moved_from_store_refuses_every_call) {
  batpak::store first(directory);
  first.append({"a", "s", 0x1000, "x"});
  batpak::store second = std::move(first);
  CHECK(second.head().events == 1);
  CHECK(kind_of([&] { first.append({"a", "s", 0x1000, "x"}); }) == error_kind::bad_handle);
  CHECK(kind_of([&] { first.append_batch({{"a", "s", 0x1000, "x"}}); }) == error_kind::bad_handle);
  CHECK(kind_of([&] { first.read(); }) == error_kind::bad_handle);
  CHECK(kind_of([&] { first.at(0); }) == error_kind::bad_handle);
  CHECK(kind_of([&] { first.verify(); }) == error_kind::bad_handle);
  CHECK(kind_of([&] { first.report(); }) == error_kind::bad_handle);
  CHECK(kind_of([&] { first.path(); }) == error_kind::bad_handle);
  first.close();
  first = std::move(second);
  CHECK(first.head().events == 1);
}

TEST(an_assigned_store_closes_the_one_before_it) {
  batpak::store store(directory + "/one");
  store.append({"a", "s", 0x1000, "x"});
  store = batpak::store(directory + "/two");
  CHECK(store.head().events == 0);
  // The lock is free again, so the first can be opened.
  CHECK(batpak::store(directory + "/one").head().events == 1);
}

TEST(a_closed_store_says_so) {
  batpak::store store(directory);
  batpak::scan scan = store.read();
  store.close();
  store.close();
  CHECK(kind_of([&] { store.append({"a", "s", 0x1000, "x"}); }) == error_kind::closed);
  CHECK(kind_of([&] { store.head(); }) == error_kind::closed);
  CHECK(kind_of([&] { store.path(); }) == error_kind::closed);
  CHECK(kind_of([&] { scan.next_page(); }) == error_kind::closed);
}

TEST(closing_ends_a_wait_on_another_thread) {
  batpak::store store(directory);
  std::optional<error_kind> ended;
  std::thread waiting([&] { ended = kind_of([&] { store.wait(1, std::chrono::hours(1)); }); });
  store.close();
  waiting.join();
  CHECK(ended == error_kind::closed);
}

TEST(threads_share_a_store) {
  const batpak::store store(directory, buffered());
  std::vector<std::thread> threads;
  for (const char* entity : {"a", "b", "c"})
    threads.emplace_back([&store, entity] {
      for (int i = 0; i < 100; ++i) store.append({entity, "s", 0x1000, "x"});
    });
  for (std::thread& thread : threads) thread.join();
  CHECK(events_of(store) == 300);
  for (const char* entity : {"a", "b", "c"}) CHECK(store.stream_head(entity)->clock == 99);
}

TEST(a_forked_child_is_refused) {
  const batpak::store store(directory);
  const pid_t child = fork();
  if (child == 0) {
    const error_kind kind = kind_of([&] { store.append({"a", "s", 0x1000, "x"}); });
    _exit(kind == error_kind::forked ? 7 : 1);
  }
  int status = 0;
  CHECK(waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 7);
  CHECK(store.append({"a", "s", 0x1000, "x"}).sequence == 0);
}

// ------------------------------------------------- stores that end with their thread or process

void open_and_append(std::optional<batpak::store>& store, const std::string& directory) {
  batpak::open_options options;
  options.buffer_ms = 600000;
  store.emplace(directory, options);
  store->append({"a", "s", 0x1000, "durable"});
  store->append({"a", "s", 0x1000, "buffered"}, batpak::durability::buffered);
}

void was_closed_cleanly(const std::string& directory) {
  const batpak::store store(directory);
  CHECK(store.report().clean);
  CHECK(events_of(store) == 2);
}

std::optional<batpak::store> of_process;

// What the library keeps for a thread goes before this does, since it was needed later.
thread_local std::optional<batpak::store> of_thread;

TEST(a_static_store_closes_when_the_process_ends) {
  std::cout.flush();
  const pid_t child = fork();
  if (child == 0) {
    alarm(60);  // A hang kills the child.
    try {
      open_and_append(of_process, directory);
    } catch (...) {
      _exit(1);
    }
    std::exit(0);
  }
  int status = 0;
  CHECK(waitpid(child, &status, 0) == child);
  CHECK(status == 0);
  was_closed_cleanly(directory);
}

TEST(a_thread_local_store_closes_when_its_thread_ends) {
  std::thread([&] { open_and_append(of_thread, directory); }).join();
  was_closed_cleanly(directory);
}

// ------------------------------------------------------------------------------------ lifetimes

template <class Event, class = void>
struct lends_payload : std::false_type {};
template <class Event>
struct lends_payload<Event, std::void_t<decltype(std::declval<Event>().payload())>>
    : std::true_type {};
static_assert(lends_payload<const batpak::event&>::value);
static_assert(!lends_payload<batpak::event>::value, "a view of a temporary event must not compile");

template <class Follow, class = void>
struct has_ranges : std::false_type {};
template <class Follow>
struct has_ranges<Follow, std::void_t<decltype(std::declval<Follow>().within({}))>>
    : std::true_type {};
static_assert(has_ranges<batpak::follow&>::value);
static_assert(!has_ranges<batpak::follow>::value, "a range of a temporary must not compile");

template <class Store, class = void>
struct can_be_followed : std::false_type {};
template <class Store>
struct can_be_followed<Store, std::void_t<decltype(std::declval<Store>().follow())>>
    : std::true_type {};
static_assert(can_be_followed<const batpak::store&>::value);
static_assert(!can_be_followed<batpak::store>::value, "nor may a follow of a temporary store");

template <class Store, class = void>
struct can_be_read : std::false_type {};
template <class Store>
struct can_be_read<Store, std::void_t<decltype(std::declval<Store>().read())>> : std::true_type {};
static_assert(can_be_read<const batpak::store&>::value);
static_assert(!can_be_read<batpak::store>::value, "a scan of a temporary store must not compile");

TEST(events_outlive_their_scan_and_store) {
  std::vector<batpak::event> kept;
  std::optional<batpak::event> found;
  {
    batpak::store store(directory, buffered());
    for (int i = 0; i < 3; ++i) {
      const std::string payload = "payload " + std::to_string(i);
      store.append({"a", "s", 0x1000, payload});
    }
    for (const batpak::event& event : store.read()) kept.push_back(event);
    found = store.at(1);
    store.close();
  }
  fs::remove_all(directory);
  CHECK(kept.size() == 3);
  CHECK(kept[2].payload().text() == "payload 2");
  CHECK(kept[2].entity() == "a" && kept[2].scope() == "s");
  const batpak::event copy = kept[0];
  kept.clear();
  CHECK(copy.payload().text() == "payload 0");
  CHECK(found->payload().text() == "payload 1");
}

TEST(handles_are_given_back) {
  const std::uint64_t before = batpak_debug_live_handles();
  {
    batpak::store store(directory);
    store.append_batch({{"a", "s", 0x1000, "1"}, {"a", "s", 0x1000, "2"}});
    batpak::scan scan = store.read();
    const std::vector<batpak::event> page = scan.next_page(1);
    const std::optional<batpak::event> none = store.at(9);
    CHECK(!none);
    // The store, the scan and the page's view.
    CHECK(batpak_debug_live_handles() == before + 3);
  }
  CHECK(batpak_debug_live_handles() == before);
}

// -------------------------------------------------------------------------------------- ranges

TEST(a_scan_is_a_range) {
  const batpak::store store(directory, buffered());
  std::vector<new_event> events(2500, {"a", "s", 0x1000, "x"});
  store.append_batch(events);

  std::uint64_t next = 0;
  for (const batpak::event& event : store.read()) CHECK(event.sequence() == next++);
  CHECK(next == 2500);
  for (const batpak::event& event : store.read(batpak::query().backward().limit(2000)))
    CHECK(event.sequence() == --next);
  CHECK(next == 500);

  batpak::scan all = store.read();
  const std::vector<batpak::event> kept(all.begin(), all.end());
  CHECK(kept.size() == 2500 && kept[2047].sequence() == 2047);
  CHECK(all.begin() == all.end());

  for (const batpak::event& event : store.read(batpak::query().entity("other")))
    throw failed_check{__LINE__, "found " + std::to_string(event.sequence())};
}

TEST(a_scan_goes_on_where_it_stopped) {
  const batpak::store store(directory, buffered());
  store.append_batch(std::vector<new_event>(10, {"a", "s", 0x1000, "x"}));
  batpak::scan scan = store.read();
  for (const batpak::event& event : scan)
    if (event.sequence() == 3) break;
  CHECK(scan.begin()->sequence() == 3);
  CHECK(kind_of([&] { scan.next_page(0); }) == error_kind::invalid_argument);
  std::vector<batpak::event> page = scan.next_page(2);
  CHECK(page.size() == 2 && page[0].sequence() == 3);
  CHECK(scan.next_page(100, 0).size() == 1);
  batpak::scan moved = std::move(scan);
  page = moved.next_page(100, 3);
  CHECK(page.size() == 3 && page[0].sequence() == 6);
  CHECK(moved.next_page().size() == 1);
  CHECK(moved.next_page().empty());
}

TEST(pages_keep_to_their_limits) {
  const batpak::store store(directory, buffered());
  const std::string payload(100, 'x');
  store.append_batch(std::vector<new_event>(5, {"a", "s", 0x1000, payload}));
  batpak::scan scan = store.read();
  CHECK(scan.next_page(100, 250).size() == 2);
  CHECK(scan.next_page(100, 1).size() == 1);
  CHECK(scan.next_page(1, 1000).size() == 1);
  CHECK(scan.next_page().size() == 1);
}

// ------------------------------------------------------------------------------------- follows

using namespace std::chrono_literals;

TEST(a_follow_gives_what_is_there_and_what_comes) {
  const batpak::store store(directory, buffered());
  store.append_batch(std::vector<new_event>(1500, {"a", "s", 0x1000, "x"}));
  batpak::follow follow = store.follow();
  std::uint64_t next = 0;
  for (const batpak::event& event : follow.within(0ms)) CHECK(event.sequence() == next++);
  CHECK(next == 1500 && follow.position() == 1500);
  CHECK(follow.next_page(0ms).empty());
  CHECK(follow.next_page(-1s).empty());

  std::thread appending([&] {
    for (int i = 0; i < 300; ++i) store.append({"a", "s", 0x1000, "x"});
  });
  for (const batpak::event& event : follow.within(10min)) {
    CHECK(event.sequence() == next++);
    if (next == 1800) break;
  }
  appending.join();
  // The event that an iterator stopped at is still to be passed.
  CHECK(follow.position() == 1799);
  CHECK(follow.within(0ms).begin()->sequence() == 1799);
  const std::vector<batpak::event> rest = follow.next_page(0ms);
  CHECK(rest.size() == 1 && rest[0].sequence() == 1799 && follow.position() == 1800);
}

TEST(a_follow_goes_on_from_a_position) {
  std::uint64_t position = 0;
  {
    const batpak::store store(directory, buffered());
    store.append_batch({{"a", "s", 0x1000, "1"}, {"b", "s", 0x1000, "2"}, {"a", "s", 0x1000, "3"}});
    batpak::follow follow = store.follow(batpak::query().entity("a"));
    CHECK(follow.next_page(1h, 1).size() == 1);
    position = follow.position();
    CHECK(position == 1);
  }
  const batpak::store store(directory);
  batpak::follow follow = store.follow(batpak::query().entity("a").from(position));
  const std::vector<batpak::event> page = follow.next_page(1h);
  CHECK(page.size() == 1 && page[0].payload() == "3");
  store.append({"b", "s", 0x1000, "4"});
  CHECK(follow.next_page(0ms).empty() && follow.position() == 4);
  batpak::follow moved = std::move(follow);
  CHECK(moved.position() == 4);
  CHECK(kind_of([&] { follow.next_page(0ms); }) == error_kind::bad_handle);
  CHECK(kind_of([&] { moved.next_page(0ms, 0); }) == error_kind::invalid_argument);
  CHECK(kind_of([&] { store.follow(batpak::query().backward()); }) ==
        error_kind::invalid_argument);
  CHECK(kind_of([&] { store.follow(batpak::query().limit(1)); }) == error_kind::invalid_argument);
}

TEST(closing_the_store_ends_a_follow) {
  batpak::store store(directory);
  store.append({"a", "s", 0x1000, "x"});
  batpak::follow follow = store.follow();
  std::optional<error_kind> ended;
  std::atomic<std::uint64_t> seen{0};
  std::thread following([&] {
    ended = kind_of([&] {
      for (const batpak::event& event : follow.within(std::chrono::milliseconds::max()))
        seen += event.sequence() + 1;
    });
  });
  while (seen == 0) std::this_thread::yield();
  store.close();
  following.join();
  CHECK(ended == error_kind::closed && seen == 1);
}

TEST(a_reader_follows_the_writer) {
  const batpak::store writer(directory);
  batpak::open_options options;
  options.mode = batpak::open_mode::read_only;
  const batpak::store reader(directory, options);
  batpak::follow follow = reader.follow();
  CHECK(follow.next_page(0ms).empty());
  writer.append_batch({{"a", "s", 0x1000, "1"}, {"a", "s", 0x1000, "2"}});
  const std::vector<batpak::event> page = follow.next_page(1h);
  CHECK(page.size() == 2 && page[1].payload() == "2");
}

// ------------------------------------------------------------------------------------- tickets

TEST(thousands_of_tickets_are_under_way) {
  const batpak::store store(directory);
  std::vector<batpak::ticket> tickets;
  for (int i = 0; i < 5000; ++i) {
    // What is handed in is borrowed for the call only.
    const std::string payload = std::to_string(i);
    tickets.push_back(store.append_async({"a", "s", 0x1000, payload}));
  }
  for (std::uint64_t at = 0; at < tickets.size(); ++at) {
    const std::vector<batpak::receipt> receipts = tickets[at].wait();
    CHECK(receipts.size() == 1 && receipts[0].sequence == at && tickets[at].done());
  }
  CHECK(store.at(4321)->payload() == "4321");
  CHECK(store.frontier().durable == 5000);

  batpak::ticket batch = store.append_batch_async(
      {{"a", "s", 0x1000, "x"}, {"b", "s", 0x1000, "y"}}, batpak::durability::written);
  CHECK(batch.wait_for(1h)->size() == 2 && batch.wait_for(0ms)->at(1).sequence == 5001);
  batch = store.append_batch_async({});
  CHECK(batch.wait().empty());
}

TEST(a_ticket_tells_why_it_failed) {
  batpak::store store(directory);
  store.append({"a", "s", 0x1000, "x"});
  CHECK(kind_of([&] { store.append_async({"a/b", "s", 0x1000, "x"}); }) ==
        error_kind::invalid_coordinate);
  new_event first{"a", "s", 0x1000, "x"};
  first.expected = batpak::expect::no_stream();
  const batpak::ticket conflict = store.append_async(first);
  CHECK(kind_of([&] { conflict.wait(); }) == error_kind::clock_conflict);
  CHECK(kind_of([&] { conflict.wait_for(0ms); }) == error_kind::clock_conflict);
  CHECK(conflict.done());

  // Tickets outlive their store, and appends their tickets.
  store.append_async({"a", "s", 0x1000, "x"});
  const batpak::ticket last = store.append_async({"a", "s", 0x1000, "x"});
  store.close();
  CHECK(last.wait().at(0).sequence == 2);
  CHECK(kind_of([&] { store.append_async(first); }) == error_kind::closed);
  CHECK(kind_of([&] { batpak::ticket().done(); }) == error_kind::bad_handle);
  CHECK(kind_of([&] { batpak::ticket().wait(); }) == error_kind::bad_handle);
}

/// Counts how many of it there are; it can only be moved.
struct counted {
  explicit counted(std::atomic<int>& alive) : alive_(&alive) { ++*alive_; }
  counted(counted&& from) noexcept : alive_(from.alive_) { ++*alive_; }
  ~counted() { --*alive_; }

 private:
  std::atomic<int>* alive_;
};

TEST(a_function_gets_the_result) {
  batpak::store store(directory);
  std::atomic<int> alive{0}, called{0};
  std::atomic<std::uint64_t> sequences{0};
  for (int i = 0; i < 1000; ++i)
    store.append_async({"a", "s", 0x1000, "x"},
                       [&, one = counted(alive)](const batpak::append_result& result) {
                         ++called;
                         if (!result.failure) sequences += result.receipts.at(0).sequence;
                       });
  std::optional<error_kind> failure;
  new_event first{"a", "s", 0x1000, "x"};
  first.expected = batpak::expect::no_stream();
  // Not const, and with the result as a value.
  auto fails = [&, one = std::make_unique<counted>(alive)](batpak::append_result result) mutable {
    failure = result.failure->kind();
    one.reset();
    ++called;
  };
  store.append_async(first, std::move(fails));
  // An lvalue is copied: the caller's stays as it is.
  const std::function<void(batpak::append_result)> kept = [&](const batpak::append_result& result) {
    called += static_cast<int>(result.receipts.size());
  };
  store.append_batch_async({{"a", "s", 0x1000, "x"}, {"b", "s", 0x1000, "y"}}, kept,
                           batpak::durability::written);
  CHECK(kept != nullptr);
  // Closing ends every append under way.
  store.close();
  for (int i = 0; i < 100'000 && (called != 1003 || alive != 0); ++i)
    std::this_thread::sleep_for(1ms);
  CHECK(called == 1003 && alive == 0);
  CHECK(sequences == 999 * 1000 / 2);
  CHECK(failure == error_kind::clock_conflict);
}

TEST(a_function_that_cannot_be_called_is_destroyed) {
  batpak::store store(directory);
  std::atomic<int> alive{0};
  const auto never = [&] {
    return [one = counted(alive)](const batpak::append_result&) { std::abort(); };
  };
  CHECK(kind_of([&] { store.append_async({"a/b", "s", 0x1000, "x"}, never()); }) ==
        error_kind::invalid_coordinate);
  CHECK(alive == 0);
  store.close();
  CHECK(kind_of([&] { store.append_async({"a", "s", 0x1000, "x"}, never()); }) ==
        error_kind::closed);
  CHECK(alive == 0);
}

// --------------------------------------------------------------------------------------- errors

TEST(a_fence_is_committed_as_one_batch) {
  batpak::store store(directory);
  store.append({"a", "s", 0x1000, "before"});
  const batpak::fence fence = store.begin_fence();
  CHECK(fence.append({"a", "s", 0x1000, "x"}) == 0);
  batpak::new_event caused{"b", "s", 0x1000, "y"};
  caused.causation = batpak::cause::item(0);
  caused.extensions = {{"k.v", "value"}};
  CHECK(fence.append_batch({caused, {"b", "s", 0x1000, "z"}}) == 1);
  CHECK(fence.append_batch({}) == 3 && fence.events() == 3);
  CHECK(store.head().events == 1);
  const std::vector<batpak::event> staged = fence.read();
  CHECK(staged.size() == 3 && staged[1].sequence() == 1 && staged[1].entity() == "b");
  CHECK(staged[1].extensions()[0].value.text() == "value" && staged[1].hash().is_zero());
  CHECK(fence.read(1, 1).size() == 1 && fence.read(0, 9, 0).size() == 1 && fence.read(3).empty());
  CHECK(kind_of([&] { fence.read(0, 0); }) == error_kind::invalid_argument);
  store.append({"a", "s", 0x1000, "between"});

  const batpak::committed done = fence.commit(batpak::durability::written);
  CHECK(done.first_sequence == 2 && done.events == 3 && !done.duplicate);
  CHECK(store.at(3)->causation() == store.at(2)->id() && store.at(3)->batch_continues());
  CHECK(store.head().events == 5 && staged[2].payload() == "z");
  CHECK(kind_of([&] { fence.append({"a", "s", 0x1000, "x"}); }) == error_kind::closed);
  CHECK(kind_of([&] { fence.append_batch({}); }) == error_kind::closed);
  CHECK(kind_of([&] { fence.events(); }) == error_kind::closed);
  CHECK(kind_of([&] { fence.read(); }) == error_kind::closed);
  CHECK(kind_of([&] { fence.commit(); }) == error_kind::closed);
  CHECK(kind_of([&] { fence.cancel(); }) == error_kind::closed);
}

TEST(a_fence_that_is_given_up_leaves_nothing) {
  batpak::store store(directory);
  batpak::fence_options options;
  CHECK(options.memory_bytes == 16 << 20);
  options.memory_bytes = 0;
  const batpak::new_event event{"a", "s", 0x1000, "x"};
  {
    const batpak::fence fence = store.begin_fence(options);
    fence.append(event);
    CHECK(batpak_debug_live_handles() == 2);
  }
  CHECK(batpak_debug_live_handles() == 1);
  batpak::fence fence = store.begin_fence(options);
  fence.append(event);
  fence.cancel();
  CHECK(kind_of([&] { fence.cancel(); }) == error_kind::closed);
  fence = store.begin_fence();
  fence.append(event);
  batpak::fence moved = std::move(fence);
  CHECK(kind_of([&] { fence.append(event); }) == error_kind::bad_handle);
  CHECK(kind_of([&] { batpak::fence().commit(); }) == error_kind::bad_handle);
  CHECK(moved.events() == 1);
  // What others do meanwhile decides at the commit; one that fails can be tried again.
  batpak::new_event first = event;
  first.entity = "b";
  first.expected = batpak::expect::exactly(0);
  CHECK(moved.append(first) == 1);
  CHECK(kind_of([&] { moved.commit(); }) == error_kind::clock_conflict);
  store.append({"b", "s", 0x1000, "there"});
  CHECK(moved.commit().first_sequence == 1);
  CHECK(store.head().events == 3);
  // It does not keep the store open.
  moved = store.begin_fence();
  moved.append(event);
  store.close();
  CHECK(kind_of([&] { moved.commit(); }) == error_kind::closed);
  CHECK(kind_of([&] { store.begin_fence(); }) == error_kind::closed);
  store = batpak::store(directory);
  CHECK(store.head().events == 3);
}

TEST(threads_share_a_fence) {
  batpak::store store(directory);
  const batpak::fence fence = store.begin_fence();
  std::atomic<int> committed{0}, refused{0};
  std::vector<std::thread> threads;
  for (const char* entity : {"a", "b", "c"})
    threads.emplace_back([&, entity] {
      for (int i = 0; i < 100; ++i) fence.append({entity, "s", 0x1000, "x"});
    });
  for (std::thread& thread : threads) thread.join();
  CHECK(fence.events() == 300);
  threads.clear();
  for (int i = 0; i < 3; ++i)
    threads.emplace_back([&] {
      try {
        committed += fence.commit().events == 300;
      } catch (const batpak::error& error) {
        refused += error.kind() == error_kind::closed;
      }
    });
  for (std::thread& thread : threads) thread.join();
  CHECK(committed == 1 && refused == 2);
  for (const char* entity : {"a", "b", "c"}) CHECK(store.stream_head(entity)->clock == 99);
}

TEST(errors_say_what_and_what_next) {
  const batpak::store store(directory);
  store.append({"a", "s", 0x1000, "x"});
  new_event next{"a", "s", 0x1000, "y"};
  next.expected = batpak::expect::no_stream();
  const batpak::error conflict = error_of([&] { store.append(next); });
  CHECK(conflict.kind() == error_kind::clock_conflict);
  CHECK(conflict.retry() == batpak::retry::after_reading);
  CHECK(!conflict.segment() && !conflict.offset() && !conflict.os_code());
  CHECK(std::string(conflict.what()).size() > 10);
  next.expected = batpak::expect::exactly(0);
  CHECK(store.append(next).clock == 1);

  CHECK(kind_of([&] { batpak::store other(directory); }) == error_kind::locked);
  CHECK(kind_of([&] { store.append({"a/b", "s", 0x1000, "x"}); }) ==
        error_kind::invalid_coordinate);
  CHECK(kind_of([&] { store.append({"a", "s", {0xD, 1}, "x"}); }) == error_kind::invalid_kind);
  CHECK(kind_of([&] { store.read(batpak::query().entity("a").prefix("a")); }) ==
        error_kind::invalid_argument);

  batpak::open_options existing;
  existing.mode = batpak::open_mode::existing;
  const std::string missing = directory + "/missing";
  CHECK(kind_of([&] { batpak::store other(missing, existing); }) == error_kind::not_found);
}

TEST(an_error_names_the_damaged_place) {
  std::uint64_t segment = 0, offset = 0;
  {
    batpak::store store(directory);
    store.append({"a", "s", 0x1000, "first"});
    store.append({"b", "s", 0x1000, "second"});
    segment = store.at(0)->segment();
    offset = store.at(0)->offset();
    store.close();
  }
  std::ostringstream name;
  name << directory << '/' << std::setw(6) << std::setfill('0') << segment << ".fbat";
  flip_byte(name.str(), static_cast<std::streamoff>(offset) + 40);
  {
    const batpak::store store(directory);
    const batpak::error damage = error_of([&] { store.at(0); });
    CHECK(damage.kind() == error_kind::corrupt && damage.retry() == batpak::retry::never);
    CHECK(damage.segment() == segment && damage.offset() == offset);
    CHECK(kind_of([&] { for (const batpak::event& event : store.read()) (void)event; }) ==
          error_kind::corrupt);
    const batpak::verify_report report = store.verify();
    CHECK(!report.is_intact() && report.findings.size() == 1);
    CHECK(batpak::name(report.findings[0].kind) == "FRAME");
    CHECK(report.findings[0].segment == segment && report.findings[0].offset == offset);
    CHECK(!report.findings[0].message.empty());
  }
  batpak::open_options salvage;
  salvage.mode = batpak::open_mode::salvage;
  const batpak::open_report report = batpak::store(directory, salvage).report();
  CHECK(!report.damage.empty() && !report.damage[0].empty());
}

TEST(kinds_have_names) {
  CHECK(batpak::name(error_kind::clock_conflict) == "CLOCK_CONFLICT");
  CHECK(batpak::name(batpak::retry::after_reopening) == "AFTER_REOPENING");
  CHECK(batpak::retry_of(error_kind::locked) == batpak::retry::later);
  CHECK(batpak::retry_of(static_cast<error_kind>(9999)) == batpak::retry::unknown);
}

// ---------------------------------------------------------------------------------------- gates

using refused = std::optional<batpak::refusal>;

TEST(gates_see_the_event_and_refuse_it) {
  const batpak::store store(directory);
  new_event event{"order:1", "shop", 0x1001, "payload"};
  event.lane = 3;
  event.flags = 200;
  event.timestamp_us = -5;
  event.correlation = batpak::id::for_operation("test", {"gates"});
  event.causation = batpak::cause::item(0);
  event.extensions = {{"audit.user", "alice"}};
  std::vector<std::string> asked;
  batpak::gate_set set;
  set.gates.push_back({"looks", [&](const new_event& given) -> refused {
    CHECK(given.entity == "order:1" && given.scope == "shop" && given.kind == 0x1001);
    CHECK(given.payload == "payload" && given.lane == 3 && given.flags == 200);
    CHECK(given.timestamp_us == -5 && given.correlation == event.correlation);
    CHECK(given.extensions.size() == 1 && given.extensions[0].value == "alice");
    asked.push_back("looks");
    return {};
  }});
  set.gates.push_back({"refuses", [&](const new_event&) -> refused {
    asked.push_back("refuses");
    return batpak::refusal{"LIMIT", std::string(1000, 'm')};
  }});
  set.gates.push_back({"last", [&](const new_event&) -> refused {
    asked.push_back("last");
    return {};
  }});

  event.causation = {};
  const batpak::error denied = error_of([&] { store.append_gated({event}, set); });
  CHECK(denied.kind() == error_kind::denied);
  CHECK(std::string(denied.what()).find("LIMIT") != std::string::npos);
  CHECK((asked == std::vector<std::string>{"looks", "refuses"}));

  set.mode = batpak::gate_mode::all;
  CHECK(kind_of([&] { store.append_gated({event}, set); }) == error_kind::denied);
  CHECK(asked.size() == 5 && asked[4] == "last");
  CHECK(store.head().events == 0);

  set.gates.erase(set.gates.begin() + 1);
  const std::vector<batpak::receipt> receipts = store.append_gated({event}, set);
  CHECK(receipts.size() == 1 && receipts[0].sequence == 0 && receipts[0].timestamp_us == -5);
}

TEST(an_exception_of_a_gate_comes_out_of_the_append) {
  const batpak::store store(directory);
  batpak::gate_set set;
  set.mode = batpak::gate_mode::all;
  set.gates.push_back({"throws", [](const new_event&) -> refused {
    throw std::out_of_range("first");
  }});
  set.gates.push_back({"throws too", [](const new_event&) -> refused { throw 7; }});
  std::string what;
  try {
    store.append_gated({{"a", "s", 0x1000, "x"}}, set);
  } catch (const std::out_of_range& thrown) {
    what = thrown.what();
  }
  CHECK(what == "first");
  CHECK(store.head().events == 0);
  CHECK(store.append({"a", "s", 0x1000, "x"}).sequence == 0);

  set.gates.push_back({"empty", nullptr});
  set.gates.erase(set.gates.begin(), set.gates.begin() + 2);
  bool empty = false;
  try {
    store.append_gated({{"a", "s", 0x1000, "x"}}, set);
  } catch (const std::bad_function_call&) {
    empty = true;
  }
  CHECK(empty && store.head().events == 1);
}

TEST(a_gate_may_read_the_store) {
  const batpak::store store(directory);
  store.append({"a", "s", 0x1000, "x"});
  batpak::gate_set set;
  set.gates.push_back({"reads", [&](const new_event& event) -> refused {
    if (store.stream_head(event.entity)) return batpak::refusal{"TAKEN", "there is one already"};
    return {};
  }});
  CHECK(kind_of([&] { store.append_gated({{"a", "s", 0x1000, "x"}}, set); }) == error_kind::denied);
  CHECK(store.append_gated({{"b", "s", 0x1000, "x"}}, set).size() == 1);
}

TEST(denials_are_recorded) {
  const batpak::store store(directory);
  batpak::gate_set set;
  set.record_denial = true;
  set.gates.push_back({"never", [](const new_event&) -> refused {
    return batpak::refusal{"NO", "never"};
  }});
  CHECK(kind_of([&] { store.append_gated({{"a", "s", 0x1000, "x"}}, set); }) == error_kind::denied);
  CHECK(store.at(0)->kind() == 0x000F);
  const batpak::receipt receipt = store.record_denial(
      {"a", "s", 0x1000, "x"},
      {{"first", batpak::verdict::permit}, {"second", batpak::verdict::deny, {"NO", "never"}}});
  CHECK(receipt.sequence == 1);
  CHECK(store.at(1)->kind() == 0x000F);
}

// --------------------------------------------------------------------------------------- values

TEST(bytes_come_from_anything_contiguous) {
  const batpak::store store(directory);
  const std::string with_nul("a\0b", 3);
  const std::vector<std::uint8_t> vector{0, 1, 2};
  const std::array<std::byte, 2> array{std::byte{7}, std::byte{8}};
  const std::string_view view = "view";
  const std::uint32_t number = 0;
  const std::vector<batpak::bytes_view> given{
      with_nul, vector, array, view, "literal", {&number, sizeof number}, {}, std::vector<char>()};
  const std::vector<std::size_t> sizes{3, 3, 2, 4, 7, 4, 0, 0};
  for (std::size_t at = 0; at < given.size(); ++at) {
    store.append({"a", "s", 0x1000, given[at]});
    const batpak::event event = *store.at(at);
    CHECK(event.payload() == given[at] && event.payload().size() == sizes[at]);
  }
  CHECK(given[0] != given[1] && given[1][2] == 2);
#if __cplusplus >= 202002L
  static_assert(std::ranges::contiguous_range<batpak::bytes_view>);
  static_assert(std::ranges::borrowed_range<batpak::bytes_view>);
  const batpak::event event = *store.at(1);
  const std::span<const std::uint8_t> span = event.payload();
  CHECK(span.size() == 3 && span[2] == 2);
  store.append({"a", "s", 0x1000, std::as_bytes(span)});
#endif
}

TEST(ids_and_hashes_are_values) {
  const std::string digits = "000102030405060708090a0b0c0d0e0f";
  const batpak::id id = batpak::id::from_hex(digits);
  CHECK(id.hex() == digits && id == batpak::id::from_hex("000102030405060708090A0B0C0D0E0F"));
  CHECK(batpak::id().is_zero() && !id.is_zero() && batpak::id() < id);
  for (const std::string& bad : {std::string(), digits + "0", "g" + digits.substr(1)})
    CHECK(kind_of([&] { batpak::id::from_hex(bad); }) == error_kind::invalid_argument);
  CHECK(batpak::hash::from_hex(digits + digits).hex() == digits + digits);

  const batpak::id operation = batpak::id::for_operation("billing", {"invoice-7", "paid"});
  CHECK(operation == batpak::id::for_operation("billing", {"invoice-7", "paid"}));
  CHECK(operation != batpak::id::for_operation("billing", {"invoice-7p", "aid"}));
  const std::unordered_map<batpak::id, int> by_id{{id, 1}, {operation, 2}};
  const std::map<batpak::id, int> in_order{{id, 1}, {operation, 2}};
  CHECK(by_id.at(operation) == 2 && in_order.begin()->first == id);
}

TEST(every_field_goes_in_and_comes_out) {
  const batpak::store store(directory);
  new_event event{"order:1", "shop", {0xF, 0xA01}, "payload"};
  event.id = batpak::id::for_operation("test", {"one"});
  event.correlation = batpak::id::for_operation("test", {"all"});
  event.causation = batpak::cause::event(batpak::id::for_operation("test", {"cause"}));
  event.lane = 4;
  event.depth = 2;
  event.flags = 255;
  event.payload_version = 65535;
  event.timestamp_us = 1'700'000'000'000'000;
  event.extensions = {{"b.y", {"\0\1", 2}}, {"a.x", ""}};
  new_event effect{"order:2", "shop", 0x1002, {}};
  effect.causation = batpak::cause::item(0);
  const std::vector<batpak::receipt> receipts =
      store.append_batch({event, effect}, batpak::durability::written);
  CHECK(receipts.size() == 2 && receipts[0].id == event.id && receipts[1].sequence == 1);
  CHECK(receipts[0].lane == 4 && receipts[0].timestamp_us == event.timestamp_us);
  CHECK(store.append(event).duplicate);

  const batpak::event first = *store.get(event.id), second = *store.at(1);
  CHECK(first.kind().category() == 0xF && first.kind().type() == 0xA01);
  CHECK(first.correlation() == event.correlation);
  CHECK(first.causation() == batpak::id::for_operation("test", {"cause"}));
  CHECK(first.lane() == 4 && first.depth() == 2 && first.flags() == 255 && first.clock() == 0);
  CHECK(first.payload_version() == 65535 && first.timestamp_us() == event.timestamp_us);
  CHECK(first.batch_continues() && !second.batch_continues());
  CHECK(first.hash() == receipts[0].hash && first.prev_hash().is_zero());
  CHECK(first.wall_us() == receipts[0].wall_us && first.stored_bytes() % 8 == 0);
  CHECK(second.causation() == event.id && second.correlation() == second.id());
  const std::vector<batpak::extension> extensions = first.extensions();
  CHECK(extensions.size() == 2 && extensions[0].key == "a.x" && extensions[1].key == "b.y");
  CHECK(extensions[0].value.empty() && extensions[1].value.size() == 2);
  CHECK(second.extensions().empty());

  const batpak::ancestry walk = store.ancestors(second.id(), batpak::link::causation, 10);
  CHECK(walk.events.size() == 2 && walk.events[1].id() == event.id);
  CHECK(walk.boundary == batpak::boundary::missing);
  CHECK(store.append_batch({}).empty());
}

TEST(a_store_describes_itself) {
  std::string path;
  {
    batpak::open_options options;
    options.mode = batpak::open_mode::create_new;
    options.seed = 1;
    batpak::store store(directory, options);
    path = store.path();
    CHECK(store.report().created && store.report().events == 0);
    const batpak::receipt receipt = store.append({"a", "s", 0x1000, "x"});
    CHECK(store.head().events == 1 && store.head().last_hash == receipt.hash);
    CHECK(!store.head().root.is_zero() && store.verify().root == store.head().root);
    CHECK(store.frontier().durable == 1 && store.frontier().visible == 1);
    CHECK(store.stats().entities == 1 && !store.stats().store_id.is_zero());
    CHECK(store.stream_head("a")->hash == receipt.hash && !store.stream_head("a", 1));
    CHECK(store.wait(1, std::chrono::seconds(0)) == 1 && store.refresh() == 1);
    CHECK(store.wait(2, std::chrono::seconds(-1)) == 1);
    store.flush();
    store.sync();
    store.close();
  }
  CHECK(path == directory);
  std::ofstream(fs::path(directory) / "notes.txt") << "not the store's";
  const batpak::store store(directory);
  const batpak::open_report report = store.report();
  CHECK(!report.created && report.clean && report.events == 1 && !report.cut_at);
  CHECK(report.cut_reason.empty() && report.damage.empty());
  CHECK(report.ignored == std::vector<std::string>{"notes.txt"});
  CHECK(batpak::version() == BATPAK_VERSION_TEXT);
}

TEST(long_paths_are_whole) {
  const std::string deep = directory + '/' + std::string(200, 'd') + '/' + std::string(200, 'e');
  fs::create_directories(deep);
  CHECK(batpak::store(deep).path() == deep);
}

// --------------------------------------------------------------------------- looking at a store

TEST(a_directory_is_inspected) {
  const std::string path = directory + "/store";
  const batpak::inspection none = batpak::inspect(path);
  CHECK(none.opening == batpak::opening::creates && !none.refusal && none.bytes == 0);
  CHECK(none.store_id.is_zero() && none.report.format == 0 && !fs::exists(path));
  std::optional<batpak::store> store(path);
  store->append({"a", "s", 0x1000, "x"});
  const batpak::inspection live = batpak::inspect(path);
  CHECK(live.opening == batpak::opening::locked && !live.refusal && live.report.events == 1);
  const batpak::stats stats = store->stats();
  CHECK(live.store_id == stats.store_id && live.lineage_id == stats.lineage_id);
  CHECK(store->append({"a", "s", 0x1000, "y"}).sequence == 1);

  // As a power cut leaves it.
  fs::copy(path, directory + "/torn");
  const fs::path segment = fs::path(directory) / "torn" / "000001.fbat";
  const std::uintmax_t end = batpak::inspect(path).bytes;
  fs::resize_file(segment, end);
  std::ofstream(segment, std::ios::app | std::ios::binary) << "torn";
  const batpak::inspection torn = batpak::inspect(directory + "/torn");
  CHECK(torn.opening == batpak::opening::recovers && torn.report.events == 2);
  CHECK(torn.report.cut_bytes == 4 && torn.report.cut_at->second == end);
  CHECK(!torn.report.cut_reason.empty() && fs::file_size(segment) == end + 4);
  CHECK(batpak::store(directory + "/torn").report().cut_reason == torn.report.cut_reason);
  CHECK(batpak::inspect(directory + "/torn").opening == batpak::opening::opens);

  store->export_to(directory + "/old");
  const batpak::inspection old = batpak::inspect(directory + "/old");
  CHECK(old.opening == batpak::opening::only_reads && old.report.format == 1 && !old.refusal);

  store.reset();
  flip_byte(fs::path(path) / "000001.fbat", 8);
  const std::string notes(250, 'n');
  std::ofstream(fs::path(path) / notes) << "mine";
  const batpak::inspection damaged = batpak::inspect(path);
  CHECK(damaged.opening == batpak::opening::refuses && damaged.refusal);
  const batpak::error thrown = error_of([&] { batpak::store again(path); });
  CHECK(damaged.refusal->kind() == error_kind::corrupt && thrown.kind() == error_kind::corrupt);
  CHECK(std::string(damaged.refusal->what()) == thrown.what());
  CHECK(damaged.refusal->segment() == thrown.segment());
  batpak::open_options salvage;
  salvage.mode = batpak::open_mode::salvage;
  const batpak::open_report salvaged = batpak::store(path, salvage).report();
  CHECK(!salvaged.damage.empty() && damaged.report.damage == salvaged.damage);
  CHECK(damaged.report.ignored == std::vector<std::string>{notes});

  CHECK(kind_of([&] { batpak::inspect(segment.string()); }) == error_kind::io);
  CHECK(kind_of([] { batpak::inspect(""); }) == error_kind::invalid_argument);
  CHECK(batpak::name(batpak::opening::only_reads) == "ONLY_READS");
}

TEST(options_say_how_often_a_store_goes_on) {
  batpak::open_options options;
  CHECK(options.restarts == 1 && options.restart_window_ms == 0);
  options.restarts = 0;
  options.restart_window_ms = 1000;
  CHECK(batpak::store(directory, options).append({"a", "s", 0x1000, "x"}).sequence == 0);
}

// --------------------------------------------------------------------------------- other stores

TEST(a_store_goes_out_and_comes_back) {
  const batpak::store store(directory + "/store");
  store.append_batch({{"a", "s", 0x1000, "x"}, {"a:b", "s", 0x1000, "y"}, {"c", "t", 0x2000, "z"}});
  batpak::export_options small;
  small.segment_bytes = 1;
  const batpak::export_report out = store.export_to(directory + "/old", {}, small);
  CHECK(out.exported == 3 && out.segments == 3 && out.bytes > 0 && out.hidden == 0);
  CHECK(out.dropped == 0 && out.drops.empty());
  // A temporary query is fine, since nothing of it is kept.
  CHECK(store.export_to(directory + "/part", batpak::query().prefix("a")).exported == 2);

  batpak::open_options reading;
  reading.mode = batpak::open_mode::read_only;
  const batpak::store old(directory + "/old", reading);
  CHECK(old.report().format == 1 && store.report().format == 2 && old.report().hidden == 0);
  CHECK(old.at(2)->id() == store.at(2)->id() && old.at(2)->payload() == store.at(2)->payload());
  CHECK(old.receipt_cover_0x(0).size() > 64 && old.receipt_cover_0x(0).front() == 1);
  CHECK(kind_of([&] { old.receipt_cover_0x(3); }) == error_kind::not_found);
  CHECK(kind_of([&] { store.receipt_cover_0x(0); }) == error_kind::unsupported);
  CHECK(kind_of([&] { old.import_from(directory + "/store"); }) == error_kind::read_only);
  CHECK(kind_of([&] { store.export_to(directory + "/old"); }) == error_kind::invalid_argument);

  const batpak::store copy(directory + "/copy");
  const auto region = batpak::query().scope("s");
  const batpak::import_report part = copy.import_from(directory + "/old", region);
  CHECK(part.format == 1 && part.imported == 2 && part.outside == 1 && !part.sequences_kept);
  const batpak::import_report rest = copy.import_from(directory + "/old");
  CHECK(rest.imported == 1 && rest.already_there == 2 && rest.sequences_kept);
  CHECK(rest.source == old.stats().store_id && rest.keys_without_events == 0);
  for (const batpak::query& wrong : {batpak::query().backward(), batpak::query().from(1),
                                     batpak::query().limit(1)}) {
    CHECK(kind_of([&] { copy.import_from(directory + "/old", wrong); }) ==
          error_kind::invalid_argument);
    CHECK(kind_of([&] { copy.export_to(directory + "/none", wrong); }) ==
          error_kind::invalid_argument);
  }
  CHECK(!fs::exists(directory + "/none"));
}

TEST(an_import_says_what_it_left_out) {
  const batpak::store store(directory + "/store"), other(directory + "/other");
  new_event event{"a", "s", 0x1000, "x"};
  event.id = batpak::id::for_operation("test", {"one"});
  store.append(event);
  event.payload = "y";
  other.append(event);
  const batpak::import_report report = other.import_from(directory + "/store");
  CHECK(report.dropped == 1 && report.imported == 0 && report.drops.size() == 1);
  const batpak::dropped& dropped = report.drops[0];
  CHECK(dropped.sequence == 0u && dropped.is_event && dropped.segment == 0);
  CHECK(dropped.reason.find("is taken by event 0") != std::string::npos);

  // What salvage passes over has no sequence.
  store.export_to(directory + "/old");
  const fs::path segment = fs::path(directory) / "old" / "000001.fbat";
  fs::resize_file(segment, fs::file_size(segment) - 1);
  batpak::import_options salvage;
  salvage.salvage = true;
  const batpak::import_report torn = other.import_from(directory + "/old", {}, salvage);
  CHECK(torn.imported == 0 && torn.dropped == 0 && torn.drops.size() == 1);
  CHECK(!torn.drops[0].sequence && !torn.drops[0].is_event && torn.drops[0].segment == 1);
}

// -------------------------------------------------------------------------------------- copies

TEST(a_snapshot_is_the_store_as_it_was) {
  batpak::open_options small;
  small.segment_bytes = 4096;
  const batpak::store store(directory + "/store", small);
  const std::string payload(5000, 'x');
  for (int at = 0; at < 3; ++at) store.append({"a", "s", 0x1000, payload});
  const batpak::copy_report first = store.snapshot_to(directory + "/copies/first");
  CHECK(first.store_id == store.stats().store_id && first.root == store.head().root);
  CHECK(first.events == 3 && first.segments == 3 && first.linked == 2 && first.copied == 1);
  CHECK(first.bytes_copied > 5000 && first.bytes_copied < 6000);

  batpak::snapshot_options apart;
  apart.independent = true;
  CHECK(store.snapshot_to(directory + "/apart", apart).linked == 0);
  apart.earlier = directory + "/copies/first";
  CHECK(store.snapshot_to(directory + "/second", apart).linked == 2);
  CHECK(!store.parent());

  store.append({"a", "s", 0x1000, "more"});
  const batpak::snapshot_check check = store.verify_snapshot(directory + "/second");
  CHECK(check.is_prefix && check.report.is_intact() && check.report.events == 3);
  CHECK(check.diff->common == 3 && check.diff->ours == 4 && check.diff->theirs == 3);
  {
    const batpak::store restored(directory + "/second");
    CHECK(restored.report().clean && restored.verify().root == first.root);
    for (int at = 0; at < 2; ++at) restored.append({"a", "s", 0x1000, "other"});
  }
  const batpak::snapshot_check parted = store.verify_snapshot(directory + "/second");
  CHECK(!parted.is_prefix && parted.report.is_intact());
  CHECK(parted.diff->common == 3 && parted.diff->ours == 4 && parted.diff->theirs == 5);

  // More findings than none, so that they are asked for again.
  std::fstream segment(directory + "/apart/000002.fbat", std::ios::in | std::ios::out);
  segment.seekp(3000).write("?", 1).flush();
  CHECK(segment.good());
  const batpak::snapshot_check damaged = store.verify_snapshot(directory + "/apart");
  CHECK(!damaged.is_prefix && !damaged.diff && damaged.report.findings.size() == 2);
  CHECK(damaged.report.findings[0].kind == batpak::finding_kind::frame);
  CHECK(damaged.report.findings[0].segment == 2 && !damaged.report.findings[0].message.empty());

  CHECK(kind_of([&] { store.snapshot_to(directory + "/second"); }) ==
        error_kind::invalid_argument);
  CHECK(kind_of([&] { store.verify_snapshot(directory + "/none"); }) == error_kind::not_found);
  apart.earlier = directory + "/none";
  CHECK(kind_of([&] { store.snapshot_to(directory + "/third", apart); }) == error_kind::not_found);
  CHECK(!fs::exists(directory + "/third"));
}

TEST(a_fork_goes_its_own_way) {
  batpak::store store(directory + "/store");
  store.append({"a", "s", 0x1000, "x"});
  store.append_batch({{"a", "s", 0x1000, "y"}, {"b", "s", 0x1000, "z"}});
  batpak::fork_options options;
  options.at = 1;
  const batpak::copy_report report = store.fork_to(directory + "/one", options);
  CHECK(report.events == 1 && report.root == store.head_at(1).root);
  CHECK(report.store_id != store.stats().store_id);
  options.at = 2;
  const batpak::error cut = error_of([&] { store.fork_to(directory + "/two", options); });
  CHECK(cut.kind() == error_kind::invalid_argument);
  CHECK(std::string(cut.what()).find("fork at 1 or at 3") != std::string::npos);
  options.at = 0;
  CHECK(store.fork_to(directory + "/none", options).events == 0);
  CHECK(store.fork_to(directory + "/all").events == 3);

  batpak::store fork(directory + "/one");
  CHECK(fork.stats().store_id == report.store_id);
  CHECK(fork.stats().lineage_id == store.stats().lineage_id);
  const std::optional<batpak::parent> parent = fork.parent();
  CHECK(parent->store_id == store.stats().store_id && parent->events == 1);
  CHECK(parent->root == report.root);
  fork.append({"a", "s", 0x1000, "own"});
  const batpak::diff diff = store.diff(directory + "/one");
  CHECK(diff.common == 1 && diff.ours == 3 && diff.theirs == 2);
  CHECK(fork.diff(directory + "/store").theirs == 3);
  CHECK(kind_of([&] { store.diff(directory + "/never"); }) == error_kind::not_found);

  store.close();
  CHECK(kind_of([&] { store.snapshot_to(directory + "/late"); }) == error_kind::closed);
  CHECK(kind_of([&] { store.fork_to(directory + "/late"); }) == error_kind::closed);
  CHECK(kind_of([&] { store.diff(directory + "/one"); }) == error_kind::closed);
  CHECK(kind_of([&] { store.verify_snapshot(directory + "/one"); }) == error_kind::closed);
  CHECK(kind_of([&] { store.parent(); }) == error_kind::closed);
}

// --------------------------------------------------------------------------------- compactions

/// A store of ten events, "0" to "9", whose entities are "even" and "odd".
batpak::store ten_events(const std::string& directory) {
  batpak::store store(directory);
  for (int at = 0; at < 10; ++at) {
    const std::string payload(1, static_cast<char>('0' + at));
    store.append({at % 2 ? "odd" : "even", "s", 0x1000, payload});
  }
  return store;
}

/// The payloads that are shown; an erased one is "-".
std::string payloads(const batpak::store& store) {
  std::string all;
  for (const batpak::event& event : store.read())
    all += event.is_erased() ? "-" : std::string(event.payload().text());
  return all;
}

TEST(a_compaction_drops_what_every_rule_calls_unwanted) {
  const batpak::store store = ten_events(directory);
  const batpak::hash root = store.head().root;
  CHECK(store.compact().segments_replaced == 0);
  CHECK(kind_of([&] {
    batpak::compact_options options;
    options.retention.emplace();
    store.compact(options);
  }) == error_kind::invalid_argument);

  batpak::compact_options options;
  batpak::retention& retention = options.retention.emplace();
  CHECK(retention.keys.window == 1 << 20 && retention.keys.most == 1 << 20);
  retention.region.entity("odd");
  retention.before = 6;
  retention.keep = [](const batpak::event& event) { return event.payload() == "3"; };
  std::vector<std::uint64_t> steps;
  options.progress = [&](const batpak::compact_progress& told) {
    CHECK(told.segments == 1);
    steps.push_back(told.segments_done);
  };
  batpak::compact_report report = store.compact(options);
  CHECK(payloads(store) == "02346789" && store.head().root == root);
  CHECK(report.events_dropped == 2 && report.tombstones == 0 && report.keys_kept == 0);
  CHECK(report.segments_before == 2 && report.segments_after == 2);
  CHECK(report.segments_replaced == 1 && report.segments_written == 1);
  CHECK(report.bytes_after == store.stats().bytes && report.bytes_before > 0);
  CHECK((steps == std::vector<std::uint64_t>{0, 1}));

  options = {};
  options.retention.emplace().newest_per_entity = 4;
  options.retention->unwanted = batpak::unwanted::erase;
  report = store.compact(options);
  CHECK(report.tombstones == 1 && payloads(store) == "-2346789");
  CHECK(store.stats().events == 8 && store.head().events == 10);
  CHECK(store.at(0)->kind() == 0x0FFE && store.at(0)->is_erased());
  CHECK(!store.at(2)->is_erased() && store.at(2)->kind() == 0x1000);

  options = {};
  options.retention.emplace().older_than_us = store.at(3)->timestamp_us();
  options.retention->unwanted = batpak::unwanted::tombstone;
  report = store.compact(options);
  CHECK(store.at(2)->kind() == 0x0FFE && payloads(store) == "-2346789");
  const batpak::verify_report found = store.verify();
  CHECK(found.is_intact() && found.root == root && found.last_hash == store.at(9)->hash());
  CHECK(found.events == 10 && found.dropped == 2 && found.tombstones == 2 && found.erased == 1);
}

TEST(keys_of_dropped_events_are_kept_or_too_many) {
  const batpak::store store(directory);
  new_event event{"a", "s", 0x1000, "x"};
  for (const char* own : {"1", "2", "3"}) {
    event.id = batpak::id::for_operation("test", {own});
    store.append(event);
  }
  batpak::compact_options options;
  batpak::retention& retention = options.retention.emplace();
  retention.before = 3;
  retention.keys.most = 2;
  retention.keys.overflow = batpak::key_overflow::refuse;
  CHECK(kind_of([&] { store.compact(options); }) == error_kind::too_large);
  CHECK(payloads(store) == "xxx");
  retention.keys.overflow = batpak::key_overflow::warn;
  const batpak::compact_report report = store.compact(options);
  CHECK(report.events_dropped == 3 && report.keys_kept == 3 && report.keys_over == 1);
  CHECK(payloads(store).empty() && store.append(event).duplicate);
}

TEST(an_exception_of_a_function_comes_out_of_the_compaction) {
  const batpak::store store = ten_events(directory);
  batpak::compact_options options;
  options.retention.emplace().keep = [](const batpak::event& event) -> bool {
    if (event.sequence() == 5) throw std::out_of_range("the fifth");
    return false;
  };
  std::string what;
  try {
    store.compact(options);
  } catch (const std::out_of_range& thrown) {
    what = thrown.what();
  }
  CHECK(what == "the fifth" && payloads(store) == "0123456789");

  // It need not be one of the library's or the standard's.
  options.retention->keep = nullptr;
  options.retention->before = 5;
  options.progress = [](const batpak::compact_progress& told) {
    if (told.segments_done == 1) throw 7;
  };
  int number = 0;
  try {
    store.compact(options);
  } catch (int thrown) {
    number = thrown;
  }
  CHECK(number == 7 && payloads(store) == "0123456789");

  // What a call inside throws comes out, too, and comes before what the compaction has to say.
  options.progress = [&](const batpak::compact_progress&) { store.compact(); };
  CHECK(kind_of([&] { store.compact(options); }) == error_kind::locked);
  options.progress = nullptr;
  CHECK(store.compact(options).events_dropped == 5 && payloads(store) == "56789");
}

TEST(functions_of_a_compaction_may_use_the_store_and_keep_events) {
  std::vector<batpak::event> kept;
  {
    const batpak::store store = ten_events(directory);
    batpak::compact_options options;
    options.retention.emplace().keep = [&](const batpak::event& event) {
      CHECK(store.at(event.sequence())->hash() == event.hash());
      kept.push_back(event);
      return false;
    };
    options.progress = [&](const batpak::compact_progress&) {
      store.append({"new", "s", 0x1000, "+"});
    };
    CHECK(store.compact(options).events_dropped == 10 && payloads(store) == "++");
  }
  CHECK(kept.size() == 10 && kept[9].payload() == "9" && kept[9].entity() == "odd");
  CHECK(kept[8].scope() == "s" && kept[8].extensions().empty() && !kept[8].is_erased());
}

TEST(closing_the_store_ends_its_compaction) {
  for (const bool on_a_thread : {false, true}) {
    batpak::store store = ten_events(directory + (on_a_thread ? "/thread" : "/call"));
    batpak::compact_options options;
    options.retention.emplace().keep = [&](const batpak::event& event) {
      if (event.sequence() != 4) return false;
      if (on_a_thread) std::thread([&] { store.close(); }).join();
      else store.close();
      return false;
    };
    CHECK(kind_of([&] { store.compact(options); }) == error_kind::closed);
    CHECK(kind_of([&] { store.compact(); }) == error_kind::closed);
    const batpak::store again(directory + (on_a_thread ? "/thread" : "/call"));
    CHECK(payloads(again) == "0123456789" && again.verify().is_intact());
  }
  const batpak::store none;
  CHECK(kind_of([&] { none.compact(); }) == error_kind::bad_handle);
}

// --------------------------------------------------------------------------------------- repairs

TEST(a_damaged_store_is_repaired) {
  const std::string from = directory + "/store", to = directory + "/copy";
  {
    const batpak::store store = ten_events(from);
    CHECK(kind_of([&] { batpak::repair(from, to); }) == error_kind::locked && !fs::exists(to));
  }
  const batpak::id source = batpak::inspect(from).store_id;
  batpak::repair_report report = batpak::repair(from, to);
  CHECK(report.source == source && report.store_id == batpak::inspect(to).store_id);
  CHECK(report.kept == 10 && report.appended == 0 && report.dropped == 0 && report.lost == 0);
  CHECK(report.lost_events.empty() && report.left_out.empty() && report.damage.empty());
  CHECK(report.verify.is_intact() && report.verify.events == 10 && report.verify.segments == 1);
  CHECK(payloads(batpak::store(to)) == "0123456789");
  CHECK(report.verify.root == batpak::store(to).head().root);

  // The fifth event, the third of this entity.
  std::ifstream file(fs::path(from) / "000001.fbat", std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(file), {}};
  file.close();
  std::size_t middle = bytes.find("even");
  for (int at = 0; at < 2; ++at) middle = bytes.find("even", middle + 1);
  flip_byte(fs::path(from) / "000001.fbat", static_cast<std::streamoff>(middle));
  batpak::repair_options options;
  CHECK(options.max_lost == 1 << 24);
  CHECK(options.segment_bytes == batpak::open_options().segment_bytes);
  options.seed = 1;
  options.max_lost = 0;
  CHECK(kind_of([&] { batpak::repair(from, directory + "/lossy", options); }) ==
        error_kind::too_large);
  options.max_lost = 1;
  report = batpak::repair(from, directory + "/lossy", options);
  CHECK(report.kept == 4 && report.appended == 5 && report.dropped == 0 && report.lost == 1);
  CHECK(report.lost_events.size() == 1 && report.lost_events[0].first_sequence == 4);
  CHECK(report.lost_events[0].events == 1 && report.left_out.size() == 1);
  const batpak::left_out& left = report.left_out[0];
  CHECK(left.segment == 1 && left.first_sequence == 4 && left.events == 1 && !left.reason.empty());
  CHECK(left.offset < middle && middle < left.offset + left.bytes && !report.damage.empty());
  batpak::open_options salvage;
  salvage.mode = batpak::open_mode::salvage;
  CHECK(report.damage == batpak::store(from, salvage).report().damage);
  CHECK(report.verify.is_intact() && report.verify.events == 10);
  const batpak::store lossy(directory + "/lossy");
  CHECK(payloads(lossy) == "012356789" && lossy.at(4)->kind() == 0x0FFE);
  CHECK(lossy.parent()->store_id == source && lossy.parent()->events == 4);
  CHECK(lossy.stats().store_id == report.store_id && report.source == source);
  CHECK(batpak::repair(from, directory + "/again", options).store_id == report.store_id);
  options.seed = 2;
  CHECK(batpak::repair(from, directory + "/other", options).store_id != report.store_id);

  options.segment_bytes = 1;
  CHECK(kind_of([&] { batpak::repair(from, directory + "/new", options); }) ==
        error_kind::invalid_argument);
  CHECK(kind_of([&] { batpak::repair(from, to); }) == error_kind::invalid_argument);
  CHECK(kind_of([&] { batpak::repair(directory, to + "2"); }) == error_kind::not_found);
  CHECK(!fs::exists(directory + "/new") && !fs::exists(to + "2"));
}

int main() {
  std::size_t failed = 0;
  for (const test& test : tests()) {
    std::ostringstream scratch;
    scratch << fs::temp_directory_path().string() << "/batpak-cpp-api-" << getpid();
    fs::remove_all(scratch.str());
    fs::create_directories(scratch.str());
    std::string report;
    try {
      test.body(scratch.str());
      if (batpak_debug_live_handles() != 0) report = "it left handles open";
    } catch (const failed_check& check) {
      report = "line " + std::to_string(check.line) + ": " + check.what;
    } catch (const std::exception& error) {
      report = error.what();
    }
    fs::remove_all(scratch.str());
    if (report.empty()) continue;
    ++failed;
    std::cout << "FAIL " << test.name << ": " << report << '\n';
  }
  std::cout << tests().size() - failed << " passed, " << failed << " failed" << std::endl;
  return failed > 0;
}
