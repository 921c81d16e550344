//! batpak 0.7.0.

since_0_7!(batpak_0_7);
before_0_9!(batpak_0_7);

fn with_clock(config: StoreConfig, clock: impl Fn() -> i64 + Send + Sync + 'static) -> StoreConfig {
    config.with_clock(Some(std::sync::Arc::new(clock)))
}

fn receipt(receipt: AppendReceipt) -> Receipt {
    Receipt {
        id: receipt.event_id,
        sequence: receipt.sequence,
        key_id: receipt.key_id,
        signature: receipt.signature,
    }
}

fn compact(store: &Store<Open>, how: Compaction) -> Result<(), StoreError> {
    let result = store.compact(&strategy(how))?;
    assert_eq!(result.outcome, batpak_0_7::store::segment::CompactionOutcome::Performed);
    Ok(())
}

fn extended(options: AppendOptions, draft: &Draft) -> AppendOptions {
    assert!(draft.extensions.is_empty(), "extensions are stored since 0.8");
    options
}

fn place(entry: &IndexEntry) -> (u128, u64) {
    (entry.event_id, entry.global_sequence)
}

fn extensions(_: &IndexEntry) -> Option<Vec<(String, Vec<u8>)>> {
    None
}

fn read_raw(store: &Store<ReadOnly>, id: u128) -> Result<StoredEvent<Vec<u8>>, StoreError> {
    store.get_raw(id)
}
