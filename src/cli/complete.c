/* __complete: what can stand at the end of a command line. The scripts of `completion` ask it.
 *
 * The words are walked as the parser would, through the same tables. A line of the answer is a
 * candidate, a tab and what it means; ":files" leaves the rest to the shell. What takes an object
 * is known by the words of the usage text ("CONTAINER", "IMAGE"); the engine is asked for names. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/context_store.h"
#include "cli/global_options.h"
#include "cli/plugin.h"
#include "cli/settings.h"

#include "base/banned.h"

enum { ANSWER_LIMIT_S = 3 }; /* a shell waits for us */

/* What a word on the command line names. */
enum thing { THING_NONE, CONTAINERS, IMAGES, NETWORKS, VOLUMES, CONTEXTS, FILES, OBJECTS, WORDS };

struct wish {
    enum thing thing;
    const char *words; /* WORDS: separated by blanks; CONTAINERS: the statuses that count */
};

/* The state of the walk. */
struct line {
    const struct command *const *list; /* commands that may come; NULL inside of a command */
    const struct command *command;     /* so far */
    const char *parent;                /* name of the group that it is in, or "" */
    const struct option_row *rows;
    const struct option_row *awaited; /* an option whose value is next */
    size_t positional_count;
    bool is_past_options;
    struct global_options global;
    const char *current; /* the word to be completed */
};

/* ---- what options take ---- */

/* clang-format off */
#define RUNNING   "running paused restarting"
#define SIGNALS   "SIGHUP SIGINT SIGQUIT SIGKILL SIGUSR1 SIGUSR2 SIGTERM SIGCONT SIGSTOP SIGWINCH"

static const struct { const char *option; struct wish wish; } option_values[] = {
    { "attach",            { WORDS,      "stdin stdout stderr" } },
    { "cap-add",           { WORDS,      "ALL AUDIT_WRITE BPF CHOWN DAC_OVERRIDE FOWNER KILL MKNOD NET_ADMIN NET_BIND_SERVICE NET_RAW PERFMON SETGID SETUID SYS_ADMIN SYS_CHROOT SYS_MODULE SYS_NICE SYS_PTRACE SYS_RESOURCE SYS_TIME" } },
    { "cap-drop",          { WORDS,      "ALL AUDIT_WRITE CHOWN DAC_OVERRIDE FOWNER FSETID KILL MKNOD NET_BIND_SERVICE NET_RAW SETFCAP SETGID SETPCAP SETUID SYS_CHROOT" } },
    { "cgroupns",          { WORDS,      "host private" } },
    { "cidfile",           { FILES,      NULL } },
    { "config",            { FILES,      NULL } },
    { "context",           { CONTEXTS,   NULL } },
    { "env-file",          { FILES,      NULL } },
    { "file",              { FILES,      NULL } },
    { "format",            { WORDS,      "json table" } },
    { "from",              { CONTEXTS,   NULL } },
    { "health-on-failure", { WORDS,      "none restart stop kill" } },
    { "iidfile",           { FILES,      NULL } },
    { "input",             { FILES,      NULL } },
    { "ipc",               { WORDS,      "container: host none private shareable" } },
    { "label-file",        { FILES,      NULL } },
    { "link",              { CONTAINERS, NULL } },
    { "log-driver",        { WORDS,      "journald json-file local none syslog" } },
    { "log-level",         { WORDS,      "debug info warn error fatal" } },
    { "net",               { NETWORKS,   NULL } },
    { "network",           { NETWORKS,   NULL } },
    { "output",            { FILES,      NULL } },
    { "pid",               { WORDS,      "container: host" } },
    { "platform",          { WORDS,      "linux/amd64 linux/arm64" } },
    { "progress",          { WORDS,      "auto plain quiet rawjson tty" } },
    { "pull",              { WORDS,      "always missing never" } },
    { "restart",           { WORDS,      "no always on-failure unless-stopped" } },
    { "security-opt",      { WORDS,      "apparmor= label= no-new-privileges seccomp= systempaths=unconfined" } },
    { "signal",            { WORDS,      SIGNALS } },
    { "stop-signal",       { WORDS,      SIGNALS } },
    { "tlscacert",         { FILES,      NULL } },
    { "tlscert",           { FILES,      NULL } },
    { "tlskey",            { FILES,      NULL } },
    { "type",              { WORDS,      "container image network volume" } },
    { "userns",            { WORDS,      "auto host keep-id" } },
    { "uts",               { WORDS,      "container: host" } },
    { "volume",            { FILES,      NULL } },
    { "volumes-from",      { CONTAINERS, NULL } },
};

/* --filter, by command. */
static const struct { const char *command, *keys; } filters[] = {
    { "ps",     "ancestor= before= exited= expose= health= id= is-task= label= name= network= publish= since= status= volume=" },
    { "images", "before= dangling= label= reference= since= until=" },
    { "events", "container= daemon= event= image= label= network= scope= type= volume=" },
    { "search", "is-official= stars=" },
    { "prune",  "label= label!= until=" },
};
static const struct { const char *group, *keys; } list_filters[] = {
    { "network", "dangling= driver= id= label= name= scope= type=" },
    { "volume",  "dangling= driver= label= name=" },
};

/* Of containers only those in a fitting state are offered. */
static const struct { const char *command, *statuses; } fitting[] = {
    { "attach",  RUNNING },   { "exec",  RUNNING },   { "kill",  RUNNING }, { "pause", "running" }, { "port", RUNNING },
    { "start",   "created exited" }, { "stats", RUNNING }, { "stop", RUNNING }, { "top", RUNNING }, { "unpause", "paused" },
};
/* clang-format on */

static struct wish filter_wish(const struct line *line)
{
    const char *name = line->command ? line->command->name : "";

    for (size_t i = 0; i < COUNT(filters); i++)
        if (strcmp(filters[i].command, name) == 0)
            return (struct wish){ WORDS, filters[i].keys };
    for (size_t i = 0; i < COUNT(list_filters); i++)
        if (strcmp(list_filters[i].group, line->parent) == 0)
            return (struct wish){ WORDS, list_filters[i].keys };
    return (struct wish){};
}

static struct wish option_wish(const struct line *line, const struct option_row *row)
{
    if (strcmp(row->name, "filter") == 0)
        return filter_wish(line);
    for (size_t i = 0; i < COUNT(option_values); i++)
        if (strcmp(option_values[i].option, row->name) == 0)
            return option_values[i].wish;
    return (struct wish){};
}

/* ---- what arguments are ---- */

/* The usage's word for the positional argument at 'index'; the last one with "..." is for all that
 * follow. */
static char *placeholder(const char *usage, size_t index)
{
    CLEANUP(strv_done) struct strv words = {};
    char *last = NULL;

    strv_split(&words, usage, ' ');
    for (size_t i = 0; i < words.count; i++) {
        const char *word = words.items[i];

        if (strcmp(word, "[OPTIONS]") == 0 || strcmp(word, "|") == 0 || !*word)
            continue;
        free(last);
        last = xstrdup(word);
        if (index-- == 0)
            return last;
    }
    if (last && strstr(last, "..."))
        return last;
    free(last);
    return NULL;
}

static const char *statuses_for(const char *command)
{
    for (size_t i = 0; i < COUNT(fitting); i++)
        if (strcmp(fitting[i].command, command) == 0)
            return fitting[i].statuses;
    return NULL;
}

static struct wish argument_wish(const struct line *line)
{
    const struct command *command = line->command;
    CLEANUP(free) char *word = placeholder(command->usage, line->positional_count);
    bool is_new = strcmp(command->name, "create") == 0 || strcmp(command->name, "import") == 0;

    if (!word)
        return (struct wish){};
    if (strstr(word, "|fish|"))
        return (struct wish){ WORDS, "bash fish zsh" };
    if (strcmp(command->name, "cp") == 0)
        return (struct wish){ OBJECTS, NULL };
    if (strstr(word, "NEW"))
        return (struct wish){};
    if (strstr(word, "CONTAINER"))
        return (struct wish){ CONTAINERS, statuses_for(command->name) };
    if (strstr(word, "IMAGE") || strstr(word, "REPOSITORY") ||
        (strstr(word, "NAME[:TAG") && strcmp(command->name, "push") == 0))
        return (struct wish){ IMAGES, NULL };
    if (strstr(word, "NAME|ID"))
        return (struct wish){ OBJECTS, NULL };
    if (strstr(word, "FILE") || strstr(word, "file") || strstr(word, "PATH"))
        return (struct wish){ FILES, NULL };
    if (is_new)
        return (struct wish){};
    return (struct wish){ strstr(word, "NETWORK")   ? NETWORKS
                          : strstr(word, "VOLUME")  ? VOLUMES
                          : strstr(word, "CONTEXT") ? CONTEXTS
                                                    : THING_NONE,
                          NULL };
}

/* ---- answers ---- */

/* 'prefix' stands before the candidate in its word ("--network="). */
static void offer(const struct line *line, const char *prefix, const char *candidate,
                  const char *meaning)
{
    CLEANUP(free) char *whole = xasprintf("%s%s", prefix, candidate);

    if (text_starts(whole, line->current) && !strpbrk(candidate, "\n\t"))
        printf("%s\t%s\n", whole, meaning ? meaning : "");
}

static void offer_words(const struct line *line, const char *prefix, const char *text)
{
    CLEANUP(strv_done) struct strv words = {};

    strv_split(&words, text, ' ');
    for (size_t i = 0; i < words.count; i++)
        offer(line, prefix, words.items[i], NULL);
}

static struct json *ask(struct client *client, const char *path_text)
{
    CLEANUP(client_path_done) struct client_path path = {};
    struct json *answer = NULL;
    struct error ignored;

    client_path_begin(&path, "%s", path_text);
    return client_call(client, "GET", &path, NULL, &answer, &ignored) < 0 ? NULL : answer;
}

static bool is_one_of(const char *word, const char *words)
{
    CLEANUP(strv_done) struct strv list = {};

    strv_split(&list, words, ' ');
    return word && strv_contains(&list, word);
}

static void offer_containers(const struct line *line, const char *prefix, const char *statuses,
                             const char *suffix, struct client *client)
{
    CLEANUP(json_free) struct json *list = ask(client, "/containers/json?all=1");

    for (size_t i = 0; i < json_count(list); i++) {
        const struct json *container = json_at(list, i);
        const char *name = json_text(json_at(json_get(container, "Names"), 0));

        if (!name || (statuses && !is_one_of(json_text(json_get(container, "State")), statuses)))
            continue;
        CLEANUP(free) char *shown = xasprintf("%s%s", name + (*name == '/'), suffix);
        offer(line, prefix, shown, json_text(json_get(container, "Status")));
    }
}

static void offer_images(const struct line *line, const char *prefix, struct client *client)
{
    CLEANUP(json_free) struct json *list = ask(client, "/images/json");

    for (size_t i = 0; i < json_count(list); i++) {
        const struct json *tags = json_get(json_at(list, i), "RepoTags");

        for (size_t t = 0; t < json_count(tags); t++) {
            const char *tag = json_text(json_at(tags, t));

            offer(line, prefix, tag, NULL);
            if (text_ends(tag, ":latest")) {
                CLEANUP(free) char *name = xstrndup(tag, strlen(tag) - strlen(":latest"));

                offer(line, prefix, name, NULL);
            }
        }
    }
}

static void offer_networks(const struct line *line, const char *prefix, struct client *client)
{
    CLEANUP(json_free) struct json *list = ask(client, "/networks");

    for (size_t i = 0; i < json_count(list); i++)
        offer(line, prefix, json_text(json_get(json_at(list, i), "Name")) ?: "",
              json_text(json_get(json_at(list, i), "Driver")));
}

static void offer_volumes(const struct line *line, const char *prefix, struct client *client)
{
    CLEANUP(json_free) struct json *answer = ask(client, "/volumes");
    const struct json *list = json_get(answer, "Volumes");

    for (size_t i = 0; i < json_count(list); i++)
        offer(line, prefix, json_text(json_get(json_at(list, i), "Name")) ?: "", NULL);
}

static void offer_contexts(const struct line *line, const char *prefix)
{
    CLEANUP(strv_done) struct strv names = {};
    struct error ignored;

    context_list(&names, &ignored);
    offer(line, prefix, DEFAULT_CONTEXT, NULL);
    for (size_t i = 0; i < names.count; i++)
        offer(line, prefix, names.items[i], NULL);
}

static void offer_live(const struct line *line, const char *prefix, const struct wish *wish)
{
    CLEANUP(client_close) struct client *client = NULL;
    bool is_copy = line->command && strcmp(line->command->name, "cp") == 0;
    struct error ignored = {};

    alarm(ANSWER_LIMIT_S); /* ends the program: no candidates then */
    if (settings_connect(&client, &ignored) < 0)
        return;
    if (wish->thing == CONTAINERS || wish->thing == OBJECTS)
        offer_containers(line, prefix, wish->words, is_copy ? ":" : "", client);
    if (wish->thing == IMAGES || (wish->thing == OBJECTS && !is_copy))
        offer_images(line, prefix, client);
    if (wish->thing == NETWORKS || (wish->thing == OBJECTS && !is_copy))
        offer_networks(line, prefix, client);
    if (wish->thing == VOLUMES || (wish->thing == OBJECTS && !is_copy))
        offer_volumes(line, prefix, client);
}

static void fulfil(const struct line *line, const char *prefix, const struct wish *wish)
{
    struct error ignored = {};

    if (global_options_load(&line->global, &ignored) < 0)
        return;
    switch (wish->thing) {
    case THING_NONE:
        break;
    case FILES:
        puts(":files");
        break;
    case WORDS:
        offer_words(line, prefix, wish->words);
        break;
    case CONTEXTS:
        offer_contexts(line, prefix);
        break;
    default:
        offer_live(line, prefix, wish);
    }
}

static void offer_options(const struct line *line)
{
    for (const struct option_row *row = line->rows; row && row->name; row++) {
        CLEANUP(free) char *name = xasprintf("--%s", row->name);

        if (!row->is_hidden && row->type != OPTION_UNSUPPORTED &&
            row->type != OPTION_UNSUPPORTED_FLAG)
            offer(line, "", name, row->help);
    }
    offer(line, "", "--help", "Show what there is");
}

static void offer_commands(const struct line *line)
{
    for (const struct command *const *at = line->list; *at; at++)
        if (!(*at)->is_hidden)
            offer(line, "", (*at)->name, (*at)->summary);
}

static void offer_plugins(const struct line *line)
{
    CLEANUP(plugin_list_done) struct plugin_list plugins = {};
    struct error ignored;

    if (global_options_load(&line->global, &ignored) < 0)
        return;
    alarm(ANSWER_LIMIT_S);
    plugin_list(&plugins);
    for (size_t i = 0; i < plugins.count; i++)
        if (!plugins.items[i].problem)
            offer(line, "", plugins.items[i].name, plugins.items[i].summary);
}

/* What a plugin offers for its own words. Cobra's bit 4 says that files are none of it. */
static void offer_of_plugin(const struct line *line, const struct strv *words)
{
    CLEANUP(str_done) struct str text = {};
    CLEANUP(strv_done) struct strv rows = {};
    struct error ignored;
    int64_t bits;

    if (global_options_load(&line->global, &ignored) < 0)
        return;
    alarm(ANSWER_LIMIT_S);
    plugin_complete(words, &text);
    strv_split(&rows, str_text(&text), '\n');
    for (size_t i = 0; i < rows.count; i++) {
        const char *row = rows.items[i];

        if (*row == ':' && parse_int64(row + 1, 0, INT32_MAX, &bits, &ignored) == 0 && !(bits & 4))
            puts(":files");
        else if (*row && *row != ':')
            puts(row);
    }
}

/* ---- the walk ---- */

/* The value of a global option counts for whom we ask. */
static void note_global(struct line *line, const struct option_row *row, const char *value)
{
    if (line->rows != global_rows || row->type == OPTION_BOOL)
        return;
    void *at = (char *)&line->global + row->offset;
    if (row->type == OPTION_LIST)
        strv_add(at, value);
    else
        *(const char **)at = value;
}

static void walk_option(struct line *line, const char *word)
{
    const struct option_row *row = NULL;
    const char *value = NULL;

    if (word[1] == '-') {
        const char *equals = strchr(word, '=');

        value = equals ? equals + 1 : NULL;
        row = option_of_name(line->rows, word + 2,
                             equals ? (size_t)(equals - word) - 2 : strlen(word + 2));
    } else {
        for (const char *letter = word + 1; *letter; letter++) {
            row = option_of_letter(line->rows, *letter);
            if (row && option_takes_value(row)) {
                value = letter[1] ? letter + 1 : NULL;
                break;
            }
        }
    }
    if (!row || !option_takes_value(row))
        return;
    if (value)
        note_global(line, row, value);
    else
        line->awaited = row;
}

static void walk_positional(struct line *line, const char *word)
{
    static const struct option_row none[] = { {} };

    if (!line->list) {
        line->positional_count++;
        line->is_past_options |= line->command && line->command->stops_early;
        return;
    }
    const struct command *found = command_find(line->list, word);
    if (!found) {
        line->list = NULL; /* nothing is known from here on */
        line->command = NULL;
        line->rows = none;
        line->is_past_options = true;
        return;
    }
    line->parent = line->command ? line->command->name : "";
    line->command = found;
    line->list = found->children;
    line->rows = found->options ? found->options : none;
}

static void walk(struct line *line, const char *word)
{
    if (line->awaited) {
        note_global(line, line->awaited, word);
        line->awaited = NULL;
    } else if (strcmp(word, "--") == 0) {
        line->is_past_options = true;
    } else if (*word == '-' && word[1] && !line->is_past_options) {
        walk_option(line, word);
    } else {
        walk_positional(line, word);
    }
}

static void answer(struct line *line)
{
    const char *equals = strchr(line->current, '=');

    if (line->awaited) {
        struct wish wish = option_wish(line, line->awaited);

        fulfil(line, "", &wish);
    } else if (*line->current == '-' && !line->is_past_options && equals) {
        CLEANUP(free) char *prefix = xstrndup(line->current, (size_t)(equals + 1 - line->current));
        const struct option_row *row =
            text_starts(prefix, "--") ? option_of_name(line->rows, prefix + 2, strlen(prefix) - 3)
                                      : NULL;
        struct wish wish = row ? option_wish(line, row) : (struct wish){};

        fulfil(line, prefix, &wish);
    } else if (*line->current == '-' && !line->is_past_options) {
        offer_options(line);
    } else if (line->list) {
        offer_commands(line);
        if (line->list == commands)
            offer_plugins(line);
    } else if (line->command) {
        struct wish wish = argument_wish(line);

        fulfil(line, "", &wish);
        if (strcmp(line->command->name, "cp") == 0 && strpbrk(line->current, "/."))
            puts(":files");
    }
}

static int complete(struct cli *cli UNUSED, const void *options UNUSED,
                    const struct strv *arguments, struct error *err UNUSED)
{
    struct line line = { .list = commands, .parent = "", .rows = global_rows };

    CLEANUP(strv_done) struct strv foreign = {}; /* no command of ours, and what follows it */

    for (size_t i = 0; i + 1 < arguments->count; i++) {
        walk(&line, arguments->items[i]);
        if (!line.list && !line.command)
            strv_add(&foreign, arguments->items[i]);
    }
    line.current = arguments->count ? arguments->items[arguments->count - 1] : "";
    if (foreign.count) {
        strv_add(&foreign, line.current);
        offer_of_plugin(&line, &foreign);
    } else {
        answer(&line);
    }
    strv_done(&line.global.hosts);
    return 0;
}

const struct command command_complete = {
    .name = "__complete",
    .usage = "-- [WORD...]",
    .summary = "Say what can stand at the end of a command line",
    .most = MANY_ARGUMENTS,
    .is_local = true,
    .is_hidden = true,
    .run = complete,
};
