/* Instructions that only change the configuration, one function each. */
#include "build/config.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "build/expand.h"
#include "build/golang.h"
#include "build/healthcheck.h"
#include "build/heredoc.h"
#include "build/port.h"

#include "base/banned.h"

void config_change_done(struct config_change *change)
{
    str_done(&change->comment);
    str_done(&change->note);
}

int config_expand(const struct instruction *instruction, const struct strv *environment,
                  char escape, struct strv *out, struct error *err)
{
    const struct expander expander = { escape, 0, environment };
    const struct strv *arguments = &instruction->arguments;

    for (size_t i = 0; i < arguments->count; i++) {
        CLEANUP(str_done) struct str word = {};

        switch (instruction->kind->expansion) {
        case EXPAND_NOTHING:
            strv_add(out, arguments->items[i]);
            break;
        case EXPAND_EACH:
            if (expand_word(&expander, arguments->items[i], &word, err) < 0)
                return -1;
            strv_add(out, str_text(&word));
            break;
        case EXPAND_SPLIT:
            if (expand_words(&expander, arguments->items[i], out, err) < 0)
                return -1;
            break;
        }
    }
    return 0;
}

void config_shell(const struct container_config *config, struct strv *out)
{
    if (config->shell.count > 0) {
        strv_add_all(out, &config->shell);
        return;
    }
    strv_add(out, "/bin/sh");
    strv_add(out, "-c");
}

void config_command(const struct container_config *config, const struct instruction *instruction,
                    struct strv *out)
{
    const struct heredoc *script = heredoc_script(instruction);
    CLEANUP(str_done) struct str text = {};

    strv_init_empty(out);
    if (script && heredoc_has_interpreter(script)) {
        strv_add_format(out, "%s/%s", SCRIPT_DIRECTORY, script->name);
        return;
    }
    if (!instruction->is_json)
        config_shell(config, out);
    if (instruction->heredoc_count == 0) {
        strv_add_all(out, &instruction->arguments);
        return;
    }
    if (script)
        str_add(&text, script->content);
    else
        heredoc_add_all(instruction, instruction->arguments.items[0], &text);
    strv_add(out, str_text(&text));
}

char *config_path(const struct container_config *config, const char *path)
{
    if (path[0] == '/')
        return path_clean(path);

    CLEANUP(free)
    char *joined = xasprintf("/%s/%s", config->working_dir ? config->working_dir : "", path);
    return path_clean(joined);
}

static void replace_text(char **field, const char *value)
{
    free(*field);
    *field = xstrdup(value);
}

int config_apply_cmd(struct config_change *change, struct error *err UNUSED)
{
    struct container_config *config = change->config;
    struct strv command;

    config_command(config, change->instruction, &command);
    strv_done(&config->cmd);
    config->cmd = command;
    str_add(&change->comment, "CMD ");
    go_add_quoted_list(&change->comment, &config->cmd);
    if (change->instruction->arguments.count > 0)
        *change->is_cmd_set = true;
    return 0;
}

int config_apply_entrypoint(struct config_change *change, struct error *err UNUSED)
{
    struct container_config *config = change->config;
    struct strv command;

    config_command(config, change->instruction, &command);
    strv_done(&config->entrypoint);
    config->entrypoint = command;
    if (!*change->is_cmd_set)
        strv_done(&config->cmd);
    str_add(&change->comment, "ENTRYPOINT ");
    go_add_quoted_list(&change->comment, &config->entrypoint);
    return 0;
}

int config_apply_env(struct config_change *change, struct error *err)
{
    const struct strv *pairs = change->arguments;

    str_add(&change->comment, "ENV");
    for (size_t i = 0; i + 1 < pairs->count; i += 2) {
        if (*pairs->items[i] == 0)
            return error_set(err, ERROR_INVALID, "ENV names can not be blank");
        str_add_format(&change->comment, " %s=%s", pairs->items[i], pairs->items[i + 1]);
        strv_env_set(&change->config->env, pairs->items[i], pairs->items[i + 1]);
    }
    return 0;
}

int config_apply_label(struct config_change *change, struct error *err)
{
    const struct strv *pairs = change->arguments;

    str_add(&change->comment, "LABEL");
    for (size_t i = 0; i + 1 < pairs->count; i += 2) {
        if (*pairs->items[i] == 0)
            return error_set(err, ERROR_INVALID, "LABEL names can not be blank");
        str_add_format(&change->comment, " %s=%s", pairs->items[i], pairs->items[i + 1]);
        map_set_text(&change->config->labels, pairs->items[i], pairs->items[i + 1]);
    }
    return 0;
}

int config_apply_maintainer(struct config_change *change, struct error *err UNUSED)
{
    replace_text(change->author, change->arguments->items[0]);
    str_add_format(&change->comment, "MAINTAINER %s", change->arguments->items[0]);
    return 0;
}

static void set_add(struct strv *set, const char *item)
{
    if (!strv_contains(set, item))
        strv_add(set, item);
    strv_sort(set);
}

int config_apply_expose(struct config_change *change, struct error *err)
{
    CLEANUP(strv_done) struct strv written = {}, ports = {};

    strv_add_all(&written, change->arguments);
    strv_sort(&written);
    for (size_t i = 0; i < written.count; i++)
        if (port_read(written.items[i], &ports, err) < 0)
            return -1;
    for (size_t i = 0; i < ports.count; i++)
        if (!strv_contains(&change->config->exposed_ports, ports.items[i]))
            strv_add(&change->config->exposed_ports, ports.items[i]);
    strv_sort(&change->config->exposed_ports);

    CLEANUP(free) char *joined = strv_join(&written, " ");
    str_add_format(&change->comment, "EXPOSE %s", joined);
    return 0;
}

int config_apply_healthcheck(struct config_change *change, struct error *err)
{
    struct health_config **current = &change->config->healthcheck, *old = *current, health = {};

    if (healthcheck_read(change->instruction, &health, err) < 0)
        return -1;
    str_add(&change->comment, "HEALTHCHECK &{");
    go_add_list(&change->comment, &health.test);
    for (size_t i = 0; i < 4; i++) {
        str_add_char(&change->comment, ' ');
        go_add_duration(&change->comment, i == 0   ? health.interval_ns
                                          : i == 1 ? health.timeout_ns
                                          : i == 2 ? health.start_period_ns
                                                   : health.start_interval_ns);
    }
    str_add_format(&change->comment, " %lld}", (long long)health.retries);

    /* As BuildKit does; the classic builder keeps what the new check leaves open. */
    bool is_none = strcmp(health.test.items[0], "NONE") == 0;
    if (old && !is_none && old->test.count > 0 && strcmp(old->test.items[0], "NONE") != 0) {
        str_add(&change->note, "Note: overriding previous HEALTHCHECK: ");
        go_add_list(&change->note, &old->test);
        str_add_char(&change->note, '\n');
    }
    if (!old)
        *current = NEW(struct health_config);
    else
        strv_done(&old->test);
    **current = health;
    return 0;
}

int config_apply_onbuild(struct config_change *change, struct error *err UNUSED)
{
    CLEANUP(str_done) struct str trigger = {};

    heredoc_add_all(change->instruction, change->arguments->items[1], &trigger);
    strv_add(&change->config->on_build, str_text(&trigger));
    str_add_format(&change->comment, "ONBUILD %s", str_text(&trigger));
    return 0;
}

int config_apply_shell(struct config_change *change, struct error *err UNUSED)
{
    strv_done(&change->config->shell);
    strv_copy(&change->config->shell, change->arguments);
    str_add(&change->comment, "SHELL ");
    go_add_list(&change->comment, change->arguments);
    return 0;
}

static bool is_signal(const char *text)
{
    static const char *const names[] = { "ABRT",   "ALRM",   "BUS",  "CHLD", "CLD",   "CONT",
                                         "FPE",    "HUP",    "ILL",  "INT",  "IO",    "IOT",
                                         "KILL",   "PIPE",   "POLL", "PROF", "PWR",   "QUIT",
                                         "SEGV",   "STKFLT", "STOP", "SYS",  "TERM",  "TRAP",
                                         "TSTP",   "TTIN",   "TTOU", "URG",  "USR1",  "USR2",
                                         "VTALRM", "WINCH",  "XCPU", "XFSZ", "RTMIN", "RTMAX" };
    int64_t number;

    if (parse_int64(text, 1, 64, &number, NULL) == 0)
        return true;
    if (strncasecmp(text, "SIG", 3) == 0)
        text += 3;
    for (size_t i = 0; i < COUNT(names); i++)
        if (strcasecmp(names[i], text) == 0)
            return true;
    if (strncasecmp(text, "RTMIN+", 6) == 0)
        return parse_int64(text + 6, 1, 15, &number, NULL) == 0;
    return strncasecmp(text, "RTMAX-", 6) == 0 && parse_int64(text + 6, 1, 14, &number, NULL) == 0;
}

int config_apply_stopsignal(struct config_change *change, struct error *err)
{
    const char *signal = change->arguments->items[0];

    if (!is_signal(signal))
        return error_set(err, ERROR_INVALID, "invalid signal: %s", signal);
    replace_text(&change->config->stop_signal, signal);
    str_add_format(&change->comment, "STOPSIGNAL %s", signal);
    return 0;
}

int config_apply_user(struct config_change *change, struct error *err UNUSED)
{
    replace_text(&change->config->user, change->arguments->items[0]);
    str_add_format(&change->comment, "USER %s", change->arguments->items[0]);
    return 0;
}

int config_apply_volume(struct config_change *change, struct error *err)
{
    for (size_t i = 0; i < change->arguments->count; i++) {
        const char *path = change->arguments->items[i];

        if (path[strspn(path, " \t")] == 0)
            return error_set(err, ERROR_INVALID, "VOLUME specified can not be an empty string");
        set_add(&change->config->volumes, path);
    }
    str_add(&change->comment, "VOLUME ");
    go_add_list(&change->comment, change->arguments);
    return 0;
}

int config_apply_workdir(struct config_change *change, struct error *err)
{
    CLEANUP(free) char *path = NULL;

    if (*change->arguments->items[0] == 0)
        return error_set(err, ERROR_INVALID, "cannot normalize nothing");
    path = config_path(change->config, change->arguments->items[0]);
    replace_text(&change->config->working_dir, path);
    str_add_format(&change->comment, "WORKDIR %s", path);
    return 0;
}
