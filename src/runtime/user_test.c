#include "runtime/user.h"

#include <criterion/criterion.h>
#include <string.h>

#include "base/memory.h"
#include "base/str.h"

#include "base/banned.h"

static const char passwd[] = "root:x:0:0:root:/root:/bin/sh\n"
                             "# a comment\n"
                             "\n"
                             "short:x:7\n"
                             "broken:x:one:two::/:\n"
                             "web:x:33:34:Web:/srv/web:/bin/false\n"
                             "twice:x:50:50::/first:\n"
                             "twice:x:51:51::/second:\n"
                             "99:x:98:98::/ninetynine:\n"
                             "homeless:x:60:60\n";
static const char group[] = "root:x:0:root\n"
                            "bin:x:1:root,web\n"
                            "audio:x:29:web\n"
                            "www:x:34:\n"
                            "broken:x:x:web\n"
                            "empty:x:77";

/* clang-format off */
static const struct {
    const char *spelled, *more; /* more: additional groups, "," between */
    const char *expected;       /* "uid gid home groups…", or the error */
} spellings[] = {
    { "",              NULL,       "0 0 /root 0 0 1" },
    { "root",          NULL,       "0 0 /root 0 0 1" },
    { "0",             NULL,       "0 0 /root 0 0 1" },
    { "web",           NULL,       "33 34 /srv/web 34 1 29" },
    { "33",            NULL,       "33 34 /srv/web 34 1 29" },
    { "web:",          NULL,       "33 34 /srv/web 34 1 29" },
    { "web:audio",     NULL,       "33 29 /srv/web 29" },
    { "web:29",        NULL,       "33 29 /srv/web 29" },
    { "web:4000",      NULL,       "33 4000 /srv/web 4000" },
    { "1000",          NULL,       "1000 0 / 0" },
    { "1000:2000",     NULL,       "1000 2000 / 2000" },
    { "1000:audio",    NULL,       "1000 29 / 29" },
    { ":audio",        NULL,       "0 29 /root 29" },
    { "twice",         NULL,       "50 50 /first 50" },
    { "99",            NULL,       "99 0 / 0" },
    { "homeless",      NULL,       "60 60 / 60" },
    { "web",           "www,5",    "33 34 /srv/web 34 1 29 34 5" },
    { "1000",          "audio",    "1000 0 / 0 29" },
    { "nope",          NULL,       "unable to find user nope: no matching entries in passwd file" },
    { "short",         NULL,       "unable to find user short: no matching entries in passwd file" },
    { "broken",        NULL,       "unable to find user broken: no matching entries in passwd file" },
    { "web:nope",      NULL,       "unable to find group nope: no matching entries in group file" },
    { "web:broken",    NULL,       "unable to find group broken: no matching entries in group file" },
    { "web",           "nope",     "unable to find group nope: no matching entries in group file" },
    { "99999999999",   NULL,       "uids and gids must be in range 0-2147483647" },
    { "2147483648",    NULL,       "uids and gids must be in range 0-2147483647" },
    { "-1",            NULL,       "uids and gids must be in range 0-2147483647" },
    { "1:-1",          NULL,       "uids and gids must be in range 0-2147483647" },
};
/* clang-format on */

static char *described(const struct runtime_user *user, const char *passwd_text,
                       const char *group_text)
{
    CLEANUP(user_identity_done) struct user_identity who = {};
    struct error err = {};
    struct str text = {};

    if (user_resolve(user, passwd_text, group_text, &who, &err) < 0) {
        cr_expect_eq(err.kind, ERROR_INVALID);
        return xstrdup(err.text);
    }
    str_add_format(&text, "%u %u %s", who.uid, who.gid, who.home);
    for (size_t i = 0; i < who.group_count; i++)
        str_add_format(&text, " %u", who.groups[i]);
    return str_take(&text);
}

Test(user, is_found_as_docker_does)
{
    for (size_t i = 0; i < COUNT(spellings); i++) {
        struct runtime_user user = { .username = (char *)spellings[i].spelled };

        if (spellings[i].more)
            strv_split(&user.additional_groups, spellings[i].more, ',');
        CLEANUP(free) char *found = described(&user, passwd, group);
        cr_expect_str_eq(found, spellings[i].expected, "%s: %s", spellings[i].spelled, found);
        strv_done(&user.additional_groups);
    }
}

Test(user, needs_no_files)
{
    struct runtime_user numbers = { .username = (char *)"5:6" }, root = { .username = (char *)"" };
    CLEANUP(free) char *first = described(&numbers, NULL, NULL);
    CLEANUP(free) char *second = described(&root, "", "");

    cr_expect_str_eq(first, "5 6 / 6");
    cr_expect_str_eq(second, "0 0 / 0");
}

Test(user, takes_plain_ids_as_they_are)
{
    struct runtime_user user = { .uid = 33, .gid = 7, .additional_gids = (char *)"[7,8]" };
    struct runtime_user bad = { .uid = 1, .gid = 1, .additional_gids = (char *)"[-1]" };
    CLEANUP(free) char *found = described(&user, passwd, group);
    CLEANUP(free) char *refused = described(&bad, passwd, group);

    cr_expect_str_eq(found, "33 7 /srv/web 7 8");
    cr_expect(strstr(refused, "additionalGids"), "%s", refused);
}
