// The commands of the script language, each a few calls of batpak.hpp.

#ifndef BATPAK_TESTS_COMMANDS_HPP
#define BATPAK_TESTS_COMMANDS_HPP

#include "words.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>

namespace fs = std::filesystem;
using lines = std::vector<std::string>;

inline std::string line(const batpak::receipt& r) {
  return join("ok seq=", r.sequence, " clock=", r.clock, " id=", r.id.hex(), " hash=",
              r.hash.hex(), r.duplicate ? " duplicate" : "");
}

inline std::string short_line(const batpak::event& e) {
  return join(e.sequence(), ' ', escape(e.entity()), ' ', escape(e.scope()), " 0x",
              hex(e.kind().value, 4), " clock=", e.clock(), " lane=", e.lane(), " payload=",
              show_payload(e.payload()));
}

inline std::string line(const std::optional<batpak::event>& found) {
  if (!found) return "none";
  const batpak::event& e = *found;
  std::string extensions;
  for (const batpak::extension& own : e.extensions())
    extensions += join(extensions.empty() ? "" : ",", escape(own.key), ':', hex(own.value));
  return join("event seq=", e.sequence(), " id=", e.id().hex(), " entity=", escape(e.entity()),
              " scope=", escape(e.scope()), " kind=0x", hex(e.kind().value, 4), " clock=",
              e.clock(), " lane=", e.lane(), " depth=", e.depth(), " flags=", int{e.flags()},
              " version=", e.payload_version(), " time=", e.timestamp_us(), " wall=", e.wall_us(),
              " corr=", e.correlation().hex(), " cause=",
              e.causation().is_zero() ? "-" : e.causation().hex(), " prev=", e.prev_hash().hex(),
              " hash=", e.hash().hex(), " ext=", extensions.empty() ? "-" : extensions,
              " payload=", e.is_erased() ? "erased" : show_payload(e.payload()));
}

inline std::string line(const batpak::dropped& d) {
  return join("drop segment=", d.segment, " offset=", d.offset, " seq=",
              d.sequence ? join(*d.sequence) : "-", " event=", d.is_event ? "yes" : "no");
}

inline std::string line(const batpak::diff& d) {
  return join("common=", d.common, " ours=", d.ours, " theirs=", d.theirs);
}

inline std::string line(const batpak::open_report& r) {
  return join("created=", r.created ? "yes" : "no", " clean=", r.clean ? "yes" : "no", " events=",
              r.events, " segments=", r.segments, " cut=", r.cut_bytes, " removed=",
              r.removed.size(), " ignored=", r.ignored.size(), " damage=", r.damage.size(),
              " format=", r.format, " hidden=", r.hidden);
}

/// An event of the script: the owner of what a new_event borrows.
struct item {
  std::string entity, scope, payload;
  std::vector<std::pair<std::string, std::string>> extensions;
  batpak::new_event event;

  explicit item(const words& w)
      : entity(text(w.at(1))), scope(text(w.at(2))), payload(::payload(w.at(4))) {
    event.kind = kind(w.at(3));
    w.with("expect", [&](const std::string& value) {
      event.expected = value == "any"    ? batpak::expect::any()
                       : value == "none" ? batpak::expect::no_stream()
                                         : batpak::expect::exactly(number<std::uint32_t>(value));
    });
    w.with("id", [&](const std::string& value) { event.id = batpak::id::from_hex(value); });
    w.with("corr", [&](const std::string& v) { event.correlation = batpak::id::from_hex(v); });
    w.with("cause", [&](const std::string& value) {
      event.causation = value[0] == '#'
                            ? batpak::cause::item(number<std::uint32_t>(value.substr(1)))
                            : batpak::cause::event(batpak::id::from_hex(value));
    });
    w.read_number("lane", event.lane);
    w.read_number("depth", event.depth);
    w.read_number("flags", event.flags);
    w.read_number("version", event.payload_version);
    w.with("time", [&](const std::string& v) { event.timestamp_us = number<std::int64_t>(v); });
    for (const auto& [key, value] : w.options) {
      if (key != "ext") continue;
      const auto [name, rest] = split(value, ':');
      if (!rest) throw malformed("`" + value + "` is no extension");
      const bool zeros = rest->substr(0, 6) == "zeros:";
      extensions.emplace_back(text(name), zeros ? ::payload(*rest) : bytes(*rest));
    }
  }

  batpak::new_event borrowed() const {
    batpak::new_event result = event;
    result.entity = entity;
    result.scope = scope;
    result.payload = payload;
    for (const auto& [key, value] : extensions) result.extensions.push_back({key, value});
    return result;
  }
};

class machine {
 public:
  explicit machine(fs::path directory) : directory_(std::move(directory)) {}

  /// Runs one command, or a batch with its items, and gives the lines that it prints.
  lines run(const lines& command) {
    try {
      return lines_of(command);
    } catch (const batpak::error& error) {
      return {join("error ", batpak::name(error.kind()))};
    }
  }

  /// Closes what is still open. What goes wrong then was not asked about.
  void close_all() {
    fences_.clear();
    stores_.clear();
  }

 private:
  struct opened {
    batpak::store store;
    std::string path;
    batpak::open_options options;
  };

  lines lines_of(const lines& command) {
    const words w = parse(command[0]);
    const std::string& name = w.at(0);
    if (name == "let") return variables_[w.at(1)] = w.at(2), lines();
    if (name == "gate") return add_gate(w), lines();
    if (name == "gates") {
      using mode = batpak::gate_mode;
      gates_.mode = w.choice<mode>("mode", {{"fail_fast", mode::fail_fast}, {"all", mode::all}});
      gates_.record_denial = w.choice<bool>("record", {{"no", false}, {"yes", true}});
      return {};
    }
    if (name == "open") return open(w, w.option("as").value_or("a"));
    if (name == "reopen") return reopen(w);
    std::vector<words> items;
    for (std::size_t at = 1; at < command.size(); ++at) items.push_back(parse(command[at]));
    if (name == "append") return append(w, {w});
    if (name == "batch") return append(w, items);
    if (name == "fence") return begin_fence(w);
    if (name == "stage" || name == "staged" || name == "commit" || name == "cancel")
      return use_fence(w, items);
    if (name == "files") return files(directory_ / text(w.at(1)));
    if (name == "kinds") return kinds();
    if (name == "inspect") return inspect((directory_ / text(w.at(1))).string());
    if (name == "repair") return repair(w);
    if (change_files(w)) return {};
    return use_store(w);
  }

  words parse(std::string_view line) const {
    const auto value = [&](std::string_view word) {
      if (word.substr(0, 1) != "$") return std::string(word);
      const auto found = variables_.find(std::string(word.substr(1)));
      if (found == variables_.end()) throw malformed(join(word, " is not defined"));
      return found->second;
    };
    words result;
    for (std::optional<std::string_view> rest = line; rest;) {
      const auto [word, others] = split(*rest, ' ');
      const auto [key, option] = split(word, '=');
      if (option) result.options.emplace_back(key, value(*option));
      else result.positional.push_back(value(word));
      rest = others;
    }
    return result;
  }

  opened& on(const words& w) {
    const auto found = stores_.find(w.option("on").value_or("a"));
    if (found == stores_.end()) throw malformed("the handle was never opened");
    return found->second;
  }

  lines open(const words& w, const std::string& name) {
    using mode = batpak::open_mode;
    batpak::open_options options;
    options.mode = w.choice<mode>("mode", {{"create", mode::create},
                                           {"existing", mode::existing},
                                           {"create_new", mode::create_new},
                                           {"read_only", mode::read_only},
                                           {"salvage", mode::salvage}});
    const std::string seed = w.option("seed").value_or("1");
    if (seed != "none") options.seed = number<std::uint64_t>(seed);
    w.read_number("segment", options.segment_bytes);
    w.read_number("max_payload", options.max_payload_bytes);
    w.read_number("restarts", options.restarts);
    w.read_number("restart_window", options.restart_window_ms);
    options.durability = w.durability().value_or(options.durability);
    return open_as(name, text(w.option("path").value_or("store")), options);
  }

  lines open_as(const std::string& name, std::string path, const batpak::open_options& options) {
    batpak::store store((directory_ / path).string(), options);
    stores_.insert_or_assign(name, opened{std::move(store), std::move(path), options});
    return {"ok"};
  }

  lines reopen(const words& w) {
    opened& last = on(w);
    last.store.close();
    const bool anew = std::any_of(w.options.begin(), w.options.end(),
                                  [](const auto& option) { return option.first != "on"; });
    const std::string name = w.option("on").value_or("a");
    return anew ? open(w, name) : open_as(name, last.path, last.options);
  }

  /// Appends items on the handle that `w` names, through the gates if there are any.
  lines append(const words& w, const std::vector<words>& given) {
    batpak::gate_set gates = gates_;
    gates_.gates.clear();
    const batpak::store& store = on(w).store;
    const std::vector<item> items(given.begin(), given.end());
    std::vector<batpak::new_event> events;
    for (const item& own : items) events.push_back(own.borrowed());
    std::vector<batpak::receipt> receipts;
    if (!gates.gates.empty()) receipts = store.append_gated(events, gates, w.durability());
    else if (w.at(0) == "append") receipts = {store.append(events[0], w.durability())};
    else receipts = store.append_batch(events, w.durability());
    lines result;
    for (const batpak::receipt& receipt : receipts) {
      variables_[join("id:", receipt.sequence)] = receipt.id.hex();
      result.push_back(line(receipt));
    }
    return result;
  }

  lines begin_fence(const words& w) {
    batpak::fence_options options;
    w.read_number("memory", options.memory_bytes);
    fences_.insert_or_assign(text(w.at(1)), on(w).store.begin_fence(options));
    return {"ok"};
  }

  lines use_fence(const words& w, const std::vector<words>& given) {
    const auto found = fences_.find(text(w.at(1)));
    if (found == fences_.end()) throw malformed("no fence `" + w.at(1) + "`");
    const batpak::fence& fence = found->second;
    const std::string& name = w.at(0);
    if (name == "stage") {
      const std::vector<item> items(given.begin(), given.end());
      std::vector<batpak::new_event> events;
      for (const item& own : items) events.push_back(own.borrowed());
      return {join("ok place=", fence.append_batch(events))};
    }
    if (name == "staged") {
      std::uint64_t place = 0;
      std::size_t size = 100;
      w.read_number("from", place);
      w.read_number("page", size);
      lines result;
      for (;;) {
        const std::vector<batpak::event> page = fence.read(place, size, SIZE_MAX);
        if (page.empty()) break;
        place += page.size();
        for (const batpak::event& event : page) result.push_back(line(event));
      }
      result.push_back(join("end ", fence.events()));
      return result;
    }
    if (name == "commit") {
      const batpak::committed c = fence.commit(w.durability());
      return {join("ok first=", c.first_sequence, " events=", c.events,
                   c.duplicate ? " duplicate" : "")};
    }
    return fence.cancel(), lines{"ok"};
  }

  void add_gate(const words& w) {
    std::optional<batpak::refusal> refusal;
    std::size_t most = 0;
    if (w.at(2) == "deny") {
      refusal = {text(w.at(3)), text(w.at(4))};
    } else if (w.at(2) == "max_payload") {
      refusal = {"TOO_BIG", "too big"};
      most = number<std::size_t>(w.at(3));
    } else if (w.at(2) != "permit") {
      throw malformed("no gate `" + w.at(2) + "`");
    }
    const bool always = w.at(2) == "deny";
    gates_.gates.push_back({text(w.at(1)), [=](const batpak::new_event& event) {
                              return always || event.payload.size() > most ? refusal : std::nullopt;
                            }});
  }

  lines use_store(const words& w) {
    batpak::store& store = on(w).store;
    const std::string& name = w.at(0);
    if (name == "close") return store.close(), lines{"ok"};
    if (name == "flush") return store.flush(), lines{"ok"};
    if (name == "sync") return store.sync(), lines{"ok"};
    if (name == "fill") return fill(store, w);
    if (name == "get") return {line(store.get(batpak::id::from_hex(w.at(1))))};
    if (name == "at") return {line(store.at(number<std::uint64_t>(w.at(1))))};
    if (name == "read" || name == "count") {
      lines result;
      for (const batpak::event& event : store.read(query(w))) result.push_back(short_line(event));
      const std::string end = join("end ", result.size());
      if (name == "count") result.clear();
      result.push_back(end);
      return result;
    }
    if (name == "page") return page(store, w);
    if (name == "ancestors") return ancestors(store, w);
    if (name == "head") {
      const auto at = w.option("at");
      const batpak::head h = at ? store.head_at(number<std::uint64_t>(*at)) : store.head();
      return {join("events=", h.events, " last=", h.last_hash.hex(), " root=", h.root.hex())};
    }
    if (name == "stream") {
      const auto s = store.stream_head(text(w.at(1)), number<std::uint32_t>(w.at(2)));
      if (!s) return {"none"};
      return {join("clock=", s->clock, " seq=", s->sequence, " hash=", s->hash.hex())};
    }
    if (name == "frontier") {
      const batpak::frontier f = store.frontier();
      return {join("accepted=", f.accepted, " written=", f.written, " durable=", f.durable,
                   " visible=", f.visible)};
    }
    if (name == "stats") {
      const batpak::stats s = store.stats();
      return {join("events=", s.events, " segments=", s.segments, " entities=", s.entities,
                   " streams=", s.streams)};
    }
    if (name == "verify") return verify(store);
    if (name == "import") return import_from(store, w);
    if (name == "export") return export_to(store, w);
    if (name == "compact" || name == "retain") return compact(store, w);
    if (name == "cover")
      return {show_payload(store.receipt_cover_0x(number<std::uint64_t>(w.at(1))))};
    if (name == "snapshot" || name == "fork") return copy_to(store, w);
    if (name == "verify_snapshot") return verify_snapshot(store, w);
    if (name == "diff") return {line(store.diff((directory_ / text(w.at(1))).string()))};
    if (name == "parent") return parent(store);
    if (name == "report") return {line(store.report())};
    if (name == "refresh") return {join("visible=", store.refresh())};
    if (name == "wait") {
      const std::chrono::milliseconds time(number<std::int64_t>(w.at(2)));
      return {join("visible=", store.wait(number<std::uint64_t>(w.at(1)), time))};
    }
    throw malformed("no command `" + name + "`");
  }

  static lines fill(const batpak::store& store, const words& w) {
    const auto count = number<std::uint32_t>(w.at(1));
    const std::string entity = text(w.at(2)), scope = text(w.at(3));
    std::uint32_t lanes = 1, entities = 0, batch = 0;
    w.read_number("lanes", lanes);
    w.read_number("entities", entities);
    w.read_number("batch", batch);
    std::vector<std::pair<std::string, std::string>> owned(count);
    std::vector<batpak::new_event> events;
    for (std::uint32_t i = 0; i < count; ++i) {
      owned[i].first = entities ? join(entity, ':', i % entities) : entity;
      owned[i].second.assign(number<std::size_t>(w.at(5)), static_cast<char>(i % 251));
      events.push_back({owned[i].first, scope, kind(w.at(4)), owned[i].second});
      events.back().lane = i % lanes;
      if (!batch) {
        store.append(events.back(), w.durability());
      } else if (events.size() == batch || i + 1 == count) {
        store.append_batch(events, w.durability());
        events.clear();
      }
    }
    return {join("ok count=", count)};
  }

  static batpak::query query(const words& w) {
    batpak::query q;
    w.with("entity", [&](const std::string& value) { q.entity(text(value)); });
    w.with("prefix", [&](const std::string& value) { q.prefix(text(value)); });
    w.with("scope", [&](const std::string& value) { q.scope(text(value)); });
    w.with("kind", [&](const std::string& value) { q.kind(kind(value)); });
    w.with("category", [&](const std::string& v) { q.category(number<std::uint32_t>(v)); });
    w.with("lane", [&](const std::string& value) { q.lane(number<std::uint32_t>(value)); });
    w.with("clocks", [&](const std::string& value) {
      const auto [first, last] = split(value, '-');
      q.clocks(number<std::uint32_t>(first), number<std::uint32_t>(last.value_or("")));
    });
    w.with("from", [&](const std::string& value) { q.from(number<std::uint64_t>(value)); });
    w.with("limit", [&](const std::string& value) { q.limit(number<std::uint64_t>(value)); });
    if (w.choice<bool>("direction", {{"forward", false}, {"backward", true}})) q.backward();
    return q;
  }

  static lines compact(const batpak::store& store, const words& w) {
    using batpak::key_overflow, batpak::unwanted;
    // Another exception than the library's own would end the script.
    const batpak::error failure(batpak::error_kind::callback, "the script says so");
    std::uint64_t steps = 0, cancel = 0, every = 1;
    w.read_number("cancel", cancel);
    w.read_number("keep_every", every);
    batpak::compact_options options;
    w.read_number("rate", options.bytes_per_second);
    options.progress = [&](const batpak::compact_progress&) {
      if (++steps == cancel) throw failure;
    };
    batpak::retention retention;
    const auto read_optional = [&](std::string_view key, auto& place) {
      w.with(key, [&](const std::string& value) {
        place = number<typename std::decay_t<decltype(place)>::value_type>(value);
      });
    };
    retention.region = query(w);
    read_optional("before", retention.before);
    read_optional("older_than", retention.older_than_us);
    read_optional("newest", retention.newest_per_entity);
    const std::optional<std::string> fails = w.option("keep_fails");
    if (fails || w.option("keep_every"))
      retention.keep = [&](const batpak::event& event) {
        if (fails && event.sequence() == number<std::uint64_t>(*fails)) throw failure;
        return event.sequence() % every == 0;
      };
    retention.unwanted = w.choice<unwanted>("unwanted", {{"drop", unwanted::drop},
                                                         {"tombstone", unwanted::tombstone},
                                                         {"erase", unwanted::erase}});
    w.read_number("window", retention.keys.window);
    w.read_number("most", retention.keys.most);
    retention.keys.overflow = w.choice<key_overflow>(
        "overflow", {{"warn", key_overflow::warn}, {"refuse", key_overflow::refuse}});
    if (w.at(0) == "retain") options.retention = std::move(retention);
    const batpak::compact_report r = store.compact(options);
    return {join("ok dropped=", r.events_dropped, " tombstones=", r.tombstones, " keys=",
                 r.keys_kept, " over=", r.keys_over, " segments=", r.segments_after, '/',
                 r.segments_before, " bytes=", r.bytes_after, '/', r.bytes_before, " replaced=",
                 r.segments_replaced, " written=", r.segments_written)};
  }

  static lines page(const batpak::store& store, const words& w) {
    const auto size = number<std::size_t>(w.at(1));
    batpak::query next = query(w);
    next.limit(size);
    lines result;
    std::size_t total = 0;
    for (;;) {
      const std::vector<batpak::event> page = store.read(next).next_page(size, SIZE_MAX);
      if (page.empty()) break;
      const std::uint64_t first = page.front().sequence(), last = page.back().sequence();
      result.push_back(join("page ", page.size(), " first=", first, " last=", last));
      total += page.size();
      const bool backward = w.option("direction") == "backward";
      if (backward && last == 0) break;
      next.from(backward ? last - 1 : last + 1);
    }
    result.push_back(join("end ", total));
    return result;
  }

  static lines ancestors(const batpak::store& store, const words& w) {
    using link = batpak::link;
    std::uint64_t limit = 1000;
    w.read_number("limit", limit);
    const batpak::ancestry walk = store.ancestors(
        batpak::id::from_hex(w.at(1)),
        w.choice<link>("via", {{"stream", link::stream}, {"causation", link::causation}}), limit);
    lines result;
    for (const batpak::event& event : walk.events)
      result.push_back(join(event.sequence(), ' ', event.id().hex()));
    constexpr const char* boundaries[] = {"genesis", "limit", "missing", "cycle"};
    result.push_back(join("boundary ", boundaries[static_cast<int>(walk.boundary)]));
    return result;
  }

  static lines verify(const batpak::store& store) {
    const batpak::verify_report r = store.verify();
    if (!r.is_intact()) return damaged(r);
    std::string gone;
    if (r.dropped > 0 || r.tombstones > 0)
      gone = join(" dropped=", r.dropped, " tombstones=", r.tombstones, " erased=", r.erased);
    return {join("ok events=", r.events, " root=", r.root.hex(), gone)};
  }

  static lines damaged(const batpak::verify_report& r) {
    lines result{join("damaged events=", r.events)};
    for (const batpak::finding& found : r.findings)
      result.push_back(
          join(name(found.kind), " segment=", found.segment, " offset=", found.offset));
    return result;
  }

  static lines inspect(const std::string& path) {
    const batpak::inspection found = batpak::inspect(path);
    return {join("opening=", batpak::name(found.opening), " refusal=",
                 found.refusal ? batpak::name(found.refusal->kind()) : "-", " bytes=", found.bytes,
                 ' ', line(found.report))};
  }

  lines repair(const words& w) const {
    batpak::repair_options options;
    options.keep_altered = w.choice<bool>("keep_altered", {{"no", false}, {"yes", true}});
    w.read_number("max_lost", options.max_lost);
    w.read_number("segment", options.segment_bytes);
    w.read_number("seed", options.seed.emplace(1));
    const batpak::repair_report r = batpak::repair(
        (directory_ / text(w.at(1))).string(), (directory_ / text(w.at(2))).string(), options);
    lines result{join("ok source=", r.source.hex(), " store=", r.store_id.hex(), " kept=", r.kept,
                      " appended=", r.appended, " dropped=", r.dropped, " lost=", r.lost,
                      " intact=", r.verify.is_intact() ? "yes" : "no")};
    for (const batpak::lost_events& lost : r.lost_events)
      result.push_back(join("lost first=", lost.first_sequence, " events=", lost.events));
    for (const batpak::left_out& left : r.left_out)
      result.push_back(join("left segment=", left.segment, " offset=", left.offset, " bytes=",
                            left.bytes, " first=", left.first_sequence, " events=", left.events));
    return result;
  }

  lines import_from(const batpak::store& store, const words& w) const {
    const auto asked = [&](const char* key) {
      return w.choice<bool>(key, {{"no", false}, {"yes", true}});
    };
    batpak::import_options options;
    options.salvage = asked("salvage");
    options.unvouched = asked("unvouched");
    options.decrypt = asked("decrypt");
    const batpak::import_report r =
        store.import_from((directory_ / text(w.at(1))).string(), query(w), options);
    lines result{join("ok format=", r.format, " imported=", r.imported, " already=",
                      r.already_there, " hidden=", r.hidden, " outside=", r.outside, " dropped=",
                      r.dropped, " keys=", r.keys_without_events, " sequences=",
                      r.sequences_kept ? "kept" : "new")};
    for (const batpak::dropped& dropped : r.drops) result.push_back(line(dropped));
    return result;
  }

  lines export_to(const batpak::store& store, const words& w) const {
    batpak::export_options options;
    options.plain = w.choice<bool>("plain", {{"no", false}, {"yes", true}});
    w.read_number("segment", options.segment_bytes);
    const batpak::export_report r =
        store.export_to((directory_ / text(w.at(1))).string(), query(w), options);
    lines result{join("ok exported=", r.exported, " hidden=", r.hidden, " dropped=", r.dropped,
                      " segments=", r.segments, " bytes=", r.bytes)};
    for (const batpak::dropped& dropped : r.drops) result.push_back(line(dropped));
    return result;
  }

  lines copy_to(const batpak::store& store, const words& w) const {
    const std::string destination = (directory_ / text(w.at(1))).string();
    const bool independent = w.choice<bool>("independent", {{"no", false}, {"yes", true}});
    batpak::copy_report r;
    if (w.at(0) == "snapshot") {
      batpak::snapshot_options options;
      options.independent = independent;
      w.with("earlier", [&](const std::string& value) {
        options.earlier = (directory_ / text(value)).string();
      });
      r = store.snapshot_to(destination, options);
    } else {
      batpak::fork_options options;
      options.independent = independent;
      w.with("at", [&](const std::string& value) { options.at = number<std::uint64_t>(value); });
      r = store.fork_to(destination, options);
    }
    return {join("ok events=", r.events, " root=", r.root.hex(), " segments=", r.segments,
                 " linked=", r.linked, " copied=", r.copied, " bytes=", r.bytes_copied)};
  }

  lines verify_snapshot(const batpak::store& store, const words& w) const {
    const batpak::snapshot_check check =
        store.verify_snapshot((directory_ / text(w.at(1))).string());
    if (!check.diff) return damaged(check.report);
    const bool is_ahead = check.diff->common == check.diff->ours;
    const char* const standing = check.is_prefix ? "prefix " : is_ahead ? "ahead " : "parted ";
    return {standing + line(*check.diff)};
  }

  static lines parent(const batpak::store& store) {
    const std::optional<batpak::parent> p = store.parent();
    if (!p) return {"none"};
    return {join("store=", p->store_id.hex(), " events=", p->events, " root=", p->root.hex())};
  }

  static lines kinds() {
    lines result;
    for (std::int32_t number = 1;; ++number) {
      const auto kind = static_cast<batpak::error_kind>(number);
      if (batpak::retry_of(kind) == batpak::retry::unknown) return result;
      result.push_back(join(number, ' ', name(kind), ' ', name(batpak::retry_of(kind))));
    }
  }

  // Files.

  static lines files(const fs::path& directory) {
    lines result;
    for (const fs::directory_entry& entry : fs::directory_iterator(directory))
      if (entry.path().extension() != ".tmp")
        result.push_back("file " + escape(entry.path().filename().string()));
    std::sort(result.begin(), result.end());
    return result;
  }

  /// Whether the command was one that changes files.
  bool change_files(const words& w) const {
    const auto path = [&](std::size_t index) { return directory_ / text(w.at(index)); };
    // A negative place counts from the end.
    const auto place = [&](const fs::path& file) {
      const auto given = number<std::int64_t>(w.at(2));
      return given < 0 ? fs::file_size(file) - static_cast<std::uintmax_t>(-given)
                       : static_cast<std::uintmax_t>(given);
    };
    const auto patch = std::ios::in | std::ios::out;
    const auto write = [&](std::ios::openmode mode, std::uintmax_t at, const std::string& content) {
      std::fstream file(path(1), mode | std::ios::binary);
      file.seekp(static_cast<std::streamoff>(at));
      if (!file.write(content.data(), static_cast<std::streamsize>(content.size())).flush())
        throw malformed("cannot write " + w.at(1));
    };
    const auto over = fs::copy_options::recursive | fs::copy_options::overwrite_existing;
    const std::string& name = w.at(0);
    if (name == "damage") write(patch, place(path(1)), bytes(w.at(3)));
    else if (name == "cut") fs::resize_file(path(1), place(path(1)));
    else if (name == "extend") write(patch, fs::file_size(path(1)), bytes(w.at(2)));
    else if (name == "remove") fs::remove_all(path(1));
    else if (name == "copy") fs::copy(path(1), path(2), over);
    else if (name == "rename") fs::rename(path(1), path(2));
    else if (name == "mkdir") fs::create_directory(path(1));
    else if (name == "write") write(std::ios::out | std::ios::trunc, 0, bytes(w.at(2)));
    else return false;
    return true;
  }

  fs::path directory_;
  std::map<std::string, opened> stores_;
  std::map<std::string, batpak::fence> fences_;
  std::map<std::string, std::string> variables_;
  batpak::gate_set gates_;
};

#endif
