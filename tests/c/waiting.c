/* What ends later than the call that starts it: tickets, callbacks and follows, used rightly and
 * wrongly, from several threads, over a fork and over a close. Takes an empty directory to work in. */
#define _XOPEN_SOURCE 700
#include "check.h"
#include <pthread.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { THREADS = 4, MANY = 10000, SOME = 200 };

/* Longer than any test runs, so that a wait which ends was ended. */
static const uint64_t LONG_MS = 600000;

static batpak_ticket *start(const batpak_store *store, batpak_new_event event, int32_t durability) {
    batpak_ticket *ticket = NULL;
    EQUAL(BATPAK_OK, batpak_store_append_ticket(store, &event, 1, durability, &ticket, &error));
    return ticket;
}

/* Waits for the only event of a ticket, and closes the ticket. */
static batpak_status finish(batpak_ticket *ticket, batpak_receipt *receipt) {
    int32_t done = 77;
    size_t count = 77;
    batpak_status status =
        batpak_ticket_wait(ticket, LONG_MS, &done, receipt, 1, &count, &error);
    EQUAL(status == BATPAK_OK ? 1 : 77, done);
    EQUAL(status == BATPAK_OK ? 1 : 77, count);
    EQUAL(BATPAK_OK, batpak_ticket_is_done(ticket, &done, &error));
    EQUAL(1, done);
    EQUAL(BATPAK_OK, batpak_ticket_close(ticket, &error));
    return status;
}

static batpak_new_event new_stream(void) {
    batpak_new_event given = event();
    given.expected = BATPAK_EXPECTED_NO_STREAM;
    return given;
}

static void tickets(void) {
    batpak_store *store = open_at("tickets", BATPAK_OPEN_CREATE);
    batpak_new_event events[3] = {event(), event(), event()}, wrong = event();
    batpak_receipt receipts[3], receipt;
    batpak_ticket *ticket = NULL, *other = NULL;
    int32_t done = 77;
    size_t count = 77;

    EQUAL(BATPAK_OK, batpak_store_append_ticket(store, events, 3, BATPAK_DURABILITY_DURABLE,
                                                &ticket, &error));
    EQUAL(BATPAK_OK, batpak_ticket_wait(ticket, LONG_MS, &done, receipts, 3, &count, &error));
    EQUAL(1, done);
    EQUAL(3, count);
    for (uint64_t at = 0; at < 3; at++) EQUAL(at, receipts[at].sequence);

    /* The answer stays: all of it, a part of it, or how much there is. */
    memset(receipts, 7, sizeof receipts);
    EQUAL(BATPAK_OK, batpak_ticket_wait(ticket, 0, &done, receipts, 2, &count, &error));
    EQUAL(3, count);
    EQUAL(1, receipts[1].clock);
    EQUAL(0x07070707, receipts[2].clock);
    EQUAL(BATPAK_OK, batpak_ticket_wait(ticket, UINT64_MAX, &done, NULL, 0, &count, &error));
    EQUAL(3, count);

    /* Null and impossible arguments, which write nothing. */
    done = 77, count = 77;
    EQUAL(BATPAK_INVALID_ARGUMENT, batpak_ticket_wait(ticket, 0, NULL, NULL, 0, &count, &error));
    EQUAL(BATPAK_INVALID_ARGUMENT, batpak_ticket_wait(ticket, 0, &done, NULL, 0, NULL, &error));
    EQUAL(BATPAK_INVALID_ARGUMENT, batpak_ticket_wait(ticket, 0, &done, NULL, 1, &count, &error));
    EQUAL(BATPAK_INVALID_ARGUMENT,
          batpak_ticket_wait(ticket, 0, &done, receipts, SIZE_MAX, &count, &error));
    EQUAL(BATPAK_INVALID_ARGUMENT, batpak_ticket_is_done(ticket, NULL, &error));
    EQUAL(77, done);
    EQUAL(77, count);
    EQUAL(BATPAK_OK, batpak_ticket_close(ticket, &error));
    EQUAL(BATPAK_BAD_HANDLE, batpak_ticket_close(ticket, &error));
    EQUAL(BATPAK_BAD_HANDLE,
          batpak_ticket_wait(ticket, 0, &done, receipts, 3, &count, &error));
    EQUAL(BATPAK_BAD_HANDLE, batpak_ticket_is_done(ticket, &done, &error));

    /* What is wrong at once starts nothing. */
    EQUAL(BATPAK_INVALID_ARGUMENT,
          batpak_store_append_ticket(store, events, 3, 0, NULL, &error));
    EQUAL(BATPAK_INVALID_ARGUMENT, batpak_store_append_ticket(store, events, 3, 9, &other, &error));
    EQUAL(BATPAK_INVALID_ARGUMENT, batpak_store_append_ticket(store, NULL, 1, 0, &other, &error));
    wrong.entity = text("a/b");
    EQUAL(BATPAK_INVALID_COORDINATE,
          batpak_store_append_ticket(store, &wrong, 1, 0, &other, &error));
    wrong = event(), wrong.kind = 1;
    EQUAL(BATPAK_INVALID_KIND, batpak_store_append_ticket(store, &wrong, 1, 0, &other, &error));
    EQUAL(1, other == NULL);
    EQUAL(1, batpak_debug_live_handles());
    EQUAL(3, visible_events(store));

    /* What turns out wrong later is the answer, as often as it is asked for. */
    ticket = start(store, new_stream(), BATPAK_DURABILITY_DEFAULT);
    EQUAL(BATPAK_CLOCK_CONFLICT,
          batpak_ticket_wait(ticket, LONG_MS, &done, receipts, 3, &count, &error));
    EQUAL(BATPAK_RETRY_AFTER_READING, error.retry);
    EQUAL(BATPAK_CLOCK_CONFLICT, finish(ticket, &receipt));

    /* None is an append that does nothing. */
    EQUAL(BATPAK_OK, batpak_store_append_ticket(store, NULL, 0, 0, &ticket, &error));
    EQUAL(BATPAK_OK, batpak_ticket_wait(ticket, LONG_MS, &done, NULL, 0, &count, &error));
    EQUAL(1, done);
    EQUAL(0, count);
    EQUAL(BATPAK_OK, batpak_ticket_close(ticket, &error));

    /* An append goes on without its ticket, and before later ones that wait. */
    for (int at = 0; at < SOME; at++)
        EQUAL(BATPAK_OK,
              batpak_ticket_close(start(store, event(), BATPAK_DURABILITY_WRITTEN), &error));
    EQUAL(BATPAK_OK, append_to(store, event()));
    EQUAL(3 + SOME + 1, visible_events(store));
    close_store(store);
    EQUAL(BATPAK_BAD_HANDLE, batpak_store_append_ticket(store, events, 1, 0, &ticket, &error));

    store = open_at("tickets", BATPAK_OPEN_READ_ONLY);
    EQUAL(BATPAK_READ_ONLY, batpak_store_append_ticket(store, events, 1, 0, &ticket, &error));
    close_store(store);
    EQUAL(0, batpak_debug_live_handles());
}

static void many_tickets(void) {
    static batpak_ticket *under_way[MANY];
    batpak_store *store = open_at("many", BATPAK_OPEN_CREATE);
    batpak_receipt receipt;
    for (int at = 0; at < MANY; at++)
        under_way[at] = start(store, event(), BATPAK_DURABILITY_BUFFERED);
    EQUAL(MANY + 1, batpak_debug_live_handles());
    for (int at = 0; at < MANY; at++) {
        EQUAL(BATPAK_OK, finish(under_way[at], &receipt));
        EQUAL(at, receipt.sequence);
    }

    /* Of those under way when the store is closed, each ends, and the log holds those that
       ended well. Tickets need no store. */
    uint64_t appended = MANY;
    for (int at = 0; at < SOME; at++)
        under_way[at] = start(store, event(), BATPAK_DURABILITY_DURABLE);
    close_store(store);
    for (int at = 0; at < SOME; at++) {
        batpak_status status = finish(under_way[at], &receipt);
        EQUAL(1, status == BATPAK_OK || status == BATPAK_CLOSED);
        appended += status == BATPAK_OK;
    }
    EQUAL(0, batpak_debug_live_handles());
    store = open_at("many", BATPAK_OPEN_EXISTING);
    EQUAL(appended, visible_events(store));
    close_store(store);
}

struct waiter {
    void *handle;
    batpak_status status;
    uint64_t sequence;
};

static void *wait_for_ticket(void *argument) {
    struct waiter *waiter = argument;
    batpak_receipt receipt = {0};
    int32_t done;
    size_t count;
    waiter->status =
        batpak_ticket_wait(waiter->handle, UINT64_MAX, &done, &receipt, 1, &count, NULL);
    waiter->sequence = receipt.sequence;
    return NULL;
}

static void threads_that_wait(void) {
    batpak_store *store = open_at("waiters", BATPAK_OPEN_CREATE);
    struct waiter waiters[THREADS];
    pthread_t threads[THREADS];
    for (uint64_t round = 0; round < 50; round++) {
        batpak_ticket *ticket = start(store, event(), BATPAK_DURABILITY_DURABLE);
        for (int at = 0; at < THREADS; at++) {
            waiters[at] = (struct waiter){ticket, 77, 0};
            if (pthread_create(&threads[at], NULL, wait_for_ticket, &waiters[at]) != 0) abort();
        }
        for (int at = 0; at < THREADS; at++) {
            pthread_join(threads[at], NULL);
            EQUAL(BATPAK_OK, waiters[at].status);
            EQUAL(round, waiters[at].sequence);
        }
        EQUAL(BATPAK_OK, batpak_ticket_close(ticket, &error));
    }
    close_store(store);
}

/* What the callbacks of some appends saw. */
struct log {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    const batpak_store *store;
    /* `sequences` is their sum. */
    uint64_t calls, wrong, failures, destroyed, sequences, chain, seen;
    batpak_status last_status;
};

static struct log new_log(const batpak_store *store) {
    struct log log = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, store, 0, 0, 0, 0, 0,
                      0, 0, BATPAK_OK};
    return log;
}

static void note(void *user_data, batpak_status status, const batpak_receipt *receipts,
                 size_t count, const batpak_error *reported) {
    struct log *log = user_data;
    pthread_mutex_lock(&log->lock);
    log->calls++;
    log->last_status = status;
    if (status == BATPAK_OK) {
        log->wrong += count != 1 || reported != NULL;
        log->sequences += receipts[0].sequence;
    } else {
        log->failures++;
        log->wrong += count != 0 || receipts != NULL || reported->kind != status;
    }
    pthread_mutex_unlock(&log->lock);
}

static void destroy(void *user_data) {
    struct log *log = user_data;
    pthread_mutex_lock(&log->lock);
    log->destroyed++;
    pthread_cond_broadcast(&log->changed);
    pthread_mutex_unlock(&log->lock);
}

/* Starts the next append from within the callback of the one before. */
static void go_on(void *user_data, batpak_status status, const batpak_receipt *receipts,
                  size_t count, const batpak_error *reported) {
    struct log *log = user_data;
    batpak_stats stats = BATPAK_STATS_INIT;
    batpak_new_event given = event();
    note(user_data, status, receipts, count, reported);
    if (batpak_store_stats(log->store, &stats, NULL) == BATPAK_OK) log->seen = stats.events;
    if (log->chain == 0) return;
    log->chain--;
    batpak_store_append_then(log->store, &given, 1, BATPAK_DURABILITY_WRITTEN, go_on, user_data,
                             destroy, NULL);
}

/* `store` is closed by the callback of an append to it. */
static void note_and_close(void *user_data, batpak_status status, const batpak_receipt *receipts,
                           size_t count, const batpak_error *reported) {
    struct log *log = user_data;
    note(user_data, status, receipts, count, reported);
    log->wrong += batpak_store_close((batpak_store *)(uintptr_t)log->store, NULL) != BATPAK_OK;
}

static batpak_status append_then(const batpak_store *store, struct log *log,
                                 batpak_new_event event) {
    return batpak_store_append_then(store, &event, 1, BATPAK_DURABILITY_WRITTEN, note, log,
                                    destroy, &error);
}

static uint64_t sum_of(uint64_t first, uint64_t behind) {
    return (behind * (behind - 1) - first * (first - 1)) / 2;
}

static void wait_until_destroyed(struct log *log, uint64_t times) {
    pthread_mutex_lock(&log->lock);
    while (log->destroyed < times) pthread_cond_wait(&log->changed, &log->lock);
    pthread_mutex_unlock(&log->lock);
}

static void callbacks(void) {
    batpak_store *store = open_at("callbacks", BATPAK_OPEN_CREATE);
    batpak_new_event given = event(), wrong = event();
    struct log log = new_log(store), failing = new_log(store);
    for (int at = 0; at < MANY; at++) EQUAL(BATPAK_OK, append_then(store, &log, event()));
    wait_until_destroyed(&log, MANY);
    EQUAL(MANY, log.calls);
    EQUAL(sum_of(0, MANY), log.sequences);
    EQUAL(0, log.wrong);

    /* A failure that shows later. */
    EQUAL(BATPAK_OK, append_then(store, &log, new_stream()));
    wait_until_destroyed(&log, MANY + 1);
    EQUAL(1, log.failures);
    EQUAL(0, log.wrong);
    EQUAL(BATPAK_CLOCK_CONFLICT, log.last_status);

    /* What is wrong at once: the destructor runs before the call returns, the callback never. */
    wrong.scope = text("a=b");
    EQUAL(BATPAK_INVALID_COORDINATE, append_then(store, &failing, wrong));
    EQUAL(1, failing.destroyed);
    EQUAL(BATPAK_BAD_HANDLE, append_then(NULL, &failing, given));
    EQUAL(2, failing.destroyed);
    EQUAL(BATPAK_INVALID_ARGUMENT, batpak_store_append_then(store, &given, 1, 0, NULL, &failing,
                                                            destroy, &error));
    SAYS("callback");
    EQUAL(3, failing.destroyed);
    EQUAL(BATPAK_INVALID_ARGUMENT, batpak_store_append_then(store, &given, 1, 9, note, &failing,
                                                            destroy, &error));
    EQUAL(4, failing.destroyed);
    batpak_error not_initialised = {0};
    EQUAL(BATPAK_INVALID_ARGUMENT, batpak_store_append_then(store, &given, 1, 0, note, &failing,
                                                            destroy, &not_initialised));
    EQUAL(5, failing.destroyed);
    EQUAL(BATPAK_INVALID_ARGUMENT, batpak_store_append_then(store, NULL, 1, 0, NULL, NULL, NULL,
                                                            NULL));
    EQUAL(0, failing.calls);

    /* A callback may read, and start the next append. */
    struct log chain = new_log(store);
    chain.chain = 99;
    EQUAL(BATPAK_OK, batpak_store_append_then(store, &given, 1, BATPAK_DURABILITY_WRITTEN, go_on,
                                              &chain, destroy, &error));
    wait_until_destroyed(&chain, 100);
    EQUAL(100, chain.calls);
    EQUAL(sum_of(MANY, MANY + 100), chain.sequences);
    EQUAL(0, chain.wrong);
    EQUAL(MANY + 100, visible_events(store));
    EQUAL(1, chain.seen >= 1);

    /* Those under way when the store is closed, here by one of them, are called too. */
    struct log last = new_log(store);
    uint64_t started = 0;
    for (int at = 0; at < SOME; at++) {
        batpak_status status = batpak_store_append_then(
            store, &given, 1, BATPAK_DURABILITY_WRITTEN, at == SOME / 2 ? note_and_close : note,
            &last, destroy, NULL);
        started += status == BATPAK_OK;
        EQUAL(1, status == BATPAK_OK ||
                     (at > SOME / 2 && (status == BATPAK_CLOSED || status == BATPAK_BAD_HANDLE)));
    }
    wait_until_destroyed(&last, SOME);
    EQUAL(started, last.calls);
    EQUAL(0, last.wrong);
    EQUAL(BATPAK_BAD_HANDLE, batpak_store_close(store, &error));
    store = open_at("callbacks", BATPAK_OPEN_EXISTING);
    EQUAL(MANY + 100 + started - last.failures, visible_events(store));
    close_store(store);
    EQUAL(BATPAK_BAD_HANDLE, append_then(store, &failing, given));
    EQUAL(6, failing.destroyed);
    EQUAL(0, batpak_debug_live_handles());
}

/* The next events of a follow, whose sequences are expected to go on from `*next`. */
static size_t follow_next(batpak_follow *follow, uint64_t timeout_ms, uint64_t *next) {
    batpak_view *view;
    const batpak_event *events;
    size_t count = 0;
    EQUAL(BATPAK_OK, batpak_follow_next(follow, 100, 1 << 20, timeout_ms, &view, &events, &count,
                                        &error));
    for (size_t at = 0; at < count; at++) EQUAL((*next)++, events[at].sequence);
    EQUAL(count == 0, view == NULL);
    EQUAL(BATPAK_OK, batpak_view_release(view, &error));
    return count;
}

static uint64_t position_of(const batpak_follow *follow) {
    uint64_t position = 77;
    EQUAL(BATPAK_OK, batpak_follow_position(follow, &position, &error));
    return position;
}

static void *append_some(void *argument) {
    batpak_new_event given = event();
    for (int at = 0; at < SOME; at++)
        batpak_store_append(argument, &given, 1, BATPAK_DURABILITY_WRITTEN, NULL, NULL);
    return NULL;
}

static void follows(void) {
    batpak_store *store = open_at("follows", BATPAK_OPEN_CREATE), *reader;
    batpak_query query = BATPAK_QUERY_INIT;
    batpak_follow *follow = NULL, *other = NULL;
    batpak_view *view = NULL;
    const batpak_event *events;
    size_t count = 77;
    uint64_t next = 0;
    pthread_t thread;

    query.parts = BATPAK_QUERY_LIMIT;
    EQUAL(BATPAK_INVALID_ARGUMENT, batpak_store_follow(store, &query, &follow, &error));
    query.parts = 0, query.direction = BATPAK_DIRECTION_BACKWARD;
    EQUAL(BATPAK_INVALID_ARGUMENT, batpak_store_follow(store, &query, &follow, &error));
    query.direction = 0, query.parts = BATPAK_QUERY_ENTITY, query.entity = text("a/b");
    EQUAL(BATPAK_INVALID_COORDINATE, batpak_store_follow(store, &query, &follow, &error));
    EQUAL(BATPAK_INVALID_ARGUMENT, batpak_store_follow(store, NULL, NULL, &error));
    EQUAL(1, follow == NULL);

    EQUAL(BATPAK_OK, append_to(store, event()));
    EQUAL(BATPAK_OK, batpak_store_follow(store, NULL, &follow, &error));
    EQUAL(0, position_of(follow));
    EQUAL(BATPAK_INVALID_ARGUMENT,
          batpak_follow_next(follow, 0, 1, 0, &view, &events, &count, &error));
    EQUAL(BATPAK_INVALID_ARGUMENT,
          batpak_follow_next(follow, 1, 1, 0, NULL, &events, &count, &error));
    EQUAL(BATPAK_INVALID_ARGUMENT, batpak_follow_position(follow, NULL, &error));
    EQUAL(77, count);
    EQUAL(1, follow_next(follow, LONG_MS, &next));
    EQUAL(1, position_of(follow));
    EQUAL(0, follow_next(follow, 0, &next));
    EQUAL(0, follow_next(follow, 60, &next));

    /* A reader that opened the store for reading sees the writer's events too. */
    reader = open_at("follows", BATPAK_OPEN_READ_ONLY);
    EQUAL(BATPAK_OK, batpak_store_follow(reader, NULL, &other, &error));
    if (pthread_create(&thread, NULL, append_some, store) != 0) abort();
    while (next < 1 + SOME) EQUAL(1, follow_next(follow, LONG_MS, &next) > 0);
    for (uint64_t seen = 0; seen < 1 + SOME;) EQUAL(1, follow_next(other, LONG_MS, &seen) > 0);
    pthread_join(thread, NULL);
    EQUAL(1 + SOME, position_of(other));
    close_store(reader);
    EQUAL(BATPAK_CLOSED, batpak_follow_next(other, 1, 1, 0, &view, &events, &count, &error));
    EQUAL(BATPAK_OK, batpak_follow_close(other, &error));

    /* A query, gone on with from a position. A position passes events that do not match. */
    query.entity = text("other"), query.parts = BATPAK_QUERY_ENTITY | BATPAK_QUERY_FROM;
    query.from = position_of(follow);
    batpak_new_event given = event();
    EQUAL(BATPAK_OK, append_to(store, given));
    given.entity = text("other");
    EQUAL(BATPAK_OK, append_to(store, given));
    EQUAL(BATPAK_OK, append_to(store, event()));
    EQUAL(BATPAK_OK, batpak_store_follow(store, &query, &other, &error));
    EQUAL(1 + SOME, position_of(other));
    EQUAL(BATPAK_OK, batpak_follow_next(other, 9, 999, 0, &view, &events, &count, &error));
    EQUAL(1, count);
    EQUAL(2 + SOME, events[0].sequence);
    EQUAL(3 + SOME, position_of(other));
    EQUAL(0, follow_next(other, 0, &next));
    EQUAL(4 + SOME, position_of(other));

    /* A view outlives its follow and its store. */
    EQUAL(BATPAK_OK, batpak_follow_close(other, &error));
    EQUAL(BATPAK_BAD_HANDLE, batpak_follow_close(other, &error));
    EQUAL(BATPAK_OK, batpak_follow_close(follow, &error));
    close_store(store);
    EQUAL(0, memcmp(events[0].entity.data, "other", events[0].entity.length));
    EQUAL(BATPAK_OK, batpak_view_release(view, &error));
    EQUAL(0, batpak_debug_live_handles());
}

static void pause_briefly(void) { nanosleep(&(struct timespec){0, 1000000}, NULL); }

/* Waits in a follow for an event that never comes. */
static void *follow_for_ever(void *argument) {
    struct waiter *waiter = argument;
    batpak_view *view;
    const batpak_event *events;
    size_t count;
    while ((waiter->status = batpak_follow_next(waiter->handle, 1, 1, UINT64_MAX, &view, &events,
                                                &count, NULL)) == BATPAK_INVALID_ARGUMENT)
        pause_briefly();
    return NULL;
}

/* Starts a thread that waits in a follow, and comes back when it does. */
static void start_follower(pthread_t *thread, struct waiter *waiter, batpak_follow *follow) {
    batpak_view *view;
    const batpak_event *events;
    size_t count;
    *waiter = (struct waiter){follow, 77, 0};
    if (pthread_create(thread, NULL, follow_for_ever, waiter) != 0) abort();
    while (batpak_follow_next(follow, 1, 1, 0, &view, &events, &count, &error) == BATPAK_OK) {
        EQUAL(0, count);
        pause_briefly();
    }
    EQUAL(BATPAK_INVALID_ARGUMENT, error.kind);
    SAYS("another thread");
}

static void follows_that_are_ended(void) {
    batpak_store *store = open_at("ended", BATPAK_OPEN_CREATE);
    batpak_follow *follow;
    struct waiter waiter;
    pthread_t thread;

    /* By closing the follow; the position can be asked for meanwhile. */
    EQUAL(BATPAK_OK, batpak_store_follow(store, NULL, &follow, &error));
    start_follower(&thread, &waiter, follow);
    EQUAL(0, position_of(follow));
    EQUAL(BATPAK_OK, batpak_follow_close(follow, &error));
    pthread_join(thread, NULL);
    EQUAL(BATPAK_CLOSED, waiter.status);

    /* By closing the store. */
    EQUAL(BATPAK_OK, batpak_store_follow(store, NULL, &follow, &error));
    start_follower(&thread, &waiter, follow);
    close_store(store);
    pthread_join(thread, NULL);
    EQUAL(BATPAK_CLOSED, waiter.status);
    EQUAL(BATPAK_OK, batpak_follow_close(follow, &error));
    EQUAL(0, batpak_debug_live_handles());
}

/* What a child inherits: a ticket that has ended, some that may have, a follow at rest, and one in
 * which a thread of the parent waits. */
struct inherited {
    batpak_store *store;
    batpak_ticket *ended, *under_way[SOME];
    batpak_follow *idle, *busy;
};

/* Every call in the child, by the number of the first that went wrong; 0 when none did. */
static int in_child(struct inherited *inherited) {
    struct log log = new_log(inherited->store);
    batpak_new_event given = event();
    batpak_receipt receipt;
    batpak_ticket *ticket;
    batpak_view *view;
    const batpak_event *events;
    batpak_follow *follow;
    size_t count;
    uint64_t position;
    int32_t done;
    const batpak_store *store = inherited->store;
    if (batpak_store_append_ticket(store, &given, 1, 0, &ticket, NULL) != BATPAK_FORKED) return 1;
    if (batpak_store_append_then(store, &given, 1, 0, note, &log, destroy, NULL) != BATPAK_FORKED)
        return 2;
    if (log.calls != 0 || log.destroyed != 1) return 3;
    if (batpak_ticket_wait(inherited->ended, 0, &done, &receipt, 1, &count, NULL) != BATPAK_OK)
        return 4;
    if (done != 1 || receipt.sequence != 0) return 5;
    for (int at = 0; at < SOME; at++) {
        ticket = inherited->under_way[at];
        if (batpak_ticket_is_done(ticket, &done, NULL) != BATPAK_OK) return 6;
        batpak_status expected = done ? BATPAK_OK : BATPAK_FORKED;
        if (batpak_ticket_wait(ticket, UINT64_MAX, &done, &receipt, 1, &count, NULL) != expected)
            return 7;
        if (batpak_ticket_close(ticket, NULL) != BATPAK_OK) return 8;
    }
    if (batpak_store_follow(store, NULL, &follow, NULL) != BATPAK_FORKED) return 9;
    if (batpak_follow_next(inherited->idle, 1, 1, UINT64_MAX, &view, &events, &count, NULL) !=
        BATPAK_FORKED)
        return 10;
    if (batpak_follow_next(inherited->busy, 1, 1, UINT64_MAX, &view, &events, &count, NULL) !=
        BATPAK_FORKED)
        return 11;
    if (batpak_follow_position(inherited->busy, &position, NULL) != BATPAK_OK) return 12;
    if (batpak_follow_close(inherited->idle, NULL) != BATPAK_OK) return 13;
    if (batpak_follow_close(inherited->busy, NULL) != BATPAK_OK) return 14;
    if (batpak_ticket_close(inherited->ended, NULL) != BATPAK_OK) return 15;
    if (batpak_store_close(inherited->store, NULL) != BATPAK_FORKED) return 16;
    return 0;
}

/* The address sanitizer's allocator of GCC 12 cannot be used in a child that was forked while another
 * thread was in it, and here other threads commit and wait: the plain program and valgrind cover it. */
#ifdef __SANITIZE_ADDRESS__
enum { THREADS_AND_FORKS = 0 };
#else
enum { THREADS_AND_FORKS = 1 };
#endif

static void forks(void) {
    static struct inherited inherited;
    batpak_store *store = inherited.store = open_at("forks", BATPAK_OPEN_CREATE);
    batpak_query from_far = BATPAK_QUERY_INIT;
    batpak_receipt receipt;
    struct waiter waiter;
    pthread_t thread;
    size_t count;
    int32_t done;
    from_far.parts = BATPAK_QUERY_FROM, from_far.from = UINT32_MAX;
    inherited.ended = start(store, event(), BATPAK_DURABILITY_WRITTEN);
    EQUAL(BATPAK_OK,
          batpak_ticket_wait(inherited.ended, LONG_MS, &done, &receipt, 1, &count, &error));
    EQUAL(BATPAK_OK, batpak_store_follow(store, NULL, &inherited.idle, &error));
    EQUAL(BATPAK_OK, batpak_store_follow(store, &from_far, &inherited.busy, &error));
    start_follower(&thread, &waiter, inherited.busy);
    for (int round = 0; round < 10; round++) {
        int report[2], status;
        char result = 99;
        for (int at = 0; at < SOME; at++)
            inherited.under_way[at] = start(store, event(), BATPAK_DURABILITY_DURABLE);
        fflush(stdout);
        if (pipe(report) != 0) abort();
        pid_t child = fork();
        if (child == 0) {
            alarm(60); /* A hang kills the child. */
            result = (char)in_child(&inherited);
            _exit(write(report[1], &result, 1) != 1);
        }
        close(report[1]);
        EQUAL(1, read(report[0], &result, 1));
        EQUAL(0, result);
        EQUAL(child, waitpid(child, &status, 0));
        EQUAL(1, WIFEXITED(status));
        close(report[0]);
        /* The parent's go on. */
        for (int at = 0; at < SOME; at++) {
            EQUAL(BATPAK_OK, finish(inherited.under_way[at], &receipt));
            EQUAL(1 + round * SOME + at, receipt.sequence);
        }
    }
    EQUAL(BATPAK_OK, batpak_ticket_close(inherited.ended, &error));
    EQUAL(BATPAK_OK, batpak_follow_close(inherited.idle, &error));
    EQUAL(BATPAK_OK, batpak_follow_close(inherited.busy, &error));
    pthread_join(thread, NULL);
    EQUAL(BATPAK_CLOSED, waiter.status);
    close_store(store);
}

int main(int argument_count, char **arguments) {
    if (argument_count != 2) return fprintf(stderr, "usage: waiting DIRECTORY\n"), 1;
    directory = arguments[1];
    tickets();
    many_tickets();
    threads_that_wait();
    callbacks();
    follows();
    follows_that_are_ended();
    if (THREADS_AND_FORKS) forks();
    EQUAL(0, batpak_debug_live_handles());
    printf("waiting: %d passed, %d failed\n", passed, failed);
    return failed != 0;
}
