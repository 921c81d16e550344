/* The small set of workloads from C:
 *
 *     small DIR
 *
 * the same work as src/small.rs does, in stores below DIR, which exists. The environment selects
 * as src/selection.rs says. */
#include "batpak.h"
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ENTITIES = 1000, KINDS = 4, CYCLE = KINDS * ENTITIES, BATCH = 1000, PAYLOAD_BYTES = 256 };
enum { READ_EVENTS = 100000, READS = 20000, STREAMS = 50 };

static char names[ENTITIES][16];
static uint8_t payload[PAYLOAD_BYTES];
/* In the order in which they are appended, again and again. */
static batpak_new_event events[CYCLE];
static batpak_receipt receipts[BATCH];
static batpak_error error = BATPAK_ERROR_INIT;

static void die(const char *why) {
    fprintf(stderr, "small: %s\n", why);
    exit(1);
}

static void must(batpak_status status) {
    if (status == BATPAK_OK) return;
    fprintf(stderr, "%s: ", batpak_status_name(status));
    die(error.message);
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* Whether one of the parts of a variable, which have | between them, is in the text. */
static bool listed(const char *variable, const char *text, bool whole) {
    const char *list = getenv(variable);
    if (list == NULL || *list == '\0') return true;
    while (*list != '\0') {
        size_t length = strcspn(list, "|");
        for (const char *at = text; length > 0 && strlen(at) >= length; at++) {
            bool found = strncmp(at, list, length) == 0;
            if (found && (!whole || strlen(text) == length)) return true;
            if (whole) break;
        }
        list += length + (list[length] == '|');
    }
    return false;
}

static bool selected(const char *measure) {
    return listed("BENCH_MEASURES", measure, false) && listed("BENCH_SUBJECTS", "C", true);
}

static void show(const char *measure, long count, double seconds) {
    printf("C\t%s\tevents per second\t%f\n", measure, (double)count / seconds);
    /* Where the disk has no part in it, what counts is what a call or an event takes. */
    if (strncmp(measure, "durable", 7) != 0 && strncmp(measure, "written", 7) != 0) {
        printf("C\t%s, each\tns\t%f\n", measure, 1e9 * seconds / (double)count);
    }
}

static batpak_store *open_store(const char *directory, const char *name) {
    char path[4096];
    batpak_store *store;
    snprintf(path, sizeof path, "%s/C, %s", directory, name);
    must(batpak_store_open(path, BATPAK_NUL_TERMINATED, NULL, &store, &error));
    return store;
}

/* Appends `count` events, `batch` at once; gives the seconds it took. */
static double append(batpak_store *store, int durability, size_t batch, long count) {
    double started = now();
    for (long at = 0; at < count; at += (long)batch) {
        must(batpak_store_append(store, &events[at % CYCLE], batch, durability, receipts, &error));
    }
    must(batpak_store_flush(store, &error));
    return now() - started;
}

/* What was seen of payloads. */
static long seen, sum;

static void look(const batpak_event *found, size_t count) {
    for (size_t at = 0; at < count; at++) {
        seen++;
        /* A byte of each cache line. */
        for (size_t byte = 0; byte < found[at].payload.length; byte += 64) {
            sum += found[at].payload.data[byte];
        }
    }
}

static void begin_look(void) { seen = sum = 0; }

static void end_look(long expected) {
    if (seen != expected || sum != expected * (0 + 64 + 128 + 192)) die("other events were read");
}

static void read_query(batpak_store *store, const batpak_query *query) {
    batpak_scan *scan;
    const batpak_event *found;
    batpak_view *view;
    size_t count;
    must(batpak_scan_open(store, query, &scan, &error));
    for (;;) {
        must(batpak_scan_next(scan, 1024, 1 << 20, &view, &found, &count, &error));
        if (count == 0) break;
        look(found, count);
        must(batpak_view_release(view, &error));
    }
    must(batpak_scan_close(scan, &error));
}

static void measure_append(const char *directory, const char *name, int durability, size_t batch, long count) {
    if (!selected(name)) return;
    batpak_store *store = open_store(directory, name);
    append(store, durability, BATCH, ENTITIES);
    show(name, count, append(store, durability, batch, count));
    begin_look();
    read_query(store, NULL);
    end_look(ENTITIES + count);
    must(batpak_store_close(store, &error));
}

/* Below `bound`, in an order that no cache foresees; always the same. */
static size_t scattered(size_t bound) {
    static uint64_t state = 1;
    state = state * 0x5851F42D4C957F2D + 0x14057B7EF767814F;
    return (size_t)(((state >> 32) * bound) >> 32);
}

static void measure_reads(const char *directory) {
    const char *by_id = "read by id", *whole = "scan", *by_entity = "one entity's 100 events";
    if (!selected(by_id) && !selected(whole) && !selected(by_entity)) return;
    batpak_store *store = open_store(directory, "reads");
    append(store, BATPAK_DURABILITY_WRITTEN, BATCH, READ_EVENTS);
    must(batpak_store_close(store, &error));
    store = open_store(directory, "reads");

    batpak_id *ids = calloc(READ_EVENTS, sizeof *ids);
    if (ids == NULL) die("no memory");
    const batpak_event *found;
    batpak_view *view;
    size_t count;
    batpak_scan *all;
    must(batpak_scan_open(store, NULL, &all, &error));
    for (size_t have = 0; have < READ_EVENTS; have += count) {
        must(batpak_scan_next(all, READ_EVENTS - have, 1 << 20, &view, &found, &count, &error));
        if (count == 0) die("an event is missing");
        for (size_t at = 0; at < count; at++) ids[have + at] = found[at].id;
        must(batpak_view_release(view, &error));
    }
    must(batpak_scan_close(all, &error));
    if (selected(by_id)) {
        begin_look();
        double started = now();
        for (long at = 0; at < READS; at++) {
            must(batpak_store_get(store, &ids[scattered(READ_EVENTS)], &view, &found, &count, &error));
            look(found, count);
            must(batpak_view_release(view, &error));
        }
        show(by_id, READS, now() - started);
        end_look(READS);
    }
    if (selected(whole)) {
        begin_look();
        double started = now();
        read_query(store, NULL);
        show(whole, READ_EVENTS, now() - started);
        end_look(READ_EVENTS);
    }
    if (selected(by_entity)) {
        begin_look();
        batpak_query query = BATPAK_QUERY_INIT;
        query.parts = BATPAK_QUERY_ENTITY;
        double started = now();
        for (int at = 0; at < STREAMS; at++) {
            query.entity = (batpak_text){names[scattered(ENTITIES)], BATPAK_NUL_TERMINATED};
            read_query(store, &query);
        }
        long expected = (long)STREAMS * (READ_EVENTS / ENTITIES);
        show(by_entity, expected, now() - started);
        end_look(expected);
    }
    free(ids);
    must(batpak_store_close(store, &error));
}

int main(int argument_count, char **arguments) {
    if (argument_count != 2) return 2;
    for (int at = 0; at < PAYLOAD_BYTES; at++) payload[at] = (uint8_t)at;
    for (int at = 0; at < ENTITIES; at++) {
        snprintf(names[at], sizeof names[at], "entity:%02d:%d", at / 10 % 100, at % 10);
    }
    for (int at = 0; at < CYCLE; at++) {
        events[at] = (batpak_new_event)BATPAK_NEW_EVENT_INIT;
        events[at].entity = (batpak_text){names[at % ENTITIES], BATPAK_NUL_TERMINATED};
        events[at].scope = (batpak_text){"bench", BATPAK_NUL_TERMINATED};
        events[at].kind = 0x1000 + (at % ENTITIES + at / ENTITIES) % KINDS;
        events[at].payload = (batpak_bytes){payload, PAYLOAD_BYTES};
    }
    const char *directory = arguments[1];
    measure_append(directory, "durable append, 1 thread", BATPAK_DURABILITY_DURABLE, 1, 300);
    measure_append(directory, "durable batches of 1,000", BATPAK_DURABILITY_DURABLE, BATCH, 30000);
    measure_append(directory, "written append, 1 thread", BATPAK_DURABILITY_WRITTEN, 1, 30000);
    measure_append(directory, "written batches of 1,000", BATPAK_DURABILITY_WRITTEN, BATCH, 100000);
    measure_append(directory, "buffered append, 1 thread", BATPAK_DURABILITY_BUFFERED, 1, 60000);
    measure_append(directory, "buffered batches of 1,000", BATPAK_DURABILITY_BUFFERED, BATCH, 100000);
    measure_reads(directory);
    return 0;
}
