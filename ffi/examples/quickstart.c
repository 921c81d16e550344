/* Appends two events, reads them back, and verifies the log. Takes the directory to use. */
#include <batpak.h>
#include <stdio.h>
#include <string.h>

static batpak_text text(const char *words) { return (batpak_text){words, strlen(words)}; }
static batpak_bytes bytes(const char *words) {
    return (batpak_bytes){(const uint8_t *)words, strlen(words)};
}

/* Leaves main with a message when a call fails. */
#define CHECK(call)                                                                   \
    if ((call) != BATPAK_OK) {                                                        \
        fprintf(stderr, "%s: %s\n", batpak_status_name(error.kind), error.message);   \
        return 1;                                                                     \
    }

int main(int count, char **arguments) {
    batpak_error error = BATPAK_ERROR_INIT;
    batpak_store *store;
    CHECK(batpak_store_open(count > 1 ? arguments[1] : "orders", BATPAK_NUL_TERMINATED, NULL,
                            &store, &error));

    /* Durable when append returns. */
    batpak_receipt order, paid;
    batpak_new_event event = BATPAK_NEW_EVENT_INIT;
    event.entity = text("order:42");
    event.scope = text("shop");
    event.kind = 0x1001;
    event.payload = bytes("2 apples");
    CHECK(batpak_store_append(store, &event, 1, BATPAK_DURABILITY_DEFAULT, &order, &error));

    /* Only if nobody has written to the stream meanwhile. */
    event.kind = 0x1002;
    event.payload = bytes("3.20");
    event.expected = BATPAK_EXPECTED_EXACT;
    event.expected_clock = order.clock;
    event.causation = BATPAK_CAUSATION_EVENT;
    event.causation_id = order.id;
    CHECK(batpak_store_append(store, &event, 1, BATPAK_DURABILITY_DEFAULT, &paid, &error));

    batpak_query query = BATPAK_QUERY_INIT;
    query.parts = BATPAK_QUERY_ENTITY;
    query.entity = text("order:42");
    batpak_scan *scan;
    CHECK(batpak_scan_open(store, &query, &scan, &error));
    for (;;) {
        batpak_view *view;
        const batpak_event *events;
        size_t found;
        CHECK(batpak_scan_next(scan, 100, 1 << 20, &view, &events, &found, &error));
        if (found == 0) break;
        for (size_t at = 0; at < found; at++)
            printf("%llu 0x%04x %.*s\n", (unsigned long long)events[at].sequence, events[at].kind,
                   (int)events[at].payload.length, (const char *)events[at].payload.data);
        batpak_view_release(view, NULL);
    }
    batpak_scan_close(scan, NULL);

    batpak_verify_report report = BATPAK_VERIFY_REPORT_INIT;
    CHECK(batpak_store_verify(store, &report, NULL, 0, &error));
    printf("%llu events, %s\n", (unsigned long long)report.events,
           report.intact ? "intact" : "damaged");
    CHECK(batpak_store_close(store, &error));
    return !report.intact;
}
