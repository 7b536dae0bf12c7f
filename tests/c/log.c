/* Notes, the compact note and the log's line, as a host in C has them. Prints what it got. */
#include <ioprofiler.h>
#include <stdio.h>
#include <stdlib.h>

static void show(const char *what, const char *text, size_t length, size_t capacity)
{
    printf("%s (%zu): %s%s\n", what, length, text, length < capacity ? "" : "…");
}

static ioprof_status make(const char *log, const char *format, const char *note,
                          ioprof_profiler *profiler)
{
    ioprof_options options;
    char message[512];
    ioprof_status status;
    memset(&options, 0, sizeof options);
    options.size = sizeof options;
    options.threadless = 1;
    options.access_log = ioprof_text_of(log);
    options.access_log_format = ioprof_text_of(format);
    options.access_log_time_zone = ioprof_text_of("UTC");
    options.note_format = ioprof_text_of(note);
    status = ioprof_profiler_new(&options, profiler, message, sizeof message);
    if (status != IOPROF_OK) {
        printf("%s\n", message);
    }
    return status;
}

int main(int count, char **arguments)
{
    ioprof_profiler profiler = 0;
    ioprof_profile *profile = NULL;
    ioprof_stats stats;
    ioprof_facts facts;
    ioprof_header agent;
    char text[1024];
    char small[8];
    if (count != 2) {
        return 1;
    }
    make("host", "%h %Z", NULL, &profiler);
    make("host", NULL, "%h  %u", &profiler);
    make("/no/such/folder/log", NULL, NULL, &profiler);
    if (make(arguments[1], "%h \"%r\" %>s \"%{User-Agent}i\" %{X-Shop}o %{user_id}n %{cart}n",
             "%{user_id}n %{cart}n %{share}n %{staff}n", &profiler) != IOPROF_OK) {
        return 1;
    }
    ioprof_profiler_wanted_headers(profiler, 0, text, sizeof text);
    printf("request: %s", text);
    ioprof_profiler_wanted_headers(profiler, 1, text, sizeof text);
    printf("answer: %s", text);

    memset(&facts, 0, sizeof facts);
    facts.size = sizeof facts;
    facts.method = ioprof_text_of("GET");
    facts.path = ioprof_text_of("/listing/5773453");
    facts.protocol = ioprof_text_of("HTTP/1.1");
    facts.peer = ioprof_text_of("10.0.0.1");
    agent.name = ioprof_text_of("User-Agent");
    agent.value = ioprof_text_of("a\"b\xff");
    facts.headers = &agent;
    facts.header_count = 1;
    ioprof_request request = ioprof_request_begin(profiler, &facts);
    ioprof_request_note_integer(request, "user_id", 7, 5020244);
    ioprof_request_note_text(request, "cart", 4, "3 things\r\n", 10);
    ioprof_request_note_float(request, "share", 5, 0.25);
    ioprof_request_note_bool(request, "staff", 5, 2);
    ioprof_request_note_text(request, "no name", 7, "", 0);
    ioprof_request_answer_header(request, "X-Shop", 6, "clay", 4);
    size_t length = ioprof_request_compact_note(request, text, sizeof text);
    show("note", text, length, sizeof text);
    length = ioprof_request_compact_note(request, small, sizeof small);
    show("note", small, length, sizeof small);
    ioprof_request_finish(request, 200, 5120, &profile);
    length = ioprof_profile_log_line(profiler, profile, text, sizeof text);
    show("line", text, length, sizeof text);
    ioprof_profile_free(profile);

    ioprof_profiler_reopen_logs(profiler);
    ioprof_profiler_flush(profiler, 1000);
    stats.size = sizeof stats;
    ioprof_profiler_stats(profiler, &stats);
    printf("%d written, %d failed, %d notes lost\n", (int)stats.log_written,
           (int)stats.log_failed, (int)stats.lost_notes);
    return ioprof_profiler_free(profiler, 1000) == IOPROF_OK ? 0 : 1;
}
