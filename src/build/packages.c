/* Paragraphs of lines: an empty line ends one. dpkg's are "Name: value", apk's "N:value". */
#include "build/packages.h"

#include <fcntl.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "build/source.h"
#include "linux/path.h"

#include "base/banned.h"

#define DATABASE_SIZE_LIMIT ((size_t)64 << 20)
#define OS_RELEASE_LIMIT    ((size_t)64 << 10)
#define PACKAGE_LIMIT       100000

void packages_done(struct packages *packages)
{
    for (size_t i = 0; i < packages->count; i++) {
        free(packages->items[i].name);
        free(packages->items[i].version);
        free(packages->items[i].architecture);
    }
    free(packages->items);
    free(packages->distribution);
    *packages = (struct packages){};
}

/* One paragraph while it is read; values are borrowed from the text. */
struct paragraph {
    const char *values[4];
    size_t lengths[4];
};
enum { NAME, VERSION, ARCHITECTURE, STATUS };

static bool is_installed(const struct paragraph *paragraph)
{
    static const char word[] = " installed";
    size_t length = paragraph->lengths[STATUS];

    return !paragraph->values[STATUS] ||
           (length >= sizeof(word) - 1 &&
            strncmp(paragraph->values[STATUS] + length - (sizeof(word) - 1), word,
                    sizeof(word) - 1) == 0);
}

static char *value_of(const struct paragraph *paragraph, int which)
{
    return paragraph->values[which] ? xstrndup(paragraph->values[which], paragraph->lengths[which])
                                    : xstrdup("");
}

static void end_paragraph(struct paragraph *paragraph, enum package_kind kind, struct packages *out)
{
    if (paragraph->lengths[NAME] > 0 && paragraph->lengths[VERSION] > 0 &&
        is_installed(paragraph) && out->count < PACKAGE_LIMIT) {
        out->items = xrealloc(out->items, out->count + 1, sizeof(*out->items));
        out->items[out->count++] = (struct package){ kind, value_of(paragraph, NAME),
                                                     value_of(paragraph, VERSION),
                                                     value_of(paragraph, ARCHITECTURE) };
    }
    *paragraph = (struct paragraph){};
}

static void read_paragraphs(const char *text, const char *const keys[4], enum package_kind kind,
                            struct packages *out)
{
    struct paragraph paragraph = {};

    while (*text) {
        size_t length = strcspn(text, "\n");

        if (length == 0)
            end_paragraph(&paragraph, kind, out);
        for (int i = 0; i < 4; i++) {
            size_t key = keys[i] ? strlen(keys[i]) : 0;

            if (key == 0 || key > length || strncmp(text, keys[i], key) != 0)
                continue;
            while (key < length && text[key] == ' ')
                key++;
            paragraph.values[i] = text + key;
            paragraph.lengths[i] = length - key;
        }
        text += length + (text[length] == '\n');
    }
    end_paragraph(&paragraph, kind, out);
}

void packages_read_dpkg(const char *text, struct packages *out)
{
    static const char *const keys[4] = { "Package:", "Version:", "Architecture:", "Status:" };

    out->has_database = true;
    read_paragraphs(text, keys, PACKAGE_DEB, out);
}

void packages_read_apk(const char *text, struct packages *out)
{
    static const char *const keys[4] = { "P:", "V:", "A:", NULL };

    out->has_database = true;
    read_paragraphs(text, keys, PACKAGE_APK, out);
}

/* 1: read; 0: no such file. */
static int read_file(int root_fd, const char *path, size_t limit, struct str *out,
                     struct error *err)
{
    CLEANUP(close) int fd = path_open(root_fd, path, O_RDONLY | O_NONBLOCK, 0, NULL);

    if (fd < 0)
        return 0;
    return file_read_fd(fd, limit, out, err) < 0 ? error_context(err, "/%s", path) : 1;
}

static int read_database(int root_fd, const char *path,
                         void (*read_text)(const char *, struct packages *), struct packages *out,
                         struct error *err)
{
    CLEANUP(str_done) struct str text = {};
    int found = read_file(root_fd, path, DATABASE_SIZE_LIMIT, &text, err);

    if (found > 0)
        read_text(str_text(&text), out);
    return MIN(found, 0);
}

/* Images without a shell have a file for each package. */
static int read_status_directory(int root_fd, struct packages *out, struct error *err)
{
    static const char directory[] = "var/lib/dpkg/status.d";
    CLEANUP(close) int fd = path_open(root_fd, directory, O_RDONLY | O_DIRECTORY, 0, NULL);
    CLEANUP(strv_done) struct strv names = {};

    if (fd < 0)
        return 0;
    if (directory_names(fd, &names, err) < 0)
        return -1;
    for (size_t i = 0; i < MIN(names.count, (size_t)PACKAGE_LIMIT); i++) {
        CLEANUP(free) char *path = path_join(directory, names.items[i]);

        if (!text_ends(path, ".md5sums") &&
            read_database(root_fd, path, packages_read_dpkg, out, err) < 0)
            return -1;
    }
    return 0;
}

static void read_distribution(int root_fd, struct packages *out)
{
    CLEANUP(str_done) struct str text = {};
    CLEANUP(strv_done) struct strv lines = {};

    out->distribution = xstrdup("");
    if (read_file(root_fd, "etc/os-release", OS_RELEASE_LIMIT, &text, NULL) <= 0)
        return;
    strv_split(&lines, str_text(&text), '\n');
    for (size_t i = 0; i < lines.count; i++) {
        if (!text_starts(lines.items[i], "ID="))
            continue;
        const char *value = lines.items[i] + strlen("ID=");
        value += strspn(value, "\"'");
        free(out->distribution);
        out->distribution = xstrndup(value, strcspn(value, "\"'"));
    }
}

int packages_find(int root_fd, struct packages *out, struct error *err)
{
    read_distribution(root_fd, out);
    if (read_database(root_fd, "var/lib/dpkg/status", packages_read_dpkg, out, err) < 0 ||
        read_status_directory(root_fd, out, err) < 0)
        return -1;
    size_t count = out->count;
    if (read_database(root_fd, "lib/apk/db/installed", packages_read_apk, out, err) < 0)
        return -1;
    return out->count == count
               ? read_database(root_fd, "usr/lib/apk/db/installed", packages_read_apk, out, err)
               : 0;
}
