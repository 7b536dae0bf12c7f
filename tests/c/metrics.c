/* What a host in C counts, says and keeps. Arguments: a configuration in TOML, and how long to
 * wait for it to be sent. Prints what is then known of it, a line each. */
#define _POSIX_C_SOURCE 200809L
#include <ioprofiler.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { THREADS = 4, ROUNDS = 25000 };

static ioprof_profiler profiler;
static char text[1 << 20];

static void *count(void *number)
{
    /* Labels that come from elsewhere: put together by the library. */
    static const char *const plans[] = {"pro", "free", "a;b=c", "pro"};
    ioprof_attribute label;
    char name[129];
    label.name = ioprof_text_of("plan");
    label.value = ioprof_text_of(plans[(size_t)number]);
    size_t length = ioprof_metric_name("registrations", 13, &label, 1, name, sizeof name);
    for (uint64_t round = 0; round < ROUNDS; round++) {
        ioprof_count(profiler, "mails", 5, round % 3);
        ioprof_count(profiler, name, length, 1);
        ioprof_timing(profiler, "mail.sent", 9, 1000000 * (round % 100 + 1));
    }
    return NULL;
}

static void page(const char *route, uint16_t status)
{
    ioprof_facts facts;
    memset(&facts, 0, sizeof facts);
    facts.size = sizeof facts;
    facts.method = ioprof_text_of("GET");
    facts.path = ioprof_text_of("/listing/5773453");
    ioprof_request request = ioprof_request_begin(profiler, &facts);
    ioprof_request_set_route(request, route, strlen(route));
    uint32_t shard = ioprof_category("dbshard01", 9, IOPROF_LEAF, IOPROF_DIALECT_MYSQL);
    ioprof_span_end(IOPROF_SPAN_BEGIN(request, shard, "SELECT 5773453", 14, 0), IOPROF_OUTCOME_OK);
    ioprof_request_finish(request, status, 5120, NULL);
}

/* Each line is one of these, so that a test can take them apart. */
static void show(const char *what)
{
    printf("%s: %s\n", what, text);
}

static void show_kept(void)
{
    ioprof_profile *profiles[8];
    uint32_t reasons[8];
    size_t all = ioprof_profiler_kept(profiler, profiles, reasons, 8);
    printf("kept: %zu of %zu\n", all, ioprof_profiler_kept(profiler, NULL, NULL, 0));
    for (size_t at = 0; at < all && at < 8; at++) {
        size_t length = 0;
        ioprof_profile_text(profiles[at], text, sizeof text);
        int has_call = strstr(text, "[dbshard01]") != NULL && strstr(text, "SELECT ?") != NULL;
        ioprof_profile_line(profiles[at], "%{route}n %>s", 13, text, sizeof text, &length);
        printf("  %s %s, its call: %d\n", reasons[at] == IOPROF_KEPT_ERROR ? "error" : "slow", text,
               has_call);
        ioprof_profile_free(profiles[at]);
    }
    ioprof_profiler_kept_json(profiler, IOPROF_DETAILS_FULL, text, sizeof text);
    show("kept_json");
}

static void scrape(const char *accept)
{
    ioprof_exposition about;
    about.size = sizeof about;
    ioprof_prometheus(profiler, accept, strlen(accept), &about, text, sizeof text);
    printf("scrape: %u %u %s\n", about.status, about.content_type_length, about.content_type);
    printf("%sscraped\n", text);
}

int main(int argc, char **argv)
{
    pthread_t threads[THREADS];
    ioprof_options options;
    memset(&options, 0, sizeof options);
    options.size = sizeof options;
    options.config = ioprof_text_of(argc > 1 ? argv[1] : NULL);
    options.config_json = ioprof_text_of("{\"keep\": {\"slowest\": 1, \"errors\": 2}}");
    options.config_file = ioprof_text_of(argc > 3 ? argv[3] : NULL);
    options.metrics = 1;
    ioprof_status made = ioprof_profiler_new(&options, &profiler, text, sizeof text);
    if (made != IOPROF_OK) {
        printf("%u\n", made);
        show("why");
        return 2;
    }
    for (size_t thread = 0; thread < THREADS; thread++) {
        pthread_create(&threads[thread], NULL, count, (void *)thread);
    }
    for (size_t thread = 0; thread < THREADS; thread++) {
        pthread_join(threads[thread], NULL);
    }
    ioprof_gauge(profiler, "queue.length", 12, 3);
    ioprof_gauge(profiler, "queue.length", 12, 17.5);
    /* Not taken: another kind than before, and no name. */
    ioprof_gauge(profiler, "mails", 5, 1);
    ioprof_count(profiler, NULL, 7, 1);
    ioprof_count(0, "mails", 5, 1);
    page("/listing/{id}", 200);
    page("/listing/{id}", 503);
    page("/about", 200);
    ioprof_profiler_flush(profiler, 5000);
    ioprof_deploy(profiler, "8c1f", 4, "erika", 5, "new search", 10);
    ioprof_deploy(profiler, "8c1f", 4, NULL, 0, NULL, 0);
    ioprof_event(profiler, "cache emptied", 13, NULL, 0, "it was full", 11);
    printf("flushed: %u\n", ioprof_profiler_flush(profiler, (uint32_t)atoi(argc > 2 ? argv[2] : "5000")));
    ioprof_profiler_series(profiler, text, sizeof text);
    show("series");
    printf("as long: %d\n", ioprof_profiler_series(profiler, text, 10) > 1000 && text[9] == 0);
    scrape("text/plain");
    scrape("application/openmetrics-text;version=1.0.0");
    show_kept();
    ioprof_count(profiler, "mails", 5, 7);
    printf("freed: %u\n", ioprof_profiler_free(profiler, 5000));
    printf("none: %zu %zu\n", ioprof_profiler_kept(profiler, NULL, NULL, 0),
           ioprof_prometheus(profiler, NULL, 0, NULL, NULL, 0));
    return 0;
}
