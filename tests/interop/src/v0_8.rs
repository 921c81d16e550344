//! batpak 0.8.0.

since_0_7!(batpak_0_8);
since_0_8!(batpak_0_8);
before_0_9!(batpak_0_8);

fn receipt(receipt: AppendReceipt) -> Receipt {
    Receipt {
        id: receipt.event_id.into(),
        sequence: receipt.sequence,
        key_id: receipt.key_id,
        signature: receipt.signature,
    }
}
