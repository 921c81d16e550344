//! The receipts that a crate signed verify against what batpak reads, with an Ed25519 of other
//! hands.

use batpak_core::{OpenMode, OpenOptions, Store};
use batpak_interop::cases;
use batpak_interop::directory;
use batpak_interop::event::Receipt;
use batpak_interop::plan::SIGNING_SEED;
use batpak_interop::version::Version;
use ed25519_dalek::{Signature, SigningKey, VerifyingKey};
use std::path::Path;

const EXECUTABLE: &str = env!("CARGO_BIN_EXE_batpak-interop");

fn verifies(key: &VerifyingKey, cover: &[u8], receipt: &Receipt) -> bool {
    let signature = Signature::from_bytes(&receipt.signature.unwrap());
    key.verify_strict(blake3::hash(cover).as_bytes(), &signature).is_ok()
}

#[test]
fn signed_receipts_verify() {
    let root = directory::scratch();
    let key = SigningKey::from_bytes(&SIGNING_SEED).verifying_key();
    for case in cases::all().iter().filter(|case| case.settings.signing) {
        for version in Version::ALL.into_iter().filter(|version| case.fits(*version)) {
            let name = format!("{} by {}", case.name, version.name());
            let dir = root.path().join(&name);
            let receipts = case.write(Path::new(EXECUTABLE), version, &dir);
            assert_eq!(receipts.len(), case.expected().len(), "{name}");
            let store = Store::open(&dir, &OpenOptions::mode(OpenMode::ReadOnly)).unwrap();
            for receipt in &receipts {
                assert_eq!(receipt.key_id, *blake3::hash(key.as_bytes()).as_bytes(), "{name}");
                let cover = store.receipt_cover_0x(receipt.sequence).unwrap();
                assert!(verifies(&key, &cover, receipt), "{name}, event {}", receipt.sequence);
                // The receipt is of this event and of no other.
                let other = if receipt.sequence == 1 { 2 } else { 1 };
                let other = store.receipt_cover_0x(other).unwrap();
                assert!(!verifies(&key, &other, receipt), "{name}, event {}", receipt.sequence);
            }
        }
    }
}
