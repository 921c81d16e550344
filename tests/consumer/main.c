/* A program outside the tree that uses batpak from C: main DIRECTORY. */

#include <batpak.h>

#include <stdio.h>
#include <string.h>

static batpak_error error = BATPAK_ERROR_INIT;

/* Says what failed and ends the program with status 1. */
#define TRY(call) \
    if ((call) != BATPAK_OK) \
    return fprintf(stderr, "%s: %s\n", batpak_status_name(error.kind), error.message), 1

static batpak_new_event order(const char *payload) {
    batpak_new_event event = BATPAK_NEW_EVENT_INIT;
    event.kind = 0x1001;
    event.entity.data = "order:42";
    event.entity.length = BATPAK_NUL_TERMINATED;
    event.scope.data = "shop";
    event.scope.length = BATPAK_NUL_TERMINATED;
    event.payload.data = (const uint8_t *)payload;
    event.payload.length = strlen(payload);
    return event;
}

int main(int count, char **arguments) {
    batpak_store *store;
    batpak_new_event events[2];
    batpak_receipt receipts[2];
    batpak_scan *scan;
    batpak_view *view;
    const batpak_event *found;
    size_t found_count;
    batpak_verify_report report = BATPAK_VERIFY_REPORT_INIT;

    if (count != 2 || batpak_version_number() != BATPAK_VERSION_NUMBER) return 2;
    TRY(batpak_abi_check(BATPAK_ABI_VERSION, &error));
    TRY(batpak_store_open(arguments[1], BATPAK_NUL_TERMINATED, NULL, &store, &error));
    events[0] = order("2 apples");
    events[1] = order("1 pear");
    TRY(batpak_store_append(store, events, 2, BATPAK_DURABILITY_DEFAULT, receipts, &error));

    /* A refused call fills the error and leaves the store as it was. */
    events[0].expected = BATPAK_EXPECTED_NO_STREAM;
    if (batpak_store_append(store, events, 1, BATPAK_DURABILITY_DEFAULT, NULL, &error) !=
        BATPAK_CLOCK_CONFLICT)
        return 3;

    TRY(batpak_scan_open(store, NULL, &scan, &error));
    TRY(batpak_scan_next(scan, 100, 1 << 20, &view, &found, &found_count, &error));
    TRY(batpak_scan_close(scan, &error));
    TRY(batpak_store_verify(store, &report, NULL, 0, &error));
    TRY(batpak_store_close(store, &error));

    /* The view outlives the scan and the store. */
    if (found_count != 2 || !report.intact || report.events != 2) return 4;
    if (memcmp(found[1].payload.data, "1 pear", found[1].payload.length) != 0) return 5;
    if (memcmp(found[1].hash.bytes, receipts[1].hash.bytes, sizeof found[1].hash.bytes) != 0)
        return 6;
    TRY(batpak_view_release(view, &error));
    return batpak_debug_live_handles() == 0 ? 0 : 7;
}
