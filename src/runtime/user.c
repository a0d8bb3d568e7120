/* passwd and group are read with the rules that Docker has for them: first match wins, a number is
 * always an id, malformed lines are passed over. */
#include "runtime/user.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "linux/path.h"

#include "base/banned.h"

enum { FILE_SIZE_LIMIT = 16 << 20, PASSWD_FIELDS = 7, GROUP_FIELDS = 4, GROUP_COUNT_LIMIT = 65536 };

#define ID_LIMIT INT32_MAX

/* Splits one line at ':' into at most 'limit' fields; how many there are. */
static size_t split_line(char *line, char **fields, size_t limit)
{
    size_t count = 0;

    while (line && count < limit) {
        fields[count] = count + 1 < limit ? strsep(&line, ":") : TAKE(line);
        count++;
    }
    return count;
}

static bool parse_id(const char *text, int64_t *out)
{
    return parse_int64(text, 0, UINT32_MAX, out, NULL) == 0;
}

/* A number as Go's Atoi takes it, of any size and sign: whether it is one decides what it means. */
static bool looks_numeric(const char *text)
{
    const char *digits = text + (*text == '-' || *text == '+');

    return *digits && strspn(digits, "0123456789") == strlen(digits);
}

static int wanted_id(const char *text, int64_t *out, struct error *err)
{
    if (parse_int64(text, 0, ID_LIMIT, out, NULL) < 0)
        return error_set(err, ERROR_INVALID, "uids and gids must be in range 0-2147483647");
    return 0;
}

struct passwd_entry {
    const char *name, *home;
    int64_t uid, gid;
};

/* Next usable line of passwd; cuts the text up as it goes. */
static bool next_passwd(char **rest, struct passwd_entry *out)
{
    char *line, *fields[PASSWD_FIELDS];

    while ((line = strsep(rest, "\n"))) {
        size_t count = split_line(line, fields, PASSWD_FIELDS);

        if (count < 4 || !parse_id(fields[2], &out->uid) || !parse_id(fields[3], &out->gid))
            continue;
        out->name = fields[0];
        out->home = count > 5 ? fields[5] : "";
        return true;
    }
    return false;
}

struct group_entry {
    const char *name;
    char *members;
    int64_t gid;
};

static bool next_group(char **rest, struct group_entry *out)
{
    char *line, *fields[GROUP_FIELDS];

    while ((line = strsep(rest, "\n"))) {
        size_t count = split_line(line, fields, GROUP_FIELDS);

        if (count < 3 || !parse_id(fields[2], &out->gid))
            continue;
        out->name = fields[0];
        out->members = count > 3 ? fields[3] : NULL;
        return true;
    }
    return false;
}

static bool lists_member(char *members, const char *name)
{
    char *member;

    while ((member = strsep(&members, ",")))
        if (strcmp(member, name) == 0)
            return true;
    return false;
}

static void add_group(struct user_identity *identity, int64_t gid)
{
    if (identity->group_count == GROUP_COUNT_LIMIT)
        return;
    identity->groups = xrealloc(identity->groups, identity->group_count + 1,
                                sizeof(*identity->groups));
    identity->groups[identity->group_count++] = (gid_t)gid;
}

/* A user of that uid or name; *out_name (yours) tells which. */
static bool find_user(const char *passwd, const char *name, int64_t uid,
                      struct user_identity *identity, char **out_name)
{
    CLEANUP(free) char *text = xstrdup(passwd ? passwd : "");
    char *rest = text;
    struct passwd_entry entry;

    while (next_passwd(&rest, &entry)) {
        if (name ? strcmp(entry.name, name) != 0 : entry.uid != uid)
            continue;
        identity->uid = (uid_t)entry.uid;
        identity->gid = (gid_t)entry.gid;
        free(identity->home);
        identity->home = xstrdup(*entry.home ? entry.home : "/");
        *out_name = xstrdup(entry.name);
        return true;
    }
    return false;
}

static int find_group(const char *group, const char *wish, int64_t *out_gid, struct error *err)
{
    CLEANUP(free) char *text = xstrdup(group ? group : "");
    char *rest = text;
    struct group_entry entry;
    bool is_number = looks_numeric(wish);
    int64_t number = -1;

    if (is_number && wanted_id(wish, &number, err) < 0)
        return -1;
    while (next_group(&rest, &entry))
        if (is_number ? entry.gid == number : strcmp(entry.name, wish) == 0) {
            *out_gid = entry.gid;
            return 0;
        }
    *out_gid = number;
    return is_number
               ? 0
               : error_set(err, ERROR_INVALID,
                           "unable to find group %s: no matching entries in group file", wish);
}

static void add_memberships(const char *group, const char *name, struct user_identity *identity)
{
    CLEANUP(free) char *text = xstrdup(group ? group : "");
    char *rest = text;
    struct group_entry entry;

    while (next_group(&rest, &entry))
        if (lists_member(entry.members, name))
            add_group(identity, entry.gid);
}

/* "user[:group]" */
static int resolve_name(const char *spelled, const char *passwd, const char *group,
                        struct user_identity *identity, struct error *err)
{
    CLEANUP(free) char *wish = xstrdup(spelled), *name = NULL;
    char *group_wish = strchr(wish, ':');
    bool is_number = looks_numeric(wish);
    int64_t uid = 0, gid;

    if (group_wish) {
        *group_wish++ = 0;
        is_number = looks_numeric(wish);
    }
    if (is_number && wanted_id(wish, &uid, err) < 0)
        return -1;
    if (!find_user(passwd, is_number || !*wish ? NULL : wish, uid, identity, &name)) {
        if (*wish && !is_number)
            return error_set(err, ERROR_INVALID,
                             "unable to find user %s: no matching entries in passwd file", wish);
        identity->uid = (uid_t)uid;
    }
    if (!text_is_empty(group_wish)) {
        if (find_group(group, group_wish, &gid, err) < 0)
            return -1;
        identity->gid = (gid_t)gid;
    }
    add_group(identity, identity->gid);
    if (name && text_is_empty(group_wish))
        add_memberships(group, name, identity);
    return 0;
}

static int add_listed_gids(const char *json, struct user_identity *identity, struct error *err)
{
    CLEANUP(json_free) struct json *list = NULL;

    if (json_parse(json, strlen(json), &list, err) < 0)
        return error_context(err, "additionalGids");
    for (size_t i = 0; json_type(list) == JSON_LIST && i < json_count(list); i++) {
        const struct json *item = json_at(list, i);

        if (json_type(item) != JSON_INTEGER || json_to_int64(item) < 0 ||
            json_to_int64(item) > UINT32_MAX)
            return error_set(err, ERROR_INVALID, "additionalGids: not a group id");
        add_group(identity, json_to_int64(item));
    }
    return 0;
}

int user_resolve(const struct runtime_user *user, const char *passwd, const char *group,
                 struct user_identity *out, struct error *err)
{
    CLEANUP(user_identity_done) struct user_identity identity = { .home = xstrdup("/") };
    CLEANUP(free) char *name = NULL;

    if (user->username) {
        if (resolve_name(user->username, passwd, group, &identity, err) < 0)
            return -1;
    } else {
        if (user->uid < 0 || user->uid > UINT32_MAX || user->gid < 0 || user->gid > UINT32_MAX)
            return error_set(err, ERROR_INVALID, "uids and gids must be in range 0-2147483647");
        find_user(passwd, NULL, user->uid, &identity, &name);
        identity.uid = (uid_t)user->uid;
        identity.gid = (gid_t)user->gid;
    }
    if (user->additional_gids && add_listed_gids(user->additional_gids, &identity, err) < 0)
        return -1;
    for (size_t i = 0; i < user->additional_groups.count; i++) {
        int64_t gid;

        if (find_group(group, user->additional_groups.items[i], &gid, err) < 0)
            return -1;
        add_group(&identity, gid);
    }
    *out = identity;
    identity = (struct user_identity){};
    return 0;
}

static int read_file(int root_fd, const char *path, struct str *out, struct error *err)
{
    struct error failure = {};
    CLEANUP(close) int fd = path_open(root_fd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, &failure);

    if (fd < 0 && (failure.kind == ERROR_NOT_FOUND || failure.sys == ENOTDIR))
        return 0;
    if (fd < 0) {
        if (err)
            *err = failure;
        return -1;
    }
    if (file_read_fd(fd, FILE_SIZE_LIMIT, out, err) < 0)
        return error_context(err, "%s", path);
    /* A NUL would hide what follows it. */
    if (out->length != strlen(str_text(out)))
        return error_set(err, ERROR_INVALID, "%s is not a text file", path);
    return 0;
}

int user_look_up(int root_fd, const struct runtime_user *user, struct user_identity *out,
                 struct error *err)
{
    CLEANUP(str_done) struct str passwd = {}, group = {};

    if (read_file(root_fd, "/etc/passwd", &passwd, err) < 0 ||
        read_file(root_fd, "/etc/group", &group, err) < 0)
        return -1;
    return user_resolve(user, str_text(&passwd), str_text(&group), out, err);
}

void user_identity_done(struct user_identity *identity)
{
    free(identity->groups);
    free(identity->home);
    *identity = (struct user_identity){};
}
