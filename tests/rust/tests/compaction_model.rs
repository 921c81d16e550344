//! Random appends, repetitions, retentions, merges, copies and reopenings, with a model beside them that
//! says after each what the store holds and what it answers.

mod model;

use batpak_core::{
    Durability, ErrorKind, ForkOptions, OpenMode, OpenOptions, Result, SnapshotOptions, Store,
};
use batpak_tests::sim::SimVfs;
use model::{Model, Random};
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn open(place: &Place, mode: OpenMode, random: &mut Random) -> Result<Store> {
    let durabilities = [Durability::Durable, Durability::Written, Durability::Buffered];
    let options = OpenOptions {
        segment_bytes: random.pick(&[4096, 4096, 8192, 16384]),
        max_open_files: 1 + random.below(4) as u32,
        cache_bytes: random.pick(&[0, 1 << 20]),
        durability: random.pick(&durabilities),
        ..OpenOptions::mode(mode)
    };
    Store::open_on(Arc::new(place.vfs.clone()), &place.path, &options)
}

/// A store with its model.
struct Place {
    vfs: SimVfs,
    path: PathBuf,
    model: Model,
}

fn run(seed: u64) {
    let vfs = SimVfs::default();
    let place = |name: String, model: Model| {
        let path = Path::new("/").join(name);
        Place { vfs: vfs.clone(), path, model }
    };
    let mut random = Random(seed);
    let random = &mut random;
    let mut here = place("store".to_owned(), Model::default());
    let mut store = open(&here, OpenMode::Create, random).unwrap();
    let mut copies: Vec<Place> = Vec::new();
    let mut reader: Option<Store> = None;
    for step in 0..40 {
        match random.below(14) {
            0..=5 => (0..random.below(30)).for_each(|_| here.model.append_batch(&store, random)),
            6 => (0..5).for_each(|_| here.model.repeat(&store, random)),
            7..=9 => here.model.compact(&store, random),
            10 => {
                if random.one_in(2) {
                    store.close().unwrap();
                }
                drop(store);
                store = open(&here, OpenMode::Existing, random).unwrap();
                assert_eq!(store.open_report().ignored, [""; 0]);
                reader = None;
            }
            11 => {
                let copy = place(format!("snapshot-{step}"), here.model.clone());
                let options = SnapshotOptions { independent: random.one_in(2), earlier: None };
                store.snapshot_to(&copy.path, &options).unwrap();
                copies.push(copy);
            }
            12 => {
                let end = here.model.end();
                let at = random.maybe(2, |r| r.below(end + 1)).unwrap_or(end);
                let options = ForkOptions { at: Some(at), independent: random.one_in(2) };
                let fork = place(format!("fork-{step}"), here.model.first(at));
                match store.fork_to(&fork.path, &options) {
                    Ok(_) => copies.push(fork),
                    // It would cut a batch, or a retention has decided about what comes behind.
                    Err(error) => assert_eq!(error.kind(), ErrorKind::InvalidArgument),
                }
            }
            13 if !copies.is_empty() => {
                store.close().unwrap();
                let other = random.below(copies.len() as u64) as usize;
                std::mem::swap(&mut here, &mut copies[other]);
                store = open(&here, OpenMode::Existing, random).unwrap();
                reader = None;
            }
            _ => {
                store.sync().unwrap();
                let reader =
                    reader.get_or_insert_with(|| open(&here, OpenMode::ReadOnly, random).unwrap());
                reader.refresh().unwrap();
                here.model.check(reader, random);
                here.model.check_proofs(reader);
            }
        }
        here.model.check(&store, random);
    }
    store.close().unwrap();
    for place in copies.iter().chain([&here]) {
        let store = open(place, OpenMode::Existing, random).unwrap();
        place.model.check(&store, random);
        place.model.check_proofs(&store);
        store.close().unwrap();
        let salvaged = open(place, OpenMode::Salvage, random).unwrap();
        assert_eq!(salvaged.open_report().damage, [""; 0]);
        place.model.check(&salvaged, random);
        assert_eq!(salvaged.verify().unwrap().findings, []);
    }
}

/// `BATPAK_COMPACTION_SEEDS` is how many courses are run.
#[test]
fn the_store_holds_what_the_model_says() {
    let seeds = std::env::var("BATPAK_COMPACTION_SEEDS").map_or(20, |n| n.parse().unwrap());
    for seed in 0..seeds {
        println!("seed {seed}");
        run(seed);
    }
}
