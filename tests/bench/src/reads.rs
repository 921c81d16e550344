//! Reads of batpak and other stores that are filled, closed and opened again. What is compared
//! takes its turn within each measure.

use crate::log::{Result, Safety, Store, Way};
use crate::opening::{self, Ending, Size};
use crate::selection::Selection;
use crate::workload::{self, ENTITIES};
use crate::{peers, print};
use std::path::Path;

/// How many events there are, with the name of it.
const SIZES: &[(usize, &str)] = &[(100_000, "100 k"), (1_000_000, "1 M")];
const READS: usize = 20_000;
const STREAMS: usize = 50;
const REGIONS: usize = 20;
const PAGES: usize = 1_000;
const PAGE: usize = 100;

/// A store, and the ids of its events by sequence.
struct Filled {
    subject: &'static str,
    store: Box<dyn Store>,
    ids: Vec<[u8; 16]>,
}

type Work = dyn Fn(&Filled) -> Result<f64>;

/// So many rounds of everything.
pub fn measure(directory: &Path, rounds: usize, selection: &Selection) -> Result<()> {
    for (events, size) in SIZES {
        measure_size(&directory.join(size), *events, size, rounds, selection)?;
    }
    Ok(())
}

fn measure_size(
    directory: &Path,
    events: usize,
    size: &str,
    rounds: usize,
    selection: &Selection,
) -> Result<()> {
    const RATE: &str = "events per second";
    let named = |what: &str| format!("{what} of {size}");
    let measures: Vec<(String, &str, Box<Work>)> = vec![
        (
            named("read by id"),
            RATE,
            Box::new(|of| workload::reads_by_id(&*of.store, &of.ids, READS)),
        ),
        (
            named("read by sequence"),
            RATE,
            Box::new(move |of| workload::reads_by_sequence(&*of.store, events, READS)),
        ),
        (named("scan"), RATE, Box::new(move |of| workload::scan(&*of.store, events))),
        (
            named(&format!("one entity's {} events", events / ENTITIES)),
            RATE,
            Box::new(move |of| workload::streams(&*of.store, events, STREAMS)),
        ),
        (
            named(&format!("region with {} events", events / ENTITIES * 10 / workload::KINDS)),
            RATE,
            Box::new(move |of| workload::regions(&*of.store, events, REGIONS)),
        ),
        (
            named("page of 100 events"),
            "µs",
            Box::new(move |of| workload::pages(&*of.store, events, PAGE, Way::Forwards, PAGES)),
        ),
        (
            named("page of 100 events backwards"),
            "µs",
            Box::new(move |of| workload::pages(&*of.store, events, PAGE, Way::Backwards, PAGES)),
        ),
    ];
    let selected = |subject| measures.iter().any(|(name, _, _)| selection.has(subject, name));
    let mut stores = Vec::new();
    let subjects = peers::STORES.iter().copied().chain([peers::LARGE_CACHE]);
    for subject in subjects.filter(|subject| selected(subject)) {
        eprintln!("bench: filling {subject} with {size} events");
        let path = directory.join(subject);
        std::fs::create_dir_all(directory)?;
        opening::fill(subject, &path, Size { events, entities: ENTITIES }, Ending::Closed)?;
        let store = peers::open(subject, &path, Safety::Written)?;
        let ids = workload::ids(&*store)?;
        stores.push(Filled { subject, store, ids });
    }
    for round in 1..=rounds {
        eprintln!("bench: reads of {size} events, round {round} of {rounds}");
        for (name, unit, work) in &measures {
            let ordered = name.contains("sequence") || name.contains("backwards");
            for of in stores.iter().filter(|of| selection.has(of.subject, name)) {
                if of.store.has_sequences() || !ordered {
                    let value =
                        work(of).map_err(|error| format!("{}, {name}: {error}", of.subject))?;
                    print(of.subject, name, unit, value);
                }
            }
        }
    }
    stores.into_iter().try_for_each(|of| of.store.close())
}
