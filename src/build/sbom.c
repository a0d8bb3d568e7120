/* A bill of materials in SPDX 2.3 (https://spdx.github.io/spdx-spec/v2.3/): the packages that the
 * image's own package managers know. Files that no package brought are not in it, which the
 * document says. */
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/text.h"
#include "build/packages.h"
#include "build/provenance.h"
#include "codec/json.h"

#include "base/banned.h"

static const char *const kind_names[] = { [PACKAGE_DEB] = "deb", [PACKAGE_APK] = "apk" };
static const char *const usual_distributions[] = {
    [PACKAGE_DEB] = "debian", [PACKAGE_APK] = "alpine"
};

/* What a package URL takes as it is; all else is percent-encoded. */
static void add_encoded(struct str *out, const char *text)
{
    for (; *text; text++)
        if ((*text >= 'a' && *text <= 'z') || (*text >= 'A' && *text <= 'Z') ||
            (*text >= '0' && *text <= '9') || strchr("-._~", *text))
            str_add_bytes(out, text, 1);
        else
            str_add_format(out, "%%%02X", (unsigned char)*text);
}

static void add_package_url(const struct packages *packages, const struct package *package,
                            struct str *out)
{
    str_add_format(out, "pkg:%s/", kind_names[package->kind]);
    add_encoded(out, text_is_empty(packages->distribution) ? usual_distributions[package->kind]
                                                           : packages->distribution);
    str_add(out, "/");
    add_encoded(out, package->name);
    str_add(out, "@");
    add_encoded(out, package->version);
    if (*package->architecture) {
        str_add(out, "?arch=");
        add_encoded(out, package->architecture);
    }
}

static void add_package(struct json_writer *w, const struct packages *packages, size_t index)
{
    const struct package *package = &packages->items[index];
    CLEANUP(str_done) struct str url = {};

    add_package_url(packages, package, &url);
    json_begin_dict(w, NULL);
    json_add_text(w, "name", package->name);
    json_add_text_format(w, "SPDXID", "SPDXRef-Package-%zu", index + 1);
    json_add_text(w, "versionInfo", package->version);
    json_add_text(w, "downloadLocation", "NOASSERTION");
    json_add_bool(w, "filesAnalyzed", false);
    json_add_text(w, "licenseConcluded", "NOASSERTION");
    json_add_text(w, "licenseDeclared", "NOASSERTION");
    json_add_text(w, "copyrightText", "NOASSERTION");
    json_begin_list(w, "externalRefs");
    json_begin_dict(w, NULL);
    json_add_text(w, "referenceCategory", "PACKAGE-MANAGER");
    json_add_text(w, "referenceType", "purl");
    json_add_text(w, "referenceLocator", str_text(&url));
    json_end_dict(w);
    json_end_list(w);
    json_end_dict(w);
}

static void add_relation(struct json_writer *w, size_t index)
{
    json_begin_dict(w, NULL);
    json_add_text(w, "spdxElementId", "SPDXRef-DOCUMENT");
    json_add_text_format(w, "relatedSpdxElement", "SPDXRef-Package-%zu", index + 1);
    json_add_text(w, "relationshipType", "DESCRIBES");
    json_end_dict(w);
}

static void add_head(struct json_writer *w, const struct packages *packages, const char *image_id,
                     int64_t created_ns)
{
    json_add_text(w, "spdxVersion", "SPDX-2.3");
    json_add_text(w, "dataLicense", "CC0-1.0");
    json_add_text(w, "SPDXID", "SPDXRef-DOCUMENT");
    json_add_text(w, "name", "sbom");
    json_add_text_format(w, "documentNamespace", "urn:berth:sbom:%s", image_id);
    json_begin_dict(w, "creationInfo");
    json_add_date(w, "created", /* SPDX: whole seconds */
                  created_ns == DATE_NEVER ? created_ns : created_ns - created_ns % NS_PER_S);
    json_begin_list(w, "creators");
    json_add_text(w, NULL, "Tool: berth-" BERTH_VERSION);
    json_end_list(w);
    json_end_dict(w);
    json_add_text(w, "comment",
                  packages->has_database
                      ? "Packages of dpkg and apk; files that belong to no package are not listed."
                      : "The image has no list of packages of dpkg or apk.");
}

int sbom_make(int root_fd, const char *image_id, int64_t created_ns, struct str *out,
              struct error *err)
{
    CLEANUP(packages_done) struct packages packages = {};
    struct json_writer w = { .out = out };

    if (packages_find(root_fd, &packages, err) < 0)
        return error_context(err, "list of packages");
    json_begin_dict(&w, NULL);
    add_head(&w, &packages, image_id, created_ns);
    json_begin_list(&w, "packages");
    for (size_t i = 0; i < packages.count; i++)
        add_package(&w, &packages, i);
    json_end_list(&w);
    json_begin_list(&w, "relationships");
    for (size_t i = 0; i < packages.count; i++)
        add_relation(&w, i);
    json_end_list(&w);
    json_end_dict(&w);
    return 0;
}
