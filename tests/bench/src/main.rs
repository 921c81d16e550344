//! Measures batpak beside plain files and other stores.
//!
//!     batpak-bench PART DIR ROUNDS
//!
//! The parts are appends, reads, opens, waking, tails, compacting, and small: what every language
//! has. The stores are made below DIR, which exists; the caller removes it. Every line of output is one
//! measurement: what was measured, the measure, its unit and the value, with tabs between them.
//! report.py makes tables of the medians. `selection` says what the environment leaves out.

mod appends;
mod batpak;
mod compacting;
mod file;
mod log;
mod opening;
mod peers;
mod pinned;
mod reads;
mod samples;
mod selection;
mod small;
mod tails;
mod waking;
mod workload;

use crate::log::Result;
use crate::selection::Selection;
use std::path::Path;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        // The children of the parts.
        [what @ ("fill" | "open"), ref of @ ..] => opening::run_here(what, of),
        [what @ ("hear-store" | "hear-pipe"), path] => waking::hear_here(what, Path::new(path)),
        [part, directory, rounds] => {
            let measure = match part {
                "appends" => appends::measure,
                "reads" => reads::measure,
                "opens" => opening::measure,
                "waking" => waking::measure,
                "tails" => tails::measure,
                "compacting" => compacting::measure,
                "small" => small::measure,
                _ => return Err(format!("there is no part `{part}`").into()),
            };
            measure(Path::new(directory), rounds.parse()?, &Selection::from_environment())
        }
        _ => Err("see the head of src/main.rs for the arguments".into()),
    }
}

fn print(subject: &str, measure: &str, unit: &str, value: f64) {
    println!("{subject}\t{measure}\t{unit}\t{value}");
}
