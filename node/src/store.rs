//! The store's methods. Each makes a closure over a clone of the handle and hands it to
//! [`job`](crate::job); for appending there are functions instead ([`append`](crate::append)).

use crate::append;
use crate::arguments::{
    self, CompactArguments, ExportArguments, FenceArguments, ForkArguments, ImportArguments,
    OpenArguments, OutcomeArguments, QueryArguments, RepairArguments, SnapshotArguments, u64_of,
};
use crate::ask::{self, Ask, NativeExit, Question};
use crate::inbox::NativeInbox;
use crate::job;
use crate::lookup;
use crate::reply::{AncestryReply, Block};
use crate::slab;
use batpak_core::{CompactProgress, CompactReport, Event, Result, Store};
use napi::bindgen_prelude::{BigInt, Env, Unknown};
use napi_derive::napi;
use std::slice::from_ref;
use std::time::Duration;

/// Opens the store in a directory.
#[napi(catch_unwind)]
pub fn open<'env>(
    env: &'env Env,
    background: bool,
    path: String,
    options: OpenArguments,
) -> napi::Result<Unknown<'env>> {
    job::start(env, background, move || Store::open(path, &options.options()?))
}

/// Looks at a directory without opening it.
#[napi(catch_unwind)]
pub fn inspect<'env>(
    env: &'env Env,
    background: bool,
    path: String,
) -> napi::Result<Unknown<'env>> {
    job::start(env, background, move || Store::inspect(path))
}

/// Copies what is left of a damaged store to a new directory.
#[napi(catch_unwind)]
pub fn repair<'env>(
    env: &'env Env,
    background: bool,
    damaged: String,
    destination: String,
    how: RepairArguments,
) -> napi::Result<Unknown<'env>> {
    job::start(env, background, move || Store::repair(damaged, destination, &how.options()?))
}

/// An open store.
#[napi]
pub struct NativeStore {
    store: Store,
}

impl NativeStore {
    pub(crate) fn new(store: Store) -> Self {
        Self { store }
    }
}

#[napi]
impl NativeStore {
    /// The function that appends before it returns.
    #[napi(catch_unwind)]
    pub fn appender<'env>(&self, env: &'env Env) -> napi::Result<Unknown<'env>> {
        append::appender(env, self.store.clone())
    }

    /// The function that starts to append, and leaves the result in an inbox.
    #[napi(catch_unwind)]
    pub fn starter<'env>(
        &self,
        env: &'env Env,
        inbox: &NativeInbox,
    ) -> napi::Result<Unknown<'env>> {
        append::starter(env, self.store.clone(), inbox.share())
    }

    /// The function that reads an event by its sequence before it returns.
    #[napi(catch_unwind)]
    pub fn sequence_lookup<'env>(&self, env: &'env Env) -> napi::Result<Unknown<'env>> {
        lookup::by_sequence(env, self.store.clone())
    }

    /// The function that reads an event by its id before it returns.
    #[napi(catch_unwind)]
    pub fn id_lookup<'env>(&self, env: &'env Env) -> napi::Result<Unknown<'env>> {
        lookup::by_id(env, self.store.clone())
    }

    /// Begins a fence.
    #[napi(catch_unwind)]
    pub fn begin_fence<'env>(
        &self,
        env: &'env Env,
        how: FenceArguments,
    ) -> napi::Result<Unknown<'env>> {
        job::now(env, || self.store.begin_fence(&how.options()?))
    }

    /// Records that gates refused the one event of a block; gives a block of one receipt.
    #[napi(catch_unwind)]
    pub fn record_denial<'env>(
        &self,
        env: &'env Env,
        background: bool,
        event: &[u8],
        outcomes: Vec<OutcomeArguments>,
        durability: u32,
    ) -> napi::Result<Unknown<'env>> {
        let (store, event) = (self.store.clone(), event.to_vec());
        job::start(env, background, move || {
            let outcomes: Vec<_> =
                outcomes.into_iter().map(OutcomeArguments::outcome).collect::<Result<_>>()?;
            let durability = arguments::durability(durability)?;
            slab::with_new_events(&event, |events| match events {
                [event] => {
                    let receipt = store.record_denial(event, &outcomes, durability)?;
                    Ok(Block::of_receipts(&[receipt]))
                }
                _ => Ok(Block::of_receipts(&[])),
            })
        })
    }

    /// A Promise of the event with this id, as a block of one or none.
    #[napi(catch_unwind)]
    pub fn get<'env>(&self, env: &'env Env, id: String) -> napi::Result<Unknown<'env>> {
        let store = self.store.clone();
        job::later(env, move || Block::of_events(store.get(id.parse()?)?.as_slice()))
    }

    /// A Promise of the event at this sequence, as a block of one or none.
    #[napi(catch_unwind)]
    pub fn at<'env>(&self, env: &'env Env, sequence: BigInt) -> napi::Result<Unknown<'env>> {
        let store = self.store.clone();
        job::later(env, move || Block::of_events(store.at(u64_of(&sequence)?)?.as_slice()))
    }

    /// Starts reading.
    #[napi(catch_unwind)]
    pub fn read<'env>(
        &self,
        env: &'env Env,
        background: bool,
        query: QueryArguments,
    ) -> napi::Result<Unknown<'env>> {
        let store = self.store.clone();
        job::start(env, background, move || store.read(query.query()?))
    }

    /// Walks back from an event.
    #[napi(catch_unwind)]
    pub fn ancestors<'env>(
        &self,
        env: &'env Env,
        background: bool,
        id: String,
        link: u32,
        limit: BigInt,
    ) -> napi::Result<Unknown<'env>> {
        let store = self.store.clone();
        job::start(env, background, move || {
            let (link, limit) = (arguments::link(link)?, u64_of(&limit)?);
            AncestryReply::new(&store.ancestors(id.parse()?, link, limit)?)
        })
    }

    /// The end of the log.
    #[napi(catch_unwind)]
    pub fn head<'env>(&self, env: &'env Env, background: bool) -> napi::Result<Unknown<'env>> {
        let store = self.store.clone();
        job::start(env, background, move || store.head())
    }

    /// The end of the log as it was when it had so many events.
    #[napi(catch_unwind)]
    pub fn head_at<'env>(
        &self,
        env: &'env Env,
        background: bool,
        events: BigInt,
    ) -> napi::Result<Unknown<'env>> {
        let store = self.store.clone();
        job::start(env, background, move || store.head_at(u64_of(&events)?))
    }

    /// The end of a stream, if it has events.
    #[napi(catch_unwind)]
    pub fn stream_head<'env>(
        &self,
        env: &'env Env,
        background: bool,
        entity: String,
        lane: u32,
    ) -> napi::Result<Unknown<'env>> {
        let store = self.store.clone();
        job::start(env, background, move || store.stream_head(&entity, lane))
    }

    /// How far events have come.
    #[napi(catch_unwind)]
    pub fn frontier<'env>(&self, env: &'env Env, background: bool) -> napi::Result<Unknown<'env>> {
        let store = self.store.clone();
        job::start(env, background, move || store.frontier())
    }

    /// Sizes and identity.
    #[napi(catch_unwind)]
    pub fn stats<'env>(&self, env: &'env Env, background: bool) -> napi::Result<Unknown<'env>> {
        let store = self.store.clone();
        job::start(env, background, move || store.stats())
    }

    /// Checks every byte, hash and link.
    #[napi(catch_unwind)]
    pub fn verify<'env>(&self, env: &'env Env, background: bool) -> napi::Result<Unknown<'env>> {
        let store = self.store.clone();
        job::start(env, background, move || store.verify())
    }

    /// Imports the events of another store.
    #[napi(catch_unwind)]
    pub fn import_from<'env>(
        &self,
        env: &'env Env,
        background: bool,
        path: String,
        what: ImportArguments,
    ) -> napi::Result<Unknown<'env>> {
        let store = self.store.clone();
        job::start(env, background, move || {
            let (region, options) = what.split()?;
            store.import_from(path, &region, &options)
        })
    }

    /// Writes events to a new directory, as a store of the batpak crate 0.x.
    #[napi(catch_unwind)]
    pub fn export_to<'env>(
        &self,
        env: &'env Env,
        background: bool,
        path: String,
        what: ExportArguments,
    ) -> napi::Result<Unknown<'env>> {
        let store = self.store.clone();
        job::start(env, background, move || {
            let (region, options) = what.split()?;
            store.export_to(path, &region, &options)
        })
    }

    /// What a receipt of the batpak crate 0.x vouches for.
    #[napi(catch_unwind, js_name = "receiptCover0x")]
    pub fn receipt_cover_0x<'env>(
        &self,
        env: &'env Env,
        background: bool,
        sequence: BigInt,
    ) -> napi::Result<Unknown<'env>> {
        let store = self.store.clone();
        job::start(env, background, move || {
            Ok(Block::of_bytes(store.receipt_cover_0x(u64_of(&sequence)?)?))
        })
    }

    /// Compacts, and asks the functions about events and says how far it is. On the pool, it ends
    /// when the thread of JavaScript exits.
    #[napi(catch_unwind)]
    pub fn compact<'env>(
        &self,
        env: &'env Env,
        background: bool,
        what: CompactArguments,
        keep: Option<Question<'env>>,
        progress: Option<Question<'env>>,
        exit: &NativeExit,
    ) -> napi::Result<Unknown<'env>> {
        let store = self.store.clone();
        if background {
            let elsewhere = |question| ask::from_elsewhere(question, exit.clone());
            let keep = keep.map(elsewhere).transpose()?;
            let mut tell = progress.map(elsewhere).transpose()?;
            let exit = exit.clone();
            let progress = move |block| {
                exit.check()?;
                tell.as_mut().map_or(Ok(true), |tell| tell(block))
            };
            job::later(env, move || compact(&store, what, keep, Some(progress)))
        } else {
            let keep = keep.map(|keep| ask::from_here(env, keep));
            let progress = progress.map(|progress| ask::from_here(env, progress));
            job::now(env, || compact(&store, what, keep, progress))
        }
    }

    /// Makes a snapshot in a new directory.
    #[napi(catch_unwind)]
    pub fn snapshot_to<'env>(
        &self,
        env: &'env Env,
        background: bool,
        path: String,
        how: SnapshotArguments,
    ) -> napi::Result<Unknown<'env>> {
        let store = self.store.clone();
        job::start(env, background, move || store.snapshot_to(path, &how.options()))
    }

    /// Verifies a snapshot, and compares it with this store.
    #[napi(catch_unwind)]
    pub fn verify_snapshot<'env>(
        &self,
        env: &'env Env,
        background: bool,
        path: String,
    ) -> napi::Result<Unknown<'env>> {
        let store = self.store.clone();
        job::start(env, background, move || store.verify_snapshot(path))
    }

    /// Makes a fork in a new directory.
    #[napi(catch_unwind)]
    pub fn fork_to<'env>(
        &self,
        env: &'env Env,
        background: bool,
        path: String,
        how: ForkArguments,
    ) -> napi::Result<Unknown<'env>> {
        let store = self.store.clone();
        job::start(env, background, move || store.fork_to(path, &how.options()?))
    }

    /// Compares this store with another one.
    #[napi(catch_unwind)]
    pub fn diff<'env>(
        &self,
        env: &'env Env,
        background: bool,
        path: String,
    ) -> napi::Result<Unknown<'env>> {
        let store = self.store.clone();
        job::start(env, background, move || store.diff(path))
    }

    /// What this store was forked from, if it is a fork.
    #[napi(catch_unwind)]
    pub fn parent<'env>(&self, env: &'env Env) -> napi::Result<Unknown<'env>> {
        job::now(env, || Ok(self.store.parent()))
    }

    /// Looks for what a writer elsewhere has made visible.
    #[napi(catch_unwind)]
    pub fn refresh<'env>(&self, env: &'env Env, background: bool) -> napi::Result<Unknown<'env>> {
        let store = self.store.clone();
        job::start(env, background, move || store.refresh())
    }

    /// Waits until so many events are visible, or so many milliseconds.
    #[napi(catch_unwind)]
    pub fn wait<'env>(
        &self,
        env: &'env Env,
        background: bool,
        events: BigInt,
        timeout_ms: u32,
    ) -> napi::Result<Unknown<'env>> {
        let store = self.store.clone();
        let timeout = Duration::from_millis(timeout_ms.into());
        job::start(env, background, move || store.wait(u64_of(&events)?, timeout))
    }

    /// Writes what is buffered.
    #[napi(catch_unwind)]
    pub fn flush<'env>(&self, env: &'env Env, background: bool) -> napi::Result<Unknown<'env>> {
        let store = self.store.clone();
        job::start(env, background, move || store.flush())
    }

    /// Writes what is buffered and syncs.
    #[napi(catch_unwind)]
    pub fn sync<'env>(&self, env: &'env Env, background: bool) -> napi::Result<Unknown<'env>> {
        let store = self.store.clone();
        job::start(env, background, move || store.sync())
    }

    /// Writes, syncs and closes.
    #[napi(catch_unwind)]
    pub fn close<'env>(&self, env: &'env Env, background: bool) -> napi::Result<Unknown<'env>> {
        let store = self.store.clone();
        job::start(env, background, move || store.close())
    }

    /// What opening found and did.
    #[napi(catch_unwind)]
    pub fn report<'env>(&self, env: &'env Env) -> napi::Result<Unknown<'env>> {
        job::now(env, || Ok(self.store.open_report().clone()))
    }

    /// Panics where the core could. The tests prove with it that a panic ends one call only.
    #[napi(catch_unwind)]
    pub fn panic_for_test<'env>(
        &self,
        env: &'env Env,
        background: bool,
    ) -> napi::Result<Unknown<'env>> {
        #[expect(clippy::panic, reason = "the panic is what is tested")]
        job::start(env, background, || -> Result<()> { panic!("asked for") })
    }
}

/// Compacts; `keep` and `progress` take blocks of bytes.
fn compact(
    store: &Store,
    what: CompactArguments,
    keep: Option<impl Ask>,
    progress: Option<impl Ask>,
) -> Result<CompactReport> {
    let mut keep = keep.map(|mut ask| move |event: &Event| ask(slab::events(from_ref(event))?));
    let mut progress = progress
        .map(|mut ask| move |at: &CompactProgress| ask(slab::compact_progress(at)).map(drop));
    let mut options = what.options()?;
    if let (Some(retention), Some(keep)) = (&mut options.retention, &mut keep) {
        retention.keep = Some(keep);
    }
    if let Some(progress) = &mut progress {
        options.progress = Some(progress);
    }
    store.compact(options)
}
