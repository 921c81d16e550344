/* A store that is closed when its thread or its process ends: by the destructor of a thread's value,
 * and by a function of atexit, when what the library keeps per thread is gone. Takes an empty directory
 * to work in. */
#define _XOPEN_SOURCE 700
#include "check.h"
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

/* Buffered events wait longer than any test runs. */
static batpak_store *open_buffering(const char *name) {
    char path[4096];
    batpak_store *store = NULL;
    batpak_options options = BATPAK_OPTIONS_INIT;
    options.buffer_ms = 600000;
    snprintf(path, sizeof path, "%s/%s", directory, name);
    EQUAL(BATPAK_OK, batpak_store_open(path, BATPAK_NUL_TERMINATED, &options, &store, &error));
    return store;
}

static void append_durable_and_buffered(const batpak_store *store) {
    batpak_new_event given = event();
    EQUAL(BATPAK_OK,
          batpak_store_append(store, &given, 1, BATPAK_DURABILITY_DURABLE, NULL, &error));
    EQUAL(BATPAK_OK, append_to(store, given));
}

/* The store was closed cleanly with so many events. */
static void closed_with(const char *name, uint64_t events) {
    batpak_store *store = open_at(name, BATPAK_OPEN_EXISTING);
    batpak_open_report report = BATPAK_OPEN_REPORT_INIT;
    EQUAL(BATPAK_OK, batpak_store_report(store, &report, &error));
    EQUAL(1, report.clean);
    EQUAL(events, visible_events(store));
    close_store(store);
}

static pthread_key_t at_thread_end;
static batpak_status closed;

static void close_at_thread_end(void *store) {
    /* An append that waits, too, and then the close. */
    EQUAL(BATPAK_OK, append_to(store, event()));
    closed = batpak_store_close(store, &error);
}

static void *use_store(void *name) {
    batpak_store *store = open_buffering(name);
    append_durable_and_buffered(store);
    EQUAL(0, pthread_setspecific(at_thread_end, store));
    return NULL;
}

static void closed_when_a_thread_ends(void) {
    static char name[] = "thread";
    pthread_t thread;
    closed = BATPAK_PANIC;
    EQUAL(0, pthread_key_create(&at_thread_end, close_at_thread_end));
    EQUAL(0, pthread_create(&thread, NULL, use_store, name));
    EQUAL(0, pthread_join(thread, NULL));
    EQUAL(0, pthread_key_delete(at_thread_end));
    EQUAL(BATPAK_OK, closed);
    closed_with(name, 3);
}

static batpak_store *of_process;

static void close_at_exit(void) {
    if (append_to(of_process, event()) != BATPAK_OK) _exit(2);
    if (batpak_store_close(of_process, &error) != BATPAK_OK) _exit(3);
}

/* Leaves with 0 if everything went well, by a signal if the library ends the process. */
static void child_that_closes_at_exit(void) {
    int before = failed;
    alarm(60); /* A hang kills the child. */
    of_process = open_buffering("process");
    append_durable_and_buffered(of_process);
    if (failed != before || atexit(close_at_exit) != 0) _exit(1);
    exit(0);
}

static void closed_when_the_process_ends(void) {
    int status = -1;
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) child_that_closes_at_exit();
    EQUAL(child, waitpid(child, &status, 0));
    EQUAL(0, status);
    closed_with("process", 3);
}

int main(int argument_count, char **arguments) {
    if (argument_count != 2) return fprintf(stderr, "usage: ending DIRECTORY\n"), 1;
    directory = arguments[1];
    closed_when_the_process_ends();
    closed_when_a_thread_ends();
    EQUAL(0, batpak_debug_live_handles());
    printf("ending: %d passed, %d failed\n", passed, failed);
    return failed != 0;
}
