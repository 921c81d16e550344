//! The follower in Rust. README.md says what a follower checks and says.

use batpak_core::{Error, ErrorKind, Event, OpenMode, OpenOptions, Query, Region, Store};
use batpak_follow::Place;
use std::collections::HashMap;
use std::fs::File;
use std::io::{BufWriter, Read as _, Write as _};
use std::time::Duration;

type Failure = Box<dyn std::error::Error>;

fn say(line: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}

/// Waits until there is a store.
fn open(directory: &str) -> Result<Store, Failure> {
    let mut absent = false;
    loop {
        match Store::open(directory, &OpenOptions::mode(OpenMode::ReadOnly)) {
            Ok(store) => return Ok(store),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                if !std::mem::replace(&mut absent, true) {
                    say("absent")?;
                }
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// What was seen so far.
struct Seen {
    events: u64,
    last: Option<Place>,
    clocks: HashMap<String, u32>,
    hashes: BufWriter<File>,
}

impl Seen {
    fn see(&mut self, event: &Event) -> Result<(), Failure> {
        let place = Place::of(event).ok_or("a payload is too short")?;
        if event.sequence() != self.events {
            return Err(format!("{} follows {} events", event.sequence(), self.events).into());
        }
        if !place.follows(self.last) {
            return Err(format!("event {} is out of its batch", self.events).into());
        }
        let clock = self.clocks.entry(event.entity().to_owned()).or_default();
        if event.clock() != *clock {
            return Err(format!("event {} has not clock {clock}", self.events).into());
        }
        *clock += 1;
        self.events += 1;
        self.last = Some(place);
        Ok(self.hashes.write_all(&event.hash().0)?)
    }
}

fn work() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [directory, hashes, total] = &arguments[..] else { return Err("see README.md".into()) };
    let total: u64 = total.parse()?;
    let store = open(directory)?;
    say("open")?;

    let hashes = BufWriter::new(File::create(hashes)?);
    let mut seen = Seen { events: 0, last: None, clocks: HashMap::new(), hashes };
    let mut follow = store.follow(Query::new(Region::all()))?;
    let mut visible = 0;
    while seen.events < total {
        for event in follow.next_page(1000, 1 << 20, Duration::from_secs(1))? {
            if seen.events == visible {
                visible = store.frontier()?.visible;
            }
            seen.see(&event)?;
            if seen.events == visible {
                if !seen.last.is_some_and(Place::is_last) {
                    return Err(format!("{visible} visible events end inside a batch").into());
                }
                say(&visible.to_string())?;
            }
        }
    }
    seen.hashes.flush()?;

    std::io::stdin().read_to_end(&mut Vec::new())?;
    store.refresh()?;
    let head = store.head()?;
    say(&format!("end {} {}", head.events, head.root))
}

fn main() {
    if let Err(failure) = work() {
        match failure.downcast_ref::<Error>() {
            Some(error) => eprintln!("{} {error}", error.kind().name()),
            None => eprintln!("{failure}"),
        }
        std::process::exit(1);
    }
}
