#include "base/strv.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "base/banned.h"

static const struct {
    const char *text, *joined;
    size_t count;
} splits[] = {
    { "", "", 0 }, { "a", "a", 1 }, { "a,,b", "a||b", 3 }, { ",", "|", 2 }, { "a,", "a|", 2 },
};

Test(strv, splits_and_joins)
{
    for (size_t i = 0; i < COUNT(splits); i++) {
        CLEANUP(strv_done) struct strv parts = {};

        strv_split(&parts, splits[i].text, ',');
        CLEANUP(free) char *joined = strv_join(&parts, "|");
        cr_expect_eq(parts.count, splits[i].count);
        cr_expect_str_eq(joined, splits[i].joined);
    }
}

Test(strv, ends_in_null_whatever_happens)
{
    CLEANUP(strv_done) struct strv list = {};

    for (int i = 0; i < 100; i++) {
        strv_add_format(&list, "%d", i);
        cr_assert_null(list.items[list.count]);
    }
    strv_insert(&list, 0, "first");
    strv_insert(&list, 50, "middle");
    strv_insert(&list, list.count, "last");
    cr_expect_str_eq(list.items[0], "first");
    cr_expect_str_eq(list.items[50], "middle");
    cr_expect_str_eq(list.items[102], "last");
    strv_remove(&list, 0);
    strv_remove(&list, list.count - 1);
    cr_expect_str_eq(list.items[0], "0");
    cr_expect_eq(list.count, 101);
    cr_expect_null(list.items[101]);
}

Test(strv, keeps_none_and_empty_apart)
{
    CLEANUP(strv_done) struct strv empty = {};
    struct strv none = {}, copy;

    strv_init_empty(&empty);
    cr_expect_not_null(empty.items);
    strv_copy(&copy, &empty);
    cr_expect_not_null(copy.items);
    cr_expect_eq(copy.count, 0);
    strv_done(&copy);
    strv_copy(&copy, &none);
    cr_expect_null(copy.items);
    cr_expect(strv_equal(&empty, &none));
}

Test(strv, sorts_and_compares)
{
    CLEANUP(strv_done) struct strv a = {}, b = {};

    strv_split(&a, "b,a,B,aa", ',');
    strv_split(&b, "B,a,aa,b", ',');
    cr_expect_not(strv_equal(&a, &b));
    strv_sort(&a);
    cr_expect(strv_equal(&a, &b));
    strv_add_all(&a, &b);
    cr_expect_eq(a.count, 8);
    cr_expect(strv_contains(&a, "aa"));
    cr_expect_not(strv_contains(&a, "A"));
}

Test(strv, treats_environments)
{
    CLEANUP(strv_done) struct strv env = {};

    strv_split(&env, "A=1,AB=2,A=3,NAKED", ',');
    cr_expect_str_eq(strv_env_get(&env, "A"), "3");
    cr_expect_str_eq(strv_env_get(&env, "AB"), "2");
    cr_expect_null(strv_env_get(&env, "NAKED"));
    cr_expect_null(strv_env_get(&env, "B"));
    strv_env_set(&env, "AB", "x=y");
    cr_expect_str_eq(env.items[1], "AB=x=y");
    strv_env_set(&env, "NEW", "");
    cr_expect_str_eq(strv_env_get(&env, "NEW"), "");
    strv_env_unset(&env, "A");
    cr_expect_null(strv_env_get(&env, "A"));
    cr_expect_eq(env.count, 3);
}

Test(strv, changes_environments_in_one_go)
{
    CLEANUP(strv_done) struct strv env = {}, changes = {}, none = {};
    CLEANUP(free) char *joined = NULL;

    strv_split(&env, "A=1,AB=2,A=3,NAKED,C=4", ',');
    strv_split(&changes, "AB=x=y,A,NEW=,NEW=n,C,C=5,ABSENT,NAKED,D=6,D", ',');
    strv_env_change(&env, &changes);
    joined = strv_join(&env, ",");
    cr_expect_str_eq(joined, "AB=x=y,NAKED,NEW=n,C=5");
    cr_expect_null(env.items[env.count]);
    strv_env_change(&none, &none);
    cr_expect_null(none.items);
}

/* Looking through the list for each would take minutes. */
Test(strv, changes_large_environments, .timeout = 60)
{
    enum { ENTRIES = 300000 };
    CLEANUP(strv_done) struct strv env = {}, changes = {};

    for (int i = 0; i < ENTRIES; i++)
        strv_add_format(&changes, "SOME_LONGER_NAME_%d=%d", i, i);
    strv_env_change(&env, &changes);
    strv_env_change(&env, &changes);
    cr_expect(strv_equal(&env, &changes));
}
