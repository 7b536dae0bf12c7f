/* The C half of the benchmarks: reads "NAME BATCHES" a line, runs that many requests of 100 calls,
 * answers with the CPU nanoseconds they took. Built and asked by contestants/c_abi.rs. */
#include <ioprofiler.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { SPANS = 100 };

static const char DETAIL[] =
    "SELECT count(*) FROM FavoriteListingUser WHERE listing_id = 5773453 AND shop=12";

static ioprof_profiler recording;
static ioprof_request silent;
static uint32_t shard;

/* Keeps the compiler from knowing a value. */
#define HIDE(value) __asm__ volatile("" : "+r"(value) : : "memory")

static inline uint64_t ticks(void)
{
#if defined(__x86_64__)
    return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
    uint64_t now;
    __asm__ volatile("mrs %0, cntvct_el0" : "=r"(now));
    return now;
#else
#error "no counter is known for this processor"
#endif
}

static void floor_batch(void)
{
    static uint64_t records[SPANS][2];
    static char details[SPANS * 128];
    char *end = details;
    for (int i = 0; i < SPANS; i++) {
        const char *detail = DETAIL;
        size_t length = sizeof DETAIL - 1;
        HIDE(detail);
        HIDE(length);
        uint64_t start = ticks();
        memcpy(end, detail, length);
        end += length;
        records[i][0] = start;
        records[i][1] = ticks();
    }
    char *all = details;
    HIDE(all);
    uint64_t (*both)[2] = records;
    HIDE(both);
}

static void begin_and_end(ioprof_request request)
{
    for (int i = 0; i < SPANS; i++) {
        const char *detail = DETAIL;
        size_t length = sizeof DETAIL - 1;
        HIDE(detail);
        HIDE(length);
        ioprof_span span = IOPROF_SPAN_BEGIN(request, shard, detail, length, 0);
        ioprof_span_end(span, IOPROF_OUTCOME_OK);
    }
}

static void handle_batch(void)
{
    ioprof_facts facts;
    memset(&facts, 0, sizeof facts);
    facts.size = sizeof facts;
    facts.method = ioprof_text_of("GET");
    facts.path = ioprof_text_of("/listing/5773453");
    ioprof_request request = ioprof_request_begin(recording, &facts);
    begin_and_end(request);
    ioprof_request_finish(request, 200, 5120, NULL);
}

/* The request exists, but its calls are not recorded: the header's check leaves the calls out. */
static void off_inline_batch(void)
{
    ioprof_request request = silent;
    HIDE(request);
    begin_and_end(request);
}

/* The same, for a host that cannot use the header (an FFI): one call of the library. */
static void off_call_batch(void)
{
    ioprof_request request = silent;
    HIDE(request);
    for (int i = 0; i < SPANS; i++) {
        const char *detail = DETAIL;
        HIDE(detail);
        ioprof_span span = (ioprof_span_begin)(request, shard, detail, sizeof DETAIL - 1, 0, 0);
        HIDE(span);
    }
}

/* A flag that was read before in the request: by number, and by name. */
static void flag_batch(void)
{
    ioprof_request request = silent;
    HIDE(request);
    for (int i = 0; i < SPANS; i++) {
        uint32_t on = IOPROF_FLAG_IS_ON(request, IOPROF_FLAG("flag101"));
        HIDE(on);
    }
}

static void flag_name_batch(void)
{
    static const char NAME[] = "flag101";
    ioprof_request request = silent;
    HIDE(request);
    for (int i = 0; i < SPANS; i++) {
        const char *name = NAME;
        HIDE(name);
        uint32_t decision = ioprof_flag_decide_name(request, name, sizeof NAME - 1, 0);
        HIDE(decision);
    }
}

static const struct {
    const char *name;
    void (*batch)(void);
} CONTESTANTS[] = {
    {"floor", floor_batch},
    {"handle", handle_batch},
    {"off_inline", off_inline_batch},
    {"off_call", off_call_batch},
    {"flag", flag_batch},
    {"flag_name", flag_name_batch},
};

static uint64_t cpu_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static int set_up(const char *flags)
{
    ioprof_text file = ioprof_text_of(flags);
    ioprof_options options;
    ioprof_profiler off = 0;
    char why[256] = "";
    memset(&options, 0, sizeof options);
    options.size = sizeof options;
    if (ioprof_profiler_new(&options, &recording, why, sizeof why) != IOPROF_OK) {
        fprintf(stderr, "spans.c: %s\n", why);
        return 1;
    }
    options.record = IOPROF_RECORD_OFF;
    options.flag_files = &file;
    options.flag_file_count = flags ? 1 : 0;
    options.threadless = 1;
    if (ioprof_profiler_new(&options, &off, why, sizeof why) != IOPROF_OK) {
        fprintf(stderr, "spans.c: %s\n", why);
        return 1;
    }
    silent = ioprof_request_begin(off, NULL);
    ioprof_request_set_user(silent, "5020244", 7);
    shard = ioprof_category("dbshard01", 9, IOPROF_LEAF, IOPROF_DIALECT_MYSQL);
    return 0;
}

int main(int count, char **arguments)
{
    char name[32];
    unsigned long long batches;
    if (set_up(count > 1 ? arguments[1] : NULL) != 0) {
        return 1;
    }
    while (scanf("%31s %llu", name, &batches) == 2) {
        void (*batch)(void) = NULL;
        for (size_t i = 0; i < sizeof CONTESTANTS / sizeof CONTESTANTS[0]; i++) {
            if (strcmp(name, CONTESTANTS[i].name) == 0) {
                batch = CONTESTANTS[i].batch;
            }
        }
        if (batch == NULL) {
            fprintf(stderr, "spans.c: no contestant %s\n", name);
            return 1;
        }
        uint64_t start = cpu_ns();
        for (unsigned long long i = 0; i < batches; i++) {
            batch();
        }
        printf("%llu\n", (unsigned long long)(cpu_ns() - start));
        fflush(stdout);
    }
    return 0;
}
