//! What versions of the crate have in common. Each macro makes the items of one module, for the
//! crate that the module names; the module itself holds what differs.

/// Writing and reading, since 0.7.
macro_rules! since_0_7 {
    ($batpak:ident) => {
        use crate::event::{OldEvent, Reading, Receipt};
        use crate::plan::{self, Compaction, Draft, End, FenceEnd, Payload, Settings, Step};
        use std::path::Path;
        use $batpak::coordinate::{Coordinate, Region};
        use $batpak::event::{EventKind, StoredEvent};
        use $batpak::store::index::IndexEntry;
        use $batpak::store::{
            AppendOptions, AppendPositionHint, AppendReceipt, BatchAppendItem, CausationRef,
            CompactionConfig, CompactionStrategy, Open, Store, StoreConfig, StoreError,
        };

        /// One process's work on a store.
        pub fn session(
            dir: &Path,
            settings: &Settings,
            steps: &[Step],
            end: End,
            report: &mut dyn FnMut(Receipt),
        ) -> Result<(), StoreError> {
            let mut store = Store::open(config(dir, settings))?;
            for step in steps {
                match step {
                    Step::Append(draft) => report(receipt(append(&store, draft)?)),
                    Step::Batch(drafts) => {
                        for done in store.append_batch(items(drafts))? {
                            report(receipt(done));
                        }
                    }
                    Step::Fence(drafts, end) => fence(&store, drafts, *end)?,
                    Step::Compact(how) => compact(&store, *how)?,
                    Step::Shred(entity) => shred(&store, entity)?,
                    Step::Reopen => {
                        store.close()?;
                        store = Store::open(config(dir, settings))?;
                    }
                }
            }
            match end {
                End::Close => store.close().map(drop),
                End::Kill => std::process::abort(),
            }
        }

        fn config(dir: &Path, settings: &Settings) -> StoreConfig {
            let mut config = with_clock(StoreConfig::new(dir), plan::clock(dir))
                .with_segment_max_bytes(settings.segment_max_bytes);
            if settings.signing {
                let key = $batpak::store::SigningKey::from_bytes(plan::SIGNING_SEED);
                config = config.with_signing_key(key);
            }
            if settings.checkpoint {
                config = config.with_enable_mmap_index(false).with_enable_checkpoint(true);
            }
            with_encryption(config, settings.encryption)
        }

        fn coordinate(draft: &Draft) -> Coordinate {
            Coordinate::new(&draft.entity, &draft.scope).expect("names that the crate takes")
        }

        fn kind(draft: &Draft) -> EventKind {
            match draft.kind {
                0x0003 => EventKind::SYSTEM_HEARTBEAT,
                0x0FFE => EventKind::TOMBSTONE,
                0xD001 => EventKind::EFFECT_ERROR,
                kind => EventKind::custom((kind >> 12) as u8, kind & 0xFFF),
            }
        }

        fn append(store: &Store<Open>, draft: &Draft) -> Result<AppendReceipt, StoreError> {
            match draft.payload_version {
                0 => store.append_with_options(
                    &coordinate(draft),
                    kind(draft),
                    &draft.payload,
                    options(draft),
                ),
                _ => append_versioned(store, draft),
            }
        }

        fn options(draft: &Draft) -> AppendOptions {
            let mut options = extended(AppendOptions::new().with_flags(draft.flags), draft);
            if draft.lane != 0 || draft.depth != 0 {
                let hint = AppendPositionHint::new(draft.lane, draft.depth);
                options = options.with_position_hint(hint);
            }
            if let Some(key) = draft.key {
                options = options.with_idempotency(key.into());
            }
            if let Some(id) = draft.correlation {
                options = options.with_correlation(id.into());
            }
            if let Some(id) = draft.causation {
                options = options.with_causation(id.into());
            }
            options
        }

        fn items(drafts: &[Draft]) -> Vec<BatchAppendItem> {
            let item = |draft: &Draft| {
                let (at, kind, options) = (coordinate(draft), kind(draft), options(draft));
                let cause = CausationRef::None;
                match &draft.payload {
                    Payload::Raw(bytes) => {
                        BatchAppendItem::from_msgpack_bytes(at, kind, bytes.clone(), options, cause)
                    }
                    payload => BatchAppendItem::new(at, kind, payload, options, cause)
                        .expect("a payload that can be encoded"),
                }
            };
            drafts.iter().map(item).collect()
        }

        fn fence(store: &Store<Open>, drafts: &[Draft], end: FenceEnd) -> Result<(), StoreError> {
            let fence = store.begin_visibility_fence()?;
            for draft in drafts {
                // The ticket waits for the fence, not for the write.
                drop(fence.submit(&coordinate(draft), kind(draft), &draft.payload)?);
            }
            match end {
                FenceEnd::Commit => fence.commit(),
                FenceEnd::Cancel => fence.cancel(),
                FenceEnd::Open => {
                    std::mem::forget(fence);
                    store.sync()
                }
            }
        }

        fn strategy(how: Compaction) -> CompactionConfig {
            let keep = |stored: &StoredEvent<serde_json::Value>| {
                let kind = stored.event.header.event_kind;
                (u16::from(kind.category()) << 12 | kind.type_id()) != plan::DROPPED
            };
            let strategy = match how {
                Compaction::Merge => CompactionStrategy::Merge,
                Compaction::Retention => CompactionStrategy::Retention(Box::new(keep)),
                Compaction::Tombstone => CompactionStrategy::Tombstone(Box::new(keep)),
            };
            CompactionConfig { strategy, min_segments: 2 }
        }

        /// What the crate shows of a store. Only the lock file is touched.
        pub fn read(dir: &Path, settings: &Settings) -> Result<Reading, StoreError> {
            let store = Store::open_read_only(config(dir, settings))?;
            let mut entries = store.query(&Region::all());
            entries.sort_by_key(|entry| place(entry).1);
            let mut reading = Reading::default();
            for entry in &entries {
                let (id, sequence) = place(entry);
                match read_raw(&store, id) {
                    // A footer without a checksum can name the place of one event and the id of
                    // another.
                    Ok(stored) if u128::from(stored.event.header.event_id) != id => {
                        reading.unreadable.push((sequence, id, "it has another id".to_owned()));
                    }
                    Ok(stored) => {
                        let encryption = encryption(&store, &stored);
                        let mut event = event(sequence, extensions(entry), stored);
                        event.encryption = encryption;
                        reading.events.push(event);
                    }
                    Err(error) => reading.unreadable.push((sequence, id, error.to_string())),
                }
            }
            Ok(reading)
        }

        fn event(
            sequence: u64,
            extensions: Option<Vec<(String, Vec<u8>)>>,
            stored: StoredEvent<Vec<u8>>,
        ) -> OldEvent {
            let header = &stored.event.header;
            let chain = stored.event.hash_chain.clone().unwrap_or_default();
            let kind = header.event_kind;
            OldEvent {
                sequence,
                id: header.event_id.into(),
                correlation: header.correlation_id.into(),
                causation: header.causation_id.map(u128::from),
                timestamp_us: header.timestamp_us,
                wall_ms: header.position.wall_ms(),
                clock: header.position.sequence(),
                lane: header.position.lane(),
                depth: header.position.depth(),
                kind: u16::from(kind.category()) << 12 | kind.type_id(),
                flags: header.flags,
                payload_version: payload_version(header),
                entity: stored.coordinate.entity().to_owned(),
                scope: stored.coordinate.scope().to_owned(),
                extensions,
                hash: chain.event_hash,
                prev_hash: chain.prev_hash,
                encryption: None,
                payload: stored.event.payload,
            }
        }
    };
}

/// Receipts and extensions, since 0.8.
macro_rules! since_0_8 {
    ($batpak:ident) => {
        fn with_clock(
            config: StoreConfig,
            clock: impl Fn() -> i64 + Send + Sync + 'static,
        ) -> StoreConfig {
            config.with_clock_fn(clock)
        }

        fn compact(store: &Store<Open>, how: Compaction) -> Result<(), StoreError> {
            let (result, _) = store.compact(&strategy(how))?;
            assert_eq!(result.outcome, $batpak::store::segment::CompactionOutcome::Performed);
            Ok(())
        }

        fn extended(mut options: AppendOptions, draft: &Draft) -> AppendOptions {
            for (key, value) in &draft.extensions {
                let key = $batpak::store::ExtensionKey::new(*key).expect("a key of two words");
                options = options.with_extension(key, value.clone());
            }
            options
        }

        fn place(entry: &IndexEntry) -> (u128, u64) {
            (entry.event_id().into(), entry.global_sequence())
        }

        fn extensions(entry: &IndexEntry) -> Option<Vec<(String, Vec<u8>)>> {
            let pairs = entry.receipt_extensions().iter();
            Some(pairs.map(|(key, value)| (key.as_str().to_owned(), value.clone())).collect())
        }

        fn read_raw(
            store: &Store<$batpak::store::ReadOnly>,
            id: u128,
        ) -> Result<StoredEvent<Vec<u8>>, StoreError> {
            store.read_raw(id.into())
        }
    };
}

/// What came with 0.9: payload versions, encryption and `verify_chain`.
macro_rules! since_0_9 {
    ($batpak:ident) => {
        use crate::event::{Chain, Encryption};
        use crate::plan::Granularity;
        use $batpak::event::{EventHeader, EventPayload};
        use $batpak::store::{DeliveryPayload, KeyScopeGranularity, ReadOnly, ShredScope};

        fn receipt(receipt: AppendReceipt) -> Receipt {
            Receipt {
                id: receipt.event_id.into(),
                sequence: receipt.global_sequence,
                key_id: receipt.key_id,
                signature: receipt.signature,
            }
        }

        fn with_encryption(config: StoreConfig, granularity: Option<Granularity>) -> StoreConfig {
            match granularity {
                None => config,
                Some(granularity) => config.with_payload_encryption(match granularity {
                    Granularity::Entity => KeyScopeGranularity::PerEntity,
                    Granularity::Category => KeyScopeGranularity::PerCategory,
                    Granularity::Kind => KeyScopeGranularity::PerTypeId,
                    Granularity::Event => KeyScopeGranularity::PerEvent,
                }),
            }
        }

        fn shred(store: &Store<Open>, entity: &str) -> Result<(), StoreError> {
            let at = Coordinate::new(entity, "shop").expect("names that the crate takes");
            assert!(store.shred_scope(ShredScope::Entity(&at))?, "{entity} had a key");
            Ok(())
        }

        /// A payload whose type says that its schema has version `VERSION`.
        struct Versioned<const VERSION: u16>(Payload);

        impl<const VERSION: u16> serde::Serialize for Versioned<VERSION> {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                self.0.serialize(serializer)
            }
        }

        impl<'de, const VERSION: u16> serde::Deserialize<'de> for Versioned<VERSION> {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                serde_json::Value::deserialize(from).map(|value| Self(Payload::Json(value)))
            }
        }

        impl<const VERSION: u16> EventPayload for Versioned<VERSION> {
            const KIND: EventKind = EventKind::custom(2, 7);
            const PAYLOAD_VERSION: u16 = VERSION;
        }

        fn append_versioned(
            store: &Store<Open>,
            draft: &Draft,
        ) -> Result<AppendReceipt, StoreError> {
            let (at, payload) = (coordinate(draft), draft.payload.clone());
            match draft.payload_version {
                1 => store.append_typed_with_options(&at, &Versioned::<1>(payload), options(draft)),
                3 => store.append_typed_with_options(&at, &Versioned::<3>(payload), options(draft)),
                version => panic!("no type has version {version}"),
            }
        }

        fn payload_version(header: &EventHeader) -> Option<u16> {
            Some(header.payload_version)
        }

        fn encryption(
            store: &Store<ReadOnly>,
            stored: &StoredEvent<Vec<u8>>,
        ) -> Option<Encryption> {
            let header = &stored.event.header;
            let keyscope = header.payload_encryption.as_ref()?.keyscope_id.clone();
            let plain = match store.read_delivery_payload(header.event_id) {
                Ok(DeliveryPayload::Readable(read))
                    if read.event.payload != stored.event.payload =>
                {
                    Some(read.event.payload)
                }
                _ => None,
            };
            Some(Encryption { keyscope, plain })
        }

        /// The crate's own check of payload hashes and links.
        pub fn verify_chain(dir: &Path, settings: &Settings) -> Result<Chain, StoreError> {
            let report = Store::open_read_only(config(dir, settings))?.verify_chain()?;
            Ok(Chain {
                checked: report.events_checked,
                mismatches: report.content_hash_mismatches.len(),
                dangling: report.dangling_links.len(),
            })
        }
    };
}

/// What 0.7 and 0.8 do not have yet.
macro_rules! before_0_9 {
    ($batpak:ident) => {
        use crate::event::Encryption;
        use crate::plan::Granularity;
        use $batpak::event::EventHeader;
        use $batpak::store::ReadOnly;

        fn with_encryption(config: StoreConfig, granularity: Option<Granularity>) -> StoreConfig {
            assert_eq!(granularity, None, "encryption came with 0.9");
            config
        }

        fn shred(_: &Store<Open>, _: &str) -> Result<(), StoreError> {
            panic!("encryption came with 0.9")
        }

        fn append_versioned(_: &Store<Open>, _: &Draft) -> Result<AppendReceipt, StoreError> {
            panic!("payload versions came with 0.9")
        }

        fn payload_version(_: &EventHeader) -> Option<u16> {
            None
        }

        fn encryption(_: &Store<ReadOnly>, _: &StoredEvent<Vec<u8>>) -> Option<Encryption> {
            None
        }
    };
}
