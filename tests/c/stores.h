/* What the programs that take events from store to store have in common: stores full of events, and
 * threads at work on them. */
#ifndef BATPAK_TESTS_STORES_H
#define BATPAK_TESTS_STORES_H

#include "check.h"
#include <pthread.h>
#include <time.h>

enum { MANY = 1500, BATCH = 100, ROUNDS = 6, THREADS = 4 };

static const char *path_of(const char *name) {
    static char path[4096];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    return path;
}

/* Appends so many events in batches; their ids count from 1. */
static void fill(batpak_store *store, uint32_t count, const char *payload) {
    for (uint32_t done = 0; done < count;) {
        batpak_new_event events[BATCH];
        size_t size = 0;
        for (; size < BATCH && done < count; size++) {
            events[size] = event();
            events[size].payload = (batpak_bytes){(const uint8_t *)payload, strlen(payload)};
            done++;
            for (int byte = 0; byte < 4; byte++)
                events[size].id.bytes[15 - byte] = (uint8_t)(done >> 8 * byte);
        }
        EQUAL(BATPAK_OK, batpak_store_append(store, events, size, BATPAK_DURABILITY_WRITTEN, NULL,
                                             &error));
    }
}

static batpak_store *filled(const char *name, uint32_t count, const char *payload) {
    batpak_store *store = open_at(name, BATPAK_OPEN_CREATE);
    fill(store, count, payload);
    return store;
}

/* What a thread does with a store and a directory, and how that ended. */
struct task {
    batpak_store *store;
    char path[4096];
    batpak_status status;
    uint64_t done, there;
};

static void run_threads(void *(*work)(void *), batpak_store *store, const char *name,
                        struct task *tasks) {
    pthread_t threads[THREADS];
    for (int at = 0; at < THREADS; at++) {
        tasks[at].store = store;
        snprintf(tasks[at].path, sizeof tasks[at].path, "%s", path_of(name));
        if (pthread_create(&threads[at], NULL, work, &tasks[at]) != 0) abort();
    }
    for (int at = 0; at < THREADS; at++) pthread_join(threads[at], NULL);
}

/* Starts the work, closes the store after so many microseconds, and gives how the work ended. */
static batpak_status closed_meanwhile(void *(*work)(void *), batpak_store *store, const char *name,
                                      long microseconds) {
    static struct task task;
    pthread_t thread;
    task.store = store;
    snprintf(task.path, sizeof task.path, "%s", path_of(name));
    if (pthread_create(&thread, NULL, work, &task) != 0) abort();
    nanosleep(&(struct timespec){0, microseconds * 1000}, NULL);
    close_store(store);
    pthread_join(thread, NULL);
    EQUAL(1, task.status == BATPAK_OK || task.status == BATPAK_CLOSED ||
                 task.status == BATPAK_BAD_HANDLE);
    return task.status;
}

#endif
