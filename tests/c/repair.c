/* Repairs from C: what the copy and its account hold, every way to ask for them wrongly, and other
 * threads meanwhile. Takes an empty directory to work in. */
#define _XOPEN_SOURCE 700
#include "check.h"
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

enum { EVENTS = 10, THREADS = 4 };

static const char *path_of(const char *name) {
    static char path[4096];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    return path;
}

/* Where the events of the stores below begin, and the last one ends. All have them in the same
 * places. */
static uint64_t places[EVENTS + 1];

static batpak_status repair(const char *from, const char *to, const batpak_repair_options *options,
                            batpak_repaired **repaired) {
    char damaged[4096];
    snprintf(damaged, sizeof damaged, "%s", path_of(from));
    return batpak_repair(damaged, BATPAK_NUL_TERMINATED, path_of(to), BATPAK_NUL_TERMINATED,
                         options, repaired, &error);
}

static batpak_repaired *repaired_to(const char *from, const char *to,
                                    const batpak_repair_options *options) {
    batpak_repaired *repaired = NULL;
    EQUAL(BATPAK_OK, repair(from, to, options, &repaired));
    return repaired;
}

static void release(batpak_repaired *repaired) {
    EQUAL(BATPAK_OK, batpak_repaired_release(repaired, &error));
}

static batpak_repair_report report_of(const batpak_repaired *repaired) {
    batpak_repair_report report = BATPAK_REPAIR_REPORT_INIT;
    EQUAL(BATPAK_OK, batpak_repaired_report(repaired, &report, &error));
    return report;
}

/* A closed store of ten events. The same seed gives the same ids, so that stores made by it differ
 * only in what they say: an event at `different` has another payload. */
static void make(const char *name, int different) {
    batpak_options options = BATPAK_OPTIONS_INIT;
    batpak_stats stats = BATPAK_STATS_INIT;
    batpak_store *store;
    options.seed = options.has_seed = 1;
    places[0] = 192; /* Behind the header of the segment. */
    EQUAL(BATPAK_OK, batpak_store_open(path_of(name), SIZE_MAX, &options, &store, &error));
    for (int at = 0; at < EVENTS; at++) {
        batpak_new_event given = event();
        given.payload.data = (const uint8_t *)(at == different ? "3 apples" : "2 apples");
        EQUAL(BATPAK_OK, append_to(store, given));
        EQUAL(BATPAK_OK, batpak_store_flush(store, &error));
        EQUAL(BATPAK_OK, batpak_store_stats(store, &stats, &error));
        places[at + 1] = stats.bytes;
    }
    close_store(store);
}

static uint64_t bytes_of(int event) { return places[event + 1] - places[event]; }

/* Reads or writes the bytes of an event. */
static void event_bytes(const char *name, int event, uint8_t *bytes, int writes) {
    char path[4160];
    snprintf(path, sizeof path, "%s/000001.fbat", path_of(name));
    FILE *file = fopen(path, "r+b");
    if (file == NULL || fseek(file, (long)places[event], SEEK_SET) != 0) abort();
    size_t count = bytes_of(event);
    if ((writes ? fwrite(bytes, 1, count, file) : fread(bytes, 1, count, file)) != count) abort();
    if (fclose(file) != 0) abort();
}

static void damage(const char *name, int event) {
    uint8_t bytes[4096];
    event_bytes(name, event, bytes, 0);
    bytes[bytes_of(event) / 2] ^= 0xFF;
    event_bytes(name, event, bytes, 1);
}

static batpak_repair_options seeded(uint64_t seed) {
    batpak_repair_options options = BATPAK_REPAIR_OPTIONS_INIT;
    options.seed = seed;
    options.has_seed = 1;
    return options;
}

/* The copy opens, verifies and has every place. */
static void expect_whole(const char *name) {
    batpak_store *store = open_at(name, BATPAK_OPEN_EXISTING);
    batpak_verify_report verified = BATPAK_VERIFY_REPORT_INIT;
    EQUAL(BATPAK_OK, batpak_store_verify(store, &verified, NULL, 0, &error));
    EQUAL(1, verified.intact);
    EQUAL(EVENTS, verified.events);
    close_store(store);
}

static void accounts(void) {
    batpak_lost_events lost[3];
    batpak_left_out left[3];
    batpak_verify_report verified = BATPAK_VERIFY_REPORT_INIT;
    batpak_stats stats = BATPAK_STATS_INIT;
    char whole[1024], part[8];
    size_t length = 0, again = 77;
    make("damaged", -1);
    damage("damaged", 2);
    damage("damaged", 7);

    batpak_repaired *repaired = repaired_to("damaged", "copy", NULL);
    batpak_repair_report report = report_of(repaired);
    EQUAL(1, batpak_debug_live_handles());
    EQUAL(sizeof report, report.struct_size);
    EQUAL(2, report.kept);
    EQUAL(6, report.appended);
    EQUAL(0, report.dropped);
    EQUAL(2, report.lost);
    EQUAL(2, report.lost_count);
    EQUAL(2, report.left_out_count);
    EQUAL(1, report.damage_count > 0);
    expect_whole("copy");
    batpak_store *store = open_at("damaged", BATPAK_OPEN_SALVAGE);
    EQUAL(BATPAK_OK, batpak_store_stats(store, &stats, &error));
    EQUAL(0, memcmp(&stats.store_id, &report.source, sizeof report.source));
    close_store(store);
    store = open_at("copy", BATPAK_OPEN_READ_ONLY);
    EQUAL(BATPAK_OK, batpak_store_stats(store, &stats, &error));
    EQUAL(0, memcmp(&stats.store_id, &report.store_id, sizeof report.store_id));
    EQUAL(1, memcmp(&report.source, &report.store_id, sizeof report.source) != 0);
    close_store(store);

    /* As many runs as fit, and no more than there are. */
    memset(lost, 7, sizeof lost), memset(left, 7, sizeof left);
    EQUAL(BATPAK_OK, batpak_repaired_lost(repaired, lost, 1, &error));
    EQUAL(BATPAK_OK, batpak_repaired_left_out(repaired, left, 1, &error));
    EQUAL(2, lost[0].first_sequence);
    EQUAL(0x0707070707070707, lost[1].first_sequence);
    EQUAL(0x0707070707070707, left[1].segment);
    EQUAL(BATPAK_OK, batpak_repaired_lost(repaired, lost, 3, &error));
    EQUAL(BATPAK_OK, batpak_repaired_left_out(repaired, left, 3, &error));
    EQUAL(BATPAK_OK, batpak_repaired_lost(repaired, NULL, 0, &error));
    EQUAL(BATPAK_OK, batpak_repaired_left_out(repaired, NULL, 0, &error));
    for (int at = 0; at < 2; at++) {
        int event = at == 0 ? 2 : 7;
        EQUAL(event, lost[at].first_sequence);
        EQUAL(1, lost[at].events);
        EQUAL(1, left[at].segment);
        EQUAL(places[event], left[at].offset);
        EQUAL(bytes_of(event), left[at].bytes);
        EQUAL(event, left[at].first_sequence);
        EQUAL(1, left[at].events);
        EQUAL(1, left[at].reason[0] != 0);
    }
    EQUAL(0x0707070707070707, lost[2].first_sequence);
    EQUAL(0x0707070707070707, left[2].segment);

    EQUAL(BATPAK_OK, batpak_repaired_verification(repaired, &verified, NULL, 0, &error));
    EQUAL(1, verified.intact);
    EQUAL(EVENTS, verified.events);
    EQUAL(0, verified.finding_count + verified.dropped + verified.tombstones + verified.erased);

    /* Sentences: whole, cut short, without a buffer, and those that are not there. */
    EQUAL(BATPAK_OK, batpak_repaired_damage(repaired, 0, whole, sizeof whole, &length, &error));
    EQUAL(strlen(whole), length);
    EQUAL(BATPAK_OK, batpak_repaired_damage(repaired, 0, part, 6, &again, &error));
    EQUAL(length, again);
    EQUAL(0, strncmp(whole, part, 5));
    EQUAL(5, strlen(part));
    EQUAL(BATPAK_OK, batpak_repaired_damage(repaired, 0, NULL, 0, &again, &error));
    again = 77;
    EQUAL(BATPAK_NOT_FOUND, batpak_repaired_damage(repaired, report.damage_count, part, sizeof part,
                                                   &again, &error));
    EQUAL(BATPAK_NOT_FOUND,
          batpak_repaired_damage(repaired, SIZE_MAX, part, sizeof part, &again, &error));
    EQUAL(77, again);

    /* A store without damage is kept as it is; its account is empty. */
    release(repaired);
    make("sound", -1);
    repaired = repaired_to("sound", "sound-copy", NULL);
    report = report_of(repaired);
    EQUAL(EVENTS, report.kept);
    EQUAL(0, report.appended + report.dropped + report.lost);
    EQUAL(0, report.lost_count + report.left_out_count + report.damage_count);
    EQUAL(BATPAK_NOT_FOUND, batpak_repaired_damage(repaired, 0, NULL, 0, &again, &error));
    release(repaired);
    expect_whole("sound-copy");
    EQUAL(0, batpak_debug_live_handles());
}

static void options(void) {
    batpak_repair_options first = seeded(1), second = seeded(2), given;
    batpak_repaired *repaired = NULL;
    batpak_id ids[3];
    uint8_t bytes[4096];

    /* The seed gives the copy's id. */
    for (int at = 0; at < 3; at++) {
        const char *const names[] = {"first", "again", "second"};
        repaired = repaired_to("damaged", names[at], at < 2 ? &first : &second);
        ids[at] = report_of(repaired).store_id;
        release(repaired);
    }
    EQUAL(0, memcmp(&ids[0], &ids[1], sizeof *ids));
    EQUAL(1, memcmp(&ids[0], &ids[2], sizeof *ids) != 0);

    /* Up to so many lost events. */
    given = first;
    given.max_lost = 1;
    EQUAL(BATPAK_TOO_LARGE, repair("damaged", "lossy", &given, &repaired));
    EQUAL(-1, access(path_of("lossy"), F_OK));
    given.max_lost = 2;
    release(repaired_to("damaged", "lossy", &given));

    /* The fifth event was exchanged for another one with its id, which is as sound by itself. */
    make("altered", -1);
    make("other", 4);
    event_bytes("other", 4, bytes, 0);
    event_bytes("altered", 4, bytes, 1);
    for (int keeps = 0; keeps < 2; keeps++) {
        given = first;
        given.keep_altered = keeps;
        repaired = repaired_to("altered", keeps ? "altered-kept" : "altered-lost", &given);
        batpak_repair_report report = report_of(repaired);
        EQUAL(4, report.kept);
        EQUAL(keeps ? 6 : 5, report.appended);
        EQUAL(keeps ? 0 : 1, report.lost);
        release(repaired);
        expect_whole(keeps ? "altered-kept" : "altered-lost");
    }

    /* Small segments for what is appended anew. */
    given = first;
    given.segment_bytes = 4096;
    release(repaired_to("damaged", "small", &given));
    expect_whole("small");
}

static void wrong_arguments(void) {
    batpak_repaired *repaired = NULL, *untouched;
    batpak_repair_report report = BATPAK_REPAIR_REPORT_INIT;
    batpak_verify_report verified = BATPAK_VERIFY_REPORT_INIT;
    batpak_lost_events lost;
    batpak_left_out left;
    size_t length = 77;
    char damaged[4096];
    const struct { const char *text; size_t length; } paths[] = {
        {NULL, 1}, {NULL, SIZE_MAX}, {"\xff", 1}, {"x\0y", 3}, {"x", SIZE_MAX - 1}, {"", 0}};
    snprintf(damaged, sizeof damaged, "%s", path_of("damaged"));
    for (size_t at = 0; at < sizeof paths / sizeof *paths; at++) {
        EQUAL(BATPAK_INVALID_ARGUMENT, batpak_repair(paths[at].text, paths[at].length,
                                                     path_of("never"), SIZE_MAX, NULL, &repaired,
                                                     &error));
        EQUAL(BATPAK_INVALID_ARGUMENT, batpak_repair(damaged, SIZE_MAX, paths[at].text,
                                                     paths[at].length, NULL, &repaired, &error));
    }
    EQUAL(BATPAK_INVALID_ARGUMENT, repair("damaged", "never", NULL, NULL));
    SAYS("repaired is null");

    /* What cannot be repaired, or not there. */
    EQUAL(BATPAK_NOT_FOUND, repair("nowhere", "never", NULL, &repaired));
    EQUAL(BATPAK_INVALID_ARGUMENT, repair("damaged", "copy", NULL, &repaired));
    SAYS("not empty");
    EQUAL(BATPAK_INVALID_ARGUMENT, repair("damaged", "damaged", NULL, &repaired));
    batpak_store *store = open_at("sound", BATPAK_OPEN_EXISTING);
    batpak_export_report exported = BATPAK_EXPORT_REPORT_INIT;
    EQUAL(BATPAK_LOCKED, repair("sound", "never", NULL, &repaired));
    EQUAL(BATPAK_OK, batpak_store_export(store, path_of("old"), SIZE_MAX, NULL, NULL, &exported,
                                         NULL, 0, &error));
    close_store(store);
    EQUAL(BATPAK_UNSUPPORTED, repair("old", "never", NULL, &repaired));
    SAYS("import");
    EQUAL(1, repaired == NULL);
    EQUAL(0, batpak_debug_live_handles());

    /* Options: sizes, numbers that are neither yes nor no, and what has no meaning. */
    const uint32_t sizes[] = {0, 1, 4, 12, 8192, UINT32_MAX};
    const int32_t wrong[] = {-1, 2, INT32_MAX, INT32_MIN};
    batpak_repair_options given;
    for (size_t at = 0; at < sizeof sizes / sizeof *sizes; at++) {
        given = seeded(1);
        given.struct_size = sizes[at];
        EQUAL(BATPAK_INVALID_ARGUMENT, repair("damaged", "never", &given, &repaired));
        SAYS("options");
    }
    for (size_t at = 0; at < sizeof wrong / sizeof *wrong; at++) {
        given = seeded(1);
        given.keep_altered = wrong[at];
        EQUAL(BATPAK_INVALID_ARGUMENT, repair("damaged", "never", &given, &repaired));
        SAYS("keep_altered");
        given = seeded(1);
        given.has_seed = wrong[at];
        EQUAL(BATPAK_INVALID_ARGUMENT, repair("damaged", "never", &given, &repaired));
        SAYS("has_seed");
    }
    given = seeded(1);
    given.reserved = 1;
    EQUAL(BATPAK_UNSUPPORTED, repair("damaged", "never", &given, &repaired));
    given = seeded(1);
    given.segment_bytes = 1;
    EQUAL(BATPAK_INVALID_ARGUMENT, repair("damaged", "never", &given, &repaired));
    struct { batpak_repair_options known; uint64_t later; } large = {BATPAK_REPAIR_OPTIONS_INIT, 1};
    large.known.struct_size = sizeof large;
    EQUAL(BATPAK_UNSUPPORTED, repair("damaged", "never", &large.known, &repaired));
    EQUAL(1, repaired == NULL);
    EQUAL(-1, access(path_of("never"), F_OK));
    EQUAL(0, batpak_debug_live_handles());
    large.later = 0;
    release(repaired_to("damaged", "later", &large.known));
    given = (batpak_repair_options)BATPAK_REPAIR_OPTIONS_INIT;
    given.struct_size = 16;
    given.segment_bytes = given.reserved = 1; /* Behind the size, so they do not count. */
    repaired = repaired_to("damaged", "earlier", &given);

    /* Places for results. */
    EQUAL(BATPAK_INVALID_ARGUMENT, batpak_repaired_report(repaired, NULL, &error));
    SAYS("report is null");
    EQUAL(BATPAK_INVALID_ARGUMENT, batpak_repaired_verification(repaired, NULL, NULL, 0, &error));
    SAYS("report is null");
    EQUAL(BATPAK_INVALID_ARGUMENT,
          batpak_repaired_verification(repaired, &verified, NULL, 1, &error));
    SAYS("findings");
    EQUAL(BATPAK_INVALID_ARGUMENT, batpak_repaired_lost(repaired, NULL, 1, &error));
    SAYS("lost");
    EQUAL(BATPAK_INVALID_ARGUMENT, batpak_repaired_lost(repaired, &lost, SIZE_MAX / 8, &error));
    EQUAL(BATPAK_INVALID_ARGUMENT, batpak_repaired_left_out(repaired, NULL, 1, &error));
    SAYS("left_out");
    EQUAL(BATPAK_INVALID_ARGUMENT, batpak_repaired_left_out(repaired, &left, SIZE_MAX / 8, &error));
    EQUAL(BATPAK_INVALID_ARGUMENT, batpak_repaired_damage(repaired, 0, NULL, 1, &length, &error));
    EQUAL(BATPAK_INVALID_ARGUMENT, batpak_repaired_damage(repaired, 0, NULL, 0, NULL, &error));
    EQUAL(77, length);
    for (size_t at = 0; at < sizeof sizes / sizeof *sizes; at++) {
        report.struct_size = verified.struct_size = sizes[at];
        EQUAL(BATPAK_INVALID_ARGUMENT, batpak_repaired_report(repaired, &report, &error));
        EQUAL(BATPAK_INVALID_ARGUMENT,
              batpak_repaired_verification(repaired, &verified, NULL, 0, &error));
    }
    EQUAL(0, report.kept);
    verified.struct_size = sizeof verified;
    report.struct_size = 48;
    report.appended = 77;
    EQUAL(BATPAK_OK, batpak_repaired_report(repaired, &report, &error));
    EQUAL(2, report.kept);
    EQUAL(77, report.appended);
    EQUAL(48, report.struct_size);

    /* Handles of other types, and one that was released. */
    store = open_at("copy", BATPAK_OPEN_EXISTING);
    untouched = repaired;
    EQUAL(BATPAK_BAD_HANDLE, batpak_repaired_release((batpak_repaired *)store, &error));
    EQUAL(BATPAK_BAD_HANDLE, batpak_store_close((batpak_store *)repaired, &error));
    EQUAL(BATPAK_BAD_HANDLE, batpak_inspection_release((batpak_inspection *)repaired, &error));
    EQUAL(EVENTS, visible_events(store));
    EQUAL(2, report_of(repaired).kept);
    EQUAL(BATPAK_OK, batpak_repaired_release(repaired, &error));
    EQUAL(BATPAK_BAD_HANDLE, batpak_repaired_release(untouched, &error));
    EQUAL(BATPAK_BAD_HANDLE, batpak_repaired_report(untouched, &report, &error));
    EQUAL(BATPAK_BAD_HANDLE, batpak_repaired_lost(untouched, &lost, 1, &error));
    EQUAL(BATPAK_BAD_HANDLE, batpak_repaired_left_out(untouched, &left, 1, &error));
    EQUAL(BATPAK_BAD_HANDLE, batpak_repaired_damage(untouched, 0, NULL, 0, &length, &error));
    EQUAL(BATPAK_BAD_HANDLE, batpak_repaired_verification(untouched, &verified, NULL, 0, &error));
    close_store(store);
}

/* Repairs the damaged store to a place of its own, and reads an account that another thread may
 * release. */
struct repairing {
    batpak_repaired *shared;
    char from[4096], to[4096];
    batpak_status status;
    int released, wrong;
};

static void *repair_on(void *argument) {
    struct repairing *task = argument;
    batpak_repaired *own;
    batpak_repair_report report = BATPAK_REPAIR_REPORT_INIT;
    task->status = batpak_repair(task->from, SIZE_MAX, task->to, SIZE_MAX, NULL, &own, NULL);
    if (task->status == BATPAK_OK) {
        task->wrong |= batpak_repaired_report(own, &report, NULL) != BATPAK_OK || report.lost != 2;
        task->wrong |= batpak_repaired_release(own, NULL) != BATPAK_OK;
    }
    for (int round = 0; round < 100; round++) {
        batpak_lost_events lost[2] = {{0, 0}, {0, 0}};
        batpak_status status = batpak_repaired_lost(task->shared, lost, 2, NULL);
        if (status == BATPAK_OK) task->wrong |= lost[1].first_sequence != 7;
        else task->wrong |= status != BATPAK_BAD_HANDLE;
        if (round == 50) task->released = batpak_repaired_release(task->shared, NULL) == BATPAK_OK;
    }
    return NULL;
}

static void threads(void) {
    static struct repairing tasks[THREADS];
    pthread_t ids[THREADS];
    batpak_repaired *shared = repaired_to("damaged", "shared", NULL);
    int done = 0, released = 0;
    for (int at = 0; at < THREADS; at++) {
        char name[32];
        tasks[at].shared = shared;
        snprintf(tasks[at].from, sizeof tasks[at].from, "%s", path_of("damaged"));
        snprintf(name, sizeof name, "thread-%d", at);
        snprintf(tasks[at].to, sizeof tasks[at].to, "%s", path_of(name));
        if (pthread_create(&ids[at], NULL, repair_on, &tasks[at]) != 0) abort();
    }
    for (int at = 0; at < THREADS; at++) {
        pthread_join(ids[at], NULL);
        EQUAL(1, tasks[at].status == BATPAK_OK || tasks[at].status == BATPAK_LOCKED);
        EQUAL(tasks[at].status == BATPAK_OK ? 0 : -1, access(tasks[at].to, F_OK));
        EQUAL(0, tasks[at].wrong);
        done += tasks[at].status == BATPAK_OK;
        released += tasks[at].released;
    }
    EQUAL(1, done > 0);
    EQUAL(1, released);
}

/* An account is memory, which a child inherits; and a child can repair for itself. */
static void forks(void) {
    batpak_repaired *repaired = repaired_to("damaged", "parent", NULL);
    int status = -1;
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        batpak_repaired *own = NULL;
        batpak_lost_events lost[2] = {{0, 0}, {0, 0}};
        alarm(60);
        int wrong = batpak_repaired_lost(repaired, lost, 2, &error) != BATPAK_OK;
        wrong |= lost[1].first_sequence != 7;
        wrong |= repair("damaged", "child", NULL, &own) != BATPAK_OK;
        wrong |= batpak_repaired_release(own, &error) != BATPAK_OK;
        wrong |= batpak_repaired_release(repaired, &error) != BATPAK_OK;
        _exit(wrong);
    }
    EQUAL(child, waitpid(child, &status, 0));
    EQUAL(0, status);
    EQUAL(2, report_of(repaired).lost);
    release(repaired);
    expect_whole("child");
}

int main(int argument_count, char **arguments) {
    if (argument_count != 2) return fprintf(stderr, "usage: repair DIRECTORY\n"), 1;
    directory = arguments[1];
    accounts();
    options();
    wrong_arguments();
    threads();
    forks();
    EQUAL(0, batpak_debug_live_handles());
    printf("repair: %d passed, %d failed\n", passed, failed);
    return failed != 0;
}
