/* Importing and exporting from C: what goes in and comes out, every way to ask for it wrongly, and
 * other threads meanwhile. Takes an empty directory to work in. */
#define _XOPEN_SOURCE 700
#include "stores.h"
#include <unistd.h>

static batpak_status import_from(const batpak_store *store, const char *name,
                                 batpak_import_report *report) {
    return batpak_store_import(store, path_of(name), BATPAK_NUL_TERMINATED, NULL, NULL, report,
                               NULL, 0, &error);
}

static batpak_status export_to(const batpak_store *store, const char *name,
                               batpak_export_report *report) {
    return batpak_store_export(store, path_of(name), BATPAK_NUL_TERMINATED, NULL, NULL, report,
                               NULL, 0, &error);
}

static void there_and_back(void) {
    batpak_store *store = filled("origin", 3, "apples"), *old, *copy;
    batpak_export_report exported = BATPAK_EXPORT_REPORT_INIT;
    batpak_import_report imported = BATPAK_IMPORT_REPORT_INIT;
    batpak_open_report opened = BATPAK_OPEN_REPORT_INIT;
    batpak_export_options options = BATPAK_EXPORT_OPTIONS_INIT;
    batpak_query query = BATPAK_QUERY_INIT;
    batpak_stats stats = BATPAK_STATS_INIT;

    EQUAL(BATPAK_OK, export_to(store, "old", &exported));
    EQUAL(3, exported.exported);
    EQUAL(0, exported.hidden + exported.dropped + exported.drop_count);
    EQUAL(1, exported.segments);
    EQUAL(sizeof exported, exported.struct_size);
    old = open_at("old", BATPAK_OPEN_READ_ONLY);
    EQUAL(BATPAK_OK, batpak_store_report(old, &opened, &error));
    EQUAL(1, opened.format);
    EQUAL(0, opened.hidden);
    EQUAL(BATPAK_OK, batpak_store_report(store, &opened, &error));
    EQUAL(2, opened.format);
    EQUAL(BATPAK_OK, batpak_store_stats(old, &stats, &error));
    EQUAL(3, stats.events);
    EQUAL(stats.bytes, exported.bytes);

    copy = open_at("copy", BATPAK_OPEN_CREATE);
    EQUAL(BATPAK_OK, import_from(copy, "old", &imported));
    EQUAL(1, imported.format);
    EQUAL(3, imported.imported);
    EQUAL(1, imported.sequences_kept);
    EQUAL(0, imported.drop_count);
    EQUAL(0, memcmp(imported.source.bytes, stats.store_id.bytes, 16));
    EQUAL(BATPAK_OK, import_from(copy, "old", &imported));
    EQUAL(0, imported.imported);
    EQUAL(3, imported.already_there);

    /* A small segment, the plain form, a region that holds nothing. */
    options.segment_bytes = 1;
    options.plain = 1;
    EQUAL(BATPAK_OK, batpak_store_export(store, path_of("plain"), SIZE_MAX, NULL, &options,
                                         &exported, NULL, 0, &error));
    EQUAL(3, exported.segments);
    query.parts = BATPAK_QUERY_ENTITY;
    query.entity = text("nobody");
    EQUAL(BATPAK_OK, batpak_store_import(copy, path_of("plain"), SIZE_MAX, &query, NULL, &imported,
                                         NULL, 0, &error));
    EQUAL(3, imported.outside);
    EQUAL(0, imported.already_there);
    EQUAL(0, imported.sequences_kept);

    /* What cannot be done with these stores. */
    EQUAL(BATPAK_READ_ONLY, import_from(old, "origin", &imported));
    EQUAL(BATPAK_READ_ONLY, append_to(old, event()));
    EQUAL(BATPAK_INVALID_ARGUMENT, import_from(store, "origin", &imported));
    EQUAL(BATPAK_NOT_FOUND, import_from(store, "nowhere", &imported));
    EQUAL(BATPAK_INVALID_ARGUMENT, export_to(store, "old", &exported));
    SAYS("not empty");
    EQUAL(BATPAK_INVALID_ARGUMENT, export_to(store, "origin", &exported));
    EQUAL(3, imported.outside); /* Of the call before those that failed. */
    close_store(copy);
    close_store(old);
    EQUAL(BATPAK_BAD_HANDLE, import_from(copy, "old", &imported));
    EQUAL(BATPAK_BAD_HANDLE, export_to(old, "late", &exported));
    close_store(store);
}

static void drops(void) {
    batpak_store *store = filled("apples", MANY, "apples"), *taken = filled("pears", MANY, "pears");
    static batpak_dropped told[BATPAK_MOST_DROPS + 1];
    batpak_import_report report = BATPAK_IMPORT_REPORT_INIT;

    /* As many as fit, and how many there are to tell of. */
    memset(told, 7, sizeof told);
    EQUAL(BATPAK_OK, batpak_store_import(taken, path_of("apples"), SIZE_MAX, NULL, NULL, &report,
                                         told, 2, &error));
    EQUAL(0, report.imported + report.already_there);
    EQUAL(MANY, report.dropped);
    EQUAL(BATPAK_MOST_DROPS, report.drop_count);
    EQUAL(0, report.sequences_kept);
    for (int at = 0; at < 2; at++) {
        EQUAL(at, told[at].sequence);
        EQUAL(1, told[at].has_sequence);
        EQUAL(1, told[at].is_event);
        EQUAL(1, strstr(told[at].reason, "is taken by event") != NULL);
    }
    EQUAL(0x0707070707070707, told[2].segment);

    /* No more than those are told, however much room there is. */
    EQUAL(BATPAK_OK, batpak_store_import(taken, path_of("apples"), SIZE_MAX, NULL, NULL, &report,
                                         told, BATPAK_MOST_DROPS + 1, &error));
    EQUAL(BATPAK_MOST_DROPS, report.drop_count);
    EQUAL(BATPAK_MOST_DROPS - 1, told[BATPAK_MOST_DROPS - 1].sequence);
    EQUAL(0x0707070707070707, told[BATPAK_MOST_DROPS].segment);

    /* An older caller's report gets what it has room for. */
    report = (batpak_import_report)BATPAK_IMPORT_REPORT_INIT;
    report.struct_size = 32;
    report.already_there = 77;
    EQUAL(BATPAK_OK, import_from(taken, "apples", &report));
    EQUAL(2, report.format);
    EQUAL(32, report.struct_size);
    EQUAL(77, report.already_there);
    EQUAL(0, report.drop_count);
    close_store(taken);
    close_store(store);
}

static void wrong_arguments(void) {
    batpak_store *store = filled("right", 3, "apples"), *other = filled("other", 1, "pears");
    batpak_import_report imported = BATPAK_IMPORT_REPORT_INIT;
    batpak_export_report exported = BATPAK_EXPORT_REPORT_INIT;
    batpak_dropped room;
    const struct { const char *text; size_t length; } paths[] = {
        {NULL, 1}, {NULL, SIZE_MAX}, {"\xff", 1}, {"x\0y", 3}, {"x", SIZE_MAX - 1}, {"", 0}};

    for (size_t at = 0; at < sizeof paths / sizeof *paths; at++) {
        EQUAL(BATPAK_INVALID_ARGUMENT,
              batpak_store_import(store, paths[at].text, paths[at].length, NULL, NULL, &imported,
                                  NULL, 0, &error));
        EQUAL(BATPAK_INVALID_ARGUMENT,
              batpak_store_export(store, paths[at].text, paths[at].length, NULL, NULL, &exported,
                                  NULL, 0, &error));
    }

    /* Places for results. */
    EQUAL(BATPAK_INVALID_ARGUMENT, import_from(store, "other", NULL));
    SAYS("report is null");
    EQUAL(BATPAK_INVALID_ARGUMENT, export_to(store, "never", NULL));
    EQUAL(BATPAK_INVALID_ARGUMENT,
          batpak_store_import(store, path_of("other"), SIZE_MAX, NULL, NULL, &imported, NULL, 1,
                              &error));
    SAYS("drops");
    EQUAL(BATPAK_INVALID_ARGUMENT,
          batpak_store_import(store, path_of("other"), SIZE_MAX, NULL, NULL, &imported, &room,
                              SIZE_MAX / 8, &error));
    EQUAL(BATPAK_INVALID_ARGUMENT,
          batpak_store_export(store, path_of("never"), SIZE_MAX, NULL, NULL, &exported, NULL, 1,
                              &error));

    /* Sizes of structs. */
    const uint32_t sizes[] = {0, 1, 4, 12, 8192, UINT32_MAX};
    for (size_t at = 0; at < sizeof sizes / sizeof *sizes; at++) {
        batpak_import_options to_import = BATPAK_IMPORT_OPTIONS_INIT;
        batpak_export_options to_export = BATPAK_EXPORT_OPTIONS_INIT;
        batpak_import_report bad_import = BATPAK_IMPORT_REPORT_INIT;
        batpak_export_report bad_export = BATPAK_EXPORT_REPORT_INIT;
        to_import.struct_size = to_export.struct_size = sizes[at];
        bad_import.struct_size = bad_export.struct_size = sizes[at];
        EQUAL(BATPAK_INVALID_ARGUMENT,
              batpak_store_import(store, path_of("never"), SIZE_MAX, NULL, &to_import, &imported,
                                  NULL, 0, &error));
        SAYS("options");
        EQUAL(BATPAK_INVALID_ARGUMENT,
              batpak_store_export(store, path_of("never"), SIZE_MAX, NULL, &to_export, &exported,
                                  NULL, 0, &error));
        SAYS("options");
        EQUAL(BATPAK_INVALID_ARGUMENT,
              batpak_store_import(store, path_of("never"), SIZE_MAX, NULL, NULL, &bad_import,
                                  NULL, 0, &error));
        SAYS("report");
        EQUAL(BATPAK_INVALID_ARGUMENT,
              batpak_store_export(store, path_of("never"), SIZE_MAX, NULL, NULL, &bad_export,
                                  NULL, 0, &error));
        SAYS("report");
    }
    struct { batpak_import_options known; uint64_t later; } large = {BATPAK_IMPORT_OPTIONS_INIT, 1};
    large.known.struct_size = sizeof large;
    EQUAL(BATPAK_UNSUPPORTED,
          batpak_store_import(store, path_of("never"), SIZE_MAX, NULL, &large.known, &imported,
                              NULL, 0, &error));
    large.later = 0;
    EQUAL(BATPAK_NOT_FOUND,
          batpak_store_import(store, path_of("never"), SIZE_MAX, NULL, &large.known, &imported,
                              NULL, 0, &error));

    /* Numbers that are neither yes nor no. */
    const int32_t wrong[] = {-1, 2, INT32_MAX, INT32_MIN};
    for (size_t at = 0; at < sizeof wrong / sizeof *wrong; at++) {
        for (int field = 0; field < 3; field++) {
            batpak_import_options options = BATPAK_IMPORT_OPTIONS_INIT;
            int32_t *fields[] = {&options.salvage, &options.unvouched, &options.decrypt};
            const char *const names[] = {"salvage", "unvouched", "decrypt"};
            *fields[field] = wrong[at];
            EQUAL(BATPAK_INVALID_ARGUMENT,
                  batpak_store_import(store, path_of("never"), SIZE_MAX, NULL, &options, &imported,
                                      NULL, 0, &error));
            SAYS(names[field]);
        }
        batpak_export_options options = BATPAK_EXPORT_OPTIONS_INIT;
        options.plain = wrong[at];
        EQUAL(BATPAK_INVALID_ARGUMENT,
              batpak_store_export(store, path_of("never"), SIZE_MAX, NULL, &options, &exported,
                                  NULL, 0, &error));
        SAYS("plain");
    }

    /* A query that says more than which events, and others that no call takes. */
    for (int at = 0; at < 6; at++) {
        batpak_query query = BATPAK_QUERY_INIT;
        batpak_status expected = BATPAK_INVALID_ARGUMENT;
        if (at == 0) query.direction = BATPAK_DIRECTION_BACKWARD;
        else if (at == 1) query.parts = BATPAK_QUERY_FROM;
        else if (at == 2) query.parts = BATPAK_QUERY_LIMIT, query.limit = 9;
        else if (at == 3) query.parts = BATPAK_QUERY_CLOCKS, query.clock_first = 1;
        else if (at == 4) query.parts = BATPAK_QUERY_CATEGORY, query.kind = 16;
        else query.reserved = 1;
        if (at == 4) expected = BATPAK_INVALID_KIND;
        if (at == 5) expected = BATPAK_UNSUPPORTED;
        EQUAL(expected, batpak_store_import(store, path_of("other"), SIZE_MAX, &query, NULL,
                                            &imported, NULL, 0, &error));
        EQUAL(expected, batpak_store_export(store, path_of("never"), SIZE_MAX, &query, NULL,
                                            &exported, NULL, 0, &error));
    }

    /* None of that has done anything. */
    EQUAL(0, imported.format);
    EQUAL(0, exported.segments);
    EQUAL(3, visible_events(store));
    EQUAL(-1, access(path_of("never"), F_OK));
    close_store(other);
    close_store(store);
}

static void covers(void) {
    batpak_store *store = filled("vouched", 2, "apples"), *old;
    batpak_export_report exported = BATPAK_EXPORT_REPORT_INIT;
    uint8_t whole[256], part[256];
    size_t length = 77, again = 77;
    EQUAL(BATPAK_UNSUPPORTED, batpak_store_receipt_cover_0x(store, 0, NULL, 0, &length, &error));
    EQUAL(BATPAK_OK, export_to(store, "vouched-old", &exported));
    old = open_at("vouched-old", BATPAK_OPEN_READ_ONLY);
    EQUAL(BATPAK_NOT_FOUND, batpak_store_receipt_cover_0x(old, 2, NULL, 0, &length, &error));
    EQUAL(BATPAK_NOT_FOUND,
          batpak_store_receipt_cover_0x(old, UINT64_MAX, NULL, 0, &length, &error));
    EQUAL(BATPAK_INVALID_ARGUMENT,
          batpak_store_receipt_cover_0x(old, 0, whole, sizeof whole, NULL, &error));
    EQUAL(BATPAK_INVALID_ARGUMENT, batpak_store_receipt_cover_0x(old, 0, NULL, 1, &length, &error));
    EQUAL(77, length);

    /* A byte, id, sequence, "entity" and "scope" with values, kind, two hashes, no extension. */
    EQUAL(BATPAK_OK, batpak_store_receipt_cover_0x(old, 1, NULL, 0, &length, &error));
    EQUAL(1 + 16 + 8 + (1 + 7 + 9 + 6 + 5) + 2 + 32 + 32 + 1, length);
    EQUAL(BATPAK_OK,
          batpak_store_receipt_cover_0x(old, 1, whole, sizeof whole, &again, &error));
    EQUAL(length, again);
    EQUAL(1, whole[0]);
    EQUAL(2, whole[1]);
    EQUAL(1, whole[17]);
    EQUAL(0, memcmp(whole + 25, "\x82\xa6" "entity\xa8" "order:42\xa5" "scope\xa4" "shop", 28));
    memset(part, 7, sizeof part);
    EQUAL(BATPAK_OK, batpak_store_receipt_cover_0x(old, 1, part, 20, &again, &error));
    EQUAL(length, again);
    EQUAL(0, memcmp(part, whole, 20));
    EQUAL(7, part[20]);
    close_store(old);
    close_store(store);
}

static void *import_on(void *argument) {
    struct task *task = argument;
    batpak_import_report report = BATPAK_IMPORT_REPORT_INIT;
    task->status = batpak_store_import(task->store, task->path, BATPAK_NUL_TERMINATED, NULL, NULL,
                                       &report, NULL, 0, NULL);
    task->done = report.imported;
    task->there = report.already_there;
    return NULL;
}

static void *export_on(void *argument) {
    struct task *task = argument;
    batpak_export_report report = BATPAK_EXPORT_REPORT_INIT;
    task->status = batpak_store_export(task->store, task->path, BATPAK_NUL_TERMINATED, NULL, NULL,
                                       &report, NULL, 0, NULL);
    return NULL;
}

/* Threads that import the same share the work; of those that export to one place, one does. */
static void at_once(void) {
    static struct task tasks[THREADS];
    batpak_store *source = filled("at-once", MANY, "apples"), *store, *old;
    uint64_t done = 0;
    int exported = 0;
    store = open_at("at-once-copy", BATPAK_OPEN_CREATE);
    run_threads(import_on, store, "at-once", tasks);
    for (int at = 0; at < THREADS; at++) {
        EQUAL(BATPAK_OK, tasks[at].status);
        EQUAL(MANY, tasks[at].done + tasks[at].there);
        done += tasks[at].done;
    }
    EQUAL(MANY, done);
    EQUAL(MANY, visible_events(store));
    close_store(store);

    run_threads(export_on, source, "at-once-old", tasks);
    for (int at = 0; at < THREADS; at++) {
        exported += tasks[at].status == BATPAK_OK;
        EQUAL(1, tasks[at].status == BATPAK_OK || tasks[at].status == BATPAK_LOCKED ||
                     tasks[at].status == BATPAK_INVALID_ARGUMENT);
    }
    EQUAL(1, exported);
    old = open_at("at-once-old", BATPAK_OPEN_READ_ONLY);
    EQUAL(MANY, visible_events(old));
    close_store(old);
    close_store(source);
}

/* Wherever a close meets it, an import goes on afterwards, and an export is whole or not there. */
static void closes(void) {
    batpak_store *source = filled("closes", MANY, "apples"), *store, *old;
    batpak_import_report report = BATPAK_IMPORT_REPORT_INIT;
    batpak_verify_report verified = BATPAK_VERIFY_REPORT_INIT;
    close_store(source);
    for (long round = 0; round < ROUNDS; round++) {
        char name[64];
        snprintf(name, sizeof name, "imported-%ld", round);
        store = open_at(name, BATPAK_OPEN_CREATE);
        batpak_status status = closed_meanwhile(import_on, store, "closes", round * 1500);
        store = open_at(name, BATPAK_OPEN_EXISTING);
        uint64_t before = visible_events(store);
        EQUAL(1, status != BATPAK_OK || before == MANY);
        EQUAL(BATPAK_OK, import_from(store, "closes", &report));
        EQUAL(before, report.already_there);
        EQUAL(MANY - before, report.imported);
        EQUAL(1, report.sequences_kept);
        EQUAL(BATPAK_OK, batpak_store_verify(store, &verified, NULL, 0, &error));
        EQUAL(1, verified.intact);
        EQUAL(MANY, verified.events);
        close_store(store);

        snprintf(name, sizeof name, "exported-%ld", round);
        source = open_at("closes", BATPAK_OPEN_EXISTING);
        status = closed_meanwhile(export_on, source, name, round * 500);
        EQUAL(status == BATPAK_OK ? 0 : -1, access(path_of(name), F_OK));
        if (status != BATPAK_OK) continue;
        old = open_at(name, BATPAK_OPEN_READ_ONLY);
        EQUAL(MANY, visible_events(old));
        close_store(old);
    }
}

int main(int argument_count, char **arguments) {
    if (argument_count != 2) return fprintf(stderr, "usage: interop DIRECTORY\n"), 1;
    directory = arguments[1];
    there_and_back();
    drops();
    wrong_arguments();
    covers();
    at_once();
    closes();
    EQUAL(0, batpak_debug_live_handles());
    printf("interop: %d passed, %d failed\n", passed, failed);
    return failed != 0;
}
