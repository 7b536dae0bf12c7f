/* One page with two calls, and what it did. Build and run: see bindings/c/README.md. */
#include <ioprofiler.h>
#include <stdio.h>
#include <stdlib.h>

/* Prints a profile as text. The first call asks for the length, the second one copies. */
static void print(const ioprof_profile *profile)
{
    size_t length = ioprof_profile_text(profile, NULL, 0);
    char *text = (char *)malloc(length + 1);
    if (text != NULL) {
        ioprof_profile_text(profile, text, length + 1);
        fwrite(text, 1, length, stdout);
        free(text);
    }
}

int main(int argc, char **argv)
{
    ioprof_options options;
    ioprof_profiler profiler = 0;
    char why[256] = "";
    memset(&options, 0, sizeof options);
    options.size = sizeof options;
    options.build_id = ioprof_text_of("hello");
    /* Tests run it with a clock that stands still but for ioprof_clock_advance. */
    options.clock = argc > 1 && strcmp(argv[1], "--manual-clock") == 0 ? IOPROF_CLOCK_MANUAL
                                                                        : IOPROF_CLOCK_SYSTEM;
    if (ioprof_profiler_new(&options, &profiler, why, sizeof why) != IOPROF_OK) {
        fprintf(stderr, "hello: %s\n", why);
        return 1;
    }

    /* At start: names once, numbers ever after. */
    uint32_t shard = ioprof_category("dbshard01", 9, IOPROF_LEAF, IOPROF_DIALECT_MYSQL);
    uint32_t page = ioprof_category("template", 8, IOPROF_SCOPE, IOPROF_DIALECT_PATH);

    ioprof_facts facts;
    memset(&facts, 0, sizeof facts);
    facts.size = sizeof facts;
    facts.method = ioprof_text_of("GET");
    facts.path = ioprof_text_of("/listing/5773453");
    facts.id = ioprof_text_of("4bf92f35");
    ioprof_request request = ioprof_request_begin(profiler, &facts);
    ioprof_request_set_route(request, "/listing/{id}", 13);

    ioprof_span scope = IOPROF_SPAN_BEGIN(request, page, "listing.html", 12, 0);
    ioprof_clock_advance(410000);
    const char *sql = "SELECT count(*) FROM FavoriteListingUser WHERE listing_id = 5773453";
    ioprof_span call = IOPROF_SPAN_BEGIN(request, shard, sql, strlen(sql), scope);
    ioprof_clock_advance(902000);
    ioprof_span_rows(call, 1);
    ioprof_span_end(call, IOPROF_OUTCOME_OK);
    ioprof_clock_advance(88000);
    ioprof_span_end(scope, IOPROF_OUTCOME_OK);

    ioprof_profile *profile = NULL;
    ioprof_request_finish(request, 200, 5120, &profile);
    print(profile);
    ioprof_profile_free(profile);
    ioprof_profiler_free(profiler, 200);
    return 0;
}
