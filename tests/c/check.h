/* What the C programs that test batpak.h have in common: counting, and the usual calls. */
#ifndef BATPAK_TESTS_CHECK_H
#define BATPAK_TESTS_CHECK_H

#include "batpak.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int passed, failed;
static const char *directory;
/* Of the main thread; other threads pass null. */
static batpak_error error = BATPAK_ERROR_INIT;

static void check(const char *file, int line, const char *what, int64_t expected, int64_t found) {
    if (expected == found) {
        passed++;
        return;
    }
    failed++;
    printf("FAIL %s:%d: %s: expected %lld, found %lld (%s)\n", file, line, what,
           (long long)expected, (long long)found, error.message);
}
#define EQUAL(expected, found) \
    check(__FILE__, __LINE__, #found, (int64_t)(expected), (int64_t)(found))
#define SAYS(part) EQUAL(1, strstr(error.message, part) != NULL)

static batpak_store *open_at(const char *name, int32_t mode) {
    char path[4096];
    batpak_store *store = NULL;
    batpak_options options = BATPAK_OPTIONS_INIT;
    options.mode = mode;
    snprintf(path, sizeof path, "%s/%s", directory, name);
    EQUAL(BATPAK_OK, batpak_store_open(path, BATPAK_NUL_TERMINATED, &options, &store, &error));
    return store;
}

static void close_store(batpak_store *store) {
    EQUAL(BATPAK_OK, batpak_store_close(store, &error));
}

static batpak_text text(const char *text) { return (batpak_text){text, BATPAK_NUL_TERMINATED}; }

static batpak_new_event event(void) {
    batpak_new_event event = BATPAK_NEW_EVENT_INIT;
    event.entity = text("order:42");
    event.scope = text("shop");
    event.kind = 0x1001;
    event.payload = (batpak_bytes){(const uint8_t *)"2 apples", 8};
    return event;
}

static batpak_status append_to(const batpak_store *store, batpak_new_event event) {
    return batpak_store_append(store, &event, 1, BATPAK_DURABILITY_BUFFERED, NULL, &error);
}

static uint64_t visible_events(const batpak_store *store) {
    batpak_stats stats = BATPAK_STATS_INIT;
    EQUAL(BATPAK_OK, batpak_store_stats(store, &stats, &error));
    return stats.events;
}

#endif
