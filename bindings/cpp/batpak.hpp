// batpak for C++17: an embedded, append-only, tamper-evident event log.
//
//   batpak::store store("data/orders");
//   store.append({"order:42", "shop", 0x1001, "2 apples"});
//   for (const batpak::event& event : store.read(batpak::query().prefix("order:42")))
//     std::cout << event.sequence() << ' ' << event.payload().text() << '\n';
//
// This header stands on batpak.h alone, which has the full contract of each call.
//
// Errors are exceptions of class batpak::error.
//
// Threads: a store may be used by any number of threads at once, also while one of them closes it,
// and so may a fence. A scan, a follow and a ticket belong to one thread at a time. Events may be
// copied, kept and read anywhere: each keeps its bytes in place, also after its scan and its store
// are gone.
//
// What is handed in (std::string_view, bytes_view, new_event) is borrowed until the call returns,
// also by appends that go on afterwards.

#ifndef BATPAK_HPP
#define BATPAK_HPP

#include "batpak.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <functional>
#include <iterator>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#if __cplusplus >= 202002L
#include <ranges>
#endif

namespace batpak {

// ------------------------------------------------------------------------------------- errors

/// What went wrong. The numbers are the same in every language of batpak.
enum class error_kind : std::int32_t {
  /// An argument is out of range, malformed or contradicts another one.
  invalid_argument = BATPAK_INVALID_ARGUMENT,
  /// An entity or a scope breaks the rules for coordinates.
  invalid_coordinate = BATPAK_INVALID_COORDINATE,
  /// A kind is reserved for the library or out of range.
  invalid_kind = BATPAK_INVALID_KIND,
  /// A payload, a batch or an extension is larger than its limit.
  too_large = BATPAK_TOO_LARGE,
  /// The stream is not at the clock that the caller expected.
  clock_conflict = BATPAK_CLOCK_CONFLICT,
  /// The event id is taken by an event with other content.
  idempotency_conflict = BATPAK_IDEMPOTENCY_CONFLICT,
  /// A gate refused the append.
  denied = BATPAK_DENIED,
  /// There is no such store, event or file.
  not_found = BATPAK_NOT_FOUND,
  /// The store was closed, or the fence has ended.
  closed = BATPAK_CLOSED,
  /// Another writer has the store open.
  locked = BATPAK_LOCKED,
  /// The store was opened for reading only.
  read_only = BATPAK_READ_ONLY,
  /// The operating system refused an operation.
  io = BATPAK_IO,
  /// There is no space left; nothing was appended, and appends go on when space returns.
  disk_full = BATPAK_DISK_FULL,
  /// Bytes on disk are not what was written.
  corrupt = BATPAK_CORRUPT,
  /// The directory holds a format that this version does not read.
  unsupported = BATPAK_UNSUPPORTED,
  /// An earlier failure stopped all appends until the store is reopened.
  poisoned = BATPAK_POISONED,
  /// It is not known whether the events were appended; reopening the store decides.
  indeterminate = BATPAK_INDETERMINATE,
  /// The store was inherited over a fork; open it again in the child.
  forked = BATPAK_FORKED,
  /// The store or scan is empty: it was moved from, or never opened.
  bad_handle = BATPAK_BAD_HANDLE,
  /// A defect in the library was caught before it could reach the caller.
  panic = BATPAK_PANIC,
  /// A function that the caller supplied failed.
  callback = BATPAK_CALLBACK,
  /// A payload is not the MessagePack that was asked for.
  decode = BATPAK_DECODE,
};

/// Whether, and after what, the same call can succeed.
enum class retry : std::int32_t {
  /// The kind is not known to the loaded library.
  unknown = BATPAK_RETRY_UNKNOWN,
  /// The same call fails again.
  never = BATPAK_RETRY_NEVER,
  /// The same call can succeed later, unchanged.
  later = BATPAK_RETRY_LATER,
  /// Read the stream again, decide again, then call.
  after_reading = BATPAK_RETRY_AFTER_READING,
  /// Reopen the store first; an event id makes the repeated append safe.
  after_reopening = BATPAK_RETRY_AFTER_REOPENING,
};

/// The stable name, such as "CLOCK_CONFLICT".
inline std::string_view name(error_kind kind) noexcept {
  return batpak_status_name(static_cast<std::int32_t>(kind));
}

/// The stable name, such as "AFTER_READING".
inline std::string_view name(retry after) noexcept {
  return batpak_retry_name(static_cast<std::int32_t>(after));
}

/// What can be done about an error of this kind.
inline retry retry_of(error_kind kind) noexcept {
  return static_cast<retry>(batpak_status_retry(static_cast<std::int32_t>(kind)));
}

/// The exception of every failed call. what() says what happened, where, and what to do about it.
class error : public std::runtime_error {
 public:
  /// An error of this kind without a place.
  error(error_kind kind, const std::string& message) : std::runtime_error(message), kind_(kind) {}

  /// The error that a call of the C interface reported.
  explicit error(const batpak_error& reported)
      : std::runtime_error(reported.message), kind_(static_cast<error_kind>(reported.kind)) {
    if (reported.os_code != 0) os_code_ = reported.os_code;
    if (reported.has_place & BATPAK_PLACE_SEGMENT) segment_ = reported.segment;
    if (reported.has_place & BATPAK_PLACE_OFFSET) offset_ = reported.offset;
  }

  /// What went wrong.
  error_kind kind() const noexcept { return kind_; }
  /// Whether, and after what, the same call can succeed.
  batpak::retry retry() const noexcept { return retry_of(kind_); }
  /// The operating system's error number, where there is one.
  std::optional<std::int32_t> os_code() const noexcept { return os_code_; }
  /// The number of the segment where it happened, where there is one.
  std::optional<std::uint64_t> segment() const noexcept { return segment_; }
  /// The byte offset in that segment, where there is one.
  std::optional<std::uint64_t> offset() const noexcept { return offset_; }

 private:
  error_kind kind_;
  std::optional<std::int32_t> os_code_;
  std::optional<std::uint64_t> segment_;
  std::optional<std::uint64_t> offset_;
};

// -------------------------------------------------------------------------------------- bytes

/// Bytes that belong to somebody else. Made from anything with data() and size() over one-byte
/// elements, and from a string literal up to its NUL. As a contiguous range it converts to
/// std::span in C++20.
class bytes_view {
 public:
  constexpr bytes_view() noexcept = default;
  bytes_view(const void* data, std::size_t size) noexcept
      : data_(static_cast<const std::uint8_t*>(data)), size_(size) {}
  bytes_view(const char* text) noexcept : bytes_view(text, std::strlen(text)) {}
  template <class Bytes, std::enable_if_t<!std::is_array_v<Bytes> &&
                                              sizeof(*std::declval<const Bytes&>().data()) == 1,
                                          int> = 0>
  bytes_view(const Bytes& bytes) noexcept : bytes_view(bytes.data(), bytes.size()) {}

  constexpr const std::uint8_t* data() const noexcept { return data_; }
  constexpr std::size_t size() const noexcept { return size_; }
  constexpr bool empty() const noexcept { return size_ == 0; }
  constexpr const std::uint8_t* begin() const noexcept { return data_; }
  constexpr const std::uint8_t* end() const noexcept { return data_ + size_; }
  constexpr std::uint8_t operator[](std::size_t at) const noexcept { return data_[at]; }

  /// The same bytes as text.
  std::string_view text() const noexcept {
    return {reinterpret_cast<const char*>(data_), size_};
  }

  friend bool operator==(bytes_view a, bytes_view b) noexcept { return a.text() == b.text(); }
  friend bool operator!=(bytes_view a, bytes_view b) noexcept { return !(a == b); }

 private:
  const std::uint8_t* data_ = nullptr;
  std::size_t size_ = 0;
};

namespace detail {

inline batpak_text c_text(std::string_view text) noexcept { return {text.data(), text.size()}; }
inline batpak_bytes c_bytes(bytes_view bytes) noexcept { return {bytes.data(), bytes.size()}; }
inline std::string_view view(batpak_text text) noexcept {
  return text.length == 0 ? std::string_view() : std::string_view(text.data, text.length);
}
inline bytes_view view(batpak_bytes bytes) noexcept { return {bytes.data, bytes.length}; }

/// Calls a function of the C interface with room for its error, and throws what it reports.
template <class Function, class... Arguments>
void call(Function function, Arguments... arguments) {
  batpak_error reported = BATPAK_ERROR_INIT;
  if (function(arguments..., &reported) != BATPAK_OK) throw error(reported);
}

/// A value of fixed size that is shown in hex.
template <std::size_t Size>
struct digest {
  /// The bytes, in the order in which their hex digits are shown.
  std::array<std::uint8_t, Size> bytes{};

  /// Twice as many hex digits as there are bytes, in lower case.
  std::string hex() const {
    std::string text;
    text.reserve(2 * Size);
    for (std::uint8_t byte : bytes) {
      text += "0123456789abcdef"[byte >> 4];
      text += "0123456789abcdef"[byte & 15];
    }
    return text;
  }

  /// Whether all bytes are zero, which stands for "none".
  bool is_zero() const noexcept { return bytes == std::array<std::uint8_t, Size>{}; }

 protected:
  void assign(std::string_view hex) {
    if (hex.size() != 2 * Size)
      throw error(error_kind::invalid_argument, "an id has 32 hex digits, and a hash 64");
    for (std::size_t at = 0; at < Size; ++at)
      bytes[at] = static_cast<std::uint8_t>(digit(hex[2 * at]) << 4 | digit(hex[2 * at + 1]));
  }

 private:
  static int digit(char character) {
    if (character >= '0' && character <= '9') return character - '0';
    if (character >= 'a' && character <= 'f') return character - 'a' + 10;
    if (character >= 'A' && character <= 'F') return character - 'A' + 10;
    throw error(error_kind::invalid_argument, "an id or hash has a character that is no hex digit");
  }
};

}  // namespace detail

/// The id of an event, of a correlation or of a store. All zeros, the default, stands for "none".
/// An id that the caller gives to an event is its idempotency key.
struct id : detail::digest<16> {
  id() = default;
  explicit id(const batpak_id& value) { std::memcpy(bytes.data(), value.bytes, bytes.size()); }

  /// The id of 32 hex digits.
  static id from_hex(std::string_view hex) {
    id value;
    value.assign(hex);
    return value;
  }

  /// The id that makes an operation idempotent, from a domain such as "billing" and the components
  /// that tell its operations apart.
  static id for_operation(std::string_view domain, const std::vector<bytes_view>& components) {
    std::vector<batpak_bytes> parts;
    parts.reserve(components.size());
    for (bytes_view component : components) parts.push_back(detail::c_bytes(component));
    batpak_id value;
    detail::call(batpak_id_for_operation, domain.data(), domain.size(), parts.data(), parts.size(),
                 &value);
    return id(value);
  }

  /// The same id for the C interface.
  batpak_id c_id() const noexcept {
    batpak_id value;
    std::memcpy(value.bytes, bytes.data(), bytes.size());
    return value;
  }
};

/// A 32-byte hash. All zeros stands for "none".
struct hash : detail::digest<32> {
  hash() = default;
  explicit hash(const batpak_hash& value) { std::memcpy(bytes.data(), value.bytes, bytes.size()); }

  /// The hash of 64 hex digits.
  static hash from_hex(std::string_view hex) {
    hash value;
    value.assign(hex);
    return value;
  }
};

inline bool operator==(const id& a, const id& b) noexcept { return a.bytes == b.bytes; }
inline bool operator!=(const id& a, const id& b) noexcept { return a.bytes != b.bytes; }
inline bool operator<(const id& a, const id& b) noexcept { return a.bytes < b.bytes; }
inline bool operator==(const hash& a, const hash& b) noexcept { return a.bytes == b.bytes; }
inline bool operator!=(const hash& a, const hash& b) noexcept { return a.bytes != b.bytes; }
inline bool operator<(const hash& a, const hash& b) noexcept { return a.bytes < b.bytes; }

// ------------------------------------------------------------------------------------- events

/// What an event says: four bits of category and twelve of type. The categories 0x0 and 0xD belong
/// to the library.
struct event_kind {
  std::uint16_t value = 0;

  constexpr event_kind() = default;
  constexpr event_kind(std::uint16_t number) noexcept : value(number) {}
  /// The kind of this category (0 to 15) and type (0 to 4,095).
  constexpr event_kind(unsigned category, unsigned type) noexcept
      : value(static_cast<std::uint16_t>((category & 0xF) << 12 | (type & 0xFFF))) {}

  constexpr unsigned category() const noexcept { return value >> 12; }
  constexpr unsigned type() const noexcept { return value & 0xFFFu; }

  friend constexpr bool operator==(event_kind a, event_kind b) noexcept {
    return a.value == b.value;
  }
  friend constexpr bool operator!=(event_kind a, event_kind b) noexcept { return !(a == b); }
};

/// How far an append must have come before it returns.
enum class durability : std::int32_t {
  /// The operating system confirmed the sync that covers it: it survives a power cut.
  durable = BATPAK_DURABILITY_DURABLE,
  /// Its bytes are in the file: it survives a killed process, but not a power cut.
  written = BATPAK_DURABILITY_WRITTEN,
  /// It is ordered in memory and written soon; a kill may lose it, but leaves no hole.
  buffered = BATPAK_DURABILITY_BUFFERED,
};

/// Where a stream (one lane of an entity) must stand for an append to be accepted.
class expect {
 public:
  /// Anywhere; the default.
  constexpr expect() = default;
  static constexpr expect any() noexcept { return {}; }
  /// The stream has no event yet.
  static constexpr expect no_stream() noexcept { return {BATPAK_EXPECTED_NO_STREAM, 0}; }
  /// The stream's last event has this clock.
  static constexpr expect exactly(std::uint32_t clock) noexcept {
    return {BATPAK_EXPECTED_EXACT, clock};
  }

 private:
  friend struct new_event;
  constexpr expect(std::int32_t what, std::uint32_t clock) noexcept : what_(what), clock_(clock) {}
  std::int32_t what_ = BATPAK_EXPECTED_ANY;
  std::uint32_t clock_ = 0;
};

/// What caused an event.
class cause {
 public:
  /// Nothing in particular; the default.
  cause() = default;
  static cause none() noexcept { return {}; }
  /// The event with this id, in this store or elsewhere.
  static cause event(const id& event) noexcept { return {BATPAK_CAUSATION_EVENT, event, 0}; }
  /// An earlier event of the same batch or fence, by its place in it, from 0.
  static cause item(std::uint32_t place) noexcept { return {BATPAK_CAUSATION_ITEM, {}, place}; }

 private:
  friend struct new_event;
  cause(std::int32_t what, const id& event, std::uint32_t item) noexcept
      : what_(what), event_(event), item_(item) {}
  std::int32_t what_ = BATPAK_CAUSATION_NONE;
  id event_;
  std::uint32_t item_ = 0;
};

/// A key such as "audit.user" with its bytes.
struct extension {
  std::string_view key;
  bytes_view value;
};

/// An event to append. Its texts and bytes belong to somebody else, who keeps them until the call
/// that it is handed to returns.
struct new_event {
  /// Whose event it is: 1 to 1,024 bytes of UTF-8 without control characters, `/`, `|`, `=`, `..`.
  std::string_view entity{};
  /// The area it lives in, under the same rules.
  std::string_view scope{};
  /// What it says.
  event_kind kind{};
  /// Any bytes, up to the store's payload limit.
  bytes_view payload{};
  /// Where the stream must stand.
  expect expected{};
  /// The event's id, which makes it idempotent; none for a fresh one.
  batpak::id id{};
  /// The id shared by all events of one operation; none for the event's own id.
  batpak::id correlation{};
  /// What caused it.
  cause causation{};
  /// The branch of the entity's stream; 0 is the trunk.
  std::uint32_t lane = 0;
  /// How deep the branch lies; 0 is the trunk.
  std::uint32_t depth = 0;
  /// Eight bits that belong to the caller.
  std::uint8_t flags = 0;
  /// The version of the payload's schema; 0 means "not versioned".
  std::uint16_t payload_version = 0;
  /// When it happened, in microseconds since 1970; without it, the time of recording.
  std::optional<std::int64_t> timestamp_us{};
  /// Keys with their bytes, in any order, each key once.
  std::vector<extension> extensions{};

  /// The event that a gate is asked about.
  static new_event from_c(const batpak_new_event& event) {
    new_event result;
    result.entity = detail::view(event.entity);
    result.scope = detail::view(event.scope);
    result.kind = static_cast<std::uint16_t>(event.kind);
    result.payload = detail::view(event.payload);
    result.expected = expect(event.expected, event.expected_clock);
    result.id = batpak::id(event.id);
    result.correlation = batpak::id(event.correlation);
    result.causation =
        cause(event.causation, batpak::id(event.causation_id), event.causation_item);
    result.lane = event.lane;
    result.depth = event.depth;
    result.flags = static_cast<std::uint8_t>(event.flags);
    result.payload_version = static_cast<std::uint16_t>(event.payload_version);
    if (event.has_timestamp) result.timestamp_us = event.timestamp_us;
    for (std::size_t at = 0; at < event.extension_count; ++at)
      result.extensions.push_back(
          {detail::view(event.extensions[at].key), detail::view(event.extensions[at].value)});
    return result;
  }

  /// The same event for the C interface. Its extensions are written to `place`, which has room.
  batpak_new_event c_event(batpak_extension* place) const noexcept {
    batpak_new_event event = BATPAK_NEW_EVENT_INIT;
    event.kind = kind.value;
    event.entity = detail::c_text(entity);
    event.scope = detail::c_text(scope);
    event.payload = detail::c_bytes(payload);
    event.id = id.c_id();
    event.correlation = correlation.c_id();
    event.causation_id = causation.event_.c_id();
    event.causation = causation.what_;
    event.causation_item = causation.item_;
    event.expected = expected.what_;
    event.expected_clock = expected.clock_;
    event.lane = lane;
    event.depth = depth;
    event.flags = flags;
    event.payload_version = payload_version;
    event.timestamp_us = timestamp_us.value_or(0);
    event.has_timestamp = timestamp_us.has_value();
    event.extensions = place;
    event.extension_count = extensions.size();
    for (const extension& own : extensions)
      *place++ = {detail::c_text(own.key), detail::c_bytes(own.value)};
    return event;
  }
};

namespace detail {

/// Events in the form of the C interface, with the memory that they point to.
class c_events {
 public:
  c_events(const new_event* events, std::size_t count) {
    std::size_t extensions = 0;
    for (std::size_t at = 0; at < count; ++at) extensions += events[at].extensions.size();
    extensions_.resize(extensions);
    events_.reserve(count);
    batpak_extension* place = extensions_.data();
    for (std::size_t at = 0; at < count; ++at) {
      events_.push_back(events[at].c_event(place));
      place += events[at].extensions.size();
    }
  }
  const batpak_new_event* data() const noexcept { return events_.data(); }
  std::size_t size() const noexcept { return events_.size(); }

 private:
  std::vector<batpak_extension> extensions_;
  std::vector<batpak_new_event> events_;
};

}  // namespace detail

/// Proof that an event was accepted, and where.
struct receipt {
  /// The event's id.
  batpak::id id;
  /// Its place in the whole log, from 0.
  std::uint64_t sequence = 0;
  /// Its place in its stream, from 0.
  std::uint32_t clock = 0;
  /// Its lane.
  std::uint32_t lane = 0;
  /// When it happened, in microseconds since 1970.
  std::int64_t timestamp_us = 0;
  /// When it was recorded, in microseconds since 1970; never falls within a stream.
  std::int64_t wall_us = 0;
  /// The hash over the event and its stream up to it.
  batpak::hash hash;
  /// Whether the event was there before: the append repeated an earlier one.
  bool duplicate = false;

  receipt() = default;
  explicit receipt(const batpak_receipt& value)
      : id(value.id),
        sequence(value.sequence),
        clock(value.clock),
        lane(value.lane),
        timestamp_us(value.timestamp_us),
        wall_us(value.wall_us),
        hash(value.hash),
        duplicate(value.duplicate != 0) {}
};

/// A stored event. It keeps the bytes it shows in place: it stays valid after its scan and its
/// store are gone, and copying it copies no bytes. What its functions return as a view lives as
/// long as any copy of the event, so views of a temporary event do not compile.
class event {
 public:
  /// An event of a view that `owner` keeps.
  explicit event(std::shared_ptr<const batpak_event> owner) noexcept : event_(std::move(owner)) {}

  /// Its place in the whole log, from 0.
  std::uint64_t sequence() const noexcept { return event_->sequence; }
  /// Its id.
  batpak::id id() const noexcept { return batpak::id(event_->id); }
  /// The id shared by all events of its operation; its own id if none was given.
  batpak::id correlation() const noexcept { return batpak::id(event_->correlation); }
  /// The id of the event that caused it, or none.
  batpak::id causation() const noexcept { return batpak::id(event_->causation); }
  /// When it happened, in microseconds since 1970.
  std::int64_t timestamp_us() const noexcept { return event_->timestamp_us; }
  /// When it was recorded, in microseconds since 1970.
  std::int64_t wall_us() const noexcept { return event_->wall_us; }
  /// Its place in its stream, from 0.
  std::uint32_t clock() const noexcept { return event_->clock; }
  /// The branch of the entity's stream; 0 is the trunk.
  std::uint32_t lane() const noexcept { return event_->lane; }
  /// How deep the branch lies; 0 is the trunk.
  std::uint32_t depth() const noexcept { return event_->depth; }
  /// What it says.
  event_kind kind() const noexcept { return event_->kind; }
  /// The version of the payload's schema; 0 means "not versioned".
  std::uint16_t payload_version() const noexcept { return event_->payload_version; }
  /// The caller's eight bits.
  std::uint8_t flags() const noexcept { return event_->flags; }
  /// Whether later events of the same batch follow it.
  bool batch_continues() const noexcept { return event_->batch_continues != 0; }
  /// Whether a compaction has erased its payload, of which the hash is left.
  bool is_erased() const noexcept { return event_->is_erased != 0; }
  /// The hash over the event and its stream up to it.
  batpak::hash hash() const noexcept { return batpak::hash(event_->hash); }
  /// The hash of the event before it in its stream; zeros for the first.
  batpak::hash prev_hash() const noexcept { return batpak::hash(event_->prev_hash); }
  /// The segment that holds it.
  std::uint64_t segment() const noexcept { return event_->segment; }
  /// The byte offset of its frame in the segment.
  std::uint64_t offset() const noexcept { return event_->offset; }
  /// The size of its frame, in bytes: on disk, or, for an event of a 0.x store, as this format has
  /// it.
  std::uint64_t stored_bytes() const noexcept { return event_->stored_bytes; }

  /// Whose event it is.
  std::string_view entity() const& noexcept { return detail::view(event_->entity); }
  std::string_view entity() const&& = delete;
  /// The area it lives in.
  std::string_view scope() const& noexcept { return detail::view(event_->scope); }
  std::string_view scope() const&& = delete;
  /// The payload, as it was handed in; nothing if it was erased.
  bytes_view payload() const& noexcept { return detail::view(event_->payload); }
  bytes_view payload() const&& = delete;
  /// The extensions, by rising key.
  std::vector<extension> extensions() const& {
    std::vector<extension> result;
    std::size_t position = 0, count = 0;
    batpak_extension next;
    for (;;) {
      detail::call(batpak_extension_next, event_->extensions.data, event_->extensions.length,
                   &position, &next, &count);
      if (count == 0) return result;
      result.push_back({detail::view(next.key), detail::view(next.value)});
    }
  }
  std::vector<extension> extensions() const&& = delete;

 private:
  std::shared_ptr<const batpak_event> event_;
};

namespace detail {

struct releaser {
  void operator()(batpak_view* view) const noexcept { batpak_view_release(view, nullptr); }
  void operator()(batpak_scan* scan) const noexcept { batpak_scan_close(scan, nullptr); }
  void operator()(batpak_follow* follow) const noexcept { batpak_follow_close(follow, nullptr); }
  void operator()(batpak_fence* fence) const noexcept { batpak_fence_close(fence, nullptr); }
  void operator()(batpak_ticket* ticket) const noexcept { batpak_ticket_close(ticket, nullptr); }
  void operator()(batpak_store* store) const noexcept { batpak_store_close(store, nullptr); }
  void operator()(batpak_inspection* inspection) const noexcept {
    batpak_inspection_release(inspection, nullptr);
  }
  void operator()(batpak_repaired* repaired) const noexcept {
    batpak_repaired_release(repaired, nullptr);
  }
};

/// Where a call of the C interface puts the events that it found.
class view_target {
 public:
  batpak_view** view() noexcept { return &view_; }
  const batpak_event** events() noexcept { return &events_; }
  std::size_t* count() noexcept { return &count_; }

  /// The events. Together they own the view.
  std::vector<event> take() {
    // The owner comes first, so that the view is released when memory runs out.
    std::shared_ptr<batpak_view> owner(std::exchange(view_, nullptr), releaser());
    std::vector<event> result;
    result.reserve(count_);
    for (std::size_t at = 0; at < count_; ++at)
      result.emplace_back(std::shared_ptr<const batpak_event>(owner, events_ + at));
    return result;
  }

  /// The only event, if there is one.
  std::optional<event> take_one() {
    std::vector<event> found = take();
    if (found.empty()) return std::nullopt;
    return std::move(found.front());
  }

 private:
  batpak_view* view_ = nullptr;
  const batpak_event* events_ = nullptr;
  std::size_t count_ = 0;
};

}  // namespace detail

// ------------------------------------------------------------------------------------ reading

/// Which events to read, and in which order: everything, forwards, unless more is said. Every part
/// that is set must match.
///
///   batpak::query().prefix("order:42").backward().limit(10)
class query {
 public:
  /// Only this entity. Not together with prefix().
  query& entity(std::string_view name) { return text(BATPAK_QUERY_ENTITY, entity_, name); }
  /// Only this entity and all below it: `user:1` matches `user:1` and `user:1:cart`, but not
  /// `user:10`.
  query& prefix(std::string_view name) { return text(BATPAK_QUERY_PREFIX, entity_, name); }
  /// Only this scope.
  query& scope(std::string_view name) { return text(BATPAK_QUERY_SCOPE, scope_, name); }
  /// Only this kind.
  query& kind(event_kind kind) {
    return number(BATPAK_QUERY_KIND, value_.kind, std::uint32_t{kind.value});
  }
  /// Only kinds of this category, 0 to 15. Not together with kind().
  query& category(std::uint32_t category) {
    return number(BATPAK_QUERY_CATEGORY, value_.kind, category);
  }
  /// Only this lane.
  query& lane(std::uint32_t lane) { return number(BATPAK_QUERY_LANE, value_.lane, lane); }
  /// Only clocks from the first to the last, both included.
  query& clocks(std::uint32_t first, std::uint32_t last) {
    value_.clock_last = last;
    return number(BATPAK_QUERY_CLOCKS, value_.clock_first, first);
  }
  /// Start at this sequence, included.
  query& from(std::uint64_t sequence) { return number(BATPAK_QUERY_FROM, value_.from, sequence); }
  /// At most so many events.
  query& limit(std::uint64_t events) { return number(BATPAK_QUERY_LIMIT, value_.limit, events); }
  /// By rising sequence, from the start of the log; the default.
  query& forward() {
    value_.direction = BATPAK_DIRECTION_FORWARD;
    return *this;
  }
  /// By falling sequence, from the end of the log.
  query& backward() {
    value_.direction = BATPAK_DIRECTION_BACKWARD;
    return *this;
  }

  /// The same query for the C interface. It lives as long as this one.
  batpak_query c_query() const& noexcept {
    batpak_query value = value_;
    value.entity = detail::c_text(entity_);
    value.scope = detail::c_text(scope_);
    return value;
  }
  batpak_query c_query() const&& = delete;

 private:
  query& text(std::uint32_t part, std::string& place, std::string_view value) {
    place = value;
    value_.parts |= part;
    return *this;
  }
  template <class Number>
  query& number(std::uint32_t part, Number& place, Number value) {
    place = value;
    value_.parts |= part;
    return *this;
  }

  batpak_query value_ = BATPAK_QUERY_INIT;
  std::string entity_;
  std::string scope_;
};

namespace detail {

/// A page of events of which an iterator may have passed some.
class page {
 public:
  bool empty() const noexcept { return position_ == events_.size(); }
  const event& front() const noexcept { return events_[position_]; }
  void pop() noexcept { ++position_; }
  void refill(std::vector<event> events) noexcept {
    events_ = std::move(events);
    position_ = 0;
  }

  /// The next events, for a page that is not empty: at most so many, and no more once their
  /// payloads have so many bytes; one at least.
  std::vector<event> take(std::size_t max_events, std::size_t max_bytes) {
    std::vector<event> taken;
    std::size_t bytes = front().payload().size();
    do {
      taken.push_back(front());
      pop();
      if (empty() || taken.size() == max_events) break;
      bytes += front().payload().size();
    } while (bytes <= max_bytes);
    return taken;
  }

 private:
  std::vector<event> events_;
  std::size_t position_ = 0;
};

/// Goes once over what a Source reads page by page. The event it shows is the source's until the
/// next step; a copy may be kept.
template <class Source>
class event_iterator {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = event;
  using difference_type = std::ptrdiff_t;
  using pointer = const event*;
  using reference = const event&;

  event_iterator() noexcept = default;
  explicit event_iterator(Source source) : source_(source) { settle(); }
  reference operator*() const noexcept { return source_.page().front(); }
  pointer operator->() const noexcept { return &**this; }
  event_iterator& operator++() {
    source_.page().pop();
    settle();
    return *this;
  }
  void operator++(int) { ++*this; }
  friend bool operator==(const event_iterator& a, const event_iterator& b) noexcept {
    return a.at_end_ == b.at_end_;
  }
  friend bool operator!=(const event_iterator& a, const event_iterator& b) noexcept {
    return !(a == b);
  }

 private:
  /// Reads the next page when this one is used up; without one, becomes the end.
  void settle() {
    if (source_.page().empty()) source_.page().refill(source_.next_page());
    at_end_ = source_.page().empty();
  }

  Source source_{};
  bool at_end_ = true;
};

/// The limits of the pages that iterators read.
constexpr std::size_t page_events = 1024, page_bytes = 1 << 20;

/// A time for the C interface: no less than nothing.
inline std::uint64_t c_milliseconds(std::chrono::milliseconds time) noexcept {
  return static_cast<std::uint64_t>(std::max(time, std::chrono::milliseconds::zero()).count());
}

}  // namespace detail

/// A query being read: a range of events for one pass, read in pages. It sees what was visible
/// when it was made.
class scan {
  struct source;

 public:
  using iterator = detail::event_iterator<source>;

  /// The first event that was not read yet. Calling it again goes on where the last pass stopped.
  iterator begin();
  iterator end() noexcept;

  /// The next events: at most so many, and no more once their payloads have so many bytes; one at
  /// least, unless the scan is at its end.
  std::vector<event> next_page(std::size_t max_events = detail::page_events,
                               std::size_t max_bytes = detail::page_bytes) {
    // What an iterator did not come to is still to be read.
    if (!page_.empty() && max_events > 0) return page_.take(max_events, max_bytes);
    detail::view_target found;
    detail::call(batpak_scan_next, handle_.get(), max_events, max_bytes, found.view(),
                 found.events(), found.count());
    return found.take();
  }

 private:
  friend class store;
  explicit scan(batpak_scan* handle) noexcept : handle_(handle) {}

  std::unique_ptr<batpak_scan, detail::releaser> handle_;
  detail::page page_;
};

/// What an iterator over a scan reads.
struct scan::source {
  scan* over = nullptr;
  detail::page& page() const noexcept { return over->page_; }
  std::vector<event> next_page() const { return over->next_page(); }
};

inline scan::iterator scan::begin() { return iterator(source{this}); }
inline scan::iterator scan::end() noexcept { return iterator(); }

/// A query that goes on: what is there first, then what is appended, as it becomes visible, in
/// order and without loss.
///
///   for (const batpak::event& event : follow.within(std::chrono::seconds(1))) ...
///
/// A wait ends with an error of kind `closed` when the store is closed on another thread.
class follow {
  struct source;

 public:
  using iterator = detail::event_iterator<source>;

  /// The next events: at most so many, and no more once their payloads have so many bytes. If
  /// there are none yet, waits until there are or the time is up; then there are none.
  std::vector<event> next_page(std::chrono::milliseconds timeout,
                               std::size_t max_events = detail::page_events,
                               std::size_t max_bytes = detail::page_bytes) {
    // What an iterator did not come to is still to be read.
    if (!page_.empty() && max_events > 0) return page_.take(max_events, max_bytes);
    detail::view_target found;
    detail::call(batpak_follow_next, handle_.get(), max_events, max_bytes,
                 detail::c_milliseconds(timeout), found.view(), found.events(), found.count());
    return found.take();
  }

  /// A range of events for one pass, which ends when none comes for so long.
  class range {
   public:
    iterator begin() const;
    iterator end() const noexcept;

   private:
    friend class follow;
    range(follow* over, std::chrono::milliseconds timeout) noexcept
        : over_(over), timeout_(timeout) {}
    follow* over_;
    std::chrono::milliseconds timeout_;
  };

  /// The events that were not read yet, until none comes for so long. The range is this object's;
  /// a later one goes on where it stopped.
  range within(std::chrono::milliseconds timeout) & noexcept { return {this, timeout}; }
  range within(std::chrono::milliseconds timeout) && = delete;

  /// Where to go on after a restart, with `query().from(position)`: behind every event that was
  /// passed. The one that an iterator shows is not passed yet.
  std::uint64_t position() const {
    if (!page_.empty()) return page_.front().sequence();
    std::uint64_t next = 0;
    detail::call(batpak_follow_position, handle_.get(), &next);
    return next;
  }

 private:
  friend class store;
  explicit follow(batpak_follow* handle) noexcept : handle_(handle) {}

  std::unique_ptr<batpak_follow, detail::releaser> handle_;
  detail::page page_;
};

/// What an iterator over a follow reads.
struct follow::source {
  follow* over = nullptr;
  std::chrono::milliseconds timeout{};
  detail::page& page() const noexcept { return over->page_; }
  std::vector<event> next_page() const { return over->next_page(timeout); }
};

inline follow::iterator follow::range::begin() const { return iterator(source{over_, timeout_}); }
inline follow::iterator follow::range::end() const noexcept { return iterator(); }

/// Which link to follow from an event to the one before it.
enum class link : std::int32_t {
  /// The event before it in its stream.
  stream = BATPAK_LINK_STREAM,
  /// The event that caused it.
  causation = BATPAK_LINK_CAUSATION,
};

/// Why a walk along a link ended.
enum class boundary : std::int32_t {
  /// The last event has nothing before it.
  genesis = BATPAK_BOUNDARY_GENESIS,
  /// As many events as asked for were found.
  limit = BATPAK_BOUNDARY_LIMIT,
  /// The last event names one that is not in this store.
  missing = BATPAK_BOUNDARY_MISSING,
  /// The last event names one that was already given.
  cycle = BATPAK_BOUNDARY_CYCLE,
};

/// The events from one back along a link, newest first, itself included.
struct ancestry {
  std::vector<event> events;
  /// Why there are no more.
  batpak::boundary boundary;
};

// -------------------------------------------------------------------------------------- tickets

/// How an append ended that nobody waited for.
struct append_result {
  /// The receipts in the order of the events; none when the append failed.
  std::vector<receipt> receipts{};
  /// Why it failed, if it did.
  std::optional<error> failure{};
};

/// An append under way. It can be moved but not copied, and giving it up changes nothing about the
/// append. It needs no store: closing the store ends the append.
class ticket {
 public:
  /// No append, as after a move.
  ticket() noexcept = default;

  /// Whether the append has ended, well or not.
  bool done() const {
    std::int32_t done = 0;
    detail::call(batpak_ticket_is_done, c_ticket(), &done);
    return done != 0;
  }

  /// Waits until the append has ended. Returns the receipts in the order of the events, or throws
  /// why it failed; so does every later call.
  std::vector<receipt> wait() const { return *receipts(UINT64_MAX); }

  /// Like wait(), but returns nothing when the time is up.
  std::optional<std::vector<receipt>> wait_for(std::chrono::milliseconds timeout) const {
    return receipts(detail::c_milliseconds(timeout));
  }

 private:
  friend class store;
  ticket(batpak_ticket* handle, std::size_t events) noexcept : handle_(handle), events_(events) {}

  const batpak_ticket* c_ticket() const noexcept { return handle_.get(); }

  std::optional<std::vector<receipt>> receipts(std::uint64_t timeout_ms) const {
    std::vector<batpak_receipt> results(events_);
    std::int32_t done = 0;
    std::size_t count = 0;
    detail::call(batpak_ticket_wait, c_ticket(), timeout_ms, &done, results.data(),
                 results.size(), &count);
    if (done == 0) return std::nullopt;
    return std::vector<receipt>(results.begin(), results.end());
  }

  std::unique_ptr<batpak_ticket, detail::releaser> handle_;
  std::size_t events_ = 0;
};

namespace detail {

/// Calls a function of the caller's for the C interface, which no exception may cross: one that is
/// thrown, or memory that runs out, ends the program.
template <class Function>
void call_with_result(void* function, batpak_status status, const batpak_receipt* receipts,
                      std::size_t count, const batpak_error* reported) noexcept {
  append_result result;
  if (status == BATPAK_OK)
    result.receipts = std::vector<receipt>(receipts, receipts + count);
  else
    result.failure.emplace(*reported);
  std::invoke(*static_cast<Function*>(function), std::move(result));
}

template <class Function>
void destroy(void* function) noexcept {
  delete static_cast<Function*>(function);
}

}  // namespace detail

// ------------------------------------------------------------------------------------- fences

namespace detail {

/// A durability for the C interface; without one, the store's default.
inline std::int32_t c_level(std::optional<durability> level) noexcept {
  return level ? static_cast<std::int32_t>(*level) : BATPAK_DURABILITY_DEFAULT;
}
inline batpak_fence_options default_fence_options() noexcept {
  batpak_fence_options options = BATPAK_FENCE_OPTIONS_INIT;
  return options;
}

}  // namespace detail

/// How a fence is kept.
struct fence_options {
  /// How many bytes of its events are kept in memory, at about the most; those beyond go to a file
  /// in the store's directory, which nobody else can see. An event with an id of the caller's
  /// takes some thirty bytes of memory besides, wherever it is kept.
  std::uint64_t memory_bytes = detail::default_fence_options().memory_bytes;
};

/// What committing a fence has done.
struct committed {
  /// The sequence of its first event; the others follow it. Of a repeated fence, that of the event
  /// with the first one's id. Of a fence without events, how many events are visible.
  std::uint64_t first_sequence = 0;
  /// How many events it has.
  std::uint64_t events = 0;
  /// Whether its events were there before: the fence repeated an earlier one.
  bool duplicate = false;
};

/// Events that are staged: nobody sees them until commit(), and then everybody sees all of them,
/// as one batch. Until then, a crash, cancel(), the end of this object and closing the store leave
/// nothing of it behind.
///
/// It can be moved but not copied. Once it was committed or cancelled, and while another thread
/// commits it, every call throws an error of kind `closed`.
class fence {
 public:
  /// No fence, as after a move.
  fence() noexcept = default;

  /// Adds an event behind those that the fence has. Returns its place within the fence, from 0.
  ///
  /// All that does not depend on the log is checked here; ids and expected clocks are compared
  /// with it when the fence is committed. cause::item() is a place in the fence. After an error
  /// the fence has what it had before.
  std::uint64_t append(const new_event& event) const { return stage(detail::c_events(&event, 1)); }

  /// Adds all events or none, as many and as large as a batch may be. Returns the place of the
  /// first.
  std::uint64_t append_batch(const std::vector<new_event>& events) const {
    return stage(detail::c_events(events.data(), events.size()));
  }

  /// How many events it has.
  std::uint64_t events() const {
    std::uint64_t count = 0;
    detail::call(batpak_fence_events, c_fence(), &count);
    return count;
  }

  /// Reads its own events back, from a place on: at most so many, and no more once their frames
  /// have about so many bytes; one at least, unless there are no more.
  ///
  /// What an event gets from the log is missing: its sequence is its place in the fence; its
  /// clock, segment, offset and hashes are zero. Its id and times are, too, if the caller gave
  /// none, and so is a cause whose id is not given.
  std::vector<event> read(std::uint64_t from_place = 0,
                          std::size_t max_events = detail::page_events,
                          std::size_t max_bytes = detail::page_bytes) const {
    detail::view_target found;
    detail::call(batpak_fence_read, c_fence(), from_place, max_events, max_bytes, found.view(),
                 found.events(), found.count());
    return found.take();
  }

  /// Appends its events as one batch, of any size: ids and expected clocks are checked, sequences
  /// and clocks assigned, and when all is as safe as asked for, all events become visible at once.
  /// Other appends wait while a large fence is written.
  ///
  /// If all its events have an id that is known already, with the same content, nothing is
  /// appended, and the result says so. As for a batch, anything else with known ids is a conflict.
  /// A commit that fails leaves the fence open: it can be tried again, or cancelled.
  committed commit(std::optional<durability> level = {}) const {
    batpak_committed done = BATPAK_COMMITTED_INIT;
    detail::call(batpak_fence_commit, c_fence(), detail::c_level(level), &done);
    return {done.first_sequence, done.events, done.duplicate != 0};
  }

  /// Ends it without appending anything. So does the end of this object.
  void cancel() const { detail::call(batpak_fence_cancel, c_fence()); }

 private:
  friend class store;
  explicit fence(batpak_fence* handle) noexcept : handle_(handle) {}

  const batpak_fence* c_fence() const noexcept { return handle_.get(); }

  std::uint64_t stage(const detail::c_events& events) const {
    std::uint64_t place = 0;
    detail::call(batpak_fence_append, c_fence(), events.data(), events.size(), &place);
    return place;
  }

  std::unique_ptr<batpak_fence, detail::releaser> handle_;
};

// -------------------------------------------------------------------------------------- gates

/// Why a gate refuses.
struct refusal {
  /// A short code for programs, such as "LIMIT_EXCEEDED": at most 63 bytes, the rest is cut.
  std::string code;
  /// A sentence for people: at most 439 bytes, the rest is cut.
  std::string message;
};

/// A named check: it returns why an event may not be appended, or nothing when it may.
struct gate {
  std::string name;
  std::function<std::optional<refusal>(const new_event&)> check;
};

/// Whether the gates after a refusal are still asked.
enum class gate_mode : std::int32_t {
  /// The first refusal ends the evaluation; the rest are skipped.
  fail_fast = BATPAK_GATE_MODE_FAIL_FAST,
  /// Every gate is asked.
  all = BATPAK_GATE_MODE_ALL,
};

/// Gates in the order in which they are asked.
struct gate_set {
  std::vector<gate> gates{};
  gate_mode mode = gate_mode::fail_fast;
  /// Whether a refusal is recorded in the log.
  bool record_denial = false;
};

/// What a gate said of an event.
enum class verdict : std::int32_t {
  /// The event may pass.
  permit = BATPAK_VERDICT_PERMIT,
  /// It may not.
  deny = BATPAK_VERDICT_DENY,
  /// The gate was not asked, since an earlier one refused.
  skipped = BATPAK_VERDICT_SKIPPED,
};

/// A gate's name with its verdict.
struct gate_outcome {
  std::string gate;
  batpak::verdict verdict = batpak::verdict::permit;
  /// Why, when the verdict is deny.
  batpak::refusal refusal{};
};

namespace detail {

/// A gate during one call, and the first exception that any gate of the call threw.
struct gate_call {
  const gate* asked;
  std::exception_ptr* thrown;
};

template <std::size_t Size>
void copy_text(char (&place)[Size], std::string_view text) noexcept {
  const std::size_t length = std::min(text.size(), Size - 1);
  std::memcpy(place, text.data(), length);
  place[length] = '\0';
}

/// Asks a gate for the C interface, which no exception may cross: one is kept here and thrown
/// again after the call.
inline std::int32_t ask_gate(void* user_data, const batpak_new_event* event,
                             batpak_refusal* place) noexcept {
  const gate_call& call = *static_cast<const gate_call*>(user_data);
  try {
    const std::optional<refusal> refused = call.asked->check(new_event::from_c(*event));
    if (!refused) return BATPAK_VERDICT_PERMIT;
    copy_text(place->code, refused->code);
    copy_text(place->message, refused->message);
    return BATPAK_VERDICT_DENY;
  } catch (...) {
    if (!*call.thrown) *call.thrown = std::current_exception();
    // No verdict: the library refuses the event and ends the append.
    return -1;
  }
}

}  // namespace detail

// --------------------------------------------------------------------------------- compaction

/// What becomes of an event that is no longer wanted.
enum class unwanted : std::int32_t {
  /// It is no longer shown. Its hash is kept, so that roots and proofs stay what they were.
  drop = BATPAK_UNWANTED_DROP,
  /// It is shown with the kind 0x0FFE, that of a tombstone; its payload stays.
  tombstone = BATPAK_UNWANTED_TOMBSTONE,
  /// The same, and its payload is erased, but for its hash.
  erase = BATPAK_UNWANTED_ERASE,
};

/// What happens when more keys lie in the window than are to be kept.
enum class key_overflow : std::int32_t {
  /// They are kept all the same, and the report says how many too many there are.
  warn = BATPAK_KEY_OVERFLOW_WARN,
  /// The compaction throws an error of kind `too_large`, and nothing is changed.
  refuse = BATPAK_KEY_OVERFLOW_REFUSE,
};

namespace detail {
inline batpak_retention default_retention() noexcept {
  batpak_retention retention = BATPAK_RETENTION_INIT;
  return retention;
}
}  // namespace detail

/// The idempotency window: for how long the keys of dropped events are kept, that is, the ids that
/// callers gave. As long as its key is kept, repeating an append gives the receipt of the first
/// time, or a conflict if the content is another; later, the same id begins a new event. The key of
/// an event that is not dropped is never forgotten.
struct keys {
  /// Keys of this many sequences up to the newest event are kept, always.
  std::uint64_t window = detail::default_retention().key_window;
  /// So many keys are to be kept at the most.
  std::uint64_t most = detail::default_retention().key_most;
  /// What happens when there are more of them in the window.
  key_overflow overflow = key_overflow::warn;
};

/// Which events are no longer wanted: those that every rule which is set calls unwanted. At least
/// one must be set. The library's own events, such as denials, stay.
struct retention {
  /// Events that do not match stay: a query without a direction, from() and limit().
  query region{};
  /// Events from this sequence on stay.
  std::optional<std::uint64_t> before{};
  /// Events of this timestamp or later stay: microseconds since 1970.
  std::optional<std::int64_t> older_than_us{};
  /// So many newest events of each entity stay, on all its lanes together.
  std::optional<std::uint64_t> newest_per_entity{};
  /// Asked, in the order of the log, about each event that the other rules call unwanted: whether
  /// it stays. An exception ends the compaction, and nothing is changed. No lock is held meanwhile,
  /// so that it may use the store. The event may be kept.
  std::function<bool(const event&)> keep{};
  /// What becomes of the others.
  batpak::unwanted unwanted = batpak::unwanted::drop;
  /// Which keys of dropped events are kept.
  batpak::keys keys{};
};

/// How far a compaction is.
struct compact_progress {
  /// Sealed segments that were looked at, and written again if need be.
  std::uint64_t segments_done = 0;
  /// Sealed segments there are.
  std::uint64_t segments = 0;
  /// Bytes read so far; what is written again is read twice.
  std::uint64_t bytes_read = 0;
  /// Bytes written so far.
  std::uint64_t bytes_written = 0;
};

/// What a compaction does.
struct compact_options {
  /// Which events go. Without it, small segments are joined, and nothing else.
  std::optional<batpak::retention> retention{};
  /// How many bytes are read and written in a second at the most; 0 is as many as can be.
  std::uint64_t bytes_per_second = 0;
  /// Told, about once per MiB and at each segment, how far the compaction is. An exception ends the
  /// compaction, and nothing is changed. No lock is held meanwhile, so that it may use the store.
  std::function<void(const compact_progress&)> progress{};
};

/// What a compaction did.
struct compact_report {
  /// Segments of the store before, the newest one included.
  std::uint64_t segments_before = 0;
  /// Segments of the store afterwards.
  std::uint64_t segments_after = 0;
  /// Segments that others took the place of.
  std::uint64_t segments_replaced = 0;
  /// Segments that took their place.
  std::uint64_t segments_written = 0;
  /// Bytes of all segments before.
  std::uint64_t bytes_before = 0;
  /// Bytes of all segments afterwards.
  std::uint64_t bytes_after = 0;
  /// Events that were dropped.
  std::uint64_t events_dropped = 0;
  /// Events that became tombstones, or whose payload was erased.
  std::uint64_t tombstones = 0;
  /// Keys of dropped events in the window, from earlier compactions, too; all of these are kept. 0
  /// without a retention, since they are not counted then.
  std::uint64_t keys_kept = 0;
  /// How many of those are more than there should be.
  std::uint64_t keys_over = 0;
};

namespace detail {

/// The functions of a compaction during its call, and the exception that one of them threw.
struct compact_call {
  const std::function<bool(const event&)>* keep = nullptr;
  const std::function<void(const compact_progress&)>* progress = nullptr;
  std::exception_ptr thrown{};

  /// Calls one of them for the C interface, which no exception may cross: it is kept here and
  /// thrown again after the call. Without an answer, the library ends the compaction.
  template <class Function>
  std::int32_t answer_of(Function function) noexcept {
    try {
      return function();
    } catch (...) {
      thrown = std::current_exception();
      return -1;
    }
  }
};

/// The event that a function is shown for the time of its call, with a copy of its bytes.
inline event copy_of(const batpak_event& shown) {
  struct copied {
    batpak_event event;
    std::vector<std::uint8_t> bytes;
  };
  const auto copy = std::make_shared<copied>(copied{shown, {}});
  batpak_event& own = copy->event;
  copy->bytes.reserve(own.entity.length + own.scope.length + own.payload.length +
                      own.extensions.length);
  const auto take = [&](auto& part) {
    using pointer = decltype(part.data);
    const auto* const first = reinterpret_cast<const std::uint8_t*>(part.data);
    const std::size_t at = copy->bytes.size();
    copy->bytes.insert(copy->bytes.end(), first, first + part.length);
    part.data = reinterpret_cast<pointer>(copy->bytes.data() + at);
  };
  take(own.entity);
  take(own.scope);
  take(own.payload);
  take(own.extensions);
  return event(std::shared_ptr<const batpak_event>(copy, &own));
}

inline std::int32_t ask_keep(void* user_data, const batpak_event* shown) noexcept {
  compact_call& call = *static_cast<compact_call*>(user_data);
  return call.answer_of(
      [&] { return (*call.keep)(copy_of(*shown)) ? BATPAK_KEEP_YES : BATPAK_KEEP_NO; });
}

inline std::int32_t tell_progress(void* user_data, const batpak_compact_progress* told) noexcept {
  compact_call& call = *static_cast<compact_call*>(user_data);
  return call.answer_of([&] {
    (*call.progress)({told->segments_done, told->segments, told->bytes_read, told->bytes_written});
    return 0;
  });
}

}  // namespace detail

// --------------------------------------------------------------------------------- the store

/// What may exist before, and what may be done after, opening.
enum class open_mode : std::int32_t {
  /// Open for appending; create the store, and its directory, if there is none.
  create = BATPAK_OPEN_CREATE,
  /// Open for appending; fail if there is no store.
  existing = BATPAK_OPEN_EXISTING,
  /// Create a store for appending; fail if there is one.
  create_new = BATPAK_OPEN_CREATE_NEW,
  /// Open for reading, beside a live writer or without one. Nothing is written. Stores of the
  /// batpak crate 0.x can be opened, too.
  read_only = BATPAK_OPEN_READ_ONLY,
  /// Open what can still be read of a damaged store, for reading. The report names every damage.
  salvage = BATPAK_OPEN_SALVAGE,
};

namespace detail {
inline batpak_options default_options() noexcept {
  batpak_options options = BATPAK_OPTIONS_INIT;
  return options;
}
inline batpak_repair_options default_repair_options() noexcept {
  batpak_repair_options options = BATPAK_REPAIR_OPTIONS_INIT;
  return options;
}
inline batpak_export_options default_export_options() noexcept {
  batpak_export_options options = BATPAK_EXPORT_OPTIONS_INIT;
  return options;
}
}  // namespace detail

/// How to open a store.
struct open_options {
  /// What may exist before, and what may be done after.
  open_mode mode = open_mode::create;
  /// The durability of an append that names none.
  batpak::durability durability = batpak::durability::durable;
  /// The largest payload that an append accepts, in bytes.
  std::uint32_t max_payload_bytes = detail::default_options().max_payload_bytes;
  /// A segment that has reached this size is sealed before the next append. In bytes.
  std::uint64_t segment_bytes = detail::default_options().segment_bytes;
  /// Buffered events are written when this many bytes of them have gathered.
  std::uint64_t buffer_bytes = detail::default_options().buffer_bytes;
  /// Buffered events are written at the latest after this many milliseconds.
  std::uint32_t buffer_ms = detail::default_options().buffer_ms;
  /// The most files kept open; 0 takes a quarter of the process limit.
  std::uint32_t max_open_files = detail::default_options().max_open_files;
  /// How many bytes of segments are kept in memory for reading, at the most; 0 keeps none, and
  /// every read goes to the operating system.
  std::uint64_t cache_bytes = detail::default_options().cache_bytes;
  /// How often the store goes on by itself after a panic during an append, which a defect of the
  /// library causes: the appends of that group throw errors of kind `panic`, the end of the log is
  /// read from the files again, and the next ones go on. After more of them appends throw errors of
  /// kind `poisoned` until the store is reopened; reading goes on. 0 never goes on.
  std::uint32_t restarts = detail::default_options().restarts;
  /// The panics of how many milliseconds count; 0 counts all since opening.
  std::uint32_t restart_window_ms = detail::default_options().restart_window_ms;
  /// For tests and reproductions: ids and times become functions of the seed and the sequence, so
  /// that the same appends give the same bytes.
  std::optional<std::uint64_t> seed{};
};

/// What opening found and did, or what an inspection found.
struct open_report {
  /// The store was created.
  bool created = false;
  /// The store had been closed cleanly.
  bool clean = false;
  /// Events found.
  std::uint64_t events = 0;
  /// Segments found.
  std::uint64_t segments = 0;
  /// Bytes cut from the unsynced end of the newest segment; for a reader, bytes passed over.
  std::uint64_t cut_bytes = 0;
  /// Where they were cut: segment and offset.
  std::optional<std::pair<std::uint64_t, std::uint64_t>> cut_at{};
  /// Why they were cut; empty when nothing was.
  std::string cut_reason{};
  /// Leftovers of an interrupted operation that were removed.
  std::vector<std::string> removed{};
  /// Files that do not belong to the store and were left alone.
  std::vector<std::string> ignored{};
  /// What was passed over, a sentence each: in a salvage, everything damaged; in a 0.x store, also
  /// what its crashes left behind.
  std::vector<std::string> damage{};
  /// The format: 2, or 1 for a store of the batpak crate 0.x.
  std::uint32_t format = 0;
  /// Events of cancelled fences of a 0.x store, which are not shown.
  std::uint64_t hidden = 0;
};

namespace detail {

/// A text from a call that writes to a buffer and says how long the text is.
template <class Fill>
std::string text(Fill fill) {
  std::string result(256, '\0');
  std::size_t length = 0;
  fill(result.data(), result.size(), &length);
  if (length >= result.size()) {
    result.resize(length + 1);
    fill(result.data(), result.size(), &length);
  }
  result.resize(length);
  return result;
}

/// So many texts, of which `fill` writes one to a buffer.
template <class Fill>
std::vector<std::string> texts(std::uint64_t count, Fill fill) {
  std::vector<std::string> all;
  for (std::size_t index = 0; index < count; ++index)
    all.push_back(text([&](char* buffer, std::size_t capacity, std::size_t* length) {
      fill(index, buffer, capacity, length);
    }));
  return all;
}

/// A report with its texts, of which `fill` writes one to a buffer.
template <class Fill>
open_report report_of(const batpak_open_report& found, Fill fill) {
  const auto texts = [&](std::int32_t list, std::uint64_t count) {
    return detail::texts(count, [&](auto... arguments) { fill(list, arguments...); });
  };
  open_report result;
  result.created = found.created != 0;
  result.clean = found.clean != 0;
  result.events = found.events;
  result.segments = found.segments;
  result.cut_bytes = found.cut_bytes;
  if (found.was_cut) result.cut_at = {found.cut_segment, found.cut_offset};
  result.cut_reason = texts(BATPAK_REPORT_CUT_REASON, 1).front();
  result.removed = texts(BATPAK_REPORT_REMOVED, found.removed_count);
  result.ignored = texts(BATPAK_REPORT_IGNORED, found.ignored_count);
  result.damage = texts(BATPAK_REPORT_DAMAGE, found.damage_count);
  result.format = found.format;
  result.hidden = found.hidden;
  return result;
}

}  // namespace detail

/// What opening a directory for appending would do.
enum class opening : std::int32_t {
  /// Create a store: there is none.
  creates = BATPAK_OPENING_CREATES,
  /// Open it as it was closed.
  opens = BATPAK_OPENING_OPENS,
  /// Open it after a crash: the report says what would be cut.
  recovers = BATPAK_OPENING_RECOVERS,
  /// Fail, since another writer has it open.
  locked = BATPAK_OPENING_LOCKED,
  /// Fail: it is a store of the batpak crate 0.x, which is opened for reading, or imported.
  only_reads = BATPAK_OPENING_ONLY_READS,
  /// Fail, since it is damaged or of a later version.
  refuses = BATPAK_OPENING_REFUSES,
};

/// The stable name, such as "RECOVERS".
inline std::string_view name(opening outcome) noexcept {
  return batpak_opening_name(static_cast<std::int32_t>(outcome));
}

/// What a directory holds.
struct inspection {
  /// What opening it for appending would do.
  batpak::opening opening = batpak::opening::creates;
  /// Why, if readers are refused as well: the error that opening gives, or that a reader gets.
  std::optional<error> refusal{};
  /// The store's id; for a 0.x store, one derived from its first event; zeros when nothing can be
  /// read.
  id store_id;
  /// The id under every event hash; forks share it.
  id lineage_id;
  /// Bytes of all segments.
  std::uint64_t bytes = 0;
  /// What a reader finds; if readers are refused, what a salvage finds. Its format is 0 when there
  /// is no store, or nothing that can be read of it.
  open_report report{};
};

/// Looks at a directory: what it holds, its health as far as opening checks it, and what opening it
/// would do. Changes nothing, and does not disturb a live writer. To check every byte, open it with
/// open_mode::read_only and verify() it. An error means that the directory could not be looked at.
inline inspection inspect(std::string_view path) {
  batpak_inspection* made = nullptr;
  detail::call(batpak_inspect, path.data(), path.size(), &made);
  const std::unique_ptr<batpak_inspection, detail::releaser> found(made);
  batpak_directory_state state = BATPAK_DIRECTORY_STATE_INIT;
  batpak_error refusal = BATPAK_ERROR_INIT;
  batpak_open_report report = BATPAK_OPEN_REPORT_INIT;
  detail::call(batpak_inspection_state, found.get(), &state);
  detail::call(batpak_inspection_refusal, found.get(), &refusal);
  detail::call(batpak_inspection_report, found.get(), &report);
  inspection result;
  result.opening = static_cast<opening>(state.opening);
  if (refusal.kind != BATPAK_OK) result.refusal = error(refusal);
  result.store_id = id(state.store_id);
  result.lineage_id = id(state.lineage_id);
  result.bytes = state.bytes;
  result.report = detail::report_of(report, [&](auto... arguments) {
    detail::call(batpak_inspection_report_text, found.get(), arguments...);
  });
  return result;
}

/// The end of a log.
struct head {
  /// The number of visible events, which is the sequence of the next one. Where sequences are
  /// missing, as in a 0.x store with cancelled fences, the sequence of the next one.
  std::uint64_t events = 0;
  /// The hash of the last visible event; zeros when there is none.
  hash last_hash;
  /// The root of the Merkle tree (SHA-256, RFC 6962) over all visible event hashes.
  hash root;
};

/// The end of a stream.
struct stream_head {
  /// The clock of its last event.
  std::uint32_t clock = 0;
  /// The sequence of its last event.
  std::uint64_t sequence = 0;
  /// The hash of its last event.
  batpak::hash hash;
};

/// How far events have come, each as a number of events from the start of the log.
struct frontier {
  /// Ordered, in memory.
  std::uint64_t accepted = 0;
  /// Bytes in the file.
  std::uint64_t written = 0;
  /// Confirmed by a sync.
  std::uint64_t durable = 0;
  /// Shown to readers of this store.
  std::uint64_t visible = 0;
};

/// Sizes and identity of a store.
struct stats {
  /// Visible events; without those that a retention has dropped.
  std::uint64_t events = 0;
  /// Segments, the one being written included.
  std::uint64_t segments = 0;
  /// Bytes of all segments.
  std::uint64_t bytes = 0;
  /// Entities.
  std::uint64_t entities = 0;
  /// Streams: pairs of entity and lane.
  std::uint64_t streams = 0;
  /// This directory's id.
  id store_id;
  /// The id under every event hash; forks share it.
  id lineage_id;
};

/// What kind of damage a finding is.
enum class finding_kind : std::int32_t {
  /// A segment is missing, foreign, renamed, or has a bad header.
  segment = BATPAK_FINDING_SEGMENT,
  /// A frame cannot be read.
  frame = BATPAK_FINDING_FRAME,
  /// An event's hash is not the hash of its fields.
  hash = BATPAK_FINDING_HASH,
  /// An event does not follow the one before it in its stream.
  link = BATPAK_FINDING_LINK,
  /// An event is not at its place in the whole log.
  sequence = BATPAK_FINDING_SEQUENCE,
  /// A footer does not say what its frames say.
  footer = BATPAK_FINDING_FOOTER,
  /// The tree over the events does not have the recorded root.
  root = BATPAK_FINDING_ROOT,
};

/// The stable name, such as "HASH".
inline std::string_view name(finding_kind kind) noexcept {
  return batpak_finding_name(static_cast<std::int32_t>(kind));
}

/// One damage.
struct finding {
  finding_kind kind;
  /// In which segment.
  std::uint64_t segment;
  /// At which byte offset.
  std::uint64_t offset;
  /// What was expected and what was found.
  std::string message;
};

/// What a verification found.
struct verify_report {
  /// Events that were checked.
  std::uint64_t events = 0;
  /// Of those, events that a retention has dropped: what is left of them is their hash, so that
  /// they are told from events that never were.
  std::uint64_t dropped = 0;
  /// Events that a compaction has made tombstones.
  std::uint64_t tombstones = 0;
  /// Tombstones whose payload was erased.
  std::uint64_t erased = 0;
  /// Segments that were checked.
  std::uint64_t segments = 0;
  /// The hash of the last event, recomputed.
  hash last_hash;
  /// The root of the tree, recomputed.
  hash root;
  /// Every damage, in log order.
  std::vector<finding> findings{};

  /// Whether nothing was found.
  bool is_intact() const noexcept { return findings.empty(); }
};

namespace detail {

inline verify_report verified(const batpak_verify_report& found,
                              const std::vector<batpak_finding>& findings) {
  verify_report result;
  result.events = found.events;
  result.dropped = found.dropped;
  result.tombstones = found.tombstones;
  result.erased = found.erased;
  result.segments = found.segments;
  result.last_hash = hash(found.last_hash);
  result.root = hash(found.root);
  for (std::size_t at = 0; at < found.finding_count; ++at)
    result.findings.push_back({static_cast<finding_kind>(findings[at].kind), findings[at].segment,
                               findings[at].offset, findings[at].message});
  return result;
}

}  // namespace detail

/// How to repair.
struct repair_options {
  /// Carry over, marked, also events that something speaks against: their hash is not that of their
  /// fields, or what was recorded later names another event in their place.
  bool keep_altered = false;
  /// The places of so many lost events are held, at the most. With more of them, the repair throws
  /// an error of kind `too_large`.
  std::uint64_t max_lost = detail::default_repair_options().max_lost;
  /// The size of segments for what is appended anew, in bytes.
  std::uint64_t segment_bytes = detail::default_repair_options().segment_bytes;
  /// For tests and reproductions: the same damage gives the same copy.
  std::optional<std::uint64_t> seed{};
};

/// Lost events that follow each other.
struct lost_events {
  /// The sequence of the first.
  std::uint64_t first_sequence = 0;
  /// How many.
  std::uint64_t events = 0;
};

/// Bytes of a segment that are no event of the copy.
struct left_out {
  /// In which segment of the damaged store.
  std::uint64_t segment = 0;
  /// The offset of the first byte.
  std::uint64_t offset = 0;
  /// How many bytes.
  std::uint64_t bytes = 0;
  /// The sequence of the first event that stood there, as far as that can be told.
  std::uint64_t first_sequence = 0;
  /// How many events stood there; 0 also when that cannot be told.
  std::uint64_t events = 0;
  /// Why.
  std::string reason{};
};

/// What a repair did; kept, appended, dropped and lost add up to the events of the copy.
struct repair_report {
  /// The damaged store's id; zeros when nothing tells it.
  id source;
  /// The copy's own id.
  id store_id;
  /// So many events, from the first on, were kept as they were.
  std::uint64_t kept = 0;
  /// So many behind those were appended anew: under their sequences, with other hashes.
  std::uint64_t appended = 0;
  /// So many behind the kept ones had been dropped by a retention. Their places are held.
  std::uint64_t dropped = 0;
  /// So many behind the kept ones were lost, and have their places held.
  std::uint64_t lost = 0;
  /// Which, by sequence.
  std::vector<batpak::lost_events> lost_events{};
  /// Every run of bytes in a segment that is no event of the copy, and no header, footer or
  /// reserved space; by segment and offset.
  std::vector<batpak::left_out> left_out{};
  /// What was found damaged, a sentence each.
  std::vector<std::string> damage{};
  /// What verifying the copy found, before it got its name.
  verify_report verify{};
};

/// Writes a copy of a damaged store to a new directory, which must not exist, or be empty: with all
/// events that can be read and that nothing speaks against, each under its sequence. The damaged
/// store is not changed; no writer may have it open. Nothing of a copy that failed is left under
/// its name; one that has its name is whole, and survives a power cut.
///
/// The events before the first damage are the same, hashes included: the copy is a fork of the
/// damaged store, with its own id. Those behind it have new hashes, links and clocks, and say where
/// they come from in their extension `batpak.import`. An empty event of the kind 0x0FFE holds the
/// place of each that was lost.
inline repair_report repair(std::string_view damaged, std::string_view destination,
                            const repair_options& options = {}) {
  batpak_repair_options given = BATPAK_REPAIR_OPTIONS_INIT;
  given.keep_altered = options.keep_altered;
  given.max_lost = options.max_lost;
  given.segment_bytes = options.segment_bytes;
  given.seed = options.seed.value_or(0);
  given.has_seed = options.seed.has_value();
  batpak_repaired* made = nullptr;
  detail::call(batpak_repair, damaged.data(), damaged.size(), destination.data(),
               destination.size(), &given, &made);
  const std::unique_ptr<batpak_repaired, detail::releaser> done(made);
  batpak_repair_report found = BATPAK_REPAIR_REPORT_INIT;
  detail::call(batpak_repaired_report, done.get(), &found);
  std::vector<batpak_lost_events> lost(found.lost_count);
  detail::call(batpak_repaired_lost, done.get(), lost.data(), lost.size());
  std::vector<batpak_left_out> left(found.left_out_count);
  detail::call(batpak_repaired_left_out, done.get(), left.data(), left.size());
  batpak_verify_report verified = BATPAK_VERIFY_REPORT_INIT;
  detail::call(batpak_repaired_verification, done.get(), &verified, nullptr, std::size_t{0});
  std::vector<batpak_finding> findings(verified.finding_count);
  detail::call(batpak_repaired_verification, done.get(), &verified, findings.data(),
               findings.size());
  repair_report result;
  result.source = id(found.source);
  result.store_id = id(found.store_id);
  result.kept = found.kept;
  result.appended = found.appended;
  result.dropped = found.dropped;
  result.lost = found.lost;
  for (const batpak_lost_events& run : lost)
    result.lost_events.push_back({run.first_sequence, run.events});
  for (const batpak_left_out& run : left)
    result.left_out.push_back(
        {run.segment, run.offset, run.bytes, run.first_sequence, run.events, run.reason});
  result.damage = detail::texts(found.damage_count, [&](auto... arguments) {
    detail::call(batpak_repaired_damage, done.get(), arguments...);
  });
  result.verify = detail::verified(verified, findings);
  return result;
}

/// An event that was left out, or bytes that may have been events.
struct dropped {
  /// In which segment of the store that was read; 0 when it is none in particular.
  std::uint64_t segment = 0;
  /// At which byte offset.
  std::uint64_t offset = 0;
  /// The event's sequence in that store, if it has one.
  std::optional<std::uint64_t> sequence{};
  /// Whether it is an event; otherwise it is bytes that may have been events.
  bool is_event = false;
  /// Why.
  std::string reason{};

  dropped() = default;
  explicit dropped(const batpak_dropped& value)
      : segment(value.segment),
        offset(value.offset),
        is_event(value.is_event != 0),
        reason(value.reason) {
    if (value.has_sequence) sequence = value.sequence;
  }
};

/// How to import.
struct import_options {
  /// Go past damage in the source and import what can still be read. Without it, a damaged source
  /// is refused.
  bool salvage = false;
  /// Import also the events of a 0.x store that nothing vouches for, since their payload is not
  /// what their hash says, their predecessor is another than their link says, or their key does
  /// not open them. They are marked.
  bool unvouched = false;
  /// Import the plaintext of encrypted payloads of a 0.x store whose key is there. Without it, the
  /// ciphertext is imported, with what is needed to decrypt it.
  bool decrypt = false;
};

/// What an import did. The counts from imported to dropped add up to the events of the source.
struct import_report {
  /// The source's id: its store id, or for a 0.x store one derived from its first event.
  id source;
  /// The format of the source: 2, or 1 for a store of the batpak crate 0.x.
  std::uint32_t format = 0;
  /// Events that were appended.
  std::uint64_t imported = 0;
  /// Events that were there already, from an earlier import.
  std::uint64_t already_there = 0;
  /// Events of cancelled fences of a 0.x store, which nobody may see. Where sequences are kept, an
  /// empty event of the kind 0x0FFE holds the place of each.
  std::uint64_t hidden = 0;
  /// Events that are not in the region.
  std::uint64_t outside = 0;
  /// Events that were left out; the reasons are in drops.
  std::uint64_t dropped = 0;
  /// Whether every event of the source that is in this store has the sequence that it has there.
  bool sequences_kept = false;
  /// Idempotency keys of a 0.x store whose events a compaction has removed: they cannot be kept.
  std::uint64_t keys_without_events = 0;
  /// Why events were left out: the first thousand.
  std::vector<batpak::dropped> drops{};
};

/// How to export.
struct export_options {
  /// Write what the batpak crate 0.1 reads, too: without extensions and payload versions, and
  /// nearly twice as large. Without it, what 0.7 to 0.10 read.
  bool plain = false;
  /// A segment that has reached this size is ended before the next event. In bytes.
  std::uint64_t segment_bytes = detail::default_export_options().segment_bytes;
};

/// What an export did.
struct export_report {
  /// Events that were written.
  std::uint64_t exported = 0;
  /// Places of hidden events that were written, so that sequences stay the same; they are hidden
  /// there, too.
  std::uint64_t hidden = 0;
  /// Events that were left out; the reasons are in drops.
  std::uint64_t dropped = 0;
  /// Segments that were written.
  std::uint64_t segments = 0;
  /// Their bytes.
  std::uint64_t bytes = 0;
  /// Why events were left out: the first thousand.
  std::vector<batpak::dropped> drops{};
};

/// How to make a snapshot.
struct snapshot_options {
  /// The directory of an earlier snapshot of this store, or of the one that it was forked from:
  /// sealed segments that it has are shared with it, rather than copied. Empty for none.
  std::string earlier{};
  /// Share no file with this store, so that damage to the files of one is none to the other. What
  /// an earlier snapshot has is shared with that.
  bool independent = false;
};

/// How to fork.
struct fork_options {
  /// How many events, from the first on, the fork has in common with this store; without it, all
  /// that are visible. A batch cannot be cut.
  std::optional<std::uint64_t> at{};
  /// Share no file with this store, so that damage to the files of one is none to the other.
  bool independent = false;
};

/// What a snapshot or a fork holds, and how it came there.
struct copy_report {
  /// The store id of the copy: of a snapshot the same, of a fork a new one.
  id store_id;
  /// The events in it.
  std::uint64_t events = 0;
  /// The root of the tree over those.
  hash root;
  /// Its segments.
  std::uint64_t segments = 0;
  /// Segments that it shares with another store, by hard links.
  std::uint64_t linked = 0;
  /// Segments that were copied, the newest one included.
  std::uint64_t copied = 0;
  /// The bytes of those.
  std::uint64_t bytes_copied = 0;

  copy_report() = default;
  explicit copy_report(const batpak_copy_report& value)
      : store_id(value.store_id),
        events(value.events),
        root(value.root),
        segments(value.segments),
        linked(value.linked),
        copied(value.copied),
        bytes_copied(value.bytes_copied) {}
};

/// How two logs compare. The sequences from common to before ours are those that only this store
/// has, or has with other events; likewise for theirs.
struct diff {
  /// So many events, from the first on, are the same in both.
  std::uint64_t common = 0;
  /// The number of events of this store.
  std::uint64_t ours = 0;
  /// The number of events of the other store.
  std::uint64_t theirs = 0;
};

/// What a snapshot is worth.
struct snapshot_check {
  /// What verifying the snapshot found.
  verify_report report{};
  /// How it compares with this store, if it is intact; theirs are the events of the snapshot.
  std::optional<batpak::diff> diff{};
  /// The snapshot is intact, and this store's log begins with it.
  bool is_prefix = false;
};

/// What a store was forked from.
struct parent {
  /// The store.
  id store_id;
  /// So many events, from the first on, are common.
  std::uint64_t events = 0;
  /// The root of the tree over those.
  hash root;
};

/// The version of the loaded library, such as "0.1.0".
inline std::string_view version() noexcept { return batpak_version_text(); }

/// An open store. It can be moved but not copied, and closes itself; call close() to learn whether
/// that worked. Every call on a closed store throws an error of kind `closed`, and on a store that
/// was moved from one of kind `bad_handle`.
class store {
 public:
  /// No store, as after a move.
  store() noexcept = default;

  /// Opens the store in a directory. One of the batpak crate 0.x can be opened for reading.
  explicit store(std::string_view path, const open_options& options = {}) {
    batpak_options given = detail::default_options();
    given.mode = static_cast<std::int32_t>(options.mode);
    given.durability = static_cast<std::int32_t>(options.durability);
    given.max_payload_bytes = options.max_payload_bytes;
    given.segment_bytes = options.segment_bytes;
    given.buffer_bytes = options.buffer_bytes;
    given.buffer_ms = options.buffer_ms;
    given.max_open_files = options.max_open_files;
    given.cache_bytes = options.cache_bytes;
    given.restarts = options.restarts;
    given.restart_window_ms = options.restart_window_ms;
    given.seed = options.seed.value_or(0);
    given.has_seed = options.seed.has_value();
    batpak_store* opened = nullptr;
    detail::call(batpak_store_open, path.data(), path.size(), &given, &opened);
    handle_.reset(opened);
  }

  /// Writes and syncs what is buffered, and closes. Closing twice is fine.
  void close() {
    // The handle stays: the library refuses it from now on, whichever thread still uses it.
    batpak_error reported = BATPAK_ERROR_INIT;
    const batpak_status status = batpak_store_close(handle_.get(), &reported);
    if (status != BATPAK_OK && status != BATPAK_BAD_HANDLE) throw error(reported);
  }

  // Appending. Without a durability, the store's default is taken.

  /// Appends one event.
  receipt append(const new_event& event, std::optional<durability> level = {}) const {
    std::vector<batpak_extension> extensions(event.extensions.size());
    const batpak_new_event given = event.c_event(extensions.data());
    batpak_receipt result;
    call(batpak_store_append, &given, std::size_t{1}, detail::c_level(level), &result);
    return receipt(result);
  }

  /// Appends all events or none, in this order, with nothing between them.
  std::vector<receipt> append_batch(const std::vector<new_event>& events,
                                    std::optional<durability> level = {}) const {
    const detail::c_events given(events.data(), events.size());
    std::vector<batpak_receipt> results(given.size());
    call(batpak_store_append, given.data(), given.size(), detail::c_level(level), results.data());
    return {results.begin(), results.end()};
  }

  /// Starts to append one event, and returns at once. Appends are committed in the order in which
  /// a thread starts them, also before later ones that wait; thousands under way share writes and
  /// syncs. What is wrong at once is thrown here, what shows later by the ticket.
  ticket append_async(const new_event& event, std::optional<durability> level = {}) const {
    return start(detail::c_events(&event, 1), level);
  }

  /// Starts to append all events or none, as append_batch() does, and returns at once.
  ticket append_batch_async(const std::vector<new_event>& events,
                            std::optional<durability> level = {}) const {
    return start(detail::c_events(events.data(), events.size()), level);
  }

  /// Starts to append one event, and calls `then` with an append_result when that has ended:
  /// exactly once unless this throws, and otherwise never. `then` is moved, and destroyed when it
  /// was called, on its thread: one of the library's, or one that is in a call of this store. It
  /// should be short, must not throw or wait for a ticket, and may be called before this returns.
  template <class Then,
            std::enable_if_t<std::is_invocable_v<std::decay_t<Then>&, append_result>, int> = 0>
  void append_async(const new_event& event, Then&& then,
                    std::optional<durability> level = {}) const {
    start_then(detail::c_events(&event, 1), std::forward<Then>(then), level);
  }

  /// Starts to append all events or none, and calls `then` as append_async() does.
  template <class Then,
            std::enable_if_t<std::is_invocable_v<std::decay_t<Then>&, append_result>, int> = 0>
  void append_batch_async(const std::vector<new_event>& events, Then&& then,
                          std::optional<durability> level = {}) const {
    start_then(detail::c_events(events.data(), events.size()), std::forward<Then>(then), level);
  }

  /// Appends all events if every gate permits every one of them, and throws an error of kind
  /// `denied` otherwise. An exception that a gate throws refuses its event too, and comes out of
  /// this call.
  std::vector<receipt> append_gated(const std::vector<new_event>& events, const gate_set& set,
                                    std::optional<durability> level = {}) const {
    const detail::c_events given(events.data(), events.size());
    std::exception_ptr thrown;
    std::vector<detail::gate_call> calls;
    std::vector<batpak_gate> gates;
    calls.reserve(set.gates.size());
    gates.reserve(set.gates.size());
    for (const gate& own : set.gates) {
      calls.push_back({&own, &thrown});
      batpak_gate entry = BATPAK_GATE_INIT;
      entry.name = detail::c_text(own.name);
      entry.check = detail::ask_gate;
      entry.user_data = &calls.back();
      gates.push_back(entry);
    }
    std::vector<batpak_receipt> results(given.size());
    try {
      call(batpak_store_append_gated, given.data(), given.size(), gates.data(), gates.size(),
           static_cast<std::int32_t>(set.mode), static_cast<std::int32_t>(set.record_denial),
           detail::c_level(level), results.data());
    } catch (const error&) {
      if (thrown) std::rethrow_exception(thrown);
      throw;
    }
    return {results.begin(), results.end()};
  }

  /// Begins a fence. It holds nothing of the log: any number of them may be open, and nobody who
  /// appends waits for one. It does not keep the store open.
  fence begin_fence(const fence_options& options = {}) const& {
    batpak_fence_options given = detail::default_fence_options();
    given.memory_bytes = options.memory_bytes;
    batpak_fence* begun = nullptr;
    call(batpak_fence_begin, &given, &begun);
    return fence(begun);
  }
  fence begin_fence(const fence_options& options = {}) const&& = delete;

  /// Records in the log that gates refused an event, for a caller that asked its gates itself.
  receipt record_denial(const new_event& refused, const std::vector<gate_outcome>& outcomes,
                        std::optional<durability> level = {}) const {
    const detail::c_events given(&refused, 1);
    std::vector<batpak_gate_outcome> said;
    said.reserve(outcomes.size());
    for (const gate_outcome& outcome : outcomes) {
      batpak_gate_outcome entry = BATPAK_GATE_OUTCOME_INIT;
      entry.verdict = static_cast<std::int32_t>(outcome.verdict);
      entry.gate = detail::c_text(outcome.gate);
      entry.code = detail::c_text(outcome.refusal.code);
      entry.message = detail::c_text(outcome.refusal.message);
      said.push_back(entry);
    }
    batpak_receipt result;
    call(batpak_store_record_denial, given.data(), said.data(), said.size(), detail::c_level(level),
         &result);
    return receipt(result);
  }

  /// Writes what is buffered.
  void flush() const { call(batpak_store_flush); }
  /// Writes what is buffered and syncs: when it returns, every event accepted before is durable.
  void sync() const { call(batpak_store_sync); }

  // Reading.

  /// The event with this id.
  std::optional<event> get(const id& id) const {
    const batpak_id wanted = id.c_id();
    detail::view_target found;
    call(batpak_store_get, &wanted, found.view(), found.events(), found.count());
    return found.take_one();
  }

  /// The event at this sequence.
  std::optional<event> at(std::uint64_t sequence) const {
    detail::view_target found;
    call(batpak_store_at, sequence, found.view(), found.events(), found.count());
    return found.take_one();
  }

  /// Starts reading; the scan sees what is visible now. It does not keep the store open.
  scan read(const query& query = {}) const& {
    const batpak_query wanted = query.c_query();
    batpak_scan* opened = nullptr;
    call(batpak_scan_open, &wanted, &opened);
    return scan(opened);
  }
  scan read(const query& query = {}) const&& = delete;

  /// Starts to follow a query, which goes forward and has no limit: it gives what is there, then
  /// what is appended. In a store opened for reading it follows a writer in another process. It
  /// does not keep the store open.
  batpak::follow follow(const query& query = {}) const& {
    const batpak_query wanted = query.c_query();
    batpak_follow* opened = nullptr;
    call(batpak_store_follow, &wanted, &opened);
    return batpak::follow(opened);
  }
  batpak::follow follow(const query& query = {}) const&& = delete;

  /// Walks back from an event along a link, up to `limit` events.
  ancestry ancestors(const id& id, link link, std::uint64_t limit) const {
    const batpak_id start = id.c_id();
    std::int32_t boundary = 0;
    detail::view_target found;
    call(batpak_store_ancestors, &start, static_cast<std::int32_t>(link), limit, found.view(),
         found.events(), found.count(), &boundary);
    return {found.take(), static_cast<batpak::boundary>(boundary)};
  }

  /// The end of a stream: one lane of an entity.
  std::optional<batpak::stream_head> stream_head(std::string_view entity,
                                                 std::uint32_t lane = 0) const {
    batpak_stream_head found;
    std::size_t count = 0;
    call(batpak_store_stream_head, entity.data(), entity.size(), lane, &found, &count);
    if (count == 0) return std::nullopt;
    return batpak::stream_head{found.clock, found.sequence, hash(found.hash)};
  }

  /// The end of the log.
  batpak::head head() const {
    batpak_head found;
    call(batpak_store_head, &found);
    return {found.events, hash(found.last_hash), hash(found.root)};
  }

  /// The end of the log as it was when it had so many events: to be compared with a head that was
  /// noted down then.
  batpak::head head_at(std::uint64_t events) const {
    batpak_head found;
    call(batpak_store_head_at, events, &found);
    return {found.events, hash(found.last_hash), hash(found.root)};
  }

  /// How far events have come.
  batpak::frontier frontier() const {
    batpak_frontier found = BATPAK_FRONTIER_INIT;
    call(batpak_store_frontier, &found);
    return {found.accepted, found.written, found.durable, found.visible};
  }

  /// Sizes and identity.
  batpak::stats stats() const {
    batpak_stats found = BATPAK_STATS_INIT;
    call(batpak_store_stats, &found);
    return {found.events,   found.segments,     found.bytes,         found.entities,
            found.streams,  id(found.store_id), id(found.lineage_id)};
  }

  /// Checks every byte, hash and link. Damage is not an error of this call: it is in the report.
  verify_report verify() const {
    batpak_verify_report found = BATPAK_VERIFY_REPORT_INIT;
    std::vector<batpak_finding> findings;
    // An intact store, the usual case, needs no room for findings. A damaged one is checked again.
    do {
      findings.resize(found.finding_count);
      call(batpak_store_verify, &found, findings.data(), findings.size());
    } while (found.finding_count > findings.size());
    return detail::verified(found, findings);
  }

  // Compaction.

  /// Puts new segments in the place of sealed ones, while appends and reads go on: drops events
  /// that are no longer wanted, or makes tombstones of them, and joins small segments. With a
  /// retention, the newest segment is sealed first, so that it holds for every event that is
  /// visible. After an error, and after a crash, the store has the events that it had before.
  ///
  /// What stays keeps its sequence, clock, hash and receipt; roots that were noted down still hold.
  /// One who reads meanwhile may or may not see an event that goes. An exception that a function of
  /// the options throws comes out of this call. Throws an error of kind `locked` while another
  /// compaction of the store is under way, and one of kind `closed` when it is closed meanwhile.
  ///
  ///   batpak::compact_options options;
  ///   options.retention.emplace().newest_per_entity = 100;
  ///   store.compact(options);
  compact_report compact(const compact_options& options = {}) const {
    detail::compact_call during;
    batpak_retention rules = detail::default_retention();
    batpak_query region = BATPAK_QUERY_INIT;
    batpak_compact_options given = BATPAK_COMPACT_OPTIONS_INIT;
    given.bytes_per_second = options.bytes_per_second;
    if (options.retention) {
      const batpak::retention& retention = *options.retention;
      region = retention.region.c_query();
      rules.unwanted = static_cast<std::int32_t>(retention.unwanted);
      rules.region = &region;
      rules.before = retention.before.value_or(0);
      rules.has_before = retention.before.has_value();
      rules.older_than_us = retention.older_than_us.value_or(0);
      rules.has_older_than = retention.older_than_us.has_value();
      rules.newest_per_entity = retention.newest_per_entity.value_or(0);
      rules.has_newest_per_entity = retention.newest_per_entity.has_value();
      rules.key_window = retention.keys.window;
      rules.key_most = retention.keys.most;
      rules.key_overflow = static_cast<std::int32_t>(retention.keys.overflow);
      if (retention.keep) {
        during.keep = &retention.keep;
        rules.keep = detail::ask_keep;
        rules.keep_user_data = &during;
      }
      given.retention = &rules;
    }
    if (options.progress) {
      during.progress = &options.progress;
      given.progress = detail::tell_progress;
      given.progress_user_data = &during;
    }
    batpak_compact_report found = BATPAK_COMPACT_REPORT_INIT;
    try {
      call(batpak_store_compact, &given, &found);
    } catch (const error&) {
      if (during.thrown) std::rethrow_exception(during.thrown);
      throw;
    }
    return {found.segments_before,   found.segments_after, found.segments_replaced,
            found.segments_written,  found.bytes_before,   found.bytes_after,
            found.events_dropped,    found.tombstones,     found.keys_kept,
            found.keys_over};
  }

  // Other stores.

  /// Imports the events of another store, of this format or of the batpak crate 0.1 to 0.10, that
  /// are in the region: a query without a direction, from() and limit(). The source is opened for
  /// reading and not changed. All that was imported is durable on return.
  ///
  /// Kept are ids, kinds, times, lanes, depths, flags, correlation, causation, extensions, payload
  /// versions, payloads and batches; and sequences, when everything is imported into an empty
  /// store and nobody appends meanwhile. Clocks and hashes are those of this store. Where an event
  /// comes from is in its extension "batpak.import".
  ///
  /// An event whose id is here already with the same content is counted and left alone: an import
  /// that failed, or was interrupted, goes on when it is called again.
  import_report import_from(std::string_view source, const query& region = {},
                            const import_options& options = {}) const {
    const batpak_query wanted = region.c_query();
    batpak_import_options given = BATPAK_IMPORT_OPTIONS_INIT;
    given.salvage = options.salvage;
    given.unvouched = options.unvouched;
    given.decrypt = options.decrypt;
    batpak_import_report found = BATPAK_IMPORT_REPORT_INIT;
    std::vector<batpak_dropped> drops(BATPAK_MOST_DROPS);
    call(batpak_store_import, source.data(), source.size(), &wanted, &given, &found, drops.data(),
         drops.size());
    drops.resize(found.drop_count);
    import_report result;
    result.source = id(found.source);
    result.format = found.format;
    result.imported = found.imported;
    result.already_there = found.already_there;
    result.hidden = found.hidden;
    result.outside = found.outside;
    result.dropped = found.dropped;
    result.sequences_kept = found.sequences_kept != 0;
    result.keys_without_events = found.keys_without_events;
    result.drops = {drops.begin(), drops.end()};
    return result;
  }

  /// Writes the events that are in the region, a query without a direction, from() and limit(), to
  /// a new directory, as a store of the batpak crate 0.x. The directory must not exist, or be
  /// empty. Nothing of a failed export is left under its name.
  ///
  /// Kept are ids, kinds, times, lanes, depths, flags, correlation, causation, extensions, payload
  /// versions and payloads; an imported event gets its old clock, and its ciphertext if it was
  /// encrypted; the key file is not part of the copy. Links and hashes are made as the crate makes
  /// them. Sequences there are the places of the events in the export.
  export_report export_to(std::string_view destination, const query& region = {},
                          const export_options& options = {}) const {
    const batpak_query wanted = region.c_query();
    batpak_export_options given = BATPAK_EXPORT_OPTIONS_INIT;
    given.plain = options.plain;
    given.segment_bytes = options.segment_bytes;
    batpak_export_report found = BATPAK_EXPORT_REPORT_INIT;
    std::vector<batpak_dropped> drops(BATPAK_MOST_DROPS);
    call(batpak_store_export, destination.data(), destination.size(), &wanted, &given, &found,
         drops.data(), drops.size());
    drops.resize(found.drop_count);
    export_report result;
    result.exported = found.exported;
    result.hidden = found.hidden;
    result.dropped = found.dropped;
    result.segments = found.segments;
    result.bytes = found.bytes;
    result.drops = {drops.begin(), drops.end()};
    return result;
  }

  /// The bytes that a receipt of the batpak crate 0.7 to 0.10 vouches for, for an event of a 0.x
  /// store that is open for reading: the receipt's signature is Ed25519 over the BLAKE3 of these
  /// bytes.
  std::vector<std::uint8_t> receipt_cover_0x(std::uint64_t sequence) const {
    std::size_t length = 0;
    call(batpak_store_receipt_cover_0x, sequence, static_cast<std::uint8_t*>(nullptr),
         std::size_t{0}, &length);
    std::vector<std::uint8_t> result(length);
    call(batpak_store_receipt_cover_0x, sequence, result.data(), result.size(), &length);
    return result;
  }

  // Copies.

  /// Makes a snapshot in a new directory, while appends go on: all events that are visible now, and
  /// what the library needs to open them as a store, with the same store id. To restore it is to
  /// open it. The directory must not exist, or be empty. Nothing of a failed snapshot is left under
  /// its name; one that has its name is whole, and survives a power cut.
  ///
  /// Sealed segments are shared with this store by hard links where the file system can do that,
  /// and copied otherwise.
  copy_report snapshot_to(std::string_view destination,
                          const snapshot_options& options = {}) const {
    batpak_snapshot_options given = BATPAK_SNAPSHOT_OPTIONS_INIT;
    given.earlier = detail::c_text(options.earlier);
    given.independent = options.independent;
    batpak_copy_report found = BATPAK_COPY_REPORT_INIT;
    call(batpak_store_snapshot, destination.data(), destination.size(), &given, &found);
    return copy_report(found);
  }

  /// Verifies a snapshot, all of it, and compares it with this store. Damage to the snapshot is not
  /// an error of this call: it is in the report. An error means that it cannot be opened.
  snapshot_check verify_snapshot(std::string_view snapshot) const {
    batpak_verify_report found = BATPAK_VERIFY_REPORT_INIT;
    batpak_diff compared = BATPAK_DIFF_INIT;
    std::int32_t is_prefix = 0;
    std::vector<batpak_finding> findings;
    // As in verify().
    do {
      findings.resize(found.finding_count);
      call(batpak_store_verify_snapshot, snapshot.data(), snapshot.size(), &found, findings.data(),
           findings.size(), &is_prefix, &compared);
    } while (found.finding_count > findings.size());
    snapshot_check result;
    result.report = detail::verified(found, findings);
    if (found.intact) result.diff = {compared.common, compared.ours, compared.theirs};
    result.is_prefix = is_prefix != 0;
    return result;
  }

  /// Makes a fork in a new directory, while appends go on: a store of its own, with its own id,
  /// that begins with events of this one and can be appended to. The directory must not exist, or
  /// be empty. Nothing of a failed fork is left under its name; one that has its name is whole, and
  /// survives a power cut. Events keep their ids, hashes and places; receipts stay valid. Sealed
  /// segments are shared as those of a snapshot are.
  copy_report fork_to(std::string_view destination, const fork_options& options = {}) const {
    batpak_fork_options given = BATPAK_FORK_OPTIONS_INIT;
    given.at = options.at.value_or(0);
    given.has_at = options.at.has_value();
    given.independent = options.independent;
    batpak_copy_report found = BATPAK_COPY_REPORT_INIT;
    call(batpak_store_fork, destination.data(), destination.size(), &given, &found);
    return copy_report(found);
  }

  /// Compares this store with another one: a fork of it, its parent, or a snapshot. Stores that are
  /// no relatives have nothing in common, whatever is in them. What is compared are the hashes and
  /// roots that are recorded; that they are those of the events is shown by verify().
  batpak::diff diff(std::string_view other) const {
    batpak_diff found = BATPAK_DIFF_INIT;
    call(batpak_store_diff, other.data(), other.size(), &found);
    return {found.common, found.ours, found.theirs};
  }

  /// The store that this one was forked from; nothing if it is no fork.
  std::optional<batpak::parent> parent() const {
    batpak_parent found;
    std::size_t count = 0;
    call(batpak_store_parent, &found, &count);
    if (count == 0) return std::nullopt;
    return batpak::parent{id(found.store_id), found.events, hash(found.root)};
  }

  // The store itself.

  /// In a store opened for reading, looks for what its writer has made visible meanwhile. Returns
  /// the number of visible events.
  std::uint64_t refresh() const {
    std::uint64_t visible = 0;
    call(batpak_store_refresh, &visible);
    return visible;
  }

  /// Waits until at least `events` events are visible or the time is up. Returns how many are.
  std::uint64_t wait(std::uint64_t events, std::chrono::milliseconds timeout) const {
    std::uint64_t visible = 0;
    call(batpak_store_wait, events, detail::c_milliseconds(timeout), &visible);
    return visible;
  }

  /// What opening found and did.
  open_report report() const {
    batpak_open_report found = BATPAK_OPEN_REPORT_INIT;
    call(batpak_store_report, &found);
    return detail::report_of(found, [&](auto... arguments) {
      call(batpak_store_report_text, arguments...);
    });
  }

  /// The directory.
  std::string path() const {
    return detail::text([&](char* buffer, std::size_t capacity, std::size_t* length) {
      call(batpak_store_path, buffer, capacity, length);
    });
  }

  /// The handle for the C interface; it stays this object's.
  const batpak_store* c_store() const noexcept { return handle_.get(); }

 private:
  /// Calls a function of the C interface on this store. The handle never leaves this object, so
  /// one that the library does not know any more is that of a closed store.
  template <class Function, class... Arguments>
  void call(Function function, Arguments... arguments) const {
    batpak_error reported = BATPAK_ERROR_INIT;
    const batpak_store* handle = handle_.get();
    const batpak_status status = function(handle, arguments..., &reported);
    if (status == BATPAK_BAD_HANDLE && handle)
      throw error(error_kind::closed, "the store is closed");
    if (status != BATPAK_OK) throw error(reported);
  }

  ticket start(const detail::c_events& events, std::optional<durability> level) const {
    batpak_ticket* started = nullptr;
    call(batpak_store_append_ticket, events.data(), events.size(), detail::c_level(level),
         &started);
    return ticket(started, events.size());
  }

  template <class Then>
  void start_then(const detail::c_events& events, Then&& then,
                  std::optional<durability> level) const {
    using function = std::decay_t<Then>;
    auto owned = std::make_unique<function>(std::forward<Then>(then));
    // The library destroys it from here on, also when the call fails.
    call(batpak_store_append_then, events.data(), events.size(), detail::c_level(level),
         &detail::call_with_result<function>, static_cast<void*>(owned.release()),
         &detail::destroy<function>);
  }

  std::unique_ptr<batpak_store, detail::releaser> handle_;
};

}  // namespace batpak

/// Ids may be the keys of unordered maps.
template <>
struct std::hash<batpak::id> {
  std::size_t operator()(const batpak::id& id) const noexcept {
    return std::hash<std::string_view>()(batpak::bytes_view(id.bytes).text());
  }
};

#if __cplusplus >= 202002L
template <>
inline constexpr bool std::ranges::enable_borrowed_range<batpak::bytes_view> = true;
#endif

#endif
