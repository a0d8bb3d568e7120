/* --chown and --chmod. The files of the image are somebody else's: looked up in its root only, and
 * read up to a limit. */
#include "build/owner.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/strv.h"
#include "base/text.h"
#include "linux/path.h"

#include "base/banned.h"

#define ACCOUNT_FILE_LIMIT ((size_t)16 << 20)

/* A field of the line whose first is 'name' ("name:x:id:…", the first is number 0). */
static bool find_number(const char *text, const char *name, int field, int64_t *out)
{
    size_t length = strlen(name);

    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, name, length) != 0 || line[length] != ':')
            continue;
        CLEANUP(free) char *whole = xstrndup(line, strcspn(line, "\n"));
        const char *at = whole;
        for (int i = 0; at && i < field; i++) {
            at = strchr(at, ':');
            at += at != NULL;
        }
        CLEANUP(free) char *number = at ? xstrndup(at, strcspn(at, ":")) : NULL;
        if (number && parse_int64(number, 0, UINT32_MAX - 1, out, NULL) == 0)
            return true;
    }
    return false;
}

static void read_accounts(int root_fd, const char *file, struct str *out)
{
    CLEANUP(close) int fd = path_open(root_fd, file, O_RDONLY | O_NONBLOCK, 0, NULL);
    struct stat info;

    if (fd >= 0 && fstat(fd, &info) == 0 && S_ISREG(info.st_mode))
        file_read_fd(fd, ACCOUNT_FILE_LIMIT, out, NULL);
}

/* Its group is the same number, or what its line says. */
static int find_user(const char *name, int root_fd, int64_t *out_uid, int64_t *out_gid,
                     struct error *err)
{
    CLEANUP(str_done) struct str text = {};

    if (!*name || parse_int64(name, 0, UINT32_MAX - 1, out_uid, NULL) == 0) {
        *out_gid = *out_uid;
        return 0;
    }
    read_accounts(root_fd, "etc/passwd", &text);
    if (find_number(str_text(&text), name, 2, out_uid) &&
        find_number(str_text(&text), name, 3, out_gid))
        return 0;
    error_set(err, ERROR_INVALID, "no such user: %s", name);
    return error_context(err, "can't find uid for user %s", name);
}

static int find_group(const char *name, int root_fd, int64_t *out_gid, struct error *err)
{
    CLEANUP(str_done) struct str text = {};

    if (parse_int64(name, 0, UINT32_MAX - 1, out_gid, NULL) == 0)
        return 0;
    read_accounts(root_fd, "etc/group", &text);
    if (find_number(str_text(&text), name, 2, out_gid))
        return 0;
    error_set(err, ERROR_INVALID, "no such group: %s", name);
    return error_context(err, "can't find gid for group %s", name);
}

int owner_parse(const char *text, int root_fd, uid_t *out_uid, gid_t *out_gid, struct error *err)
{
    const char *colon = strchr(text, ':');
    CLEANUP(free) char *user = xstrndup(text, colon ? (size_t)(colon - text) : strlen(text));
    const char *group = colon ? colon + 1 : "";
    int64_t uid = 0, gid = 0;

    if (strchr(group, ':') || !*text)
        return error_set(err, ERROR_INVALID, "invalid chown string format: %s", text);
    if (find_user(user, root_fd, &uid, &gid, err) < 0 ||
        (*group && find_group(group, root_fd, &gid, err) < 0))
        return -1;
    *out_uid = (uid_t)uid;
    *out_gid = (gid_t)gid;
    return 0;
}

static bool is_octal(const char *text)
{
    size_t length = strspn(text, "01234567");

    return length > 0 && length <= 5 && text[length] == 0 && strtol(text, NULL, 8) <= 07777;
}

/* One clause "[ugoa…][+-=][rwxXst…]", more operators may follow; gives where it ends, NULL if it is
 * wrong. */
static const char *apply_clause(const char *text, mode_t *mode)
{
    mode_t who = 0, bits;

    for (; *text && strchr("ugoa", *text); text++)
        who |= *text == 'u' ? 04700U : *text == 'g' ? 02070U : *text == 'o' ? 01007U : 07777U;
    if (who == 0)
        who = 07777;
    if (!*text || !strchr("+-=", *text))
        return NULL;
    while (*text && strchr("+-=", *text)) {
        char sign = *text++;

        for (bits = 0; *text && strchr("rwxXst", *text); text++) {
            bool is_executable = S_ISDIR(*mode) || (*mode & 0111) != 0;

            bits |= *text == 'r'                    ? 0444U
                    : *text == 'w'                  ? 0222U
                    : *text == 'x'                  ? 0111U
                    : *text == 'X' && is_executable ? 0111U
                    : *text == 's'                  ? 06000U
                    : *text == 't'                  ? 01000U
                                                    : 0;
        }
        bits &= who;
        if (sign == '=')
            *mode &= ~(who == 07777 ? 07777U : who & 06777U); /* o= leaves the sticky bit */
        *mode = sign == '-' ? *mode & ~bits : *mode | bits;
    }
    return text;
}

static bool apply(const char *text, mode_t *mode)
{
    if (is_octal(text)) {
        *mode = (*mode & (mode_t)S_IFMT) | (mode_t)strtol(text, NULL, 8);
        return true;
    }
    do {
        text = apply_clause(text, mode);
    } while (text && *text == ',' && text++);
    return text && *text == 0;
}

int mode_check(const char *text, struct error *err)
{
    mode_t mode = S_IFREG;

    if (apply(text, &mode))
        return 0;
    return error_set(err, ERROR_INVALID,
                     "invalid chmod parameter: '%s'. it should be octal string and between 0 and "
                     "07777, or symbolic",
                     text);
}

mode_t mode_apply(const char *text, mode_t mode)
{
    apply(text, &mode);
    return mode & 07777;
}
