//! Typed payloads: named MessagePack, the convention that every language of this library shares.

use crate::error::{Error, ErrorKind, Result};
use crate::event::{Event, NewEvent, Receipt};
use crate::options::Durability;
use crate::store::Store;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Encodes a value as MessagePack, structs as maps by field name.
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>> {
    rmp_serde::to_vec_named(value)
        .map_err(|e| Error::invalid(format!("the value has no MessagePack form: {e}")))
}

/// Decodes MessagePack. Trailing bytes are an error.
pub fn decode<T: DeserializeOwned>(payload: &[u8]) -> Result<T> {
    let refuse = |why: String| Error::new(ErrorKind::Decode, why);
    let mut reader = rmp_serde::Deserializer::new(payload);
    reader.set_max_depth(64);
    let value = T::deserialize(&mut reader)
        .map_err(|e| refuse(format!("the payload is not the MessagePack asked for: {e}")))?;
    let rest = reader.into_inner();
    if rest.is_empty() {
        Ok(value)
    } else {
        Err(refuse(format!("{} bytes follow the MessagePack value", rest.len())))
    }
}

impl Store {
    /// Appends `event` with the MessagePack form of `value` as its payload.
    ///
    /// ```
    /// # let dir = std::env::temp_dir().join(format!("batpak-typed-{}", std::process::id()));
    /// # let _ = std::fs::remove_dir_all(&dir);
    /// use batpak_core::{EventKind, NewEvent, OpenOptions, Store};
    /// #[derive(serde::Serialize, serde::Deserialize, PartialEq, Debug)]
    /// struct Deposited { cents: u64 }
    /// let store = Store::open(&dir, &OpenOptions::default())?;
    /// let event = NewEvent::new("account:7", "bank", EventKind::new(1, 1)?, &[]);
    /// let receipt = store.append_typed(&event, &Deposited { cents: 500 }, None)?;
    /// let read = store.get(receipt.id)?.expect("it was just appended");
    /// assert_eq!(read.decode::<Deposited>()?, Deposited { cents: 500 });
    /// # store.close()?;
    /// # std::fs::remove_dir_all(&dir).ok();
    /// # Ok::<(), batpak_core::Error>(())
    /// ```
    pub fn append_typed<T: Serialize + ?Sized>(
        &self,
        event: &NewEvent<'_>,
        value: &T,
        durability: Option<Durability>,
    ) -> Result<Receipt> {
        let payload = encode(value)?;
        self.append(&NewEvent { payload: &payload, ..*event }, durability)
    }
}

impl Event {
    /// The payload decoded from MessagePack.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T> {
        decode(self.payload())
    }
}
