/* Appends two events, reads them back, and verifies the store. Takes the directory to use. */
#include "batpak.h"
#include <stdio.h>

static int failed(const batpak_error *error) {
    fprintf(stderr, "%s: %s\n", batpak_status_name(error->kind), error->message);
    return 1;
}

int main(int argument_count, char **arguments) {
    const char *path = argument_count > 1 ? arguments[1] : "example-store";
    batpak_error error = BATPAK_ERROR_INIT;
    batpak_store *store;
    if (batpak_store_open(path, BATPAK_NUL_TERMINATED, NULL, &store, &error)) return failed(&error);

    batpak_new_event events[2] = {BATPAK_NEW_EVENT_INIT, BATPAK_NEW_EVENT_INIT};
    const char *items[2] = {"2 apples", "1 pear"};
    for (int at = 0; at < 2; at++) {
        events[at].entity = (batpak_text){"order:42", BATPAK_NUL_TERMINATED};
        events[at].scope = (batpak_text){"shop", BATPAK_NUL_TERMINATED};
        events[at].kind = 0x1001;
        events[at].payload = (batpak_bytes){(const uint8_t *)items[at], at == 0 ? 8 : 6};
    }
    batpak_receipt receipts[2];
    if (batpak_store_append(store, events, 2, BATPAK_DURABILITY_DEFAULT, receipts, &error))
        return failed(&error);
    printf("appended up to sequence %llu\n", (unsigned long long)receipts[1].sequence);

    batpak_query query = BATPAK_QUERY_INIT;
    query.parts = BATPAK_QUERY_ENTITY;
    query.entity = (batpak_text){"order:42", BATPAK_NUL_TERMINATED};
    batpak_scan *scan;
    if (batpak_scan_open(store, &query, &scan, &error)) return failed(&error);
    for (;;) {
        batpak_view *view;
        const batpak_event *found;
        size_t count;
        if (batpak_scan_next(scan, 100, 1 << 20, &view, &found, &count, &error))
            return failed(&error);
        if (count == 0) break;
        for (size_t at = 0; at < count; at++)
            printf("%llu %.*s\n", (unsigned long long)found[at].sequence,
                   (int)found[at].payload.length, (const char *)found[at].payload.data);
        batpak_view_release(view, NULL);
    }
    batpak_scan_close(scan, NULL);

    batpak_verify_report report = BATPAK_VERIFY_REPORT_INIT;
    if (batpak_store_verify(store, &report, NULL, 0, &error)) return failed(&error);
    printf("%s, %llu events\n", report.intact ? "intact" : "damaged",
           (unsigned long long)report.events);
    if (batpak_store_close(store, &error)) return failed(&error);
    return !report.intact;
}
