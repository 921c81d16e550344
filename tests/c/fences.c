/* Fences from C: what they hold and say, every way to use one wrongly, and threads that share one.
 * Takes an empty directory to work in. */
#define _XOPEN_SOURCE 700
#include "stores.h"
#include <unistd.h>

static batpak_fence *begin(const batpak_store *store, uint64_t memory_bytes) {
    batpak_fence *fence = NULL;
    batpak_fence_options options = BATPAK_FENCE_OPTIONS_INIT;
    options.memory_bytes = memory_bytes;
    EQUAL(BATPAK_OK, batpak_fence_begin(store, &options, &fence, &error));
    return fence;
}

static batpak_status stage(const batpak_fence *fence, batpak_new_event given) {
    return batpak_fence_append(fence, &given, 1, NULL, &error);
}

static uint64_t events_in(const batpak_fence *fence) {
    uint64_t events = 77;
    EQUAL(BATPAK_OK, batpak_fence_events(fence, &events, &error));
    return events;
}

static void close_fence(batpak_fence *fence) {
    EQUAL(BATPAK_OK, batpak_fence_close(fence, &error));
}

/* Every call on a fence that can give no result but this status. */
static void expect_only(batpak_status status, const batpak_fence *fence) {
    batpak_new_event given = event();
    batpak_committed committed = BATPAK_COMMITTED_INIT;
    batpak_view *view = (batpak_view *)&failed;
    const batpak_event *events = NULL;
    size_t count = 77;
    uint64_t number = 77;
    committed.events = 77;
    EQUAL(status, batpak_fence_append(fence, &given, 1, &number, &error));
    EQUAL(status, batpak_fence_append(fence, NULL, 0, &number, &error));
    EQUAL(status, batpak_fence_events(fence, &number, &error));
    EQUAL(status, batpak_fence_read(fence, 0, 1, 1, &view, &events, &count, &error));
    EQUAL(status, batpak_fence_commit(fence, BATPAK_DURABILITY_DEFAULT, &committed, &error));
    EQUAL(status, batpak_fence_cancel(fence, &error));
    EQUAL(status, error.kind);
    EQUAL(1, view == (batpak_view *)&failed && events == NULL);
    EQUAL(77, count);
    EQUAL(77, number);
    EQUAL(77, committed.events);
}

static void a_life(void) {
    batpak_store *store = filled("life", 3, "before");
    batpak_new_event given[2] = {event(), event()};
    batpak_committed committed = BATPAK_COMMITTED_INIT;
    batpak_fence *fence = NULL;
    batpak_view *view, *one;
    const batpak_event *events, *single;
    uint64_t place = 77;
    size_t count;
    EQUAL(BATPAK_OK, batpak_fence_begin(store, NULL, &fence, &error));
    EQUAL(2, batpak_debug_live_handles());
    EQUAL(BATPAK_OK, batpak_fence_append(fence, given, 2, &place, &error));
    EQUAL(0, place);
    given[0].entity = text("order:43");
    given[0].id.bytes[0] = 9;
    given[0].causation = BATPAK_CAUSATION_ITEM;
    given[0].causation_item = 1;
    EQUAL(BATPAK_OK, batpak_fence_append(fence, given, 1, &place, &error));
    EQUAL(2, place);
    EQUAL(BATPAK_OK, batpak_fence_append(fence, NULL, 0, &place, &error));
    EQUAL(3, place);
    EQUAL(3, events_in(fence));
    EQUAL(3, visible_events(store));

    /* Page by page; at least one event, whatever the limit of bytes. */
    EQUAL(BATPAK_OK, batpak_fence_read(fence, 0, 9, SIZE_MAX, &view, &events, &count, &error));
    EQUAL(3, count);
    EQUAL(2, events[2].sequence);
    EQUAL(9, events[2].id.bytes[0]);
    EQUAL(0, memcmp(events[2].entity.data, "order:43", 8));
    EQUAL(1, events[2].hash.bytes[0] == 0 && events[2].clock == 0 && events[2].offset == 0);
    EQUAL(BATPAK_OK, batpak_fence_read(fence, 1, 9, 0, &one, &single, &count, &error));
    EQUAL(1, count);
    EQUAL(1, single[0].sequence);
    EQUAL(BATPAK_OK, batpak_view_release(one, &error));
    EQUAL(BATPAK_OK, batpak_fence_read(fence, 3, 9, 999, &one, &single, &count, &error));
    EQUAL(1, one == NULL && single == NULL && count == 0);
    EQUAL(BATPAK_OK, batpak_fence_read(fence, UINT64_MAX, 9, 999, &one, &single, &count, &error));
    EQUAL(0, count);

    EQUAL(BATPAK_OK, append_to(store, event()));
    EQUAL(BATPAK_OK, batpak_fence_commit(fence, BATPAK_DURABILITY_DURABLE, &committed, &error));
    EQUAL(4, committed.first_sequence);
    EQUAL(3, committed.events);
    EQUAL(0, committed.duplicate);
    EQUAL(sizeof committed, committed.struct_size);
    EQUAL(7, visible_events(store));
    expect_only(BATPAK_CLOSED, fence);
    SAYS("committed");
    close_fence(fence);
    EQUAL(BATPAK_BAD_HANDLE, batpak_fence_close(fence, &error));
    expect_only(BATPAK_BAD_HANDLE, fence);

    /* What caused it is the event that the fence's second became. */
    EQUAL(BATPAK_OK, batpak_store_at(store, 6, &one, &single, &count, &error));
    batpak_id cause = single[0].causation;
    EQUAL(BATPAK_OK, batpak_view_release(one, &error));
    EQUAL(BATPAK_OK, batpak_store_at(store, 5, &one, &single, &count, &error));
    EQUAL(0, memcmp(&cause, &single[0].id, sizeof cause));
    EQUAL(BATPAK_OK, batpak_view_release(one, &error));

    /* A view outlives its fence and its store. */
    close_store(store);
    EQUAL(0, memcmp(events[0].payload.data, "2 apples", 8));
    EQUAL(BATPAK_OK, batpak_view_release(view, &error));
    EQUAL(0, batpak_debug_live_handles());
}

static void ends(void) {
    batpak_store *store = open_at("ends", BATPAK_OPEN_CREATE), *reader;
    batpak_fence *fence = begin(store, 0), *other;
    batpak_new_event given = event();
    batpak_committed committed = BATPAK_COMMITTED_INIT;

    /* Cancelled, and given up: nothing of it is left. */
    EQUAL(BATPAK_OK, stage(fence, given));
    EQUAL(BATPAK_OK, batpak_fence_cancel(fence, &error));
    expect_only(BATPAK_CLOSED, fence);
    SAYS("cancelled");
    close_fence(fence);
    fence = begin(store, 0);
    EQUAL(BATPAK_OK, stage(fence, given));
    close_fence(fence);
    EQUAL(0, visible_events(store));

    /* A commit that fails leaves the fence open. */
    fence = begin(store, 1 << 20);
    given.expected = BATPAK_EXPECTED_NO_STREAM;
    EQUAL(BATPAK_OK, stage(fence, given));
    EQUAL(BATPAK_OK, append_to(store, event()));
    committed.events = 77;
    EQUAL(BATPAK_CLOCK_CONFLICT,
          batpak_fence_commit(fence, BATPAK_DURABILITY_DEFAULT, &committed, &error));
    EQUAL(77, committed.events);
    EQUAL(1, events_in(fence));
    EQUAL(BATPAK_CLOCK_CONFLICT,
          batpak_fence_commit(fence, BATPAK_DURABILITY_DEFAULT, NULL, &error));
    close_fence(fence);

    /* Without events there is nothing to commit, and it has ended all the same. */
    fence = begin(store, 0);
    EQUAL(BATPAK_OK, batpak_fence_commit(fence, BATPAK_DURABILITY_DEFAULT, &committed, &error));
    EQUAL(0, committed.events);
    EQUAL(1, committed.first_sequence);
    expect_only(BATPAK_CLOSED, fence);
    close_fence(fence);

    /* The same ids with the same content again. */
    given = event();
    given.id.bytes[15] = 1;
    for (int round = 0; round < 2; round++) {
        fence = begin(store, 0);
        EQUAL(BATPAK_OK, stage(fence, given));
        EQUAL(BATPAK_INVALID_ARGUMENT, stage(fence, given));
        EQUAL(BATPAK_OK, batpak_fence_commit(fence, BATPAK_DURABILITY_WRITTEN, &committed, &error));
        EQUAL(round, committed.duplicate);
        EQUAL(1, committed.first_sequence);
        close_fence(fence);
    }

    /* A reader has no fences. A fence of a closed store still has to be closed. */
    reader = open_at("ends", BATPAK_OPEN_READ_ONLY);
    other = (batpak_fence *)&failed;
    EQUAL(BATPAK_READ_ONLY, batpak_fence_begin(reader, NULL, &other, &error));
    EQUAL(1, other == (batpak_fence *)&failed);
    close_store(reader);
    fence = begin(store, 0);
    other = begin(store, 1 << 20);
    EQUAL(BATPAK_OK, stage(fence, event()));
    EQUAL(BATPAK_OK, stage(other, event()));
    close_store(store);
    expect_only(BATPAK_CLOSED, fence);
    expect_only(BATPAK_CLOSED, other);
    close_fence(fence);
    close_fence(other);
    EQUAL(0, batpak_debug_live_handles());
    store = open_at("ends", BATPAK_OPEN_EXISTING);
    EQUAL(2, visible_events(store));
    close_store(store);
}

static void wrong_arguments(void) {
    batpak_store *store = open_at("wrong", BATPAK_OPEN_CREATE);
    const uint32_t wrong[] = {0, 1, 4, 12, sizeof(batpak_fence_options) + 1, 8192, UINT32_MAX};
    const int32_t levels[] = {-2, 3, INT32_MAX, INT32_MIN};
    struct { batpak_fence_options known; uint64_t later; } large = {BATPAK_FENCE_OPTIONS_INIT, 0};
    batpak_fence_options options = BATPAK_FENCE_OPTIONS_INIT;
    batpak_committed committed = BATPAK_COMMITTED_INIT;
    batpak_new_event given[2] = {event(), event()};
    batpak_fence *fence = begin(store, 0), *none = (batpak_fence *)&failed;
    batpak_view *view;
    const batpak_event *events;
    size_t count;
    uint64_t place = 77;
    EQUAL(BATPAK_OK, stage(fence, event()));
    EQUAL(16, sizeof(batpak_fence_options));
    EQUAL(24, sizeof(batpak_committed));

    /* Structs of other versions, and of none. */
    for (size_t at = 0; at < sizeof wrong / sizeof *wrong; at++) {
        options.struct_size = committed.struct_size = wrong[at];
        EQUAL(BATPAK_INVALID_ARGUMENT, batpak_fence_begin(store, &options, &none, &error));
        SAYS("options");
        EQUAL(BATPAK_INVALID_ARGUMENT,
              batpak_fence_commit(fence, BATPAK_DURABILITY_DEFAULT, &committed, &error));
        SAYS("committed");
    }
    options = (batpak_fence_options)BATPAK_FENCE_OPTIONS_INIT;
    options.reserved = 1;
    EQUAL(BATPAK_UNSUPPORTED, batpak_fence_begin(store, &options, &none, &error));
    large.known.struct_size = sizeof large;
    large.later = 1;
    EQUAL(BATPAK_UNSUPPORTED, batpak_fence_begin(store, &large.known, &none, &error));
    EQUAL(1, none == (batpak_fence *)&failed);
    large.later = 0;
    EQUAL(BATPAK_OK, batpak_fence_begin(store, &large.known, &none, &error));
    close_fence(none);
    options.reserved = 0;
    options.struct_size = 8;
    EQUAL(BATPAK_OK, batpak_fence_begin(store, &options, &none, &error));
    close_fence(none);

    /* Null, and numbers out of range. */
    EQUAL(BATPAK_INVALID_ARGUMENT, batpak_fence_begin(store, NULL, NULL, &error));
    SAYS("fence");
    EQUAL(BATPAK_INVALID_ARGUMENT, batpak_fence_append(fence, NULL, 1, &place, &error));
    EQUAL(BATPAK_INVALID_ARGUMENT, batpak_fence_append(fence, given, SIZE_MAX, &place, &error));
    EQUAL(BATPAK_TOO_LARGE, batpak_fence_append(fence, given, 65537, &place, &error));
    EQUAL(BATPAK_INVALID_ARGUMENT, batpak_fence_events(fence, NULL, &error));
    EQUAL(BATPAK_INVALID_ARGUMENT,
          batpak_fence_read(fence, 0, 0, 1, &view, &events, &count, &error));
    EQUAL(BATPAK_INVALID_ARGUMENT, batpak_fence_read(fence, 0, 1, 1, NULL, &events, &count, &error));
    EQUAL(BATPAK_INVALID_ARGUMENT, batpak_fence_read(fence, 0, 1, 1, &view, NULL, &count, &error));
    EQUAL(BATPAK_INVALID_ARGUMENT, batpak_fence_read(fence, 0, 1, 1, &view, &events, NULL, &error));
    for (size_t at = 0; at < sizeof levels / sizeof *levels; at++) {
        EQUAL(BATPAK_INVALID_ARGUMENT, batpak_fence_commit(fence, levels[at], NULL, &error));
        SAYS("durability");
    }

    /* Of events that are refused together, none is in the fence. */
    given[1].kind = 0x0001;
    EQUAL(BATPAK_INVALID_KIND, batpak_fence_append(fence, given, 2, &place, &error));
    given[1] = event(), given[1].scope = text("a/b");
    EQUAL(BATPAK_INVALID_COORDINATE, batpak_fence_append(fence, given, 2, &place, &error));
    given[1] = event(), given[1].entity = (batpak_text){"\xff", 1};
    EQUAL(BATPAK_INVALID_ARGUMENT, batpak_fence_append(fence, given, 2, &place, &error));
    SAYS("events[1].entity");
    given[1] = event(), given[1].causation = BATPAK_CAUSATION_ITEM, given[1].causation_item = 2;
    EQUAL(BATPAK_INVALID_ARGUMENT, batpak_fence_append(fence, given, 2, &place, &error));
    EQUAL(77, place);
    EQUAL(1, events_in(fence));

    /* A handle of another type, and a fence where a store belongs. */
    expect_only(BATPAK_BAD_HANDLE, (const batpak_fence *)store);
    expect_only(BATPAK_BAD_HANDLE, NULL);
    EQUAL(BATPAK_BAD_HANDLE, batpak_fence_close((batpak_fence *)store, &error));
    EQUAL(BATPAK_BAD_HANDLE, batpak_store_close((batpak_store *)fence, &error));
    EQUAL(BATPAK_BAD_HANDLE,
          batpak_fence_begin((const batpak_store *)fence, NULL, &none, &error));
    EQUAL(BATPAK_OK, batpak_fence_close(NULL, &error));

    /* It is still as it was. An older caller gets what there is room for. */
    committed = (batpak_committed)BATPAK_COMMITTED_INIT;
    committed.struct_size = 16;
    committed.events = 77;
    EQUAL(BATPAK_OK, batpak_fence_commit(fence, BATPAK_DURABILITY_WRITTEN, &committed, &error));
    EQUAL(16, committed.struct_size);
    EQUAL(77, committed.events);
    EQUAL(1, visible_events(store));
    close_fence(fence);
    close_store(store);
}

/* The fence that threads share; the store is the task's. */
static batpak_fence *shared;

/* Stages batches until there are as many as wanted, or the fence has ended. */
static void *stage_batches(void *argument) {
    struct task *task = argument;
    for (int round = 0; round < ROUNDS; round++) {
        batpak_new_event events[BATCH];
        uint64_t place = UINT64_MAX;
        for (int at = 0; at < BATCH; at++) events[at] = event();
        task->status = batpak_fence_append(shared, events, BATCH, &place, NULL);
        if (task->status != BATPAK_OK) break;
        if (place % BATCH == 0) task->done += BATCH;
    }
    return NULL;
}

/* Reads the fence over and over while others stage: pages are whole, and places follow one
 * another. */
static void *read_pages(void *argument) {
    struct task *task = argument;
    for (uint64_t place = 0; place < (THREADS - 1) * ROUNDS * BATCH;) {
        batpak_view *view;
        const batpak_event *events;
        size_t count;
        task->status = batpak_fence_read(shared, place, 64, SIZE_MAX, &view, &events, &count, NULL);
        if (task->status != BATPAK_OK) break;
        for (size_t at = 0; at < count; at++, place++)
            if (events[at].sequence == place && events[at].payload.length == 8) task->done++;
        batpak_view_release(view, NULL);
    }
    return NULL;
}

/* One of the threads reads, the others stage. */
static void *stage_or_read(void *argument) {
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static int reading;
    pthread_mutex_lock(&lock);
    int reads = !reading;
    reading = 1;
    pthread_mutex_unlock(&lock);
    return reads ? read_pages(argument) : stage_batches(argument);
}

static void *commit_it(void *argument) {
    struct task *task = argument;
    batpak_committed committed = BATPAK_COMMITTED_INIT;
    task->status = batpak_fence_commit(shared, BATPAK_DURABILITY_WRITTEN, &committed, NULL);
    task->done = committed.events;
    return NULL;
}

static void *cancel_it(void *argument) {
    struct task *task = argument;
    task->status = batpak_fence_cancel(shared, NULL);
    return NULL;
}

static void *close_it(void *argument) {
    struct task *task = argument;
    task->status = batpak_fence_close(shared, NULL);
    return NULL;
}

/* Stages, commits and begins anew until the store is gone. */
static void *commit_on(void *argument) {
    struct task *task = argument;
    for (;;) {
        batpak_fence *own;
        batpak_committed committed = BATPAK_COMMITTED_INIT;
        batpak_new_event events[2] = {event(), event()};
        task->status = batpak_fence_begin(task->store, NULL, &own, NULL);
        if (task->status != BATPAK_OK) return NULL;
        task->status = batpak_fence_append(own, events, 2, NULL, NULL);
        if (task->status == BATPAK_OK)
            task->status = batpak_fence_commit(own, BATPAK_DURABILITY_WRITTEN, &committed, NULL);
        task->done += committed.events;
        batpak_status closed = batpak_fence_close(own, NULL);
        if (task->status == BATPAK_OK) task->status = closed;
        if (task->status != BATPAK_OK) return NULL;
    }
}

/* Of several threads, one succeeds; the others are told so. */
static void expect_one(const struct task *tasks, batpak_status others) {
    int succeeded = 0;
    for (int at = 0; at < THREADS; at++) {
        succeeded += tasks[at].status == BATPAK_OK;
        EQUAL(1, tasks[at].status == BATPAK_OK || tasks[at].status == others);
    }
    EQUAL(1, succeeded);
}

static void at_once(void) {
    batpak_store *store = open_at("at-once", BATPAK_OPEN_CREATE);
    uint64_t done = 0, events = 0;
    struct task tasks[THREADS] = {0};

    /* All stage into one, beside a reader, partly in memory and partly in its file. */
    shared = begin(store, 64 << 10);
    run_threads(stage_or_read, store, "", tasks);
    for (int at = 0; at < THREADS; at++) {
        EQUAL(BATPAK_OK, tasks[at].status);
        done += tasks[at].done;
    }
    EQUAL(2 * (THREADS - 1) * ROUNDS * BATCH, done);
    EQUAL((THREADS - 1) * ROUNDS * BATCH, events_in(shared));
    EQUAL(0, visible_events(store));

    /* All commit it, and all close it. */
    memset(tasks, 0, sizeof tasks);
    run_threads(commit_it, store, "", tasks);
    expect_one(tasks, BATPAK_CLOSED);
    EQUAL((THREADS - 1) * ROUNDS * BATCH, visible_events(store));
    memset(tasks, 0, sizeof tasks);
    run_threads(close_it, store, "", tasks);
    expect_one(tasks, BATPAK_BAD_HANDLE);

    /* All cancel it. */
    memset(tasks, 0, sizeof tasks);
    shared = begin(store, 0);
    EQUAL(BATPAK_OK, stage(shared, event()));
    run_threads(cancel_it, store, "", tasks);
    expect_one(tasks, BATPAK_CLOSED);
    close_fence(shared);

    /* It is closed while it is committed: all of it is there, or nothing. */
    for (int round = 0; round < ROUNDS; round++) {
        pthread_t thread;
        struct task task = {0};
        uint64_t before = visible_events(store);
        shared = begin(store, round % 2 == 0 ? 0 : 1 << 20);
        stage_batches(&task);
        EQUAL(ROUNDS * BATCH, task.done);
        if (pthread_create(&thread, NULL, commit_it, &task) != 0) abort();
        close_fence(shared);
        pthread_join(thread, NULL);
        EQUAL(1, task.status == BATPAK_OK || task.status == BATPAK_BAD_HANDLE);
        EQUAL(before + (task.status == BATPAK_OK ? ROUNDS * BATCH : 0), visible_events(store));
    }

    /* The store is closed while all commit: what was said to be there is there, in whole fences. */
    memset(tasks, 0, sizeof tasks);
    events = visible_events(store);
    closed_meanwhile(commit_on, store, "", 20000);
    store = open_at("at-once", BATPAK_OPEN_EXISTING);
    EQUAL(1, visible_events(store) >= events);
    EQUAL(0, (visible_events(store) - events) % 2);
    close_store(store);
    EQUAL(0, batpak_debug_live_handles());
}

int main(int argument_count, char **arguments) {
    if (argument_count != 2) return fprintf(stderr, "usage: fences DIRECTORY\n"), 1;
    directory = arguments[1];
    a_life();
    ends();
    wrong_arguments();
    at_once();
    EQUAL(0, batpak_debug_live_handles());
    printf("fences: %d passed, %d failed\n", passed, failed);
    return failed != 0;
}
