//! The commands of the script language, each a few calls of batpak's public interface.

use crate::files;
use crate::words::{self, Failure, Variables, Words, escape, hex, show_payload};
use batpak_core::{
    Boundary, Causation, CompactOptions, CompactProgress, CopyReport, Diff, Direction, Dropped,
    Durability, Error, ErrorKind, Event, EventKind, Expected, ExportOptions, Fence, FenceOptions,
    ForkOptions, GateMode, GateSet, ImportOptions, KeyOverflow, Keys, KindFilter, Link, NewEvent,
    OpenMode, OpenOptions, OpenReport, Query, Receipt, Refusal, Region, RepairOptions, Retention,
    SnapshotOptions, Store, Unwanted, VerifyReport,
};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

type Lines = Result<Vec<String>, Failure>;

/// What a gate of the script says: refuse always, refuse a payload above a size, or neither.
struct Gate {
    name: String,
    refusal: Option<Refusal>,
    above_bytes: Option<usize>,
}

/// What a script has set up so far.
pub(crate) struct Machine {
    directory: PathBuf,
    stores: BTreeMap<String, (Store, OpenOptions)>,
    fences: BTreeMap<String, Fence>,
    variables: Variables,
    gates: Vec<Gate>,
    gate_mode: GateMode,
    record_denial: bool,
}

impl Machine {
    pub(crate) fn new(directory: &Path) -> Self {
        Self {
            directory: directory.to_path_buf(),
            stores: BTreeMap::new(),
            fences: BTreeMap::new(),
            variables: Variables::new(),
            gates: Vec::new(),
            gate_mode: GateMode::FailFast,
            record_denial: false,
        }
    }

    /// Runs one command, or a batch with its items, and gives the lines that it prints. The error
    /// is a sentence about a malformed script.
    pub(crate) fn run(&mut self, command: &[String]) -> Result<Vec<String>, String> {
        self.lines_of(command).or_else(|failure| match failure.downcast_ref::<Error>() {
            Some(error) => Ok(vec![format!("error {}", error.kind().name())]),
            None => Err(failure.to_string()),
        })
    }

    /// Ends a section.
    pub(crate) fn close_all(&mut self) {
        self.fences.clear();
        for (store, _) in std::mem::take(&mut self.stores).into_values() {
            // Whether closing works is asked by scripts that say `close`.
            let _ = store.close();
        }
    }

    fn lines_of(&mut self, command: &[String]) -> Lines {
        let words = Words::parse(&command[0], &self.variables)?;
        match words.word(0)? {
            "let" => {
                self.variables.insert(words.word(1)?.into(), words.word(2)?.into());
                Ok(vec![])
            }
            "gate" => self.gate(&words),
            "gates" => {
                let modes = [("fail_fast", GateMode::FailFast), ("all", GateMode::All)];
                self.gate_mode = words.choice("mode", &modes)?;
                self.record_denial = words.choice("record", &[("no", false), ("yes", true)])?;
                Ok(vec![])
            }
            "open" => {
                let name = words.option("as").unwrap_or("a");
                let path = words.name_option("path")?.unwrap_or("store".into());
                self.open(name, self.directory.join(path), open_options(&words)?)
            }
            "reopen" => self.reopen(&words),
            "append" => self.append(&words, std::slice::from_ref(&words)),
            "batch" => {
                let items = command[1..].iter().map(|item| Words::parse(item, &self.variables));
                self.append(&words, &items.collect::<Result<Vec<_>, _>>()?)
            }
            "fence" => {
                let mut options = FenceOptions::default();
                let most = words.number_option("memory")?;
                options.memory_bytes = most.unwrap_or(options.memory_bytes);
                let fence = self.opened(&words)?.0.begin_fence(&options)?;
                self.fences.insert(words.name(1)?, fence);
                line("ok")
            }
            "stage" | "staged" | "commit" | "cancel" => {
                let items = command[1..].iter().map(|item| Words::parse(item, &self.variables));
                let items = items.collect::<Result<Vec<_>, _>>()?;
                let name = words.name(1)?;
                let fence = self.fences.get(&name).ok_or(format!("no fence `{name}`"))?;
                use_fence(fence, &words, &items)
            }
            "damage" | "cut" | "extend" | "remove" | "copy" | "rename" | "mkdir" | "write" => {
                files::change(&self.directory, &words)
            }
            "files" => files::list(&self.directory.join(words.name(1)?)),
            "kinds" => Ok(ErrorKind::ALL.map(kind_line).to_vec()),
            "inspect" => inspect(&self.directory.join(words.name(1)?)),
            "repair" => repair(&self.directory, &words),
            "import" => import(&self.opened(&words)?.0, &self.directory, &words),
            "export" => export(&self.opened(&words)?.0, &self.directory, &words),
            "compact" | "retain" => compact(&self.opened(&words)?.0, &words),
            "snapshot" | "verify_snapshot" | "fork" | "diff" => {
                copies(&self.opened(&words)?.0, &self.directory, &words)
            }
            _ => use_store(&self.opened(&words)?.0, &words),
        }
    }

    fn opened(&self, words: &Words) -> Result<&(Store, OpenOptions), Failure> {
        let name = words.option("on").unwrap_or("a");
        Ok(self.stores.get(name).ok_or(format!("handle `{name}` was never opened"))?)
    }

    fn open(&mut self, name: &str, path: PathBuf, options: OpenOptions) -> Lines {
        self.stores.insert(name.to_owned(), (Store::open(path, &options)?, options));
        line("ok")
    }

    fn reopen(&mut self, words: &Words) -> Lines {
        let (store, mut options) = self.opened(words)?.clone();
        store.close()?;
        let mut path = store.path().to_path_buf();
        let anew = ["mode", "seed", "segment", "max_payload", "durability", "restarts"];
        if anew.iter().chain(&["restart_window", "path"]).any(|key| words.option(key).is_some()) {
            options = open_options(words)?;
            path = self.directory.join(words.name_option("path")?.unwrap_or("store".into()));
        }
        self.open(words.option("on").unwrap_or("a"), path, options)
    }

    fn gate(&mut self, words: &Words) -> Lines {
        let refuse = |code: String, message: String| Some(Refusal { code, message });
        let (refusal, above_bytes) = match words.word(2)? {
            "permit" => (None, None),
            "deny" => (refuse(words.name(3)?, words.name(4)?), None),
            "max_payload" => (refuse("TOO_BIG".into(), "too big".into()), Some(words.number(3)?)),
            other => return Err(format!("no gate `{other}`").into()),
        };
        self.gates.push(Gate { name: words.name(1)?, refusal, above_bytes });
        Ok(vec![])
    }

    /// Appends items as `words` says, through the gates if there are any.
    fn append(&mut self, words: &Words, items: &[Words]) -> Lines {
        let mut set = GateSet::default();
        (set.mode, set.record_denial) = (self.gate_mode, self.record_denial);
        let gates = std::mem::take(&mut self.gates);
        let gated = !gates.is_empty();
        for Gate { name, refusal, above_bytes } in gates {
            set.push(name, move |event| match &refusal {
                Some(why) if above_bytes.is_none_or(|most| event.payload.len() > most) => {
                    Err(why.clone())
                }
                _ => Ok(()),
            });
        }
        let store = &self.opened(words)?.0;
        let events = items.iter().map(new_event).collect::<Result<Vec<_>, _>>()?;
        let level = durability(words)?;
        let receipts = match words.word(0)? {
            _ if gated => store.append_gated(&events, &set, level)?,
            "append" => vec![store.append(&events[0], level)?],
            _ => store.append_batch(&events, level)?,
        };
        let ids = receipts.iter().map(|r| (format!("id:{}", r.sequence), r.id.to_string()));
        self.variables.extend(ids);
        Ok(receipts.iter().map(receipt_line).collect())
    }
}

fn use_store(store: &Store, words: &Words) -> Lines {
    let shown = |event: Option<Event>| line(event.map_or("none".into(), |e| event_line(&e)));
    match words.word(0)? {
        "close" => store.close().map_or_else(|e| Err(e.into()), |()| line("ok")),
        "flush" => store.flush().map_or_else(|e| Err(e.into()), |()| line("ok")),
        "sync" => store.sync().map_or_else(|e| Err(e.into()), |()| line("ok")),
        "fill" => fill(store, words),
        "get" => shown(store.get(words.number(1)?)?),
        "at" => shown(store.at(words.number(1)?)?),
        "read" => {
            let events = store.read(query(words)?)?.collect::<Result<Vec<_>, _>>()?;
            let end = format!("end {}", events.len());
            Ok(events.iter().map(short_line).chain([end]).collect())
        }
        "count" => {
            let add = |count, event: Result<_, Error>| event.map(|_| count + 1);
            line(format!("end {}", store.read(query(words)?)?.try_fold(0, add)?))
        }
        "page" => page(store, words),
        "ancestors" => ancestors(store, words),
        "head" => {
            let h = match words.number_option("at")? {
                Some(events) => store.head_at(events)?,
                None => store.head()?,
            };
            line(format!("events={} last={} root={}", h.events, h.last_hash, h.root))
        }
        "stream" => line(match store.stream_head(&words.name(1)?, words.number(2)?)? {
            Some(s) => format!("clock={} seq={} hash={}", s.clock, s.sequence, s.hash),
            None => "none".into(),
        }),
        "frontier" => {
            let f = store.frontier()?;
            let reached = format!("accepted={} written={}", f.accepted, f.written);
            line(format!("{reached} durable={} visible={}", f.durable, f.visible))
        }
        "stats" => {
            let s = store.stats()?;
            let sizes = format!("events={} segments={}", s.events, s.segments);
            line(format!("{sizes} entities={} streams={}", s.entities, s.streams))
        }
        "verify" => verify(store),
        "parent" => line(store.parent().map_or("none".into(), |p| {
            format!("store={} events={} root={}", p.store_id, p.events, p.root)
        })),
        "cover" => line(show_payload(&store.receipt_cover_0x(words.number(1)?)?)),
        "report" => line(report_words(store.open_report())),
        "refresh" => line(format!("visible={}", store.refresh()?)),
        "wait" => {
            let time = Duration::from_millis(words.number(2)?);
            line(format!("visible={}", store.wait(words.number(1)?, time)?))
        }
        other => Err(format!("no command `{other}`").into()),
    }
}

fn use_fence(fence: &Fence, words: &Words, items: &[Words]) -> Lines {
    match words.word(0)? {
        "stage" => {
            let events = items.iter().map(new_event).collect::<Result<Vec<_>, _>>()?;
            line(format!("ok place={}", fence.append(&events)?))
        }
        "staged" => {
            let mut place = words.number_option("from")?.unwrap_or(0);
            let (mut lines, size) = (Vec::new(), words.number_option("page")?.unwrap_or(100));
            loop {
                let page = fence.read(place, size, usize::MAX)?;
                place += page.len() as u64;
                lines.extend(page.iter().map(event_line));
                if page.is_empty() {
                    lines.push(format!("end {}", fence.events()?));
                    return Ok(lines);
                }
            }
        }
        "commit" => {
            let c = fence.commit(durability(words)?)?;
            let duplicate = if c.duplicate { " duplicate" } else { "" };
            line(format!("ok first={} events={}{duplicate}", c.first_sequence, c.events))
        }
        _ => fence.cancel().map_or_else(|e| Err(e.into()), |()| line("ok")),
    }
}

fn line(line: impl Into<String>) -> Lines {
    Ok(vec![line.into()])
}

fn report_words(r: &OpenReport) -> String {
    let said = |yes| if yes { "yes" } else { "no" };
    let found = format!("events={} segments={} cut={}", r.events, r.segments, r.cut_bytes);
    let (removed, ignored) = (r.removed.len(), r.ignored.len());
    let rest = format!("removed={removed} ignored={ignored} damage={}", r.damage.len());
    let opened = format!("created={} clean={} {found}", said(r.created), said(r.clean));
    format!("{opened} {rest} format={} hidden={}", r.format, r.hidden)
}

fn inspect(path: &Path) -> Lines {
    let found = Store::inspect(path)?;
    let refusal = found.refusal.map_or("-", |error| error.kind().name());
    let opening = format!("opening={} refusal={refusal}", found.opening.name());
    line(format!("{opening} bytes={} {}", found.bytes, report_words(&found.report)))
}

fn repair(directory: &Path, words: &Words) -> Lines {
    let mut options = RepairOptions::default();
    options.keep_altered = words.choice("keep_altered", &[("no", false), ("yes", true)])?;
    options.max_lost = words.number_option("max_lost")?.unwrap_or(options.max_lost);
    options.segment_bytes = words.number_option("segment")?.unwrap_or(options.segment_bytes);
    options.seed = Some(words.number_option("seed")?.unwrap_or(1));
    let (from, to) = (directory.join(words.name(1)?), directory.join(words.name(2)?));
    let r = Store::repair(from, to, &options)?;
    let intact = if r.verify.is_intact() { "yes" } else { "no" };
    let held = format!("dropped={} lost={}", r.dropped, r.lost);
    let events = format!("kept={} appended={} {held}", r.kept, r.appended);
    let first = format!("ok source={} store={} {events} intact={intact}", r.source, r.store_id);
    let lost = r.lost_events.iter();
    let lost = lost.map(|l| format!("lost first={} events={}", l.first_sequence, l.events));
    let left_out = r.left_out.iter().map(|l| {
        let place = format!("left segment={} offset={} bytes={}", l.segment, l.offset, l.bytes);
        format!("{place} first={} events={}", l.first_sequence, l.events)
    });
    Ok([first].into_iter().chain(lost).chain(left_out).collect())
}

fn durability(words: &Words) -> Result<Option<Durability>, Failure> {
    let (durable, written) = (Some(Durability::Durable), Some(Durability::Written));
    let buffered = Some(Durability::Buffered);
    let levels = [("", None), ("durable", durable), ("written", written), ("buffered", buffered)];
    words.choice("durability", &levels)
}

fn open_options(words: &Words) -> Result<OpenOptions, Failure> {
    use OpenMode::{Create, CreateNew, Existing, ReadOnly, Salvage};
    let made = [("create", Create), ("existing", Existing), ("create_new", CreateNew)];
    let modes = [&made[..], &[("read_only", ReadOnly), ("salvage", Salvage)]].concat();
    let mut options = OpenOptions::mode(words.choice("mode", &modes)?);
    options.seed = match words.option("seed") {
        Some("none") => None,
        seed => Some(seed.unwrap_or("1").parse()?),
    };
    options.segment_bytes = words.number_option("segment")?.unwrap_or(options.segment_bytes);
    let most = words.number_option("max_payload")?;
    options.max_payload_bytes = most.unwrap_or(options.max_payload_bytes);
    options.durability = durability(words)?.unwrap_or(options.durability);
    options.restarts = words.number_option("restarts")?.unwrap_or(options.restarts);
    let window = words.number_option("restart_window")?;
    options.restart_window_ms = window.unwrap_or(options.restart_window_ms);
    Ok(options)
}

/// The event of an item. Its texts live until the runner ends, so that it can borrow them.
fn new_event(words: &Words) -> Result<NewEvent<'static>, Failure> {
    let mut extensions: Vec<(&str, &[u8])> = Vec::new();
    for extension in words.all("ext") {
        let (key, value) = extension.split_once(':').ok_or("an extension is key:value")?;
        let value = match value.strip_prefix("zeros:") {
            Some(count) => vec![0; count.parse()?],
            None => words::bytes(value)?,
        };
        extensions.push((words::text(key)?.leak(), value.leak()));
    }
    let kind = EventKind(words::kind(words.word(3)?)?);
    let payload = words::payload(words.word(4)?)?.leak();
    Ok(NewEvent {
        expected: match words.option("expect").unwrap_or("any") {
            "any" => Expected::Any,
            "none" => Expected::NoStream,
            clock => Expected::Exact(clock.parse()?),
        },
        id: words.number_option("id")?,
        correlation: words.number_option("corr")?,
        causation: match words.option("cause").map(|word| (word, word.strip_prefix('#'))) {
            None => Causation::None,
            Some((_, Some(place))) => Causation::Item(place.parse()?),
            Some((id, None)) => Causation::Event(id.parse()?),
        },
        lane: words.number_option("lane")?.unwrap_or(0),
        depth: words.number_option("depth")?.unwrap_or(0),
        flags: words.number_option("flags")?.unwrap_or(0),
        payload_version: words.number_option("version")?.unwrap_or(0),
        timestamp_us: words.number_option("time")?,
        extensions: extensions.leak(),
        ..NewEvent::new(words.name(1)?.leak(), words.name(2)?.leak(), kind, payload)
    })
}

fn fill(store: &Store, words: &Words) -> Lines {
    let (count, bytes): (u32, usize) = (words.number(1)?, words.number(5)?);
    let (entity, scope, kind) = (words.name(2)?, words.name(3)?, words::kind(words.word(4)?)?);
    let entities: Option<u32> = words.number_option("entities")?;
    let lanes = words.number_option("lanes")?.unwrap_or(1);
    let level = durability(words)?;
    let batch: Option<u32> = words.number_option("batch")?;
    let name = |i| entities.map_or(entity.clone(), |many| format!("{entity}:{}", i % many));
    let mut done = 0;
    while done < count {
        let group = done..count.min(done + batch.unwrap_or(1));
        let own: Vec<_> = group.map(|i| (i, name(i), vec![(i % 251) as u8; bytes])).collect();
        let events: Vec<_> = own
            .iter()
            .map(|(i, entity, payload)| NewEvent {
                lane: i % lanes,
                ..NewEvent::new(entity, &scope, EventKind(kind), payload)
            })
            .collect();
        if batch.is_some() {
            store.append_batch(&events, level)?;
        } else {
            store.append(&events[0], level)?;
        }
        done += events.len() as u32;
    }
    line(format!("ok count={count}"))
}

fn region(words: &Words) -> Result<Region, Failure> {
    let mut region = match (words.name_option("entity")?, words.name_option("prefix")?) {
        (Some(entity), _) => Region::entity(entity),
        (None, Some(prefix)) => Region::prefix(prefix),
        (None, None) => Region::all(),
    };
    region.scope = words.name_option("scope")?;
    region.kind = match (words.option("kind"), words.number_option("category")?) {
        (Some(kind), _) => KindFilter::Exact(EventKind(words::kind(kind)?)),
        (None, Some(category)) => KindFilter::Category(category),
        (None, None) => KindFilter::Any,
    };
    region.lane = words.number_option("lane")?;
    if let Some((first, last)) = words.option("clocks").and_then(|range| range.split_once('-')) {
        region.clocks = Some((first.parse()?, last.parse()?));
    }
    Ok(region)
}

fn query(words: &Words) -> Result<Query, Failure> {
    let directions = [("forward", Direction::Forward), ("backward", Direction::Backward)];
    Ok(Query {
        region: region(words)?,
        direction: words.choice("direction", &directions)?,
        from: words.number_option("from")?,
        limit: words.number_option("limit")?,
    })
}

fn page(store: &Store, words: &Words) -> Lines {
    let size: usize = words.number(1)?;
    let mut next = query(words)?.limit(size as u64);
    let (mut lines, mut total) = (Vec::new(), 0);
    loop {
        let page = store.read(next.clone())?.next_page(size, usize::MAX)?;
        let (Some(first), Some(last)) = (page.first(), page.last()) else { break };
        let (first, last) = (first.sequence(), last.sequence());
        lines.push(format!("page {} first={first} last={last}", page.len()));
        total += page.len();
        next.from = match next.direction {
            Direction::Forward => last.checked_add(1),
            Direction::Backward => last.checked_sub(1),
        };
        if next.from.is_none() {
            break;
        }
    }
    lines.push(format!("end {total}"));
    Ok(lines)
}

fn ancestors(store: &Store, words: &Words) -> Lines {
    let link = words.choice("via", &[("stream", Link::Stream), ("causation", Link::Causation)])?;
    let limit = words.number_option("limit")?.unwrap_or(1000);
    let walk = store.ancestors(words.number(1)?, link, limit)?;
    let boundary = match walk.boundary {
        Boundary::Genesis => "boundary genesis",
        Boundary::Limit => "boundary limit",
        Boundary::Missing => "boundary missing",
        Boundary::Cycle => "boundary cycle",
    };
    let found = walk.events.iter().map(|event| format!("{} {}", event.sequence(), event.id()));
    Ok(found.chain([boundary.to_owned()]).collect())
}

fn verify(store: &Store) -> Lines {
    let report = store.verify()?;
    if report.is_intact() {
        let (dropped, tombstones) = (report.dropped, report.tombstones);
        let gone = match dropped + tombstones {
            0 => String::new(),
            _ => format!(" dropped={dropped} tombstones={tombstones} erased={}", report.erased),
        };
        return line(format!("ok events={} root={}{gone}", report.events, report.root));
    }
    Ok(damaged(&report))
}

fn damaged(report: &VerifyReport) -> Vec<String> {
    let findings = report.findings.iter();
    let place = findings.map(|f| (f.kind.name(), f.segment, f.offset));
    let shown = place.map(|(name, segment, at)| format!("{name} segment={segment} offset={at}"));
    [format!("damaged events={}", report.events)].into_iter().chain(shown).collect()
}

/// The commands on a store and another directory of this format.
fn copies(store: &Store, directory: &Path, words: &Words) -> Lines {
    let path = directory.join(words.name(1)?);
    let independent = words.choice("independent", &[("no", false), ("yes", true)])?;
    let diff_line = |d: Diff| format!("common={} ours={} theirs={}", d.common, d.ours, d.theirs);
    let copy_line = |r: CopyReport| {
        let segments = format!("segments={} linked={} copied={}", r.segments, r.linked, r.copied);
        line(format!("ok events={} root={} {segments} bytes={}", r.events, r.root, r.bytes_copied))
    };
    match words.word(0)? {
        "snapshot" => {
            let earlier = words.name_option("earlier")?.map(|earlier| directory.join(earlier));
            copy_line(store.snapshot_to(path, &SnapshotOptions { earlier, independent })?)
        }
        "fork" => {
            let at = words.number_option("at")?;
            copy_line(store.fork_to(path, &ForkOptions { at, independent })?)
        }
        "diff" => line(diff_line(store.diff(path)?)),
        _ => {
            let check = store.verify_snapshot(path)?;
            let Some(diff) = check.diff else { return Ok(damaged(&check.report)) };
            let standing = match diff.common {
                _ if check.is_prefix() => "prefix",
                common if common == diff.ours => "ahead",
                _ => "parted",
            };
            line(format!("{standing} {}", diff_line(diff)))
        }
    }
}

fn compact(store: &Store, words: &Words) -> Lines {
    let failure = |why: &str| Error::new(ErrorKind::Callback, why);
    let (mut steps, fails_at) = (0, words.number_option("cancel")?);
    let mut progress = |_: &CompactProgress| {
        steps += 1;
        if Some(steps) == fails_at { Err(failure("cancelled")) } else { Ok(()) }
    };
    let every: Option<u64> = words.number_option("keep_every")?;
    let fails: Option<u64> = words.number_option("keep_fails")?;
    let mut keep = |event: &Event| match event.sequence() {
        at if Some(at) == fails => Err(failure("the predicate failed")),
        at => Ok(every.is_none_or(|every| at.is_multiple_of(every))),
    };
    let unwanted =
        [("drop", Unwanted::Drop), ("tombstone", Unwanted::Tombstone), ("erase", Unwanted::Erase)];
    let overflow = [("warn", KeyOverflow::Warn), ("refuse", KeyOverflow::Refuse)];
    let keys = Keys::default();
    let mut retention = Retention {
        region: region(words)?,
        before: words.number_option("before")?,
        older_than_us: words.number_option("older_than")?,
        newest_per_entity: words.number_option("newest")?,
        keep: None,
        unwanted: words.choice("unwanted", &unwanted)?,
        keys: Keys {
            window: words.number_option("window")?.unwrap_or(keys.window),
            most: words.number_option("most")?.unwrap_or(keys.most),
            overflow: words.choice("overflow", &overflow)?,
        },
    };
    if every.is_some() || fails.is_some() {
        retention.keep = Some(&mut keep);
    }
    let r = store.compact(CompactOptions {
        retention: (words.word(0)? == "retain").then_some(retention),
        bytes_per_second: words.number_option("rate")?.unwrap_or(0),
        progress: Some(&mut progress),
    })?;
    let events = format!("dropped={} tombstones={}", r.events_dropped, r.tombstones);
    let keys = format!("keys={} over={}", r.keys_kept, r.keys_over);
    let segments = format!("segments={}/{}", r.segments_after, r.segments_before);
    let bytes = format!("bytes={}/{}", r.bytes_after, r.bytes_before);
    let written = format!("replaced={} written={}", r.segments_replaced, r.segments_written);
    line(format!("ok {events} {keys} {segments} {bytes} {written}"))
}

fn import(store: &Store, directory: &Path, words: &Words) -> Lines {
    let asked = |key| words.choice(key, &[("no", false), ("yes", true)]);
    let (salvage, unvouched) = (asked("salvage")?, asked("unvouched")?);
    let options = ImportOptions { salvage, unvouched, decrypt: asked("decrypt")? };
    let source = directory.join(words.name(1)?);
    let r = store.import_from(source, &region(words)?, &options)?;
    let there = format!("imported={} already={} hidden={}", r.imported, r.already_there, r.hidden);
    let left = format!("outside={} dropped={}", r.outside, r.dropped);
    let sequences = if r.sequences_kept { "kept" } else { "new" };
    let rest = format!("keys={} sequences={sequences}", r.keys_without_events);
    let first = format!("ok format={} {there} {left} {rest}", r.format);
    Ok([first].into_iter().chain(r.drops.iter().map(drop_line)).collect())
}

fn export(store: &Store, directory: &Path, words: &Words) -> Lines {
    let mut options = ExportOptions::default();
    options.plain = words.choice("plain", &[("no", false), ("yes", true)])?;
    options.segment_bytes = words.number_option("segment")?.unwrap_or(options.segment_bytes);
    let destination = directory.join(words.name(1)?);
    let r = store.export_to(destination, &region(words)?, &options)?;
    let events = format!("exported={} hidden={} dropped={}", r.exported, r.hidden, r.dropped);
    let first = format!("ok {events} segments={} bytes={}", r.segments, r.bytes);
    Ok([first].into_iter().chain(r.drops.iter().map(drop_line)).collect())
}

fn drop_line(d: &Dropped) -> String {
    let sequence = d.sequence.map_or("-".into(), |sequence| sequence.to_string());
    let event = if d.is_event { "yes" } else { "no" };
    format!("drop segment={} offset={} seq={sequence} event={event}", d.segment, d.offset)
}

fn receipt_line(r: &Receipt) -> String {
    let duplicate = if r.duplicate { " duplicate" } else { "" };
    format!("ok seq={} clock={} id={} hash={}{duplicate}", r.sequence, r.clock, r.id, r.hash)
}

fn short_line(e: &Event) -> String {
    let (entity, scope, payload) =
        (escape(e.entity()), escape(e.scope()), show_payload(e.payload()));
    let stream = format!("clock={} lane={}", e.clock(), e.lane());
    format!("{} {entity} {scope} {} {stream} payload={payload}", e.sequence(), e.kind())
}

fn event_line(e: &Event) -> String {
    let cause = e.causation().map_or("-".into(), |id| id.to_string());
    let pairs: Vec<_> = e.extensions().map(|(k, v)| format!("{k}:{}", hex(v))).collect();
    let ext = if pairs.is_empty() { "-".into() } else { pairs.join(",") };
    let (entity, scope) = (escape(e.entity()), escape(e.scope()));
    let who = format!("seq={} id={} entity={entity} scope={scope}", e.sequence(), e.id());
    let place = format!("clock={} lane={} depth={}", e.clock(), e.lane(), e.depth());
    let what =
        format!("kind={} {place} flags={} version={}", e.kind(), e.flags(), e.payload_version());
    let when = format!("time={} wall={}", e.timestamp_us(), e.wall_us());
    let why = format!("corr={} cause={cause}", e.correlation());
    let chain = format!("prev={} hash={}", e.prev_hash(), e.hash());
    let payload = if e.is_erased() { "erased".into() } else { show_payload(e.payload()) };
    format!("event {who} {what} {when} {why} {chain} ext={ext} payload={payload}")
}

fn kind_line(kind: ErrorKind) -> String {
    format!("{} {} {}", kind.code(), kind.name(), kind.retry().name())
}
