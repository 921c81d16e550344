/* The commands that look at a script's files and damage them behind the store's back. */
#ifndef BATPAK_TESTS_FILES_H
#define BATPAK_TESTS_FILES_H

#include "words.h"
#include <dirent.h>
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

/* The script's directory, below which all its files lie. */
static const char *directory;

static char *path_of(struct block **list, const char *name) {
    batpak_text text = text_of(name);
    char *path = take(list, strlen(directory) + text.length + 2);
    sprintf(path, "%s/%.*s", directory, (int)text.length, text.data);
    return path;
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *place) {
    (void)status, (void)type, (void)place;
    return remove(path);
}

static int by_name(const void *left, const void *right) {
    return strcmp(*(char *const *)left, *(char *const *)right);
}

/* The names in a directory, sorted; their number is written to `count`. */
static char **names_in(const char *path, size_t *count) {
    char **names = take(&of_command, 4096 * sizeof *names);
    DIR *folder = opendir(path);
    if (folder == NULL) malformed("no directory", path);
    *count = 0;
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL && *count < 4096;)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            names[(*count)++] = copy_of(&of_command, entry->d_name);
    closedir(folder);
    qsort(names, *count, sizeof *names, by_name);
    return names;
}

static void write_at(const char *path, const char *mode, long offset, int whence, batpak_bytes bytes) {
    FILE *file = fopen(path, mode);
    if (file == NULL || fseek(file, offset, whence) != 0 ||
        fwrite(bytes.data, 1, bytes.length, file) != bytes.length || fclose(file) != 0)
        malformed("cannot write", path);
}

static int remove_tree(const char *path) {
    return nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static void copy(const char *from, const char *to) {
    struct stat found;
    if (stat(from, &found) != 0) malformed("cannot copy", from);
    if (S_ISDIR(found.st_mode)) {
        size_t count;
        char **names = names_in(from, &count);
        if (mkdir(to, 0777) != 0) malformed("cannot make", to);
        for (size_t at = 0; at < count; at++) {
            char *source = take(&of_command, strlen(from) + strlen(names[at]) + 2);
            char *target = take(&of_command, strlen(to) + strlen(names[at]) + 2);
            sprintf(source, "%s/%s", from, names[at]);
            sprintf(target, "%s/%s", to, names[at]);
            copy(source, target);
        }
        return;
    }
    size_t length = (size_t)found.st_size;
    uint8_t *bytes = take(&of_command, length + 1);
    FILE *file = fopen(from, "rb");
    if (file == NULL || fread(bytes, 1, length, file) != length) malformed("cannot read", from);
    fclose(file);
    write_at(to, "wb", 0, SEEK_SET, (batpak_bytes){bytes, length});
}

/* Runs a command on files. Gives 0 for a verb that is none of them. */
static int change_file(const char *verb, const struct command *command) {
    static const char *const verbs[] = {"damage", "cut", "extend", "remove", "copy",
                                        "rename", "mkdir", "write", "files"};
    size_t which = 0, count;
    while (which < 9 && strcmp(verb, verbs[which]) != 0) which++;
    if (which == 9) return 0;
    const char *path = path_of(&of_command, word(command, 1));
    long offset = which <= 1 ? strtol(word(command, 2), NULL, 10) : 0;
    int failed = 0;
    struct stat found;
    switch (which) {
    case 0:
        write_at(path, "r+b", offset, offset < 0 ? SEEK_END : SEEK_SET, bytes_of(word(command, 3)));
        break;
    case 1:
        failed = stat(path, &found) != 0 ||
                 truncate(path, offset < 0 ? found.st_size + offset : offset) != 0;
        break;
    case 2: write_at(path, "ab", 0, SEEK_END, bytes_of(word(command, 2))); break;
    case 3: failed = remove_tree(path) != 0; break;
    case 4: copy(path, path_of(&of_command, word(command, 2))); break;
    case 5: failed = rename(path, path_of(&of_command, word(command, 2))) != 0; break;
    case 6: failed = mkdir(path, 0777) != 0; break;
    case 7: write_at(path, "wb", 0, SEEK_SET, bytes_of(word(command, 2))); break;
    default: {
        char **names = names_in(path, &count);
        for (size_t at = 0; at < count; at++) {
            size_t length = strlen(names[at]);
            if (length >= 4 && strcmp(names[at] + length - 4, ".tmp") == 0) continue;
            emit("file "), emit_text((batpak_text){names[at], length}), emit("\n");
        }
    }
    }
    if (failed) malformed("cannot change", path);
    return 1;
}

#endif
