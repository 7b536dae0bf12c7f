/* ioprofiler: see every call that one web request made. The C ABI.
 *
 *     ioprof_request request = ioprof_request_begin(profiler, &facts);
 *     ioprof_span span = IOPROF_SPAN_BEGIN(request, dbshard01, sql, strlen(sql), 0);
 *     ... the query ...
 *     ioprof_span_end(span, IOPROF_OUTCOME_OK);
 *     ioprof_request_finish(request, 200, bytes, &profile);
 *
 * Rules that hold for every call:
 * - Any thread may call it, at any time, in any order. It never blocks on I/O, keeps errno, and
 *   lets no panic or exception out. Only ioprof_profiler_flush and ioprof_profiler_free wait; those
 *   that read what was counted or kept (ioprof_prometheus and its like) wait for a second at most.
 * - Profilers, requests and spans are integers; 0 is none. Nothing happens on one that is none,
 *   stale or foreign: misuse is counted (ioprof_stats), never punished.
 * - A text in is a pointer and a length in bytes. It is copied; NULL is empty, whatever the length.
 *   Any other pointer must be good for its length while the call runs. A NUL is a byte like any.
 * - A text out goes into your buffer, cut and ended by a NUL where it is too small; the call gives
 *   the length that the whole needs, without the NUL. NULL as a buffer asks for the length.
 * - Structs start with size_t size: set it to sizeof, the rest to 0. They grow at their ends.
 * - The only thing handed out by pointer is ioprof_profile.
 * - A request begun before a fork is the parent's alone; the child begins its own.
 *
 * Link with: pkg-config --cflags --libs ioprofiler
 * Made by cbindgen from bindings/c: change it there. */


#ifndef IOPROFILER_H
#define IOPROFILER_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

// The old code.
#define IOPROF_FLAG_OFF 0

// The new code, in the decision's variant.
#define IOPROF_FLAG_ON 1

// The old code, and the new code besides, unseen: `ioprof_dark_begin`.
#define IOPROF_FLAG_DARK 2

// No file names the flag: the caller's default.
#define IOPROF_REASON_NOT_FOUND 0

// The flag is broken in its file: the caller's default.
#define IOPROF_REASON_ERROR 1

// `enabled = "off"`, which beats everything.
#define IOPROF_REASON_KILLED 2

// Its priority is shed now, or it would have been dark while anything is.
#define IOPROF_REASON_SHED 3

// The viewer chose it, past the gate.
#define IOPROF_REASON_OVERRIDE 4

// The user is listed.
#define IOPROF_REASON_USER 5

// A group of the user's is listed.
#define IOPROF_REASON_GROUP 6

// It is on for all.
#define IOPROF_REASON_ON 7

// The unit's bucket is within a percentage.
#define IOPROF_REASON_PERCENT 8

// The unit's bucket is within `dark`.
#define IOPROF_REASON_DARK 9

// None of its rules applied.
#define IOPROF_REASON_OFF 10

// A percentage would have decided, and there is nobody to hash.
#define IOPROF_REASON_NO_UNIT 11

// Dark work ended as it should.
#define IOPROF_DARK_OK 0

// With an error, which the host swallowed.
#define IOPROF_DARK_ERROR 1

// With an exception that nobody expected, which the host swallowed.
#define IOPROF_DARK_EXCEPTION 2

// The request did not ask.
#define IOPROF_FORM_NONE 0

// It asked for the panel in the page: `?ioprofiler=1`.
#define IOPROF_FORM_PAGE 1

// It asked for text.
#define IOPROF_FORM_TEXT 2

// It asked for JSON.
#define IOPROF_FORM_JSON 3

// It asked for a ticket.
#define IOPROF_FORM_TICKET 4

// Show nothing, and change nothing in the answer.
#define IOPROF_GATE_CLOSED 0

// The profile may be shown.
#define IOPROF_GATE_OPEN 1

// Ask the gate's flag and the host's own rule after the handler and before headers leave:
// `ioprof_gate_ask_flag`, then `ioprof_gate_answer`.
#define IOPROF_GATE_UNDECIDED 2

// This viewer may look.
#define IOPROF_ANSWER_YES 0

// Not this one.
#define IOPROF_ANSWER_NO 1

// The host's own rule failed: a no, with its own reason.
#define IOPROF_ANSWER_FAILED 2

// It was among the slowest of its route.
#define IOPROF_KEPT_SLOW 0

// It failed.
#define IOPROF_KEPT_ERROR 1

// Fingerprints for details, and nothing of the person who asked: what may be kept or sent.
#define IOPROF_DETAILS_FINGERPRINT 0

// Everything: only for those whom the gate let through.
#define IOPROF_DETAILS_FULL 1

// Record the calls of every request: a page cannot feel it, and the slow ones are there already.
#define IOPROF_RECORD_ALWAYS 0

// Record those of requests that asked for their profile (`ioprof_facts.asked`).
#define IOPROF_RECORD_ASKED 1

// Record none.
#define IOPROF_RECORD_OFF 2

// The machine's clock.
#define IOPROF_CLOCK_SYSTEM 0

// Stands still until `ioprof_clock_advance` moves it, for the whole process: for tests.
#define IOPROF_CLOCK_MANUAL 1

// A page or an API call.
#define IOPROF_WEB 0

// Work in the background; `path` is its name.
#define IOPROF_JOB 1

// A command; `path` is its name.
#define IOPROF_COMMAND 2

// I/O: never a parent. A leaf begun inside a leaf is part of it.
#define IOPROF_LEAF 0

// A template, a function: may contain others.
#define IOPROF_SCOPE 1

// SQL of an unknown server: every quoted form is a literal.
#define IOPROF_DIALECT_GENERIC 0

// MySQL and MariaDB.
#define IOPROF_DIALECT_MYSQL 1

// PostgreSQL.
#define IOPROF_DIALECT_POSTGRESQL 2

// SQLite.
#define IOPROF_DIALECT_SQLITE 3

// Keys of a cache: `user:5020244:name`.
#define IOPROF_DIALECT_KEYS 4

// Paths and template names: `/listing/5773453`.
#define IOPROF_DIALECT_PATH 5

// It did what it should.
#define IOPROF_OUTCOME_OK 0

// It failed.
#define IOPROF_OUTCOME_ERROR 1

// It was given up before it was ready.
#define IOPROF_OUTCOME_CANCELLED 2

// What `ioprof_site` answers when it knows 8,192 lines already. Good as a site: no caller.
#define IOPROF_SITE_FULL UINT32_MAX

// Done.
#define IOPROF_OK 0

// An option has a wrong value; the message names it and says what is allowed.
#define IOPROF_ERR_OPTION 100

// The handle is none, stale, or no handle of this kind.
#define IOPROF_ERR_HANDLE 200

// A pointer that must not be NULL is, a struct's `size` cannot be right, or a number is out of
// its range.
#define IOPROF_ERR_ARGUMENT 300

// The time was over first.
#define IOPROF_ERR_DEADLINE 400

// The profile cannot be put into this answer; the reason is said.
#define IOPROF_ERR_NOT_SHOWN 500

// The library had a bug, which it kept to itself.
#define IOPROF_ERR_PANIC 900

// The ABI that this header describes. Compare it with `ioprof_abi_version()` where the library
// is loaded by hand.
#define IOPROF_ABI_VERSION 0

// What a request had done at one moment. It never changes. You own it: give it to
// `ioprof_profile_free`, once. Several threads may read it at once, but not while one frees it.
//
// The first call for a form makes it, the next ones copy: asking for the length first costs
// nothing twice.
typedef struct ioprof_profile ioprof_profile;

// A flag's number in this process, good in its children too: ask once by `ioprof_flag_of` and
// keep it, or write `IOPROF_FLAG("new_search")`. 0 is a flag that is never found.
typedef uint32_t ioprof_flag;

// What a flag resolved to, in one integer: take it apart with `IOPROF_DECISION_STATE`,
// `IOPROF_DECISION_REASON` and `ioprof_flag_variant`. Good for ever.
typedef uint32_t ioprof_decision;

// One unit of work under observation: an integer. 0 is none: every call accepts it and does
// nothing. One that is stale or foreign does nothing either, and is counted. From any thread.
//
// Bit 0 says whether its calls are recorded.
typedef uint64_t ioprof_request;

// A text that the host keeps: `length` bytes of UTF-8 at `data`, with no NUL at the end. NULL is
// an absent text. Invalid UTF-8 is repaired, never rejected. See `ioprof_text_of`.
typedef struct ioprof_text {
    // First byte, or NULL.
    const char *data;
    // Bytes.
    size_t length;
} ioprof_text;

// A name and its value.
typedef struct ioprof_attribute {
    // `country`.
    struct ioprof_text name;
    // As text; a whole number without a point.
    struct ioprof_text value;
} ioprof_attribute;

// About whom a flag is asked, where it is not about the request's own user and visitor. Set
// `size` and what you have.
typedef struct ioprof_subject {
    // `sizeof(ioprof_subject)`.
    size_t size;
    // The user's id.
    struct ioprof_text user;
    // The browser's id.
    struct ioprof_text visitor;
    // The request's id, for flags with `bucket_by = "request"`.
    struct ioprof_text request;
    // Groups that the user is in.
    const struct ioprof_text *groups;
    // How many; at most 64 are taken.
    size_t group_count;
    // What else flags may be bucketed by.
    const struct ioprof_attribute *attributes;
    // How many; at most 64 are taken.
    size_t attribute_count;
} ioprof_subject;

// A timed call inside a request: an integer. 0 is none: every call accepts it and does nothing.
// One that is stale, foreign or already ended does nothing either, and is counted.
typedef uint64_t ioprof_span;

// The library's instance: an integer. 0 is none: every call accepts it and does nothing.
typedef uint64_t ioprof_profiler;

// A request's header.
typedef struct ioprof_header {
    // In any case.
    struct ioprof_text name;
    // As it came in.
    struct ioprof_text value;
} ioprof_header;

// What of a request may concern the gate. Set `size` and what you have: either single values,
// or all headers as they came.
typedef struct ioprof_gate_inputs {
    // `sizeof(ioprof_gate_inputs)`.
    size_t size;
    // The raw query without `?`.
    struct ioprof_text query;
    // The Host header or authority.
    struct ioprof_text host;
    // The Cookie header.
    struct ioprof_text cookie;
    // The X-Ioprofiler header.
    struct ioprof_text ask_header;
    // The X-Ioprofiler-Token header.
    struct ioprof_text token_header;
    // All headers, instead of the three above; those that do not concern us are passed over.
    const struct ioprof_header *headers;
    // How many; at most 1,024 are looked at.
    size_t header_count;
    // The wall clock in Unix seconds; 0 is now.
    uint64_t now;
} ioprof_gate_inputs;

// How a call that can fail ended: `IOPROF_OK` or one of `IOPROF_ERR_…`. Numbers never change;
// take any number you do not know for an error.
typedef uint32_t ioprof_status;

// What the gate says. Set `size` before the call. It is yours, and holds no pointer.
typedef struct ioprof_gate_decision {
    // `sizeof(ioprof_gate_decision)`.
    size_t size;
    // `IOPROF_FORM_…`: what was asked for.
    uint32_t form;
    // `IOPROF_GATE_…`.
    uint32_t verdict;
    // Why it is closed, or what was tried in vain before: for `ioprof_gate_reason` and
    // `ioprof_gate_refused`. 0 is nothing. For your log, never for the client.
    uint32_t reason;
    // Bytes of `viewer`.
    uint32_t viewer_length;
    // Who looks, where a token said so: the fact `viewer`.
    char viewer[384];
} ioprof_gate_decision;

// The head of an answer that might carry the panel. Set `size` and what you know.
typedef struct ioprof_answer {
    // `sizeof(ioprof_answer)`.
    size_t size;
    // The request's method.
    struct ioprof_text method;
    // The answer's headers, duplicates included.
    const struct ioprof_header *headers;
    // How many; at most 1,024 are looked at.
    size_t header_count;
    // The body's length in bytes where it is known beforehand: that plus 1. 0 is unknown, and
    // then not shown unless `buffer_streams`.
    uint64_t length_plus_one;
    // The largest body that may be held back; 0 is 4 MiB.
    uint64_t cap;
    // The answer's status.
    uint32_t status;
    // 1 where a body of unknown length may be held back to its end.
    uint32_t buffer_streams;
} ioprof_answer;

// What a scrape is answered with, but for the body. Set `size` to `sizeof(ioprof_exposition)`.
typedef struct ioprof_exposition {
    // `sizeof(ioprof_exposition)`.
    size_t size;
    // The answer's status: 200; or 503, where nothing is counted or nothing can be read now, and the
    // body says why.
    uint32_t status;
    // Bytes of `content_type`.
    uint32_t content_type_length;
    // The value of the header `Content-Type`, ended by a NUL.
    char content_type[128];
} ioprof_exposition;

// Where the profiler says what went wrong, once a minute and kind: `kind` is `gate`, `limit`,
// `misuse`, `queue`, `log` or `panic`, `message` one line. Neither ends in NUL. Called by a thread of
// the library, or by whoever flushes; never by a page. It must not throw.
typedef void (*ioprof_log_callback)(void *userdata,
                                    const char *kind,
                                    size_t kind_length,
                                    const char *message,
                                    size_t message_length);

// Options of a profiler. Set `size` to `sizeof(ioprof_options)` and everything else to 0; then
// what you need: 0 is the default.
typedef struct ioprof_options {
    // `sizeof(ioprof_options)`.
    size_t size;
    // `IOPROF_RECORD_…`.
    uint32_t record;
    // `IOPROF_CLOCK_…`.
    uint32_t clock;
    // 1: start no thread; finished requests are then worked on in `ioprof_profiler_flush`.
    uint32_t threadless;
    // Calls that one request lists; further ones are only counted. Default 2,000.
    uint32_t max_spans;
    // Bytes of details that one request keeps. Default 262,144.
    uint32_t max_detail_bytes;
    // Requests that live at once. Default 10,000.
    uint32_t max_live_requests;
    // Bytes that all live requests of the process keep. Default 67,108,864.
    uint64_t max_memory;
    // After so many milliseconds an unfinished page is abandoned. Default 15 minutes.
    uint64_t request_ttl_ms;
    // The same for jobs and commands. Default 24 hours.
    uint64_t job_ttl_ms;
    // The application's build, shown in profiles.
    struct ioprof_text build_id;
    // Who may see a profile: `token`, `callable`, `flag:NAME`, `this-machine`, `everyone`, or
    // several with commas between. Default: nobody. `callable` means that the host answers by
    // `ioprof_gate_answer`; a flag is asked by `ioprof_gate_ask_flag`.
    struct ioprof_text gate;
    // The query's parameter that asks, instead of `ioprofiler`.
    struct ioprof_text gate_parameter;
    // The operator's secrets for `token`, the newer first: 32 bytes at least.
    const struct ioprof_text *gate_secrets;
    // How many; at most two.
    size_t gate_secret_count;
    // Files to read further secrets from.
    const struct ioprof_text *gate_secret_files;
    // How many.
    size_t gate_secret_file_count;
    // Where the profiler says what went wrong. Default: nowhere, only in the counters.
    ioprof_log_callback log;
    // Handed to `log`. It must be good until `ioprof_profiler_free` answered `IOPROF_OK`; where
    // that answered anything else, as long as the process.
    void *log_userdata;
    // What stands in the compact note (`ioprof_request_compact_note`): fields in the language of
    // Apache's LogFormat, as in `%{user_id}n %{app_us}n`. Default: there is none.
    struct ioprof_text note_format;
    // The access log: a file, `stdout`, `stderr`, or `host` where the host writes the lines itself
    // (`ioprof_profile_log_line`). Default: none is written.
    struct ioprof_text access_log;
    // `common`, `combined`, `json`, or a format in the language of Apache's LogFormat. Default
    // `combined`.
    struct ioprof_text access_log_format;
    // The time zone of `%t`: `UTC`, `local` or a name as `America/New_York`. Default `local`.
    struct ioprof_text access_log_time_zone;
    // What `%v` writes. Default: the name in the Host header.
    struct ioprof_text access_log_server_name;
    // `IOPROF_DETAILS_…`: whether JSON lines show the values of queries, and error messages.
    uint32_t access_log_details;
    // The longest that a compact note may be, in bytes, at most 1,000. Default 255.
    uint32_t note_max_bytes;
    // The files with the flags, TOML or JSON: later ones lie over earlier ones. They are looked at
    // once a second. Default: none.
    const struct ioprof_text *flag_files;
    // How many; at most 16.
    size_t flag_file_count;
    // A folder for what outlives the process: the last good flags, and what each process goes by.
    // Made with mode 0700 where it is not there. Default: none.
    struct ioprof_text state_dir;
    // 1: fail where a flags file is missing or anything in it is wrong. Default 0: go on with
    // what is good.
    uint32_t flags_required;
    // 1: what the profiler says is kept for `ioprof_profiler_messages`, for languages that cannot
    // be called back by another thread. `log` is called as well, where it is set.
    uint32_t keep_messages;
    // The name under which `ioprof_profiler_find` finds it again: for languages whose programs
    // begin anew with each request. Default: none.
    struct ioprof_text name;
    // A file in TOML that says what is counted, kept and sent where, as
    // `examples/monitoring/ioprofiler.toml` shows: the same in every language. What is wrong in it
    // fails the call, each line with its place, its key and what is allowed. Default: none.
    struct ioprof_text config_file;
    // The same as a text in TOML. What it sets replaces what `config_file` set; its sinks are added.
    struct ioprof_text config;
    // The same as an object in JSON, tables of the file being objects in it.
    struct ioprof_text config_json;
    // 1: finished requests are added up and `ioprof_count` counts, though nobody is sent anything:
    // for `ioprof_prometheus` and `ioprof_profiler_series`. Default 0: only where there is a
    // `state_dir`, or the configuration needs it.
    uint32_t metrics;
    // 0.
    uint32_t reserved;
} ioprof_options;

// What a request is about. Set `size` to `sizeof(ioprof_facts)` and everything else to 0; then
// what you know. Texts are copied, and cut at 8 KiB.
typedef struct ioprof_facts {
    // `sizeof(ioprof_facts)`.
    size_t size;
    // `IOPROF_WEB`, `IOPROF_JOB`, `IOPROF_COMMAND`.
    uint32_t kind;
    // 1 where the request asked for its profile: see `IOPROF_RECORD_ASKED`.
    uint32_t asked;
    // `GET`.
    struct ioprof_text method;
    // The raw path without the query; of a job or a command its name.
    struct ioprof_text path;
    // The raw query without `?`.
    struct ioprof_text query;
    // `http` or `https`.
    struct ioprof_text scheme;
    // The Host header or authority.
    struct ioprof_text host;
    // `HTTP/1.1`.
    struct ioprof_text protocol;
    // The peer's address.
    struct ioprof_text peer;
    // The request's id, where the host has one; else one is made up.
    struct ioprof_text id;
    // The W3C `traceparent` header.
    struct ioprof_text traceparent;
    // Who looks, where a token said so: `ioprof_gate_decision.viewer`.
    struct ioprof_text viewer;
    // Those request headers that configured formats name: `ioprof_profiler_wanted_headers`.
    const struct ioprof_header *headers;
    // How many; at most 64 are taken.
    size_t header_count;
    // What the viewer wants flags to be: only what `ioprof_gate_flag_overrides` gave.
    struct ioprof_text flag_overrides;
} ioprof_facts;

// Counters. Set `size` to `sizeof(ioprof_stats)` before the call. All but `calls_outside`,
// `lost_facts`, `queue_dropped` and those of the log are the process's; a child of a fork starts from zero.
typedef struct ioprof_stats {
    // `sizeof(ioprof_stats)`.
    size_t size;
    // Requests that began.
    uint64_t begun;
    // Requests that were finished.
    uint64_t finished;
    // Requests whose client left.
    uint64_t aborted;
    // Requests that nobody finished.
    uint64_t abandoned;
    // Requests that live now.
    uint64_t live;
    // Bytes that live and queued requests keep now.
    uint64_t memory;
    // Requests refused, because `max_live_requests` lived.
    uint64_t refused_live;
    // Requests refused, because there was no memory for them.
    uint64_t refused_memory;
    // Calls that were only counted, because a limit was reached.
    uint64_t unlisted;
    // Of these, calls that were not even timed.
    uint64_t untimed;
    // Calls outside any request.
    uint64_t calls_outside;
    // Calls begun or ended after their request.
    uint64_t late_spans;
    // Handles that were stale, foreign or used twice.
    uint64_t stale_handles;
    // Calls dropped because 4,096 threads were in one request at once.
    uint64_t busy;
    // Facts set after their request, or lost to another thread.
    uint64_t lost_facts;
    // Names that became `other`, because a process has at most 1,024 categories.
    uint64_t categories_overflowed;
    // Finished requests that wait for the library's thread.
    uint64_t queued;
    // Finished requests that nothing saw, because the queue was full.
    uint64_t queue_dropped;
    // Panics, all kept inside.
    uint64_t panics;
    // Requests that asked for their profile and were refused.
    uint64_t refused;
    // Arguments of this ABI that could not be meant: a length beyond memory, a number out of
    // range.
    uint64_t invalid_arguments;
    // Notes that were not taken: after their request, beyond 64 names, or under a name that is
    // none.
    uint64_t lost_notes;
    // Lines of the access log that were written.
    uint64_t log_written;
    // Lines that were not, because the queue was full.
    uint64_t log_dropped;
    // Lines that were not, because the file, the disk or the pipe would not take them.
    uint64_t log_failed;
    // Lines to a pipe that were cut to 4,096 bytes.
    uint64_t log_cut;
    // Flags that requests asked for and do not list, because they asked for thousands.
    uint64_t exposures_unlisted;
    // How often dark work ran.
    uint64_t dark_runs;
    // How often it ended with an error.
    uint64_t dark_errors;
    // How often it ended with an exception or a panic.
    uint64_t dark_panics;
} ioprof_stats;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// The number of a flag's name, given at its first use. 0 for a name over 128 bytes, and where a
// process knows 16,384 names already, or 1,024 that no file does.
ioprof_flag ioprof_flag_of(const char *name, size_t length);

// What a flag is for the request's own user and visitor. It is decided once; later calls in this
// request give the same, and count. `on_by_default` (0 or 1) answers where the flag is not found
// or broken. With no request, what is killed, shed or on for all is so too, and a percentage is
// off.
ioprof_decision ioprof_flag_decide(ioprof_request request,
                                   ioprof_flag flag,
                                   uint32_t on_by_default);

// `ioprof_flag_decide` by name, which is looked up each time.
ioprof_decision ioprof_flag_decide_name(ioprof_request request,
                                        const char *name,
                                        size_t length,
                                        uint32_t on_by_default);

// What a flag is for somebody else. Of the request only its flags count. Without a request, the
// newest decide.
ioprof_decision ioprof_flag_decide_for(ioprof_request request,
                                       ioprof_flag flag,
                                       const struct ioprof_subject *subject,
                                       uint32_t on_by_default);

// The variant of a decision: `on`, `off`, `dark`, or the file's own. Gives the length it needs.
size_t ioprof_flag_variant(ioprof_decision decision, char *buffer, size_t capacity);

// The data that the file gives the variant which the flag is in, as JSON. Gives the length it
// needs; 0 where there is none.
size_t ioprof_flag_data(ioprof_request request, ioprof_flag flag, char *buffer, size_t capacity);

// Why a flag is what it is: each rule, and what it says, a line each. Gives the length it needs.
size_t ioprof_flag_explain(ioprof_request request, ioprof_flag flag, char *buffer, size_t capacity);

// One more thing that flags may be bucketed by; at most 64, the last value of a name wins. Before
// a flag is first asked for.
void ioprof_request_set_attribute(ioprof_request request,
                                  const char *name,
                                  size_t name_length,
                                  const char *value,
                                  size_t value_length);

// Decides by the newest flags from now on, instead of those that the request began with: for
// jobs and websockets. Without it, a newer kill or shed reaches a request after a minute.
void ioprof_request_refresh_flags(ioprof_request request);

// Begins dark work: 1 where the flag is dark, and the host is to run the new code now, unseen; 0
// where it is not to. `*span` is then the span to end by `ioprof_dark_end`, and to be the parent
// of spans inside: they are marked as dark.
uint32_t ioprof_dark_begin(ioprof_request request,
                           ioprof_flag flag,
                           ioprof_span parent,
                           uint32_t site,
                           ioprof_span *span);

// Ends dark work (`IOPROF_DARK_…`), and counts how it ended.
void ioprof_dark_end(ioprof_request request, ioprof_span span, uint32_t how);

// What the viewer wants flags to be (`?ioflags=` or the cookie `ioprofiler_flags`), where the gate
// is open at begin: for `ioprof_facts.flag_overrides`. The answer is then to leave with the
// headers of an open gate (`ioprof_gate_open_headers`), whether or not a profile was asked for.
// Gives the length it needs; 0 where there is nothing, or the gate is not open, which is counted.
size_t ioprof_gate_flag_overrides(ioprof_profiler profiler,
                                  const struct ioprof_gate_inputs *inputs,
                                  char *buffer,
                                  size_t capacity);

// Asks the gate's flag (`gate = "flag:NAME"`), where the verdict is `IOPROF_GATE_UNDECIDED`: after
// the handler has set user and groups, before headers leave. Changes `verdict` and `reason` of the
// decision; what is undecided then is the host's own rule's (`ioprof_gate_answer`).
ioprof_status ioprof_gate_ask_flag(ioprof_profiler profiler,
                                   ioprof_request request,
                                   struct ioprof_gate_decision *decision);

// Looks at the flags' files now, on this thread, however long they are. What is wrong with them or
// doubtful goes into `problems`, a line each; gives the length that needs: 0 where all is well.
// For programs without a thread of the library, and for tests.
size_t ioprof_flags_reload(ioprof_profiler profiler, char *problems, size_t capacity);

// The version of the flags that decide now: 16 hex digits. Gives the length it needs; 0 where
// there were never any.
size_t ioprof_flags_version(ioprof_profiler profiler, char *buffer, size_t capacity);

// How long ago the flags' source was last looked at, in nanoseconds: a kill switch that has not
// arrived is seen. `IOPROF_ERR_ARGUMENT` where there were never any flags.
ioprof_status ioprof_flags_age(ioprof_profiler profiler, uint64_t *nanoseconds);

// Says whether a request asked for its profile, and whether the gate lets it see. Call it before
// `ioprof_request_begin`; nearly free where the request did not ask. `*decision` is written only
// on `IOPROF_OK`. Anything else than `IOPROF_OK` and `IOPROF_GATE_OPEN` means: show nothing.
ioprof_status ioprof_gate_decide(ioprof_profiler profiler,
                                 const struct ioprof_gate_inputs *inputs,
                                 struct ioprof_gate_decision *decision);

// What the host's own rule says (`IOPROF_ANSWER_…`), where the verdict is
// `IOPROF_GATE_UNDECIDED`: changes `verdict` and `reason` of the decision. One that is decided
// stays.
ioprof_status ioprof_gate_answer(struct ioprof_gate_decision *decision, uint32_t answer);

// A decision's reason in words, for your log. Gives the length it needs.
size_t ioprof_gate_reason(uint32_t reason, char *buffer, size_t capacity);

// Somebody asked and was refused: counts it, and has it logged once a minute and reason.
void ioprof_gate_refused(ioprof_profiler profiler, uint32_t reason);

// What to change in the headers of an answer whose gate is open, whether or not the panel could
// be put in: one line each, `set NAME: VALUE` (replace or add), `append NAME: VALUE` (one more),
// `remove NAME` (all of that name), with a line feed after each. Always the same: ask once.
size_t ioprof_gate_open_headers(char *buffer, size_t capacity);

// The headers to take off a request whose gate is open at begin, before the handler sees it: one
// name a line. None where the method is not GET or HEAD.
size_t ioprof_gate_conditional_headers(const char *method,
                                       size_t method_length,
                                       char *buffer,
                                       size_t capacity);

// A token for the application's own staff page, as the value of a `Set-Cookie` header: `who` may
// look at profiles of `host` for `seconds` (at most a day). `https` is 1 where the page is.
// The value goes into `buffer`, or on any other status what is wrong; `*length` is what it needs.
ioprof_status ioprof_gate_grant(ioprof_profiler profiler,
                                const char *who,
                                size_t who_length,
                                const char *host,
                                size_t host_length,
                                uint64_t seconds,
                                uint32_t https,
                                char *buffer,
                                size_t capacity,
                                size_t *length);

// The cookie that asks in this form (`IOPROF_FORM_…`) for the next 15 minutes, as the value of a
// `Set-Cookie` header. It carries no right. Gives the length it needs.
size_t ioprof_gate_ask_cookie(uint32_t form, char *buffer, size_t capacity);

// Whether an answer may carry the panel, by its head alone. `IOPROF_OK`: hold its body back, and
// call `ioprof_inject`. `IOPROF_ERR_NOT_SHOWN`: let it go, with the header
// `X-Ioprofiler: not-shown; REASON` whose value is written into `reason`.
ioprof_status ioprof_may_inject(const struct ioprof_answer *answer, char *reason, size_t capacity);

// The page with the panel in it: `body` must be whole. `nonce` is the one of the page's
// Content-Security-Policy; NULL means that the policy is to be read in the answer's headers: then
// the panel has its nonce, or no style and script where the policy allows none. The page goes into `buffer`, without a NUL, where it fits;
// `*length` is what it needs, so call it once with NULL and then with enough. On
// `IOPROF_ERR_NOT_SHOWN` send the body as it is; the header's value (see `ioprof_may_inject`) is
// in `buffer`, and `*length` its length.
ioprof_status ioprof_inject(const struct ioprof_answer *answer,
                            const struct ioprof_profile *profile,
                            const char *nonce,
                            size_t nonce_length,
                            const char *body,
                            size_t body_length,
                            char *buffer,
                            size_t capacity,
                            size_t *length);

// The profile in place of the body of an answer: `form` is `IOPROF_FORM_TEXT`, `_JSON` or
// `_TICKET`. It goes into `buffer` where it fits, ended by a NUL; `*length` is what it needs.
// `*status` is the status that the answer then has. On `IOPROF_ERR_NOT_SHOWN` send the body as it
// is; the header's value (see `ioprof_may_inject`) is in `buffer`, and `*length` its length. What
// to change in the headers: `ioprof_shown_headers`.
ioprof_status ioprof_replace(const struct ioprof_answer *answer,
                             uint32_t form,
                             const struct ioprof_profile *profile,
                             uint32_t *status,
                             char *buffer,
                             size_t capacity,
                             size_t *length);

// What to change in the headers of an answer whose body was changed by `ioprof_inject`
// (`IOPROF_FORM_PAGE`) or `ioprof_replace` (the other forms), besides what
// `ioprof_gate_open_headers` says, and in its form. Where the answer says a Content-Length, set the
// new one.
size_t ioprof_shown_headers(uint32_t form, char *buffer, size_t capacity);

// Sets a note: a named value for the request's line in the log. The last value of a name wins. A
// request keeps 64 notes; a name is 1 to 64 bytes of visible ASCII without `"`, `\`, `{`, `}`; of a
// text 1,024 bytes are kept. What is not taken, because of that or because the request is
// finished, is counted (`ioprof_stats.lost_notes`).
void ioprof_request_note_text(ioprof_request request,
                              const char *name,
                              size_t name_length,
                              const char *value,
                              size_t value_length);

// As `ioprof_request_note_text`, for a whole number.
void ioprof_request_note_integer(ioprof_request request,
                                 const char *name,
                                 size_t name_length,
                                 int64_t value);

// As `ioprof_request_note_text`, for any other number. One that is not finite is logged as absent.
void ioprof_request_note_float(ioprof_request request,
                               const char *name,
                               size_t name_length,
                               double value);

// As `ioprof_request_note_text`, for `true` (not 0) or `false` (0).
void ioprof_request_note_bool(ioprof_request request,
                              const char *name,
                              size_t name_length,
                              uint32_t value);

// A header of the answer, where a configured format names it: `ioprof_profiler_wanted_headers`.
// Once for each time that it is there.
void ioprof_request_answer_header(ioprof_request request,
                                  const char *name,
                                  size_t name_length,
                                  const char *value,
                                  size_t value_length);

// The compact note of the request as it is now, in the format of `ioprof_options.note_format`: for
// a server's own line, and for a header. Printable ASCII without `"` and `\`. Gives the length it
// needs; 0 where there is no format or no request.
size_t ioprof_request_compact_note(ioprof_request request, char *buffer, size_t capacity);

// The line of a request in the access log, without its end, for hosts that write it themselves
// (`ioprof_options.access_log` is `host`). Gives the length it needs; 0 where there is no access
// log.
size_t ioprof_profile_log_line(ioprof_profiler profiler,
                               const struct ioprof_profile *profile,
                               char *buffer,
                               size_t capacity);

// A line about a request in any format: `common`, `combined`, `json`, or one in the language of
// Apache's LogFormat, as `%{user_id}n\t%{app_us}n`. For notes that a server's own line takes one by
// one: none has a tab in it. `*length` is what the line needs, without a NUL. On
// `IOPROF_ERR_OPTION` what is wrong with the format is in `buffer`, and `*length` its length.
ioprof_status ioprof_profile_line(const struct ioprof_profile *profile,
                                  const char *format,
                                  size_t format_length,
                                  char *buffer,
                                  size_t capacity,
                                  size_t *length);

// The headers that configured formats name, in small letters, each ended by a newline: of requests
// (`answer` 0, for `ioprof_facts.headers`) or of answers (`answer` 1, for
// `ioprof_request_answer_header`). Gives the length it needs.
size_t ioprof_profiler_wanted_headers(ioprof_profiler profiler,
                                      uint32_t answer,
                                      char *buffer,
                                      size_t capacity);

// Opens the access log's file again at its next line: after it was moved away. The library notices
// that by itself as well.
void ioprof_profiler_reopen_logs(ioprof_profiler profiler);

// Adds to a counter of the application's own: `registrations`, or with labels
// `registrations;plan=pro` (see `ioprof_metric_name`). It needs no registration. A name is at most
// 128 bytes of UTF-8, labels included, of which it has at most 8; a process has at most 2,000 names.
// What cannot be taken (a name too many, or that was a gauge before) is counted: the series
// `profiler.dropped` with the label `metrics`. A few nanoseconds, without a lock.
//
// Counted only where `ioprof_options.metrics` is 1, or the configuration sends or keeps something.
void ioprof_count(ioprof_profiler profiler,
                  const char *name,
                  size_t name_length,
                  uint64_t by);

// Sets a gauge of the application's own: `queue.length`. Of several processes the value that was set
// last counts. What is no finite number is counted as lost. See `ioprof_count`.
void ioprof_gauge(ioprof_profiler profiler,
                  const char *name,
                  size_t name_length,
                  double value);

// Counts a duration, in nanoseconds, of something of the application's own: `mail.sent`. See
// `ioprof_count`.
void ioprof_timing(ioprof_profiler profiler,
                   const char *name,
                   size_t name_length,
                   uint64_t nanoseconds);

// Puts a metric's name together of a name and labels: `registrations;country=de;plan=pro`, for
// `ioprof_count` and its like. Labels come in any order; what would end one early becomes `_`; one
// whose value is empty is left out. Gives the length it needs, at most 128; 0 where there can be no
// such name, because it were longer, or has more than 8 labels.
size_t ioprof_metric_name(const char *name,
                          size_t name_length,
                          const struct ioprof_attribute *labels,
                          size_t label_count,
                          char *buffer,
                          size_t capacity);

// Says that something was done to the site: `cache emptied`, by whom and why, which may be absent.
// It goes, once, to every sink that takes events. Of a text 400 bytes are kept.
void ioprof_event(ioprof_profiler profiler,
                  const char *what,
                  size_t what_length,
                  const char *who,
                  size_t who_length,
                  const char *why,
                  size_t why_length);

// A version of the application went live, by whom, and what is new in it; both may be absent. It is
// an event, and what is counted from then on is counted under this version, where no
// `ioprof_options.build_id` says otherwise. Told twice, it is one event.
void ioprof_deploy(ioprof_profiler profiler,
                   const char *version,
                   size_t version_length,
                   const char *who,
                   size_t who_length,
                   const char *what,
                   size_t what_length);

// What a scrape of Prometheus reads: mount it at `/metrics`. `accept` is the request's header of this
// name: OpenMetrics 1.0 where it wants that, else the text format 0.0.4. `about` gets status and
// content type; it may be NULL. The body, UTF-8, goes into `buffer`; gives the length it needs. Made
// anew with each call, and longer each time something new was counted: give a buffer of 64 KiB or
// more at once, and ask again where that was too small.
//
// Nothing of a request's details is in it, so it needs no gate. It may wait for the library's thread,
// for a second at most, and reads files where there is a `state_dir`: not for a thread that must not
// wait.
size_t ioprof_prometheus(ioprof_profiler profiler,
                         const char *accept,
                         size_t accept_length,
                         struct ioprof_exposition *about,
                         char *buffer,
                         size_t capacity);

// Everything counted so far, as a JSON array: of each version of the application
// `{"version", "since", "at", "samples"}`, a sample being
// `{"name", "labels", "count" | "value" | "count", "sum", "mean", "p50", "p95", "p99", "max"}`. Moments
// and durations are nanoseconds, but gauges of time are seconds. For tests of an application, and
// for what else reads numbers. Gives the length it needs; waits as `ioprof_prometheus`.
size_t ioprof_profiler_series(ioprof_profiler profiler,
                              char *buffer,
                              size_t capacity);

// The requests of this process that are kept: by route the slowest first, then those that failed,
// the newest first. Gives how many there are; writes at most `capacity` of them into `profiles`, each
// yours (`ioprof_profile_free`), and why each was kept into `reasons` (`IOPROF_KEPT_…`). Either may be
// NULL; NULL for `profiles` asks how many. They are kept where the configuration has `[keep]`, a
// `state_dir`, or a sink that sends them. Waits as `ioprof_prometheus`.
size_t ioprof_profiler_kept(ioprof_profiler profiler,
                            struct ioprof_profile **profiles,
                            uint32_t *reasons,
                            size_t capacity);

// The same as a JSON array of profiles (see `ioprof_profile_json`), each with an object `kept`, which
// says `reason` (`slow` or `error`), `route`, `started_at` and `page_ns` (nanoseconds), and so on.
// What was kept as a fingerprint stays one, whatever `details`. Gives the length it needs.
size_t ioprof_profiler_kept_json(ioprof_profiler profiler,
                                 uint32_t details,
                                 char *buffer,
                                 size_t capacity);

// Frees a profile. NULL is fine.
void ioprof_profile_free(struct ioprof_profile *profile);

// The profile as text: calls, table, repeated calls. Gives the length it needs without the NUL;
// where that is below `capacity`, what was written is whole, and ends in NUL.
size_t ioprof_profile_text(const struct ioprof_profile *profile, char *buffer, size_t capacity);

// As `ioprof_profile_text`, with fingerprints for details: what may be pasted anywhere.
size_t ioprof_profile_ticket(const struct ioprof_profile *profile, char *buffer, size_t capacity);

// Everything, as JSON for scripts. `details` is `IOPROF_DETAILS_…`. Its `version` is 1, which is
// stable: fields are only added, and what is there keeps its name, type and meaning.
size_t ioprof_profile_json(const struct ioprof_profile *profile,
                           uint32_t details,
                           char *buffer,
                           size_t capacity);

// A trace file that Perfetto and speedscope load. `details` is `IOPROF_DETAILS_…`.
size_t ioprof_profile_trace(const struct ioprof_profile *profile,
                            uint32_t details,
                            char *buffer,
                            size_t capacity);

// The value of a `Server-Timing` header.
size_t ioprof_profile_server_timing(const struct ioprof_profile *profile,
                                    char *buffer,
                                    size_t capacity);

// The panel: what `ioprof_inject` puts into a page, for hosts that place it themselves (after
// `ioprof_may_inject`; in a page that says it is UTF-8). `nonce` is the one of the page's
// Content-Security-Policy, or NULL; that of the first call for this profile holds.
size_t ioprof_profile_html(const struct ioprof_profile *profile,
                           const char *nonce,
                           size_t nonce_length,
                           char *buffer,
                           size_t capacity);

// Makes a profiler. `options` may be NULL: all defaults. Starts no thread, opens nothing. Make
// one at start, not one a request: a process has at most 1,024, freed ones included.
//
// `*profiler` is written only on `IOPROF_OK`. What is wrong is written into `message`, which may
// be NULL.
ioprof_status ioprof_profiler_new(const struct ioprof_options *options,
                                  ioprof_profiler *profiler,
                                  char *message,
                                  size_t message_capacity);

// The profiler that was made under this name (`ioprof_options.name`) in this process or one that it
// was forked from; 0 where there is none, or it was freed. For languages whose programs begin anew
// with each request, as PHP's do: find it, and make it where there is none.
ioprof_profiler ioprof_profiler_find(const char *name, size_t name_length);

// What the profiler said since the last call, where `ioprof_options.keep_messages` is 1: at most
// the last 64 messages, one a line, as `gate: asked, gate closed: token expired`. What was written
// whole is forgotten; where the buffer is too small, nothing is. Gives the length it needs.
size_t ioprof_profiler_messages(ioprof_profiler profiler, char *buffer, size_t capacity);

// Ends a profiler: waits up to `within_ms` milliseconds until what was finished is worked on and
// what was counted is sent, ends the library's threads, and forgets the handle. Requests that live are left to themselves.
// `IOPROF_ERR_DEADLINE` where the time was over first; the handle is gone all the same.
ioprof_status ioprof_profiler_free(ioprof_profiler profiler,
                                   uint32_t within_ms);

// Waits up to `within_ms` milliseconds until everything that was finished before is worked on, and
// everything that was counted before is sent. Without threads (`ioprof_options.threadless`) this is
// when it is done: sinks send what is due, others wait for their interval to end.
ioprof_status ioprof_profiler_flush(ioprof_profiler profiler, uint32_t within_ms);

// Changes what is recorded (`IOPROF_RECORD_…`), for requests that begin from now on.
ioprof_status ioprof_profiler_set_record(ioprof_profiler profiler, uint32_t record);

// Records nothing from now on, until `ioprof_profiler_enable`.
void ioprof_profiler_disable(ioprof_profiler profiler);

// Records again as before `ioprof_profiler_disable`.
void ioprof_profiler_enable(ioprof_profiler profiler);

// Says that a library's calls are recorded (`hooked` 1), or were seen and are not (0), with what
// to do about it. Profiles show it, so that a poor table explains itself.
void ioprof_profiler_hook(ioprof_profiler profiler,
                          const char *name,
                          size_t name_length,
                          uint32_t hooked,
                          const char *hint,
                          size_t hint_length);

// The requests that live now, oldest first, each with its open calls, as a JSON array of
// profiles (see `ioprof_profile_json`). Gives the length it needs; what was written is whole
// where that is below `capacity`. Not cheap: for an operator's page.
size_t ioprof_profiler_in_flight(ioprof_profiler profiler,
                                 uint32_t details,
                                 char *buffer,
                                 size_t capacity);

// Begins a request. Never fails: gives 0 where none can be had, and counts. It lives until
// `ioprof_request_finish` or `ioprof_request_abort`, or `request_ttl_ms`. `facts` may be NULL.
ioprof_request ioprof_request_begin(ioprof_profiler profiler, const struct ioprof_facts *facts);

// Begins a job that knows this request as its parent and outlives it; it is finished on its own.
ioprof_request ioprof_request_detach(ioprof_request request, const char *name, size_t length);

// The request's id. Gives the length it needs; 0 for no request.
size_t ioprof_request_id(ioprof_request request, char *buffer, size_t capacity);

// The route's template: `/listing/{id}`, never the raw path.
void ioprof_request_set_route(ioprof_request request, const char *route, size_t length);

// The user's id.
void ioprof_request_set_user(ioprof_request request, const char *user, size_t length);

// The browser's id.
void ioprof_request_set_visitor(ioprof_request request, const char *visitor, size_t length);

// One more group of the user; at most 64.
void ioprof_request_add_group(ioprof_request request, const char *group, size_t length);

// Who looks at the profile, where the host learned it after begin.
void ioprof_request_set_viewer(ioprof_request request, const char *viewer, size_t length);

// What went wrong.
void ioprof_request_set_error(ioprof_request request, const char *error, size_t length);

// The answer's status, as soon as it is known: for what the answer itself shows, and for the compact
// note. The end of the request says it again.
void ioprof_request_set_status(ioprof_request request,
                               uint16_t status);

// The answer's first byte leaves: later calls are marked "after answer". The first time counts.
void ioprof_request_first_byte(ioprof_request request);

// What the request has done so far: what an answer shows. Any number of times, while other
// threads record. You own it (`ioprof_profile_free`); NULL for no request.
struct ioprof_profile *ioprof_request_snapshot(ioprof_request request);

// Ends the request, once: its body has ended. Where `profile` is not NULL, `*profile` becomes
// what the request did, which you then own (`ioprof_profile_free`); it is NULL where the handle
// is none or stale.
void ioprof_request_finish(ioprof_request request,
                           uint16_t status,
                           uint64_t bytes_out,
                           struct ioprof_profile **profile);

// As `ioprof_request_finish`, where the client left before the body had ended. `status` is 0
// where there was none yet.
void ioprof_request_abort(ioprof_request request,
                          uint16_t status,
                          uint64_t bytes_out,
                          struct ioprof_profile **profile);

// The number of a category's name (`dbshard01`), given at its first use; good in this process
// and its children, for ever. Kind (`IOPROF_LEAF`, `IOPROF_SCOPE`) and dialect
// (`IOPROF_DIALECT_…`: how details are written, so that tickets can mask their literals) are
// fixed by the first use. Ask once and keep the number: `static uint32_t`. At most 1,024 names a
// process, at most 64 bytes each; further ones are `other`, which is 0.
uint32_t ioprof_category(const char *name, size_t length, uint32_t kind, uint32_t dialect);

// The number of a line of the application, for `ioprof_span_begin`: `IOPROF_HERE` asks once and
// keeps it. At most 8,192 lines a process; then `IOPROF_SITE_FULL`.
uint32_t ioprof_site(const char *file, size_t length, uint32_t line);

// Begins a call. `category` is from `ioprof_category`; `detail` says what the call is (the SQL,
// the keys), is copied, and is cut at 8 KiB; `parent` is the scope that it happens in, or 0;
// `site` is the line that makes it (`IOPROF_HERE`), or 0. Gives 0 where the request does not
// record, which the header finds out without a call.
//
// From any thread; several threads may record in one request at once.
ioprof_span ioprof_span_begin(ioprof_request request,
                              uint32_t category,
                              const char *detail,
                              size_t detail_length,
                              ioprof_span parent,
                              uint32_t site);

// Ends a call, the first time: `outcome` is `IOPROF_OUTCOME_…`. From any thread.
void ioprof_span_end(ioprof_span span, uint32_t outcome);

// Replaces a call's detail, before it ends: "Cache HIT, keys: …" is known only afterwards.
void ioprof_span_detail(ioprof_span span, const char *detail, size_t length);

// Says which server or file the call goes to, where that is more than its category says.
void ioprof_span_target(ioprof_span span, const char *target, size_t length);

// How many rows the call returned or changed; said before it ends.
void ioprof_span_rows(ioprof_span span, uint32_t rows);

// How many keys the call found; said before it ends.
void ioprof_span_hits(ioprof_span span, uint32_t hits);

// How many keys the call did not find; said before it ends.
void ioprof_span_misses(ioprof_span span, uint32_t misses);

// How many bytes the call read or wrote; said before it ends.
void ioprof_span_bytes(ioprof_span span, uint32_t bytes);

// Records a call that is over: it ended `ended_ago_ns` before now and took `duration_ns`.
void ioprof_span_add(ioprof_request request,
                     uint32_t category,
                     const char *detail,
                     size_t detail_length,
                     ioprof_span parent,
                     uint32_t site,
                     uint64_t ended_ago_ns,
                     uint64_t duration_ns,
                     uint32_t outcome);

// Fills in the counters.
ioprof_status ioprof_profiler_stats(ioprof_profiler profiler, struct ioprof_stats *stats);

// The ABI that the loaded library has: `IOPROF_ABI_VERSION` of its own header.
uint32_t ioprof_abi_version(void);

// The library's version, `0.1.0`. Gives the length it needs.
size_t ioprof_version(char *buffer, size_t capacity);

// Call it in the child of a fork, where processes are made without libc (a raw `clone`). An
// ordinary `fork` needs no call: the child notices by itself. It does no harm in either case.
void ioprof_after_fork_child(void);

// Moves the manual clock (`IOPROF_CLOCK_MANUAL`) by so many nanoseconds. For tests.
void ioprof_clock_advance(uint64_t nanoseconds);

// Panics inside the library, and answers as every call then does: `IOPROF_ERR_PANIC`. For tests
// of a host, which is to go on after it.
ioprof_status ioprof_test_panic(void);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* IOPROFILER_H */


/* What follows is code of the header itself. */

/* A text of a C string. */
static inline ioprof_text ioprof_text_of(const char *string)
{
    ioprof_text text;
    text.data = string;
    text.length = string ? strlen(string) : 0;
    return text;
}

/* The number of this very line, asked for once. Elsewhere than in GCC and Clang it is asked for
 * each time. */
#if defined(__GNUC__) && !defined(IOPROF_NO_INLINE)
#define IOPROF_HERE                                                                    \
    __extension__({                                                                    \
        static uint32_t ioprof_here_;                                                  \
        uint32_t ioprof_site_ = __atomic_load_n(&ioprof_here_, __ATOMIC_RELAXED);      \
        if (ioprof_site_ == 0) {                                                       \
            ioprof_site_ = ioprof_site(__FILE__, sizeof(__FILE__) - 1, __LINE__);      \
            __atomic_store_n(&ioprof_here_, ioprof_site_, __ATOMIC_RELAXED);           \
        }                                                                              \
        ioprof_site_;                                                                  \
    })
#else
#define IOPROF_HERE ioprof_site(__FILE__, sizeof(__FILE__) - 1, __LINE__)
#endif

/* Where nothing is recorded, these leave the call out: bit 0 of a request says so, and the span is
 * then 0. The library's own functions are (ioprof_span_begin)(...) and (ioprof_span_end)(...). */
static inline ioprof_span ioprof_span_begin_inline(ioprof_request request, uint32_t category,
                                                   const char *detail, size_t detail_length,
                                                   ioprof_span parent, uint32_t site)
{
    if ((request & 1) == 0) {
        return 0;
    }
    return ioprof_span_begin(request, category, detail, detail_length, parent, site);
}

static inline void ioprof_span_end_inline(ioprof_span span, uint32_t outcome)
{
    if (span != 0) {
        ioprof_span_end(span, outcome);
    }
}

#ifndef IOPROF_NO_INLINE
#define ioprof_span_begin(request, category, detail, detail_length, parent, site) \
    ioprof_span_begin_inline((request), (category), (detail), (detail_length), (parent), (site))
#define ioprof_span_end(span, outcome) ioprof_span_end_inline((span), (outcome))
#endif

/* A flag's number by its name, a literal: asked for once. Elsewhere than in GCC and Clang it is
 * asked for each time. */
#if defined(__GNUC__) && !defined(IOPROF_NO_INLINE)
#define IOPROF_FLAG(name)                                                              \
    __extension__({                                                                    \
        static ioprof_flag ioprof_flag_;                                               \
        ioprof_flag ioprof_number_ = __atomic_load_n(&ioprof_flag_, __ATOMIC_RELAXED); \
        if (ioprof_number_ == 0) {                                                     \
            ioprof_number_ = ioprof_flag_of((name), sizeof(name) - 1);                 \
            __atomic_store_n(&ioprof_flag_, ioprof_number_, __ATOMIC_RELAXED);         \
        }                                                                              \
        ioprof_number_;                                                                \
    })
#else
#define IOPROF_FLAG(name) ioprof_flag_of((name), sizeof(name) - 1)
#endif

/* What is in a decision: IOPROF_FLAG_OFF, _ON or _DARK; and IOPROF_REASON_... */
#define IOPROF_DECISION_STATE(decision) ((decision) & 0xffu)
#define IOPROF_DECISION_REASON(decision) (((decision) >> 8) & 0xffu)

/* Whether a flag is on: 0 or 1. Not found is off. */
#define IOPROF_FLAG_IS_ON(request, flag) \
    (IOPROF_DECISION_STATE(ioprof_flag_decide((request), (flag), 0)) == IOPROF_FLAG_ON)

/* ioprof_span_begin with the file and line that it stands in. */
#define IOPROF_SPAN_BEGIN(request, category, detail, detail_length, parent) \
    ioprof_span_begin((request), (category), (detail), (detail_length), (parent), IOPROF_HERE)
