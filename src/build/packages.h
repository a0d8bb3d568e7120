/* The packages that are installed in a tree, by what dpkg and apk wrote down there. */
#ifndef BERTH_BUILD_PACKAGES_H
#define BERTH_BUILD_PACKAGES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/str.h"

enum package_kind { PACKAGE_DEB, PACKAGE_APK };

struct package {
    enum package_kind kind;
    char *name, *version, *architecture;
};
struct packages {
    struct package *items;
    size_t count;
    bool has_database;  /* there is a list, perhaps an empty one */
    char *distribution; /* ID of os-release, "" if it is not told */
};
void packages_done(struct packages *packages);
CLEANUP_VALUE(packages_done, struct packages)

/* Texts of a database (hostile), added to 'out': /var/lib/dpkg/status and the like, and
 * /lib/apk/db/installed. What has no name or version, or is not installed, is left out. */
void packages_read_dpkg(const char *text, struct packages *out);
void packages_read_apk(const char *text, struct packages *out);

/* Reads what there is below 'root_fd', looked up in that root. 'out' is zeroed. INVALID for a
 * database that is too large. */
int packages_find(int root_fd, struct packages *out, struct error *err);

#endif
