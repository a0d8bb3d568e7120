/* One table for the words of mount(8). */
#include "linux/mount_options.h"

#include <string.h>

#include "linux/mount.h"

#include "base/banned.h"

/* clang-format off */
static const struct {
    const char *word;
    uint64_t set, clear;
} attributes[] = {
    { "atime",         0,                        MOUNT_ATTR_NOATIME     },
    { "dev",           0,                        MOUNT_ATTR_NODEV       },
    { "diratime",      0,                        MOUNT_ATTR_NODIRATIME  },
    { "exec",          0,                        MOUNT_ATTR_NOEXEC      },
    { "noatime",       MOUNT_ATTR_NOATIME,       0                      },
    { "nodev",         MOUNT_ATTR_NODEV,         0                      },
    { "nodiratime",    MOUNT_ATTR_NODIRATIME,    0                      },
    { "noexec",        MOUNT_ATTR_NOEXEC,        0                      },
    { "norelatime",    0,                        0                      },
    { "nostrictatime", 0,                        MOUNT_ATTR_STRICTATIME },
    { "nosuid",        MOUNT_ATTR_NOSUID,        0                      },
    { "nosymfollow",   MOUNT_ATTR_NOSYMFOLLOW,   0                      },
    { "relatime",      MOUNT_ATTR_RELATIME,      MOUNT_ATTR__ATIME      },
    { "ro",            MOUNT_ATTR_RDONLY,        0                      },
    { "rw",            0,                        MOUNT_ATTR_RDONLY      },
    { "strictatime",   MOUNT_ATTR_STRICTATIME,   0                      },
    { "suid",          0,                        MOUNT_ATTR_NOSUID      },
    { "symfollow",     0,                        MOUNT_ATTR_NOSYMFOLLOW },
};
static const struct {
    const char *word;
    uint64_t flag;
} propagations[] = {
    { "private",    MS_PRIVATE    },
    { "shared",     MS_SHARED     },
    { "slave",      MS_SLAVE      },
    { "unbindable", MS_UNBINDABLE },
};
/* Said by tools that know no better; they change nothing here. */
static const char *const ignored[] = {
    "acl", "async", "defaults", "iversion", "loud", "noacl", "noiversion", "nolazytime", "nomand", "silent", "tmpcopyup",
};
/* clang-format on */

static bool find_attribute(const char *word, uint64_t *set, uint64_t *clear)
{
    for (size_t i = 0; i < COUNT(attributes); i++) {
        if (strcmp(attributes[i].word, word) != 0)
            continue;
        *set = (*set & ~attributes[i].clear) | attributes[i].set;
        *clear = (*clear & ~attributes[i].set) | attributes[i].clear;
        return true;
    }
    return false;
}

bool mount_propagation_parse(const char *word, uint64_t *out, bool *out_recursive)
{
    bool recursive = word[0] == 'r';

    for (size_t i = 0; i < COUNT(propagations); i++)
        if (strcmp(propagations[i].word, word + recursive) == 0) {
            *out = propagations[i].flag;
            *out_recursive = recursive;
            return true;
        }
    return false;
}

static bool is_ignored(const char *word)
{
    for (size_t i = 0; i < COUNT(ignored); i++)
        if (strcmp(ignored[i], word) == 0)
            return true;
    return false;
}

int mount_options_parse(const struct strv *words, struct mount_options *out, struct error *err)
{
    *out = (struct mount_options){};
    for (size_t i = 0; i < words->count; i++) {
        const char *word = words->items[i];

        if (strcmp(word, "bind") == 0 || strcmp(word, "rbind") == 0) {
            out->is_bind = true;
            out->is_recursive = word[0] == 'r';
        } else if (strcmp(word, "remount") == 0) {
            mount_options_done(out);
            return error_set(err, ERROR_UNSUPPORTED, "mount option remount is not supported");
        } else if (!*word || is_ignored(word) || find_attribute(word, &out->set, &out->clear) ||
                   mount_propagation_parse(word, &out->propagation, &out->propagation_recursive) ||
                   (word[0] == 'r' &&
                    find_attribute(word + 1, &out->recursive_set, &out->recursive_clear))) {
            continue;
        } else {
            strv_add(&out->data, word);
        }
    }
    out->is_read_only = (out->set | out->recursive_set) & MOUNT_ATTR_RDONLY;
    return 0;
}

void mount_options_done(struct mount_options *options)
{
    strv_done(&options->data);
}
