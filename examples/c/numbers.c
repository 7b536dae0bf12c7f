/* What an application counts, and what a scrape of Prometheus then reads. Build it as hello.c. */
#include <ioprofiler.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    static char text[1 << 18];
    ioprof_options options;
    ioprof_profiler profiler = 0;
    memset(&options, 0, sizeof options);
    options.size = sizeof options;
    options.config = ioprof_text_of("worker = \"web-1\"\n[prometheus]\n");
    /* Or the file that the programs of the site share: examples/monitoring/ioprofiler.toml. */
    options.config_file = ioprof_text_of(argc > 1 ? argv[1] : NULL);
    if (ioprof_profiler_new(&options, &profiler, text, sizeof text) != IOPROF_OK) {
        fprintf(stderr, "%s\n", text);
        return 1;
    }

    /* From any thread, without a registration. */
    ioprof_count(profiler, "registrations", 13, 1);
    ioprof_count(profiler, "registrations;plan=pro", 22, 1);
    ioprof_gauge(profiler, "queue.length", 12, 17);
    ioprof_timing(profiler, "mail.sent", 9, 120000000);
    ioprof_deploy(profiler, "8c1f", 4, "erika", 5, "new search", 10);

    /* Labels that are not known beforehand. */
    ioprof_attribute country;
    char name[129];
    country.name = ioprof_text_of("country");
    country.value = ioprof_text_of("de");
    ioprof_count(profiler, name, ioprof_metric_name("registrations", 13, &country, 1, name, sizeof name), 1);

    /* What /metrics answers. */
    ioprof_exposition about;
    about.size = sizeof about;
    ioprof_prometheus(profiler, "text/plain", 10, &about, text, sizeof text);
    printf("%u %s\n%s", about.status, about.content_type, text);
    return ioprof_profiler_free(profiler, 1000) == IOPROF_OK ? 0 : 1;
}
