/* Looking at a directory from C: what comes out, and every way to ask for it wrongly. Takes an empty
 * directory to work in. */
#define _XOPEN_SOURCE 700
#include "check.h"
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

enum { THREADS = 4, ROUNDS = 200 };

static const char *path_of(const char *name) {
    static char path[4096];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    return path;
}

static batpak_inspection *inspected(const char *name) {
    batpak_inspection *inspection = NULL;
    EQUAL(BATPAK_OK, batpak_inspect(path_of(name), BATPAK_NUL_TERMINATED, &inspection, &error));
    return inspection;
}

static void release(batpak_inspection *inspection) {
    EQUAL(BATPAK_OK, batpak_inspection_release(inspection, &error));
}

static int32_t opening_of(const batpak_inspection *inspection) {
    batpak_directory_state state = BATPAK_DIRECTORY_STATE_INIT;
    state.opening = -1;
    EQUAL(BATPAK_OK, batpak_inspection_state(inspection, &state, &error));
    return state.opening;
}

static batpak_open_report report_of(const batpak_inspection *inspection) {
    batpak_open_report report = BATPAK_OPEN_REPORT_INIT;
    EQUAL(BATPAK_OK, batpak_inspection_report(inspection, &report, &error));
    return report;
}

static batpak_error refusal_of(const batpak_inspection *inspection) {
    batpak_error refusal = BATPAK_ERROR_INIT;
    refusal.kind = -1;
    EQUAL(BATPAK_OK, batpak_inspection_refusal(inspection, &refusal, &error));
    return refusal;
}

static void write_byte(const char *name, const char *mode, long at, int byte) {
    FILE *file = fopen(path_of(name), mode);
    if (file == NULL || fseek(file, at, SEEK_SET) != 0 || fputc(byte, file) == EOF) abort();
    if (fclose(file) != 0) abort();
}

static void names(void) {
    static const char *const expected[] = {"CREATES", "OPENS",      "RECOVERS",
                                           "LOCKED",  "ONLY_READS", "REFUSES"};
    for (int32_t at = 0; at < 6; at++) EQUAL(0, strcmp(expected[at], batpak_opening_name(at)));
    EQUAL(0, strcmp("UNKNOWN", batpak_opening_name(-1)));
    EQUAL(0, strcmp("UNKNOWN", batpak_opening_name(6)));
}

static void through_a_life(void) {
    batpak_inspection *none = inspected("life"), *live, *closed;
    batpak_directory_state state = BATPAK_DIRECTORY_STATE_INIT;
    batpak_stats stats = BATPAK_STATS_INIT;
    EQUAL(BATPAK_OPENING_CREATES, opening_of(none));
    EQUAL(0, report_of(none).format);
    EQUAL(BATPAK_OK, refusal_of(none).kind);
    EQUAL(-1, access(path_of("life"), F_OK));

    batpak_store *store = open_at("life", BATPAK_OPEN_CREATE);
    EQUAL(BATPAK_OK, append_to(store, event()));
    EQUAL(BATPAK_OK, batpak_store_sync(store, &error));
    live = inspected("life");
    EQUAL(BATPAK_OPENING_LOCKED, opening_of(live));
    EQUAL(BATPAK_OK, refusal_of(live).kind);
    EQUAL(1, report_of(live).events);
    EQUAL(BATPAK_OK, append_to(store, event()));
    EQUAL(BATPAK_OK, batpak_store_stats(store, &stats, &error));
    close_store(store);

    closed = inspected("life");
    EQUAL(BATPAK_OK, batpak_inspection_state(closed, &state, &error));
    EQUAL(BATPAK_OPENING_OPENS, state.opening);
    EQUAL(stats.bytes, state.bytes);
    EQUAL(0, memcmp(&stats.store_id, &state.store_id, sizeof stats.store_id));
    EQUAL(0, memcmp(&stats.lineage_id, &state.lineage_id, sizeof stats.lineage_id));
    EQUAL(2, report_of(closed).events);
    EQUAL(2, report_of(closed).format);
    EQUAL(1, report_of(closed).clean);

    /* What was found stays as it was. */
    EQUAL(BATPAK_OPENING_CREATES, opening_of(none));
    EQUAL(BATPAK_OPENING_LOCKED, opening_of(live));
    EQUAL(1, report_of(live).events);
    EQUAL(3, batpak_debug_live_handles());
    release(none), release(live), release(closed);
    EQUAL(0, batpak_debug_live_handles());
}

static void refused(void) {
    batpak_store *store = open_at("damaged", BATPAK_OPEN_CREATE);
    char whole[1024], part[8];
    size_t length = 0, again = 0;
    EQUAL(BATPAK_OK, append_to(store, event()));
    close_store(store);
    write_byte("damaged/notes.txt", "w", 0, 'n');
    write_byte("damaged/000001.fbat", "r+", 8, 0xEE);

    batpak_inspection *inspection = inspected("damaged");
    batpak_error refusal = refusal_of(inspection);
    EQUAL(BATPAK_OPENING_REFUSES, opening_of(inspection));
    EQUAL(BATPAK_CORRUPT, refusal.kind);
    EQUAL(BATPAK_RETRY_NEVER, refusal.retry);
    EQUAL(sizeof refusal, refusal.struct_size);
    EQUAL(BATPAK_CORRUPT,
          batpak_store_open(path_of("damaged"), SIZE_MAX, NULL, &store, &error));
    EQUAL(0, strcmp(error.message, refusal.message));
    EQUAL(error.has_place, refusal.has_place);
    EQUAL(error.segment, refusal.segment);

    /* The texts are those of a salvage. */
    batpak_open_report report = report_of(inspection), salvaged = BATPAK_OPEN_REPORT_INIT;
    store = open_at("damaged", BATPAK_OPEN_SALVAGE);
    EQUAL(BATPAK_OK, batpak_store_report(store, &salvaged, &error));
    EQUAL(0, memcmp(&salvaged, &report, sizeof report));
    EQUAL(1, report.damage_count > 0);
    EQUAL(1, report.ignored_count);
    EQUAL(BATPAK_OK, batpak_inspection_report_text(inspection, BATPAK_REPORT_IGNORED, 0, whole,
                                                   sizeof whole, &length, &error));
    EQUAL(0, strcmp(whole, "notes.txt"));
    EQUAL(9, length);
    for (uint64_t at = 0; at < report.damage_count; at++) {
        char expected[1024];
        EQUAL(BATPAK_OK, batpak_inspection_report_text(inspection, BATPAK_REPORT_DAMAGE, at, whole,
                                                       sizeof whole, &length, &error));
        EQUAL(BATPAK_OK, batpak_store_report_text(store, BATPAK_REPORT_DAMAGE, at, expected,
                                                  sizeof expected, &again, &error));
        EQUAL(length, again);
        EQUAL(0, strcmp(whole, expected));
    }
    close_store(store);

    /* Short buffers, none, and texts that are not there. */
    EQUAL(BATPAK_OK, batpak_inspection_report_text(inspection, BATPAK_REPORT_IGNORED, 0, part, 6,
                                                   &again, &error));
    EQUAL(0, strcmp(part, "notes"));
    EQUAL(9, again);
    EQUAL(BATPAK_OK, batpak_inspection_report_text(inspection, BATPAK_REPORT_IGNORED, 0, NULL, 0,
                                                   &again, &error));
    again = 77;
    EQUAL(BATPAK_NOT_FOUND,
          batpak_inspection_report_text(inspection, BATPAK_REPORT_DAMAGE, report.damage_count, part,
                                        sizeof part, &again, &error));
    EQUAL(BATPAK_NOT_FOUND,
          batpak_inspection_report_text(inspection, BATPAK_REPORT_REMOVED, SIZE_MAX, part,
                                        sizeof part, &again, &error));
    const int32_t wrong[] = {-1, 4, INT32_MAX, INT32_MIN};
    for (size_t at = 0; at < sizeof wrong / sizeof *wrong; at++)
        EQUAL(BATPAK_INVALID_ARGUMENT,
              batpak_inspection_report_text(inspection, wrong[at], 0, part, sizeof part, &again,
                                            &error));
    EQUAL(BATPAK_INVALID_ARGUMENT,
          batpak_inspection_report_text(inspection, 0, 0, NULL, 1, &again, &error));
    EQUAL(BATPAK_INVALID_ARGUMENT,
          batpak_inspection_report_text(inspection, 0, 0, part, 8, NULL, &error));
    EQUAL(77, again);
    EQUAL(0, strcmp(part, "notes"));
    release(inspection);
}

static void wrong_arguments(void) {
    batpak_inspection *inspection = inspected("nowhere"), *untouched = inspection;
    const struct { const char *text; size_t length; } paths[] = {
        {NULL, 1}, {NULL, SIZE_MAX}, {"\xff", 1}, {"x\0y", 3}, {"x", SIZE_MAX - 1}, {"", 0}};
    for (size_t at = 0; at < sizeof paths / sizeof *paths; at++)
        EQUAL(BATPAK_INVALID_ARGUMENT,
              batpak_inspect(paths[at].text, paths[at].length, &untouched, &error));
    write_byte("file", "w", 0, 'x');
    EQUAL(BATPAK_IO, batpak_inspect(path_of("file"), SIZE_MAX, &untouched, &error));
    EQUAL(1, untouched == inspection);
    EQUAL(BATPAK_INVALID_ARGUMENT, batpak_inspect("x", 1, NULL, &error));
    SAYS("inspection is null");
    EQUAL(BATPAK_INVALID_ARGUMENT, batpak_inspection_state(inspection, NULL, &error));
    SAYS("state is null");
    EQUAL(BATPAK_INVALID_ARGUMENT, batpak_inspection_refusal(inspection, NULL, &error));
    SAYS("refusal is null");
    EQUAL(BATPAK_INVALID_ARGUMENT, batpak_inspection_report(inspection, NULL, &error));
    SAYS("report is null");

    /* Sizes of structs: wrong ones, an older caller's, a later one's. */
    const uint32_t sizes[] = {0, 1, 4, 12, 8192, UINT32_MAX};
    for (size_t at = 0; at < sizeof sizes / sizeof *sizes; at++) {
        batpak_directory_state state = BATPAK_DIRECTORY_STATE_INIT;
        batpak_error refusal = BATPAK_ERROR_INIT;
        batpak_open_report report = BATPAK_OPEN_REPORT_INIT;
        state.struct_size = refusal.struct_size = report.struct_size = sizes[at];
        EQUAL(BATPAK_INVALID_ARGUMENT, batpak_inspection_state(inspection, &state, &error));
        EQUAL(BATPAK_INVALID_ARGUMENT, batpak_inspection_refusal(inspection, &refusal, &error));
        EQUAL(BATPAK_INVALID_ARGUMENT, batpak_inspection_report(inspection, &report, &error));
    }
    struct { batpak_directory_state known; uint64_t later; } large = {
        BATPAK_DIRECTORY_STATE_INIT, 7};
    large.known.struct_size = sizeof large;
    large.known.bytes = 77;
    EQUAL(BATPAK_OK, batpak_inspection_state(inspection, &large.known, &error));
    EQUAL(0, large.known.bytes);
    EQUAL(7, large.later);
    large.known.struct_size = 8;
    large.known.bytes = 77;
    EQUAL(BATPAK_OK, batpak_inspection_state(inspection, &large.known, &error));
    EQUAL(77, large.known.bytes);

    /* Handles of other types, and one that was released. */
    batpak_store *store = open_at("other", BATPAK_OPEN_CREATE);
    EQUAL(BATPAK_BAD_HANDLE, batpak_inspection_release((batpak_inspection *)store, &error));
    EQUAL(BATPAK_BAD_HANDLE, batpak_store_close((batpak_store *)inspection, &error));
    EQUAL(BATPAK_BAD_HANDLE, batpak_view_release((batpak_view *)inspection, &error));
    EQUAL(0, visible_events(store));
    release(inspection);
    EQUAL(BATPAK_BAD_HANDLE, batpak_inspection_release(inspection, &error));
    EQUAL(BATPAK_BAD_HANDLE, batpak_inspection_state(inspection, &large.known, &error));
    close_store(store);
}

struct task {
    batpak_inspection *shared;
    char path[4096];
    uint64_t looks, released;
};

/* Looks at a store while it is appended to, and shares an inspection that one thread releases. */
static void *look(void *argument) {
    struct task *task = argument;
    uint64_t before = 0;
    for (int round = 0; round < ROUNDS; round++) {
        batpak_inspection *own;
        batpak_open_report report = BATPAK_OPEN_REPORT_INIT, shared = BATPAK_OPEN_REPORT_INIT;
        if (batpak_inspect(task->path, SIZE_MAX, &own, NULL) != BATPAK_OK) return NULL;
        batpak_status status = batpak_inspection_report(own, &report, NULL);
        if (batpak_inspection_release(own, NULL) != BATPAK_OK || status != BATPAK_OK) return NULL;
        if (report.events < before || report.damage_count > 0) return NULL;
        before = report.events;
        status = batpak_inspection_report(task->shared, &shared, NULL);
        if (status != BATPAK_BAD_HANDLE && (status != BATPAK_OK || task->released > 0)) return NULL;
        if (round == ROUNDS / 2)
            task->released = batpak_inspection_release(task->shared, NULL) == BATPAK_OK;
        task->looks++;
    }
    return NULL;
}

static void threads(void) {
    static struct task tasks[THREADS];
    pthread_t ids[THREADS];
    batpak_store *store = open_at("busy", BATPAK_OPEN_CREATE);
    batpak_inspection *shared = inspected("busy");
    uint64_t released = 0;
    for (int at = 0; at < THREADS; at++) {
        tasks[at].shared = shared;
        snprintf(tasks[at].path, sizeof tasks[at].path, "%s/busy", directory);
        if (pthread_create(&ids[at], NULL, look, &tasks[at]) != 0) abort();
    }
    for (int at = 0; at < ROUNDS; at++) EQUAL(BATPAK_OK, append_to(store, event()));
    for (int at = 0; at < THREADS; at++) {
        pthread_join(ids[at], NULL);
        EQUAL(ROUNDS, tasks[at].looks);
        released += tasks[at].released;
    }
    EQUAL(1, released);
    EQUAL(ROUNDS, visible_events(store));
    close_store(store);
}

/* What was found is memory, which a child inherits; and a child can look for itself. */
static void forks(void) {
    batpak_store *store = open_at("forked", BATPAK_OPEN_CREATE);
    batpak_inspection *found = inspected("forked");
    int status = -1;
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        batpak_inspection *own = NULL;
        alarm(60);
        int wrong = opening_of(found) != BATPAK_OPENING_LOCKED;
        wrong |= batpak_inspect(path_of("forked"), SIZE_MAX, &own, &error) != BATPAK_OK;
        wrong |= opening_of(own) != BATPAK_OPENING_LOCKED;
        wrong |= batpak_inspection_release(own, &error) != BATPAK_OK;
        _exit(wrong);
    }
    EQUAL(child, waitpid(child, &status, 0));
    EQUAL(0, status);
    EQUAL(BATPAK_OPENING_LOCKED, opening_of(found));
    release(found);
    close_store(store);
}

int main(int argument_count, char **arguments) {
    if (argument_count != 2) return fprintf(stderr, "usage: inspect DIRECTORY\n"), 1;
    directory = arguments[1];
    names();
    through_a_life();
    refused();
    wrong_arguments();
    threads();
    forks();
    EQUAL(0, batpak_debug_live_handles());
    printf("inspect: %d passed, %d failed\n", passed, failed);
    return failed != 0;
}
