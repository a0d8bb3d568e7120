/* The options of `build`. */
#include "cli/build_options.h"

#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "cli/build_cache.h"
#include "cli/csv.h"
#include "cli/platform_query.h"

#include "base/banned.h"

/* clang-format off */
#define AT(member) offsetof(struct build_options, member)
const struct option_row build_option_rows[] = {
    { 0,   "add-host",      OPTION_LIST,    AT(add_host),      "Add a line to /etc/hosts (name:ip)" },
    { 0,   "attest",        OPTION_LIST,    AT(attest),        "Attest something of the image (type=provenance,mode=max; type=sbom)" },
    { 0,   "allow",         OPTION_LIST,    AT(allow),         "Let RUN have a privilege (security.insecure)" },
    { 0,   "build-arg",     OPTION_LIST,    AT(build_arg),     "Set a variable of the build" },
    { 0,   "build-context", OPTION_LIST,    AT(build_context), "Further context (name=path, URL or docker-image://image)" },
    { 0,   "cache-from",    OPTION_LIST,    AT(cache_from),    "Take steps of another build as done (image, type=local,src=dir)" },
    { 0,   "cache-to",      OPTION_LIST,    AT(cache_to),      "Put the steps where others find them (type=inline, registry, local)" },
    { 0,   "cgroup-parent", OPTION_TEXT,    AT(cgroup_parent), "Cgroup to make those of RUN in" },
    { 0,   "check",         OPTION_BOOL,    AT(check),         "Only say what is unwise in the Dockerfile" },
    { 0,   "compress",      OPTION_UNSUPPORTED_FLAG, 0, NULL },
    { 0,   "cpu-period",    OPTION_INTEGER, AT(cpu_period),    "Period of the CPU quota, in microseconds" },
    { 0,   "cpu-quota",     OPTION_INTEGER, AT(cpu_quota),     "CPU time per period, in microseconds" },
    { 'c', "cpu-shares",    OPTION_INTEGER, AT(cpu_shares),    "CPU weight against others" },
    { 0,   "cpuset-cpus",   OPTION_TEXT,    AT(cpuset_cpus),   "CPUs that RUN may use" },
    { 0,   "cpuset-mems",   OPTION_TEXT,    AT(cpuset_mems),   "Memory nodes that RUN may use" },
    { 'f', "file",          OPTION_TEXT,    AT(file),          "The Dockerfile (PATH/Dockerfile)" },
    { 0,   "force-rm",      OPTION_BOOL,    AT(force_remove),  "Remove what a step left even if it failed" },
    { 0,   "iidfile",       OPTION_TEXT,    AT(iidfile),       "Write the image's id to this file" },
    { 0,   "isolation",     OPTION_UNSUPPORTED, 0, NULL },
    { 0,   "label",         OPTION_LIST,    AT(label),         "Set a label of the image" },
    { 0,   "load",          OPTION_BOOL,    AT(load),          "Keep the image in the engine, besides other outputs" },
    { 'm', "memory",        OPTION_BYTES,   AT(memory),        "Memory limit of RUN" },
    { 0,   "memory-swap",   OPTION_BYTES,   AT(memory_swap),   "Limit of memory and swap together" },
    { 0,   "metadata-file", OPTION_TEXT,    AT(metadata_file), "Write what the build resulted in to this file" },
    { 0,   "network",       OPTION_TEXT,    AT(network),       "Network of RUN" },
    { 0,   "no-cache",      OPTION_BOOL,    AT(no_cache),      "Do every step anew" },
    { 0,   "no-cache-filter", OPTION_LIST,  AT(no_cache_filter), "Do the steps of these stages anew" },
    { 'o', "output",        OPTION_LIST,    AT(output),        "Where the result goes (type=local,dest=path; tar, oci, docker, image)" },
    { 0,   "platform",      OPTION_TEXT,    AT(platform),      "Platform of the image" },
    { 0,   "progress",      OPTION_TEXT,    AT(progress),      "How to show what happens (auto, tty, plain, quiet, rawjson)" },
    { 0,   "pull",          OPTION_BOOL,    AT(pull),          "Fetch base images even if they are here" },
    { 0,   "push",          OPTION_BOOL,    AT(push),          "Push the image under all its names" },
    { 0,   "provenance",    OPTION_TEXT,    AT(provenance),    "Attest where the image comes from (true, false, mode=min, mode=max)" },
    { 'q', "quiet",         OPTION_BOOL,    AT(quiet),         "Print the image's id only" },
    { 0,   "rm",            OPTION_BOOL,    AT(remove),        "Remove what steps left", .initially_true = true },
    { 0,   "sbom",          OPTION_TEXT,    AT(sbom),          "Attest which packages are in the image (true, false)" },
    { 0,   "secret",        OPTION_LIST,    AT(secret),        "Let steps read a secret (id=name,src=file or id=name,env=NAME)" },
    { 0,   "security-opt",  OPTION_UNSUPPORTED, 0, NULL },
    { 0,   "shm-size",      OPTION_BYTES,   AT(shm_size),      "Size of /dev/shm for RUN" },
    { 0,   "squash",        OPTION_UNSUPPORTED_FLAG, 0, NULL },
    { 0,   "ssh",           OPTION_LIST,    AT(ssh),           "Let steps talk to an SSH agent (default or id=socket)" },
    { 't', "tag",           OPTION_LIST,    AT(tag),           "Name of the image" },
    { 0,   "target",        OPTION_TEXT,    AT(target),        "Stage to build" },
    { 0,   "ulimit",        OPTION_UNSUPPORTED, 0, NULL },
    { 0,   "verify",        OPTION_BOOL,    AT(verify),        "Build twice and see whether the results are the same" },
    {},
};
/* clang-format on */

/* "type=provenance,mode=max" as the engine has it: the type, and the rest. */
static int add_attestation(const char *text, struct strv *out, struct error *err)
{
    CLEANUP(strv_done) struct strv fields = {}, rest = {};
    const char *type = NULL;

    if (csv_split(text, &fields, err) < 0)
        return -1;
    for (size_t i = 0; i < fields.count; i++)
        if (text_starts(fields.items[i], "type="))
            type = fields.items[i] + strlen("type=");
        else
            strv_add(&rest, fields.items[i]);
    if (!type || (strcmp(type, "provenance") != 0 && strcmp(type, "sbom") != 0))
        return error_set(err, ERROR_INVALID,
                         "invalid attestation %s: type=provenance or type=sbom is needed", text);
    CLEANUP(free) char *settings = strv_join(&rest, ",");
    strv_add_format(out, "%s=%s", type, settings);
    return 0;
}

int build_options_attestations(const struct build_options *options, struct strv *out,
                               struct error *err)
{
    for (size_t i = 0; i < options->attest.count; i++)
        if (add_attestation(options->attest.items[i], out, err) < 0)
            return -1;
    if (options->provenance)
        strv_add_format(out, "provenance=%s", options->provenance);
    if (options->sbom)
        strv_add_format(out, "sbom=%s", options->sbom);
    return 0;
}

bool build_options_is_several(const struct build_options *options)
{
    const char *platform = platform_or_default(options->platform);

    return platform && strchr(platform, ',');
}

int build_options_check(const struct build_options *options, struct error *err)
{
    for (size_t i = 0; i < options->cache_to.count; i++) {
        CLEANUP(build_cache_done) struct build_cache cache = {};

        if (build_cache_read(options->cache_to.items[i], true, &cache, err) < 0)
            return -1;
        if (build_options_is_several(options) && !cache.is_max && cache.type != BUILD_CACHE_INLINE)
            return error_set(err, ERROR_UNSUPPORTED,
                             "cache-to %s: mode=min is the image, and there is none for several "
                             "platforms: mode=max keeps the steps of all",
                             cache.place);
    }
    if (options->push && options->tag.count == 0)
        return error_set(err, ERROR_INVALID, "a pushed image needs a name: --tag");
    return 0;
}
