/* The commands of the script language, each a few calls of batpak.h. */
#ifndef BATPAK_TESTS_COMMANDS_H
#define BATPAK_TESTS_COMMANDS_H

#include "files.h"

enum { MOST_HANDLES = 32, MOST_GATES = 16 };

struct handle { char *name, *path; batpak_store *store; batpak_options options; };
struct fence { char *name; batpak_fence *fence; };
/* What a gate says: refuse always, refuse a payload above a size, or neither. */
struct gate { batpak_text name, code, message; int always; uint64_t most_bytes; };

static struct handle handles[MOST_HANDLES];
static struct fence fences[MOST_HANDLES];
static struct gate gates[MOST_GATES];
static int handle_count, fence_count, gate_count, gate_mode, record_denial;

static int32_t durability_of(const struct command *command) {
    return choice(command, "durability", "durable written buffered");
}

static void define(const char *name, const char *value) {
    struct variable *variable = take(&of_script, sizeof *variable);
    *variable = (struct variable){copy_of(&of_script, name), copy_of(&of_script, value), variables};
    variables = variable;
}

static struct handle *handle_named(const char *name) {
    for (int at = 0; at < handle_count; at++)
        if (strcmp(handles[at].name, name) == 0) return &handles[at];
    return NULL;
}

static batpak_options options_of(const struct command *command) {
    batpak_options options = BATPAK_OPTIONS_INIT;
    const char *seed = option(command, "seed");
    int mode = choice(command, "mode", "create existing create_new read_only salvage");
    if (mode >= 0) options.mode = mode;
    if (durability_of(command) >= 0) options.durability = durability_of(command);
    options.has_seed = seed == NULL || strcmp(seed, "none") != 0;
    if (options.has_seed) options.seed = number_option(command, "seed", 1);
    options.segment_bytes = number_option(command, "segment", options.segment_bytes);
    options.max_payload_bytes =
        (uint32_t)number_option(command, "max_payload", options.max_payload_bytes);
    options.restarts = (uint32_t)number_option(command, "restarts", options.restarts);
    options.restart_window_ms =
        (uint32_t)number_option(command, "restart_window", options.restart_window_ms);
    return options;
}

static batpak_status open_store(const char *name, const char *path, batpak_options options) {
    batpak_store *store;
    batpak_status status =
        batpak_store_open(path, BATPAK_NUL_TERMINATED, &options, &store, NULL);
    if (status != BATPAK_OK) return status;
    struct handle *handle = handle_named(name);
    if (handle == NULL) {
        if (handle_count == MOST_HANDLES) malformed("too many handles", name);
        handle = &handles[handle_count++];
    } else {
        batpak_store_close(handle->store, NULL);
    }
    *handle = (struct handle){
        copy_of(&of_script, name), copy_of(&of_script, path), store, options};
    emit("ok\n");
    return BATPAK_OK;
}

/* Closes the store; from then on the handle is null, which closing takes and nothing else does. */
static batpak_status close_store(struct handle *handle) {
    batpak_store *store = handle->store;
    handle->store = NULL;
    return batpak_store_close(store, NULL);
}

static batpak_status reopen(const struct command *command, struct handle *handle) {
    static const char *const keys[] = {"mode", "seed", "segment", "max_payload", "durability",
                                       "restarts", "restart_window", "path"};
    const char *path = handle->path;
    batpak_options options = handle->options;
    batpak_status status = close_store(handle);
    if (status != BATPAK_OK) return status;
    for (size_t at = 0; at < sizeof keys / sizeof *keys; at++) {
        if (option(command, keys[at]) == NULL) continue;
        const char *given = option(command, "path");
        options = options_of(command);
        path = path_of(&of_command, given == NULL ? "store" : given);
    }
    return open_store(handle->name, path, options);
}

static batpak_new_event event_of(const struct command *item) {
    batpak_new_event event = BATPAK_NEW_EVENT_INIT;
    const char *expected = option(item, "expect"), *cause = option(item, "cause");
    batpak_extension *extensions = take(&of_command, MOST_OPTIONS * sizeof *extensions);
    event.entity = text_of(word(item, 1));
    event.scope = text_of(word(item, 2));
    event.kind = (uint32_t)number_of(word(item, 3));
    event.payload = payload_of(word(item, 4));
    if (option(item, "id") != NULL) event.id = id_of(option(item, "id"));
    if (option(item, "corr") != NULL) event.correlation = id_of(option(item, "corr"));
    if (cause != NULL && *cause == '#') {
        event.causation = BATPAK_CAUSATION_ITEM;
        event.causation_item = (uint32_t)number_of(cause + 1);
    } else if (cause != NULL) {
        event.causation = BATPAK_CAUSATION_EVENT;
        event.causation_id = id_of(cause);
    }
    if (expected != NULL && strcmp(expected, "none") == 0) {
        event.expected = BATPAK_EXPECTED_NO_STREAM;
    } else if (expected != NULL && strcmp(expected, "any") != 0) {
        event.expected = BATPAK_EXPECTED_EXACT;
        event.expected_clock = (uint32_t)number_of(expected);
    }
    event.lane = (uint32_t)number_option(item, "lane", 0);
    event.depth = (uint32_t)number_option(item, "depth", 0);
    event.flags = (uint32_t)number_option(item, "flags", 0);
    event.payload_version = (uint32_t)number_option(item, "version", 0);
    event.has_timestamp = option(item, "time") != NULL;
    if (event.has_timestamp) event.timestamp_us = strtoll(option(item, "time"), NULL, 10);
    event.extensions = extensions;
    for (int at = 0; at < item->option_count; at++) {
        if (strcmp(item->options[at].key, "ext") != 0) continue;
        char *key = copy_of(&of_command, item->options[at].value), *value = strchr(key, ':');
        if (value == NULL) malformed("an extension is key:value", key);
        *value++ = 0;
        extensions[event.extension_count].key = text_of(key);
        extensions[event.extension_count++].value =
            strncmp(value, "zeros:", 6) == 0 ? payload_of(value) : bytes_of(value);
    }
    return event;
}

static int32_t check(void *user_data, const batpak_new_event *event, batpak_refusal *refusal) {
    const struct gate *gate = user_data;
    if (!gate->always && event->payload.length <= gate->most_bytes) return BATPAK_VERDICT_PERMIT;
    memcpy(refusal->code, gate->code.data, gate->code.length);
    memcpy(refusal->message, gate->message.data, gate->message.length);
    return BATPAK_VERDICT_DENY;
}

/* The texts of a gate outlive the command that adds it, up to the next append. */
static batpak_text lasting(batpak_text text) {
    char *target = take(&of_script, text.length + 1);
    memcpy(target, text.data, text.length);
    return (batpak_text){target, text.length};
}

static void add_gate(const struct command *command) {
    struct gate gate = {lasting(text_of(word(command, 1))), {"TOO_BIG", 7}, {"too big", 7}, 0,
                        UINT64_MAX};
    if (strcmp(word(command, 2), "max_payload") == 0) {
        gate.most_bytes = number_of(word(command, 3));
    } else if (strcmp(word(command, 2), "deny") == 0) {
        gate.always = 1;
        gate.code = lasting(text_of(word(command, 3)));
        gate.message = lasting(text_of(word(command, 4)));
    } else if (strcmp(word(command, 2), "permit") != 0) {
        malformed("no such gate", word(command, 2));
    }
    if (gate_count == MOST_GATES) malformed("too many gates", word(command, 1));
    gates[gate_count++] = gate;
}

static batpak_status append(const struct command *command, const batpak_store *store,
                            const batpak_new_event *events, size_t count) {
    batpak_receipt *receipts = take(&of_command, (count + 1) * sizeof *receipts);
    batpak_gate asked[MOST_GATES];
    int asked_count = gate_count, level = durability_of(command);
    for (int at = 0; at < gate_count; at++) {
        asked[at] = (batpak_gate)BATPAK_GATE_INIT;
        asked[at].name = gates[at].name;
        asked[at].check = check;
        asked[at].user_data = &gates[at];
    }
    gate_count = 0;
    batpak_status status =
        asked_count == 0
            ? batpak_store_append(store, events, count, level, receipts, NULL)
            : batpak_store_append_gated(store, events, count, asked, (size_t)asked_count,
                                        gate_mode, record_denial, level, receipts, NULL);
    for (size_t at = 0; status == BATPAK_OK && at < count; at++) {
        char name[32], id[33];
        for (int byte = 0; byte < 16; byte++)
            sprintf(id + 2 * byte, "%02x", receipts[at].id.bytes[byte]);
        snprintf(name, sizeof name, "id:%" PRIu64, receipts[at].sequence);
        define(name, id);
        emit("ok seq=%" PRIu64 " clock=%" PRIu32 " id=%s hash=", receipts[at].sequence,
             receipts[at].clock, id);
        emit_hex(receipts[at].hash.bytes, 32);
        emit(receipts[at].duplicate ? " duplicate\n" : "\n");
    }
    return status;
}

static batpak_status fill(const struct command *command, const batpak_store *store) {
    uint64_t count = number_of(word(command, 1)), entities = number_option(command, "entities", 0);
    uint64_t lanes = number_option(command, "lanes", 1), batch = number_option(command, "batch", 1);
    size_t bytes = number_of(word(command, 5));
    batpak_text entity = text_of(word(command, 2)), scope = text_of(word(command, 3));
    uint32_t kind = (uint32_t)number_of(word(command, 4));
    int32_t level = durability_of(command);
    for (uint64_t done = 0; done < count;) {
        struct block *of_group = NULL;
        size_t group = count - done < batch ? count - done : batch;
        batpak_new_event *events = take(&of_group, group * sizeof *events);
        for (size_t at = 0; at < group; at++, done++) {
            uint8_t *payload = take(&of_group, bytes + 1);
            char *name = take(&of_group, entity.length + 24);
            memcpy(name, entity.data, entity.length);
            size_t length = entity.length;
            if (entities > 0)
                length += (size_t)sprintf(name + length, ":%" PRIu64, done % entities);
            memset(payload, (int)(done % 251), bytes);
            events[at] = (batpak_new_event)BATPAK_NEW_EVENT_INIT;
            events[at].entity = (batpak_text){name, length};
            events[at].scope = scope;
            events[at].kind = kind;
            events[at].payload = (batpak_bytes){payload, bytes};
            events[at].lane = (uint32_t)(done % lanes);
        }
        batpak_status status = batpak_store_append(store, events, group, level, NULL, NULL);
        release(&of_group);
        if (status != BATPAK_OK) return status;
    }
    emit("ok count=%" PRIu64 "\n", count);
    return BATPAK_OK;
}

static void emit_short(const batpak_event *event) {
    emit("%" PRIu64 " ", event->sequence), emit_text(event->entity);
    emit(" "), emit_text(event->scope);
    emit(" 0x%04x clock=%" PRIu32 " lane=%" PRIu32 " payload=", event->kind, event->clock,
         event->lane);
    emit_payload(event->payload), emit("\n");
}

static batpak_status emit_event(const batpak_event *event) {
    static const batpak_id none;
    emit("event seq=%" PRIu64 " id=", event->sequence), emit_hex(event->id.bytes, 16);
    emit(" entity="), emit_text(event->entity), emit(" scope="), emit_text(event->scope);
    emit(" kind=0x%04x clock=%" PRIu32 " lane=%" PRIu32 " depth=%" PRIu32, event->kind,
         event->clock, event->lane, event->depth);
    emit(" flags=%d version=%d time=%" PRId64 " wall=%" PRId64, event->flags,
         event->payload_version, event->timestamp_us, event->wall_us);
    emit(" corr="), emit_hex(event->correlation.bytes, 16), emit(" cause=");
    if (memcmp(&event->causation, &none, 16) == 0) emit("-");
    else emit_hex(event->causation.bytes, 16);
    emit(" prev="), emit_hex(event->prev_hash.bytes, 32);
    emit(" hash="), emit_hex(event->hash.bytes, 32);
    emit(event->extensions.length == 0 ? " ext=-" : " ext=");
    size_t position = 0, count = 1;
    while (position < event->extensions.length) {
        batpak_extension extension;
        if (position > 0) emit(",");
        batpak_status status = batpak_extension_next(event->extensions.data,
            event->extensions.length, &position, &extension, &count, NULL);
        if (status != BATPAK_OK) return status;
        emit_bytes(extension.key.data, extension.key.length);
        emit(":"), emit_hex(extension.value.data, extension.value.length);
    }
    emit(" payload=");
    if (event->is_erased) emit("erased");
    else emit_payload(event->payload);
    emit("\n");
    return BATPAK_OK;
}

static batpak_status show_one(batpak_status status, batpak_view *view, const batpak_event *events,
                              size_t count) {
    if (status != BATPAK_OK) return status;
    if (count == 0) emit("none\n");
    else status = emit_event(events);
    batpak_status released = batpak_view_release(view, NULL);
    return status != BATPAK_OK ? status : released;
}

static batpak_query query_of(const struct command *command) {
    batpak_query query = BATPAK_QUERY_INIT;
    const char *clocks = option(command, "clocks"), *value;
    if (choice(command, "direction", "forward backward") == 1)
        query.direction = BATPAK_DIRECTION_BACKWARD;
    if ((value = option(command, "entity")) != NULL)
        query.parts |= BATPAK_QUERY_ENTITY, query.entity = text_of(value);
    else if ((value = option(command, "prefix")) != NULL)
        query.parts |= BATPAK_QUERY_PREFIX, query.entity = text_of(value);
    if ((value = option(command, "scope")) != NULL)
        query.parts |= BATPAK_QUERY_SCOPE, query.scope = text_of(value);
    if ((value = option(command, "kind")) != NULL)
        query.parts |= BATPAK_QUERY_KIND, query.kind = (uint32_t)number_of(value);
    else if ((value = option(command, "category")) != NULL)
        query.parts |= BATPAK_QUERY_CATEGORY, query.kind = (uint32_t)number_of(value);
    if ((value = option(command, "lane")) != NULL)
        query.parts |= BATPAK_QUERY_LANE, query.lane = (uint32_t)number_of(value);
    if ((value = option(command, "from")) != NULL)
        query.parts |= BATPAK_QUERY_FROM, query.from = number_of(value);
    if ((value = option(command, "limit")) != NULL)
        query.parts |= BATPAK_QUERY_LIMIT, query.limit = number_of(value);
    if (clocks != NULL) {
        query.parts |= BATPAK_QUERY_CLOCKS;
        if (sscanf(clocks, "%" SCNu32 "-%" SCNu32, &query.clock_first, &query.clock_last) != 2)
            malformed("not a range", clocks);
    }
    return query;
}

/* `read` takes views; `count` has the events copied to memory of its own. */
static batpak_status read_all(const struct command *command, const batpak_store *store, int show) {
    batpak_query query = query_of(command);
    batpak_scan *scan;
    size_t count = 1, total = 0, capacity = 4096, needed = 0;
    uint8_t *buffer = take(&of_command, capacity);
    batpak_status status = batpak_scan_open(store, &query, &scan, NULL);
    if (status != BATPAK_OK) return status;
    while (status == BATPAK_OK && (count > 0 || needed > 0)) {
        const batpak_event *events;
        batpak_view *view;
        if (!show) {
            if (needed > capacity) buffer = take(&of_command, capacity = needed);
            status = batpak_scan_read_into(scan, 1000, buffer, capacity, &count, &needed, NULL);
            if (status == BATPAK_OK) total += count;
            continue;
        }
        status = batpak_scan_next(scan, 7, 4096, &view, &events, &count, NULL);
        if (status != BATPAK_OK) break;
        for (size_t at = 0; at < count; at++) emit_short(&events[at]);
        total += count;
        status = batpak_view_release(view, NULL);
    }
    batpak_status closed = batpak_scan_close(scan, NULL);
    emit("end %zu\n", total);
    return status != BATPAK_OK ? status : closed;
}

static batpak_status page(const struct command *command, const batpak_store *store) {
    batpak_query query = query_of(command);
    size_t size = number_of(word(command, 1)), count = 1, total = 0;
    query.parts |= BATPAK_QUERY_LIMIT;
    query.limit = size;
    for (;;) {
        batpak_scan *scan;
        batpak_view *view;
        const batpak_event *events;
        batpak_status status = batpak_scan_open(store, &query, &scan, NULL);
        if (status != BATPAK_OK) return status;
        status = batpak_scan_next(scan, size, SIZE_MAX, &view, &events, &count, NULL);
        batpak_scan_close(scan, NULL);
        if (status != BATPAK_OK) return status;
        if (count == 0) break;
        uint64_t last = events[count - 1].sequence;
        emit("page %zu first=%" PRIu64 " last=%" PRIu64 "\n", count, events[0].sequence, last);
        if ((status = batpak_view_release(view, NULL)) != BATPAK_OK) return status;
        total += count;
        query.parts |= BATPAK_QUERY_FROM;
        if (query.direction == BATPAK_DIRECTION_BACKWARD && last == 0) break;
        query.from = query.direction == BATPAK_DIRECTION_BACKWARD ? last - 1 : last + 1;
    }
    emit("end %zu\n", total);
    return BATPAK_OK;
}

static batpak_status ancestors(const struct command *command, const batpak_store *store) {
    static const char *const names[] = {"genesis", "limit", "missing", "cycle"};
    batpak_id id = id_of(word(command, 1));
    int32_t link = choice(command, "via", "stream causation"), boundary;
    uint64_t limit = number_option(command, "limit", 1000);
    batpak_view *view;
    const batpak_event *events;
    size_t count;
    batpak_status status = batpak_store_ancestors(store, &id, link < 0 ? 0 : link, limit, &view,
                                                  &events, &count, &boundary, NULL);
    if (status != BATPAK_OK) return status;
    for (size_t at = 0; at < count; at++) {
        emit("%" PRIu64 " ", events[at].sequence);
        emit_hex(events[at].id.bytes, 16), emit("\n");
    }
    emit("boundary %s\n", names[boundary]);
    return batpak_view_release(view, NULL);
}

static struct fence *fence_named(const char *name) {
    for (int at = 0; at < fence_count; at++)
        if (strcmp(fences[at].name, name) == 0) return &fences[at];
    return NULL;
}

static batpak_status begin_fence(const struct command *command, const batpak_store *store) {
    batpak_fence_options options = BATPAK_FENCE_OPTIONS_INIT;
    const char *name = word(command, 1);
    batpak_fence *begun;
    options.memory_bytes = number_option(command, "memory", options.memory_bytes);
    batpak_status status = batpak_fence_begin(store, &options, &begun, NULL);
    if (status != BATPAK_OK) return status;
    struct fence *fence = fence_named(name);
    if (fence == NULL) {
        if (fence_count == MOST_HANDLES) malformed("too many fences", name);
        fence = &fences[fence_count++];
    } else if ((status = batpak_fence_close(fence->fence, NULL)) != BATPAK_OK) {
        return status;
    }
    *fence = (struct fence){copy_of(&of_script, name), begun};
    emit("ok\n");
    return BATPAK_OK;
}

static batpak_status show_staged(const struct command *command, const batpak_fence *fence) {
    uint64_t place = number_option(command, "from", 0), total;
    size_t size = number_option(command, "page", 100), count = 1;
    while (count > 0) {
        batpak_view *view;
        const batpak_event *events;
        batpak_status status =
            batpak_fence_read(fence, place, size, SIZE_MAX, &view, &events, &count, NULL);
        if (status != BATPAK_OK) return status;
        for (size_t at = 0; at < count && status == BATPAK_OK; at++)
            status = emit_event(&events[at]);
        batpak_status released = batpak_view_release(view, NULL);
        if (status != BATPAK_OK || released != BATPAK_OK)
            return status != BATPAK_OK ? status : released;
        place += count;
    }
    batpak_status status = batpak_fence_events(fence, &total, NULL);
    if (status == BATPAK_OK) emit("end %" PRIu64 "\n", total);
    return status;
}

/* What is done with a fence that is there: `events` are the items of `stage`. */
static batpak_status use_fence(const struct command *command, const batpak_new_event *events,
                               size_t count) {
    const char *verb = word(command, 0);
    const struct fence *named = fence_named(word(command, 1));
    if (named == NULL) malformed("no such fence", word(command, 1));
    batpak_status status;
    if (strcmp(verb, "stage") == 0) {
        uint64_t place;
        status = batpak_fence_append(named->fence, events, count, &place, NULL);
        if (status == BATPAK_OK) emit("ok place=%" PRIu64 "\n", place);
    } else if (strcmp(verb, "staged") == 0) {
        status = show_staged(command, named->fence);
    } else if (strcmp(verb, "commit") == 0) {
        batpak_committed committed = BATPAK_COMMITTED_INIT;
        status = batpak_fence_commit(named->fence, durability_of(command), &committed, NULL);
        if (status != BATPAK_OK) return status;
        emit("ok first=%" PRIu64 " events=%" PRIu64 "%s\n", committed.first_sequence,
             committed.events, committed.duplicate ? " duplicate" : "");
    } else {
        status = batpak_fence_cancel(named->fence, NULL);
        if (status == BATPAK_OK) emit("ok\n");
    }
    return status;
}

static void emit_damage(const batpak_verify_report *report, const batpak_finding *findings,
                        size_t capacity) {
    emit("damaged events=%" PRIu64 "\n", report->events);
    if (report->finding_count > capacity) malformed("too many findings for", "verify");
    for (size_t at = 0; at < report->finding_count; at++)
        emit("%s segment=%" PRIu64 " offset=%" PRIu64 "\n", batpak_finding_name(findings[at].kind),
             findings[at].segment, findings[at].offset);
}

static batpak_status verify(const batpak_store *store) {
    batpak_verify_report report = BATPAK_VERIFY_REPORT_INIT;
    size_t capacity = 1000;
    batpak_finding *findings = take(&of_command, capacity * sizeof *findings);
    batpak_status status = batpak_store_verify(store, &report, findings, capacity, NULL);
    if (status != BATPAK_OK) return status;
    if (!report.intact) return emit_damage(&report, findings, capacity), BATPAK_OK;
    emit("ok events=%" PRIu64 " root=", report.events), emit_hex(report.root.bytes, 32);
    if (report.dropped + report.tombstones > 0)
        emit(" dropped=%" PRIu64 " tombstones=%" PRIu64 " erased=%" PRIu64, report.dropped,
             report.tombstones, report.erased);
    emit("\n");
    return BATPAK_OK;
}

static int asked(const struct command *command, const char *key) {
    return choice(command, key, "no yes") == 1;
}

static void emit_drops(const batpak_dropped *drops, uint64_t count) {
    for (uint64_t at = 0; at < count; at++) {
        emit("drop segment=%" PRIu64 " offset=%" PRIu64 " seq=", drops[at].segment,
             drops[at].offset);
        if (drops[at].has_sequence) emit("%" PRIu64, drops[at].sequence);
        else emit("-");
        emit(" event=%s\n", drops[at].is_event ? "yes" : "no");
    }
}

static batpak_status import_store(const struct command *command, const batpak_store *store) {
    batpak_import_options options = BATPAK_IMPORT_OPTIONS_INIT;
    batpak_import_report report = BATPAK_IMPORT_REPORT_INIT;
    batpak_query query = query_of(command);
    batpak_dropped *drops = take(&of_command, BATPAK_MOST_DROPS * sizeof *drops);
    options.salvage = asked(command, "salvage");
    options.unvouched = asked(command, "unvouched");
    options.decrypt = asked(command, "decrypt");
    batpak_status status = batpak_store_import(
        store, path_of(&of_command, word(command, 1)), BATPAK_NUL_TERMINATED, &query, &options,
        &report, drops, BATPAK_MOST_DROPS, NULL);
    if (status != BATPAK_OK) return status;
    emit("ok format=%" PRIu32 " imported=%" PRIu64 " already=%" PRIu64 " hidden=%" PRIu64,
         report.format, report.imported, report.already_there, report.hidden);
    emit(" outside=%" PRIu64 " dropped=%" PRIu64 " keys=%" PRIu64 " sequences=%s\n",
         report.outside, report.dropped, report.keys_without_events,
         report.sequences_kept ? "kept" : "new");
    emit_drops(drops, report.drop_count);
    return BATPAK_OK;
}

static batpak_status export_store(const struct command *command, const batpak_store *store) {
    batpak_export_options options = BATPAK_EXPORT_OPTIONS_INIT;
    batpak_export_report report = BATPAK_EXPORT_REPORT_INIT;
    batpak_query query = query_of(command);
    batpak_dropped *drops = take(&of_command, BATPAK_MOST_DROPS * sizeof *drops);
    options.plain = asked(command, "plain");
    options.segment_bytes = number_option(command, "segment", options.segment_bytes);
    batpak_status status = batpak_store_export(
        store, path_of(&of_command, word(command, 1)), BATPAK_NUL_TERMINATED, &query, &options,
        &report, drops, BATPAK_MOST_DROPS, NULL);
    if (status != BATPAK_OK) return status;
    emit("ok exported=%" PRIu64 " hidden=%" PRIu64 " dropped=%" PRIu64, report.exported,
         report.hidden, report.dropped);
    emit(" segments=%" PRIu64 " bytes=%" PRIu64 "\n", report.segments, report.bytes);
    emit_drops(drops, report.drop_count);
    return BATPAK_OK;
}

/* What the functions of a compaction go by: the predicate fails at a sequence, and keeps every so many
 * events; the compaction is cancelled at a step. */
struct compaction { uint64_t fails, every, steps, cancel; };

static int32_t keep(void *user_data, const batpak_event *event) {
    const struct compaction *own = user_data;
    if (event->sequence == own->fails) return -1;
    return event->sequence % own->every == 0 ? BATPAK_KEEP_YES : BATPAK_KEEP_NO;
}

static int32_t progress(void *user_data, const batpak_compact_progress *told) {
    struct compaction *own = user_data;
    (void)told;
    return ++own->steps == own->cancel;
}

static batpak_status compact(const struct command *command, const batpak_store *store) {
    batpak_compact_options options = BATPAK_COMPACT_OPTIONS_INIT;
    batpak_compact_report report = BATPAK_COMPACT_REPORT_INIT;
    batpak_retention retention = BATPAK_RETENTION_INIT;
    batpak_query region = query_of(command);
    struct compaction own = {number_option(command, "keep_fails", UINT64_MAX),
                             number_option(command, "keep_every", 1), 0,
                             number_option(command, "cancel", 0)};
    const char *older_than = option(command, "older_than");
    retention.region = &region;
    retention.has_before = option(command, "before") != NULL;
    retention.before = number_option(command, "before", 0);
    retention.has_older_than = older_than != NULL;
    if (older_than != NULL) retention.older_than_us = strtoll(older_than, NULL, 10);
    retention.has_newest_per_entity = option(command, "newest") != NULL;
    retention.newest_per_entity = number_option(command, "newest", 0);
    if (option(command, "keep_fails") != NULL || option(command, "keep_every") != NULL)
        retention.keep = keep;
    retention.keep_user_data = &own;
    if (option(command, "unwanted") != NULL)
        retention.unwanted = choice(command, "unwanted", "drop tombstone erase");
    retention.key_window = number_option(command, "window", retention.key_window);
    retention.key_most = number_option(command, "most", retention.key_most);
    if (option(command, "overflow") != NULL)
        retention.key_overflow = choice(command, "overflow", "warn refuse");
    if (strcmp(word(command, 0), "retain") == 0) options.retention = &retention;
    options.bytes_per_second = number_option(command, "rate", 0);
    options.progress = progress;
    options.progress_user_data = &own;
    batpak_status status = batpak_store_compact(store, &options, &report, NULL);
    if (status != BATPAK_OK) return status;
    emit("ok dropped=%" PRIu64 " tombstones=%" PRIu64 " keys=%" PRIu64 " over=%" PRIu64,
         report.events_dropped, report.tombstones, report.keys_kept, report.keys_over);
    emit(" segments=%" PRIu64 "/%" PRIu64 " bytes=%" PRIu64 "/%" PRIu64, report.segments_after,
         report.segments_before, report.bytes_after, report.bytes_before);
    emit(" replaced=%" PRIu64 " written=%" PRIu64 "\n", report.segments_replaced,
         report.segments_written);
    return BATPAK_OK;
}

static void emit_copy(const batpak_copy_report *report) {
    emit("ok events=%" PRIu64 " root=", report->events), emit_hex(report->root.bytes, 32);
    emit(" segments=%" PRIu64 " linked=%" PRIu64 " copied=%" PRIu64 " bytes=%" PRIu64 "\n",
         report->segments, report->linked, report->copied, report->bytes_copied);
}

static batpak_status snapshot(const struct command *command, const batpak_store *store) {
    batpak_snapshot_options options = BATPAK_SNAPSHOT_OPTIONS_INIT;
    batpak_copy_report report = BATPAK_COPY_REPORT_INIT;
    const char *earlier = option(command, "earlier");
    options.independent = asked(command, "independent");
    if (earlier != NULL)
        options.earlier = (batpak_text){path_of(&of_command, earlier), BATPAK_NUL_TERMINATED};
    batpak_status status = batpak_store_snapshot(store, path_of(&of_command, word(command, 1)),
                                                 BATPAK_NUL_TERMINATED, &options, &report, NULL);
    if (status == BATPAK_OK) emit_copy(&report);
    return status;
}

static batpak_status fork_store(const struct command *command, const batpak_store *store) {
    batpak_fork_options options = BATPAK_FORK_OPTIONS_INIT;
    batpak_copy_report report = BATPAK_COPY_REPORT_INIT;
    options.independent = asked(command, "independent");
    options.has_at = option(command, "at") != NULL;
    options.at = number_option(command, "at", 0);
    batpak_status status = batpak_store_fork(store, path_of(&of_command, word(command, 1)),
                                             BATPAK_NUL_TERMINATED, &options, &report, NULL);
    if (status == BATPAK_OK) emit_copy(&report);
    return status;
}

/* The account of a repair, of which the runs are asked for by their counts. */
static batpak_status emit_repaired(const batpak_repaired *repaired) {
    batpak_repair_report report = BATPAK_REPAIR_REPORT_INIT;
    batpak_verify_report verified = BATPAK_VERIFY_REPORT_INIT;
    batpak_status status = batpak_repaired_report(repaired, &report, NULL);
    if (status != BATPAK_OK) return status;
    batpak_lost_events *lost = take(&of_command, (report.lost_count + 1) * sizeof *lost);
    batpak_left_out *left = take(&of_command, (report.left_out_count + 1) * sizeof *left);
    status = batpak_repaired_verification(repaired, &verified, NULL, 0, NULL);
    if (status == BATPAK_OK) status = batpak_repaired_lost(repaired, lost, report.lost_count, NULL);
    if (status == BATPAK_OK)
        status = batpak_repaired_left_out(repaired, left, report.left_out_count, NULL);
    if (status != BATPAK_OK) return status;
    emit("ok source="), emit_hex(report.source.bytes, 16);
    emit(" store="), emit_hex(report.store_id.bytes, 16);
    emit(" kept=%" PRIu64 " appended=%" PRIu64 " dropped=%" PRIu64 " lost=%" PRIu64, report.kept,
         report.appended, report.dropped, report.lost);
    emit(" intact=%s\n", verified.intact ? "yes" : "no");
    for (uint64_t at = 0; at < report.lost_count; at++)
        emit("lost first=%" PRIu64 " events=%" PRIu64 "\n", lost[at].first_sequence,
             lost[at].events);
    for (uint64_t at = 0; at < report.left_out_count; at++) {
        emit("left segment=%" PRIu64 " offset=%" PRIu64 " bytes=%" PRIu64, left[at].segment,
             left[at].offset, left[at].bytes);
        emit(" first=%" PRIu64 " events=%" PRIu64 "\n", left[at].first_sequence, left[at].events);
    }
    return BATPAK_OK;
}

static batpak_status repair(const struct command *command) {
    batpak_repair_options options = BATPAK_REPAIR_OPTIONS_INIT;
    batpak_repaired *repaired;
    options.keep_altered = asked(command, "keep_altered");
    options.max_lost = number_option(command, "max_lost", options.max_lost);
    options.segment_bytes = number_option(command, "segment", options.segment_bytes);
    options.has_seed = 1;
    options.seed = number_option(command, "seed", 1);
    const char *from = path_of(&of_command, word(command, 1));
    const char *to = path_of(&of_command, word(command, 2));
    batpak_status status = batpak_repair(from, BATPAK_NUL_TERMINATED, to, BATPAK_NUL_TERMINATED,
                                         &options, &repaired, NULL);
    if (status != BATPAK_OK) return status;
    status = emit_repaired(repaired);
    batpak_status released = batpak_repaired_release(repaired, NULL);
    return status != BATPAK_OK ? status : released;
}

static void emit_diff(const batpak_diff *diff) {
    emit("common=%" PRIu64 " ours=%" PRIu64 " theirs=%" PRIu64 "\n", diff->common, diff->ours,
         diff->theirs);
}

static batpak_status show_diff(const struct command *command, const batpak_store *store) {
    batpak_diff diff = BATPAK_DIFF_INIT;
    batpak_status status = batpak_store_diff(store, path_of(&of_command, word(command, 1)),
                                             BATPAK_NUL_TERMINATED, &diff, NULL);
    if (status == BATPAK_OK) emit_diff(&diff);
    return status;
}

static batpak_status verify_snapshot(const struct command *command, const batpak_store *store) {
    batpak_verify_report report = BATPAK_VERIFY_REPORT_INIT;
    batpak_diff diff = BATPAK_DIFF_INIT;
    size_t capacity = 1000;
    batpak_finding *findings = take(&of_command, capacity * sizeof *findings);
    int32_t is_prefix;
    batpak_status status = batpak_store_verify_snapshot(
        store, path_of(&of_command, word(command, 1)), BATPAK_NUL_TERMINATED, &report, findings,
        capacity, &is_prefix, &diff, NULL);
    if (status != BATPAK_OK) return status;
    if (!report.intact) return emit_damage(&report, findings, capacity), BATPAK_OK;
    emit(is_prefix ? "prefix " : diff.common == diff.ours ? "ahead " : "parted ");
    emit_diff(&diff);
    return BATPAK_OK;
}

static batpak_status show_parent(const batpak_store *store) {
    batpak_parent parent;
    size_t count;
    batpak_status status = batpak_store_parent(store, &parent, &count, NULL);
    if (status != BATPAK_OK) return status;
    if (count == 0) return emit("none\n"), BATPAK_OK;
    emit("store="), emit_hex(parent.store_id.bytes, 16);
    emit(" events=%" PRIu64 " root=", parent.events);
    emit_hex(parent.root.bytes, 32), emit("\n");
    return BATPAK_OK;
}

/* Asks for the length first, then for the bytes. */
static batpak_status cover(const struct command *command, const batpak_store *store) {
    uint64_t sequence = number_of(word(command, 1));
    size_t length;
    batpak_status status = batpak_store_receipt_cover_0x(store, sequence, NULL, 0, &length, NULL);
    if (status != BATPAK_OK) return status;
    uint8_t *bytes = take(&of_command, length);
    status = batpak_store_receipt_cover_0x(store, sequence, bytes, length, &length, NULL);
    if (status != BATPAK_OK) return status;
    emit_payload((batpak_bytes){bytes, length}), emit("\n");
    return BATPAK_OK;
}

static void emit_report(const batpak_open_report *report) {
    emit("created=%s clean=%s events=%" PRIu64 " segments=%" PRIu64 " cut=%" PRIu64,
         report->created ? "yes" : "no", report->clean ? "yes" : "no", report->events,
         report->segments, report->cut_bytes);
    emit(" removed=%" PRIu64 " ignored=%" PRIu64 " damage=%" PRIu64, report->removed_count,
         report->ignored_count, report->damage_count);
    emit(" format=%" PRIu32 " hidden=%" PRIu64 "\n", report->format, report->hidden);
}

static batpak_status inspect(const struct command *command) {
    batpak_inspection *inspection;
    batpak_directory_state state = BATPAK_DIRECTORY_STATE_INIT;
    batpak_open_report report = BATPAK_OPEN_REPORT_INIT;
    batpak_error refusal = BATPAK_ERROR_INIT;
    batpak_status status = batpak_inspect(path_of(&of_command, word(command, 1)),
                                          BATPAK_NUL_TERMINATED, &inspection, NULL);
    if (status != BATPAK_OK) return status;
    batpak_status asked = batpak_inspection_state(inspection, &state, NULL);
    if (asked == BATPAK_OK) asked = batpak_inspection_refusal(inspection, &refusal, NULL);
    if (asked == BATPAK_OK) asked = batpak_inspection_report(inspection, &report, NULL);
    status = batpak_inspection_release(inspection, NULL);
    if (asked != BATPAK_OK) return asked;
    emit("opening=%s refusal=%s bytes=%" PRIu64 " ", batpak_opening_name(state.opening),
         refusal.kind == BATPAK_OK ? "-" : batpak_status_name(refusal.kind), state.bytes);
    emit_report(&report);
    return status;
}

static batpak_status show_state(const char *verb, const struct command *command,
                                const batpak_store *store) {
    batpak_head head;
    batpak_stream_head stream;
    batpak_frontier frontier = BATPAK_FRONTIER_INIT;
    batpak_stats stats = BATPAK_STATS_INIT;
    batpak_open_report report = BATPAK_OPEN_REPORT_INIT;
    batpak_status status;
    size_t count;
    uint64_t visible;
    if (strcmp(verb, "head") == 0) {
        const char *at = option(command, "at");
        status = at ? batpak_store_head_at(store, number_of(at), &head, NULL)
                    : batpak_store_head(store, &head, NULL);
        if (status != BATPAK_OK) return status;
        emit("events=%" PRIu64 " last=", head.events), emit_hex(head.last_hash.bytes, 32);
        emit(" root="), emit_hex(head.root.bytes, 32), emit("\n");
    } else if (strcmp(verb, "stream") == 0) {
        batpak_text entity = text_of(word(command, 1));
        status = batpak_store_stream_head(store, entity.data, entity.length,
            (uint32_t)number_of(word(command, 2)), &stream, &count, NULL);
        if (status != BATPAK_OK) return status;
        if (count == 0) return emit("none\n"), BATPAK_OK;
        emit("clock=%" PRIu32 " seq=%" PRIu64 " hash=", stream.clock, stream.sequence);
        emit_hex(stream.hash.bytes, 32), emit("\n");
    } else if (strcmp(verb, "frontier") == 0) {
        if ((status = batpak_store_frontier(store, &frontier, NULL)) != BATPAK_OK) return status;
        emit("accepted=%" PRIu64 " written=%" PRIu64 " durable=%" PRIu64 " visible=%" PRIu64 "\n",
             frontier.accepted, frontier.written, frontier.durable, frontier.visible);
    } else if (strcmp(verb, "stats") == 0) {
        if ((status = batpak_store_stats(store, &stats, NULL)) != BATPAK_OK) return status;
        emit("events=%" PRIu64 " segments=%" PRIu64 " entities=%" PRIu64 " streams=%" PRIu64 "\n",
             stats.events, stats.segments, stats.entities, stats.streams);
    } else if (strcmp(verb, "report") == 0) {
        if ((status = batpak_store_report(store, &report, NULL)) != BATPAK_OK) return status;
        emit_report(&report);
    } else {
        status = strcmp(verb, "refresh") == 0
                     ? batpak_store_refresh(store, &visible, NULL)
                     : batpak_store_wait(store, number_of(word(command, 1)),
                                         number_of(word(command, 2)), &visible, NULL);
        if (status != BATPAK_OK) return status;
        emit("visible=%" PRIu64 "\n", visible);
    }
    return BATPAK_OK;
}

static int is_one_of(const char *verb, const char *list) {
    size_t length = strlen(verb);
    for (const char *at = strstr(list, verb); at != NULL; at = strstr(at + 1, verb))
        if ((at == list || at[-1] == ' ') && (at[length] == ' ' || at[length] == 0)) return 1;
    return 0;
}

/* The events of the items behind a command. */
static batpak_new_event *events_of(char *const *items, size_t count) {
    batpak_new_event *events = take(&of_command, (count + 1) * sizeof *events);
    for (size_t at = 0; at < count; at++) events[at] = event_of(parse(items[at]));
    return events;
}

/* Runs a command with its items, if it has any. */
static batpak_status run(char *const *lines, size_t line_count) {
    const struct command *command = parse(lines[0]);
    const char *verb = word(command, 0);
    if (strcmp(verb, "let") == 0) return define(word(command, 1), word(command, 2)), BATPAK_OK;
    if (strcmp(verb, "gate") == 0) return add_gate(command), BATPAK_OK;
    if (strcmp(verb, "gates") == 0) {
        gate_mode = choice(command, "mode", "fail_fast all") == 1 ? BATPAK_GATE_MODE_ALL
                                                                  : BATPAK_GATE_MODE_FAIL_FAST;
        record_denial = choice(command, "record", "no yes") == 1;
        return BATPAK_OK;
    }
    if (strcmp(verb, "kinds") == 0) {
        for (int32_t kind = 1; batpak_status_retry(kind) != BATPAK_RETRY_UNKNOWN; kind++)
            emit("%" PRId32 " %s %s\n", kind, batpak_status_name(kind),
                 batpak_retry_name(batpak_status_retry(kind)));
        return BATPAK_OK;
    }
    if (strcmp(verb, "open") == 0) {
        const char *name = option(command, "as"), *path = option(command, "path");
        return open_store(name == NULL ? "a" : name,
                          path_of(&of_command, path == NULL ? "store" : path), options_of(command));
    }
    if (strcmp(verb, "inspect") == 0) return inspect(command);
    if (strcmp(verb, "repair") == 0) return repair(command);
    if (change_file(verb, command)) return BATPAK_OK;
    if (is_one_of(verb, "stage staged commit cancel"))
        return use_fence(command, events_of(lines + 1, line_count - 1), line_count - 1);

    const char *name = option(command, "on");
    struct handle *handle = handle_named(name == NULL ? "a" : name);
    if (handle == NULL) malformed("never opened, for", verb);
    const batpak_store *store = handle->store;
    batpak_view *view = NULL;
    const batpak_event *events = NULL;
    size_t count = 0;
    if (strcmp(verb, "reopen") == 0) return reopen(command, handle);
    if (strcmp(verb, "append") == 0 || strcmp(verb, "batch") == 0) {
        size_t from = verb[0] == 'b', count = line_count - from;
        return append(command, store, events_of(lines + from, count), count);
    }
    if (strcmp(verb, "fence") == 0) return begin_fence(command, store);
    if (strcmp(verb, "fill") == 0) return fill(command, store);
    if (strcmp(verb, "get") == 0) {
        batpak_id id = id_of(word(command, 1));
        batpak_status status = batpak_store_get(store, &id, &view, &events, &count, NULL);
        return show_one(status, view, events, count);
    }
    if (strcmp(verb, "at") == 0) {
        uint64_t sequence = number_of(word(command, 1));
        batpak_status status = batpak_store_at(store, sequence, &view, &events, &count, NULL);
        return show_one(status, view, events, count);
    }
    if (strcmp(verb, "read") == 0) return read_all(command, store, 1);
    if (strcmp(verb, "count") == 0) return read_all(command, store, 0);
    if (strcmp(verb, "page") == 0) return page(command, store);
    if (strcmp(verb, "ancestors") == 0) return ancestors(command, store);
    if (strcmp(verb, "verify") == 0) return verify(store);
    if (strcmp(verb, "import") == 0) return import_store(command, store);
    if (strcmp(verb, "export") == 0) return export_store(command, store);
    if (strcmp(verb, "cover") == 0) return cover(command, store);
    if (is_one_of(verb, "compact retain")) return compact(command, store);
    if (strcmp(verb, "snapshot") == 0) return snapshot(command, store);
    if (strcmp(verb, "verify_snapshot") == 0) return verify_snapshot(command, store);
    if (strcmp(verb, "fork") == 0) return fork_store(command, store);
    if (strcmp(verb, "diff") == 0) return show_diff(command, store);
    if (strcmp(verb, "parent") == 0) return show_parent(store);
    if (is_one_of(verb, "head stream frontier stats report refresh wait"))
        return show_state(verb, command, store);
    batpak_status status = BATPAK_OK;
    if (strcmp(verb, "close") == 0) status = close_store(handle);
    else if (strcmp(verb, "flush") == 0) status = batpak_store_flush(store, NULL);
    else if (strcmp(verb, "sync") == 0) status = batpak_store_sync(store, NULL);
    else malformed("no such command", verb);
    if (status == BATPAK_OK) emit("ok\n");
    return status;
}

/* Ends a section. Whether closing works is asked by scripts that say `close`. */
static void close_all(void) {
    for (; fence_count > 0; fence_count--) batpak_fence_close(fences[fence_count - 1].fence, NULL);
    for (; handle_count > 0; handle_count--) close_store(&handles[handle_count - 1]);
}

#endif
