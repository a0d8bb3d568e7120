/* Flags, in the form that dockerd takes them: --flag value, --flag=value, -f value, -fvalue. */
#include "programs/daemon_options.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "codec/sha256.h"
#include "spec/container.h"

#include "base/banned.h"

struct flags {
    char **rest; /* arguments not read yet, NULL at the end */
    bool given[DAEMON_SETTING_LIMIT];
    struct daemon_options *options;
};

static bool is_switch(const struct setting *setting)
{
    return setting->kind == SETTING_SWITCH || setting->kind == SETTING_FIXED;
}

static const struct setting *find_flag(const char *name, size_t length)
{
    for (const struct setting *setting = daemon_settings; setting->flag; setting++)
        if (strlen(setting->flag) == length && strncmp(setting->flag, name, length) == 0)
            return setting;
    return NULL;
}

static const struct setting *find_letter(char letter)
{
    for (const struct setting *setting = daemon_settings; setting->flag; setting++)
        if (setting->letter && setting->letter == letter)
            return setting;
    return NULL;
}

/* 'value' NULL: the next argument is it, unless the flag is a switch. */
static int apply(struct flags *flags, const struct setting *setting, const char *value,
                 struct error *err)
{
    if (!value && is_switch(setting))
        value = "true";
    if (!value)
        value = *flags->rest ? *flags->rest++ : NULL;
    if (!value)
        return error_set(err, ERROR_INVALID, "flag needs an argument: --%s", setting->flag);
    flags->given[setting - daemon_settings] = true;
    if (setting_set(setting, value, flags->options, err) < 0)
        return error_context(err, "--%s", setting->flag);
    return 0;
}

static int read_long(struct flags *flags, const char *text, struct error *err)
{
    size_t length = strcspn(text, "=");
    const struct setting *setting = find_flag(text, length);

    if (!setting)
        return error_set(err, ERROR_INVALID, "unknown flag: --%.*s", (int)MIN(length, 200), text);
    return apply(flags, setting, text[length] ? text + length + 1 : NULL, err);
}

static int read_letters(struct flags *flags, const char *text, struct error *err)
{
    for (; *text; text++) {
        const struct setting *setting = find_letter(*text);

        if (!setting)
            return error_set(err, ERROR_INVALID, "unknown shorthand flag: '%c'", *text);
        if (text[1] == '=')
            return apply(flags, setting, text + 2, err);
        if (!is_switch(setting))
            return apply(flags, setting, text[1] ? text + 1 : NULL, err);
        if (apply(flags, setting, NULL, err) < 0)
            return -1;
    }
    return 0;
}

static int read_flags(struct flags *flags, struct error *err)
{
    while (*flags->rest) {
        const char *text = *flags->rest++;
        int result;

        if (text_starts(text, "--") && text[2])
            result = read_long(flags, text + 2, err);
        else if (text[0] == '-' && text[1] && text[1] != '-')
            result = read_letters(flags, text + 1, err);
        else
            result = error_set(err, ERROR_INVALID, "berthd takes no arguments: %s", text);
        if (result < 0)
            return -1;
    }
    return 0;
}

/* ---- defaults ---- */

static void set_default(char **text, const char *value)
{
    if (text_is_empty(*text)) {
        free(*text);
        *text = xstrdup(value);
    }
}

/* A program of ours: beside this one, or where a package puts it. NULL if there is none. */
static char *find_program(const char *name)
{
    char self[512] = "";
    ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);
    char *slash = length > 0 ? strrchr(self, '/') : NULL;

    if (slash) {
        *slash = 0;
        char *beside = path_join(self, name);
        if (file_exists(beside))
            return beside;
        free(beside);
    }
    char *packaged = path_join("/usr/libexec/berth", name);
    if (file_exists(packaged))
        return packaged;
    free(packaged);
    return NULL;
}

static void make_absolute(char **path)
{
    char *absolute = path_absolute(*path);

    free(*path);
    *path = absolute;
}

/* Engines share a host's names of bridges and tables: each but the default one gets a part of its
 * own, the same every time. */
static void set_engine_id(struct daemon_options *options)
{
    char digest[DIGEST_SIZE];

    if (options->engine_id)
        return;
    if (strcmp(options->data_root, DEFAULT_DATA_ROOT) == 0) {
        options->engine_id = xstrdup("");
        return;
    }
    sha256_digest(options->data_root, strlen(options->data_root), digest);
    options->engine_id = xstrndup(digest + strlen("sha256:"), 8);
}

static void set_defaults(struct daemon_options *options)
{
    set_default(&options->data_root, DEFAULT_DATA_ROOT);
    set_default(&options->exec_root, DEFAULT_EXEC_ROOT);
    make_absolute(&options->data_root);
    make_absolute(&options->exec_root);
    if (text_is_empty(options->pid_path)) {
        free(options->pid_path);
        options->pid_path = path_join(options->exec_root, "berth.pid");
    }
    if (options->hosts.count == 0)
        strv_add_format(&options->hosts, "unix://%s/berth.sock", options->exec_root);
    if (!options->shim_path)
        options->shim_path = find_program("berth-shim");
    if (!options->init_path)
        options->init_path = find_program("berth-init");
    if (!options->cdi_paths.count) {
        strv_add(&options->cdi_paths, "/etc/cdi");
        strv_add(&options->cdi_paths, "/var/run/cdi");
    }
    if (!options->plugin_paths.count) {
        strv_add_format(&options->plugin_paths, "%s/plugins", options->exec_root);
        strv_add(&options->plugin_paths, "/run/docker/plugins");
        strv_add(&options->plugin_paths, "/etc/docker/plugins");
        strv_add(&options->plugin_paths, "/usr/lib/docker/plugins");
    }
    if (!options->logger_path)
        options->logger_path = find_program("berth-log");
    set_default(&options->log_driver, "json-file");
    set_default(&options->log_level, "info");
    set_default(&options->log_format, "text");
    set_engine_id(options);
    options->tls = options->tls || options->tls_verify;
}

/* The default must be one that there is. */
static int check_runtimes(const struct daemon_options *options, struct error *err)
{
    const char *wish = options->default_runtime;
    bool is_known = !wish || strcmp(wish, "berth") == 0 || strcmp(wish, "runc") == 0;

    for (size_t i = 0; i < options->runtimes.count; i++) {
        const struct engine_runtime *runtime = &JSON_ITEMS(&options->runtimes,
                                                           struct engine_runtime)[i];

        is_known |= wish && strcmp(runtime->name, wish) == 0;
        if (runtime->path[0] != '/')
            return error_set(err, ERROR_INVALID, "the path of runtime '%s' is not absolute: %s",
                             runtime->name, runtime->path);
    }
    return is_known ? 0
                    : error_set(err, ERROR_INVALID, "specified default runtime '%s' does not exist",
                                wish);
}

static int check(const struct daemon_options *options, struct error *err)
{
    size_t length = strlen(options->engine_id);

    if (length > 8 || !text_is_hex(options->engine_id, length))
        return error_set(err, ERROR_INVALID, "--engine-id: up to 8 digits of 0-9a-f, not \"%s\"",
                         options->engine_id);
    if (strcmp(options->log_format, "text") != 0 && strcmp(options->log_format, "json") != 0)
        return error_set(err, ERROR_INVALID, "invalid log format: %s", options->log_format);
    if (options->ipc_mode && strcmp(options->ipc_mode, "private") != 0 &&
        strcmp(options->ipc_mode, "shareable") != 0)
        return error_set(err, ERROR_INVALID, "IPC mode \"%s\" is not supported as default value",
                         options->ipc_mode);
    if (options->cgroupns_mode && strcmp(options->cgroupns_mode, "private") != 0 &&
        strcmp(options->cgroupns_mode, "host") != 0)
        return error_set(err, ERROR_INVALID,
                         "invalid default cgroup namespace (%s): use \"host\" "
                         "or \"private\"",
                         options->cgroupns_mode);
    if (options->firewall_mode && strcmp(options->firewall_mode, "docker") != 0 &&
        strcmp(options->firewall_mode, "strict") != 0)
        return error_set(err, ERROR_INVALID, "invalid firewall mode (%s): use docker or strict",
                         options->firewall_mode);
    if (check_runtimes(options, err) < 0)
        return -1;
    if (!options->shim_path)
        return error_set(err, ERROR_NOT_FOUND,
                         "berth-shim is not beside berthd: say where with --shim-path");
    if (options->tls &&
        (text_is_empty(options->tls_cert_path) || text_is_empty(options->tls_key_path)))
        return error_set(err, ERROR_INVALID, "TLS needs --tlscert and --tlskey");
    if (options->tls_verify && text_is_empty(options->tls_ca_path))
        return error_set(err, ERROR_INVALID, "--tlsverify needs --tlscacert");
    return 0;
}

int daemon_options_read(int argc, char **argv, struct daemon_options *out, struct error *err)
{
    CLEANUP(daemon_options_done)
    struct daemon_options options = { .icc = true,
                                      .ip_forward = true,
                                      .ip_masquerade = true,
                                      .shutdown_timeout_s = 15,
                                      .gc_interval_ns = 3600 * NS_PER_S };
    struct flags flags = { .rest = argv + (argc > 0), .options = &options };

    if (read_flags(&flags, err) < 0)
        return -1;
    if (!options.help && !options.version) {
        const char *path = options.config_path ?: DEFAULT_CONFIG_PATH;

        if ((options.config_path || file_exists(path)) &&
            daemon_config_read(path, flags.given, &options, err) < 0)
            return -1;
        set_defaults(&options);
        if (check(&options, err) < 0)
            return -1;
    }
    *out = options;
    options = (struct daemon_options){};
    return 0;
}

void daemon_options_done(struct daemon_options *options)
{
    struct ulimit *ulimits = JSON_ITEMS(&options->default_ulimits, struct ulimit);

    for (const struct setting *setting = daemon_settings; setting->flag; setting++) {
        void *value = (char *)options + setting->offset;

        if (setting->kind == SETTING_TEXT)
            free(*(char **)value);
        else if (setting->kind == SETTING_LIST || setting->kind == SETTING_POOLS)
            strv_done(value);
        else if (setting->kind == SETTING_TEXTS)
            map_done(value);
    }
    for (size_t i = 0; i < options->default_ulimits.count; i++)
        free(ulimits[i].name);
    free(ulimits);
    for (size_t i = 0; i < options->runtimes.count; i++) {
        struct engine_runtime *runtime = &JSON_ITEMS(&options->runtimes, struct engine_runtime)[i];

        free(runtime->name);
        free(runtime->path);
        strv_done(&runtime->arguments);
    }
    free(options->runtimes.items);
    *options = (struct daemon_options){};
}

/* The daemon's own environment has the last word, as it has for other programs. */
static const char *proxy_or(const char *given, const char *upper, const char *lower)
{
    return text_is_empty(given) ? getenv(upper) ?: getenv(lower) : given;
}

void daemon_options_engine(const struct daemon_options *options, struct engine_options *out)
{
    *out = (struct engine_options){
        .data_path = options->data_root,
        .run_path = options->exec_root,
        .shim_path = options->shim_path,
        .init_path = options->init_path,
        .logger_path = options->logger_path,
        .engine_id = options->engine_id,
        .storage_driver = options->storage_driver,
        .bridge_address = options->bridge_address,
        .default_binding = options->default_binding,
        .log_driver = options->log_driver,
        .cgroup_parent = options->cgroup_parent,
        .cgroupns_mode = options->cgroupns_mode,
        .userns_remap = options->userns_remap,
        .ipc_mode = options->ipc_mode,
        .seccomp_path = options->seccomp_path,
        .address_pools = &options->address_pools,
        .labels = &options->labels,
        .insecure_registries = &options->insecure_registries,
        .registry_mirrors = &options->registry_mirrors,
        .registry_certificates = &options->registry_certificates,
        .http_proxy = proxy_or(options->http_proxy, "HTTP_PROXY", "http_proxy"),
        .https_proxy = proxy_or(options->https_proxy, "HTTPS_PROXY", "https_proxy"),
        .no_proxy = proxy_or(options->no_proxy, "NO_PROXY", "no_proxy"),
        .download_limit = (int)options->download_limit,
        .upload_limit = (int)options->upload_limit,
        .download_attempts = (int)options->download_attempts,
        .dns = &options->dns,
        .dns_options = &options->dns_options,
        .dns_search = &options->dns_search,
        .cdi_paths = &options->cdi_paths,
        .plugin_paths = &options->plugin_paths,
        .log_options = &options->log_options,
        .default_ulimits = &options->default_ulimits,
        .runtimes = &options->runtimes,
        .default_runtime = options->default_runtime,
        .mtu = (int)options->mtu,
        .icc = options->icc,
        .ip_forward = options->ip_forward,
        .ip_masquerade = options->ip_masquerade,
        .firewall_strict = text_equal(options->firewall_mode, "strict"),
        .firewall_shared = options->firewall_shared,
        .init = options->init,
        .no_new_privileges = options->no_new_privileges,
        .debug = options->debug,
        .shm_size_bytes = options->shm_size_bytes,
        .collection = { .interval_ns = options->gc_interval_ns,
                        .image_age_ns = options->gc_image_age_ns,
                        .image_bytes = options->gc_image_bytes,
                        .cache_age_ns = options->gc_cache_age_ns,
                        .cache_bytes = options->gc_cache_bytes },
    };
}

void daemon_options_print_help(void)
{
    puts(
        "Usage:  berthd [OPTIONS]\n\nThe daemon of berth: runs containers for Docker's clients.\n\n"
        "Options:");
    for (const struct setting *setting = daemon_settings; setting->flag; setting++)
        if (setting->help) {
            char letter[5] = "    ";

            if (setting->letter)
                snprintf(letter, sizeof(letter), "-%c, ", setting->letter);
            printf("  %s--%-22s %s\n", letter, setting->flag, setting->help);
        }
}
