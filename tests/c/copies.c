/* Snapshots, forks and diffs from C: what they hold and say, every way to ask for them wrongly, and
 * other threads meanwhile. Takes an empty directory to work in. */
#define _XOPEN_SOURCE 700
#include "stores.h"
#include <unistd.h>

static batpak_status snapshot_to(const batpak_store *store, const char *name,
                                 const batpak_snapshot_options *options,
                                 batpak_copy_report *report) {
    return batpak_store_snapshot(store, path_of(name), BATPAK_NUL_TERMINATED, options, report,
                                 &error);
}

static batpak_status fork_to(const batpak_store *store, const char *name,
                             const batpak_fork_options *options, batpak_copy_report *report) {
    return batpak_store_fork(store, path_of(name), BATPAK_NUL_TERMINATED, options, report, &error);
}

static batpak_status diff_with(const batpak_store *store, const char *name, batpak_diff *diff) {
    return batpak_store_diff(store, path_of(name), BATPAK_NUL_TERMINATED, diff, &error);
}

static batpak_status verify_snapshot(const batpak_store *store, const char *name,
                                     batpak_verify_report *report, int32_t *is_prefix,
                                     batpak_diff *diff) {
    return batpak_store_verify_snapshot(store, path_of(name), BATPAK_NUL_TERMINATED, report, NULL,
                                        0, is_prefix, diff, &error);
}

/* A store that begins a segment for every batch. */
static batpak_store *in_segments(const char *name) {
    batpak_store *store = NULL;
    batpak_options options = BATPAK_OPTIONS_INIT;
    options.segment_bytes = 4096;
    EQUAL(BATPAK_OK, batpak_store_open(path_of(name), BATPAK_NUL_TERMINATED, &options, &store,
                                       &error));
    return store;
}

static void expect_prefix(const batpak_store *store, const char *name, uint64_t ours,
                          uint64_t theirs) {
    batpak_verify_report report = BATPAK_VERIFY_REPORT_INIT;
    batpak_diff diff = BATPAK_DIFF_INIT;
    int32_t is_prefix = 77;
    EQUAL(BATPAK_OK, verify_snapshot(store, name, &report, &is_prefix, &diff));
    EQUAL(1, is_prefix);
    EQUAL(1, report.intact);
    EQUAL(theirs, report.events);
    EQUAL(0, report.finding_count);
    EQUAL(theirs, diff.common);
    EQUAL(ours, diff.ours);
    EQUAL(theirs, diff.theirs);
}

static void snapshots(void) {
    batpak_store *store = in_segments("store"), *copy;
    batpak_snapshot_options options = BATPAK_SNAPSHOT_OPTIONS_INIT;
    batpak_copy_report report = BATPAK_COPY_REPORT_INIT;
    batpak_verify_report verified = BATPAK_VERIFY_REPORT_INIT;
    batpak_stats stats = BATPAK_STATS_INIT;
    batpak_diff diff = BATPAK_DIFF_INIT;
    batpak_parent parent;
    batpak_head head;
    int32_t is_prefix;
    size_t count = 77;
    char earlier[4096];
    fill(store, 3 * BATCH, "apples");
    EQUAL(BATPAK_OK, batpak_store_stats(store, &stats, &error));
    EQUAL(BATPAK_OK, batpak_store_head(store, &head, &error));

    EQUAL(BATPAK_OK, snapshot_to(store, "copies/first", NULL, &report));
    EQUAL(sizeof report, report.struct_size);
    EQUAL(0, memcmp(&stats.store_id, &report.store_id, sizeof report.store_id));
    EQUAL(3 * BATCH, report.events);
    EQUAL(0, memcmp(&head.root, &report.root, sizeof report.root));
    EQUAL(3, report.segments);
    EQUAL(2, report.linked);
    EQUAL(1, report.copied);
    EQUAL(1, report.bytes_copied > BATCH * 100);
    expect_prefix(store, "copies/first", 3 * BATCH, 3 * BATCH);

    /* What is sealed in an earlier one is shared with that. */
    EQUAL(BATPAK_OK, append_to(store, event()));
    snprintf(earlier, sizeof earlier, "%s", path_of("copies/first"));
    options.independent = 1;
    options.earlier = text(earlier);
    EQUAL(BATPAK_OK, snapshot_to(store, "copies/second", &options, &report));
    EQUAL(4, report.segments);
    EQUAL(2, report.linked);
    EQUAL(2, report.copied);
    options = (batpak_snapshot_options)BATPAK_SNAPSHOT_OPTIONS_INIT;
    options.independent = 1;
    EQUAL(BATPAK_OK, snapshot_to(store, "copies/apart", &options, &report));
    EQUAL(0, report.linked);
    EQUAL(4, report.copied);
    expect_prefix(store, "copies/first", 3 * BATCH + 1, 3 * BATCH);
    expect_prefix(store, "copies/second", 3 * BATCH + 1, 3 * BATCH + 1);

    /* To restore is to open. */
    copy = open_at("copies/first", BATPAK_OPEN_EXISTING);
    EQUAL(BATPAK_OK, batpak_store_parent(copy, &parent, &count, &error));
    EQUAL(0, count);
    EQUAL(3 * BATCH, visible_events(copy));
    for (int at = 0; at < 3; at++) EQUAL(BATPAK_OK, append_to(copy, event()));
    EQUAL(BATPAK_OK, batpak_store_sync(copy, &error));
    EQUAL(BATPAK_OK, verify_snapshot(store, "copies/first", &verified, &is_prefix, &diff));
    EQUAL(0, is_prefix);
    EQUAL(1, verified.intact);
    EQUAL(3 * BATCH, diff.common);
    EQUAL(3 * BATCH + 1, diff.ours);
    EQUAL(3 * BATCH + 3, diff.theirs);
    close_store(copy);

    /* An older caller's report gets what it has room for. */
    report = (batpak_copy_report)BATPAK_COPY_REPORT_INIT;
    report.struct_size = 32;
    report.segments = 77;
    EQUAL(BATPAK_OK, snapshot_to(store, "copies/third", NULL, &report));
    EQUAL(3 * BATCH + 1, report.events);
    EQUAL(32, report.struct_size);
    EQUAL(77, report.segments);
    close_store(store);
}

static void forks(void) {
    batpak_store *store = open_at("store", BATPAK_OPEN_EXISTING), *fork;
    batpak_fork_options options = BATPAK_FORK_OPTIONS_INIT;
    batpak_copy_report report = BATPAK_COPY_REPORT_INIT;
    batpak_diff diff = BATPAK_DIFF_INIT;
    batpak_stats ours = BATPAK_STATS_INIT, theirs = BATPAK_STATS_INIT;
    batpak_parent parent;
    batpak_head head;
    size_t count = 77;
    memset(&parent, 7, sizeof parent);
    EQUAL(BATPAK_OK, batpak_store_parent(store, &parent, &count, &error));
    EQUAL(0, count);
    EQUAL(0x0707070707070707, parent.events);

    options.at = 2 * BATCH; /* Without has_at, it does not count. */
    EQUAL(BATPAK_OK, fork_to(store, "forks/all", &options, &report));
    EQUAL(3 * BATCH + 1, report.events);
    options.has_at = 1;
    EQUAL(BATPAK_OK, fork_to(store, "forks/some", &options, &report));
    EQUAL(2 * BATCH, report.events);
    EQUAL(2, report.linked);
    EQUAL(BATPAK_OK, batpak_store_head_at(store, 2 * BATCH, &head, &error));
    EQUAL(0, memcmp(&head.root, &report.root, sizeof report.root));
    options.independent = 1;
    EQUAL(BATPAK_OK, fork_to(store, "forks/apart", &options, &report));
    EQUAL(0, report.linked);
    options.at = 0;
    EQUAL(BATPAK_OK, fork_to(store, "forks/none", &options, &report));
    EQUAL(0, report.events + report.segments);

    /* A batch is not cut, and there is nothing behind the end. */
    options.at = BATCH + 50;
    EQUAL(BATPAK_INVALID_ARGUMENT, fork_to(store, "forks/never", &options, &report));
    SAYS("fork at 100 or at 200");
    options.at = 3 * BATCH + 2;
    EQUAL(BATPAK_INVALID_ARGUMENT, fork_to(store, "forks/never", &options, &report));
    options.at = UINT64_MAX;
    EQUAL(BATPAK_INVALID_ARGUMENT, fork_to(store, "forks/never", &options, &report));
    EQUAL(-1, access(path_of("forks/never"), F_OK));

    fork = open_at("forks/some", BATPAK_OPEN_EXISTING);
    EQUAL(BATPAK_OK, batpak_store_stats(store, &ours, &error));
    EQUAL(BATPAK_OK, batpak_store_stats(fork, &theirs, &error));
    EQUAL(0, memcmp(&ours.lineage_id, &theirs.lineage_id, sizeof ours.lineage_id));
    EQUAL(1, memcmp(&ours.store_id, &theirs.store_id, sizeof ours.store_id) != 0);
    EQUAL(BATPAK_OK, batpak_store_parent(fork, &parent, &count, &error));
    EQUAL(1, count);
    EQUAL(0, memcmp(&ours.store_id, &parent.store_id, sizeof ours.store_id));
    EQUAL(2 * BATCH, parent.events);
    EQUAL(0, memcmp(&head.root, &parent.root, sizeof parent.root));
    EQUAL(BATPAK_OK, append_to(fork, event()));
    EQUAL(BATPAK_OK, batpak_store_sync(fork, &error));
    EQUAL(BATPAK_OK, diff_with(store, "forks/some", &diff));
    EQUAL(2 * BATCH, diff.common);
    EQUAL(3 * BATCH + 1, diff.ours);
    EQUAL(2 * BATCH + 1, diff.theirs);
    EQUAL(BATPAK_OK, diff_with(fork, "store", &diff));
    EQUAL(2 * BATCH + 1, diff.ours);

    /* An older caller's diff. */
    diff.struct_size = 16;
    diff.ours = 77;
    EQUAL(BATPAK_OK, diff_with(fork, "store", &diff));
    EQUAL(2 * BATCH, diff.common);
    EQUAL(77, diff.ours);
    close_store(fork);
    close_store(store);
}

static void damage(void) {
    batpak_store *store = open_at("store", BATPAK_OPEN_EXISTING), *salvaged;
    batpak_verify_report report = BATPAK_VERIFY_REPORT_INIT;
    batpak_copy_report copied = BATPAK_COPY_REPORT_INIT;
    batpak_diff diff = BATPAK_DIFF_INIT;
    batpak_finding findings[3];
    int32_t is_prefix = 77;
    FILE *file = fopen(path_of("copies/apart/000002.fbat"), "r+b");
    if (file == NULL || fseek(file, 4000, SEEK_SET) != 0 || fputs("?????", file) < 0 ||
        fclose(file) != 0)
        abort();

    /* As many findings as fit, how many there are, and no comparison. */
    memset(findings, 7, sizeof findings);
    diff.common = 77;
    EQUAL(BATPAK_OK, batpak_store_verify_snapshot(store, path_of("copies/apart"), SIZE_MAX, &report,
                                                  findings, 1, &is_prefix, &diff, &error));
    EQUAL(0, report.intact);
    EQUAL(0, is_prefix);
    EQUAL(2, report.finding_count);
    EQUAL(77, diff.common);
    EQUAL(BATPAK_FINDING_FRAME, findings[0].kind);
    EQUAL(2, findings[0].segment);
    EQUAL(0x0707070707070707, findings[1].segment);
    EQUAL(BATPAK_OK, batpak_store_verify_snapshot(store, path_of("copies/apart"), SIZE_MAX, &report,
                                                  findings, 3, &is_prefix, &diff, &error));
    EQUAL(BATPAK_FINDING_LINK, findings[1].kind);
    EQUAL(0x0707070707070707, findings[2].segment);

    /* One that cannot be opened; and what a salvage is not good for. */
    if (truncate(path_of("copies/apart/000002.fbat"), 4000) != 0) abort();
    is_prefix = 77;
    EQUAL(BATPAK_CORRUPT, verify_snapshot(store, "copies/apart", &report, &is_prefix, &diff));
    EQUAL(BATPAK_CORRUPT, diff_with(store, "copies/apart", &diff));
    salvaged = open_at("copies/apart", BATPAK_OPEN_SALVAGE);
    EQUAL(BATPAK_UNSUPPORTED, snapshot_to(salvaged, "never", NULL, &copied));
    EQUAL(BATPAK_UNSUPPORTED, fork_to(salvaged, "never", NULL, &copied));
    EQUAL(BATPAK_UNSUPPORTED, diff_with(salvaged, "store", &diff));
    EQUAL(BATPAK_UNSUPPORTED, verify_snapshot(salvaged, "store", &report, &is_prefix, &diff));
    EQUAL(0, copied.segments);
    EQUAL(77, diff.common);
    EQUAL(77, is_prefix);
    close_store(salvaged);
    close_store(store);
}

static void wrong_places(void) {
    batpak_store *store = open_at("store", BATPAK_OPEN_EXISTING);
    batpak_store *stranger = filled("stranger", 1, "pears");
    batpak_snapshot_options options = BATPAK_SNAPSHOT_OPTIONS_INIT;
    batpak_copy_report copied = BATPAK_COPY_REPORT_INIT;
    batpak_verify_report report = BATPAK_VERIFY_REPORT_INIT;
    batpak_diff diff = BATPAK_DIFF_INIT;
    int32_t is_prefix = 77;
    char earlier[4096];
    const struct { const char *text; size_t length; } paths[] = {
        {NULL, 1}, {NULL, SIZE_MAX}, {"\xff", 1}, {"x\0y", 3}, {"x", SIZE_MAX - 1}, {"", 0}};
    for (size_t at = 0; at < sizeof paths / sizeof *paths; at++) {
        const char *path = paths[at].text;
        size_t length = paths[at].length;
        EQUAL(BATPAK_INVALID_ARGUMENT,
              batpak_store_snapshot(store, path, length, NULL, &copied, &error));
        EQUAL(BATPAK_INVALID_ARGUMENT,
              batpak_store_fork(store, path, length, NULL, &copied, &error));
        EQUAL(BATPAK_INVALID_ARGUMENT, batpak_store_diff(store, path, length, &diff, &error));
        EQUAL(BATPAK_INVALID_ARGUMENT,
              batpak_store_verify_snapshot(store, path, length, &report, NULL, 0, &is_prefix, &diff,
                                           &error));
    }

    /* What is there is not replaced, and a store does not go into itself. */
    const char *const taken[] = {"stranger", "copies/first", "store", "store/inside"};
    for (size_t at = 0; at < sizeof taken / sizeof *taken; at++) {
        EQUAL(BATPAK_INVALID_ARGUMENT, snapshot_to(store, taken[at], NULL, &copied));
        EQUAL(BATPAK_INVALID_ARGUMENT, fork_to(store, taken[at], NULL, &copied));
    }

    /* Stores that are not there, or no relatives. */
    EQUAL(BATPAK_NOT_FOUND, diff_with(store, "nowhere", &diff));
    EQUAL(BATPAK_NOT_FOUND, verify_snapshot(store, "nowhere", &report, &is_prefix, &diff));
    EQUAL(0, diff.ours);
    EQUAL(BATPAK_OK, diff_with(store, "stranger", &diff));
    EQUAL(0, diff.common);
    EQUAL(1, diff.theirs);

    /* The earlier snapshot. */
    snprintf(earlier, sizeof earlier, "%s", path_of("stranger"));
    options.earlier = text(earlier);
    EQUAL(BATPAK_INVALID_ARGUMENT, snapshot_to(store, "never", &options, &copied));
    SAYS("no earlier snapshot");
    snprintf(earlier, sizeof earlier, "%s", path_of("nowhere"));
    EQUAL(BATPAK_NOT_FOUND, snapshot_to(store, "never", &options, &copied));
    const batpak_text wrong[] = {{NULL, 1}, {NULL, SIZE_MAX}, {"\xff", 1}, {"x", SIZE_MAX - 1}};
    for (size_t at = 0; at < sizeof wrong / sizeof *wrong; at++) {
        options.earlier = wrong[at];
        EQUAL(BATPAK_INVALID_ARGUMENT, snapshot_to(store, "never", &options, &copied));
        SAYS("earlier");
    }
    EQUAL(-1, access(path_of("never"), F_OK));
    EQUAL(0, copied.segments);

    /* Handles. */
    close_store(stranger);
    close_store(store);
    EQUAL(BATPAK_BAD_HANDLE, snapshot_to(store, "never", NULL, &copied));
    EQUAL(BATPAK_BAD_HANDLE, diff_with(stranger, "store", &diff));
}

static void wrong_structs(void) {
    batpak_store *store = open_at("store", BATPAK_OPEN_EXISTING);
    batpak_copy_report copied = BATPAK_COPY_REPORT_INIT;
    batpak_verify_report report = BATPAK_VERIFY_REPORT_INIT;
    batpak_diff diff = BATPAK_DIFF_INIT;
    batpak_finding room;
    batpak_parent parent;
    int32_t is_prefix = 77;
    size_t count = 77;

    /* Places for results. */
    EQUAL(BATPAK_INVALID_ARGUMENT, snapshot_to(store, "never", NULL, NULL));
    SAYS("report is null");
    EQUAL(BATPAK_INVALID_ARGUMENT, fork_to(store, "never", NULL, NULL));
    SAYS("report is null");
    EQUAL(BATPAK_INVALID_ARGUMENT, diff_with(store, "copies/first", NULL));
    SAYS("diff is null");
    EQUAL(BATPAK_INVALID_ARGUMENT, batpak_store_parent(store, NULL, &count, &error));
    EQUAL(BATPAK_INVALID_ARGUMENT, batpak_store_parent(store, &parent, NULL, &error));
    EQUAL(BATPAK_INVALID_ARGUMENT, verify_snapshot(store, "copies/first", NULL, &is_prefix, &diff));
    SAYS("report is null");
    EQUAL(BATPAK_INVALID_ARGUMENT, verify_snapshot(store, "copies/first", &report, NULL, &diff));
    SAYS("is_prefix is null");
    EQUAL(BATPAK_INVALID_ARGUMENT,
          verify_snapshot(store, "copies/first", &report, &is_prefix, NULL));
    SAYS("diff is null");
    EQUAL(BATPAK_INVALID_ARGUMENT,
          batpak_store_verify_snapshot(store, path_of("copies/first"), SIZE_MAX, &report, NULL, 1,
                                       &is_prefix, &diff, &error));
    SAYS("findings");
    EQUAL(BATPAK_INVALID_ARGUMENT,
          batpak_store_verify_snapshot(store, path_of("copies/first"), SIZE_MAX, &report, &room,
                                       SIZE_MAX / 8, &is_prefix, &diff, &error));

    /* Sizes of structs. */
    const uint32_t sizes[] = {0, 1, 4, 12, 8192, UINT32_MAX};
    for (size_t at = 0; at < sizeof sizes / sizeof *sizes; at++) {
        batpak_snapshot_options to_snapshot = BATPAK_SNAPSHOT_OPTIONS_INIT;
        batpak_fork_options to_fork = BATPAK_FORK_OPTIONS_INIT;
        batpak_copy_report bad_copy = BATPAK_COPY_REPORT_INIT;
        batpak_verify_report bad_report = BATPAK_VERIFY_REPORT_INIT;
        batpak_diff bad_diff = BATPAK_DIFF_INIT;
        to_snapshot.struct_size = to_fork.struct_size = sizes[at];
        bad_copy.struct_size = bad_report.struct_size = bad_diff.struct_size = sizes[at];
        EQUAL(BATPAK_INVALID_ARGUMENT, snapshot_to(store, "never", &to_snapshot, &copied));
        SAYS("options");
        EQUAL(BATPAK_INVALID_ARGUMENT, fork_to(store, "never", &to_fork, &copied));
        SAYS("options");
        EQUAL(BATPAK_INVALID_ARGUMENT, snapshot_to(store, "never", NULL, &bad_copy));
        SAYS("report");
        EQUAL(BATPAK_INVALID_ARGUMENT, fork_to(store, "never", NULL, &bad_copy));
        SAYS("report");
        EQUAL(BATPAK_INVALID_ARGUMENT, diff_with(store, "copies/first", &bad_diff));
        SAYS("diff");
        EQUAL(BATPAK_INVALID_ARGUMENT,
              verify_snapshot(store, "copies/first", &bad_report, &is_prefix, &diff));
        SAYS("report");
        EQUAL(BATPAK_INVALID_ARGUMENT,
              verify_snapshot(store, "copies/first", &report, &is_prefix, &bad_diff));
        SAYS("diff");
    }
    struct { batpak_fork_options known; uint64_t later; } large = {BATPAK_FORK_OPTIONS_INIT, 1};
    large.known.struct_size = sizeof large;
    EQUAL(BATPAK_UNSUPPORTED, fork_to(store, "never", &large.known, &copied));
    struct { batpak_snapshot_options known; uint64_t later; } larger = {
        BATPAK_SNAPSHOT_OPTIONS_INIT, 1};
    larger.known.struct_size = sizeof larger;
    EQUAL(BATPAK_UNSUPPORTED, snapshot_to(store, "never", &larger.known, &copied));

    /* Numbers that are neither yes nor no. */
    const int32_t wrong[] = {-1, 2, INT32_MAX, INT32_MIN};
    for (size_t at = 0; at < sizeof wrong / sizeof *wrong; at++) {
        batpak_snapshot_options to_snapshot = BATPAK_SNAPSHOT_OPTIONS_INIT;
        batpak_fork_options to_fork = BATPAK_FORK_OPTIONS_INIT;
        to_snapshot.independent = to_fork.independent = wrong[at];
        EQUAL(BATPAK_INVALID_ARGUMENT, snapshot_to(store, "never", &to_snapshot, &copied));
        SAYS("independent");
        EQUAL(BATPAK_INVALID_ARGUMENT, fork_to(store, "never", &to_fork, &copied));
        SAYS("independent");
        to_fork.independent = 0;
        to_fork.has_at = wrong[at];
        EQUAL(BATPAK_INVALID_ARGUMENT, fork_to(store, "never", &to_fork, &copied));
        SAYS("has_at");
    }
    batpak_fork_options reserved = BATPAK_FORK_OPTIONS_INIT;
    reserved.reserved = 1;
    EQUAL(BATPAK_UNSUPPORTED, fork_to(store, "never", &reserved, &copied));

    /* None of that has done anything. */
    EQUAL(0, copied.segments);
    EQUAL(0, report.events);
    EQUAL(0, diff.ours);
    EQUAL(77, is_prefix);
    EQUAL(77, count);
    EQUAL(-1, access(path_of("never"), F_OK));
    EQUAL(-1, access(path_of("never.unfinished"), F_OK));
    close_store(store);
}

static void *snapshot_on(void *argument) {
    struct task *task = argument;
    batpak_copy_report report = BATPAK_COPY_REPORT_INIT;
    task->status = batpak_store_snapshot(task->store, task->path, BATPAK_NUL_TERMINATED, NULL,
                                         &report, NULL);
    return NULL;
}

static void *fork_on(void *argument) {
    struct task *task = argument;
    batpak_copy_report report = BATPAK_COPY_REPORT_INIT;
    task->status =
        batpak_store_fork(task->store, task->path, BATPAK_NUL_TERMINATED, NULL, &report, NULL);
    return NULL;
}

static void *append_on(void *argument) {
    struct task *task = argument;
    batpak_new_event given = event();
    for (; task->done < MANY && task->status == BATPAK_OK; task->done++)
        task->status = batpak_store_append(task->store, &given, 1, BATPAK_DURABILITY_WRITTEN, NULL,
                                           NULL);
    return NULL;
}

/* Of threads that copy to one place, one does; and what is copied while another thread appends is
 * the beginning of the log. */
static void at_once(void) {
    static struct task tasks[THREADS];
    static struct task appends;
    batpak_store *store = in_segments("at-once");
    batpak_copy_report reports[2 * ROUNDS];
    batpak_diff diff = BATPAK_DIFF_INIT;
    pthread_t thread;
    fill(store, MANY, "apples");
    void *(*const works[])(void *) = {snapshot_on, fork_on};
    for (int work = 0; work < 2; work++) {
        int done = 0;
        run_threads(works[work], store, work == 0 ? "one-snapshot" : "one-fork", tasks);
        for (int at = 0; at < THREADS; at++) {
            done += tasks[at].status == BATPAK_OK;
            EQUAL(1, tasks[at].status == BATPAK_OK || tasks[at].status == BATPAK_LOCKED ||
                         tasks[at].status == BATPAK_INVALID_ARGUMENT);
        }
        EQUAL(1, done);
    }
    expect_prefix(store, "one-snapshot", MANY, MANY);
    EQUAL(BATPAK_OK, diff_with(store, "one-fork", &diff));
    EQUAL(MANY, diff.common);

    appends.store = store;
    if (pthread_create(&thread, NULL, append_on, &appends) != 0) abort();
    for (int at = 0; at < 2 * ROUNDS; at++) {
        char name[64];
        snprintf(name, sizeof name, "beside-%d", at);
        reports[at] = (batpak_copy_report)BATPAK_COPY_REPORT_INIT;
        EQUAL(BATPAK_OK, at % 2 == 0 ? snapshot_to(store, name, NULL, &reports[at])
                                     : fork_to(store, name, NULL, &reports[at]));
    }
    pthread_join(thread, NULL);
    EQUAL(BATPAK_OK, appends.status);
    for (int at = 0; at < 2 * ROUNDS; at++) {
        char name[64];
        batpak_head head;
        snprintf(name, sizeof name, "beside-%d", at);
        expect_prefix(store, name, 2 * MANY, reports[at].events);
        EQUAL(BATPAK_OK, batpak_store_head_at(store, reports[at].events, &head, &error));
        EQUAL(0, memcmp(&head.root, &reports[at].root, sizeof head.root));
    }
    close_store(store);
}

/* Wherever a close meets it, a copy is whole or not there. */
static void closes(void) {
    void *(*const works[])(void *) = {snapshot_on, fork_on};
    for (long round = 0; round < 2 * ROUNDS; round++) {
        char name[64];
        snprintf(name, sizeof name, "closed-%ld", round);
        batpak_store *store = open_at("at-once", BATPAK_OPEN_EXISTING), *copy;
        batpak_status status =
            closed_meanwhile(works[round % 2], store, name, round / 2 * 300);
        EQUAL(status == BATPAK_OK ? 0 : -1, access(path_of(name), F_OK));
        if (status != BATPAK_OK) continue;
        store = open_at("at-once", BATPAK_OPEN_EXISTING);
        expect_prefix(store, name, 2 * MANY, 2 * MANY);
        close_store(store);
        copy = open_at(name, BATPAK_OPEN_EXISTING);
        EQUAL(BATPAK_OK, append_to(copy, event()));
        EQUAL(2 * MANY + 1, visible_events(copy));
        close_store(copy);
    }
}

int main(int argument_count, char **arguments) {
    if (argument_count != 2) return fprintf(stderr, "usage: copies DIRECTORY\n"), 1;
    directory = arguments[1];
    snapshots();
    forks();
    damage();
    wrong_places();
    wrong_structs();
    at_once();
    closes();
    EQUAL(0, batpak_debug_live_handles());
    printf("copies: %d passed, %d failed\n", passed, failed);
    return failed != 0;
}
