/*
 * batpak.h: an embedded, append-only, tamper-evident event log.
 *
 * Generated from the library's sources. The rules below hold for every function; the comment of a
 * function adds only what is its own.
 *
 * Results. Every function that can fail returns a batpak_status: BATPAK_OK, or a number that is
 * the same in every language and never changes its meaning. The last parameter is a batpak_error
 * of the caller's, or null: it gets the details when the status is not BATPAK_OK, and there is
 * nothing to free. Outputs are written only on BATPAK_OK. "Nothing there" is no error: a count of
 * 0 says so.
 *
 * Handles. batpak_store, batpak_inspection, batpak_repaired, batpak_ticket, batpak_scan,
 * batpak_follow, batpak_fence and batpak_view are numbers in the shape of pointers; they point
 * nowhere. Each use is checked: a handle that is null, was closed, is of another type or was never
 * given out gives BATPAK_BAD_HANDLE and does nothing else.
 * Closing and releasing take null for nothing to do. A handle is closed once, whatever the status
 * of closing it. There are at most 262,144 at a time.
 *
 * Threads. A parameter that is a const handle can be used by any number of threads at once; one
 * that is not const takes one thread at a time, and closing is allowed while other calls run. A
 * function of the caller's runs on the thread of the call that it is handed to, before that
 * returns; only the one of batpak_store_append_then runs later and on other threads.
 *
 * Structs. A struct that begins with struct_size may get fields at its end in later versions:
 * initialise it with its _INIT macro. A smaller struct_size is an older caller: the missing fields
 * have their defaults, and results are written as far as they fit. A larger one is a later caller:
 * what this library does not know must be zero in an argument, which otherwise gives
 * BATPAK_UNSUPPORTED, and is left alone in a result. No other struct ever changes. Fields called
 * reserved are zero; one that is handed in and is not gives BATPAK_UNSUPPORTED.
 *
 * Pointers. Arguments are read during the call and not kept. A pointer may be null only when its
 * length is 0 or its comment says so; anything else gives BATPAK_INVALID_ARGUMENT. Texts are
 * UTF-8 with a length in bytes; the length BATPAK_NUL_TERMINATED stands for "up to the NUL".
 * Enums are passed as int32_t, and a number that is none of the values gives
 * BATPAK_INVALID_ARGUMENT.
 *
 * Views. Functions that read hand out an array of batpak_event that points into the library's
 * memory, without a copy, and a view that keeps this memory: nothing of it may be written, and
 * all of it is gone with batpak_view_release. A view outlives its scan, follow, fence and store.
 *
 * Forks. In a child process every inherited store gives BATPAK_FORKED, and closing it there does
 * not touch the parent's. Open the store again in the child.
 *
 * Defects. A panic inside the library ends the call with BATPAK_PANIC, and further appends to that
 * store with BATPAK_POISONED until it is reopened. While events are committed, the store goes on by
 * itself instead, as often as the field restarts of batpak_options says. Functions of the caller's
 * must return to the library; they may not unwind through it.
 */


#ifndef BATPAK_H
#define BATPAK_H

#include <stddef.h>
#include <stdint.h>

/* Before each declaration; define it to import from a DLL or to export again. */
#ifndef BATPAK_API
#define BATPAK_API
#endif

/* The version of this header as batpak_version_number gives that of the library. */
#define BATPAK_VERSION_NUMBER 256u
#define BATPAK_VERSION_TEXT "0.1.0"

/* The length of a text that ends with a NUL. */
#define BATPAK_NUL_TERMINATED SIZE_MAX

/* The initial values of the structs that begin with their size. */
#define BATPAK_ERROR_INIT \
    {sizeof(batpak_error), 0, 0, 0, 0, 0, 0, 0, {0}}
#define BATPAK_OPTIONS_INIT \
    {sizeof(batpak_options), 0, 0, 16777216u, 67108864u, 1048576u, 100u, 0u, 0, 0, 0, 67108864u, \
     1u, 0u}
#define BATPAK_OPEN_REPORT_INIT \
    {sizeof(batpak_open_report), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
#define BATPAK_FRONTIER_INIT \
    {sizeof(batpak_frontier), 0, 0, 0, 0, 0}
#define BATPAK_STATS_INIT \
    {sizeof(batpak_stats), 0, 0, 0, 0, 0, 0, {{0}}, {{0}}}
#define BATPAK_DIRECTORY_STATE_INIT \
    {sizeof(batpak_directory_state), 0, 0, {{0}}, {{0}}}
#define BATPAK_VERIFY_REPORT_INIT \
    {sizeof(batpak_verify_report), 0, 0, 0, 0, {{0}}, {{0}}, 0, 0, 0}
#define BATPAK_IMPORT_OPTIONS_INIT \
    {sizeof(batpak_import_options), 0, 0, 0}
#define BATPAK_IMPORT_REPORT_INIT \
    {sizeof(batpak_import_report), 0, {{0}}, 0, 0, 0, 0, 0, 0, 0, 0, 0}
#define BATPAK_EXPORT_OPTIONS_INIT \
    {sizeof(batpak_export_options), 0, 67108864u}
#define BATPAK_EXPORT_REPORT_INIT \
    {sizeof(batpak_export_report), 0, 0, 0, 0, 0, 0, 0}
#define BATPAK_NEW_EVENT_INIT \
    {sizeof(batpak_new_event), 0, {0, 0}, {0, 0}, {0, 0}, {{0}}, {{0}}, {{0}}, 0, 0, 0, 0, \
     0, 0, 0, 0, 0, 0, 0, 0, 0}
#define BATPAK_GATE_INIT \
    {sizeof(batpak_gate), 0, {0, 0}, 0, 0}
#define BATPAK_GATE_OUTCOME_INIT \
    {sizeof(batpak_gate_outcome), 0, {0, 0}, {0, 0}, {0, 0}}
#define BATPAK_QUERY_INIT \
    {sizeof(batpak_query), 0, 0, 0, {0, 0}, {0, 0}, 0, 0, 0, 0, 0, 0}
#define BATPAK_FENCE_OPTIONS_INIT \
    {sizeof(batpak_fence_options), 0, 16777216u}
#define BATPAK_COMMITTED_INIT \
    {sizeof(batpak_committed), 0, 0, 0}
#define BATPAK_SNAPSHOT_OPTIONS_INIT \
    {sizeof(batpak_snapshot_options), 0, {0, 0}}
#define BATPAK_FORK_OPTIONS_INIT \
    {sizeof(batpak_fork_options), 0, 0, 0, 0}
#define BATPAK_COPY_REPORT_INIT \
    {sizeof(batpak_copy_report), 0, {{0}}, 0, {{0}}, 0, 0, 0, 0}
#define BATPAK_DIFF_INIT \
    {sizeof(batpak_diff), 0, 0, 0, 0}
#define BATPAK_RETENTION_INIT \
    {sizeof(batpak_retention), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1048576u, 1048576u}
#define BATPAK_COMPACT_OPTIONS_INIT \
    {sizeof(batpak_compact_options), 0, 0, 0, 0, 0}
#define BATPAK_COMPACT_REPORT_INIT \
    {sizeof(batpak_compact_report), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
#define BATPAK_REPAIR_OPTIONS_INIT \
    {sizeof(batpak_repair_options), 0, 16777216u, 67108864u, 0, 0, 0}
#define BATPAK_REPAIR_REPORT_INIT \
    {sizeof(batpak_repair_report), 0, {{0}}, {{0}}, 0, 0, 0, 0, 0, 0, 0}


/**
 * The version of this header: major.
 */
#define BATPAK_VERSION_MAJOR 0

/**
 * The version of this header: minor.
 */
#define BATPAK_VERSION_MINOR 1

/**
 * The version of this header: patch.
 */
#define BATPAK_VERSION_PATCH 0

/**
 * The number of the binary interface. It changes when, and only when, a program compiled with an
 * earlier header stops working.
 */
#define BATPAK_ABI_VERSION 0

/**
 * The size of the message in a batpak_error, its NUL included.
 */
#define BATPAK_ERROR_MESSAGE_BYTES 472

/**
 * The size of the code in a batpak_refusal, its NUL included.
 */
#define BATPAK_REFUSAL_CODE_BYTES 64

/**
 * The size of the message in a batpak_refusal, its NUL included.
 */
#define BATPAK_REFUSAL_MESSAGE_BYTES 440

/**
 * The size of the message in a batpak_finding, its NUL included.
 */
#define BATPAK_FINDING_MESSAGE_BYTES 232

/**
 * The most drops that an import or an export tells of.
 */
#define BATPAK_MOST_DROPS 1000

/**
 * The size of the reason in a batpak_dropped, its NUL included.
 */
#define BATPAK_DROP_REASON_BYTES 224

/**
 * The size of the reason in a batpak_left_out, its NUL included.
 */
#define BATPAK_LEFT_OUT_REASON_BYTES 216

/**
 * The statuses. The numbers are the same in every language, and none is ever given to another
 * meaning; a later library may return numbers that are not in this list.
 */
enum batpak_status_code
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * The call did what was asked.
     */
    BATPAK_OK = 0,
    /**
     * An argument is out of range, malformed or contradicts another one.
     */
    BATPAK_INVALID_ARGUMENT = 1,
    /**
     * An entity or a scope breaks the rules for coordinates.
     */
    BATPAK_INVALID_COORDINATE = 2,
    /**
     * A kind is reserved for the library or out of range.
     */
    BATPAK_INVALID_KIND = 3,
    /**
     * A payload, a batch, an extension or the number of handles is larger than its limit.
     */
    BATPAK_TOO_LARGE = 4,
    /**
     * The stream is not at the clock that the caller expected.
     */
    BATPAK_CLOCK_CONFLICT = 5,
    /**
     * The event id is taken by an event with other content.
     */
    BATPAK_IDEMPOTENCY_CONFLICT = 6,
    /**
     * A gate refused the append.
     */
    BATPAK_DENIED = 7,
    /**
     * There is no such store, event or file.
     */
    BATPAK_NOT_FOUND = 8,
    /**
     * The store was closed while the call ran.
     */
    BATPAK_CLOSED = 9,
    /**
     * Another writer has the store open.
     */
    BATPAK_LOCKED = 10,
    /**
     * The store was opened for reading only.
     */
    BATPAK_READ_ONLY = 11,
    /**
     * The operating system refused an operation.
     */
    BATPAK_IO = 12,
    /**
     * There is no space left; nothing was appended, and appends go on when space returns.
     */
    BATPAK_DISK_FULL = 13,
    /**
     * Bytes on disk are not what was written.
     */
    BATPAK_CORRUPT = 14,
    /**
     * A format or a struct is of a kind that this library does not know.
     */
    BATPAK_UNSUPPORTED = 15,
    /**
     * An earlier failure stopped all appends until the store is reopened.
     */
    BATPAK_POISONED = 16,
    /**
     * It is not known whether the events were appended; reopening the store decides.
     */
    BATPAK_INDETERMINATE = 17,
    /**
     * The handle was inherited over a fork; open the store again in the child.
     */
    BATPAK_FORKED = 18,
    /**
     * The handle is null, closed, of another type, or was never given out.
     */
    BATPAK_BAD_HANDLE = 19,
    /**
     * A defect in the library was caught before it could reach the caller.
     */
    BATPAK_PANIC = 20,
    /**
     * A function that the caller supplied failed.
     */
    BATPAK_CALLBACK = 21,
    /**
     * A payload is not the MessagePack that was asked for.
     */
    BATPAK_DECODE = 22,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum batpak_status_code batpak_status_code;
#else
typedef int32_t batpak_status_code;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * Whether, and after what, the same call can succeed.
 */
enum batpak_retry
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * The status is not known to this library.
     */
    BATPAK_RETRY_UNKNOWN = -1,
    /**
     * The same call fails again.
     */
    BATPAK_RETRY_NEVER = 0,
    /**
     * The same call can succeed later, unchanged.
     */
    BATPAK_RETRY_LATER = 1,
    /**
     * Read the stream again, decide again, then call.
     */
    BATPAK_RETRY_AFTER_READING = 2,
    /**
     * Reopen the store first; an event id makes the repeated append safe.
     */
    BATPAK_RETRY_AFTER_REOPENING = 3,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum batpak_retry batpak_retry;
#else
typedef int32_t batpak_retry;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * Which place fields of a batpak_error are set: bits of has_place.
 */
enum batpak_place
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * segment is set.
     */
    BATPAK_PLACE_SEGMENT = 1,
    /**
     * offset is set.
     */
    BATPAK_PLACE_OFFSET = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum batpak_place batpak_place;
#else
typedef uint32_t batpak_place;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * How far an append must have come before it returns.
 */
enum batpak_durability
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * As the store was opened with. Not allowed in batpak_options.
     */
    BATPAK_DURABILITY_DEFAULT = -1,
    /**
     * The operating system confirmed the sync that covers it: it survives a power cut.
     */
    BATPAK_DURABILITY_DURABLE = 0,
    /**
     * Its bytes are in the file: it survives a killed process, but not a power cut.
     */
    BATPAK_DURABILITY_WRITTEN = 1,
    /**
     * It is ordered in memory and written soon; a kill may lose it, but leaves no hole.
     */
    BATPAK_DURABILITY_BUFFERED = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum batpak_durability batpak_durability;
#else
typedef int32_t batpak_durability;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * What may exist before, and what may be done after, opening.
 */
enum batpak_open_mode
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * Open for appending; create the store, and its directory, if there is none.
     */
    BATPAK_OPEN_CREATE = 0,
    /**
     * Open for appending; fail if there is no store.
     */
    BATPAK_OPEN_EXISTING = 1,
    /**
     * Create a store for appending; fail if there is one.
     */
    BATPAK_OPEN_CREATE_NEW = 2,
    /**
     * Open for reading, beside a live writer or without one. Nothing is written. Stores of the
     * batpak crate 0.x can be opened, too.
     */
    BATPAK_OPEN_READ_ONLY = 3,
    /**
     * Open what can still be read of a damaged store, for reading. The report names every damage.
     */
    BATPAK_OPEN_SALVAGE = 4,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum batpak_open_mode batpak_open_mode;
#else
typedef int32_t batpak_open_mode;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * The lists of texts in an open report.
 */
enum batpak_report_list
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * One text: why bytes were cut; empty when none were.
     */
    BATPAK_REPORT_CUT_REASON = 0,
    /**
     * The names of the leftovers that were removed.
     */
    BATPAK_REPORT_REMOVED = 1,
    /**
     * The names of the files that were left alone.
     */
    BATPAK_REPORT_IGNORED = 2,
    /**
     * What a salvage found damaged, and what crashes left behind in a 0.x store, a sentence each.
     */
    BATPAK_REPORT_DAMAGE = 3,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum batpak_report_list batpak_report_list;
#else
typedef int32_t batpak_report_list;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * What opening a directory for appending would do.
 */
enum batpak_opening
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * Create a store: there is none.
     */
    BATPAK_OPENING_CREATES = 0,
    /**
     * Open it as it was closed.
     */
    BATPAK_OPENING_OPENS = 1,
    /**
     * Open it after a crash: the report says what would be cut.
     */
    BATPAK_OPENING_RECOVERS = 2,
    /**
     * Fail, since another writer has it open.
     */
    BATPAK_OPENING_LOCKED = 3,
    /**
     * Fail: it is a store of the batpak crate 0.x, which is opened for reading, or imported.
     */
    BATPAK_OPENING_ONLY_READS = 4,
    /**
     * Fail, since it is damaged or of a later version.
     */
    BATPAK_OPENING_REFUSES = 5,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum batpak_opening batpak_opening;
#else
typedef int32_t batpak_opening;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * Where a stream must stand for an append to be accepted.
 */
enum batpak_expected
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * Anywhere.
     */
    BATPAK_EXPECTED_ANY = 0,
    /**
     * The stream has no event yet.
     */
    BATPAK_EXPECTED_NO_STREAM = 1,
    /**
     * The stream's last event has the clock in expected_clock.
     */
    BATPAK_EXPECTED_EXACT = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum batpak_expected batpak_expected;
#else
typedef int32_t batpak_expected;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * What caused an event.
 */
enum batpak_causation
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * Nothing in particular.
     */
    BATPAK_CAUSATION_NONE = 0,
    /**
     * The event with the id in causation_id, in this store or elsewhere.
     */
    BATPAK_CAUSATION_EVENT = 1,
    /**
     * An earlier event of the same batch or fence, by its place in causation_item, from 0.
     */
    BATPAK_CAUSATION_ITEM = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum batpak_causation batpak_causation;
#else
typedef int32_t batpak_causation;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * Whether the gates after a refusal are still asked.
 */
enum batpak_gate_mode
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * The first refusal ends the evaluation; the rest are skipped.
     */
    BATPAK_GATE_MODE_FAIL_FAST = 0,
    /**
     * Every gate is asked.
     */
    BATPAK_GATE_MODE_ALL = 1,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum batpak_gate_mode batpak_gate_mode;
#else
typedef int32_t batpak_gate_mode;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * What a gate says of an event.
 */
enum batpak_verdict
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * The event may pass.
     */
    BATPAK_VERDICT_PERMIT = 0,
    /**
     * It may not.
     */
    BATPAK_VERDICT_DENY = 1,
    /**
     * The gate was not asked, since an earlier one refused.
     */
    BATPAK_VERDICT_SKIPPED = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum batpak_verdict batpak_verdict;
#else
typedef int32_t batpak_verdict;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * The parts of a query that count: bits of parts. Every part that counts must match.
 */
enum batpak_query_part
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * Only the entity in entity.
     */
    BATPAK_QUERY_ENTITY = 1,
    /**
     * Only the entity in entity and all below it: `user:1` matches `user:1` and `user:1:cart`,
     * but not `user:10`. Not together with BATPAK_QUERY_ENTITY.
     */
    BATPAK_QUERY_PREFIX = 2,
    /**
     * Only the scope in scope.
     */
    BATPAK_QUERY_SCOPE = 4,
    /**
     * Only the kind in kind.
     */
    BATPAK_QUERY_KIND = 8,
    /**
     * Only kinds of the category in kind, 0 to 15. Not together with BATPAK_QUERY_KIND.
     */
    BATPAK_QUERY_CATEGORY = 16,
    /**
     * Only the lane in lane.
     */
    BATPAK_QUERY_LANE = 32,
    /**
     * Only clocks from clock_first to clock_last, both included.
     */
    BATPAK_QUERY_CLOCKS = 64,
    /**
     * Start at the sequence in from, included, and not at the log's start (or its end when
     * reading backwards).
     */
    BATPAK_QUERY_FROM = 128,
    /**
     * At most as many events as limit says.
     */
    BATPAK_QUERY_LIMIT = 256,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum batpak_query_part batpak_query_part;
#else
typedef uint32_t batpak_query_part;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * The order in which a query gives events.
 */
enum batpak_direction
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * By rising sequence.
     */
    BATPAK_DIRECTION_FORWARD = 0,
    /**
     * By falling sequence.
     */
    BATPAK_DIRECTION_BACKWARD = 1,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum batpak_direction batpak_direction;
#else
typedef int32_t batpak_direction;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * Which link to follow from an event to the one before it.
 */
enum batpak_link
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * The event before it in its stream.
     */
    BATPAK_LINK_STREAM = 0,
    /**
     * The event that caused it.
     */
    BATPAK_LINK_CAUSATION = 1,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum batpak_link batpak_link;
#else
typedef int32_t batpak_link;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * Why a walk along a link ended.
 */
enum batpak_boundary
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * The last event has nothing before it.
     */
    BATPAK_BOUNDARY_GENESIS = 0,
    /**
     * As many events as asked for were found.
     */
    BATPAK_BOUNDARY_LIMIT = 1,
    /**
     * The last event names one that is not in this store.
     */
    BATPAK_BOUNDARY_MISSING = 2,
    /**
     * The last event names one that was already given.
     */
    BATPAK_BOUNDARY_CYCLE = 3,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum batpak_boundary batpak_boundary;
#else
typedef int32_t batpak_boundary;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * What kind of damage a finding is.
 */
enum batpak_finding_kind
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * A segment is missing, foreign, renamed, or has a bad header.
     */
    BATPAK_FINDING_SEGMENT = 1,
    /**
     * A frame cannot be read.
     */
    BATPAK_FINDING_FRAME = 2,
    /**
     * An event's hash is not the hash of its fields.
     */
    BATPAK_FINDING_HASH = 3,
    /**
     * An event does not follow the one before it in its stream.
     */
    BATPAK_FINDING_LINK = 4,
    /**
     * An event is not at its place in the whole log.
     */
    BATPAK_FINDING_SEQUENCE = 5,
    /**
     * A footer does not say what its frames say.
     */
    BATPAK_FINDING_FOOTER = 6,
    /**
     * The tree over the events does not have the recorded root.
     */
    BATPAK_FINDING_ROOT = 7,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum batpak_finding_kind batpak_finding_kind;
#else
typedef int32_t batpak_finding_kind;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * What becomes of an event that is no longer wanted.
 */
enum batpak_unwanted
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * It is no longer shown. Its hash is kept, so that roots and proofs stay what they were.
     */
    BATPAK_UNWANTED_DROP = 0,
    /**
     * It is shown with the kind 0x0FFE, that of a tombstone; its payload stays.
     */
    BATPAK_UNWANTED_TOMBSTONE = 1,
    /**
     * The same, and its payload is erased, but for its hash.
     */
    BATPAK_UNWANTED_ERASE = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum batpak_unwanted batpak_unwanted;
#else
typedef int32_t batpak_unwanted;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * What happens when more keys lie in the window than are to be kept.
 */
enum batpak_key_overflow
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * They are kept all the same, and the report says how many too many there are.
     */
    BATPAK_KEY_OVERFLOW_WARN = 0,
    /**
     * The compaction fails with BATPAK_TOO_LARGE, and nothing is changed.
     */
    BATPAK_KEY_OVERFLOW_REFUSE = 1,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum batpak_key_overflow batpak_key_overflow;
#else
typedef int32_t batpak_key_overflow;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * Whether an event stays.
 */
enum batpak_keep
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * It goes, as the other rules say.
     */
    BATPAK_KEEP_NO = 0,
    /**
     * It stays.
     */
    BATPAK_KEEP_YES = 1,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum batpak_keep batpak_keep;
#else
typedef int32_t batpak_keep;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * Events that are staged: nobody sees them until they are committed, and then everybody sees all of
 * them, as one batch. Until then, a crash, closing the fence and closing the store leave nothing of
 * it behind. Begun by batpak_fence_begin, closed by batpak_fence_close.
 */
typedef struct batpak_fence batpak_fence;

/**
 * A query that goes on. Opened by batpak_store_follow, closed by batpak_follow_close.
 */
typedef struct batpak_follow batpak_follow;

/**
 * What was found in a directory. Made by batpak_inspect, released by batpak_inspection_release.
 */
typedef struct batpak_inspection batpak_inspection;

/**
 * What a repair did. Made by batpak_repair, released by batpak_repaired_release.
 */
typedef struct batpak_repaired batpak_repaired;

/**
 * A query being read. Opened by batpak_scan_open, closed by batpak_scan_close.
 */
typedef struct batpak_scan batpak_scan;

/**
 * A store. Opened by batpak_store_open, closed by batpak_store_close.
 */
typedef struct batpak_store batpak_store;

/**
 * An append under way. Started by batpak_store_append_ticket, closed by batpak_ticket_close.
 */
typedef struct batpak_ticket batpak_ticket;

/**
 * A view: keeps the events of one call in place. Released by batpak_view_release.
 */
typedef struct batpak_view batpak_view;

/**
 * What every call returns: BATPAK_OK, or one of the other numbers of batpak_status_code.
 */
typedef int32_t batpak_status;

/**
 * What went wrong. The caller owns it, and there is nothing to free: initialise it with
 * BATPAK_ERROR_INIT and use it for any number of calls. It is written only by calls that do not
 * return BATPAK_OK.
 */
typedef struct batpak_error {
    /**
     * sizeof(batpak_error), set by the caller.
     */
    uint32_t struct_size;
    /**
     * The status that the call returned.
     */
    int32_t kind;
    /**
     * What can be done about it, a batpak_retry.
     */
    int32_t retry;
    /**
     * The operating system's error number; 0 when there is none.
     */
    int32_t os_code;
    /**
     * Which of segment and offset are set: bits of batpak_place.
     */
    uint32_t has_place;
    /**
     * Zero.
     */
    uint32_t reserved;
    /**
     * The number of the segment where it happened.
     */
    uint64_t segment;
    /**
     * The byte offset in that segment.
     */
    uint64_t offset;
    /**
     * What happened, where, and what to do about it: UTF-8 that ends with a NUL, cut short when
     * it does not fit.
     */
    char message[BATPAK_ERROR_MESSAGE_BYTES];
} batpak_error;

/**
 * Bytes: pointer and length.
 */
typedef struct batpak_bytes {
    /**
     * The first byte; may be null when length is 0.
     */
    const uint8_t *data;
    /**
     * How many bytes.
     */
    size_t length;
} batpak_bytes;

/**
 * The id of an event, of a correlation or of a store. All zeros means "none".
 */
typedef struct batpak_id {
    /**
     * The bytes, in the order in which their hex digits are shown.
     */
    uint8_t bytes[16];
} batpak_id;

/**
 * How to open a store. Initialise it with BATPAK_OPTIONS_INIT, which holds the defaults.
 */
typedef struct batpak_options {
    /**
     * sizeof(batpak_options).
     */
    uint32_t struct_size;
    /**
     * A batpak_open_mode.
     */
    int32_t mode;
    /**
     * The durability of an append that names none: a batpak_durability.
     */
    int32_t durability;
    /**
     * The largest payload that an append accepts, in bytes.
     */
    uint32_t max_payload_bytes;
    /**
     * A segment that has reached this size is sealed before the next append. In bytes.
     */
    uint64_t segment_bytes;
    /**
     * Buffered events are written when this many bytes of them have gathered.
     */
    uint64_t buffer_bytes;
    /**
     * Buffered events are written at the latest after this many milliseconds.
     */
    uint32_t buffer_ms;
    /**
     * The most files kept open; 0 takes a quarter of the process limit.
     */
    uint32_t max_open_files;
    /**
     * For tests and reproductions, when has_seed is 1: ids and times become functions of the
     * seed and the sequence, so that the same appends give the same bytes.
     */
    uint64_t seed;
    /**
     * 1 when seed counts, otherwise 0.
     */
    int32_t has_seed;
    /**
     * Zero.
     */
    uint32_t reserved;
    /**
     * How many bytes of segments are kept in memory for reading, at the most; 0 keeps none, and
     * every read goes to the operating system.
     */
    uint64_t cache_bytes;
    /**
     * How often the store goes on by itself after a panic during an append, which a defect of
     * this library causes: the appends of that group give BATPAK_PANIC, the end of the log is
     * read from the files again, and the next ones go on. After more of them appends give
     * BATPAK_POISONED until the store is reopened; reading goes on. 0 never goes on.
     */
    uint32_t restarts;
    /**
     * The panics of how many milliseconds count; 0 counts all since opening.
     */
    uint32_t restart_window_ms;
} batpak_options;

/**
 * What opening found and did, or what an inspection found. Initialise it with
 * BATPAK_OPEN_REPORT_INIT. The texts that belong to it come from batpak_store_report_text, or from
 * batpak_inspection_report_text.
 */
typedef struct batpak_open_report {
    /**
     * sizeof(batpak_open_report), set by the caller.
     */
    uint32_t struct_size;
    /**
     * 1 when the store was created.
     */
    int32_t created;
    /**
     * 1 when the store had been closed cleanly.
     */
    int32_t clean;
    /**
     * 1 when bytes were cut, so that cut_segment and cut_offset count.
     */
    int32_t was_cut;
    /**
     * Events found.
     */
    uint64_t events;
    /**
     * Segments found.
     */
    uint64_t segments;
    /**
     * Bytes cut from the unsynced end of the newest segment; for a reader, bytes passed over.
     */
    uint64_t cut_bytes;
    /**
     * The segment where they were cut.
     */
    uint64_t cut_segment;
    /**
     * The byte offset where they were cut.
     */
    uint64_t cut_offset;
    /**
     * How many leftovers of an interrupted operation were removed.
     */
    uint64_t removed_count;
    /**
     * How many files do not belong to the store and were left alone.
     */
    uint64_t ignored_count;
    /**
     * How much was passed over, by the count of its sentences: in a salvage, everything damaged;
     * in a 0.x store, also what its crashes left behind.
     */
    uint64_t damage_count;
    /**
     * The format: 2, or 1 for a store of the batpak crate 0.x.
     */
    uint32_t format;
    /**
     * Zero.
     */
    uint32_t reserved;
    /**
     * Events of cancelled fences of a 0.x store, which are not shown.
     */
    uint64_t hidden;
} batpak_open_report;

/**
 * A 32-byte hash.
 */
typedef struct batpak_hash {
    /**
     * The bytes, in the order in which their hex digits are shown.
     */
    uint8_t bytes[32];
} batpak_hash;

/**
 * The end of a log.
 */
typedef struct batpak_head {
    /**
     * The number of visible events, which is the sequence of the next one. Where sequences are
     * missing, as in a 0.x store with cancelled fences, the sequence of the next one.
     */
    uint64_t events;
    /**
     * The hash of the last visible event; zeros when there is none.
     */
    struct batpak_hash last_hash;
    /**
     * The root of the Merkle tree (SHA-256, RFC 6962) over all visible event hashes.
     */
    struct batpak_hash root;
} batpak_head;

/**
 * The end of a stream.
 */
typedef struct batpak_stream_head {
    /**
     * The sequence of its last event.
     */
    uint64_t sequence;
    /**
     * The clock of its last event.
     */
    uint32_t clock;
    /**
     * Zero.
     */
    uint32_t reserved;
    /**
     * The hash of its last event.
     */
    struct batpak_hash hash;
} batpak_stream_head;

/**
 * How far events have come, each as a number of events from the start of the log. Initialise it
 * with BATPAK_FRONTIER_INIT.
 */
typedef struct batpak_frontier {
    /**
     * sizeof(batpak_frontier), set by the caller.
     */
    uint32_t struct_size;
    /**
     * Zero.
     */
    uint32_t reserved;
    /**
     * Ordered, in memory.
     */
    uint64_t accepted;
    /**
     * Bytes in the file.
     */
    uint64_t written;
    /**
     * Confirmed by a sync.
     */
    uint64_t durable;
    /**
     * Shown to readers of this handle.
     */
    uint64_t visible;
} batpak_frontier;

/**
 * Sizes and identity of a store. Initialise it with BATPAK_STATS_INIT.
 */
typedef struct batpak_stats {
    /**
     * sizeof(batpak_stats), set by the caller.
     */
    uint32_t struct_size;
    /**
     * Zero.
     */
    uint32_t reserved;
    /**
     * Visible events; without those that a retention has dropped.
     */
    uint64_t events;
    /**
     * Segments, the one being written included.
     */
    uint64_t segments;
    /**
     * Bytes of all segments.
     */
    uint64_t bytes;
    /**
     * Entities.
     */
    uint64_t entities;
    /**
     * Streams: pairs of entity and lane.
     */
    uint64_t streams;
    /**
     * This directory's id.
     */
    struct batpak_id store_id;
    /**
     * The id under every event hash; forks share it.
     */
    struct batpak_id lineage_id;
} batpak_stats;

/**
 * What a directory is. Initialise it with BATPAK_DIRECTORY_STATE_INIT.
 */
typedef struct batpak_directory_state {
    /**
     * sizeof(batpak_directory_state), set by the caller.
     */
    uint32_t struct_size;
    /**
     * What opening it for appending would do: a batpak_opening.
     */
    int32_t opening;
    /**
     * Bytes of all segments.
     */
    uint64_t bytes;
    /**
     * The store's id; for a 0.x store, one derived from its first event; zeros when nothing can be
     * read.
     */
    struct batpak_id store_id;
    /**
     * The id under every event hash; forks share it.
     */
    struct batpak_id lineage_id;
} batpak_directory_state;

/**
 * A text: UTF-8, pointer and length in bytes. Texts handed in may have the length
 * BATPAK_NUL_TERMINATED; those handed out have no NUL at the end.
 */
typedef struct batpak_text {
    /**
     * The first byte; may be null when length is 0.
     */
    const char *data;
    /**
     * How many bytes.
     */
    size_t length;
} batpak_text;

/**
 * A key such as "audit.user" with its bytes.
 */
typedef struct batpak_extension {
    /**
     * The key: `prefix.field` in visible ASCII, at most 256 bytes.
     */
    struct batpak_text key;
    /**
     * The value.
     */
    struct batpak_bytes value;
} batpak_extension;

/**
 * An event to append. Initialise it with BATPAK_NEW_EVENT_INIT, which holds the default of every
 * field; entity, scope and kind have to be set. In an array, all have the same struct_size, which
 * is the distance between two.
 */
typedef struct batpak_new_event {
    /**
     * sizeof(batpak_new_event).
     */
    uint32_t struct_size;
    /**
     * What it says: a category (bits 12 to 15) and a type (bits 0 to 11). The categories 0x0 and
     * 0xD are reserved.
     */
    uint32_t kind;
    /**
     * Whose event it is: 1 to 1,024 bytes of UTF-8 without control characters, `/`, `|`, `=` and
     * `..`.
     */
    struct batpak_text entity;
    /**
     * The area it lives in, under the same rules.
     */
    struct batpak_text scope;
    /**
     * Any bytes, up to the store's payload limit.
     */
    struct batpak_bytes payload;
    /**
     * The event's id, which makes it idempotent; zeros for a fresh one.
     */
    struct batpak_id id;
    /**
     * The id shared by all events of one operation; zeros for the event's own id.
     */
    struct batpak_id correlation;
    /**
     * The id of the event that caused it, when causation is BATPAK_CAUSATION_EVENT.
     */
    struct batpak_id causation_id;
    /**
     * What caused it, a batpak_causation.
     */
    int32_t causation;
    /**
     * The place in the batch or fence of the event that caused it, when causation is
     * BATPAK_CAUSATION_ITEM.
     */
    uint32_t causation_item;
    /**
     * Where the stream must stand, a batpak_expected.
     */
    int32_t expected;
    /**
     * The clock of the stream's last event, when expected is BATPAK_EXPECTED_EXACT.
     */
    uint32_t expected_clock;
    /**
     * The branch of the entity's stream; 0 is the trunk.
     */
    uint32_t lane;
    /**
     * How deep the branch lies; 0 is the trunk.
     */
    uint32_t depth;
    /**
     * Eight bits that belong to the caller: 0 to 255.
     */
    uint32_t flags;
    /**
     * The version of the payload's schema, 0 to 65535; 0 means "not versioned".
     */
    uint32_t payload_version;
    /**
     * When it happened, in microseconds since 1970, when has_timestamp is 1; otherwise the time
     * of recording is taken.
     */
    int64_t timestamp_us;
    /**
     * 1 when timestamp_us counts, otherwise 0.
     */
    int32_t has_timestamp;
    /**
     * Zero.
     */
    uint32_t reserved;
    /**
     * Extensions in any order, each key once; may be null when extension_count is 0.
     */
    const struct batpak_extension *extensions;
    /**
     * How many extensions.
     */
    size_t extension_count;
} batpak_new_event;

/**
 * Proof that an event was accepted, and where.
 */
typedef struct batpak_receipt {
    /**
     * The event's id.
     */
    struct batpak_id id;
    /**
     * Its place in the whole log, from 0.
     */
    uint64_t sequence;
    /**
     * Its place in its stream, from 0.
     */
    uint32_t clock;
    /**
     * Its lane.
     */
    uint32_t lane;
    /**
     * When it happened, in microseconds since 1970.
     */
    int64_t timestamp_us;
    /**
     * When it was recorded, in microseconds since 1970; never falls within a stream.
     */
    int64_t wall_us;
    /**
     * The hash over the event and its stream up to it.
     */
    struct batpak_hash hash;
    /**
     * 1 when the event was there before: the append repeated an earlier one.
     */
    int32_t duplicate;
    /**
     * Zeros.
     */
    uint32_t reserved[7];
} batpak_receipt;

/**
 * Where a gate writes why it refuses. It comes to the gate initialised and empty.
 */
typedef struct batpak_refusal {
    /**
     * sizeof(batpak_refusal) in the library: what the gate may write to.
     */
    uint32_t struct_size;
    /**
     * Zero.
     */
    uint32_t reserved;
    /**
     * A short code for programs, such as "LIMIT_EXCEEDED", that ends with a NUL.
     */
    char code[BATPAK_REFUSAL_CODE_BYTES];
    /**
     * A sentence for people, that ends with a NUL.
     */
    char message[BATPAK_REFUSAL_MESSAGE_BYTES];
} batpak_refusal;

/**
 * A gate's check. It returns BATPAK_VERDICT_PERMIT or BATPAK_VERDICT_DENY. Any other number says
 * that the gate itself failed: the event is refused with the code "GATE_DEFECT", and the append
 * ends with BATPAK_CALLBACK. The event and the refusal are valid until it
 * returns. It must return: it may neither jump out (longjmp) nor let a C++ exception through.
 */
typedef int32_t (*batpak_gate_check)(void *user_data,
                                     const struct batpak_new_event *event,
                                     struct batpak_refusal *refusal);

/**
 * A named check. Initialise it with BATPAK_GATE_INIT. In an array, all have the same struct_size,
 * which is the distance between two.
 */
typedef struct batpak_gate {
    /**
     * sizeof(batpak_gate).
     */
    uint32_t struct_size;
    /**
     * Zero.
     */
    uint32_t reserved;
    /**
     * The gate's name, which recorded refusals carry.
     */
    struct batpak_text name;
    /**
     * The check.
     */
    batpak_gate_check check;
    /**
     * Handed to the check.
     */
    void *user_data;
} batpak_gate;

/**
 * A gate's name with its verdict. Initialise it with BATPAK_GATE_OUTCOME_INIT. In an array, all
 * have the same struct_size, which is the distance between two.
 */
typedef struct batpak_gate_outcome {
    /**
     * sizeof(batpak_gate_outcome).
     */
    uint32_t struct_size;
    /**
     * What it said, a batpak_verdict.
     */
    int32_t verdict;
    /**
     * The gate.
     */
    struct batpak_text gate;
    /**
     * The code of a refusal; empty for the other verdicts.
     */
    struct batpak_text code;
    /**
     * The message of a refusal; empty for the other verdicts.
     */
    struct batpak_text message;
} batpak_gate_outcome;

/**
 * What batpak_store_append_then calls when its append has ended. status: that of the append.
 * receipts: count receipts in the order of the events; null when the append failed. error: null
 * when it succeeded. Both are valid until it returns. It runs on a thread of the library or on one
 * that is in a call of this store, and should be short, since later appends may wait for it. It
 * may read, append and close the store, but not wait for a ticket, whose append may come after
 * it. It must return: it may neither jump out (longjmp) nor let a C++ exception through.
 */
typedef void (*batpak_append_callback)(void *user_data,
                                       batpak_status status,
                                       const struct batpak_receipt *receipts,
                                       size_t count,
                                       const struct batpak_error *error);

/**
 * What ends the life of user data.
 */
typedef void (*batpak_destructor)(void *user_data);

/**
 * A stored event. The texts and bytes belong to the view, or to the caller's buffer, that the
 * event came with.
 */
typedef struct batpak_event {
    /**
     * Its place in the whole log, from 0.
     */
    uint64_t sequence;
    /**
     * Its id.
     */
    struct batpak_id id;
    /**
     * The id shared by all events of its operation; its own id if none was given.
     */
    struct batpak_id correlation;
    /**
     * The id of the event that caused it; zeros when there is none.
     */
    struct batpak_id causation;
    /**
     * When it happened, in microseconds since 1970.
     */
    int64_t timestamp_us;
    /**
     * When it was recorded, in microseconds since 1970.
     */
    int64_t wall_us;
    /**
     * Its place in its stream, from 0.
     */
    uint32_t clock;
    /**
     * The branch of the entity's stream; 0 is the trunk.
     */
    uint32_t lane;
    /**
     * How deep the branch lies; 0 is the trunk.
     */
    uint32_t depth;
    /**
     * What it says: a category (bits 12 to 15) and a type (bits 0 to 11).
     */
    uint16_t kind;
    /**
     * The version of the payload's schema; 0 means "not versioned".
     */
    uint16_t payload_version;
    /**
     * The caller's eight bits.
     */
    uint8_t flags;
    /**
     * 1 when later events of the same batch follow it.
     */
    uint8_t batch_continues;
    /**
     * 1 when a compaction has erased the payload, of which the hash is left.
     */
    uint8_t is_erased;
    /**
     * Zeros.
     */
    uint8_t reserved[5];
    /**
     * Whose event it is.
     */
    struct batpak_text entity;
    /**
     * The area it lives in.
     */
    struct batpak_text scope;
    /**
     * The payload, as it was handed in; nothing if it was erased.
     */
    struct batpak_bytes payload;
    /**
     * The extensions as stored; batpak_extension_next reads them.
     */
    struct batpak_bytes extensions;
    /**
     * The hash over the event and its stream up to it.
     */
    struct batpak_hash hash;
    /**
     * The hash of the event before it in its stream; zeros for the first.
     */
    struct batpak_hash prev_hash;
    /**
     * The segment that holds it.
     */
    uint64_t segment;
    /**
     * The byte offset of its frame in the segment.
     */
    uint64_t offset;
    /**
     * The size of its frame, in bytes: on disk, or, for an event of a 0.x store, as this format has
     * it.
     */
    uint64_t stored_bytes;
    /**
     * Zeros.
     */
    uint64_t reserved_words[3];
} batpak_event;

/**
 * Which events to read, and in which order. Initialise it with BATPAK_QUERY_INIT, which is
 * everything, forwards.
 */
typedef struct batpak_query {
    /**
     * sizeof(batpak_query).
     */
    uint32_t struct_size;
    /**
     * Which of the fields below count: bits of batpak_query_part.
     */
    uint32_t parts;
    /**
     * A batpak_direction; always counts.
     */
    int32_t direction;
    /**
     * A kind, or a category.
     */
    uint32_t kind;
    /**
     * An entity, or the prefix of entities.
     */
    struct batpak_text entity;
    /**
     * A scope.
     */
    struct batpak_text scope;
    /**
     * A lane.
     */
    uint32_t lane;
    /**
     * The first clock.
     */
    uint32_t clock_first;
    /**
     * The last clock.
     */
    uint32_t clock_last;
    /**
     * Zero.
     */
    uint32_t reserved;
    /**
     * The first sequence to look at, included.
     */
    uint64_t from;
    /**
     * The most events.
     */
    uint64_t limit;
} batpak_query;

/**
 * How a fence is kept. Initialise it with BATPAK_FENCE_OPTIONS_INIT, which holds the defaults.
 */
typedef struct batpak_fence_options {
    /**
     * sizeof(batpak_fence_options).
     */
    uint32_t struct_size;
    /**
     * Zero.
     */
    uint32_t reserved;
    /**
     * How many bytes of its events are kept in memory, at about the most; those beyond go to a file
     * in the store's directory, which nobody else can see. An event with an id of the caller's
     * takes some thirty bytes of memory besides, wherever it is kept.
     */
    uint64_t memory_bytes;
} batpak_fence_options;

/**
 * What committing a fence has done. Initialise it with BATPAK_COMMITTED_INIT.
 */
typedef struct batpak_committed {
    /**
     * sizeof(batpak_committed), set by the caller.
     */
    uint32_t struct_size;
    /**
     * 1 when its events were there before: the fence repeated an earlier one.
     */
    int32_t duplicate;
    /**
     * The sequence of its first event; the others follow it. Of a repeated fence, that of the event
     * with the first one's id. Of a fence without events, how many events are visible.
     */
    uint64_t first_sequence;
    /**
     * How many events it has.
     */
    uint64_t events;
} batpak_committed;

/**
 * What a verification found. Initialise it with BATPAK_VERIFY_REPORT_INIT.
 */
typedef struct batpak_verify_report {
    /**
     * sizeof(batpak_verify_report), set by the caller.
     */
    uint32_t struct_size;
    /**
     * 1 when nothing is damaged.
     */
    int32_t intact;
    /**
     * Events that were checked.
     */
    uint64_t events;
    /**
     * Segments that were checked.
     */
    uint64_t segments;
    /**
     * How many damages there are, which may be more than fit the caller's array.
     */
    uint64_t finding_count;
    /**
     * The hash of the last event, recomputed.
     */
    struct batpak_hash last_hash;
    /**
     * The root of the tree, recomputed.
     */
    struct batpak_hash root;
    /**
     * Of the events, those that a retention has dropped: what is left of them is their hash, so
     * that they are told from events that never were.
     */
    uint64_t dropped;
    /**
     * Events that a compaction has made tombstones.
     */
    uint64_t tombstones;
    /**
     * Tombstones whose payload was erased.
     */
    uint64_t erased;
} batpak_verify_report;

/**
 * One damage.
 */
typedef struct batpak_finding {
    /**
     * A batpak_finding_kind.
     */
    int32_t kind;
    /**
     * Zero.
     */
    uint32_t reserved;
    /**
     * In which segment.
     */
    uint64_t segment;
    /**
     * At which byte offset.
     */
    uint64_t offset;
    /**
     * What was expected and what was found: UTF-8 that ends with a NUL, cut short when it does
     * not fit.
     */
    char message[BATPAK_FINDING_MESSAGE_BYTES];
} batpak_finding;

/**
 * How to import. Initialise it with BATPAK_IMPORT_OPTIONS_INIT, which holds the defaults.
 */
typedef struct batpak_import_options {
    /**
     * sizeof(batpak_import_options).
     */
    uint32_t struct_size;
    /**
     * 1 to go past damage in the source and import what can still be read; with 0, a damaged
     * source gives BATPAK_CORRUPT.
     */
    int32_t salvage;
    /**
     * 1 to import also the events of a 0.x store that nothing vouches for, since their payload is
     * not what their hash says, their predecessor is another than their link says, or their key
     * does not open them. They are marked. With 0 they are dropped.
     */
    int32_t unvouched;
    /**
     * 1 to import the plaintext of encrypted payloads of a 0.x store whose key is there; with 0,
     * the ciphertext is imported, with what is needed to decrypt it.
     */
    int32_t decrypt;
} batpak_import_options;

/**
 * What an import did. The counts from imported to dropped add up to the events of the source.
 * Initialise it with BATPAK_IMPORT_REPORT_INIT.
 */
typedef struct batpak_import_report {
    /**
     * sizeof(batpak_import_report), set by the caller.
     */
    uint32_t struct_size;
    /**
     * The format of the source: 2, or 1 for a store of the batpak crate 0.x.
     */
    uint32_t format;
    /**
     * The source's id: its store id, or for a 0.x store one derived from its first event.
     */
    struct batpak_id source;
    /**
     * Events that were appended.
     */
    uint64_t imported;
    /**
     * Events that were there already, from an earlier import.
     */
    uint64_t already_there;
    /**
     * Events of cancelled fences of a 0.x store, which nobody may see. Where sequences are kept,
     * an empty event of the kind 0x0FFE holds the place of each.
     */
    uint64_t hidden;
    /**
     * Events that the query does not ask for.
     */
    uint64_t outside;
    /**
     * Events that were left out for a reason.
     */
    uint64_t dropped;
    /**
     * Idempotency keys of a 0.x store whose events a compaction has removed: they cannot be kept.
     */
    uint64_t keys_without_events;
    /**
     * How many drops there are to tell of, which may be more than fit the caller's array; at most
     * BATPAK_MOST_DROPS.
     */
    uint64_t drop_count;
    /**
     * 1 when every event of the source that is in this store has the sequence that it has there.
     */
    int32_t sequences_kept;
    /**
     * Zero.
     */
    uint32_t reserved;
} batpak_import_report;

/**
 * An event that was left out, or bytes that may have been events.
 */
typedef struct batpak_dropped {
    /**
     * In which segment of the store that was read; 0 when it is none in particular.
     */
    uint64_t segment;
    /**
     * At which byte offset.
     */
    uint64_t offset;
    /**
     * The event's sequence in that store, when has_sequence is 1.
     */
    uint64_t sequence;
    /**
     * 1 when sequence counts.
     */
    int32_t has_sequence;
    /**
     * 1 when it is an event, 0 when it is bytes that may have been events.
     */
    int32_t is_event;
    /**
     * Why: UTF-8 that ends with a NUL, cut short when it does not fit.
     */
    char reason[BATPAK_DROP_REASON_BYTES];
} batpak_dropped;

/**
 * How to export. Initialise it with BATPAK_EXPORT_OPTIONS_INIT, which holds the defaults.
 */
typedef struct batpak_export_options {
    /**
     * sizeof(batpak_export_options).
     */
    uint32_t struct_size;
    /**
     * 1 to write what the batpak crate 0.1 reads, too: without extensions and payload versions,
     * and nearly twice as large. With 0, what 0.7 to 0.10 read.
     */
    int32_t plain;
    /**
     * A segment that has reached this size is ended before the next event. In bytes.
     */
    uint64_t segment_bytes;
} batpak_export_options;

/**
 * What an export did. Initialise it with BATPAK_EXPORT_REPORT_INIT.
 */
typedef struct batpak_export_report {
    /**
     * sizeof(batpak_export_report), set by the caller.
     */
    uint32_t struct_size;
    /**
     * Zero.
     */
    uint32_t reserved;
    /**
     * Events that were written.
     */
    uint64_t exported;
    /**
     * Places of hidden events that were written, so that sequences stay the same; they are hidden
     * there, too.
     */
    uint64_t hidden;
    /**
     * Events that were left out for a reason.
     */
    uint64_t dropped;
    /**
     * Segments that were written.
     */
    uint64_t segments;
    /**
     * Their bytes.
     */
    uint64_t bytes;
    /**
     * How many drops there are to tell of, which may be more than fit the caller's array; at most
     * BATPAK_MOST_DROPS.
     */
    uint64_t drop_count;
} batpak_export_report;

/**
 * How to make a snapshot. Initialise it with BATPAK_SNAPSHOT_OPTIONS_INIT, which holds the
 * defaults.
 */
typedef struct batpak_snapshot_options {
    /**
     * sizeof(batpak_snapshot_options).
     */
    uint32_t struct_size;
    /**
     * 1 to share no file with this store, so that damage to the files of one is none to the
     * other. What an earlier snapshot has is shared with that.
     */
    int32_t independent;
    /**
     * The directory of an earlier snapshot of this store, or of the one that it was forked from:
     * sealed segments that it has are shared with it, rather than copied. Empty for none.
     */
    struct batpak_text earlier;
} batpak_snapshot_options;

/**
 * What a snapshot or a fork holds, and how it came there. Initialise it with
 * BATPAK_COPY_REPORT_INIT.
 */
typedef struct batpak_copy_report {
    /**
     * sizeof(batpak_copy_report), set by the caller.
     */
    uint32_t struct_size;
    /**
     * Zero.
     */
    uint32_t reserved;
    /**
     * The store id of the copy: of a snapshot the same, of a fork a new one.
     */
    struct batpak_id store_id;
    /**
     * The events in it.
     */
    uint64_t events;
    /**
     * The root of the tree over those.
     */
    struct batpak_hash root;
    /**
     * Its segments.
     */
    uint64_t segments;
    /**
     * Segments that it shares with another store, by hard links.
     */
    uint64_t linked;
    /**
     * Segments that were copied, the newest one included.
     */
    uint64_t copied;
    /**
     * The bytes of those.
     */
    uint64_t bytes_copied;
} batpak_copy_report;

/**
 * How two logs compare. The sequences from common to before ours are those that only this store
 * has, or has with other events; likewise for theirs. Initialise it with BATPAK_DIFF_INIT.
 */
typedef struct batpak_diff {
    /**
     * sizeof(batpak_diff), set by the caller.
     */
    uint32_t struct_size;
    /**
     * Zero.
     */
    uint32_t reserved;
    /**
     * So many events, from the first on, are the same in both.
     */
    uint64_t common;
    /**
     * The number of events of this store.
     */
    uint64_t ours;
    /**
     * The number of events of the other store.
     */
    uint64_t theirs;
} batpak_diff;

/**
 * How to fork. Initialise it with BATPAK_FORK_OPTIONS_INIT, which holds the defaults.
 */
typedef struct batpak_fork_options {
    /**
     * sizeof(batpak_fork_options).
     */
    uint32_t struct_size;
    /**
     * 1 to share no file with this store, so that damage to the files of one is none to the
     * other.
     */
    int32_t independent;
    /**
     * When has_at is 1: how many events, from the first on, the fork has in common with this
     * store. A batch cannot be cut.
     */
    uint64_t at;
    /**
     * 1 when at counts; with 0, all visible events are in common.
     */
    int32_t has_at;
    /**
     * Zero.
     */
    uint32_t reserved;
} batpak_fork_options;

/**
 * What a store was forked from.
 */
typedef struct batpak_parent {
    /**
     * The store.
     */
    struct batpak_id store_id;
    /**
     * So many events, from the first on, are common.
     */
    uint64_t events;
    /**
     * The root of the tree over those.
     */
    struct batpak_hash root;
} batpak_parent;

/**
 * Says whether an event stays: it returns BATPAK_KEEP_NO or BATPAK_KEEP_YES. Any other number says
 * that it failed: the compaction ends with BATPAK_CALLBACK, and nothing is changed. The event is
 * valid until it returns. No lock is held meanwhile, so that it may call the library, also on the
 * same store. It must return: it may neither jump out (longjmp) nor let a C++ exception through.
 */
typedef int32_t (*batpak_keep_callback)(void *user_data,
                                        const struct batpak_event *event);

/**
 * Which events are no longer wanted: those that every rule which is set calls unwanted. The rules
 * are region, before, older_than_us, newest_per_entity and keep; at least one must be set. The
 * library's own events, such as denials, stay. Initialise it with BATPAK_RETENTION_INIT, which
 * holds the defaults.
 *
 * Of dropped events, the idempotency keys (the ids that callers gave) are kept for a while. As
 * long as its key is kept, repeating an append gives the receipt of the first time, or a conflict
 * if the content is another; later, the same id begins a new event. The key of an event that is
 * not dropped is never forgotten.
 */
typedef struct batpak_retention {
    /**
     * sizeof(batpak_retention).
     */
    uint32_t struct_size;
    /**
     * What becomes of unwanted events, a batpak_unwanted.
     */
    int32_t unwanted;
    /**
     * Events that do not match stay: a query without a direction, a from and a limit. May be null
     * for everything.
     */
    const struct batpak_query *region;
    /**
     * When has_before is 1: events from this sequence on stay.
     */
    uint64_t before;
    /**
     * When has_older_than is 1: events of this timestamp or later stay; microseconds since 1970.
     */
    int64_t older_than_us;
    /**
     * When has_newest_per_entity is 1: so many newest events of each entity stay, on all its lanes
     * together.
     */
    uint64_t newest_per_entity;
    /**
     * 1 when before counts, otherwise 0.
     */
    int32_t has_before;
    /**
     * 1 when older_than_us counts, otherwise 0.
     */
    int32_t has_older_than;
    /**
     * 1 when newest_per_entity counts, otherwise 0.
     */
    int32_t has_newest_per_entity;
    /**
     * What happens when there are more than key_most keys in the window, a batpak_key_overflow.
     */
    int32_t key_overflow;
    /**
     * Asked, in the order of the log, about each event that the other rules call unwanted; may be
     * null.
     */
    batpak_keep_callback keep;
    /**
     * Handed to keep.
     */
    void *keep_user_data;
    /**
     * Keys of this many sequences up to the newest event are kept, always.
     */
    uint64_t key_window;
    /**
     * So many keys are to be kept at the most.
     */
    uint64_t key_most;
} batpak_retention;

/**
 * How far a compaction is.
 */
typedef struct batpak_compact_progress {
    /**
     * sizeof(batpak_compact_progress) in the library: what there is to read.
     */
    uint32_t struct_size;
    /**
     * Zero.
     */
    uint32_t reserved;
    /**
     * Sealed segments that were looked at, and written again if need be.
     */
    uint64_t segments_done;
    /**
     * Sealed segments there are.
     */
    uint64_t segments;
    /**
     * Bytes read so far; what is written again is read twice.
     */
    uint64_t bytes_read;
    /**
     * Bytes written so far.
     */
    uint64_t bytes_written;
} batpak_compact_progress;

/**
 * Is told how far a compaction is. It returns 0 to go on. Any other number cancels: the compaction
 * ends with BATPAK_CALLBACK, and nothing is changed. The progress is valid until it returns. No
 * lock is held meanwhile, so that it may call the library, also on the same store. It must return:
 * it may neither jump out (longjmp) nor let a C++ exception through.
 */
typedef int32_t (*batpak_progress_callback)(void *user_data,
                                            const struct batpak_compact_progress *progress);

/**
 * What a compaction does. Initialise it with BATPAK_COMPACT_OPTIONS_INIT, which holds the
 * defaults.
 */
typedef struct batpak_compact_options {
    /**
     * sizeof(batpak_compact_options).
     */
    uint32_t struct_size;
    /**
     * Zero.
     */
    uint32_t reserved;
    /**
     * Which events go. Null for none: small segments are joined, and nothing else.
     */
    const struct batpak_retention *retention;
    /**
     * How many bytes are read and written in a second at the most; 0 for as many as can be.
     */
    uint64_t bytes_per_second;
    /**
     * Told, about once per MiB and at each segment, how far the compaction is; may be null.
     */
    batpak_progress_callback progress;
    /**
     * Handed to progress.
     */
    void *progress_user_data;
} batpak_compact_options;

/**
 * What a compaction did. Initialise it with BATPAK_COMPACT_REPORT_INIT.
 */
typedef struct batpak_compact_report {
    /**
     * sizeof(batpak_compact_report), set by the caller.
     */
    uint32_t struct_size;
    /**
     * Zero.
     */
    uint32_t reserved;
    /**
     * Segments of the store before, the newest one included.
     */
    uint64_t segments_before;
    /**
     * Segments of the store afterwards.
     */
    uint64_t segments_after;
    /**
     * Segments that others took the place of.
     */
    uint64_t segments_replaced;
    /**
     * Segments that took their place.
     */
    uint64_t segments_written;
    /**
     * Bytes of all segments before.
     */
    uint64_t bytes_before;
    /**
     * Bytes of all segments afterwards.
     */
    uint64_t bytes_after;
    /**
     * Events that were dropped.
     */
    uint64_t events_dropped;
    /**
     * Events that became tombstones, or whose payload was erased.
     */
    uint64_t tombstones;
    /**
     * Keys of dropped events in the window, from earlier compactions, too; all of these are kept.
     * 0 without a retention, since they are not counted then.
     */
    uint64_t keys_kept;
    /**
     * How many of those are more than there should be.
     */
    uint64_t keys_over;
} batpak_compact_report;

/**
 * How to repair. Initialise it with BATPAK_REPAIR_OPTIONS_INIT, which holds the defaults.
 */
typedef struct batpak_repair_options {
    /**
     * sizeof(batpak_repair_options).
     */
    uint32_t struct_size;
    /**
     * 1 to carry over, marked, also events that something speaks against: their hash is not that
     * of their fields, or what was recorded later names another event in their place.
     */
    int32_t keep_altered;
    /**
     * The places of so many lost events are held, at the most. With more of them, the repair
     * gives BATPAK_TOO_LARGE.
     */
    uint64_t max_lost;
    /**
     * The size of segments for what is appended anew, in bytes.
     */
    uint64_t segment_bytes;
    /**
     * For tests and reproductions, when has_seed is 1: the same damage gives the same copy.
     */
    uint64_t seed;
    /**
     * 1 when seed counts, otherwise 0.
     */
    int32_t has_seed;
    /**
     * Zero.
     */
    uint32_t reserved;
} batpak_repair_options;

/**
 * What a repair did, in numbers; kept, appended, dropped and lost add up to the events of the
 * copy. Initialise it with BATPAK_REPAIR_REPORT_INIT.
 */
typedef struct batpak_repair_report {
    /**
     * sizeof(batpak_repair_report), set by the caller.
     */
    uint32_t struct_size;
    /**
     * Zero.
     */
    uint32_t reserved;
    /**
     * The damaged store's id; zeros when nothing tells it.
     */
    struct batpak_id source;
    /**
     * The copy's own id.
     */
    struct batpak_id store_id;
    /**
     * So many events, from the first on, were kept as they were.
     */
    uint64_t kept;
    /**
     * So many behind those were appended anew: under their sequences, with other hashes.
     */
    uint64_t appended;
    /**
     * So many behind the kept ones had been dropped by a retention. Their places are held.
     */
    uint64_t dropped;
    /**
     * So many behind the kept ones were lost, and have their places held.
     */
    uint64_t lost;
    /**
     * How many runs of lost events batpak_repaired_lost gives.
     */
    uint64_t lost_count;
    /**
     * How many runs of bytes batpak_repaired_left_out gives.
     */
    uint64_t left_out_count;
    /**
     * How many sentences batpak_repaired_damage gives.
     */
    uint64_t damage_count;
} batpak_repair_report;

/**
 * Lost events that follow each other.
 */
typedef struct batpak_lost_events {
    /**
     * The sequence of the first.
     */
    uint64_t first_sequence;
    /**
     * How many.
     */
    uint64_t events;
} batpak_lost_events;

/**
 * Bytes of a segment that are no event of the copy.
 */
typedef struct batpak_left_out {
    /**
     * In which segment of the damaged store.
     */
    uint64_t segment;
    /**
     * The offset of the first byte.
     */
    uint64_t offset;
    /**
     * How many bytes.
     */
    uint64_t bytes;
    /**
     * The sequence of the first event that stood there, as far as that can be told.
     */
    uint64_t first_sequence;
    /**
     * How many events stood there; 0 also when that cannot be told.
     */
    uint64_t events;
    /**
     * Why: UTF-8 that ends with a NUL, cut short when it does not fit.
     */
    char reason[BATPAK_LEFT_OUT_REASON_BYTES];
} batpak_left_out;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * The version of the loaded library as one number: major * 65536 + minor * 256 + patch. It
 * compares with BATPAK_VERSION_NUMBER of the header.
 *
 * Threads: any, also at once.
 */
BATPAK_API
uint32_t batpak_version_number(void);

/**
 * The version of the loaded library as text, such as "0.1.0". It ends with a NUL and lives as
 * long as the library.
 *
 * Threads: any, also at once.
 */
BATPAK_API
const char *batpak_version_text(void);

/**
 * Checks that the loaded library has the binary interface that the caller was compiled for: pass
 * BATPAK_ABI_VERSION. Call it once before anything else when the library is loaded dynamically.
 *
 * Errors: BATPAK_UNSUPPORTED when they differ; BATPAK_INVALID_ARGUMENT for a number above 65535.
 * Threads: any, also at once.
 */
BATPAK_API
batpak_status batpak_abi_check(uint32_t abi_version,
                               struct batpak_error *error);

/**
 * The stable name of a status, such as "CLOCK_CONFLICT"; "OK" for BATPAK_OK, and "UNKNOWN" for a
 * number that this library does not know. It ends with a NUL and lives as long as the library.
 *
 * Threads: any, also at once.
 */
BATPAK_API
const char *batpak_status_name(int32_t status);

/**
 * What can be done about a status, a batpak_retry: BATPAK_RETRY_NEVER for BATPAK_OK, and
 * BATPAK_RETRY_UNKNOWN for a number that this library does not know. The statuses are numbered
 * from 1 without a gap, so a loop up to the first unknown one lists them all.
 *
 * Threads: any, also at once.
 */
BATPAK_API
int32_t batpak_status_retry(int32_t status);

/**
 * The stable name of a retry class, such as "AFTER_READING"; "UNKNOWN" for any other number. It
 * ends with a NUL and lives as long as the library.
 *
 * Threads: any, also at once.
 */
BATPAK_API
const char *batpak_retry_name(int32_t retry);

/**
 * The id that makes an operation idempotent: the first 16 bytes of BLAKE3 over the domain and
 * the components, each preceded by its length.
 *
 * domain: a text such as "billing". components: may be null when component_count is 0.
 * id: gets the id.
 *
 * Errors: BATPAK_INVALID_ARGUMENT. Threads: any, also at once.
 */
BATPAK_API
batpak_status batpak_id_for_operation(const char *domain,
                                      size_t domain_length,
                                      const struct batpak_bytes *components,
                                      size_t component_count,
                                      struct batpak_id *id,
                                      struct batpak_error *error);

/**
 * Opens the store in a directory. One of the batpak crate 0.x can be opened for reading.
 *
 * path: the directory. options: may be null for the defaults. store: gets the handle, which the
 * caller closes with batpak_store_close.
 *
 * Errors: BATPAK_NOT_FOUND, BATPAK_LOCKED, BATPAK_CORRUPT, BATPAK_UNSUPPORTED, also for a 0.x
 * store that is to be written, BATPAK_IO, BATPAK_DISK_FULL, BATPAK_INVALID_ARGUMENT,
 * BATPAK_TOO_LARGE when there are too many handles.
 * Threads: any, also at once.
 */
BATPAK_API
batpak_status batpak_store_open(const char *path,
                                size_t path_length,
                                const struct batpak_options *options,
                                struct batpak_store **store,
                                struct batpak_error *error);

/**
 * Writes and syncs what is buffered, and closes. Whatever is returned, the handle is gone
 * afterwards, and buffered events that could not be written with it: where that matters, call
 * batpak_store_sync first, which can be tried again. Calls that run on other threads end with
 * their result or with BATPAK_CLOSED, and so do appends that were started; views and tickets stay
 * valid; scans, follows and fences of the store answer BATPAK_CLOSED and still have to be closed.
 *
 * store: may be null, which does nothing.
 *
 * Errors: BATPAK_BAD_HANDLE, and those of the last write and sync: BATPAK_IO, BATPAK_DISK_FULL,
 * BATPAK_INDETERMINATE. In a forked child it gives up the handle and touches no file.
 * Threads: any, also while other calls run on the store.
 */
BATPAK_API
batpak_status batpak_store_close(struct batpak_store *store,
                                 struct batpak_error *error);

/**
 * The directory of a store.
 *
 * buffer: gets the text, cut to capacity - 1 bytes, and a NUL; may be null when capacity is 0.
 * length: gets the length of the whole text, without the NUL.
 *
 * Errors: BATPAK_BAD_HANDLE, BATPAK_INVALID_ARGUMENT. Threads: any, also at once.
 */
BATPAK_API
batpak_status batpak_store_path(const struct batpak_store *store,
                                char *buffer,
                                size_t capacity,
                                size_t *length,
                                struct batpak_error *error);

/**
 * What opening found and did.
 *
 * Errors: BATPAK_BAD_HANDLE, BATPAK_INVALID_ARGUMENT. Threads: any, also at once.
 */
BATPAK_API
batpak_status batpak_store_report(const struct batpak_store *store,
                                  struct batpak_open_report *report,
                                  struct batpak_error *error);

/**
 * One text of the open report.
 *
 * list: a batpak_report_list. index: from 0 to the list's count in batpak_open_report.
 * buffer: gets the text, cut to capacity - 1 bytes, and a NUL; may be null when capacity is 0.
 * length: gets the length of the whole text, without the NUL.
 *
 * Errors: BATPAK_NOT_FOUND when the list has no such index, BATPAK_BAD_HANDLE,
 * BATPAK_INVALID_ARGUMENT. Threads: any, also at once.
 */
BATPAK_API
batpak_status batpak_store_report_text(const struct batpak_store *store,
                                       int32_t list,
                                       size_t index,
                                       char *buffer,
                                       size_t capacity,
                                       size_t *length,
                                       struct batpak_error *error);

/**
 * Writes what is buffered.
 *
 * Errors: BATPAK_BAD_HANDLE, BATPAK_CLOSED, BATPAK_READ_ONLY, BATPAK_IO, BATPAK_DISK_FULL,
 * BATPAK_POISONED, BATPAK_INDETERMINATE, BATPAK_FORKED. Threads: any, also at once.
 */
BATPAK_API
batpak_status batpak_store_flush(const struct batpak_store *store,
                                 struct batpak_error *error);

/**
 * Writes what is buffered and syncs: when it returns, every event accepted before is durable.
 *
 * Errors: as for batpak_store_flush. Threads: any, also at once.
 */
BATPAK_API
batpak_status batpak_store_sync(const struct batpak_store *store,
                                struct batpak_error *error);

/**
 * In a store opened for reading, looks for what its writer has made visible meanwhile.
 *
 * visible: gets the number of visible events.
 *
 * Errors: BATPAK_BAD_HANDLE, BATPAK_CLOSED, BATPAK_CORRUPT, BATPAK_IO, BATPAK_FORKED.
 * Threads: any, also at once.
 */
BATPAK_API
batpak_status batpak_store_refresh(const struct batpak_store *store,
                                   uint64_t *visible,
                                   struct batpak_error *error);

/**
 * Waits until at least so many events are visible, the time is up, or the store is closed.
 *
 * events: how many. timeout_ms: the longest wait, in milliseconds. visible: gets the number of
 * visible events, which is smaller than events when the time was up.
 *
 * Errors: as for batpak_store_refresh. Threads: any, also at once; a close on another thread
 * ends the wait with BATPAK_CLOSED.
 */
BATPAK_API
batpak_status batpak_store_wait(const struct batpak_store *store,
                                uint64_t events,
                                uint64_t timeout_ms,
                                uint64_t *visible,
                                struct batpak_error *error);

/**
 * The end of the log: how many events, the last one's hash, the root of the tree over all.
 *
 * Errors: BATPAK_BAD_HANDLE, BATPAK_CLOSED, BATPAK_CORRUPT, BATPAK_IO, BATPAK_FORKED.
 * Threads: any, also at once.
 */
BATPAK_API
batpak_status batpak_store_head(const struct batpak_store *store,
                                struct batpak_head *head,
                                struct batpak_error *error);

/**
 * The end of the log as it was when it had so many events: to be compared with a head that was
 * noted down then.
 *
 * events: how many; more than there are is BATPAK_INVALID_ARGUMENT.
 *
 * Errors: as for batpak_store_head. Threads: any, also at once.
 */
BATPAK_API
batpak_status batpak_store_head_at(const struct batpak_store *store,
                                   uint64_t events,
                                   struct batpak_head *head,
                                   struct batpak_error *error);

/**
 * The end of a stream: one lane of an entity.
 *
 * entity: whose. lane: which; 0 is the trunk. head: gets the end of the stream, and is left alone
 * when there is none. count: gets 1, or 0 when the stream has no event.
 *
 * Errors: as for batpak_store_head. Threads: any, also at once.
 */
BATPAK_API
batpak_status batpak_store_stream_head(const struct batpak_store *store,
                                       const char *entity,
                                       size_t entity_length,
                                       uint32_t lane,
                                       struct batpak_stream_head *head,
                                       size_t *count,
                                       struct batpak_error *error);

/**
 * How far events have come.
 *
 * Errors: BATPAK_BAD_HANDLE, BATPAK_CLOSED, BATPAK_FORKED. Threads: any, also at once.
 */
BATPAK_API
batpak_status batpak_store_frontier(const struct batpak_store *store,
                                    struct batpak_frontier *frontier,
                                    struct batpak_error *error);

/**
 * Sizes and identity of a store.
 *
 * Errors: as for batpak_store_head. Threads: any, also at once.
 */
BATPAK_API
batpak_status batpak_store_stats(const struct batpak_store *store,
                                 struct batpak_stats *stats,
                                 struct batpak_error *error);

/**
 * How many handles of this process are open: stores, tickets, fences, scans, follows, views and
 * inspections. For tests that look for leaks.
 *
 * Threads: any, also at once.
 */
BATPAK_API
uint64_t batpak_debug_live_handles(void);

/**
 * Looks at a directory: what it holds, its health as far as opening checks it, and what opening it
 * would do. Changes nothing, and does not disturb a live writer. To check every byte, open it with
 * BATPAK_OPEN_READ_ONLY and call batpak_store_verify.
 *
 * path: the directory. inspection: gets the handle, which the caller releases with
 * batpak_inspection_release; what was found stays as it was.
 *
 * Errors: only when the directory could not be looked at: BATPAK_IO, BATPAK_INVALID_ARGUMENT,
 * BATPAK_TOO_LARGE when there are too many handles. What opening refuses is no error of this call:
 * batpak_inspection_refusal gives it.
 * Threads: any, also at once.
 */
BATPAK_API
batpak_status batpak_inspect(const char *path,
                             size_t path_length,
                             struct batpak_inspection **inspection,
                             struct batpak_error *error);

/**
 * What opening the directory would do, and what store it holds.
 *
 * Errors: BATPAK_BAD_HANDLE, BATPAK_INVALID_ARGUMENT. Threads: any, also at once.
 */
BATPAK_API
batpak_status batpak_inspection_state(const struct batpak_inspection *inspection,
                                      struct batpak_directory_state *state,
                                      struct batpak_error *error);

/**
 * Why opening would fail.
 *
 * refusal: gets the error that opening gives, or that a reader gets; its kind is BATPAK_OK when
 * readers are not refused, as with BATPAK_OPENING_LOCKED.
 *
 * Errors: BATPAK_BAD_HANDLE, BATPAK_INVALID_ARGUMENT. Threads: any, also at once.
 */
BATPAK_API
batpak_status batpak_inspection_refusal(const struct batpak_inspection *inspection,
                                        struct batpak_error *refusal,
                                        struct batpak_error *error);

/**
 * What a reader of the directory finds; if readers are refused, what a salvage finds.
 *
 * report: gets it; its format is 0 when there is no store, or nothing that can be read of it.
 *
 * Errors: BATPAK_BAD_HANDLE, BATPAK_INVALID_ARGUMENT. Threads: any, also at once.
 */
BATPAK_API
batpak_status batpak_inspection_report(const struct batpak_inspection *inspection,
                                       struct batpak_open_report *report,
                                       struct batpak_error *error);

/**
 * One text of that report.
 *
 * list: a batpak_report_list. index: from 0 to the list's count in batpak_open_report.
 * buffer: gets the text, cut to capacity - 1 bytes, and a NUL; may be null when capacity is 0.
 * length: gets the length of the whole text, without the NUL.
 *
 * Errors: BATPAK_NOT_FOUND when the list has no such index, BATPAK_BAD_HANDLE,
 * BATPAK_INVALID_ARGUMENT. Threads: any, also at once.
 */
BATPAK_API
batpak_status batpak_inspection_report_text(const struct batpak_inspection *inspection,
                                            int32_t list,
                                            size_t index,
                                            char *buffer,
                                            size_t capacity,
                                            size_t *length,
                                            struct batpak_error *error);

/**
 * Forgets what was found.
 *
 * inspection: may be null, which does nothing.
 *
 * Errors: BATPAK_BAD_HANDLE. Threads: any, also while other calls run on the inspection.
 */
BATPAK_API
batpak_status batpak_inspection_release(struct batpak_inspection *inspection,
                                        struct batpak_error *error);

/**
 * The stable name of a batpak_opening, such as "RECOVERS"; "UNKNOWN" for any other number. It ends
 * with a NUL and lives as long as the library.
 *
 * Threads: any, also at once.
 */
BATPAK_API
const char *batpak_opening_name(int32_t opening);

/**
 * Appends all events or none, in this order, with nothing between them. One event is a batch of
 * one; none is a call that does nothing.
 *
 * events: count events. durability: a batpak_durability. receipts: gets count receipts in the
 * order of the events; may be null.
 *
 * Errors: BATPAK_INVALID_ARGUMENT, BATPAK_INVALID_COORDINATE, BATPAK_INVALID_KIND,
 * BATPAK_TOO_LARGE, BATPAK_CLOCK_CONFLICT, BATPAK_IDEMPOTENCY_CONFLICT, BATPAK_DISK_FULL and
 * BATPAK_READ_ONLY mean that nothing was appended; BATPAK_INDETERMINATE that reopening decides;
 * BATPAK_POISONED that the store has to be reopened; also BATPAK_BAD_HANDLE, BATPAK_CLOSED,
 * BATPAK_IO, BATPAK_FORKED. Threads: any, also at once.
 */
BATPAK_API
batpak_status batpak_store_append(const struct batpak_store *store,
                                  const struct batpak_new_event *events,
                                  size_t count,
                                  int32_t durability,
                                  struct batpak_receipt *receipts,
                                  struct batpak_error *error);

/**
 * Appends all events if every gate permits every one of them. The gates are asked in their order,
 * on the calling thread, before this call returns, and are not kept. They may call functions that
 * read the same store. Gates are not asked about events that are all there already, by their ids:
 * repeating an append adds nothing.
 *
 * gates: gate_count gates. mode: a batpak_gate_mode. record_denial: 1 to record a refusal in the
 * log, otherwise 0. The rest as for batpak_store_append.
 *
 * Errors: BATPAK_DENIED when a gate refused, with its name, code and message in the error's
 * message; BATPAK_CALLBACK when a gate returned something that is no verdict; otherwise as for
 * batpak_store_append. Threads: any, also at once.
 */
BATPAK_API
batpak_status batpak_store_append_gated(const struct batpak_store *store,
                                        const struct batpak_new_event *events,
                                        size_t count,
                                        const struct batpak_gate *gates,
                                        size_t gate_count,
                                        int32_t mode,
                                        int32_t record_denial,
                                        int32_t durability,
                                        struct batpak_receipt *receipts,
                                        struct batpak_error *error);

/**
 * Records in the log that gates refused an event, for a caller that asked its gates itself.
 *
 * refused: the one event. outcomes: outcome_count outcomes, of which one at least refuses.
 * receipt: gets the receipt of the record; may be null. The rest as for batpak_store_append.
 *
 * Errors: as for batpak_store_append. Threads: any, also at once.
 */
BATPAK_API
batpak_status batpak_store_record_denial(const struct batpak_store *store,
                                         const struct batpak_new_event *refused,
                                         const struct batpak_gate_outcome *outcomes,
                                         size_t outcome_count,
                                         int32_t durability,
                                         struct batpak_receipt *receipt,
                                         struct batpak_error *error);

/**
 * Starts to append all events or none, as batpak_store_append does, and returns at once. Appends
 * are committed in the order in which a thread starts them, also before later ones that wait;
 * thousands under way share writes and syncs. What is under way takes memory and handles: wait
 * for the oldest before starting ever more.
 *
 * events: count events, which are copied. durability: a batpak_durability. ticket: gets the
 * handle, which the caller closes with batpak_ticket_close.
 *
 * Errors: as for batpak_store_append, as far as they are seen at once: then nothing was started.
 * Those that come later are reported by batpak_ticket_wait. BATPAK_TOO_LARGE also when there are
 * too many handles. Threads: any, also at once.
 */
BATPAK_API
batpak_status batpak_store_append_ticket(const struct batpak_store *store,
                                         const struct batpak_new_event *events,
                                         size_t count,
                                         int32_t durability,
                                         struct batpak_ticket **ticket,
                                         struct batpak_error *error);

/**
 * Waits until an append has ended or the time is up. It may be called any number of times, also
 * after the append ended, and after the store was closed, which ends every append under way.
 *
 * timeout_ms: the longest wait, in milliseconds. done: gets 1 when the append has succeeded, or 0
 * when the time was up. receipts: gets the first capacity receipts in the order of the events;
 * may be null when capacity is 0. count: gets how many receipts there are, which is the number of
 * events; 0 when the time was up.
 *
 * Errors: those of batpak_store_append when the append has failed; BATPAK_BAD_HANDLE,
 * BATPAK_INVALID_ARGUMENT; in a forked child BATPAK_FORKED, unless the append had ended before.
 * Threads: any, also at once.
 */
BATPAK_API
batpak_status batpak_ticket_wait(const struct batpak_ticket *ticket,
                                 uint64_t timeout_ms,
                                 int32_t *done,
                                 struct batpak_receipt *receipts,
                                 size_t capacity,
                                 size_t *count,
                                 struct batpak_error *error);

/**
 * Whether an append has ended, well or not.
 *
 * done: gets 1 when it has, otherwise 0.
 *
 * Errors: BATPAK_BAD_HANDLE, BATPAK_INVALID_ARGUMENT. Threads: any, also at once.
 */
BATPAK_API
batpak_status batpak_ticket_is_done(const struct batpak_ticket *ticket,
                                    int32_t *done,
                                    struct batpak_error *error);

/**
 * Gives up a ticket. It changes nothing about the append, which goes on if it has not ended.
 *
 * ticket: may be null, which does nothing.
 *
 * Errors: BATPAK_BAD_HANDLE. Threads: any, also while other calls run on the ticket, which go on
 * to their end.
 */
BATPAK_API
batpak_status batpak_ticket_close(struct batpak_ticket *ticket,
                                  struct batpak_error *error);

/**
 * Starts to append all events or none, as batpak_store_append_ticket does, and calls a function
 * of the caller's when the append has ended: exactly once when this returns BATPAK_OK, possibly
 * before it does, and otherwise never. The appends are committed in the order in which a thread
 * starts them; their functions may be called in another order, and several at once.
 *
 * events: count events, which are copied. durability: a batpak_durability. callback: the function.
 * user_data: handed to it. destructor: called exactly once with user_data, whatever this returns:
 * after the callback on its thread, or before this returns an error; may be null. In a forked
 * child neither is called for an append that the parent started.
 *
 * Errors: as for batpak_store_append, as far as they are seen at once: then nothing was started.
 * Threads: any, also at once.
 */
BATPAK_API
batpak_status batpak_store_append_then(const struct batpak_store *store,
                                       const struct batpak_new_event *events,
                                       size_t count,
                                       int32_t durability,
                                       batpak_append_callback callback,
                                       void *user_data,
                                       batpak_destructor destructor,
                                       struct batpak_error *error);

/**
 * Ends a view: its events, and all that they point to, are gone. Views need no store: they stay
 * valid after it was closed.
 *
 * view: may be null, which does nothing.
 *
 * Errors: BATPAK_BAD_HANDLE. Threads: any; the caller sees to it that no thread still reads the
 * events.
 */
BATPAK_API
batpak_status batpak_view_release(struct batpak_view *view,
                                  struct batpak_error *error);

/**
 * The next extension of an event.
 *
 * extensions, length: those of a batpak_event. position: 0 at first; moves behind the extension.
 * extension: gets the key and the value, which point into extensions; left alone at the end.
 * count: gets 1, or 0 when there are no more.
 *
 * Errors: BATPAK_INVALID_ARGUMENT. Threads: any, also at once.
 */
BATPAK_API
batpak_status batpak_extension_next(const uint8_t *extensions,
                                    size_t length,
                                    size_t *position,
                                    struct batpak_extension *extension,
                                    size_t *count,
                                    struct batpak_error *error);

/**
 * The event with this id.
 *
 * view: gets a view, which the caller releases, or null when there is no such event. events: gets
 * the event, valid until the view is released. count: gets 1, or 0 when there is no such event.
 *
 * Errors: BATPAK_BAD_HANDLE, BATPAK_CLOSED, BATPAK_CORRUPT, BATPAK_IO, BATPAK_FORKED,
 * BATPAK_INVALID_ARGUMENT, BATPAK_TOO_LARGE when there are too many handles.
 * Threads: any, also at once.
 */
BATPAK_API
batpak_status batpak_store_get(const struct batpak_store *store,
                               const struct batpak_id *id,
                               struct batpak_view **view,
                               const struct batpak_event **events,
                               size_t *count,
                               struct batpak_error *error);

/**
 * The event at this sequence. As batpak_store_get in everything else.
 *
 * Threads: any, also at once.
 */
BATPAK_API
batpak_status batpak_store_at(const struct batpak_store *store,
                              uint64_t sequence,
                              struct batpak_view **view,
                              const struct batpak_event **events,
                              size_t *count,
                              struct batpak_error *error);

/**
 * The events from one back along a link, newest first, itself included.
 *
 * id: where to start. link: a batpak_link. limit: at most so many events. view, events, count: as
 * for batpak_store_get. boundary: gets why there are no more, a batpak_boundary.
 *
 * Errors: BATPAK_NOT_FOUND when there is no event with this id; otherwise as for
 * batpak_store_get. Threads: any, also at once.
 */
BATPAK_API
batpak_status batpak_store_ancestors(const struct batpak_store *store,
                                     const struct batpak_id *id,
                                     int32_t link,
                                     uint64_t limit,
                                     struct batpak_view **view,
                                     const struct batpak_event **events,
                                     size_t *count,
                                     int32_t *boundary,
                                     struct batpak_error *error);

/**
 * Starts reading a query. It sees what is visible now, and not what is appended later.
 *
 * query: may be null for everything, forwards. scan: gets the handle, which the caller closes
 * with batpak_scan_close.
 *
 * Errors: BATPAK_INVALID_ARGUMENT, BATPAK_INVALID_COORDINATE, BATPAK_INVALID_KIND,
 * BATPAK_BAD_HANDLE, BATPAK_CLOSED, BATPAK_FORKED, BATPAK_TOO_LARGE when there are too many
 * handles. Threads: any, also at once.
 */
BATPAK_API
batpak_status batpak_scan_open(const struct batpak_store *store,
                               const struct batpak_query *query,
                               struct batpak_scan **scan,
                               struct batpak_error *error);

/**
 * The next events of a scan, without copying them.
 *
 * max_events: at most so many, from 1. max_bytes: no more events once their payloads have so many
 * bytes; one event is given in any case. view: gets a view, which the caller releases, or null at
 * the end. events: gets the events, valid until the view is released. count: gets how many; 0 at
 * the end.
 *
 * Errors: BATPAK_BAD_HANDLE, BATPAK_CLOSED, BATPAK_CORRUPT, BATPAK_IO, BATPAK_FORKED,
 * BATPAK_TOO_LARGE when there are too many handles, BATPAK_INVALID_ARGUMENT also when another
 * thread is in a call on this scan. Threads: any, one at a time.
 */
BATPAK_API
batpak_status batpak_scan_next(struct batpak_scan *scan,
                               size_t max_events,
                               size_t max_bytes,
                               struct batpak_view **view,
                               const struct batpak_event **events,
                               size_t *count,
                               struct batpak_error *error);

/**
 * The next events of a scan, copied into memory of the caller's: first an array of batpak_event,
 * then the texts and bytes that they point to. There is nothing to release.
 *
 * max_events: at most so many, from 1. buffer: capacity bytes, aligned to 8. count: gets how many
 * events are in the buffer; 0 at the end, and when the buffer is too small for the next one.
 * needed: gets 0, or in the latter case the capacity that the next event needs.
 *
 * Errors: as for batpak_scan_next. Threads: any, one at a time.
 */
BATPAK_API
batpak_status batpak_scan_read_into(struct batpak_scan *scan,
                                    size_t max_events,
                                    uint8_t *buffer,
                                    size_t capacity,
                                    size_t *count,
                                    size_t *needed,
                                    struct batpak_error *error);

/**
 * Ends a scan. Views that it gave stay valid.
 *
 * scan: may be null, which does nothing.
 *
 * Errors: BATPAK_BAD_HANDLE. Threads: any, also while a call runs on the scan.
 */
BATPAK_API
batpak_status batpak_scan_close(struct batpak_scan *scan,
                                struct batpak_error *error);

/**
 * Starts to follow a query: it gives what is there, then what is appended, as it becomes visible,
 * in order and without loss. In a store opened for reading it follows a writer in another process.
 *
 * query: may be null for everything; its direction is forward, and it has no limit. follow: gets
 * the handle, which the caller closes with batpak_follow_close.
 *
 * Errors: BATPAK_INVALID_ARGUMENT, BATPAK_INVALID_COORDINATE, BATPAK_INVALID_KIND,
 * BATPAK_BAD_HANDLE, BATPAK_CLOSED, BATPAK_FORKED, BATPAK_TOO_LARGE when there are too many
 * handles. Threads: any, also at once.
 */
BATPAK_API
batpak_status batpak_store_follow(const struct batpak_store *store,
                                  const struct batpak_query *query,
                                  struct batpak_follow **follow,
                                  struct batpak_error *error);

/**
 * The next events, without copying them. When there are none yet, waits until there are.
 *
 * max_events: at most so many, from 1. max_bytes: no more events once their payloads have so many
 * bytes; one event is given in any case. timeout_ms: the longest wait, in milliseconds. view: gets
 * a view, which the caller releases, or null when the time was up. events: gets the events, valid
 * until the view is released. count: gets how many; 0 when the time was up.
 *
 * Errors: BATPAK_CLOSED when the store was closed, or another thread closed the follow during the
 * wait; BATPAK_BAD_HANDLE, BATPAK_CORRUPT, BATPAK_IO, BATPAK_FORKED, BATPAK_TOO_LARGE when there
 * are too many handles, BATPAK_INVALID_ARGUMENT also when another thread is in a call on this
 * follow. Threads: any, one at a time. Closing the store ends a wait at once, closing the follow
 * within a tenth of a second.
 */
BATPAK_API
batpak_status batpak_follow_next(struct batpak_follow *follow,
                                 size_t max_events,
                                 size_t max_bytes,
                                 uint64_t timeout_ms,
                                 struct batpak_view **view,
                                 const struct batpak_event **events,
                                 size_t *count,
                                 struct batpak_error *error);

/**
 * The next sequence to be looked at: what to put into from of a query that goes on after a
 * restart.
 *
 * position: gets the sequence. Every event that matched before it was given.
 *
 * Errors: BATPAK_BAD_HANDLE, BATPAK_INVALID_ARGUMENT. Threads: any, also at once, and while
 * another waits in batpak_follow_next.
 */
BATPAK_API
batpak_status batpak_follow_position(const struct batpak_follow *follow,
                                     uint64_t *position,
                                     struct batpak_error *error);

/**
 * Ends a follow. Views that it gave stay valid.
 *
 * follow: may be null, which does nothing.
 *
 * Errors: BATPAK_BAD_HANDLE. Threads: any, also while a call runs on the follow, which ends with
 * BATPAK_CLOSED if it waits.
 */
BATPAK_API
batpak_status batpak_follow_close(struct batpak_follow *follow,
                                  struct batpak_error *error);

/**
 * Begins a fence. It holds nothing of the log: any number of them may be open, and nobody who
 * appends waits for one.
 *
 * options: may be null for the defaults. fence: gets the handle, which the caller closes with
 * batpak_fence_close.
 *
 * Errors: BATPAK_BAD_HANDLE, BATPAK_CLOSED, BATPAK_READ_ONLY, BATPAK_FORKED,
 * BATPAK_INVALID_ARGUMENT, BATPAK_POISONED, BATPAK_TOO_LARGE when there are too many handles.
 * Threads: any, also at once.
 */
BATPAK_API
batpak_status batpak_fence_begin(const struct batpak_store *store,
                                 const struct batpak_fence_options *options,
                                 struct batpak_fence **fence,
                                 struct batpak_error *error);

/**
 * Adds events behind those that the fence has, all of them or none. All that does not depend on
 * the log is checked here; ids and expected clocks are compared with it when the fence is
 * committed.
 *
 * events: count events, as many and as large as batpak_store_append takes; causation_item is a
 * place in the fence. place: gets the place of the first of them within the fence, from 0; may be
 * null.
 *
 * Errors: BATPAK_INVALID_ARGUMENT, BATPAK_INVALID_COORDINATE, BATPAK_INVALID_KIND,
 * BATPAK_TOO_LARGE; BATPAK_DISK_FULL and BATPAK_IO when the fence's file cannot be written: after
 * any of them the fence has what it had before. BATPAK_CLOSED when it was committed or cancelled,
 * while another thread commits it, and when the store was closed; also BATPAK_BAD_HANDLE,
 * BATPAK_POISONED, BATPAK_FORKED. Threads: any, also at once.
 */
BATPAK_API
batpak_status batpak_fence_append(const struct batpak_fence *fence,
                                  const struct batpak_new_event *events,
                                  size_t count,
                                  uint64_t *place,
                                  struct batpak_error *error);

/**
 * How many events a fence has.
 *
 * events: gets the number.
 *
 * Errors: BATPAK_CLOSED as for batpak_fence_append; BATPAK_BAD_HANDLE, BATPAK_FORKED,
 * BATPAK_INVALID_ARGUMENT. Threads: any, also at once.
 */
BATPAK_API
batpak_status batpak_fence_events(const struct batpak_fence *fence,
                                  uint64_t *events,
                                  struct batpak_error *error);

/**
 * Reads a fence's own events back, from a place on. What an event gets from the log is missing: its
 * sequence is its place in the fence; its clock, segment, offset and hashes are zero. Its id and
 * times are, too, if the caller gave none, and so is a cause whose id is not given.
 *
 * from_place: the place of the first; there is nothing behind the last. max_events: at most so
 * many, from 1. max_bytes: no more events once their frames have about so many bytes; one event is
 * given in any case. view: gets a view, which the caller releases, or null at the end. events:
 * gets the events, valid until the view is released, also after the fence has ended. count: gets
 * how many; 0 at the end.
 *
 * Errors: BATPAK_CLOSED as for batpak_fence_append; BATPAK_BAD_HANDLE, BATPAK_CORRUPT and BATPAK_IO
 * for the fence's file, BATPAK_FORKED, BATPAK_INVALID_ARGUMENT, BATPAK_TOO_LARGE when there are too
 * many handles. Threads: any, also at once.
 */
BATPAK_API
batpak_status batpak_fence_read(const struct batpak_fence *fence,
                                uint64_t from_place,
                                size_t max_events,
                                size_t max_bytes,
                                struct batpak_view **view,
                                const struct batpak_event **events,
                                size_t *count,
                                struct batpak_error *error);

/**
 * Appends a fence's events as one batch, of any size: ids and expected clocks are checked,
 * sequences and clocks assigned, and when all is as safe as asked for, all events become visible
 * at once. Other appends wait while a large fence is written. The fence has ended then, and its
 * handle still has to be closed.
 *
 * If all its events have an id that is known already, with the same content, nothing is appended,
 * and committed says so. As for a batch, anything else with known ids is a conflict.
 *
 * durability: a batpak_durability. committed: gets what was done; may be null.
 *
 * Errors: as for batpak_store_append. A commit that fails leaves the fence open: it can be tried
 * again, or cancelled. BATPAK_CLOSED as for batpak_fence_append. Threads: any; of several at once,
 * one commits, and the others get BATPAK_CLOSED.
 */
BATPAK_API
batpak_status batpak_fence_commit(const struct batpak_fence *fence,
                                  int32_t durability,
                                  struct batpak_committed *committed,
                                  struct batpak_error *error);

/**
 * Ends a fence without appending anything. Its handle still has to be closed.
 *
 * Errors: BATPAK_CLOSED as for batpak_fence_append; BATPAK_BAD_HANDLE, BATPAK_FORKED.
 * Threads: any, also at once.
 */
BATPAK_API
batpak_status batpak_fence_cancel(const struct batpak_fence *fence,
                                  struct batpak_error *error);

/**
 * Gives a fence up. One that was not committed is cancelled. Views that it gave stay valid.
 *
 * fence: may be null, which does nothing.
 *
 * Errors: BATPAK_BAD_HANDLE. Threads: any, also while calls run on the fence, which go on to their
 * end, also a commit.
 */
BATPAK_API
batpak_status batpak_fence_close(struct batpak_fence *fence,
                                 struct batpak_error *error);

/**
 * Checks every byte, hash and link of a store. Damage is not an error of this call: it is in the
 * report.
 *
 * report: gets the result. findings: gets the first capacity damages, in log order; may be null
 * when capacity is 0.
 *
 * Errors: BATPAK_BAD_HANDLE, BATPAK_CLOSED, BATPAK_IO, BATPAK_FORKED, BATPAK_INVALID_ARGUMENT.
 * Threads: any, also at once.
 */
BATPAK_API
batpak_status batpak_store_verify(const struct batpak_store *store,
                                  struct batpak_verify_report *report,
                                  struct batpak_finding *findings,
                                  size_t capacity,
                                  struct batpak_error *error);

/**
 * The stable name of a batpak_finding_kind, such as "HASH"; "UNKNOWN" for any other number. It
 * ends with a NUL and lives as long as the library.
 *
 * Threads: any, also at once.
 */
BATPAK_API
const char *batpak_finding_name(int32_t kind);

/**
 * Imports the events of another store: of this format, or of the batpak crate 0.1 to 0.10. The
 * source is opened for reading and not changed. All that was imported is durable on return.
 *
 * Kept are ids, kinds, times, lanes, depths, flags, correlation, causation, extensions, payload
 * versions, payloads and batches; and sequences, when everything is imported into an empty store
 * and nobody appends meanwhile. Clocks and hashes are those of this store. Where an event comes
 * from is in its extension "batpak.import".
 *
 * An event whose id is here already with the same content is counted and left alone: an import
 * that ended with an error, or was interrupted, goes on when it is called again.
 *
 * source: the directory of the other store. query: which of its events; may be null for all of
 * them; it has no direction, from and limit. options: may be null for the defaults. report: gets
 * the result. drops: gets the first capacity drops; may be null when capacity is 0.
 *
 * Errors: BATPAK_NOT_FOUND, BATPAK_CORRUPT, BATPAK_UNSUPPORTED and BATPAK_LOCKED for the source;
 * BATPAK_INVALID_ARGUMENT, also when the source is this store; BATPAK_INVALID_COORDINATE,
 * BATPAK_INVALID_KIND; those of batpak_store_append.
 * Threads: any, also at once, and imports of the same share the work; a close on another thread
 * ends the import.
 */
BATPAK_API
batpak_status batpak_store_import(const struct batpak_store *store,
                                  const char *source,
                                  size_t source_length,
                                  const struct batpak_query *query,
                                  const struct batpak_import_options *options,
                                  struct batpak_import_report *report,
                                  struct batpak_dropped *drops,
                                  size_t capacity,
                                  struct batpak_error *error);

/**
 * Writes events to a new directory, as a store of the batpak crate 0.x. Nothing of an export that
 * fails is left under the directory's name.
 *
 * Kept are ids, kinds, times, lanes, depths, flags, correlation, causation, extensions, payload
 * versions and payloads; an imported event gets its old clock, and its ciphertext if it was
 * encrypted; the key file is not part of the copy. Links and hashes are made as the crate makes
 * them. Sequences there are the places of the events in the export.
 *
 * destination: the directory, which must not exist or be empty; directories above it are made, and
 * meanwhile there is one beside it whose name ends with `.unfinished`. query: which events; may be
 * null for all of them; it has no direction, from and limit. options: may be null for the
 * defaults. report: gets the result. drops: gets the first capacity drops; may be null when
 * capacity is 0.
 *
 * Errors: BATPAK_BAD_HANDLE, BATPAK_CLOSED, BATPAK_INVALID_ARGUMENT, also when the directory holds
 * something; BATPAK_INVALID_COORDINATE, BATPAK_INVALID_KIND, BATPAK_CORRUPT, BATPAK_IO,
 * BATPAK_DISK_FULL, BATPAK_FORKED, BATPAK_LOCKED while another export to the directory is under
 * way.
 * Threads: any, also at once; a close on another thread ends the export.
 */
BATPAK_API
batpak_status batpak_store_export(const struct batpak_store *store,
                                  const char *destination,
                                  size_t destination_length,
                                  const struct batpak_query *query,
                                  const struct batpak_export_options *options,
                                  struct batpak_export_report *report,
                                  struct batpak_dropped *drops,
                                  size_t capacity,
                                  struct batpak_error *error);

/**
 * The bytes that a receipt of the batpak crate 0.7 to 0.10 vouches for, for an event of a 0.x
 * store that is open for reading: the receipt's signature is Ed25519 over the BLAKE3 of these
 * bytes.
 *
 * sequence: the event's. buffer: gets as many of the bytes as it has room for; may be null when
 * capacity is 0. length: gets how many there are.
 *
 * Errors: BATPAK_NOT_FOUND when there is no such event, BATPAK_UNSUPPORTED for a store of another
 * format, BATPAK_BAD_HANDLE, BATPAK_CLOSED, BATPAK_CORRUPT, BATPAK_IO, BATPAK_FORKED,
 * BATPAK_INVALID_ARGUMENT. Threads: any, also at once.
 */
BATPAK_API
batpak_status batpak_store_receipt_cover_0x(const struct batpak_store *store,
                                            uint64_t sequence,
                                            uint8_t *buffer,
                                            size_t capacity,
                                            size_t *length,
                                            struct batpak_error *error);

/**
 * Makes a snapshot in a new directory, while appends go on: all events that are visible now, and
 * what the library needs to open them as a store, with the same store id. To restore it is to open
 * it. Nothing of a snapshot that failed is left under its name; one that has its name is whole,
 * and survives a power cut.
 *
 * Sealed segments are shared with this store by hard links where the file system can do that, and
 * copied otherwise. Only while everything is written and synced, as by batpak_store_sync, appends
 * wait.
 *
 * destination: the directory, which must not exist or be empty; directories above it are made, and
 * meanwhile there is one beside it whose name ends with `.unfinished`. options: may be null for
 * the defaults. report: gets the result.
 *
 * Errors: BATPAK_INVALID_ARGUMENT, also when the directory holds something, or options.earlier is
 * no snapshot of this store; BATPAK_NOT_FOUND and BATPAK_UNSUPPORTED for options.earlier;
 * BATPAK_UNSUPPORTED also for a store opened for salvage and for one of the batpak crate 0.x;
 * BATPAK_LOCKED while something else is copied to the directory; BATPAK_BAD_HANDLE,
 * BATPAK_CLOSED, BATPAK_CORRUPT, BATPAK_IO, BATPAK_DISK_FULL, BATPAK_POISONED,
 * BATPAK_INDETERMINATE, BATPAK_FORKED.
 * Threads: any, also at once.
 */
BATPAK_API
batpak_status batpak_store_snapshot(const struct batpak_store *store,
                                    const char *destination,
                                    size_t destination_length,
                                    const struct batpak_snapshot_options *options,
                                    struct batpak_copy_report *report,
                                    struct batpak_error *error);

/**
 * Verifies a snapshot, all of it, and compares it with this store. Damage to the snapshot is not
 * an error of this call: it is in the report. An error means that it cannot be opened.
 *
 * snapshot: its directory. report: gets what verifying the snapshot found. findings: gets the
 * first capacity damages, in log order; may be null when capacity is 0. is_prefix: gets 1 when the
 * snapshot is intact and this store's log begins with it, otherwise 0. diff: gets how it compares
 * with this store, theirs being the events of the snapshot; when the snapshot is damaged, it is
 * left alone.
 *
 * Errors: BATPAK_NOT_FOUND, BATPAK_CORRUPT and BATPAK_UNSUPPORTED for the snapshot;
 * BATPAK_UNSUPPORTED also for a store opened for salvage and for one of the batpak crate 0.x;
 * BATPAK_BAD_HANDLE, BATPAK_CLOSED, BATPAK_IO, BATPAK_FORKED, BATPAK_INVALID_ARGUMENT.
 * Threads: any, also at once.
 */
BATPAK_API
batpak_status batpak_store_verify_snapshot(const struct batpak_store *store,
                                           const char *snapshot,
                                           size_t snapshot_length,
                                           struct batpak_verify_report *report,
                                           struct batpak_finding *findings,
                                           size_t capacity,
                                           int32_t *is_prefix,
                                           struct batpak_diff *diff,
                                           struct batpak_error *error);

/**
 * Makes a fork in a new directory, while appends go on: a store of its own, with its own id, that
 * begins with events of this one and can be appended to. Nothing of a fork that failed is left
 * under its name; one that has its name is whole, and survives a power cut. Events keep their ids,
 * hashes and places; receipts stay valid. Sealed segments are shared as those of a snapshot are.
 *
 * destination: as for batpak_store_snapshot. options: may be null for the defaults. report: gets
 * the result.
 *
 * Errors: BATPAK_INVALID_ARGUMENT, also when the directory holds something, and when options.at is
 * more than there are events or in the middle of a batch; BATPAK_TOO_LARGE when the store has too
 * many ancestors; otherwise as for batpak_store_snapshot.
 * Threads: any, also at once.
 */
BATPAK_API
batpak_status batpak_store_fork(const struct batpak_store *store,
                                const char *destination,
                                size_t destination_length,
                                const struct batpak_fork_options *options,
                                struct batpak_copy_report *report,
                                struct batpak_error *error);

/**
 * Compares this store with another one: a fork of it, its parent, or a snapshot. Stores that are
 * no relatives have nothing in common, whatever is in them. What is compared are the hashes and
 * roots that are recorded; that they are those of the events is shown by batpak_store_verify.
 *
 * other: the directory of the other store, which is opened for reading. diff: gets the result.
 *
 * Errors: BATPAK_NOT_FOUND, BATPAK_CORRUPT and BATPAK_UNSUPPORTED for the other store;
 * BATPAK_UNSUPPORTED also for a store opened for salvage and for one of the batpak crate 0.x;
 * BATPAK_BAD_HANDLE, BATPAK_CLOSED, BATPAK_IO, BATPAK_FORKED, BATPAK_INVALID_ARGUMENT.
 * Threads: any, also at once.
 */
BATPAK_API
batpak_status batpak_store_diff(const struct batpak_store *store,
                                const char *other,
                                size_t other_length,
                                struct batpak_diff *diff,
                                struct batpak_error *error);

/**
 * The store that this one was forked from.
 *
 * parent: gets it, and is left alone when there is none. count: gets 1, or 0 when the store is no
 * fork.
 *
 * Errors: BATPAK_BAD_HANDLE, BATPAK_INVALID_ARGUMENT. Threads: any, also at once.
 */
BATPAK_API
batpak_status batpak_store_parent(const struct batpak_store *store,
                                  struct batpak_parent *parent,
                                  size_t *count,
                                  struct batpak_error *error);

/**
 * Puts new segments in the place of sealed ones, while appends and reads go on: drops events that
 * are no longer wanted, or makes tombstones of them, and joins small segments. With a retention,
 * the newest segment is sealed first, so that it holds for every event that is visible. After an
 * error, and after a crash, the store has the events that it had before.
 *
 * What stays keeps its sequence, clock, hash and receipt; roots that were noted down still hold.
 * One who reads meanwhile may or may not see an event that goes. Views keep what they show.
 *
 * It runs on the calling thread, and so do the functions of options, which it waits for. Closing
 * the store, on another thread or by one of them, ends it.
 *
 * options: may be null to join small segments. report: gets the result.
 *
 * Errors: BATPAK_INVALID_ARGUMENT, also for a retention without a rule; BATPAK_INVALID_COORDINATE
 * and BATPAK_INVALID_KIND for its region; BATPAK_CALLBACK when a function of options failed or
 * cancelled; BATPAK_LOCKED while another compaction of the store is under way; BATPAK_TOO_LARGE
 * when there are more keys than key_most and those are to be refused; BATPAK_READ_ONLY,
 * BATPAK_UNSUPPORTED, BATPAK_BAD_HANDLE, BATPAK_CLOSED, BATPAK_CORRUPT, BATPAK_IO,
 * BATPAK_DISK_FULL, BATPAK_POISONED, BATPAK_INDETERMINATE, BATPAK_FORKED.
 * Threads: any, also at once.
 */
BATPAK_API
batpak_status batpak_store_compact(const struct batpak_store *store,
                                   const struct batpak_compact_options *options,
                                   struct batpak_compact_report *report,
                                   struct batpak_error *error);

/**
 * Writes a copy of a damaged store to a new directory: with all events that can be read and that
 * nothing speaks against, each under its sequence. The damaged store is not changed; no writer may
 * have it open. Nothing of a copy that failed is left under its name; one that has its name is
 * whole, and survives a power cut.
 *
 * The events before the first damage are the same, hashes included: the copy is a fork of the
 * damaged store, with its own id. Those behind it have new hashes, links and clocks, and say where
 * they come from in their extension "batpak.import". An empty event of the kind 0x0FFE holds the
 * place of each that was lost.
 *
 * damaged: the directory of the damaged store. destination: the directory of the copy, which must
 * not exist or be empty; directories above it are made, and meanwhile there is one beside it whose
 * name ends with `.unfinished`. options: may be null for the defaults. repaired: gets the handle
 * of the account, which the caller releases with batpak_repaired_release.
 *
 * Errors: BATPAK_NOT_FOUND when there is no store; BATPAK_LOCKED while a writer has it open, and
 * while something else is copied to the destination; BATPAK_UNSUPPORTED for a store of the batpak
 * crate 0.x, which is imported instead, and for one of a later version; BATPAK_TOO_LARGE when more
 * events are lost than max_lost says, and when there are too many handles;
 * BATPAK_INVALID_ARGUMENT, also when the destination holds something; BATPAK_CORRUPT,
 * BATPAK_IO, BATPAK_DISK_FULL.
 * Threads: any, also at once; of two repairs of one store at a time, one gives BATPAK_LOCKED.
 */
BATPAK_API
batpak_status batpak_repair(const char *damaged,
                            size_t damaged_length,
                            const char *destination,
                            size_t destination_length,
                            const struct batpak_repair_options *options,
                            struct batpak_repaired **repaired,
                            struct batpak_error *error);

/**
 * What the repair did, in numbers.
 *
 * Errors: BATPAK_BAD_HANDLE, BATPAK_INVALID_ARGUMENT. Threads: any, also at once.
 */
BATPAK_API
batpak_status batpak_repaired_report(const struct batpak_repaired *repaired,
                                     struct batpak_repair_report *report,
                                     struct batpak_error *error);

/**
 * Which events were lost.
 *
 * lost: gets the first capacity runs, by sequence; may be null when capacity is 0.
 *
 * Errors: BATPAK_BAD_HANDLE, BATPAK_INVALID_ARGUMENT. Threads: any, also at once.
 */
BATPAK_API
batpak_status batpak_repaired_lost(const struct batpak_repaired *repaired,
                                   struct batpak_lost_events *lost,
                                   size_t capacity,
                                   struct batpak_error *error);

/**
 * Every run of bytes in a segment that is no event of the copy, and no header, footer or reserved
 * space.
 *
 * left_out: gets the first capacity runs, by segment and offset; may be null when capacity is 0.
 *
 * Errors: BATPAK_BAD_HANDLE, BATPAK_INVALID_ARGUMENT. Threads: any, also at once.
 */
BATPAK_API
batpak_status batpak_repaired_left_out(const struct batpak_repaired *repaired,
                                       struct batpak_left_out *left_out,
                                       size_t capacity,
                                       struct batpak_error *error);

/**
 * One sentence of what was found damaged.
 *
 * index: from 0 to damage_count in batpak_repair_report. buffer: gets the text, cut to
 * capacity - 1 bytes, and a NUL; may be null when capacity is 0. length: gets the length of the
 * whole text, without the NUL.
 *
 * Errors: BATPAK_NOT_FOUND when there is no such index, BATPAK_BAD_HANDLE,
 * BATPAK_INVALID_ARGUMENT. Threads: any, also at once.
 */
BATPAK_API
batpak_status batpak_repaired_damage(const struct batpak_repaired *repaired,
                                     size_t index,
                                     char *buffer,
                                     size_t capacity,
                                     size_t *length,
                                     struct batpak_error *error);

/**
 * What verifying the copy found, before it got its name.
 *
 * report: gets the result. findings: gets the first capacity damages, in log order; may be null
 * when capacity is 0.
 *
 * Errors: BATPAK_BAD_HANDLE, BATPAK_INVALID_ARGUMENT. Threads: any, also at once.
 */
BATPAK_API
batpak_status batpak_repaired_verification(const struct batpak_repaired *repaired,
                                           struct batpak_verify_report *report,
                                           struct batpak_finding *findings,
                                           size_t capacity,
                                           struct batpak_error *error);

/**
 * Forgets what the repair did.
 *
 * repaired: may be null, which does nothing.
 *
 * Errors: BATPAK_BAD_HANDLE. Threads: any, also while other calls run on it.
 */
BATPAK_API
batpak_status batpak_repaired_release(struct batpak_repaired *repaired,
                                      struct batpak_error *error);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* BATPAK_H */
