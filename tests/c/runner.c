/* Runs the behaviour scripts that tests/scripts/README.md describes, over batpak.h alone.
 *
 *     runner FILE...
 *     runner --dir DIR --section K FILE
 */
#define _XOPEN_SOURCE 700
#include "commands.h"

/* A script file: its lines, and how far it was read. */
struct script { const char *name; char **lines; size_t count, next; };

static int is_passed_over(const char *line) { return *line == 0 || *line == '#'; }
static int is_expected(const char *line) { return strncmp(line, "= ", 2) == 0; }
static int is_heading(const char *line) { return strncmp(line, "== ", 3) == 0; }
/* Whether items follow, up to `end`. */
static int has_items(const char *line) {
    return strcmp(line, "batch") == 0 || strncmp(line, "batch ", 6) == 0 ||
           strncmp(line, "stage ", 6) == 0;
}

/* A file that cannot be read has no lines. */
static struct script load(const char *name) {
    struct script script = {name, NULL, 0, 0};
    struct stat found;
    FILE *file = fopen(name, "rb");
    if (file == NULL || fstat(fileno(file), &found) != 0) {
        if (file != NULL) fclose(file);
        return script;
    }
    size_t length = (size_t)found.st_size;
    char *text = take(&of_script, length + 1);
    if (fread(text, 1, length, file) != length) *text = 0;
    fclose(file);
    script.lines = take(&of_script, (length + 1) * sizeof *script.lines);
    for (char *end; (end = strchr(text, '\n')) != NULL; text = end + 1) {
        *end = 0;
        script.lines[script.count++] = text;
    }
    return script;
}

static void clear_output(void) {
    output_length = 0;
    emit_bytes("", 0);
}

/* What a command prints: its lines, or its error alone. Gives 0 for what is not the language. */
static int print_command(char *const *lines, size_t count) {
    clear_output();
    if (setjmp(malformed_script) != 0) {
        clear_output();
        emit("%s\n", malformed_reason);
        return 0;
    }
    batpak_status status = run(lines, count);
    if (status == BATPAK_OK) return 1;
    clear_output();
    /* What other languages call a closed store is a null handle in C. */
    const char *name = option(parse(lines[0]), "on");
    const struct handle *handle = handle_named(name == NULL ? "a" : name);
    int closed = status == BATPAK_BAD_HANDLE && handle != NULL && handle->store == NULL;
    emit("error %s\n", batpak_status_name(closed ? BATPAK_CLOSED : status));
    return 1;
}

/* Reads the next command and its expected lines; runs it when `wanted`. Gives 0 when it printed
 * something else. */
static int run_step(struct script *script, int wanted) {
    size_t first = script->next++, count = 1;
    char **command = take(&of_command, (script->count + 1) * sizeof *command);
    command[0] = script->lines[first];
    if (has_items(command[0])) {
        while (script->next < script->count && strcmp(script->lines[script->next], "end") != 0) {
            char *item = script->lines[script->next++];
            if (!is_passed_over(item)) command[count++] = item;
        }
        script->next++;
    }
    size_t length = 0, from = script->next;
    while (from + length < script->count && is_expected(script->lines[from + length])) length++;
    script->next += length;
    if (!wanted) return 1;

    int passed = print_command(command, count);
    const char *found = output;
    for (size_t at = 0; at < length && passed; at++) {
        const char *expected = script->lines[from + at] + 2;
        size_t bytes = strlen(expected);
        passed = strncmp(found, expected, bytes) == 0 && found[bytes] == '\n';
        found += bytes + 1;
    }
    if (passed && *found == 0) return 1;
    printf("FAIL %s:%zu\n  %s\nexpected:\n", script->name, first + 1, script->lines[first]);
    for (size_t at = 0; at < length; at++) printf("  %s\n", script->lines[from + at]);
    printf("found:\n");
    for (char *line = output, *end; (end = strchr(line, '\n')) != NULL; line = end + 1)
        printf("  = %.*s\n", (int)(end - line), line);
    return 0;
}

/* Runs one section, or with -1 all of them, in `directory`. */
static int run_script(const char *name, long only) {
    struct script script = load(name);
    long section = 0;
    int passed = script.count > 0, has_command = 0;
    if (!passed) printf("FAIL %s: no lines to read\n", name);
    while (passed && script.next < script.count) {
        const char *line = script.lines[script.next];
        if (is_heading(line)) {
            /* What is before the first heading is a section only if it holds a command. */
            section += section > 0 || has_command;
            close_all();
        }
        if (is_heading(line) || is_passed_over(line)) {
            script.next++;
            continue;
        }
        has_command = 1;
        passed = run_step(&script, only < 0 || only == section);
        release(&of_command);
    }
    close_all();
    gate_count = gate_mode = record_denial = 0;
    variables = NULL;
    release(&of_script);
    if (passed && only > section) printf("FAIL %s: no section %ld\n", name, only);
    return passed && only <= section;
}

int main(int argument_count, char **arguments) {
    int passed = 0, failed = 0;
    if (argument_count == 6 && strcmp(arguments[1], "--dir") == 0 &&
        strcmp(arguments[3], "--section") == 0) {
        directory = arguments[2];
        passed = run_script(arguments[5], strtol(arguments[4], NULL, 10));
        failed = !passed;
    } else {
        for (int at = 1; at < argument_count; at++) {
            const char *folder = getenv("TMPDIR");
            char scratch[4096];
            snprintf(scratch, sizeof scratch, "%s/batpak-c-XXXXXX", folder ? folder : "/tmp");
            if ((directory = mkdtemp(scratch)) == NULL) return perror(scratch), 1;
            if (run_script(arguments[at], -1)) passed++;
            else failed++;
            if (remove_tree(scratch) != 0) perror(scratch);
        }
    }
    if (batpak_debug_live_handles() != 0) printf("FAIL: handles were left open\n"), failed++;
    free(output);
    printf("%d passed, %d failed\n", passed, failed);
    return failed != 0 || passed == 0;
}
