//! How fast batpak imports a store of batpak 0.10, beside the crate's own rebuild of its index over
//! the same files, as ratios of one run: `import-speed [events] [rounds]`. The rounds alternate.

use batpak_core::{ImportOptions, OpenMode, OpenOptions, Region, Store};
use batpak_interop::directory;
use batpak_interop::plan::{Draft, End, Payload, Settings, Step, draft};
use batpak_interop::version::Version;
use std::path::Path;
use std::time::{Duration, Instant};

fn main() {
    let mut words = std::env::args().skip(1).map(|word| word.parse().expect("a number"));
    let events: u64 = words.next().unwrap_or(100_000);
    let rounds: usize = words.next().unwrap_or(5) as usize;
    for (what, steps) in [("text", texts as fn(u64) -> Vec<Step>), ("bytes in batches", batches)] {
        let root = tempfile::tempdir().expect("a directory");
        let with_footers = root.path().join("with footers");
        write(&with_footers, &steps(events));
        directory::remove_caches(&with_footers);
        let without = root.path().join("without footers");
        directory::copy(&with_footers, &without);
        directory::cut_footers(&without);
        for dir in [with_footers, without] {
            measure(what, &dir, events, rounds);
        }
    }
}

fn measure(what: &str, dir: &Path, events: u64, rounds: usize) {
    let mut ratios = Vec::new();
    for round in 0..=rounds {
        let theirs = rebuild(dir);
        let ours = import(dir, &dir.with_extension("own"), events);
        // The first round warms the files up.
        if round > 0 {
            ratios.push((ours.as_secs_f64() / theirs.as_secs_f64(), ours, theirs));
        }
    }
    ratios.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (ratio, ours, theirs) = ratios[ratios.len() / 2];
    let (least, most) = (ratios[0].0, ratios[ratios.len() - 1].0);
    let name = dir.file_name().expect("a name").to_string_lossy();
    println!(
        "{events} events of {what}, {name}: import {ours:.2?}, rebuild {theirs:.2?}, \
         ratio {ratio:.2} ({least:.2} to {most:.2})"
    );
}

/// Single events with text of 256 bytes, over a thousand entities.
fn texts(events: u64) -> Vec<Step> {
    let one = |number: u64| {
        // Three bytes of MessagePack stand before the text.
        let payload = Payload::Json(format!("{number:0>253}").into());
        Step::Append(Draft { payload, ..draft(&format!("order:{}", number % 1000), number) })
    };
    (0..events).map(one).collect()
}

/// Batches of 250 events with 256 bytes, half of which take two bytes in the file.
fn batches(events: u64) -> Vec<Step> {
    let one = |number: u64| {
        let byte = |at: u64| (at.wrapping_mul(number | 1) >> 3) as u8;
        let payload = Payload::Raw((0..256).map(byte).collect());
        Draft { payload, ..draft(&format!("order:{}", number % 1000), number) }
    };
    let numbers: Vec<u64> = (0..events).collect();
    numbers.chunks(250).map(|chunk| Step::Batch(chunk.iter().copied().map(one).collect())).collect()
}

fn write(dir: &Path, steps: &[Step]) {
    std::fs::create_dir_all(dir).expect("a directory");
    let settings = Settings { segment_max_bytes: 64 << 20, ..Settings::default() };
    Version::V0_10.session(dir, &settings, steps, End::Close, &mut |_| ()).expect("a store");
}

fn rebuild(dir: &Path) -> Duration {
    let start = Instant::now();
    let config = batpak_0_10::store::StoreConfig::new(dir);
    let store = batpak_0_10::store::Store::open_read_only(config).expect("the crate opens it");
    let took = start.elapsed();
    drop(store);
    took
}

fn import(dir: &Path, own: &Path, events: u64) -> Duration {
    let store = Store::open(own, &OpenOptions::mode(OpenMode::CreateNew)).expect("a new store");
    let start = Instant::now();
    let report = store.import_from(dir, &Region::all(), &ImportOptions::default());
    let took = start.elapsed();
    assert_eq!(report.expect("an import").imported, events + 2);
    drop(store);
    std::fs::remove_dir_all(own).expect("the store goes");
    took
}
