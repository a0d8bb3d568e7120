/* info: what the engine says of itself, for people. */
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/format.h"
#include "cli/plugin.h"

#include "base/banned.h"

struct info_options {
    const char *format;
};

static const struct option_row rows[] = {
    { 'f', "format", OPTION_TEXT, offsetof(struct info_options, format), "json or a Go template" },
    {},
};

/* ---- one line, or a few, of a value ---- */

static void print_plain(const char *label, const struct json *value)
{
    if (json_type(value) == JSON_INTEGER)
        printf(" %s: %lld\n", label, (long long)json_to_int64(value));
    else if (json_type(value) == JSON_TRUE || json_type(value) == JSON_FALSE)
        printf(" %s: %s\n", label, json_type(value) == JSON_TRUE ? "true" : "false");
    else if (!text_is_empty(json_text(value)))
        printf(" %s: %s\n", label, json_text(value));
}

static void print_size(const char *label, const struct json *value)
{
    CLEANUP(free) char *size = text_human_size_binary(json_to_int64(value));

    printf(" %s: %s\n", label, size);
}

/* [["name", "value"], …] */
static void print_pairs(const char *label UNUSED, const struct json *value)
{
    for (size_t i = 0; i < json_count(value); i++)
        printf("  %s: %s\n", json_text(json_at(json_at(value, i), 0)),
               json_text(json_at(json_at(value, i), 1)));
}

static void print_lines(const char *label, const struct json *value)
{
    if (json_count(value))
        printf(" %s:\n", label);
    for (size_t i = 0; i < json_count(value); i++)
        printf("  %s\n", json_text(json_at(value, i)));
}

static char *join_texts(const struct json *list)
{
    CLEANUP(strv_done) struct strv texts = {};

    for (size_t i = 0; i < json_count(list); i++)
        strv_add(&texts, json_text(json_at(list, i)));
    return strv_join(&texts, " ");
}

static void print_plugins(const char *label, const struct json *value)
{
    static const char *const kinds[] = { "Volume", "Network", "Authorization", "Log" };

    printf(" %s:\n", label);
    for (size_t i = 0; i < COUNT(kinds); i++) {
        CLEANUP(free) char *names = join_texts(json_get(value, kinds[i]));

        if (*names)
            printf("  %s: %s\n", kinds[i], names);
    }
}

static void print_swarm(const char *label, const struct json *value)
{
    printf(" %s: %s\n", label, json_text(json_get(value, "LocalNodeState")));
}

static void print_keys(const char *label, const struct json *value)
{
    CLEANUP(strv_done) struct strv keys = {};

    for (size_t i = 0; i < json_count(value); i++)
        strv_add(&keys, json_key_at(value, i));
    CLEANUP(free) char *joined = strv_join(&keys, " ");
    printf(" %s: %s\n", label, joined);
}

/* "name=seccomp,profile=builtin" becomes "seccomp" and a line per further part. */
static void print_security(const char *label, const struct json *value)
{
    if (json_count(value))
        printf(" %s:\n", label);
    for (size_t i = 0; i < json_count(value); i++) {
        CLEANUP(strv_done) struct strv parts = {};

        strv_split(&parts, json_text(json_at(value, i)), ',');
        for (size_t p = 0; p < parts.count; p++) {
            const char *equals = strchr(parts.items[p], '=');

            if (equals && text_starts(parts.items[p], "name="))
                printf("  %s\n", equals + 1);
            else if (equals && text_starts(parts.items[p], "profile="))
                printf("   Profile: %s\n", equals + 1);
            else
                printf("   %s\n", parts.items[p]);
        }
    }
}

static void print_registries(const char *label, const struct json *value)
{
    const struct json *configs = json_get(value, "IndexConfigs");

    printf(" %s:\n", label);
    for (size_t i = 0; i < json_count(configs); i++)
        if (json_type(json_get(json_at(configs, i), "Secure")) == JSON_FALSE)
            printf("  %s\n", json_key_at(configs, i));
    const struct json *networks = json_get(value, "InsecureRegistryCIDRs");
    for (size_t i = 0; i < json_count(networks); i++)
        printf("  %s\n", json_text(json_at(networks, i)));
    const struct json *mirrors = json_get(value, "Mirrors");
    if (json_count(mirrors))
        print_lines("Registry Mirrors", mirrors);
}

/* The commands that other programs bring along. */
static void print_commands(void)
{
    CLEANUP(plugin_list_done) struct plugin_list plugins = {};

    plugin_list(&plugins);
    if (plugins.count)
        printf(" Plugins:\n");
    for (size_t i = 0; i < plugins.count; i++) {
        const struct plugin *plugin = &plugins.items[i];

        if (plugin->problem)
            printf("  %s: cannot be used: %s\n", plugin->name, plugin->problem);
        else
            printf("  %s: %s (%s)\n", plugin->name, plugin->summary, plugin->vendor);
        if (!text_is_empty(plugin->version))
            printf("    Version:  %s\n", plugin->version);
        printf("    Path:     %s\n", plugin->path);
    }
}

/* clang-format off */
static const struct {
    const char *label, *key;
    void (*print)(const char *label, const struct json *value);
} lines[] = {
    { "Containers",           "Containers",         print_plain      },
    { " Running",             "ContainersRunning",  print_plain      },
    { " Paused",              "ContainersPaused",   print_plain      },
    { " Stopped",             "ContainersStopped",  print_plain      },
    { "Images",               "Images",             print_plain      },
    { "Server Version",       "ServerVersion",      print_plain      },
    { "Storage Driver",       "Driver",             print_plain      },
    { "",                     "DriverStatus",       print_pairs      },
    { "Logging Driver",       "LoggingDriver",      print_plain      },
    { "Cgroup Driver",        "CgroupDriver",       print_plain      },
    { "Cgroup Version",       "CgroupVersion",      print_plain      },
    { "Plugins",              "Plugins",            print_plugins    },
    { "CDI spec directories", "CDISpecDirs",        print_lines      },
    { "Swarm",                "Swarm",              print_swarm      },
    { "Runtimes",             "Runtimes",           print_keys       },
    { "Default Runtime",      "DefaultRuntime",     print_plain      },
    { "Init Binary",          "InitBinary",         print_plain      },
    { "Security Options",     "SecurityOptions",    print_security   },
    { "Kernel Version",       "KernelVersion",      print_plain      },
    { "Operating System",     "OperatingSystem",    print_plain      },
    { "OSType",               "OSType",             print_plain      },
    { "Architecture",         "Architecture",       print_plain      },
    { "CPUs",                 "NCPU",               print_plain      },
    { "Total Memory",         "MemTotal",           print_size       },
    { "Name",                 "Name",               print_plain      },
    { "ID",                   "ID",                 print_plain      },
    { "Docker Root Dir",      "DockerRootDir",      print_plain      },
    { "Debug Mode",           "Debug",              print_plain      },
    { "HTTP Proxy",           "HttpProxy",          print_plain      },
    { "HTTPS Proxy",          "HttpsProxy",         print_plain      },
    { "No Proxy",             "NoProxy",            print_plain      },
    { "Labels",               "Labels",             print_lines      },
    { "Experimental",         "ExperimentalBuild",  print_plain      },
    { "Insecure Registries",  "RegistryConfig",     print_registries },
    { "Live Restore Enabled", "LiveRestoreEnabled", print_plain      },
};
/* clang-format on */

static int info(struct cli *cli, const void *parsed, const struct strv *arguments UNUSED,
                struct error *err)
{
    const struct info_options *options = parsed;
    CLEANUP(client_path_done) struct client_path path = {};
    CLEANUP(json_free) struct json *answer = NULL;

    client_path_begin(&path, "/info");
    int result = client_call(cli->client, "GET", &path, NULL, &answer, err);
    if (options->format)
        return result < 0 ? -1 : format_document(options->format, answer, err);
    printf("Client: berth\n Version:    %s\n", BERTH_VERSION);
    print_commands();
    printf("\nServer:\n");
    fflush(stdout);
    if (result < 0)
        return -1;
    for (size_t i = 0; i < COUNT(lines); i++)
        lines[i].print(lines[i].label, json_get(answer, lines[i].key));
    fflush(stdout);
    const struct json *warnings = json_get(answer, "Warnings");
    for (size_t i = 0; i < json_count(warnings); i++)
        fprintf(stderr, "%s\n", json_text(json_at(warnings, i)));
    return 0;
}

const struct command command_info = {
    .name = "info",
    .usage = "[OPTIONS]",
    .summary = "Show what the engine says of itself",
    .options = rows,
    .options_size = sizeof(struct info_options),
    .run = info,
};
