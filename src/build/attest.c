/* A table of the settings. */
#include "build/attest.h"

#include <string.h>

#include "base/memory.h"
#include "base/strv.h"
#include "base/text.h"

#include "base/banned.h"

void build_attest_done(struct build_attest *attest)
{
    free(attest->builder_id);
    free(attest->generator);
    free(attest->vcs_source);
    free(attest->vcs_revision);
    *attest = (struct build_attest){};
}

static int read_switch(const char *name, const char *value, bool *out, struct error *err)
{
    return text_parse_bool(value, out)
               ? 0
               : error_set(err, ERROR_INVALID, "invalid value %s for %s of an attestation", value,
                           name);
}

/* One of two words. */
static int read_choice(const char *name, const char *value, const char *off, const char *on,
                       bool *out, struct error *err)
{
    *out = strcmp(value, on) == 0;
    return *out || strcmp(value, off) == 0
               ? 0
               : error_set(err, ERROR_INVALID, "invalid %s %s of an attestation: %s or %s", name,
                           value, off, on);
}

static int read_provenance_setting(const char *name, const char *value, struct build_attest *out,
                                   struct error *err)
{
    if (strcmp(name, "mode") == 0)
        return read_choice(name, value, "min", "max", &out->is_max, err);
    if (strcmp(name, "version") == 0)
        return read_choice(name, value, "v0.2", "v1", &out->is_v1, err);
    if (strcmp(name, "reproducible") == 0)
        return read_switch(name, value, &out->is_reproducible, err);
    if (strcmp(name, "inline-only") == 0)
        return read_switch(name, value, &out->is_inline_only, err);
    if (strcmp(name, "builder-id") != 0)
        return error_set(err, ERROR_INVALID, "unknown setting %s of the provenance", name);
    free(out->builder_id);
    out->builder_id = xstrdup(value);
    return 0;
}

static int read_setting(bool is_sbom, const char *name, const char *value, bool *is_wanted,
                        struct build_attest *out, struct error *err)
{
    if (strcmp(name, "disabled") == 0) {
        bool is_off;

        if (read_switch(name, value, &is_off, err) < 0)
            return -1;
        *is_wanted = !is_off;
        return 0;
    }
    if (strcmp(name, "type") == 0)
        return 0;
    if (!is_sbom)
        return read_provenance_setting(name, value, out, err);
    if (strcmp(name, "generator") == 0 && *value) {
        free(out->generator);
        out->generator = xstrdup(value);
        return 0;
    }
    return error_set(err, ERROR_INVALID, "unknown setting %s of the SBOM", name);
}

int build_attest_read(const char *type, const char *text, struct build_attest *out,
                      struct error *err)
{
    CLEANUP(strv_done) struct strv settings = {};
    bool is_sbom = strcmp(type, "sbom") == 0, is_wanted = true;

    if (!is_sbom && strcmp(type, "provenance") != 0)
        return error_set(err, ERROR_INVALID, "unknown attestation %s: provenance or sbom", type);
    strv_split(&settings, text, ',');
    for (size_t i = 0; i < settings.count; i++) {
        char *equals = strchr(settings.items[i], '=');

        if (!equals && settings.items[i][0] == 0)
            continue;
        if (!equals) {
            if (read_switch(type, settings.items[i], &is_wanted, err) < 0)
                return -1;
            continue;
        }
        *equals = 0;
        if (read_setting(is_sbom, settings.items[i], equals + 1, &is_wanted, out, err) < 0)
            return -1;
    }
    *(is_sbom ? &out->has_sbom : &out->has_provenance) = is_wanted;
    return 0;
}
