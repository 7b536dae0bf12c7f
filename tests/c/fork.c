/* Forks while four threads record: each child records and finishes a page of its own, within an
 * alarm. Prints how many children did. */
#define _POSIX_C_SOURCE 200809L
#include <ioprofiler.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static ioprof_profiler profiler;
static uint32_t category;
static int over;

/* A page with some calls; NULL when it went well. */
static const char *page(void)
{
    ioprof_profile *profile = NULL;
    char text[8192];
    ioprof_request request = ioprof_request_begin(profiler, NULL);
    if (request == 0) {
        return "no request";
    }
    for (int call = 0; call < 20; call++) {
        ioprof_span span = IOPROF_SPAN_BEGIN(request, category, "SELECT 1", 8, 0);
        if (span == 0) {
            return "no span";
        }
        ioprof_span_end(span, IOPROF_OUTCOME_OK);
    }
    ioprof_request_finish(request, 200, 1, &profile);
    size_t length = ioprof_profile_text(profile, text, sizeof text);
    ioprof_profile_free(profile);
    if (length == 0 || strstr(text, "TOTAL CALLS               20") == NULL) {
        return text[0] ? "wrong text" : "no text";
    }
    return NULL;
}

static void *record(void *nothing)
{
    while (!__atomic_load_n(&over, __ATOMIC_RELAXED)) {
        page();
    }
    return nothing;
}

int main(int argc, char **argv)
{
    long forks = argc > 1 ? atol(argv[1]) : 200;
    pthread_t threads[4];
    long good = 0;
    if (ioprof_profiler_new(NULL, &profiler, NULL, 0) != IOPROF_OK) {
        return 1;
    }
    category = ioprof_category("dbshard01", 9, IOPROF_LEAF, IOPROF_DIALECT_MYSQL);
    for (int thread = 0; thread < 4; thread++) {
        pthread_create(&threads[thread], NULL, record, NULL);
    }
    for (long done = 0; done < forks; done++) {
        ioprof_request parents = ioprof_request_begin(profiler, NULL);
        pid_t child = fork();
        if (child == 0) {
            alarm(10);
            /* Begun before the fork: the parent's alone. */
            ioprof_span_end(ioprof_span_begin(parents, category, "x", 1, 0, 0), 0);
            ioprof_request_finish(parents, 500, 0, NULL);
            const char *wrong = page();
            if (wrong != NULL) {
                fprintf(stderr, "child: %s\n", wrong);
                _exit(2);
            }
            _exit(ioprof_profiler_flush(profiler, 5000) == IOPROF_OK ? 0 : 3);
        }
        int status = 0;
        waitpid(child, &status, 0);
        if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
            good++;
        } else {
            fprintf(stderr, "child %ld: status %x\n", done, (unsigned)status);
        }
        ioprof_request_finish(parents, 200, 0, NULL);
    }
    __atomic_store_n(&over, 1, __ATOMIC_RELAXED);
    for (int thread = 0; thread < 4; thread++) {
        pthread_join(threads[thread], NULL);
    }
    printf("%ld of %ld\n", good, forks);
    return 0;
}
