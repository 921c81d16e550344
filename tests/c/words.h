/* The words of a script line, and the lines that a command prints. */
#ifndef BATPAK_TESTS_WORDS_H
#define BATPAK_TESTS_WORDS_H

#include "batpak.h"
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_WORDS = 16, MOST_OPTIONS = 64 };

struct command {
    char *words[MOST_WORDS];
    int word_count;
    struct { char *key, *value; } options[MOST_OPTIONS];
    int option_count;
};
struct variable { char *name, *value; struct variable *next; };
/* Memory that lives as long as its list: a command's, or a script's. */
struct block { struct block *next; };

static struct block *of_command, *of_script;
static struct variable *variables;
static char *output; /* what the command printed, a line feed behind each line */
static size_t output_length, output_capacity;
static jmp_buf malformed_script;
static char malformed_reason[256];

static void malformed(const char *reason, const char *word) {
    snprintf(malformed_reason, sizeof malformed_reason, "malformed: %s: %s", reason, word);
    longjmp(malformed_script, 1);
}

/* Zeroed memory on a list. */
static void *take(struct block **list, size_t bytes) {
    struct block *block = calloc(1, sizeof *block + bytes);
    if (block == NULL) abort();
    block->next = *list;
    *list = block;
    return block + 1;
}

static void release(struct block **list) {
    while (*list != NULL) {
        struct block *next = (*list)->next;
        free(*list);
        *list = next;
    }
}

static char *copy_of(struct block **list, const char *text) {
    return memcpy(take(list, strlen(text) + 1), text, strlen(text) + 1);
}

static void emit_bytes(const char *bytes, size_t length) {
    if (output_length + length + 1 > output_capacity) {
        output_capacity = 2 * (output_length + length + 1);
        if ((output = realloc(output, output_capacity)) == NULL) abort();
    }
    memcpy(output + output_length, bytes, length);
    output_length += length;
    output[output_length] = 0;
}

static void emit(const char *format, ...) {
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    emit_bytes(text, (size_t)length);
}

static void emit_hex(const void *bytes, size_t length) {
    for (size_t at = 0; at < length; at++) emit("%02x", ((const uint8_t *)bytes)[at]);
}

static void emit_text(batpak_text text) {
    if (text.length == 0) emit("\\e");
    for (size_t at = 0; at < text.length; at++) {
        const char *from = " \\\n", *to = "s\\n", *found = strchr(from, text.data[at]);
        if (text.data[at] == 0) emit("\\0");
        else if (found != NULL) emit("\\%c", to[found - from]);
        else emit_bytes(text.data + at, 1);
    }
}

static uint32_t crc32(batpak_bytes bytes) {
    uint32_t crc = ~0u;
    for (size_t at = 0; at < bytes.length; at++) {
        crc ^= bytes.data[at];
        for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320u : 0);
    }
    return ~crc;
}

static void emit_payload(batpak_bytes payload) {
    if (payload.length == 0) emit("-");
    else if (payload.length > 64) emit("bytes:%zu:%08" PRIx32, payload.length, crc32(payload));
    else emit("hex:"), emit_hex(payload.data, payload.length);
}

static uint64_t number_of(const char *word) {
    char *end;
    int hex = strncmp(word, "0x", 2) == 0;
    uint64_t number = strtoull(word, &end, hex ? 16 : 10);
    if (*word == 0 || *word == '-' || *end != 0) malformed("not a number", word);
    return number;
}

static batpak_bytes bytes_of(const char *digits) {
    batpak_bytes bytes = {NULL, strlen(digits) / 2};
    uint8_t *target = take(&of_command, bytes.length + 1);
    for (size_t at = 0; at < bytes.length; at++) {
        unsigned byte;
        if (sscanf(digits + 2 * at, "%2x", &byte) != 1) malformed("not hex", digits);
        target[at] = (uint8_t)byte;
    }
    bytes.data = target;
    return bytes;
}

static batpak_id id_of(const char *digits) {
    batpak_id id;
    if (strlen(digits) != 32) malformed("not an id", digits);
    memcpy(id.bytes, bytes_of(digits).data, 16);
    return id;
}

static batpak_text unescape(const char *word) {
    char *target = take(&of_command, strlen(word) + 1);
    batpak_text text = {target, 0};
    for (; *word != 0; word++) {
        unsigned byte;
        if (*word != '\\') target[text.length++] = *word;
        else if (*++word == 's') target[text.length++] = ' ';
        else if (*word == 'n') target[text.length++] = '\n';
        else if (*word == '0') target[text.length++] = 0;
        else if (*word == '\\') target[text.length++] = '\\';
        else if (*word == 'x' && sscanf(word + 1, "%2x", &byte) == 1)
            target[text.length++] = (char)byte, word += 2;
        else if (*word != 'e') malformed("unknown escape", word);
    }
    return text;
}

static batpak_text text_of(const char *word) {
    unsigned count;
    int used = 0;
    if (sscanf(word, "repeat:%u:%n", &count, &used) != 1 || used == 0) return unescape(word);
    size_t unit = strlen(word + used);
    char *target = take(&of_command, count * unit + 1);
    for (size_t at = 0; at < count; at++) memcpy(target + at * unit, word + used, unit);
    return (batpak_text){target, count * unit};
}

static batpak_bytes payload_of(const char *word) {
    if (strncmp(word, "hex:", 4) == 0) return bytes_of(word + 4);
    if (strcmp(word, "-") == 0) return (batpak_bytes){NULL, 0};
    if (strncmp(word, "zeros:", 6) == 0) {
        size_t length = number_of(word + 6);
        return (batpak_bytes){take(&of_command, length + 1), length};
    }
    if (strncmp(word, "text:", 5) != 0) malformed("not a payload", word);
    batpak_text text = unescape(word + 5);
    return (batpak_bytes){(const uint8_t *)text.data, text.length};
}

/* A line's words, with the variables' values in their places. */
static struct command *parse(const char *line) {
    struct command *command = take(&of_command, sizeof *command);
    char *rest = copy_of(&of_command, line), *word;
    while ((word = rest) != NULL) {
        if ((rest = strchr(word, ' ')) != NULL) *rest++ = 0;
        char *value = strchr(word, '=');
        if (value != NULL) *value++ = 0;
        char **place = value != NULL ? &value : &word;
        if (**place == '$') {
            const struct variable *known = variables;
            while (known != NULL && strcmp(known->name, *place + 1) != 0) known = known->next;
            if (known == NULL) malformed("not defined", *place);
            *place = known->value;
        }
        if (value == NULL) {
            if (command->word_count == MOST_WORDS) malformed("too many words", line);
            command->words[command->word_count++] = word;
        } else {
            if (command->option_count == MOST_OPTIONS) malformed("too many options", line);
            command->options[command->option_count].key = word;
            command->options[command->option_count++].value = value;
        }
    }
    return command;
}

static const char *word(const struct command *command, int place) {
    if (place >= command->word_count) malformed("a word is missing behind", command->words[0]);
    return command->words[place];
}

static const char *option(const struct command *command, const char *key) {
    for (int at = 0; at < command->option_count; at++)
        if (strcmp(command->options[at].key, key) == 0) return command->options[at].value;
    return NULL;
}

static uint64_t number_option(const struct command *command, const char *key, uint64_t otherwise) {
    const char *value = option(command, key);
    return value == NULL ? otherwise : number_of(value);
}

/* The option's place in a list of words separated by spaces; -1 when it is not given. */
static int choice(const struct command *command, const char *key, const char *list) {
    const char *value = option(command, key);
    if (value == NULL) return -1;
    for (int place = 0; *list != 0; place++) {
        size_t length = strcspn(list, " ");
        if (strlen(value) == length && strncmp(value, list, length) == 0) return place;
        list += length + (list[length] == ' ');
    }
    malformed("not a choice", value);
    return -1;
}

#endif
