//! A view copies neither names nor payloads: its events lie in memory as they lie in the segment,
//! in whatever order they are read.

#![allow(clippy::unwrap_used, reason = "a test ends where its preparation fails")]

use batpak::{
    batpak_direction, batpak_event, batpak_new_event, batpak_query, batpak_scan_close,
    batpak_scan_next, batpak_scan_open, batpak_store_append, batpak_store_close, batpak_store_open,
    batpak_store_sync, batpak_text, batpak_view_release,
};
use std::ptr::{null, null_mut};

const EVENTS: usize = 20;

/// How far the second event lies behind the first, in the segment.
fn in_segment(first: &batpak_event, second: &batpak_event) -> isize {
    assert_eq!(first.segment, second.segment);
    second.offset.wrapping_sub(first.offset) as isize
}

/// The same in memory, by the place of the payload, and of the names.
fn in_memory(first: &batpak_event, second: &batpak_event) -> [isize; 3] {
    let far = |first: usize, second: usize| second.wrapping_sub(first) as isize;
    [
        far(first.payload.data.addr(), second.payload.data.addr()),
        far(first.entity.data.addr(), second.entity.data.addr()),
        far(first.scope.data.addr(), second.scope.data.addr()),
    ]
}

#[test]
fn events_lie_in_a_view_as_in_the_segment() {
    let directory = std::env::temp_dir().join(format!("batpak-views-{}", std::process::id()));
    let path = directory.to_str().unwrap();
    let text = |text: &'static str| batpak_text { data: text.as_ptr().cast(), length: text.len() };
    let event = batpak_new_event {
        kind: 0x1000,
        entity: text("entity"),
        scope: text("scope"),
        ..batpak_new_event::defaults()
    };
    let mut store = null_mut();
    // SAFETY: every pointer is to a value of this function, or null where that is allowed.
    unsafe {
        let opened =
            batpak_store_open(path.as_ptr().cast(), path.len(), null(), &mut store, null_mut());
        assert_eq!(opened, 0);
        let events = [event; EVENTS];
        let appended =
            batpak_store_append(store, events.as_ptr(), EVENTS, 2, null_mut(), null_mut());
        assert_eq!(appended, 0);
        for written in [false, true] {
            if written {
                assert_eq!(batpak_store_sync(store, null_mut()), 0);
            }
            for direction in [
                batpak_direction::BATPAK_DIRECTION_FORWARD,
                batpak_direction::BATPAK_DIRECTION_BACKWARD,
            ] {
                let query =
                    batpak_query { direction: direction as i32, ..batpak_query::defaults() };
                let (mut scan, mut view, mut count) = (null_mut(), null_mut(), 0);
                let mut first: *const batpak_event = null();
                assert_eq!(batpak_scan_open(store, &query, &mut scan, null_mut()), 0);
                let next = batpak_scan_next(
                    scan,
                    EVENTS,
                    1 << 20,
                    &mut view,
                    &mut first,
                    &mut count,
                    null_mut(),
                );
                assert_eq!((next, count), (0, EVENTS));
                let events = std::slice::from_raw_parts(first, count);
                // The first frame of a stream is shorter than the others, before its names.
                let alike: Vec<_> = events.iter().filter(|event| event.sequence > 0).collect();
                for pair in alike.windows(2) {
                    let apart = in_segment(pair[0], pair[1]);
                    assert_eq!(apart > 0, direction as i32 == 0);
                    assert_eq!(in_memory(pair[0], pair[1]), [apart; 3]);
                }
                assert_eq!(batpak_scan_close(scan, null_mut()), 0);
                assert_eq!(batpak_view_release(view, null_mut()), 0);
            }
        }
        assert_eq!(batpak_store_close(store, null_mut()), 0);
    }
    std::fs::remove_dir_all(directory).unwrap();
}
