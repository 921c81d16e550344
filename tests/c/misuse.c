/* Every way to call batpak.h wrongly that a program can survive, with the exact status of each.
 * Takes an empty directory to work in. */
#define _XOPEN_SOURCE 700
#include "check.h"
#include <pthread.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { THREADS = 4, EVENTS = 40 };

/* Calls every function that takes a handle, each with arguments that are right but for it. */
static void expect_bad_handle(void *handle) {
    const batpak_store *store = handle;
    batpak_new_event new_event = event();
    batpak_gate_outcome outcome = BATPAK_GATE_OUTCOME_INIT;
    batpak_open_report report = BATPAK_OPEN_REPORT_INIT;
    batpak_verify_report verified = BATPAK_VERIFY_REPORT_INIT;
    batpak_import_report imported = BATPAK_IMPORT_REPORT_INIT;
    batpak_export_report exported = BATPAK_EXPORT_REPORT_INIT;
    batpak_copy_report copied = BATPAK_COPY_REPORT_INIT;
    batpak_diff diff = BATPAK_DIFF_INIT;
    batpak_compact_report compacted = BATPAK_COMPACT_REPORT_INIT;
    batpak_repair_report repaired = BATPAK_REPAIR_REPORT_INIT;
    batpak_parent parent;
    batpak_frontier frontier = BATPAK_FRONTIER_INIT;
    batpak_stats stats = BATPAK_STATS_INIT;
    batpak_directory_state state = BATPAK_DIRECTORY_STATE_INIT;
    batpak_error refusal = BATPAK_ERROR_INIT;
    batpak_head head;
    batpak_stream_head stream;
    batpak_receipt receipt;
    batpak_id id = {{1}};
    batpak_view *view;
    batpak_scan *scan;
    batpak_ticket *ticket;
    batpak_follow *follow;
    batpak_fence *fence;
    batpak_committed committed = BATPAK_COMMITTED_INIT;
    const batpak_event *events;
    size_t count;
    uint64_t visible;
    int32_t boundary, done;
    uint64_t buffer[1];
    outcome.verdict = BATPAK_VERDICT_DENY;
    const batpak_status statuses[] = {
        batpak_store_path(store, NULL, 0, &count, &error),
        batpak_store_report(store, &report, &error),
        batpak_store_report_text(store, BATPAK_REPORT_REMOVED, 0, NULL, 0, &count, &error),
        batpak_inspection_state(handle, &state, &error),
        batpak_inspection_refusal(handle, &refusal, &error),
        batpak_inspection_report(handle, &report, &error),
        batpak_inspection_report_text(handle, BATPAK_REPORT_CUT_REASON, 0, NULL, 0, &count, &error),
        batpak_store_flush(store, &error),
        batpak_store_sync(store, &error),
        batpak_store_refresh(store, &visible, &error),
        batpak_store_wait(store, 1, 0, &visible, &error),
        batpak_store_head(store, &head, &error),
        batpak_store_head_at(store, 0, &head, &error),
        batpak_store_stream_head(store, "a", 1, 0, &stream, &count, &error),
        batpak_store_frontier(store, &frontier, &error),
        batpak_store_stats(store, &stats, &error),
        batpak_store_verify(store, &verified, NULL, 0, &error),
        batpak_store_import(store, "x", 1, NULL, NULL, &imported, NULL, 0, &error),
        batpak_store_export(store, "x", 1, NULL, NULL, &exported, NULL, 0, &error),
        batpak_store_receipt_cover_0x(store, 0, NULL, 0, &count, &error),
        batpak_store_append(store, &new_event, 1, 0, &receipt, &error),
        batpak_store_append(store, NULL, 0, 0, NULL, &error),
        batpak_store_append_gated(store, &new_event, 1, NULL, 0, 0, 0, 0, &receipt, &error),
        batpak_store_record_denial(store, &new_event, &outcome, 1, 0, &receipt, &error),
        batpak_store_get(store, &id, &view, &events, &count, &error),
        batpak_store_at(store, 0, &view, &events, &count, &error),
        batpak_store_ancestors(store, &id, 0, 1, &view, &events, &count, &boundary, &error),
        batpak_scan_open(store, NULL, &scan, &error),
        batpak_store_follow(store, NULL, &follow, &error),
        batpak_follow_next(handle, 1, 1, 0, &view, &events, &count, &error),
        batpak_follow_position(handle, &visible, &error),
        batpak_fence_begin(store, NULL, &fence, &error),
        batpak_fence_append(handle, &new_event, 1, &visible, &error),
        batpak_fence_events(handle, &visible, &error),
        batpak_fence_read(handle, 0, 1, 1, &view, &events, &count, &error),
        batpak_fence_commit(handle, 0, &committed, &error),
        batpak_fence_cancel(handle, &error),
        batpak_store_append_ticket(store, &new_event, 1, 0, &ticket, &error),
        batpak_ticket_wait(handle, 0, &done, &receipt, 1, &count, &error),
        batpak_ticket_is_done(handle, &done, &error),
        batpak_store_snapshot(store, "x", 1, NULL, &copied, &error),
        batpak_store_verify_snapshot(store, "x", 1, &verified, NULL, 0, &done, &diff, &error),
        batpak_store_fork(store, "x", 1, NULL, &copied, &error),
        batpak_store_diff(store, "x", 1, &diff, &error),
        batpak_store_parent(store, &parent, &count, &error),
        batpak_store_compact(store, NULL, &compacted, &error),
        batpak_repaired_report(handle, &repaired, &error),
        batpak_repaired_lost(handle, NULL, 0, &error),
        batpak_repaired_left_out(handle, NULL, 0, &error),
        batpak_repaired_damage(handle, 0, NULL, 0, &count, &error),
        batpak_repaired_verification(handle, &verified, NULL, 0, &error),
    };
    for (size_t at = 0; at < sizeof statuses / sizeof *statuses; at++)
        EQUAL(BATPAK_BAD_HANDLE, statuses[at]);
    EQUAL(BATPAK_BAD_HANDLE, batpak_scan_next(handle, 1, 1, &view, &events, &count, &error));
    EQUAL(BATPAK_BAD_HANDLE, batpak_scan_read_into(handle, 1, (uint8_t *)buffer, sizeof buffer,
                                                   &count, &count, &error));
    EQUAL(BATPAK_BAD_HANDLE, error.kind);
    EQUAL(BATPAK_RETRY_NEVER, error.retry);
    if (handle == NULL) return;
    EQUAL(BATPAK_BAD_HANDLE, batpak_scan_close(handle, &error));
    EQUAL(BATPAK_BAD_HANDLE, batpak_follow_close(handle, &error));
    EQUAL(BATPAK_BAD_HANDLE, batpak_fence_close(handle, &error));
    EQUAL(BATPAK_BAD_HANDLE, batpak_ticket_close(handle, &error));
    EQUAL(BATPAK_BAD_HANDLE, batpak_view_release(handle, &error));
    EQUAL(BATPAK_BAD_HANDLE, batpak_inspection_release(handle, &error));
    EQUAL(BATPAK_BAD_HANDLE, batpak_repaired_release(handle, &error));
    EQUAL(BATPAK_BAD_HANDLE, batpak_store_close(handle, &error));
}

static void null_and_invented_handles(void) {
    int local = 0;
    batpak_store *store = open_at("handles", BATPAK_OPEN_CREATE);
    expect_bad_handle(NULL);
    EQUAL(BATPAK_OK, batpak_store_close(NULL, &error));
    EQUAL(BATPAK_OK, batpak_scan_close(NULL, &error));
    EQUAL(BATPAK_OK, batpak_follow_close(NULL, &error));
    EQUAL(BATPAK_OK, batpak_fence_close(NULL, &error));
    EQUAL(BATPAK_OK, batpak_ticket_close(NULL, &error));
    EQUAL(BATPAK_OK, batpak_view_release(NULL, &error));
    EQUAL(BATPAK_OK, batpak_inspection_release(NULL, &error));
    EQUAL(BATPAK_OK, batpak_repaired_release(NULL, &error));
    expect_bad_handle(&local);
    expect_bad_handle((void *)(uintptr_t)1);
    expect_bad_handle((void *)UINTPTR_MAX);
    /* Every handle that differs from a live one in one bit. */
    for (int bit = 0; bit < 64; bit++) {
        batpak_stats stats = BATPAK_STATS_INIT;
        uintptr_t invented = (uintptr_t)store ^ (uintptr_t)1 << bit;
        EQUAL(BATPAK_BAD_HANDLE,
              batpak_store_stats((const batpak_store *)invented, &stats, &error));
    }
    close_store(store);
    expect_bad_handle(store);
}

static void stale_and_foreign_handles(void) {
    batpak_store *store = open_at("foreign", BATPAK_OPEN_CREATE), *other;
    batpak_scan *scan;
    batpak_view *view, *none;
    const batpak_event *events;
    size_t count;
    EQUAL(BATPAK_OK, append_to(store, event()));
    EQUAL(BATPAK_OK, batpak_scan_open(store, NULL, &scan, &error));
    EQUAL(BATPAK_OK, batpak_scan_next(scan, 9, 999, &view, &events, &count, &error));
    EQUAL(1, count);
    EQUAL(3, batpak_debug_live_handles());

    /* The right handle of the wrong type, and its rightful use afterwards. */
    EQUAL(BATPAK_BAD_HANDLE, batpak_scan_close((batpak_scan *)store, &error));
    EQUAL(BATPAK_BAD_HANDLE, batpak_scan_close((batpak_scan *)view, &error));
    EQUAL(BATPAK_BAD_HANDLE, batpak_view_release((batpak_view *)store, &error));
    EQUAL(BATPAK_BAD_HANDLE, batpak_view_release((batpak_view *)scan, &error));
    EQUAL(BATPAK_BAD_HANDLE, batpak_store_close((batpak_store *)scan, &error));
    EQUAL(BATPAK_BAD_HANDLE, batpak_store_close((batpak_store *)view, &error));
    EQUAL(BATPAK_BAD_HANDLE, append_to((batpak_store *)scan, event()));
    EQUAL(BATPAK_BAD_HANDLE,
          batpak_scan_next((batpak_scan *)store, 1, 1, &none, &events, &count, &error));
    EQUAL(3, batpak_debug_live_handles());

    /* A view outlives its scan and its store. */
    EQUAL(BATPAK_OK, batpak_scan_close(scan, &error));
    EQUAL(BATPAK_BAD_HANDLE, batpak_scan_close(scan, &error));
    close_store(store);
    EQUAL(BATPAK_BAD_HANDLE, batpak_store_close(store, &error));
    EQUAL(8, events[0].payload.length);
    EQUAL(0, memcmp(events[0].payload.data, "2 apples", 8));
    EQUAL(BATPAK_OK, batpak_view_release(view, &error));
    EQUAL(BATPAK_BAD_HANDLE, batpak_view_release(view, &error));
    EQUAL(0, batpak_debug_live_handles());

    /* The slots are used again; the old handles stay dead. */
    other = open_at("foreign", BATPAK_OPEN_EXISTING);
    EQUAL(1, other != store);
    expect_bad_handle(store);
    expect_bad_handle(scan);
    expect_bad_handle(view);
    EQUAL(1, visible_events(other));

    /* A scan of a closed store. */
    EQUAL(BATPAK_OK, batpak_scan_open(other, NULL, &scan, &error));
    close_store(other);
    EQUAL(BATPAK_CLOSED, batpak_scan_next(scan, 1, 1, &view, &events, &count, &error));
    EQUAL(BATPAK_OK, batpak_scan_close(scan, &error));
    EQUAL(0, batpak_debug_live_handles());
}

static void outputs(void) {
    batpak_store *store = open_at("outputs", BATPAK_OPEN_CREATE), *untouched = store;
    batpak_view *view = (batpak_view *)&failed;
    const batpak_event *events = (const batpak_event *)&failed;
    batpak_scan *scan = (batpak_scan *)&failed;
    batpak_query query = BATPAK_QUERY_INIT;
    batpak_id id = {{9}};
    size_t count = 77;
    int32_t boundary = 77;
    char text_buffer[8] = "xxxxxxx";
    uint64_t words[80];

    /* Nothing is written by a call that fails. */
    EQUAL(BATPAK_INVALID_ARGUMENT, batpak_store_open(NULL, 1, NULL, &untouched, &error));
    EQUAL(1, untouched == store);
    query.direction = 9;
    EQUAL(BATPAK_INVALID_ARGUMENT, batpak_scan_open(store, &query, &scan, &error));
    EQUAL(1, scan == (batpak_scan *)&failed);
    EQUAL(BATPAK_NOT_FOUND, batpak_store_ancestors(store, &id, BATPAK_LINK_STREAM, 1, &view,
                                                   &events, &count, &boundary, &error));
    EQUAL(1, view == (batpak_view *)&failed && events == (const batpak_event *)&failed);
    EQUAL(77, count);
    EQUAL(77, boundary);
    EQUAL(BATPAK_NOT_FOUND, batpak_store_report_text(store, BATPAK_REPORT_DAMAGE, 0, text_buffer,
                                                     sizeof text_buffer, &count, &error));
    EQUAL(0, strcmp(text_buffer, "xxxxxxx"));

    /* Nothing there is no error. */
    EQUAL(BATPAK_OK, batpak_store_get(store, &id, &view, &events, &count, &error));
    EQUAL(1, view == NULL && events == NULL && count == 0);
    EQUAL(BATPAK_OK, batpak_store_at(store, UINT64_MAX, &view, &events, &count, &error));
    EQUAL(1, view == NULL && events == NULL && count == 0);
    batpak_stream_head head;
    memset(&head, 7, sizeof head);
    EQUAL(BATPAK_OK, batpak_store_stream_head(store, "a", 1, 0, &head, &count, &error));
    EQUAL(0, count);
    EQUAL(0x07070707, head.clock);

    /* Outputs that are null. */
    EQUAL(BATPAK_INVALID_ARGUMENT, batpak_store_open("x", 1, NULL, NULL, &error));
    SAYS("store");
    EQUAL(BATPAK_INVALID_ARGUMENT, batpak_inspect("x", 1, NULL, &error));
    SAYS("inspection");
    EQUAL(BATPAK_INVALID_ARGUMENT, batpak_repair("x", 1, "y", 1, NULL, NULL, &error));
    SAYS("repaired");
    EQUAL(BATPAK_INVALID_ARGUMENT, batpak_store_at(store, 0, NULL, &events, &count, &error));
    EQUAL(BATPAK_INVALID_ARGUMENT, batpak_store_at(store, 0, &view, NULL, &count, &error));
    EQUAL(BATPAK_INVALID_ARGUMENT, batpak_store_at(store, 0, &view, &events, NULL, &error));
    EQUAL(BATPAK_INVALID_ARGUMENT, batpak_store_get(store, NULL, &view, &events, &count, &error));
    EQUAL(BATPAK_INVALID_ARGUMENT, batpak_store_head(store, NULL, &error));
    EQUAL(BATPAK_INVALID_ARGUMENT, batpak_store_head_at(store, 0, NULL, &error));
    EQUAL(BATPAK_INVALID_ARGUMENT, batpak_store_stats(store, NULL, &error));
    EQUAL(BATPAK_INVALID_ARGUMENT, batpak_store_path(store, NULL, 0, NULL, &error));
    EQUAL(BATPAK_INVALID_ARGUMENT, batpak_store_path(store, NULL, 1, &count, &error));
    EQUAL(BATPAK_INVALID_ARGUMENT, batpak_scan_open(store, NULL, NULL, &error));
    EQUAL(BATPAK_INVALID_ARGUMENT, batpak_id_for_operation("d", 1, NULL, 0, NULL, &error));

    /* Texts are cut to their buffer and end with a NUL. */
    EQUAL(BATPAK_OK, batpak_store_path(store, text_buffer, 4, &count, &error));
    EQUAL(strlen(directory) + strlen("/outputs"), count);
    EQUAL(0, strncmp(text_buffer, directory, 3));
    EQUAL(0, text_buffer[3]);
    EQUAL('x', text_buffer[4]);

    /* Copies need an aligned buffer, and say how large a small one should have been. */
    EQUAL(BATPAK_OK, append_to(store, event()));
    EQUAL(BATPAK_OK, batpak_scan_open(store, NULL, &scan, &error));
    size_t needed = 77, full = sizeof(batpak_event) + 8 + 4 + 8;
    uint8_t *buffer = (uint8_t *)words;
    EQUAL(BATPAK_INVALID_ARGUMENT,
          batpak_scan_read_into(scan, 1, buffer + 1, 400, &count, &needed, &error));
    EQUAL(BATPAK_INVALID_ARGUMENT,
          batpak_scan_read_into(scan, 0, buffer, 400, &count, &needed, &error));
    EQUAL(BATPAK_INVALID_ARGUMENT,
          batpak_scan_read_into(scan, 1, NULL, 400, &count, &needed, &error));
    EQUAL(BATPAK_INVALID_ARGUMENT,
          batpak_scan_next(scan, 0, 1, &view, &events, &count, &error));
    EQUAL(77, needed);
    EQUAL(BATPAK_OK, batpak_scan_read_into(scan, 1, NULL, 0, &count, &needed, &error));
    EQUAL(0, count);
    EQUAL(full, needed);
    EQUAL(BATPAK_OK, batpak_scan_read_into(scan, 1, buffer, full - 1, &count, &needed, &error));
    EQUAL(full, needed);
    EQUAL(BATPAK_OK, batpak_scan_read_into(scan, 1, buffer, full, &count, &needed, &error));
    EQUAL(1, count);
    EQUAL(0, needed);
    const batpak_event *copy = (const batpak_event *)words;
    EQUAL(1, copy->payload.data >= buffer && copy->payload.data + 8 <= buffer + full);
    EQUAL(0, memcmp(copy->payload.data, "2 apples", 8));
    EQUAL(0, memcmp(copy->entity.data, "order:42", 8));
    EQUAL(BATPAK_OK, batpak_scan_read_into(scan, 1, buffer, full, &count, &needed, &error));
    EQUAL(1, count == 0 && needed == 0);
    EQUAL(BATPAK_OK, batpak_scan_close(scan, &error));

    /* Extensions that are none. */
    size_t position = 0;
    batpak_extension extension;
    const uint8_t stored[] = {1, 0, 9, 0, 'k', 'v'};
    EQUAL(BATPAK_OK, batpak_extension_next(NULL, 0, &position, &extension, &count, &error));
    EQUAL(0, count);
    EQUAL(BATPAK_INVALID_ARGUMENT,
          batpak_extension_next(stored, 6, &position, &extension, &count, &error));
    EQUAL(BATPAK_INVALID_ARGUMENT,
          batpak_extension_next(stored, 3, &position, &extension, &count, &error));
    position = SIZE_MAX;
    EQUAL(BATPAK_INVALID_ARGUMENT,
          batpak_extension_next(stored, 6, &position, &extension, &count, &error));
    EQUAL(SIZE_MAX, position);
    close_store(store);
}

static void struct_sizes(void) {
    batpak_store *store = open_at("sizes", BATPAK_OPEN_CREATE), *other;
    struct { batpak_error known; uint64_t later; } large_error = {BATPAK_ERROR_INIT, 7};
    struct { batpak_options known; uint64_t later; } large_options = {BATPAK_OPTIONS_INIT, 0};
    struct { batpak_new_event known; uint64_t later; } large_events[2];
    batpak_frontier frontier = BATPAK_FRONTIER_INIT;
    batpak_new_event events[2] = {event(), event()};
    const uint32_t wrong[] = {0, 1, 4, 12, sizeof(batpak_error) + 1, 8192, UINT32_MAX};
    char path[4096];
    snprintf(path, sizeof path, "%s/sizes-2", directory);

    for (size_t at = 0; at < sizeof wrong / sizeof *wrong; at++) {
        batpak_error bad = BATPAK_ERROR_INIT;
        batpak_options options = BATPAK_OPTIONS_INIT;
        bad.struct_size = frontier.struct_size = options.struct_size = wrong[at];
        EQUAL(BATPAK_INVALID_ARGUMENT, batpak_store_flush(store, &bad));
        EQUAL(0, bad.kind);
        EQUAL(BATPAK_INVALID_ARGUMENT, batpak_store_frontier(store, &frontier, &error));
        EQUAL(BATPAK_INVALID_ARGUMENT, batpak_store_open(path, SIZE_MAX, &options, &other, &error));
        SAYS("options");
        events[0] = event();
        events[0].struct_size = wrong[at];
        EQUAL(BATPAK_INVALID_ARGUMENT,
              batpak_store_append(store, events, 1, BATPAK_DURABILITY_DEFAULT, NULL, &error));
    }

    /* An older caller's error and report get what they have room for. */
    batpak_error old_error = BATPAK_ERROR_INIT;
    old_error.struct_size = 16;
    EQUAL(BATPAK_BAD_HANDLE, batpak_store_flush(NULL, &old_error));
    EQUAL(BATPAK_BAD_HANDLE, old_error.kind);
    EQUAL(0, old_error.message[0]);
    EQUAL(16, old_error.struct_size);
    batpak_frontier old_frontier = BATPAK_FRONTIER_INIT;
    old_frontier.struct_size = 24;
    old_frontier.durable = 77;
    EQUAL(BATPAK_OK, append_to(store, event()));
    EQUAL(BATPAK_OK, batpak_store_sync(store, &error));
    EQUAL(BATPAK_OK, batpak_store_frontier(store, &old_frontier, &error));
    EQUAL(1, old_frontier.written);
    EQUAL(77, old_frontier.durable);

    /* A later caller's error keeps what this library does not know. */
    large_error.known.struct_size = sizeof large_error;
    EQUAL(BATPAK_BAD_HANDLE, batpak_store_flush(NULL, (batpak_error *)&large_error));
    EQUAL(BATPAK_BAD_HANDLE, large_error.known.kind);
    EQUAL(7, large_error.later);

    /* Options as they were before cache_bytes, and before the restarts behind it. */
    for (uint32_t size = 56; size <= 64; size += 8) {
        batpak_options earlier = BATPAK_OPTIONS_INIT;
        earlier.struct_size = size;
        earlier.restarts = earlier.restart_window_ms = UINT32_MAX;
        EQUAL(BATPAK_OK, batpak_store_open(path, SIZE_MAX, &earlier, &other, &error));
        close_store(other);
    }
    EQUAL(72, sizeof(batpak_options));

    /* A verify report as it was before dropped, and one between. */
    for (uint32_t size = 96; size <= 104; size += 8) {
        batpak_verify_report earlier = BATPAK_VERIFY_REPORT_INIT;
        earlier.struct_size = size;
        earlier.dropped = earlier.tombstones = earlier.erased = 77;
        EQUAL(BATPAK_OK, batpak_store_verify(store, &earlier, NULL, 0, &error));
        EQUAL(1, earlier.intact);
        EQUAL(size == 96 ? 77 : 0, earlier.dropped);
        EQUAL(77, earlier.tombstones);
        EQUAL(77, earlier.erased);
    }
    EQUAL(120, sizeof(batpak_verify_report));

    /* Options: shorter ones have defaults, longer ones may only say what is known. */
    batpak_options old_options = BATPAK_OPTIONS_INIT;
    old_options.struct_size = 16;
    old_options.segment_bytes = 1; /* Behind the size, so it does not count. */
    EQUAL(BATPAK_OK, batpak_store_open(path, SIZE_MAX, &old_options, &other, &error));
    close_store(other);
    large_options.known.struct_size = sizeof large_options;
    EQUAL(BATPAK_OK, batpak_store_open(path, SIZE_MAX, &large_options.known, &other, &error));
    close_store(other);
    large_options.later = 1;
    EQUAL(BATPAK_UNSUPPORTED,
          batpak_store_open(path, SIZE_MAX, &large_options.known, &other, &error));

    /* In an array, the size of the first is the distance between all. */
    memset(large_events, 0, sizeof large_events);
    for (int at = 0; at < 2; at++) {
        large_events[at].known = event();
        large_events[at].known.struct_size = sizeof large_events[at];
    }
    EQUAL(BATPAK_OK, batpak_store_append(store, &large_events[0].known, 2,
                                         BATPAK_DURABILITY_DEFAULT, NULL, &error));
    EQUAL(3, visible_events(store));
    large_events[1].later = 1;
    EQUAL(BATPAK_UNSUPPORTED, batpak_store_append(store, &large_events[0].known, 2,
                                                  BATPAK_DURABILITY_DEFAULT, NULL, &error));
    SAYS("events[1]");
    events[0] = event();
    events[1].struct_size -= 8;
    EQUAL(BATPAK_INVALID_ARGUMENT,
          batpak_store_append(store, events, 2, BATPAK_DURABILITY_DEFAULT, NULL, &error));
    SAYS("events[1]");
    EQUAL(3, visible_events(store));

    /* Fields without a meaning yet. */
    batpak_options options = BATPAK_OPTIONS_INIT;
    batpak_query query = BATPAK_QUERY_INIT;
    batpak_gate gate = BATPAK_GATE_INIT;
    batpak_scan *scan;
    options.reserved = query.reserved = gate.reserved = events[0].reserved = 1;
    EQUAL(BATPAK_UNSUPPORTED, batpak_store_open(path, SIZE_MAX, &options, &other, &error));
    EQUAL(BATPAK_UNSUPPORTED, batpak_scan_open(store, &query, &scan, &error));
    EQUAL(BATPAK_UNSUPPORTED, append_to(store, events[0]));
    EQUAL(BATPAK_UNSUPPORTED,
          batpak_store_append_gated(store, NULL, 0, &gate, 1, 0, 0, 0, NULL, &error));
    close_store(store);
}

static void texts_and_lengths(void) {
    static char longest[1025];
    batpak_store *store = open_at("texts", BATPAK_OPEN_CREATE), *other;
    batpak_query query = BATPAK_QUERY_INIT;
    batpak_scan *scan;
    batpak_id id;
    batpak_new_event wrong;
    batpak_bytes component = {NULL, 1};
    memset(longest, 'e', sizeof longest);

    EQUAL(BATPAK_INVALID_ARGUMENT, batpak_store_open("\xff", 1, NULL, &other, &error));
    SAYS("path is not UTF-8");
    EQUAL(BATPAK_INVALID_ARGUMENT,
          batpak_store_open(NULL, BATPAK_NUL_TERMINATED, NULL, &other, &error));
    EQUAL(BATPAK_INVALID_ARGUMENT, batpak_store_open("x", SIZE_MAX - 1, NULL, &other, &error));
    EQUAL(BATPAK_INVALID_ARGUMENT, batpak_store_open("x", SIZE_MAX / 2 + 1, NULL, &other, &error));
    EQUAL(BATPAK_INVALID_ARGUMENT, batpak_store_open("x\0y", 3, NULL, &other, &error));
    SAYS("x?y");
    EQUAL(BATPAK_INVALID_ARGUMENT, batpak_store_open("", 0, NULL, &other, &error));

    wrong = event(), wrong.entity = text("caf\xe9");
    EQUAL(BATPAK_INVALID_ARGUMENT, append_to(store, wrong));
    SAYS("events[0].entity is not UTF-8: the byte at 3");
    wrong = event(), wrong.scope = (batpak_text){"\xc3", 1};
    EQUAL(BATPAK_INVALID_ARGUMENT, append_to(store, wrong));
    SAYS("events[0].scope");
    wrong = event(), wrong.entity = (batpak_text){NULL, 0};
    EQUAL(BATPAK_INVALID_COORDINATE, append_to(store, wrong));
    wrong = event(), wrong.entity = (batpak_text){NULL, 3};
    EQUAL(BATPAK_INVALID_ARGUMENT, append_to(store, wrong));
    wrong = event(), wrong.entity = (batpak_text){longest, 1025};
    EQUAL(BATPAK_INVALID_COORDINATE, append_to(store, wrong));
    wrong = event(), wrong.entity = (batpak_text){longest, (size_t)1 << 63};
    EQUAL(BATPAK_INVALID_ARGUMENT, append_to(store, wrong));
    wrong = event(), wrong.payload = (batpak_bytes){NULL, 5};
    EQUAL(BATPAK_INVALID_ARGUMENT, append_to(store, wrong));
    SAYS("events[0].payload");
    wrong = event(), wrong.payload.length = SIZE_MAX;
    EQUAL(BATPAK_INVALID_ARGUMENT, append_to(store, wrong));
    wrong = event(), wrong.extension_count = 1;
    EQUAL(BATPAK_INVALID_ARGUMENT, append_to(store, wrong));
    wrong = event(), wrong.extension_count = SIZE_MAX;
    EQUAL(BATPAK_INVALID_ARGUMENT, append_to(store, wrong));
    batpak_extension extension = {{"a.b", 3}, {NULL, 2}};
    wrong = event(), wrong.extensions = &extension, wrong.extension_count = 1;
    EQUAL(BATPAK_INVALID_ARGUMENT, append_to(store, wrong));
    wrong.extension_count = 20000;
    EQUAL(BATPAK_TOO_LARGE, append_to(store, wrong));
    EQUAL(0, visible_events(store));
    wrong = event(), wrong.payload = (batpak_bytes){NULL, 0};
    EQUAL(BATPAK_OK, append_to(store, wrong));

    wrong = event();
    EQUAL(BATPAK_OK, batpak_store_append(store, NULL, 0, 0, NULL, &error));
    EQUAL(BATPAK_INVALID_ARGUMENT, batpak_store_append(store, NULL, 1, 0, NULL, &error));
    EQUAL(BATPAK_INVALID_ARGUMENT, batpak_store_append(store, &wrong, SIZE_MAX, 0, NULL, &error));
    EQUAL(BATPAK_INVALID_ARGUMENT,
          batpak_store_append(store, &wrong, SIZE_MAX / 8, 0, NULL, &error));
    EQUAL(BATPAK_TOO_LARGE, batpak_store_append(store, &wrong, 65537, 0, NULL, &error));

    query.parts = BATPAK_QUERY_ENTITY;
    query.entity = (batpak_text){"\x80", 1};
    EQUAL(BATPAK_INVALID_ARGUMENT, batpak_scan_open(store, &query, &scan, &error));
    SAYS("entity");
    query.parts = 0; /* A part that does not count is not looked at. */
    EQUAL(BATPAK_OK, batpak_scan_open(store, &query, &scan, &error));
    EQUAL(BATPAK_OK, batpak_scan_close(scan, &error));
    EQUAL(BATPAK_INVALID_ARGUMENT, batpak_id_for_operation("\xff", 1, NULL, 0, &id, &error));
    EQUAL(BATPAK_INVALID_ARGUMENT, batpak_id_for_operation("d", 1, &component, 1, &id, &error));
    SAYS("components[0]");
    EQUAL(BATPAK_INVALID_ARGUMENT,
          batpak_id_for_operation("d", 1, &component, SIZE_MAX / 16, &id, &error));
    close_store(store);
}

static void numbers_out_of_range(void) {
    batpak_store *store = open_at("numbers", BATPAK_OPEN_CREATE), *other;
    const int32_t wrong[] = {-2, 5, INT32_MAX, INT32_MIN};
    batpak_id id = {{1}};
    batpak_view *view;
    batpak_scan *scan;
    const batpak_event *events;
    size_t count;
    int32_t boundary;
    for (size_t at = 0; at < sizeof wrong / sizeof *wrong; at++) {
        batpak_options options = BATPAK_OPTIONS_INIT;
        batpak_query query = BATPAK_QUERY_INIT;
        batpak_gate_outcome outcome = BATPAK_GATE_OUTCOME_INIT;
        batpak_new_event given = event();
        outcome.verdict = wrong[at];
        options.mode = wrong[at];
        EQUAL(BATPAK_INVALID_ARGUMENT, batpak_store_open("x", 1, &options, &other, &error));
        SAYS("mode");
        options.mode = 0, options.durability = wrong[at];
        EQUAL(BATPAK_INVALID_ARGUMENT, batpak_store_open("x", 1, &options, &other, &error));
        SAYS("durability");
        options.durability = 0, options.has_seed = wrong[at];
        EQUAL(BATPAK_INVALID_ARGUMENT, batpak_store_open("x", 1, &options, &other, &error));
        query.direction = wrong[at];
        EQUAL(BATPAK_INVALID_ARGUMENT, batpak_scan_open(store, &query, &scan, &error));
        EQUAL(BATPAK_INVALID_ARGUMENT,
              batpak_store_append(store, &given, 1, wrong[at], NULL, &error));
        EQUAL(BATPAK_INVALID_ARGUMENT, batpak_store_append_gated(store, &given, 1, NULL, 0,
                                                                 wrong[at], 0, 0, NULL, &error));
        EQUAL(BATPAK_INVALID_ARGUMENT, batpak_store_append_gated(store, &given, 1, NULL, 0, 0,
                                                                 wrong[at], 0, NULL, &error));
        EQUAL(BATPAK_INVALID_ARGUMENT,
              batpak_store_record_denial(store, &given, &outcome, 1, 0, NULL, &error));
        EQUAL(BATPAK_INVALID_ARGUMENT, batpak_store_ancestors(store, &id, wrong[at], 1, &view,
                                                              &events, &count, &boundary, &error));
        EQUAL(BATPAK_INVALID_ARGUMENT,
              batpak_store_report_text(store, wrong[at], 0, NULL, 0, &count, &error));
        given.expected = wrong[at];
        EQUAL(BATPAK_INVALID_ARGUMENT, append_to(store, given));
        given = event(), given.causation = wrong[at];
        EQUAL(BATPAK_INVALID_ARGUMENT, append_to(store, given));
        given = event(), given.has_timestamp = wrong[at];
        EQUAL(BATPAK_INVALID_ARGUMENT, append_to(store, given));
        EQUAL(0, strcmp(batpak_retry_name(wrong[at]), "UNKNOWN"));
        EQUAL(BATPAK_RETRY_UNKNOWN, batpak_status_retry(wrong[at] == 5 ? 99 : wrong[at]));
    }
    batpak_options options = BATPAK_OPTIONS_INIT;
    options.durability = BATPAK_DURABILITY_DEFAULT;
    EQUAL(BATPAK_INVALID_ARGUMENT, batpak_store_open("x", 1, &options, &other, &error));
    batpak_new_event given = event();
    given.flags = 256;
    EQUAL(BATPAK_INVALID_ARGUMENT, append_to(store, given));
    given = event(), given.payload_version = 65536;
    EQUAL(BATPAK_INVALID_ARGUMENT, append_to(store, given));
    given = event(), given.kind = 0x10000;
    EQUAL(BATPAK_INVALID_KIND, append_to(store, given));
    given.kind = 0x0001;
    EQUAL(BATPAK_INVALID_KIND, append_to(store, given));
    batpak_query query = BATPAK_QUERY_INIT;
    query.parts = BATPAK_QUERY_LIMIT << 1;
    EQUAL(BATPAK_INVALID_ARGUMENT, batpak_scan_open(store, &query, &scan, &error));
    query.parts = BATPAK_QUERY_KIND | BATPAK_QUERY_CATEGORY;
    EQUAL(BATPAK_INVALID_ARGUMENT, batpak_scan_open(store, &query, &scan, &error));
    query.parts = BATPAK_QUERY_ENTITY | BATPAK_QUERY_PREFIX, query.entity = text("a");
    EQUAL(BATPAK_INVALID_ARGUMENT, batpak_scan_open(store, &query, &scan, &error));
    query.parts = BATPAK_QUERY_CATEGORY, query.kind = 16;
    EQUAL(BATPAK_INVALID_KIND, batpak_scan_open(store, &query, &scan, &error));
    query.kind = 256;
    EQUAL(BATPAK_INVALID_KIND, batpak_scan_open(store, &query, &scan, &error));
    EQUAL(0, visible_events(store));
    EQUAL(BATPAK_OK, batpak_abi_check(BATPAK_ABI_VERSION, &error));
    EQUAL(BATPAK_UNSUPPORTED, batpak_abi_check(BATPAK_ABI_VERSION + 1, &error));
    EQUAL(BATPAK_VERSION_NUMBER, batpak_version_number());
    EQUAL(0, strcmp(BATPAK_VERSION_TEXT, batpak_version_text()));
    EQUAL(0, strcmp("UNKNOWN", batpak_status_name(-1)));
    EQUAL(0, strcmp("UNKNOWN", batpak_finding_name(0)));
    close_store(store);
}

/* What a gate is told to do, and what it saw. */
struct gate_script {
    batpak_store *store;
    int32_t answer;
    int closes, calls;
    uint64_t events_seen;
};

static int32_t gate(void *user_data, const batpak_new_event *event, batpak_refusal *refusal) {
    struct gate_script *script = user_data;
    batpak_stats stats = BATPAK_STATS_INIT;
    script->calls++;
    if (batpak_store_stats(script->store, &stats, NULL) == BATPAK_OK)
        script->events_seen = stats.events;
    if (script->closes) batpak_store_close(script->store, NULL);
    memset(refusal->code, 'C', sizeof refusal->code);
    snprintf(refusal->message, sizeof refusal->message, "%.*s is full",
             (int)event->entity.length, event->entity.data);
    return script->answer;
}

static void gates(void) {
    batpak_store *store = open_at("gates", BATPAK_OPEN_CREATE);
    struct gate_script script = {store, BATPAK_VERDICT_PERMIT, 0, 0, 0};
    batpak_gate asked = BATPAK_GATE_INIT;
    batpak_new_event given = event();
    asked.name = text("room");
    EQUAL(BATPAK_INVALID_ARGUMENT,
          batpak_store_append_gated(store, &given, 1, &asked, 1, 0, 0, 0, NULL, &error));
    SAYS("gates[0].check");
    asked.check = gate;
    asked.user_data = &script;
    asked.name = (batpak_text){"\xff", 1};
    EQUAL(BATPAK_INVALID_ARGUMENT,
          batpak_store_append_gated(store, &given, 1, &asked, 1, 0, 0, 0, NULL, &error));
    asked.name = text("room");
    EQUAL(BATPAK_INVALID_ARGUMENT,
          batpak_store_append_gated(store, &given, 1, NULL, 1, 0, 0, 0, NULL, &error));
    EQUAL(0, script.calls);

    /* A gate may read the store that is being appended to. */
    EQUAL(BATPAK_OK, append_to(store, event()));
    EQUAL(BATPAK_OK,
          batpak_store_append_gated(store, &given, 1, &asked, 1, 0, 0, 0, NULL, &error));
    EQUAL(1, script.calls);
    EQUAL(1, script.events_seen);
    script.answer = BATPAK_VERDICT_DENY;
    EQUAL(BATPAK_DENIED,
          batpak_store_append_gated(store, &given, 1, &asked, 1, 0, 0, 0, NULL, &error));
    SAYS("room");
    SAYS("order:42 is full");
    script.answer = 7;
    EQUAL(BATPAK_CALLBACK,
          batpak_store_append_gated(store, &given, 1, &asked, 1, 0, 0, 0, NULL, &error));
    SAYS("room");
    SAYS("returned 7");
    EQUAL(2, visible_events(store));

    /* A gate that closes the store under its own append. */
    script.answer = BATPAK_VERDICT_PERMIT;
    script.closes = 1;
    EQUAL(BATPAK_CLOSED,
          batpak_store_append_gated(store, &given, 1, &asked, 1, 0, 0, 0, NULL, &error));
    EQUAL(BATPAK_BAD_HANDLE, batpak_store_close(store, &error));
}

struct task {
    void *handle;
    batpak_status status;
    uint64_t done;
};

static void *close_it(void *argument) {
    struct task *task = argument;
    task->status = batpak_store_close(task->handle, NULL);
    return NULL;
}

/* Appends until the store is gone. */
static void *append_on(void *argument) {
    struct task *task = argument;
    batpak_new_event given = event();
    while ((task->status = batpak_store_append(task->handle, &given, 1,
                                               BATPAK_DURABILITY_WRITTEN, NULL, NULL)) == BATPAK_OK)
        task->done++;
    return NULL;
}

static void *wait_for_more(void *argument) {
    struct task *task = argument;
    uint64_t visible;
    task->status = batpak_store_wait(task->handle, UINT64_MAX, UINT64_MAX, &visible, NULL);
    return NULL;
}

/* Reads a scan that other threads read too, until it is at its end. */
static void *read_on(void *argument) {
    struct task *task = argument;
    size_t count = 1;
    while (count > 0 || task->status == BATPAK_INVALID_ARGUMENT) {
        batpak_view *view = NULL;
        const batpak_event *events;
        task->status = batpak_scan_next(task->handle, 1, 1, &view, &events, &count, NULL);
        if (task->status == BATPAK_OK) task->done += count;
        else if (task->status != BATPAK_INVALID_ARGUMENT) break;
        batpak_view_release(view, NULL);
    }
    return NULL;
}

static void run_threads(void *(*work)(void *), void *handle, struct task *tasks,
                        batpak_store *closed_meanwhile) {
    pthread_t threads[THREADS];
    for (int at = 0; at < THREADS; at++) {
        tasks[at] = (struct task){handle, BATPAK_OK, 0};
        if (pthread_create(&threads[at], NULL, work, &tasks[at]) != 0) abort();
    }
    if (closed_meanwhile != NULL) {
        nanosleep(&(struct timespec){0, 20000000}, NULL);
        close_store(closed_meanwhile);
    }
    for (int at = 0; at < THREADS; at++) pthread_join(threads[at], NULL);
}

static void threads(void) {
    struct task tasks[THREADS];
    int closed = 0;
    uint64_t done = 0;

    /* Of several threads that close the same store, one does. */
    run_threads(close_it, open_at("threads", BATPAK_OPEN_CREATE), tasks, NULL);
    for (int at = 0; at < THREADS; at++) {
        closed += tasks[at].status == BATPAK_OK;
        EQUAL(1, tasks[at].status == BATPAK_OK || tasks[at].status == BATPAK_BAD_HANDLE);
    }
    EQUAL(1, closed);

    /* What was appended before the close is in the log, and nothing else is. */
    batpak_store *store = open_at("threads", BATPAK_OPEN_EXISTING);
    run_threads(append_on, store, tasks, store);
    for (int at = 0; at < THREADS; at++) {
        done += tasks[at].done;
        EQUAL(1, tasks[at].status == BATPAK_CLOSED || tasks[at].status == BATPAK_BAD_HANDLE);
    }
    store = open_at("threads", BATPAK_OPEN_EXISTING);
    EQUAL(done, visible_events(store));

    /* A close ends a wait. */
    run_threads(wait_for_more, store, tasks, store);
    for (int at = 0; at < THREADS; at++)
        EQUAL(1, tasks[at].status == BATPAK_CLOSED || tasks[at].status == BATPAK_BAD_HANDLE);

    /* Threads that share a scan get every event once, or are told not to. */
    batpak_scan *scan;
    store = open_at("threads-scan", BATPAK_OPEN_CREATE);
    for (int at = 0; at < EVENTS; at++) EQUAL(BATPAK_OK, append_to(store, event()));
    EQUAL(BATPAK_OK, batpak_scan_open(store, NULL, &scan, &error));
    run_threads(read_on, scan, tasks, NULL);
    done = 0;
    for (int at = 0; at < THREADS; at++) {
        done += tasks[at].done;
        EQUAL(BATPAK_OK, tasks[at].status);
    }
    EQUAL(EVENTS, done);
    EQUAL(BATPAK_OK, batpak_scan_close(scan, &error));
    close_store(store);
    EQUAL(0, batpak_debug_live_handles());
}

/* Every call in the child, by the number of the first that went wrong; 0 when none did. */
static int in_child(batpak_store *store, batpak_scan *scan, batpak_fence *fence, batpak_view *view,
                    const batpak_event *events) {
    batpak_stats stats = BATPAK_STATS_INIT;
    batpak_verify_report report = BATPAK_VERIFY_REPORT_INIT;
    batpak_import_report imported = BATPAK_IMPORT_REPORT_INIT;
    batpak_export_report exported = BATPAK_EXPORT_REPORT_INIT;
    batpak_copy_report copied = BATPAK_COPY_REPORT_INIT;
    batpak_diff diff = BATPAK_DIFF_INIT;
    batpak_compact_report compacted = BATPAK_COMPACT_REPORT_INIT;
    batpak_new_event given = event();
    batpak_view *other;
    batpak_store *own;
    size_t count;
    uint64_t visible;
    int32_t is_prefix;
    char path[4096];
    if (batpak_store_append(store, &given, 1, 0, NULL, NULL) != BATPAK_FORKED) return 1;
    if (batpak_store_sync(store, NULL) != BATPAK_FORKED) return 2;
    if (batpak_store_stats(store, &stats, NULL) != BATPAK_FORKED) return 3;
    if (batpak_store_verify(store, &report, NULL, 0, NULL) != BATPAK_FORKED) return 4;
    if (batpak_store_wait(store, UINT64_MAX, 600000, &visible, NULL) != BATPAK_FORKED) return 5;
    if (batpak_scan_next(scan, 1, 1, &other, &events, &count, NULL) != BATPAK_FORKED) return 6;
    snprintf(path, sizeof path, "%s/fork-other", directory);
    if (batpak_store_import(store, path, SIZE_MAX, NULL, NULL, &imported, NULL, 0, NULL) !=
        BATPAK_FORKED)
        return 16;
    if (batpak_store_export(store, path, SIZE_MAX, NULL, NULL, &exported, NULL, 0, NULL) !=
        BATPAK_FORKED)
        return 17;
    if (batpak_store_receipt_cover_0x(store, 0, NULL, 0, &count, NULL) != BATPAK_FORKED) return 18;
    if (batpak_store_snapshot(store, path, SIZE_MAX, NULL, &copied, NULL) != BATPAK_FORKED)
        return 19;
    if (batpak_store_fork(store, path, SIZE_MAX, NULL, &copied, NULL) != BATPAK_FORKED) return 20;
    if (batpak_store_diff(store, path, SIZE_MAX, &diff, NULL) != BATPAK_FORKED) return 21;
    if (batpak_store_verify_snapshot(store, path, SIZE_MAX, &report, NULL, 0, &is_prefix, &diff,
                                     NULL) != BATPAK_FORKED)
        return 22;
    batpak_fence *fresh;
    if (batpak_fence_begin(store, NULL, &fresh, NULL) != BATPAK_FORKED) return 23;
    if (batpak_fence_append(fence, &given, 1, NULL, NULL) != BATPAK_FORKED) return 24;
    if (batpak_fence_events(fence, &visible, NULL) != BATPAK_FORKED) return 25;
    if (batpak_fence_read(fence, 0, 1, 1, &other, &events, &count, NULL) != BATPAK_FORKED)
        return 26;
    if (batpak_fence_commit(fence, 0, NULL, NULL) != BATPAK_FORKED) return 27;
    if (batpak_fence_cancel(fence, NULL) != BATPAK_FORKED) return 28;
    if (batpak_store_compact(store, NULL, &compacted, NULL) != BATPAK_FORKED) return 30;
    if (memcmp(events[0].payload.data, "2 apples", 8) != 0) return 7;
    if (batpak_view_release(view, NULL) != BATPAK_OK) return 8;
    if (batpak_scan_close(scan, NULL) != BATPAK_OK) return 9;
    if (batpak_store_close(store, NULL) != BATPAK_FORKED) return 10;
    if (batpak_store_close(store, NULL) != BATPAK_BAD_HANDLE) return 11;
    if (batpak_fence_close(fence, NULL) != BATPAK_OK) return 29;
    snprintf(path, sizeof path, "%s/fork", directory);
    if (batpak_store_open(path, SIZE_MAX, NULL, &own, NULL) != BATPAK_LOCKED) return 12;
    snprintf(path, sizeof path, "%s/fork-own", directory);
    if (batpak_store_open(path, SIZE_MAX, NULL, &own, NULL) != BATPAK_OK) return 13;
    if (batpak_store_append(own, &given, 1, 0, NULL, NULL) != BATPAK_OK) return 14;
    if (batpak_store_close(own, NULL) != BATPAK_OK) return 15;
    return 0;
}

#ifdef __SANITIZE_ADDRESS__
#define FORK_DURING_APPENDS 0
#else
#define FORK_DURING_APPENDS 1
#endif

static void forks(void) {
    batpak_store *store = open_at("fork", BATPAK_OPEN_CREATE);
    batpak_scan *scan;
    batpak_view *view;
    const batpak_event *events;
    size_t count;
    struct task task = {store, BATPAK_OK, 0};
    pthread_t thread;
    batpak_fence *fence;
    batpak_fence_options in_its_file = BATPAK_FENCE_OPTIONS_INIT;
    batpak_new_event staged = event();
    in_its_file.memory_bytes = 0;
    EQUAL(BATPAK_OK, append_to(store, event()));
    EQUAL(BATPAK_OK, batpak_scan_open(store, NULL, &scan, &error));
    EQUAL(BATPAK_OK, batpak_fence_begin(store, &in_its_file, &fence, &error));
    EQUAL(BATPAK_OK, batpak_fence_append(fence, &staged, 1, NULL, &error));
    EQUAL(BATPAK_OK, batpak_store_at(store, 0, &view, &events, &count, &error));
    /* Forks meet a thread at any place in an append. Not with AddressSanitizer: a child cannot
       allocate when another thread was in the sanitizer's allocator. */
    if (FORK_DURING_APPENDS && pthread_create(&thread, NULL, append_on, &task) != 0) abort();
    for (int at = 0; at < 20; at++) {
        int report[2], status;
        char result = 99;
        fflush(stdout);
        if (pipe(report) != 0) abort();
        pid_t child = fork();
        if (child == 0) {
            alarm(60); /* A hang kills the child. */
            result = (char)in_child(store, scan, fence, view, events);
            _exit(write(report[1], &result, 1) != 1);
        }
        close(report[1]);
        /* The exit code is valgrind's, to which what the other thread had in hand is a leak. */
        EQUAL(1, read(report[0], &result, 1));
        EQUAL(0, result);
        EQUAL(child, waitpid(child, &status, 0));
        EQUAL(1, WIFEXITED(status));
        close(report[0]);
    }
    /* The parent is as it was. */
    EQUAL(BATPAK_OK, append_to(store, event()));
    EQUAL(0, memcmp(events[0].payload.data, "2 apples", 8));
    EQUAL(BATPAK_OK, batpak_fence_commit(fence, BATPAK_DURABILITY_DEFAULT, NULL, &error));
    EQUAL(BATPAK_OK, batpak_fence_close(fence, &error));
    EQUAL(BATPAK_OK, batpak_view_release(view, &error));
    EQUAL(BATPAK_OK, batpak_scan_close(scan, &error));
    close_store(store);
    if (FORK_DURING_APPENDS) pthread_join(thread, NULL);
    store = open_at("fork", BATPAK_OPEN_EXISTING);
    EQUAL(task.done + 3, visible_events(store));
    close_store(store);
}

int main(int argument_count, char **arguments) {
    if (argument_count != 2) return fprintf(stderr, "usage: misuse DIRECTORY\n"), 1;
    directory = arguments[1];
    null_and_invented_handles();
    stale_and_foreign_handles();
    outputs();
    struct_sizes();
    texts_and_lengths();
    numbers_out_of_range();
    gates();
    threads();
    forks();
    EQUAL(0, batpak_debug_live_handles());
    printf("misuse: %d passed, %d failed\n", passed, failed);
    return failed != 0;
}
