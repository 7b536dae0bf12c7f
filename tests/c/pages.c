/* What a host needs whose programs begin anew with each request, and that shows profiles itself.
 * Prints what it got. */
#include <ioprofiler.h>
#include <stdio.h>
#include <stdlib.h>

static char text[65536];

static void show(const char *what)
{
    printf("%s: %s\n", what, text);
}

static void inject(ioprof_request request, const char *policy)
{
    static const char page[] = "<html><body>clay</body></html>";
    static const char wanted[] = "nonce=\"r4nd0m\"";
    ioprof_header headers[2];
    ioprof_answer answer;
    size_t length = 0;
    ioprof_profile *profile = ioprof_request_snapshot(request);
    memset(&answer, 0, sizeof answer);
    answer.size = sizeof answer;
    answer.status = 200;
    answer.method = ioprof_text_of("GET");
    answer.length_plus_one = sizeof page;
    headers[0].name = ioprof_text_of("Content-Type");
    headers[0].value = ioprof_text_of("text/html; charset=utf-8");
    headers[1].name = ioprof_text_of("Content-Security-Policy");
    headers[1].value = ioprof_text_of(policy);
    answer.headers = headers;
    answer.header_count = policy == NULL ? 1 : 2;
    if (ioprof_inject(&answer, profile, NULL, 0, page, sizeof page - 1, text, sizeof text,
                      &length) != IOPROF_OK) {
        exit(1);
    }
    text[length] = 0;
    printf("%s: %s%s%s\n", policy == NULL ? "no policy" : policy,
           strstr(text, "<ioprofiler-panel") ? "panel" : "", strstr(text, "<style") ? ", style" : "",
           strstr(text, wanted) ? ", nonce" : "");
    ioprof_profile_free(profile);
}

static void replace(ioprof_request request, uint32_t form, uint32_t status)
{
    ioprof_profile *profile = ioprof_request_snapshot(request);
    ioprof_answer answer;
    uint32_t becomes = 0;
    size_t length = 0;
    memset(&answer, 0, sizeof answer);
    answer.size = sizeof answer;
    answer.status = status;
    ioprof_status done =
        ioprof_replace(&answer, form, profile, &becomes, text, sizeof text, &length);
    printf("replace %u %u: %u, status %u, %.7s\n", form, status, done, becomes,
           length == strlen(text) ? text : "?");
    ioprof_profile_free(profile);
}

int main(void)
{
    ioprof_profiler profiler = 0, again = 0;
    ioprof_options options;
    ioprof_facts facts;
    ioprof_profile *profile = NULL;
    size_t length = 0;
    memset(&options, 0, sizeof options);
    options.size = sizeof options;
    options.threadless = 1;
    options.keep_messages = 1;
    options.name = ioprof_text_of("shop");
    printf("none yet: %d\n", ioprof_profiler_find("shop", 4) == 0);
    if (ioprof_profiler_new(&options, &profiler, text, sizeof text) != IOPROF_OK) {
        return 1;
    }
    printf("found: %d\n", ioprof_profiler_find("shop", 4) == profiler);
    printf("others: %d\n", ioprof_profiler_find("shops", 5) == 0);
    printf("again: %u\n", ioprof_profiler_new(&options, &again, text, sizeof text));
    show("why");

    memset(&facts, 0, sizeof facts);
    facts.size = sizeof facts;
    facts.method = ioprof_text_of("GET");
    facts.path = ioprof_text_of("/");
    ioprof_request request = ioprof_request_begin(profiler, &facts);
    ioprof_request_set_user(request, "5020244", 7);
    ioprof_request_note_text(request, "cart", 4, "a\tb\r\nc\0d", 8);
    inject(request, NULL);
    inject(request, "style-src 'nonce-r4nd0m'; script-src 'nonce-r4nd0m'");
    inject(request, "default-src 'none'");
    ioprof_request_set_status(request, 418);
    replace(request, IOPROF_FORM_TEXT, 304);
    printf("with its status: %d\n", strstr(text, "# GET / 418 ") != NULL);
    replace(request, IOPROF_FORM_JSON, 500);
    replace(request, IOPROF_FORM_PAGE, 200);
    ioprof_shown_headers(IOPROF_FORM_PAGE, text, sizeof text);
    printf("page: %d\n", strstr(text, "content-type") == NULL && strstr(text, "remove digest\n"));
    ioprof_shown_headers(IOPROF_FORM_TICKET, text, sizeof text);
    printf("ticket: %d\n", strstr(text, "remove content-length\n") != NULL &&
                               strstr(text, "set content-type: text/plain; charset=utf-8\n"));
    ioprof_request_finish(request, 200, 5120, &profile);
    ioprof_profile_json(profile, IOPROF_DETAILS_FULL, text, sizeof text);
    printf("json: %.43s\n", text);
    ioprof_profile_line(profile, "%{user_id}n\t%{cart}n\t%{none}n", 29, text, sizeof text, &length);
    show("line");
    printf("wrong: %u\n", ioprof_profile_line(profile, "%h %Z", 5, text, sizeof text, &length));
    show("why");
    ioprof_profile_free(profile);

    printf("nothing said: %zu\n", ioprof_profiler_messages(profiler, text, sizeof text));
    ioprof_request_finish(request, 200, 5120, NULL);
    ioprof_gate_refused(profiler, 1);
    ioprof_profiler_flush(profiler, 1000);
    length = ioprof_profiler_messages(profiler, NULL, 0);
    printf("kept: %d\n", length > 0 && ioprof_profiler_messages(profiler, text, 4) == length);
    ioprof_profiler_messages(profiler, text, sizeof text);
    printf("said: %.6s\n", text);
    printf("nothing more: %zu\n", ioprof_profiler_messages(profiler, text, sizeof text));
    ioprof_profiler_free(profiler, 1000);
    printf("freed: %d\n", ioprof_profiler_find("shop", 4) == 0);
    return ioprof_profiler_new(&options, &again, text, sizeof text) == IOPROF_OK ? 0 : 1;
}
