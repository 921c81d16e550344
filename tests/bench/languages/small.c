/* Appends per second from C:
 *
 *     appends DIR DURABLE WRITTEN BUFFERED BATCHES
 *
 * the same work as src/main.rs does, in stores below DIR, which exists. */
#include "batpak.h"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { ENTITIES = 1000, PAYLOAD_BYTES = 256 };

static char names[ENTITIES][16];
static uint8_t payload[PAYLOAD_BYTES];
static batpak_new_event events[ENTITIES];
static batpak_error error = BATPAK_ERROR_INIT;

static void must(batpak_status status) {
    if (status == BATPAK_OK) return;
    fprintf(stderr, "%s: %s\n", batpak_status_name(status), error.message);
    exit(1);
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* Appends `count` times `size` events to a fresh store. */
static void measure(const char *directory, const char *name, int durability, long count, size_t size) {
    char path[4096];
    batpak_store *store;
    batpak_receipt receipts[ENTITIES];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    must(batpak_store_open(path, BATPAK_NUL_TERMINATED, NULL, &store, &error));
    must(batpak_store_append(store, events, ENTITIES, BATPAK_DURABILITY_DURABLE, NULL, &error));

    double started = now();
    for (long at = 0; at < count; at++) {
        const batpak_new_event *first = size == 1 ? &events[at % ENTITIES] : events;
        must(batpak_store_append(store, first, size, durability, receipts, &error));
    }
    must(batpak_store_flush(store, &error));
    printf("C\t%s\tper second\t%f\n", name, (double)(count * (long)size) / (now() - started));
    must(batpak_store_close(store, &error));
}

int main(int argument_count, char **arguments) {
    if (argument_count != 6) return 2;
    for (int at = 0; at < PAYLOAD_BYTES; at++) payload[at] = (uint8_t)at;
    for (int at = 0; at < ENTITIES; at++) {
        snprintf(names[at], sizeof names[at], "entity:%03d", at);
        events[at] = (batpak_new_event)BATPAK_NEW_EVENT_INIT;
        events[at].entity = (batpak_text){names[at], BATPAK_NUL_TERMINATED};
        events[at].scope = (batpak_text){"bench", BATPAK_NUL_TERMINATED};
        events[at].kind = 0x1000;
        events[at].payload = (batpak_bytes){payload, PAYLOAD_BYTES};
    }
    const char *directory = arguments[1];
    measure(directory, "durable append", BATPAK_DURABILITY_DURABLE, atol(arguments[2]), 1);
    measure(directory, "written append", BATPAK_DURABILITY_WRITTEN, atol(arguments[3]), 1);
    measure(directory, "buffered append", BATPAK_DURABILITY_BUFFERED, atol(arguments[4]), 1);
    measure(directory, "durable batches of 1,000", BATPAK_DURABILITY_DURABLE, atol(arguments[5]),
            ENTITIES);
    return 0;
}
