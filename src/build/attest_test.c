#include <criterion/criterion.h>
#include <string.h>

#include "base/memory.h"
#include "build/attest.h"
#include "build/packages.h"

static const struct {
    const char *type, *text, *said; /* said NULL: it is understood */
    bool has_provenance, has_sbom, is_max, is_v1, is_inline_only;
} settings[] = {
    { "provenance", "", NULL, .has_provenance = true },
    { "provenance", "true", NULL, .has_provenance = true },
    { "provenance", "false", NULL },
    { "provenance", "mode=max,version=v1", NULL, true, .is_max = true, .is_v1 = true },
    { "provenance", "mode=min,inline-only=true", NULL, true, .is_inline_only = true },
    { "provenance", "mode=max,disabled=true", NULL, .is_max = true },
    { "sbom", "", NULL, .has_sbom = true },
    { "sbom", "type=sbom,disabled=false", NULL, .has_sbom = true },
    { "sbom", "generator=", "unknown setting generator" },
    { "sbom", "mode=max", "unknown setting mode of the SBOM" },
    { "provenance", "mode=medium", "min or max" },
    { "provenance", "version=v2", "v0.2 or v1" },
    { "provenance", "perhaps", "invalid value perhaps" },
    { "provenance", "colour=red", "unknown setting colour" },
    { "signature", "", "unknown attestation signature" },
};

Test(attest, reads_settings)
{
    for (size_t i = 0; i < COUNT(settings); i++) {
        CLEANUP(build_attest_done) struct build_attest attest = {};
        struct error err = {};
        int result = build_attest_read(settings[i].type, settings[i].text, &attest, &err);

        if (settings[i].said) {
            cr_expect_lt(result, 0, "%s", settings[i].text);
            cr_expect(strstr(err.text, settings[i].said), "%s", err.text);
            continue;
        }
        cr_assert_eq(result, 0, "%s", err.text);
        cr_expect_eq(attest.has_provenance, settings[i].has_provenance, "%s", settings[i].text);
        cr_expect_eq(attest.has_sbom, settings[i].has_sbom, "%s", settings[i].text);
        cr_expect_eq(attest.is_max, settings[i].is_max, "%s", settings[i].text);
        cr_expect_eq(attest.is_v1, settings[i].is_v1, "%s", settings[i].text);
        cr_expect_eq(attest.is_inline_only, settings[i].is_inline_only, "%s", settings[i].text);
    }
}

Test(packages, lists_what_dpkg_has_installed)
{
    CLEANUP(packages_done) struct packages packages = {};

    packages_read_dpkg("Package: bash\nStatus: install ok installed\nArchitecture: amd64\n"
                       "Description: a shell\n Package: not this line\nVersion: 5.2-1\n\n"
                       "Package: gone\nStatus: deinstall ok config-files\nVersion: 1\n\n"
                       "Package: half\nStatus: install ok not-installed\nVersion: 1\n\n"
                       "Package: nameless\n\nPackage: last\nVersion: 2",
                       &packages);
    cr_assert_eq(packages.count, 2);
    cr_expect_str_eq(packages.items[0].name, "bash");
    cr_expect_str_eq(packages.items[0].version, "5.2-1");
    cr_expect_str_eq(packages.items[0].architecture, "amd64");
    cr_expect_str_eq(packages.items[1].name, "last");
    cr_expect_eq(packages.items[1].kind, PACKAGE_DEB);
    cr_expect(packages.has_database);
}

Test(packages, lists_what_apk_has_installed)
{
    CLEANUP(packages_done) struct packages packages = {};

    packages_read_apk("C:Q1abc=\nP:musl\nV:1.2.5-r0\nA:x86_64\nF:lib\nR:libc.so\n\nP:zlib\nV:1.3\n",
                      &packages);
    cr_assert_eq(packages.count, 2);
    cr_expect_str_eq(packages.items[0].name, "musl");
    cr_expect_str_eq(packages.items[0].architecture, "x86_64");
    cr_expect_str_eq(packages.items[1].version, "1.3");
    cr_expect_str_eq(packages.items[1].architecture, "");
}
