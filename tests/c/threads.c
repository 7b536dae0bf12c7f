/* Eight threads in one request, each ending some calls of its neighbour. Prints the totals. */
#define _POSIX_C_SOURCE 200809L
#include <ioprofiler.h>
#include <pthread.h>
#include <stdio.h>

enum { THREADS = 8, CALLS = 5000 };

static ioprof_request request;
static uint32_t category;
static ioprof_span left_open[THREADS];

static void *record(void *number)
{
    size_t me = (size_t)number;
    for (int call = 0; call < CALLS; call++) {
        ioprof_span span = IOPROF_SPAN_BEGIN(request, category, "get", 3, 0);
        ioprof_span before = __atomic_exchange_n(&left_open[(me + 1) % THREADS], span,
                                                 __ATOMIC_RELAXED);
        ioprof_span_hits(before, 1);
        ioprof_span_end(before, IOPROF_OUTCOME_OK);
    }
    return NULL;
}

int main(void)
{
    ioprof_profiler profiler = 0;
    pthread_t threads[THREADS];
    ioprof_profile *profile = NULL;
    static char text[4 << 20];
    if (ioprof_profiler_new(NULL, &profiler, NULL, 0) != IOPROF_OK) {
        return 1;
    }
    category = ioprof_category("memcache_get", 12, IOPROF_LEAF, IOPROF_DIALECT_KEYS);
    request = ioprof_request_begin(profiler, NULL);
    for (size_t thread = 0; thread < THREADS; thread++) {
        pthread_create(&threads[thread], NULL, record, (void *)thread);
    }
    for (size_t thread = 0; thread < THREADS; thread++) {
        pthread_join(threads[thread], NULL);
    }
    for (size_t thread = 0; thread < THREADS; thread++) {
        ioprof_span_end(left_open[thread], IOPROF_OUTCOME_OK);
    }
    ioprof_request_finish(request, 200, 0, &profile);
    ioprof_profile_text(profile, text, sizeof text);
    ioprof_profile_free(profile);
    const char *total = strstr(text, "TOTAL CALLS");
    int calls = 0;
    if (total == NULL || sscanf(total, "TOTAL CALLS %d", &calls) != 1) {
        return 1;
    }
    printf("%d calls\n", calls);
    ioprof_stats stats;
    stats.size = sizeof stats;
    ioprof_profiler_stats(profiler, &stats);
    printf("%d busy\n", (int)stats.busy);
    ioprof_profiler_free(profiler, 1000);
    return 0;
}
