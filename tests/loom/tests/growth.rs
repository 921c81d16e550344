//! In every interleaving: whoever waits for an event wakes when it is visible.

use batpak_loom::growth::Inner;
use loom::thread;
use std::sync::Arc;

fn model(check: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(4);
    builder.check(check);
}

fn waiter(store: &Arc<Inner>, events: u64) -> thread::JoinHandle<Option<u64>> {
    let store = store.clone();
    thread::spawn(move || store.wait(events))
}

#[test]
fn waiters_see_growth() {
    model(|| {
        let store = Arc::<Inner>::default();
        let waiters = [waiter(&store, 1), waiter(&store, 2)];
        store.grow();
        store.grow();
        let [first, second] = waiters.map(|waiter| waiter.join().unwrap());
        assert!(matches!(first, Some(1..=2)));
        assert_eq!(second, Some(2));
    });
}

#[test]
fn waiters_see_the_close() {
    model(|| {
        let store = Arc::<Inner>::default();
        let waiters = [waiter(&store, 1), waiter(&store, 1)];
        store.close();
        assert_eq!(waiters.map(|waiter| waiter.join().unwrap()), [None, None]);
    });
}
