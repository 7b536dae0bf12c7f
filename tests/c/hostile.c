/* Whatever a host gets wrong: it must go on. Prints "survived" at the end. */
#include <errno.h>
#include <ioprofiler.h>
#include <stdio.h>
#include <stdlib.h>

static uint64_t state = 0x9e3779b97f4a7c15u;

static uint64_t any(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

#define CHECK(what)                                                 \
    do {                                                            \
        if (!(what)) {                                              \
            fprintf(stderr, "line %d: %s\n", __LINE__, #what);      \
            exit(1);                                                \
        }                                                           \
    } while (0)

/* One call of everything that takes a handle, with the same text. */
/* One that counts what it is told. */
static ioprof_profiler counting;

static void call_all(uint64_t a, uint64_t b, const char *text, size_t length)
{
    ioprof_profile *profile = NULL;
    ioprof_stats stats;
    char buffer[64];
    uint32_t number = (uint32_t)any();
    ioprof_span other = 0;
    stats.size = sizeof stats;
    /* Seldom one that counts. */
    ioprof_profiler some = number % 16 == 0 ? counting : a;
    switch (any() % 57) {
    case 0: (ioprof_span_end)(a, number); break;
    case 1: ioprof_span_detail(a, text, length); break;
    case 2: ioprof_span_target(a, text, length); break;
    case 3: ioprof_span_rows(a, number); break;
    case 4: ioprof_span_hits(a, number); break;
    case 5: ioprof_span_misses(a, number); break;
    case 6: ioprof_span_bytes(a, number); break;
    case 7: (ioprof_span_end)((ioprof_span_begin)(a, number, text, length, b, number), 0); break;
    case 8: ioprof_span_add(a, number, text, length, b, number, any(), any(), number); break;
    case 9: ioprof_request_set_route(a, text, length); break;
    case 10: ioprof_request_set_user(a, text, length); break;
    case 11: ioprof_request_set_visitor(a, text, length); break;
    case 12: ioprof_request_add_group(a, text, length); break;
    case 13: ioprof_request_set_error(a, text, length); break;
    case 14: ioprof_request_first_byte(a); break;
    case 15: ioprof_request_id(a, buffer, sizeof buffer); break;
    case 16: ioprof_profile_free(ioprof_request_snapshot(a)); break;
    case 17: ioprof_request_finish(a, (uint16_t)number, any(), &profile); break;
    case 18: ioprof_request_abort(a, (uint16_t)number, any(), &profile); break;
    case 19: ioprof_request_finish(ioprof_request_detach(a, text, length), 0, 0, NULL); break;
    case 20: ioprof_profiler_stats(a, &stats); break;
    case 21: ioprof_profiler_set_record(a, number); break;
    case 22: ioprof_profiler_flush(a, 0); break;
    case 23: ioprof_request_note_text(a, text, length, text, length); break;
    case 24: ioprof_request_note_integer(a, text, length, (int64_t)any()); break;
    case 25: ioprof_request_note_float(a, text, length, (double)any() / 0.0); break;
    case 26: ioprof_request_note_bool(a, text, length, number); break;
    case 27: ioprof_request_answer_header(a, text, length, text, length); break;
    case 28: ioprof_request_compact_note(a, buffer, sizeof buffer); break;
    case 29: ioprof_profiler_wanted_headers(a, number, buffer, sizeof buffer); break;
    case 30: ioprof_flag_decide(a, number, number); break;
    case 31: ioprof_flag_decide_name(a, text, length, number); break;
    case 32: ioprof_flag_decide_for(a, number, NULL, number); break;
    case 33: ioprof_flag_variant(number, buffer, sizeof buffer); break;
    case 34: ioprof_flag_data(a, number, buffer, sizeof buffer); break;
    case 35: ioprof_flag_explain(a, number, buffer, sizeof buffer); break;
    case 36: ioprof_request_set_attribute(a, text, length, text, length); break;
    case 37: ioprof_request_refresh_flags(a); break;
    case 38: ioprof_dark_begin(a, number, b, number, number & 1 ? &other : NULL); break;
    case 39: ioprof_dark_end(a, b, number); break;
    case 45: ioprof_request_set_status(a, (uint16_t)number); break;
    case 40: ioprof_profiler_messages(a, buffer, sizeof buffer); break;
    case 41: ioprof_profiler_find(text, length); break;
    case 42: ioprof_shown_headers(number % 6, buffer, sizeof buffer); break;
    case 43: {
        size_t needed = 0;
        profile = ioprof_request_snapshot(a);
        ioprof_profile_line(profile, text, length, buffer, sizeof buffer, &needed);
        break;
    }
    case 44: {
        size_t needed = 0;
        uint32_t status = 0;
        ioprof_answer answer;
        memset(&answer, 0, sizeof answer);
        answer.size = sizeof answer;
        answer.status = number;
        profile = ioprof_request_snapshot(a);
        ioprof_replace(&answer, number % 6, profile, &status, buffer, sizeof buffer, &needed);
        break;
    }
    case 46: ioprof_count(some, text, length, any()); break;
    case 47: ioprof_gauge(some, text, length, (double)any() / 0.0); break;
    case 48: ioprof_timing(some, text, length, any()); break;
    case 49: ioprof_event(some, text, length, text, length, NULL, length); break;
    case 50: ioprof_deploy(some, text, length, NULL, length, text, length); break;
    case 51: ioprof_profiler_series(some, buffer, sizeof buffer); break;
    case 52: ioprof_profiler_kept(some, &profile, &number, 1); break;
    case 53: ioprof_profiler_kept_json(some, number, buffer, sizeof buffer); break;
    case 54: {
        ioprof_exposition about;
        about.size = number % 2 == 0 ? sizeof about : number;
        if (about.size > sizeof about && about.size <= 4096) {
            about.size = 0;
        }
        ioprof_prometheus(some, text, length, number % 3 == 0 ? NULL : &about, buffer,
                          sizeof buffer);
        break;
    }
    case 55: {
        ioprof_attribute label;
        label.name.data = label.value.data = text;
        label.name.length = label.value.length = length;
        ioprof_metric_name(text, length, number % 2 ? &label : NULL, number % 2 ? 1 : number,
                           buffer, sizeof buffer);
        break;
    }
    default: ioprof_profiler_free(a, 0); break;
    }
    ioprof_profile_free(profile);
}

static void misuse(ioprof_profiler profiler)
{
    ioprof_facts facts;
    memset(&facts, 0, sizeof facts);
    facts.size = sizeof facts;
    facts.kind = 99;
    facts.path.data = "/\xff\xfe";
    facts.path.length = 3;
    ioprof_request request = ioprof_request_begin(profiler, &facts);
    uint32_t category = ioprof_category("db\xff\0x", 5, 7, 99);

    /* Ended twice, after its request, with no such outcome; a parent of another request. */
    ioprof_span span = ioprof_span_begin(request, category, "one", 3, 0, 0);
    CHECK(span != 0);
    ioprof_span_end(span, 12345);
    ioprof_span_end(span, IOPROF_OUTCOME_OK);
    ioprof_request other = ioprof_request_begin(profiler, NULL);
    ioprof_span foreign = ioprof_span_begin(other, category, "two", 3, span, 4294967295u);
    ioprof_span_end(ioprof_span_begin(request, category, NULL, 50, foreign, 77), 0);
    ioprof_span_end(ioprof_span_begin(request, category, "x", (size_t)-1, request, 0), 0);
    ioprof_span_end(ioprof_span_begin(request, 4000000000u, "\xc3", 1, 0, 0), 0);

    /* 100 MB of invalid UTF-8. */
    size_t big = 100u << 20;
    char *bytes = (char *)malloc(big);
    CHECK(bytes != NULL);
    memset(bytes, 0xe2, big);
    span = ioprof_span_begin(request, category, bytes, big, 0, 0);
    ioprof_span_detail(span, bytes, big);
    ioprof_span_target(span, bytes, big);
    ioprof_span_end(span, IOPROF_OUTCOME_ERROR);
    ioprof_request_set_user(request, bytes, big);
    ioprof_category(bytes, big, 0, 0);
    ioprof_site(bytes, big, 1);
    facts.size = sizeof facts;
    facts.query.data = bytes;
    facts.query.length = big;
    ioprof_request_abort(ioprof_request_begin(profiler, &facts), 0, 0, NULL);
    free(bytes);

    ioprof_profile *profile = NULL;
    ioprof_request_finish(request, 200, 1, &profile);
    CHECK(profile != NULL);
    size_t length = ioprof_profile_text(profile, NULL, 0);
    char *text = (char *)malloc(length + 1);
    CHECK(text != NULL && length > 100);
    CHECK(ioprof_profile_text(profile, text, length + 1) == length && text[length] == 0);
    char small[5] = "....";
    CHECK(ioprof_profile_text(profile, small, 3) == length && small[2] == 0 && small[3] == '.');
    CHECK(ioprof_profile_text(profile, small, (size_t)-1) == length);
    CHECK(ioprof_profile_json(profile, 99, NULL, 0) > 100);
    CHECK(ioprof_profile_trace(profile, IOPROF_DETAILS_FULL, NULL, 0) > 100);
    CHECK(ioprof_profile_ticket(profile, NULL, 9) > 100);
    CHECK(ioprof_profile_text(NULL, small, 3) == 0);
    free(text);
    ioprof_profile_free(profile);
    ioprof_profile_free(NULL);

    /* After the end. */
    CHECK((ioprof_span_begin)(request, category, "late", 4, 0, 0) == 0);
    ioprof_span_end(foreign, 0);
    ioprof_span_end(foreign, 0);
    ioprof_request_finish(request, 200, 1, NULL);
    ioprof_request_finish(other, 200, 1, NULL);
    ioprof_request_set_route(other, "/x", 2);

    ioprof_stats stats;
    memset(&stats, 0, sizeof stats);
    CHECK(ioprof_profiler_stats(profiler, &stats) == IOPROF_ERR_ARGUMENT);
    stats.size = 24;
    CHECK(ioprof_profiler_stats(profiler, &stats) == IOPROF_OK);
    CHECK(stats.size == 24 && stats.begun >= 3 && stats.finished == 2 && stats.aborted == 0);
    stats.size = sizeof stats;
    CHECK(ioprof_profiler_stats(profiler, &stats) == IOPROF_OK);
    CHECK(stats.aborted == 1 && stats.stale_handles >= 3 && stats.invalid_arguments >= 5);
    CHECK(stats.panics == 0);
}

static void wrong_options(void)
{
    char why[200] = "";
    ioprof_profiler none = 42;
    struct {
        ioprof_options options;
        uint64_t newer;
    } later;
    memset(&later, 0, sizeof later);
    CHECK(ioprof_profiler_new(&later.options, &none, NULL, 0) == IOPROF_ERR_ARGUMENT);
    later.options.size = sizeof later;
    CHECK(ioprof_profiler_new(NULL, NULL, why, sizeof why) == IOPROF_ERR_ARGUMENT);
    later.newer = 1;
    CHECK(ioprof_profiler_new(&later.options, &none, why, sizeof why) == IOPROF_ERR_OPTION);
    later.newer = 0;
    later.options.reserved = 1;
    CHECK(ioprof_profiler_new(&later.options, &none, why, sizeof why) == IOPROF_ERR_OPTION);
    later.options.reserved = 0;
    later.options.gate = ioprof_text_of("tokn");
    CHECK(ioprof_profiler_new(&later.options, &none, why, sizeof why) == IOPROF_ERR_OPTION);
    CHECK(strstr(why, "tokn") != NULL && strstr(why, "this-machine") != NULL);
    CHECK(none == 42);
}

static void gate(void)
{
    static const char secret[] = "a secret that is long enough for it";
    char cookie[600], reason[100];
    size_t length = 0;
    ioprof_options options;
    ioprof_profiler profiler = 0;
    ioprof_text secrets[1];
    memset(&options, 0, sizeof options);
    options.size = sizeof options;
    options.gate = ioprof_text_of("token, callable");
    secrets[0] = ioprof_text_of(secret);
    options.gate_secrets = secrets;
    options.gate_secret_count = 1;
    CHECK(ioprof_profiler_new(&options, &profiler, NULL, 0) == IOPROF_OK);

    ioprof_gate_inputs inputs;
    ioprof_gate_decision decision;
    memset(&inputs, 0, sizeof inputs);
    inputs.size = sizeof inputs;
    inputs.host = ioprof_text_of("etsy.example");
    decision.size = sizeof decision;
    CHECK(ioprof_gate_decide(profiler, &inputs, &decision) == IOPROF_OK);
    CHECK(decision.form == IOPROF_FORM_NONE && decision.verdict == IOPROF_GATE_CLOSED);
    inputs.query = ioprof_text_of("a=1&ioprofiler=text");
    CHECK(ioprof_gate_decide(profiler, &inputs, &decision) == IOPROF_OK);
    CHECK(decision.form == IOPROF_FORM_TEXT && decision.verdict == IOPROF_GATE_UNDECIDED);
    CHECK(ioprof_gate_answer(&decision, 9) == IOPROF_ERR_ARGUMENT);
    CHECK(ioprof_gate_answer(&decision, IOPROF_ANSWER_NO) == IOPROF_OK);
    CHECK(decision.verdict == IOPROF_GATE_CLOSED);
    CHECK(ioprof_gate_reason(decision.reason, reason, sizeof reason) > 5);
    ioprof_gate_refused(profiler, decision.reason);
    ioprof_gate_refused(profiler, 4000000000u);

    CHECK(ioprof_gate_grant(profiler, "mary", 4, "etsy.example", 12, 600, 1, cookie, sizeof cookie,
                            &length) == IOPROF_OK);
    CHECK(length < sizeof cookie);
    inputs.cookie = ioprof_text_of(cookie);
    CHECK(ioprof_gate_decide(profiler, &inputs, &decision) == IOPROF_OK);
    CHECK(decision.verdict == IOPROF_GATE_OPEN && decision.viewer_length == 4);
    CHECK(memcmp(decision.viewer, "mary", 4) == 0);
    CHECK(ioprof_gate_open_headers(NULL, 0) > 50);
    CHECK(ioprof_gate_conditional_headers("PUT", 3, NULL, 0) == 0);
    CHECK(ioprof_gate_decide(profiler, NULL, &decision) == IOPROF_ERR_ARGUMENT);
    CHECK(ioprof_gate_decide(0, &inputs, &decision) == IOPROF_ERR_HANDLE);
    CHECK(ioprof_profiler_free(profiler, 1000) == IOPROF_OK);
    CHECK(ioprof_profiler_free(profiler, 1000) == IOPROF_ERR_HANDLE);
    CHECK(ioprof_request_begin(profiler, NULL) == 0);
}

static void inject(ioprof_profiler profiler)
{
    static const char body[] = "<html><body><p>listing</p></body></html>";
    char page[200000], reason[64];
    size_t length = 0;
    ioprof_header header;
    ioprof_answer answer;
    ioprof_request request = ioprof_request_begin(profiler, NULL);
    ioprof_profile *profile = ioprof_request_snapshot(request);
    memset(&answer, 0, sizeof answer);
    answer.size = sizeof answer;
    answer.status = 200;
    answer.length_plus_one = sizeof body;
    CHECK(ioprof_may_inject(&answer, reason, sizeof reason) == IOPROF_ERR_NOT_SHOWN);
    CHECK(strncmp(reason, "not-shown; ", 11) == 0);
    header.name = ioprof_text_of("Content-Type");
    header.value = ioprof_text_of("text/html; charset=utf-8");
    answer.headers = &header;
    answer.header_count = 1;
    CHECK(ioprof_may_inject(&answer, NULL, 0) == IOPROF_OK);
    CHECK(ioprof_inject(&answer, profile, NULL, 0, body, sizeof body - 1, page, sizeof page,
                        &length) == IOPROF_OK);
    CHECK(length > sizeof body && length < sizeof page);
    CHECK(memcmp(page, body, 25) == 0 && memcmp(page + length - 14, "</body></html>", 14) == 0);
    CHECK(ioprof_inject(&answer, NULL, NULL, 0, body, 1, NULL, 0, &length) == IOPROF_ERR_ARGUMENT);
    CHECK(ioprof_inject(&answer, profile, NULL, 0, body, 9, NULL, 0, &length)
          == IOPROF_ERR_NOT_SHOWN);
    CHECK(ioprof_profile_html(profile, NULL, 0, NULL, 0) > 100);
    answer.status = 70000;
    CHECK(ioprof_may_inject(&answer, NULL, 0) == IOPROF_ERR_ARGUMENT);
    CHECK(ioprof_may_inject(NULL, NULL, 0) == IOPROF_ERR_ARGUMENT);
    ioprof_profile_free(profile);
    ioprof_request_finish(request, 200, 0, NULL);
}

int main(int argc, char **argv)
{
    long calls = argc > 1 ? atol(argv[1]) : 1000000;
    ioprof_profiler profiler = 0;
    CHECK(ioprof_abi_version() == IOPROF_ABI_VERSION);
    CHECK(ioprof_profiler_new(NULL, &profiler, NULL, 0) == IOPROF_OK);
    misuse(profiler);
    wrong_options();
    gate();
    inject(profiler);
    ioprof_options options;
    memset(&options, 0, sizeof options);
    options.size = sizeof options;
    options.metrics = 1;
    options.threadless = 1;
    options.config = ioprof_text_of("[keep]");
    CHECK(ioprof_profiler_new(&options, &counting, NULL, 0) == IOPROF_OK);
    errno = 1234;
    for (long call = 0; call < calls; call++) {
        /* Some of them near a real one, so that they reach further than a first look. */
        ioprof_request real = call % 8 == 0 ? ioprof_request_begin(profiler, NULL) : 0;
        uint64_t near = real ^ (any() & 3) ^ ((any() & 1) << 32);
        call_all(call % 3 == 0 ? near : any(), any(), "text", any() % 5);
        call_all(any() & 0xffffffff, real, NULL, (size_t)any());
        call_all(any(), near, "t", (size_t)1 << 63 | any());
        ioprof_request_finish(real, 200, 0, NULL);
        CHECK(errno == 1234);
    }
    CHECK(ioprof_test_panic() == IOPROF_ERR_PANIC);
    ioprof_stats stats;
    stats.size = sizeof stats;
    CHECK(ioprof_profiler_stats(profiler, &stats) == IOPROF_OK && stats.panics == 1);
    CHECK(ioprof_profiler_free(profiler, 2000) == IOPROF_OK);
    CHECK(errno == 1234);
    puts("survived");
    return 0;
}
