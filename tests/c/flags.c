/* Decides flags as the vectors say: argv[1] is a flags file; each line of the standard input is a
 * case, its fields divided by tabs:
 *
 *     FLAG USER VISITOR REQUEST GROUP,GROUP NAME=VALUE,NAME=VALUE FLAG:VARIANT,FLAG
 *
 * Prints STATE VARIANT REASON for it: in a request, and where nothing is overridden, about a
 * subject too; both must be the same. */
#include <ioprofiler.h>
#include <stdio.h>
#include <stdlib.h>

enum { MOST = 16 };

static void fail(const char *what, const char *why)
{
    fprintf(stderr, "%s: %s\n", what, why);
    exit(1);
}

/* The text up to a character, which becomes its end; *rest is what follows, or NULL. */
static char *cut(char **rest, char at)
{
    char *begin = *rest;
    char *end = begin ? strchr(begin, at) : NULL;
    if (end) {
        *end = 0;
        *rest = end + 1;
    } else {
        *rest = NULL;
    }
    return begin ? begin : "";
}

static size_t split(char *text, ioprof_text *parts)
{
    size_t count = 0;
    while (text && *text && count < MOST) {
        parts[count++] = ioprof_text_of(cut(&text, ','));
    }
    return count;
}

static size_t split_pairs(char *text, ioprof_attribute *pairs)
{
    size_t count = 0;
    while (text && *text && count < MOST) {
        char *pair = cut(&text, ',');
        pairs[count].name = ioprof_text_of(cut(&pair, '='));
        pairs[count++].value = ioprof_text_of(pair);
    }
    return count;
}

static void print(ioprof_decision decision)
{
    static const char *states[] = {"off", "on", "dark"};
    static const char *reasons[] = {"not_found", "error",   "killed", "shed",
                                    "override",  "user",    "group",  "on",
                                    "percent",   "dark",    "off",    "no_unit"};
    char variant[64];
    ioprof_flag_variant(decision, variant, sizeof variant);
    printf("%s %s %s\n", states[IOPROF_DECISION_STATE(decision)], variant,
           reasons[IOPROF_DECISION_REASON(decision)]);
}

static void decide(ioprof_profiler profiler, char *line)
{
    ioprof_text groups[MOST];
    ioprof_attribute attributes[MOST];
    ioprof_facts facts;
    ioprof_subject subject;
    ioprof_request request;
    ioprof_flag flag;
    ioprof_decision decision;
    char text[4096];
    size_t at;
    char *name = cut(&line, '\t');
    memset(&facts, 0, sizeof facts);
    memset(&subject, 0, sizeof subject);
    facts.size = sizeof facts;
    subject.size = sizeof subject;
    subject.user = ioprof_text_of(cut(&line, '\t'));
    subject.visitor = ioprof_text_of(cut(&line, '\t'));
    subject.request = ioprof_text_of(cut(&line, '\t'));
    subject.groups = groups;
    subject.group_count = split(cut(&line, '\t'), groups);
    subject.attributes = attributes;
    subject.attribute_count = split_pairs(cut(&line, '\t'), attributes);
    facts.flag_overrides = ioprof_text_of(line);
    facts.id = subject.request;
    request = ioprof_request_begin(profiler, &facts);
    ioprof_request_set_user(request, subject.user.data, subject.user.length);
    ioprof_request_set_visitor(request, subject.visitor.data, subject.visitor.length);
    for (at = 0; at < subject.group_count; at++) {
        ioprof_request_add_group(request, groups[at].data, groups[at].length);
    }
    for (at = 0; at < subject.attribute_count; at++) {
        const ioprof_attribute *one = &attributes[at];
        ioprof_request_set_attribute(request, one->name.data, one->name.length, one->value.data,
                                     one->value.length);
    }
    flag = ioprof_flag_of(name, strlen(name));
    decision = ioprof_flag_decide(request, flag, 0);
    if (ioprof_flag_decide(request, flag, 0) != decision ||
        ioprof_flag_decide_name(request, name, strlen(name), 0) != decision) {
        fail(name, "decided otherwise the second time");
    }
    if (!*line && ioprof_flag_decide_for(request, flag, &subject, 0) != decision) {
        fail(name, "decided otherwise about the same subject");
    }
    if (ioprof_flag_explain(request, flag, text, sizeof text) == 0) {
        fail(name, "not explained");
    }
    print(decision);
    ioprof_request_finish(request, 200, 0, NULL);
}

/* What else there is, on a flag named f that is dark for all, with data. */
static void the_rest(ioprof_profiler profiler)
{
    ioprof_stats stats;
    ioprof_span span = 7;
    ioprof_profile *profile = NULL;
    uint64_t age = 0;
    char text[16384];
    ioprof_request request = ioprof_request_begin(profiler, NULL);
    if (IOPROF_DECISION_STATE(ioprof_flag_decide(request, 0, 1)) != IOPROF_FLAG_ON) {
        fail("0", "is not the default");
    }
    if (IOPROF_FLAG_IS_ON(request, IOPROF_FLAG("f"))) {
        fail("f", "is on");
    }
    if (!ioprof_dark_begin(request, IOPROF_FLAG("f"), 0, IOPROF_HERE, &span) || span == 0) {
        fail("f", "is not dark");
    }
    ioprof_dark_end(request, span, IOPROF_DARK_ERROR);
    if (ioprof_dark_begin(request, IOPROF_FLAG("killed"), 0, 0, &span) || span != 0) {
        fail("killed", "is dark");
    }
    ioprof_flag_data(request, IOPROF_FLAG("f"), text, sizeof text);
    if (strcmp(text, "[1,\"two\"]") != 0) {
        fail("data", text);
    }
    ioprof_request_refresh_flags(request);
    if (ioprof_flags_age(profiler, &age) != IOPROF_OK || age > 600000000000u) {
        fail("age", "is not there, or too much");
    }
    if (ioprof_flags_version(profiler, text, sizeof text) != 16) {
        fail("version", text);
    }
    if (ioprof_flags_reload(profiler, text, sizeof text) != 0) {
        fail("reload", text);
    }
    stats.size = sizeof stats;
    ioprof_profiler_stats(profiler, &stats);
    if (stats.dark_runs != 1 || stats.dark_errors != 1) {
        fail("stats", "dark work is not counted");
    }
    ioprof_request_finish(request, 200, 0, &profile);
    ioprof_profile_text(profile, text, sizeof text);
    ioprof_profile_free(profile);
    if (!strstr(text, "flag f dark, dark") || !strstr(text, "[dark:f]")) {
        fail("profile", text);
    }
    puts("the rest");
}

/* A gate that a flag opens. */
static void the_gate(ioprof_profiler profiler)
{
    ioprof_gate_inputs inputs;
    ioprof_gate_decision decision;
    ioprof_request request;
    char text[64];
    memset(&inputs, 0, sizeof inputs);
    inputs.size = sizeof inputs;
    inputs.query = ioprof_text_of("ioprofiler=1&ioflags=gate");
    decision.size = sizeof decision;
    if (ioprof_gate_decide(profiler, &inputs, &decision) != IOPROF_OK ||
        decision.verdict != IOPROF_GATE_UNDECIDED) {
        fail("gate", "is not undecided at begin");
    }
    if (ioprof_gate_flag_overrides(profiler, &inputs, text, sizeof text) != 0) {
        fail("gate", "lets flags be chosen before it is open");
    }
    request = ioprof_request_begin(profiler, NULL);
    ioprof_request_add_group(request, "staff", 5);
    if (ioprof_gate_ask_flag(profiler, request, &decision) != IOPROF_OK ||
        decision.verdict != IOPROF_GATE_OPEN) {
        fail("gate", "is not open for staff");
    }
    ioprof_request_finish(request, 200, 0, NULL);
    decision.verdict = IOPROF_GATE_UNDECIDED;
    request = ioprof_request_begin(profiler, NULL);
    if (ioprof_gate_ask_flag(profiler, request, &decision) != IOPROF_OK ||
        decision.verdict != IOPROF_GATE_CLOSED) {
        fail("gate", "is not closed for others");
    }
    ioprof_request_finish(request, 200, 0, NULL);
    puts("the gate");
}

int main(int count, char **arguments)
{
    static char line[1 << 16];
    char message[4096];
    ioprof_options options;
    ioprof_text file;
    ioprof_profiler profiler = 0;
    if (count != 2) {
        fail("usage", "flags FILE");
    }
    memset(&options, 0, sizeof options);
    options.size = sizeof options;
    file = ioprof_text_of(arguments[1]);
    options.flag_files = &file;
    options.flag_file_count = 1;
    options.flags_required = 1;
    options.gate = ioprof_text_of("flag:gate");
    if (ioprof_profiler_new(&options, &profiler, message, sizeof message) != IOPROF_OK) {
        fail("options", message);
    }
    while (fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = 0;
        if (strcmp(line, "the rest") == 0) {
            the_rest(profiler);
        } else if (strcmp(line, "the gate") == 0) {
            the_gate(profiler);
        } else {
            decide(profiler, line);
        }
    }
    ioprof_profiler_free(profiler, 0);
    return 0;
}
