/* What runs in a container, and as whom: the first process and those of execs. */
#include <ctype.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "engine/runtime_config.h"
#include "linux/capability.h"

#include "base/banned.h"

#define DEFAULT_PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

static const char *const default_capabilities[] = {
    "CAP_CHOWN",   "CAP_DAC_OVERRIDE", "CAP_FSETID",           "CAP_FOWNER",
    "CAP_MKNOD",   "CAP_NET_RAW",      "CAP_SETGID",           "CAP_SETUID",
    "CAP_SETFCAP", "CAP_SETPCAP",      "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT",
    "CAP_KILL",    "CAP_AUDIT_WRITE",
};

static char *full_capability_name(const char *name)
{
    char *full = strncasecmp(name, "CAP_", 4) == 0 ? xstrdup(name) : xasprintf("CAP_%s", name);

    for (char *at = full; *at; at++)
        *at = (char)toupper((unsigned char)*at);
    return full;
}

static void all_capabilities(struct strv *out)
{
    for (int i = 0; i <= capability_last(); i++)
        strv_add(out, capability_name(i));
}

static bool names_all(const struct strv *names)
{
    for (size_t i = 0; i < names->count; i++)
        if (strcasecmp(names->items[i], "ALL") == 0 || strcasecmp(names->items[i], "CAP_ALL") == 0)
            return true;
    return false;
}

static void remove_name(struct strv *list, const char *name)
{
    for (size_t i = list->count; i-- > 0;)
        if (strcmp(list->items[i], name) == 0)
            strv_remove(list, i);
}

int container_capabilities(const struct host_config *host, struct strv *out,
                           struct error *err UNUSED)
{
    bool adds_all = names_all(&host->cap_add), drops_all = names_all(&host->cap_drop);

    strv_init_empty(out);
    if (host->privileged || adds_all)
        all_capabilities(out);
    else if (!drops_all)
        for (size_t i = 0; i < COUNT(default_capabilities); i++)
            strv_add(out, default_capabilities[i]);
    if (host->privileged)
        return 0;
    for (size_t i = 0; i < host->cap_drop.count; i++) {
        CLEANUP(free) char *name = full_capability_name(host->cap_drop.items[i]);

        remove_name(out, name);
    }
    for (size_t i = 0; i < host->cap_add.count; i++) {
        CLEANUP(free) char *name = full_capability_name(host->cap_add.items[i]);

        if (capability_number(name) >= 0 && !strv_contains(out, name))
            strv_add(out, name);
    }
    return 0;
}

static void fill_capabilities(const struct host_config *host, struct runtime_process *process)
{
    struct runtime_capabilities *capabilities = NEW(struct runtime_capabilities);

    container_capabilities(host, &capabilities->bounding, NULL);
    strv_copy(&capabilities->effective, &capabilities->bounding);
    strv_copy(&capabilities->permitted, &capabilities->bounding);
    process->capabilities = capabilities;
}

const char *security_option(const struct host_config *host, const char *key)
{
    const char *value = NULL;
    size_t length = strlen(key);

    for (size_t i = 0; i < host->security_opt.count; i++) {
        const char *option = host->security_opt.items[i];

        if (strncmp(option, key, length) == 0 && (option[length] == '=' || option[length] == ':'))
            value = option + length + 1;
        else if (strcmp(option, key) == 0)
            value = "";
    }
    return value;
}

static bool wants_no_new_privileges(const struct engine *engine, const struct host_config *host)
{
    const char *value = security_option(host, "no-new-privileges");
    bool is_wanted = true;

    if (!value)
        return engine->options.no_new_privileges;
    return !*value || (text_parse_bool(value, &is_wanted) && is_wanted);
}

/* Privileged containers are not confined. */
static void fill_apparmor(const struct host_config *host, struct runtime_process *process)
{
    const char *profile = host->privileged ? NULL : security_option(host, "apparmor");

    if (!text_is_empty(profile) && strcmp(profile, "unconfined") != 0)
        process->apparmor_profile = xstrdup(profile);
}

/* Docker's order: PATH, HOSTNAME, TERM, then the configuration's, whose entries replace equal keys.
 */
static void fill_environment(const struct container_info *info, const struct strv *more,
                             bool terminal, struct strv *out)
{
    strv_add(out, DEFAULT_PATH);
    strv_add_format(out, "HOSTNAME=%s", info->config.hostname ? info->config.hostname : "");
    if (terminal)
        strv_add(out, "TERM=xterm");
    strv_env_change(out, &info->config.env);
    if (more)
        strv_env_change(out, more);
}

int process_config_fill(const struct engine *engine, const struct container_info *info,
                        const struct container_spec *spec, struct runtime_process *process,
                        struct error *err)
{
    const struct host_config *host = &info->host_config;

    process->terminal = info->config.tty;
    process->console_height = host->console_size[0];
    process->console_width = host->console_size[1];
    process->user.username = xstrdup(text_is_empty(info->config.user) ? "0" : info->config.user);
    strv_copy(&process->user.additional_groups, &host->group_add);
    if (spec->init_path) {
        strv_add(&process->args, "/sbin/docker-init");
        strv_add(&process->args, "--");
    }
    strv_add(&process->args, info->path);
    strv_add_all(&process->args, &info->args);
    fill_environment(info, NULL, info->config.tty, &process->env);
    process->cwd = xstrdup(text_is_empty(info->config.working_dir) ? "/"
                                                                   : info->config.working_dir);
    fill_capabilities(host, process);
    process->no_new_privileges = wants_no_new_privileges(engine, host);
    fill_apparmor(host, process);
    process->oom_score_adj = (struct optional_int64){ true, host->oom_score_adj };
    for (size_t i = 0; i < host->ulimits.count; i++) {
        const struct ulimit *limit = &JSON_ITEMS(&host->ulimits, struct ulimit)[i];
        struct runtime_rlimit *rlimit = json_list_add(&process->rlimits, sizeof(*rlimit));

        rlimit->type = xasprintf("RLIMIT_%s", limit->name ? limit->name : "");
        for (char *at = rlimit->type; *at; at++)
            *at = (char)toupper((unsigned char)*at);
        rlimit->soft = (uint64_t)limit->soft;
        rlimit->hard = (uint64_t)limit->hard;
    }
    if (!process->args.count)
        return error_set(err, ERROR_INVALID, "no command specified");
    return 0;
}

int exec_runtime_process(const struct engine *engine, const struct container_info *info,
                         const struct exec_config *wish, struct runtime_process *out,
                         struct error *err)
{
    struct runtime_process process = {};

    process.terminal = wish->tty;
    process.console_height = wish->console_size[0];
    process.console_width = wish->console_size[1];
    const char *user = text_is_empty(wish->user) ? info->config.user : wish->user;
    process.user.username = xstrdup(text_is_empty(user) ? "0" : user);
    strv_copy(&process.user.additional_groups, &info->host_config.group_add);
    strv_copy(&process.args, &wish->cmd);
    fill_environment(info, &wish->env, wish->tty, &process.env);
    const char *cwd = text_is_empty(wish->working_dir) ? info->config.working_dir
                                                       : wish->working_dir;
    process.cwd = xstrdup(text_is_empty(cwd) ? "/" : cwd);
    if (wish->privileged) {
        const struct host_config privileged = { .privileged = true };

        fill_capabilities(&privileged, &process);
    } else {
        fill_capabilities(&info->host_config, &process);
    }
    process.no_new_privileges = wants_no_new_privileges(engine, &info->host_config);
    if (!wish->privileged)
        fill_apparmor(&info->host_config, &process);
    process.oom_score_adj = (struct optional_int64){ true, info->host_config.oom_score_adj };
    if (!process.args.count)
        return error_set(err, ERROR_INVALID, "No exec command specified");
    *out = process;
    return 0;
}
