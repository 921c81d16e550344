/* The follower in C. README.md says what a follower checks and says. */
#define _POSIX_C_SOURCE 200809L
#include "batpak.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ENTITIES = 40, PAGE_EVENTS = 1000, PAGE_BYTES = 1 << 20 };

/* What was seen so far: how many events, the place of the last one, and the clocks to come. */
static uint64_t seen;
static uint32_t batch = UINT32_MAX, place, size = 1;
static uint32_t clocks[ENTITIES];
static FILE *hashes;

static void fail(const char *what) {
    fprintf(stderr, "%s, after %" PRIu64 " events\n", what, seen);
    exit(1);
}

static void check(batpak_status status, const batpak_error *error) {
    if (status == BATPAK_OK) return;
    fprintf(stderr, "%s %s\n", batpak_status_name(status), error->message);
    exit(1);
}

static void say(const char *line) {
    puts(line);
    fflush(stdout);
}

static batpak_store *open_when_there(const char *directory) {
    static const struct timespec pause = {0, 5000000};
    batpak_error error = BATPAK_ERROR_INIT;
    batpak_options options = BATPAK_OPTIONS_INIT;
    batpak_store *store = NULL;
    options.mode = BATPAK_OPEN_READ_ONLY;
    for (int absent = 0;; absent = 1) {
        batpak_status status =
            batpak_store_open(directory, BATPAK_NUL_TERMINATED, &options, &store, &error);
        if (status == BATPAK_OK) return store;
        if (status != BATPAK_NOT_FOUND) check(status, &error);
        if (!absent) say("absent");
        nanosleep(&pause, NULL);
    }
}

static uint32_t number_at(const uint8_t *bytes) {
    return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

static void see(const batpak_event *event) {
    if (event->payload.length < 12) fail("a payload is too short");
    int goes_on = place + 1 < size;
    uint32_t expected_batch = goes_on ? batch : batch + 1;
    uint32_t expected_place = goes_on ? place + 1 : 0;
    uint32_t expected_size = goes_on ? size : number_at(event->payload.data + 8);
    batch = number_at(event->payload.data);
    place = number_at(event->payload.data + 4);
    size = number_at(event->payload.data + 8);
    if (event->sequence != seen) fail("a sequence is missing or comes twice");
    if (batch != expected_batch || place != expected_place || size != expected_size ||
        place >= size)
        fail("an event is out of its batch");
    char entity[16] = {0};
    unsigned account = 0;
    memcpy(entity, event->entity.data, event->entity.length < 15 ? event->entity.length : 15);
    if (sscanf(entity, "account:%u", &account) != 1 || account >= ENTITIES) fail("a strange entity");
    if (event->clock != clocks[account]++) fail("a clock is missing or comes twice");
    if (fwrite(event->hash.bytes, 1, 32, hashes) != 32) fail("cannot write the hashes");
    seen++;
}

/* Sees all that is visible. */
static void see_all(const batpak_store *store) {
    batpak_error error = BATPAK_ERROR_INIT;
    batpak_query query = BATPAK_QUERY_INIT;
    batpak_scan *scan;
    query.parts = BATPAK_QUERY_FROM;
    query.from = seen;
    check(batpak_scan_open(store, &query, &scan, &error), &error);
    for (;;) {
        batpak_view *view;
        const batpak_event *events;
        size_t count;
        check(batpak_scan_next(scan, PAGE_EVENTS, PAGE_BYTES, &view, &events, &count, &error),
              &error);
        if (count == 0) break;
        for (size_t at = 0; at < count; at++) see(&events[at]);
        batpak_view_release(view, NULL);
    }
    batpak_scan_close(scan, NULL);
}

int main(int argument_count, char **arguments) {
    batpak_error error = BATPAK_ERROR_INIT;
    if (argument_count != 4) fail("see README.md");
    uint64_t total = strtoull(arguments[3], NULL, 10), visible;
    batpak_store *store = open_when_there(arguments[1]);
    say("open");
    hashes = fopen(arguments[2], "wb");
    if (hashes == NULL) fail("cannot write the hashes");
    while (seen < total) {
        check(batpak_store_wait(store, seen + 1, 1000, &visible, &error), &error);
        if (visible == seen) continue;
        see_all(store);
        if (seen < visible) fail("not all that is visible can be read");
        if (place + 1 != size) fail("what is visible ends inside a batch");
        char line[32];
        snprintf(line, sizeof line, "%" PRIu64, seen);
        say(line);
    }
    if (fclose(hashes) != 0) fail("cannot write the hashes");

    while (getchar() != EOF) {}
    batpak_head head;
    check(batpak_store_refresh(store, &visible, &error), &error);
    check(batpak_store_head(store, &head, &error), &error);
    printf("end %" PRIu64 " ", head.events);
    for (int byte = 0; byte < 32; byte++) printf("%02x", head.root.bytes[byte]);
    putchar('\n');
    check(batpak_store_close(store, &error), &error);
    return 0;
}
