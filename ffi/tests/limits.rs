//! What happens at the most handles that a process may have; alone in its process.

#![allow(clippy::unwrap_used, reason = "a test ends where its preparation fails")]

use batpak::{
    batpak_debug_live_handles, batpak_event, batpak_store_append, batpak_store_at,
    batpak_store_close, batpak_store_open, batpak_view_release,
};
use std::ptr::{null, null_mut};

/// An event with the smallest fields, as C's `BATPAK_NEW_EVENT_INIT` makes it.
fn event() -> batpak::batpak_new_event {
    let text =
        |text: &'static str| batpak::batpak_text { data: text.as_ptr().cast(), length: text.len() };
    batpak::batpak_new_event {
        kind: 0x1000,
        entity: text("e"),
        scope: text("s"),
        ..batpak::batpak_new_event::defaults()
    }
}

#[test]
fn one_handle_too_many_is_refused_and_the_others_work() {
    let directory = std::env::temp_dir().join(format!("batpak-limits-{}", std::process::id()));
    let path = directory.to_str().unwrap();
    let mut store = null_mut();
    let mut views = Vec::new();
    let mut view = null_mut();
    let mut events: *const batpak_event = null();
    let mut count = 0;
    // SAFETY: every pointer is to a value of this function, or null where that is allowed.
    unsafe {
        let status =
            batpak_store_open(path.as_ptr().cast(), path.len(), null(), &mut store, null_mut());
        assert_eq!(status, 0);
        assert_eq!(batpak_store_append(store, &event(), 1, -1, null_mut(), null_mut()), 0);
        let status = loop {
            let out = (&raw mut view, &raw mut events, &raw mut count);
            match batpak_store_at(store, 0, out.0, out.1, out.2, null_mut()) {
                0 => views.push(view),
                status => break status,
            }
        };
        assert_eq!(status, batpak::batpak_status_code::BATPAK_TOO_LARGE as i32);
        assert_eq!(views.len(), (1 << 18) - 1);
        for view in views {
            assert_eq!(batpak_view_release(view, null_mut()), 0);
        }
        let out = (&raw mut view, &raw mut events, &raw mut count);
        assert_eq!(batpak_store_at(store, 0, out.0, out.1, out.2, null_mut()), 0);
        assert_eq!(batpak_view_release(view, null_mut()), 0);
        assert_eq!(batpak_store_close(store, null_mut()), 0);
    }
    assert_eq!(batpak_debug_live_handles(), 0);
    std::fs::remove_dir_all(directory).unwrap();
}
