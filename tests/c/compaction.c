/* Compactions from C: what they say, functions of the caller's that fail, cancel, call the library and
 * close the store, every way to ask for one wrongly, and other threads meanwhile. Takes an empty
 * directory to work in. */
#define _XOPEN_SOURCE 700
#include "stores.h"

/* A store with this many full batches, each in a segment of its own. */
static batpak_store *batches(const char *name, uint32_t count) {
    batpak_store *store = NULL;
    batpak_options options = BATPAK_OPTIONS_INIT;
    options.segment_bytes = 4096;
    EQUAL(BATPAK_OK, batpak_store_open(path_of(name), BATPAK_NUL_TERMINATED, &options, &store,
                                       &error));
    fill(store, count * BATCH, "apples");
    return store;
}

static batpak_status compact(const batpak_store *store, const batpak_retention *retention,
                             batpak_compact_report *report) {
    batpak_compact_options options = BATPAK_COMPACT_OPTIONS_INIT;
    options.retention = retention;
    return batpak_store_compact(store, &options, report, &error);
}

/* How many events are shown. */
static uint64_t shown_events(const batpak_store *store) {
    uint64_t buffer[8192], total = 0;
    size_t count = 1, needed = 0;
    batpak_scan *scan;
    EQUAL(BATPAK_OK, batpak_scan_open(store, NULL, &scan, &error));
    while (count > 0) {
        EQUAL(BATPAK_OK, batpak_scan_read_into(scan, 50, (uint8_t *)buffer, sizeof buffer, &count,
                                               &needed, &error));
        EQUAL(1, needed <= sizeof buffer);
        total += count;
    }
    EQUAL(BATPAK_OK, batpak_scan_close(scan, &error));
    return total;
}

/* So many events are shown, and what the log has had is whole. */
static void expect(const batpak_store *store, uint64_t shown, const batpak_head *before) {
    batpak_verify_report report = BATPAK_VERIFY_REPORT_INIT;
    EQUAL(shown, shown_events(store));
    EQUAL(shown, visible_events(store));
    EQUAL(BATPAK_OK, batpak_store_verify(store, &report, NULL, 0, &error));
    EQUAL(1, report.intact);
    EQUAL(before->events, report.events);
    EQUAL(before->events - shown, report.dropped);
    EQUAL(0, memcmp(&before->root, &report.root, sizeof report.root));
}

static batpak_head head_of(const batpak_store *store) {
    batpak_head head;
    EQUAL(BATPAK_OK, batpak_store_head(store, &head, &error));
    return head;
}

static void reports(void) {
    batpak_store *store = batches("reports", 3);
    batpak_head head = head_of(store);
    batpak_retention retention = BATPAK_RETENTION_INIT;
    batpak_compact_options options = BATPAK_COMPACT_OPTIONS_INIT;
    batpak_compact_report report = BATPAK_COMPACT_REPORT_INIT;
    batpak_stats stats = BATPAK_STATS_INIT;
    batpak_view *view;
    const batpak_event *events;
    size_t count;

    /* The defaults join small segments, of which there are none. */
    EQUAL(BATPAK_OK, batpak_store_compact(store, NULL, &report, &error));
    EQUAL(sizeof report, report.struct_size);
    EQUAL(3, report.segments_before);
    EQUAL(3, report.segments_after);
    EQUAL(0, report.segments_replaced + report.segments_written);
    EQUAL(BATPAK_OK, batpak_store_stats(store, &stats, &error));
    EQUAL(stats.bytes, report.bytes_before);
    EQUAL(stats.bytes, report.bytes_after);
    EQUAL(BATPAK_OK, batpak_store_compact(store, &options, &report, &error));
    EQUAL(0, report.segments_replaced);

    /* A number that is not said to count does not. */
    retention.before = BATCH;
    retention.has_newest_per_entity = 1;
    retention.newest_per_entity = 3 * BATCH;
    EQUAL(BATPAK_OK, compact(store, &retention, &report));
    EQUAL(0, report.events_dropped);
    expect(store, 3 * BATCH, &head);

    /* A view shows what it shows, whatever goes. The newest segment was sealed: one more. */
    EQUAL(BATPAK_OK, batpak_store_at(store, 7, &view, &events, &count, &error));
    retention.has_newest_per_entity = 0;
    retention.has_before = 1;
    retention.before = BATCH + 50;
    retention.key_most = BATCH;
    EQUAL(BATPAK_OK, compact(store, &retention, &report));
    EQUAL(4, report.segments_before);
    EQUAL(2, report.segments_replaced);
    EQUAL(1, report.segments_written <= 2);
    EQUAL(4 - 2 + report.segments_written, report.segments_after);
    EQUAL(BATCH + 50, report.events_dropped);
    EQUAL(0, report.tombstones);
    EQUAL(BATCH + 50, report.keys_kept);
    EQUAL(50, report.keys_over);
    EQUAL(BATPAK_OK, batpak_store_stats(store, &stats, &error));
    EQUAL(stats.bytes, report.bytes_after);
    EQUAL(0, memcmp(events[0].payload.data, "apples", 6));
    EQUAL(BATPAK_OK, batpak_view_release(view, &error));
    expect(store, 2 * BATCH - 50, &head);
    EQUAL(BATPAK_OK, batpak_store_at(store, 7, &view, &events, &count, &error));
    EQUAL(0, count);

    /* A dropped event that is appended again is the one that was there. */
    batpak_new_event again = event();
    again.payload = (batpak_bytes){(const uint8_t *)"apples", 6};
    again.id.bytes[15] = 8;
    EQUAL(BATPAK_OK, append_to(store, again));
    again.payload.length = 5;
    EQUAL(BATPAK_IDEMPOTENCY_CONFLICT, append_to(store, again));
    expect(store, 2 * BATCH - 50, &head);

    /* Too many keys: refused, and nothing is changed. */
    retention.before = 2 * BATCH;
    retention.key_overflow = BATPAK_KEY_OVERFLOW_REFUSE;
    report.events_dropped = 77;
    EQUAL(BATPAK_TOO_LARGE, compact(store, &retention, &report));
    SAYS("200 keys");
    EQUAL(77, report.events_dropped);
    expect(store, 2 * BATCH - 50, &head);

    /* An older caller's structs: what they lack has its default, and gets nothing. */
    retention.key_overflow = BATPAK_KEY_OVERFLOW_WARN;
    retention.key_most = 0;
    retention.struct_size = 56;
    report.struct_size = 64;
    report.tombstones = report.keys_kept = report.keys_over = 77;
    EQUAL(BATPAK_OK, compact(store, &retention, &report));
    EQUAL(50, report.events_dropped);
    EQUAL(77, report.tombstones);
    EQUAL(77, report.keys_over);
    EQUAL(64, report.struct_size);
    options.retention = &retention;
    options.struct_size = 8;
    report = (batpak_compact_report)BATPAK_COMPACT_REPORT_INIT;
    retention.before = 3 * BATCH;
    EQUAL(BATPAK_OK, batpak_store_compact(store, &options, &report, &error));
    EQUAL(0, report.events_dropped);
    expect(store, BATCH, &head);
    close_store(store);
}

static void erased_payloads(void) {
    batpak_store *store = batches("erased", 1);
    batpak_head head = head_of(store);
    batpak_retention retention = BATPAK_RETENTION_INIT;
    batpak_compact_report report = BATPAK_COMPACT_REPORT_INIT;
    batpak_verify_report verified = BATPAK_VERIFY_REPORT_INIT;
    batpak_query query = BATPAK_QUERY_INIT, tombstones = BATPAK_QUERY_INIT;
    batpak_view *view;
    batpak_scan *scan;
    const batpak_event *events;
    uint64_t buffer[512];
    size_t count, needed;
    query.parts = BATPAK_QUERY_CLOCKS;
    query.clock_first = query.clock_last = 2;
    retention.region = &query;
    retention.unwanted = BATPAK_UNWANTED_TOMBSTONE;
    EQUAL(BATPAK_OK, compact(store, &retention, &report));
    EQUAL(1, report.tombstones);
    query.clock_first = query.clock_last = 5;
    retention.unwanted = BATPAK_UNWANTED_ERASE;
    EQUAL(BATPAK_OK, compact(store, &retention, &report));
    EQUAL(1, report.tombstones);
    EQUAL(0, report.events_dropped);
    expect(store, BATCH, &head);
    EQUAL(BATPAK_OK, batpak_store_verify(store, &verified, NULL, 0, &error));
    EQUAL(2, verified.tombstones);
    EQUAL(1, verified.erased);

    tombstones.parts = BATPAK_QUERY_KIND;
    tombstones.kind = 0x0FFE;
    EQUAL(BATPAK_OK, batpak_scan_open(store, &tombstones, &scan, &error));
    EQUAL(BATPAK_OK, batpak_scan_next(scan, 10, SIZE_MAX, &view, &events, &count, &error));
    EQUAL(2, count);
    EQUAL(2, events[0].sequence);
    EQUAL(0, events[0].is_erased);
    EQUAL(6, events[0].payload.length);
    EQUAL(5, events[1].sequence);
    EQUAL(1, events[1].is_erased);
    EQUAL(0, events[1].payload.length);
    EQUAL(8, events[1].entity.length);
    EQUAL(BATPAK_OK, batpak_view_release(view, &error));
    EQUAL(BATPAK_OK, batpak_scan_close(scan, &error));

    /* Copied to memory of the caller's, too. */
    EQUAL(BATPAK_OK, batpak_scan_open(store, &tombstones, &scan, &error));
    EQUAL(BATPAK_OK, batpak_scan_read_into(scan, 10, (uint8_t *)buffer, sizeof buffer, &count,
                                           &needed, &error));
    events = (const batpak_event *)buffer;
    EQUAL(2, count);
    EQUAL(0, events[0].is_erased);
    EQUAL(1, events[1].is_erased);
    EQUAL(BATPAK_OK, batpak_scan_close(scan, &error));
    close_store(store);
}

/* What a function does at the event or step `at`, besides its answer. */
enum action { NOTHING, APPENDS, READS, COMPACTS, COMPACTS_ANOTHER, CLOSES, CLOSES_ON_A_THREAD };

struct script {
    batpak_store *store, *other;
    enum action action;
    uint64_t at;
    int32_t answer;
    /* What it saw. */
    uint64_t calls, next, bytes;
    batpak_status status;
    pthread_t thread;
};

static void *close_it(void *argument) {
    struct script *script = argument;
    script->status = batpak_store_close(script->store, NULL);
    return NULL;
}

static void act(struct script *script) {
    batpak_new_event given = event();
    batpak_compact_report report = BATPAK_COMPACT_REPORT_INIT;
    batpak_retention retention = BATPAK_RETENTION_INIT;
    batpak_view *view;
    const batpak_event *events;
    size_t count = 0;
    pthread_t thread;
    switch (script->action) {
    case NOTHING: break;
    case APPENDS:
        script->status = batpak_store_append(script->store, &given, 1, BATPAK_DURABILITY_DURABLE,
                                             NULL, NULL);
        break;
    case READS:
        script->status = batpak_store_at(script->store, 1, &view, &events, &count, NULL);
        EQUAL(1, count);
        EQUAL(BATPAK_OK, batpak_view_release(view, NULL));
        break;
    case COMPACTS:
        script->status = batpak_store_compact(script->store, NULL, &report, NULL);
        break;
    case COMPACTS_ANOTHER:
        retention.has_before = 1;
        retention.before = 10;
        script->status = compact(script->other, &retention, &report);
        EQUAL(10, report.events_dropped);
        break;
    case CLOSES: close_it(script); break;
    case CLOSES_ON_A_THREAD:
        if (pthread_create(&thread, NULL, close_it, script) != 0) abort();
        pthread_join(thread, NULL);
    }
}

static int32_t keep(void *user_data, const batpak_event *event) {
    struct script *script = user_data;
    script->calls++;
    /* In the order of the log, on the calling thread, and whole. */
    EQUAL(script->next++, event->sequence);
    EQUAL(1, pthread_equal(script->thread, pthread_self()) != 0);
    EQUAL(0, memcmp(event->entity.data, "order:42", 8));
    EQUAL(0, memcmp(event->payload.data, "apples", 6));
    EQUAL(event->sequence, event->clock);
    if (event->sequence != script->at) return BATPAK_KEEP_NO;
    act(script);
    return script->answer;
}

static int32_t progress(void *user_data, const batpak_compact_progress *told) {
    struct script *script = user_data;
    EQUAL(sizeof *told, told->struct_size);
    EQUAL(0, told->reserved);
    EQUAL(1, pthread_equal(script->thread, pthread_self()) != 0);
    EQUAL(1, told->segments_done <= told->segments);
    EQUAL(1, script->bytes <= told->bytes_read + told->bytes_written);
    script->bytes = told->bytes_read + told->bytes_written;
    if (script->calls++ != script->at) return 0;
    act(script);
    return script->answer;
}

static struct script script_of(batpak_store *store, enum action action, uint64_t at,
                               int32_t answer) {
    struct script script = {store, NULL, action, at, answer, 0, 0, 0, -77, pthread_self()};
    return script;
}

/* Drops what keep does not keep of the first 150 events. */
static batpak_status compact_asking(struct script *script, batpak_compact_report *report) {
    batpak_retention retention = BATPAK_RETENTION_INIT;
    retention.has_before = 1;
    retention.before = BATCH + 50;
    retention.key_window = 0;
    retention.keep = keep;
    retention.keep_user_data = script;
    return compact(script->store, &retention, report);
}

/* The same for all of them, telling progress. */
static batpak_status compact_telling(struct script *script, batpak_compact_report *report) {
    batpak_compact_options options = BATPAK_COMPACT_OPTIONS_INIT;
    batpak_retention retention = BATPAK_RETENTION_INIT;
    retention.has_before = 1;
    retention.before = BATCH + 50;
    retention.key_window = 0;
    options.retention = &retention;
    options.progress = progress;
    options.progress_user_data = script;
    return batpak_store_compact(script->store, &options, report, &error);
}

static void functions_that_fail(void) {
    batpak_store *store = batches("fail", 3);
    batpak_head head = head_of(store);
    batpak_compact_report report = BATPAK_COMPACT_REPORT_INIT;
    const int32_t wrong[] = {-1, 2, 7, INT32_MAX, INT32_MIN};
    char said[32];
    for (size_t at = 0; at < sizeof wrong / sizeof *wrong; at++) {
        struct script asked = script_of(store, NOTHING, 120, wrong[at]);
        struct script told = script_of(store, NOTHING, at % 3, wrong[at]);
        snprintf(said, sizeof said, "returned %ld", (long)wrong[at]);
        EQUAL(BATPAK_CALLBACK, compact_asking(&asked, &report));
        SAYS(said);
        SAYS("keep");
        SAYS("event at 120");
        EQUAL(BATPAK_CALLBACK, error.kind);
        EQUAL(121, asked.calls);
        EQUAL(BATPAK_CALLBACK, compact_telling(&told, &report));
        SAYS(said);
        SAYS("progress");
        EQUAL(at % 3 + 1, told.calls);
        expect(store, 3 * BATCH, &head);
    }
    EQUAL(0, report.segments_before);

    /* Without an error struct, the status says it. */
    batpak_retention retention = BATPAK_RETENTION_INIT;
    batpak_compact_options options = BATPAK_COMPACT_OPTIONS_INIT;
    struct script asked = script_of(store, NOTHING, 0, -1);
    retention.keep = keep;
    retention.keep_user_data = &asked;
    options.retention = &retention;
    EQUAL(BATPAK_CALLBACK, batpak_store_compact(store, &options, &report, NULL));

    /* What failed can be tried again; what the predicate keeps stays. */
    asked = script_of(store, NOTHING, 100, BATPAK_KEEP_YES);
    EQUAL(BATPAK_OK, compact_asking(&asked, &report));
    EQUAL(BATCH + 50, asked.calls);
    EQUAL(BATCH + 49, report.events_dropped);
    EQUAL(0, report.keys_kept);
    EQUAL(1, report.bytes_after < report.bytes_before);
    expect(store, 2 * BATCH - 49, &head);

    /* Progress is told to the end. */
    struct script told = script_of(store, NOTHING, UINT64_MAX, 0);
    EQUAL(BATPAK_OK, compact_telling(&told, &report));
    EQUAL(1, report.events_dropped);
    EQUAL(report.segments_before, told.calls);
    EQUAL(1, told.bytes > 0);
    expect(store, 2 * BATCH - 50, &head);
    close_store(store);
}

static void functions_that_call(void) {
    batpak_store *store = batches("call", 3), *other = filled("called", BATCH, "pears");
    batpak_compact_report report = BATPAK_COMPACT_REPORT_INIT;
    batpak_head head;
    const struct { enum action action; batpak_status status; } calls[] = {
        {READS, BATPAK_OK},
        {COMPACTS, BATPAK_LOCKED},
        {APPENDS, BATPAK_OK},
        {COMPACTS_ANOTHER, BATPAK_OK},
    };
    for (size_t at = 0; at < sizeof calls / sizeof *calls; at++) {
        /* The last event that is asked about, so that all of the call is before the end. */
        struct script asked = script_of(store, calls[at].action, BATCH + 49, -1);
        asked.other = other;
        EQUAL(BATPAK_CALLBACK, compact_asking(&asked, &report));
        EQUAL(calls[at].status, asked.status);
    }
    EQUAL(3 * BATCH + 1, shown_events(store));
    EQUAL(BATCH - 10, shown_events(other));
    for (size_t at = 0; at < 3; at++) {
        struct script told = script_of(store, calls[at].action, at, 0);
        EQUAL(BATPAK_OK, compact_telling(&told, &report));
        EQUAL(calls[at].status, told.status);
        EQUAL(at == 0 ? BATCH + 50 : 0, report.events_dropped);
        head = head_of(store);
        EQUAL(3 * BATCH + (at < 2 ? 1 : 2), head.events);
        expect(store, head.events - BATCH - 50, &head);
    }
    close_store(store);
    close_store(other);
}

static void functions_that_close(void) {
    batpak_compact_report report = BATPAK_COMPACT_REPORT_INIT;
    const enum action closes[] = {CLOSES, CLOSES_ON_A_THREAD};
    batpak_store *store = batches("closed", 3);
    batpak_head head = head_of(store);
    for (int at = 0; at < 4; at++) {
        enum action action = closes[at % 2];
        struct script script = script_of(store, action, at < 2 ? 30 : 1,
                                         at < 2 ? BATPAK_KEEP_NO : 0);
        EQUAL(BATPAK_CLOSED, at < 2 ? compact_asking(&script, &report)
                                    : compact_telling(&script, &report));
        EQUAL(BATPAK_OK, script.status);
        EQUAL(BATPAK_BAD_HANDLE, batpak_store_compact(store, NULL, &report, &error));
        EQUAL(0, batpak_debug_live_handles());
        store = open_at("closed", BATPAK_OPEN_EXISTING);
        expect(store, 3 * BATCH, &head);
    }
    EQUAL(0, report.segments_before);
    close_store(store);
}

/* Asks for it in a way that is refused before anything is done. */
static void refused(batpak_status status, const char *said, const batpak_store *store,
                    const batpak_retention *retention) {
    batpak_compact_report report = BATPAK_COMPACT_REPORT_INIT;
    EQUAL(status, compact(store, retention, &report));
    SAYS(said);
    EQUAL(0, report.segments_before);
}

static void wrong_arguments(void) {
    batpak_store *store = batches("wrong", 2), *reader;
    batpak_head head = head_of(store);
    struct script never = script_of(store, NOTHING, 0, BATPAK_KEEP_NO);
    batpak_compact_options options = BATPAK_COMPACT_OPTIONS_INIT;
    batpak_compact_report report = BATPAK_COMPACT_REPORT_INIT;
    batpak_retention retention = BATPAK_RETENTION_INIT, fresh = BATPAK_RETENTION_INIT;
    batpak_query query = BATPAK_QUERY_INIT;
    EQUAL(BATPAK_INVALID_ARGUMENT, batpak_store_compact(store, NULL, NULL, &error));
    SAYS("report is null");
    options.reserved = 1;
    EQUAL(BATPAK_UNSUPPORTED, batpak_store_compact(store, &options, &report, &error));
    SAYS("reserved");

    /* No rule at all: nothing would stay. */
    refused(BATPAK_INVALID_ARGUMENT, "no rule", store, &retention);
    retention.region = &query;
    refused(BATPAK_INVALID_ARGUMENT, "no rule", store, &retention);
    retention.keep = keep;
    retention.keep_user_data = &never;

    /* The region says which events, and nothing else. */
    query.parts = BATPAK_QUERY_FROM;
    refused(BATPAK_INVALID_ARGUMENT, "query", store, &retention);
    query.parts = BATPAK_QUERY_LIMIT;
    refused(BATPAK_INVALID_ARGUMENT, "query", store, &retention);
    query.parts = 0;
    query.direction = BATPAK_DIRECTION_BACKWARD;
    refused(BATPAK_INVALID_ARGUMENT, "query", store, &retention);
    query.direction = 0;
    query.parts = 512;
    refused(BATPAK_INVALID_ARGUMENT, "parts", store, &retention);
    query.parts = BATPAK_QUERY_ENTITY;
    query.entity = text("a/b");
    refused(BATPAK_INVALID_COORDINATE, "", store, &retention);
    query.entity = (batpak_text){NULL, 1};
    refused(BATPAK_INVALID_ARGUMENT, "entity", store, &retention);
    query.parts = BATPAK_QUERY_CATEGORY;
    query.kind = 16;
    refused(BATPAK_INVALID_KIND, "", store, &retention);
    query.parts = 0;
    query.reserved = 1;
    refused(BATPAK_UNSUPPORTED, "reserved", store, &retention);
    query.reserved = 0;

    /* Numbers that are none of the values. */
    const int32_t wrong[] = {-1, 3, INT32_MAX, INT32_MIN};
    int32_t *const fields[] = {&retention.unwanted, &retention.has_before,
                               &retention.has_older_than, &retention.has_newest_per_entity,
                               &retention.key_overflow};
    const char *const names[] = {"unwanted", "has_before", "has_older_than",
                                 "has_newest_per_entity", "key_overflow"};
    for (size_t at = 0; at < sizeof wrong / sizeof *wrong; at++)
        for (size_t field = 0; field < sizeof fields / sizeof *fields; field++) {
            *fields[field] = wrong[at];
            refused(BATPAK_INVALID_ARGUMENT, names[field], store, &retention);
            *fields[field] = 0;
        }

    /* Sizes of structs. */
    const uint32_t sizes[] = {0, 1, 4, 12, 8192, UINT32_MAX};
    for (size_t at = 0; at < sizeof sizes / sizeof *sizes; at++) {
        options = (batpak_compact_options)BATPAK_COMPACT_OPTIONS_INIT;
        options.struct_size = sizes[at];
        EQUAL(BATPAK_INVALID_ARGUMENT, batpak_store_compact(store, &options, &report, &error));
        SAYS("options");
        retention.struct_size = sizes[at];
        refused(BATPAK_INVALID_ARGUMENT, "retention", store, &retention);
        retention.struct_size = sizeof retention;
        query.struct_size = sizes[at];
        refused(BATPAK_INVALID_ARGUMENT, "query", store, &retention);
        query.struct_size = sizeof query;
        report.struct_size = sizes[at];
        EQUAL(BATPAK_INVALID_ARGUMENT, batpak_store_compact(store, NULL, &report, &error));
        SAYS("report");
        report.struct_size = sizeof report;
    }
    struct { batpak_compact_options known; uint64_t later; } large = {
        BATPAK_COMPACT_OPTIONS_INIT, 1};
    large.known.struct_size = sizeof large;
    EQUAL(BATPAK_UNSUPPORTED, batpak_store_compact(store, &large.known, &report, &error));
    struct { batpak_retention known; uint64_t later; } larger = {BATPAK_RETENTION_INIT, 1};
    larger.known.struct_size = sizeof larger;
    larger.known.keep = keep;
    larger.known.keep_user_data = &never;
    refused(BATPAK_UNSUPPORTED, "retention", store, &larger.known);

    /* Who does not write does not compact. */
    reader = open_at("wrong", BATPAK_OPEN_READ_ONLY);
    refused(BATPAK_READ_ONLY, "", reader, &retention);
    close_store(reader);
    EQUAL(0, never.calls);
    expect(store, 2 * BATCH, &head);

    close_store(store);
    refused(BATPAK_BAD_HANDLE, "", store, &retention);
    refused(BATPAK_BAD_HANDLE, "", NULL, &retention);
    refused(BATPAK_BAD_HANDLE, "", (const batpak_store *)&fresh, &retention);
    EQUAL(0, never.calls);
}

static void *compact_on(void *argument) {
    struct task *task = argument;
    batpak_compact_options options = BATPAK_COMPACT_OPTIONS_INIT;
    batpak_compact_report report = BATPAK_COMPACT_REPORT_INIT;
    batpak_retention retention = BATPAK_RETENTION_INIT;
    retention.has_newest_per_entity = 1;
    retention.newest_per_entity = BATCH;
    options.retention = &retention;
    do {
        task->status = batpak_store_compact(task->store, &options, &report, NULL);
        task->done += report.events_dropped;
        report.events_dropped = 0;
    } while (task->status == BATPAK_LOCKED);
    return NULL;
}

static void at_once(void) {
    batpak_store *store = batches("at-once", 6);
    batpak_head head = head_of(store);
    struct task tasks[THREADS] = {0};
    uint64_t dropped = 0;
    run_threads(compact_on, store, "", tasks);
    for (int at = 0; at < THREADS; at++) {
        EQUAL(BATPAK_OK, tasks[at].status);
        dropped += tasks[at].done;
    }
    EQUAL(5 * BATCH, dropped);
    expect(store, BATCH, &head);
    close_store(store);

    /* Wherever a close meets it, all of it has happened, or nothing. */
    for (long round = 0; round < 2 * ROUNDS; round++) {
        char name[64];
        snprintf(name, sizeof name, "closed-%ld", round);
        store = batches(name, 6);
        head = head_of(store);
        batpak_status status = closed_meanwhile(compact_on, store, "", round * 300);
        store = open_at(name, BATPAK_OPEN_EXISTING);
        uint64_t shown = shown_events(store);
        EQUAL(status == BATPAK_OK ? BATCH : 6 * BATCH, shown);
        expect(store, shown, &head);
        close_store(store);
    }
}

int main(int argument_count, char **arguments) {
    if (argument_count != 2) return fprintf(stderr, "usage: compaction DIRECTORY\n"), 1;
    directory = arguments[1];
    reports();
    erased_payloads();
    functions_that_fail();
    functions_that_call();
    functions_that_close();
    wrong_arguments();
    at_once();
    EQUAL(0, batpak_debug_live_handles());
    printf("compaction: %d passed, %d failed\n", passed, failed);
    return failed != 0;
}
