//! Appends two events, reads them back, and verifies the log. Takes the directory to use.

use batpak_core::{Causation, EventKind, Expected, NewEvent, OpenOptions, Query, Region, Store};

fn main() -> batpak_core::Result<()> {
    let path = std::env::args().nth(1).unwrap_or_else(|| "orders".into());
    let (placed, paid) = (EventKind::new(1, 1)?, EventKind::new(1, 2)?);
    let store = Store::open(path, &OpenOptions::default())?;

    // Durable when append returns.
    let order = store.append(&NewEvent::new("order:42", "shop", placed, b"2 apples"), None)?;

    // Only if nobody has written to the stream meanwhile.
    let mut payment = NewEvent::new("order:42", "shop", paid, b"3.20");
    payment.expected = Expected::Exact(order.clock);
    payment.causation = Causation::Event(order.id);
    store.append(&payment, None)?;

    for event in store.read(Query::new(Region::entity("order:42")))? {
        let event = event?;
        println!("{} {} {}", event.sequence(), event.kind(), event.payload().escape_ascii());
    }

    let report = store.verify()?;
    println!("{} events, {}", report.events, if report.is_intact() { "intact" } else { "damaged" });
    store.close()
}
