/* Appends events from a file to a store, in durable batches, and verifies it.
 *
 *   append INPUT STORE
 *
 * INPUT is what prepare.py writes, which describes it.
 */
#include "batpak.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { BATCH = 1000, REPORT = 100000, ARRIVED = 0x1002 };

typedef struct record {
    int64_t time_us;
    uint32_t kind;
    uint8_t entity_length, scope_length, flight_length, payload_length;
} record;

static batpak_error error = BATPAK_ERROR_INIT;

static void fail(const char *message) {
    fprintf(stderr, "append: %s\n", message);
    exit(1);
}

static void check(batpak_status status) {
    if (status != BATPAK_OK) fail(error.message);
}

static double seconds(void) {
    struct timespec now;
    timespec_get(&now, TIME_UTC);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void print_hash(const batpak_hash *hash) {
    printf(" ");
    for (size_t byte = 0; byte < sizeof hash->bytes; byte++) printf("%02x", hash->bytes[byte]);
}

/* The whole file, with its size. */
static uint8_t *read_file(const char *path, size_t *size) {
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END) != 0) fail("cannot open the input");
    const long length = ftell(file);
    uint8_t *bytes = length < 8 ? NULL : malloc((size_t)length);
    rewind(file);
    if (!bytes || fread(bytes, 1, (size_t)length, file) != (size_t)length)
        fail("cannot read the input");
    fclose(file);
    *size = (size_t)length;
    return bytes;
}

/* Ids are made from what they stand for, so a program that was interrupted can append all of it
 * again: what is in the store already stays as it is. A flight has the id of its first event. */
static batpak_id id_of(const char *flight, size_t length, const char *event) {
    const batpak_bytes components[2] = {{(const uint8_t *)flight, length},
                                        {(const uint8_t *)event, strlen(event)}};
    batpak_id id;
    check(batpak_id_for_operation("flights", BATPAK_NUL_TERMINATED, components, *event ? 2 : 1,
                                  &id, &error));
    return id;
}

/* The event of the record at `at`, whose texts and bytes stay there. Returns what follows it. */
static const uint8_t *read_event(const uint8_t *at, const uint8_t *end, batpak_new_event *event) {
    const batpak_new_event empty = BATPAK_NEW_EVENT_INIT;
    record head;
    if ((size_t)(end - at) < sizeof head) fail("the input is cut short");
    memcpy(&head, at, sizeof head);
    const char *entity = (const char *)at + sizeof head;
    const char *scope = entity + head.entity_length;
    const char *flight = scope + head.scope_length;
    const uint8_t *payload = (const uint8_t *)flight + head.flight_length;
    if (end - payload < head.payload_length) fail("the input is cut short");

    *event = empty;
    event->entity = (batpak_text){entity, head.entity_length};
    event->scope = (batpak_text){scope, head.scope_length};
    event->kind = head.kind;
    event->payload = (batpak_bytes){payload, head.payload_length};
    event->timestamp_us = head.time_us;
    event->has_timestamp = 1;
    event->correlation = id_of(flight, head.flight_length, "");
    event->id = event->correlation;
    if (head.kind == ARRIVED) {
        event->id = id_of(flight, head.flight_length, "arrived");
        event->causation = BATPAK_CAUSATION_EVENT;
        event->causation_id = event->correlation;
    }
    return payload + head.payload_length;
}

int main(int argument_count, char **arguments) {
    if (argument_count != 3) fail("usage: append INPUT STORE");
    size_t size;
    uint8_t *input = read_file(arguments[1], &size);
    uint64_t total;
    memcpy(&total, input, sizeof total);

    batpak_store *store;
    check(batpak_store_open(arguments[2], BATPAK_NUL_TERMINATED, NULL, &store, &error));

    static batpak_new_event events[BATCH];
    static batpak_receipt receipts[BATCH];
    const uint8_t *at = input + sizeof total;
    size_t count = 0;
    const double start = seconds();
    for (uint64_t done = 0; done < total;) {
        count = total - done < BATCH ? (size_t)(total - done) : BATCH;
        for (size_t place = 0; place < count; place++)
            at = read_event(at, input + size, &events[place]);
        check(batpak_store_append(store, events, count, BATPAK_DURABILITY_DURABLE, receipts,
                                  &error));
        done += count;
        if (done % REPORT == 0 || done == total) {
            printf("C       appended %7llu events, %.0f/s\n", (unsigned long long)done,
                   (double)done / (seconds() - start));
            fflush(stdout);
        }
    }

    /* The last batch once more, as if its receipts had been lost. */
    check(batpak_store_append(store, events, count, BATPAK_DURABILITY_DURABLE, receipts, &error));
    for (size_t place = 0; place < count; place++)
        if (!receipts[place].duplicate) fail("a repeated event was appended again");
    printf("C       appended the last %zu again: all were there already\n", count);

    batpak_verify_report report = BATPAK_VERIFY_REPORT_INIT;
    check(batpak_store_verify(store, &report, NULL, 0, &error));
    if (!report.intact) fail("the store is damaged");
    printf("verified C %llu", (unsigned long long)report.events);
    print_hash(&report.last_hash);
    print_hash(&report.root);
    printf("\n");
    check(batpak_store_close(store, &error));
    free(input);
    return 0;
}
