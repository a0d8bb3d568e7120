/* mountinfo, read for the mount that a path lies on (proc(5)). */
#include "linux/mount_find.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/str.h"
#include "base/text.h"

#include "base/banned.h"

enum { MOUNTINFO_LIMIT = 64 << 20, TARGET_FIELD = 4, OPTIONAL_FIELDS = 6 };

/* Blanks and backslashes are written as three octal digits. */
static void unescape(char *text)
{
    char *to = text;

    for (const char *from = text; *from; from++) {
        if (from[0] == '\\' && from[1] >= '0' && from[1] <= '3' && from[2] >= '0' &&
            from[2] <= '7' && from[3] >= '0' && from[3] <= '7') {
            *to++ = (char)((from[1] - '0') * 64 + (from[2] - '0') * 8 + (from[3] - '0'));
            from += 3;
        } else {
            *to++ = *from;
        }
    }
    *to = 0;
}

static bool contains(const char *target, const char *path)
{
    size_t length = strcmp(target, "/") == 0 ? 0 : strlen(target);

    return strncmp(target, path, length) == 0 && (!path[length] || path[length] == '/');
}

int mount_find_in(char *mountinfo, const char *path, struct mount_place *out, struct error *err)
{
    struct mount_place found = {};
    char *line, *field;

    while ((line = strsep(&mountinfo, "\n"))) {
        struct mount_place place = {};
        bool fits = false;

        for (int i = 0; (field = strsep(&line, " ")) && strcmp(field, "-") != 0; i++) {
            if (i == TARGET_FIELD) {
                unescape(field);
                fits = contains(field, path);
                place.target = field;
            }
            place.is_shared |= i >= OPTIONAL_FIELDS && text_starts(field, "shared:");
            place.is_slave |= i >= OPTIONAL_FIELDS && text_starts(field, "master:");
        }
        if (fits && (!found.target || strlen(place.target) >= strlen(found.target)))
            found = place;
    }
    if (!found.target)
        return error_set(err, ERROR_NOT_FOUND, "%s is on no mount", path);
    *out = found;
    out->target = xstrdup(found.target);
    return 0;
}

int mount_find(const char *path, struct mount_place *out, struct error *err)
{
    CLEANUP(str_done) struct str text = {};

    if (file_read("/proc/self/mountinfo", MOUNTINFO_LIMIT, &text, err) < 0)
        return -1;
    return mount_find_in(text.data, path, out, err);
}

void mount_place_done(struct mount_place *place)
{
    free(place->target);
    *place = (struct mount_place){};
}

bool mount_is_at(const char *path)
{
    struct statx status;

    return statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC, 0,
                 &status) == 0 &&
           status.stx_attributes & STATX_ATTR_MOUNT_ROOT;
}
