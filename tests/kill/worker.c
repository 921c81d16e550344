/* The worker of the kill test in C. README.md says what it does and what it writes. */
#define _POSIX_C_SOURCE 200809L
#include "batpak.h"
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { MOST_ITEMS = 40, MOST_PAYLOAD = 60100, MOST_NAME = 16 };

typedef enum { APPEND, FLUSH, SYNC, REOPEN, NOTHING } step;

/* An append: the events point at the names and payloads beside them. */
typedef struct {
    int32_t durability;
    int with_ids;
    size_t count;
    batpak_new_event events[MOST_ITEMS];
    char names[MOST_ITEMS][MOST_NAME];
    char payloads[MOST_ITEMS][MOST_PAYLOAD];
} append;

static const char *directory;
static batpak_options options = BATPAK_OPTIONS_INIT;
static int log_file;
static batpak_store *store;
static append planned;
static const struct timespec rest = {0, 1000000};

static void fail(const char *what) {
    fprintf(stderr, "%s\n", what);
    exit(1);
}

static void check(batpak_status status, const batpak_error *error) {
    if (status == BATPAK_OK) return;
    fprintf(stderr, "%s %s\n", batpak_status_name(status), error->message);
    exit(1);
}

static uint32_t mix(uint32_t x) {
    x ^= x >> 16;
    x *= UINT32_C(0x85ebca6b);
    x ^= x >> 13;
    x *= UINT32_C(0xc2b2ae35);
    return x ^ x >> 16;
}

/* Numbers that are the same in every language. */
static uint32_t draws_of(uint32_t seed, uint32_t life, uint32_t operation) {
    return mix(mix(mix(seed) + life) + operation);
}

static uint32_t below(uint32_t *draws, uint32_t bound) {
    *draws += UINT32_C(0x9e3779b9);
    return mix(*draws) % bound;
}

static void put_number(uint8_t *at, uint32_t number) {
    for (int byte = 0; byte < 4; byte++) at[byte] = (uint8_t)(number >> (24 - 8 * byte));
}

static void plan_append(uint32_t draws, uint32_t seed, uint32_t life, uint32_t operation) {
    static const int32_t durabilities[4] = {BATPAK_DURABILITY_DURABLE, BATPAK_DURABILITY_WRITTEN,
                                            BATPAK_DURABILITY_BUFFERED, BATPAK_DURABILITY_BUFFERED};
    static const batpak_new_event blank = BATPAK_NEW_EVENT_INIT;
    planned.count = 1;
    if (below(&draws, 5) < 2) planned.count = 2 + below(&draws, 39);
    planned.durability = durabilities[below(&draws, 4)];
    planned.with_ids = below(&draws, 2) == 1;
    int large = below(&draws, 12) == 0;
    for (uint32_t item = 0; item < planned.count; item++) {
        batpak_new_event *event = &planned.events[item];
        char *payload = planned.payloads[item];
        *event = blank;
        snprintf(planned.names[item], MOST_NAME, "order:%" PRIu32, below(&draws, 6));
        event->entity = (batpak_text){planned.names[item], BATPAK_NUL_TERMINATED};
        event->scope = (batpak_text){"kill", BATPAK_NUL_TERMINATED};
        event->lane = below(&draws, 3) == 0;
        event->kind = 0x1001 + below(&draws, 3);
        uint32_t longest = large ? 60000 : below(&draws, 8) == 0 ? 3000 : 200;
        uint32_t filler = below(&draws, longest);
        int length = snprintf(payload, MOST_PAYLOAD, "%" PRIu32 " %" PRIu32 " %" PRIu32 " %zu ",
                              life, operation, item, planned.count);
        memset(payload + length, 'x', filler);
        event->payload = (batpak_bytes){(const uint8_t *)payload, (size_t)length + filler};
        if (planned.with_ids) {
            put_number(event->id.bytes, seed);
            put_number(event->id.bytes + 4, life);
            put_number(event->id.bytes + 8, operation);
            put_number(event->id.bytes + 12, item);
        }
    }
}

/* What the operation is; an append is in `planned`. */
static step plan(uint32_t seed, uint32_t life, uint32_t operation) {
    uint32_t draws = draws_of(seed, life, operation);
    uint32_t roll = below(&draws, 100);
    if (roll < 4) return REOPEN;
    if (roll < 8) return SYNC;
    if (roll < 14) return FLUSH;
    if (roll >= 20) {
        plan_append(draws, seed, life, operation);
        return APPEND;
    }
    uint32_t earlier = below(&draws, operation);
    draws = draws_of(seed, life, earlier);
    if (earlier == 0 || below(&draws, 100) < 20) return NOTHING;
    plan_append(draws, seed, life, earlier);
    return planned.with_ids ? APPEND : NOTHING;
}

static void put(int file, const char *bytes, size_t length) {
    if (write(file, bytes, length) != (ssize_t)length) fail("a write was not whole");
}

/* Adds a line to the log. One call of the operating system: a kill leaves it whole or last. */
static void note(uint32_t operation, const char *text) {
    char line[64];
    int length = snprintf(line, sizeof line, "%" PRIu32 " %s\n", operation, text);
    put(log_file, line, (size_t)length);
}

static void open_store(uint32_t operation) {
    batpak_error error = BATPAK_ERROR_INIT;
    batpak_open_report report = BATPAK_OPEN_REPORT_INIT;
    char text[32];
    check(batpak_store_open(directory, BATPAK_NUL_TERMINATED, &options, &store, &error), &error);
    check(batpak_store_report(store, &report, &error), &error);
    snprintf(text, sizeof text, "open %" PRIu64, report.events);
    note(operation, text);
}

static char *put_hex(char *at, const uint8_t *bytes, size_t length) {
    for (size_t byte = 0; byte < length; byte++) at += sprintf(at, "%02x", bytes[byte]);
    return at;
}

static void append_planned(uint32_t operation) {
    static batpak_receipt receipts[MOST_ITEMS];
    static char line[MOST_ITEMS * 128];
    batpak_error error = BATPAK_ERROR_INIT;
    check(batpak_store_append(store, planned.events, planned.count, planned.durability, receipts,
                              &error),
          &error);
    char *at = line + sprintf(line, "%" PRIu32 " ack", operation);
    for (size_t item = 0; item < planned.count; item++) {
        at += sprintf(at, " %" PRIu64 " ", receipts[item].sequence);
        at = put_hex(at, receipts[item].id.bytes, 16);
        *at++ = ' ';
        at = put_hex(at, receipts[item].hash.bytes, 32);
        at += sprintf(at, " %" PRId32, receipts[item].duplicate);
    }
    *at++ = '\n';
    put(log_file, line, (size_t)(at - line));
    put(1, "a", 1);
}

int main(int argument_count, char **arguments) {
    batpak_error error = BATPAK_ERROR_INIT;
    uint32_t numbers[6];
    if (argument_count != 9) fail("see README.md");
    directory = arguments[1];
    log_file = open(arguments[2], O_CREAT | O_APPEND | O_WRONLY, 0600);
    if (log_file < 0) fail("cannot open the log");
    for (int at = 0; at < 6; at++) numbers[at] = (uint32_t)strtoul(arguments[3 + at], NULL, 10);
    uint32_t seed = numbers[0], life = numbers[1], retry_life = numbers[4], retry = numbers[5];
    options.segment_bytes = numbers[2];
    options.buffer_ms = numbers[3];

    put(1, "o", 1);
    open_store(0);
    if (retry > 0 && plan(seed, retry_life, retry) == APPEND) append_planned(0);
    for (uint32_t operation = 1;; operation++) {
        switch (plan(seed, life, operation)) {
        case APPEND:
            append_planned(operation);
            break;
        case FLUSH:
            check(batpak_store_flush(store, &error), &error);
            note(operation, "flushed");
            nanosleep(&rest, NULL);
            break;
        case SYNC:
            check(batpak_store_sync(store, &error), &error);
            note(operation, "synced");
            break;
        case REOPEN:
            check(batpak_store_close(store, &error), &error);
            note(operation, "closed");
            open_store(operation);
            break;
        case NOTHING:
            note(operation, "nothing");
            break;
        }
    }
}
