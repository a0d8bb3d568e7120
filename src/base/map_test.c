#include "base/map.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"

#include "base/banned.h"

static int freed;

static void count_free(void *value)
{
    freed++;
    free(value);
}

Test(map, keeps_the_order_of_insertion)
{
    CLEANUP(map_done) struct map map = {};
    char key[16];
    int next = 0;

    for (int i = 0; i < 1000; i++) {
        snprintf(key, sizeof(key), "%d", i * 7919 % 1000);
        map_set_text(&map, key, key);
    }
    cr_assert_eq(map.count, 1000);
    MAP_EACH (&map, entry) {
        snprintf(key, sizeof(key), "%d", next++ * 7919 % 1000);
        cr_expect_str_eq(entry->key, key);
        cr_expect_str_eq(entry->value, key);
        cr_expect_eq(map_get(&map, key), entry->value);
    }
    cr_expect_eq(next, 1000);
}

Test(map, replaces_in_place_and_frees)
{
    struct map map;

    map_init_empty(&map, count_free);
    map_set(&map, "a", xstrdup("1"));
    map_set(&map, "b", xstrdup("2"));
    map_set(&map, "a", xstrdup("3"));
    cr_expect_eq(freed, 1);
    cr_expect_str_eq(map.entries[0].value, "3");
    map_set(&map, "a", map_get(&map, "a"));
    cr_expect_eq(freed, 1);
    map_remove(&map, "a");
    map_remove(&map, "absent");
    cr_expect_eq(freed, 2);
    CLEANUP(free) char *taken = map_take(&map, "b");
    cr_expect_str_eq(taken, "2");
    cr_expect_null(map_take(&map, "b"));
    cr_expect_eq(map.count, 0);
    map_done(&map);
    cr_expect_eq(freed, 2);
}

Test(map, finds_after_removals_and_sorting)
{
    CLEANUP(map_done) struct map map = {};
    char key[16];

    for (int i = 0; i < 300; i++) {
        snprintf(key, sizeof(key), "k%03d", 299 - i);
        map_set_text(&map, key, key);
    }
    for (int i = 0; i < 300; i += 3) {
        snprintf(key, sizeof(key), "k%03d", i);
        map_remove(&map, key);
    }
    map_sort(&map);
    for (int i = 0; i < 300; i++) {
        snprintf(key, sizeof(key), "k%03d", i);
        cr_expect_eq(map_has(&map, key), i % 3 != 0, "%s", key);
    }
    cr_expect_str_eq(map.entries[0].key, "k001");
    cr_expect_str_eq(map.entries[map.count - 1].key, "k299");
}

Test(map, tells_a_null_value_from_none)
{
    CLEANUP(map_done) struct map map = {};

    cr_expect_not(map_has(&map, "x"));
    cr_expect_null(map_get(&map, "x"));
    map_set(&map, "x", NULL);
    cr_expect(map_has(&map, "x"));
    cr_expect_null(map_get(&map, "x"));
    map_set(&map, "", NULL);
    cr_expect(map_has(&map, ""));
}

Test(map, copies_texts_and_keeps_none_and_empty_apart)
{
    CLEANUP(map_done) struct map map = {};
    struct map copy;

    map_copy_texts(&copy, &map);
    cr_expect_null(copy.entries);
    map_set_text(&map, "a", "1");
    map_copy_texts(&copy, &map);
    cr_expect_str_eq(map_get(&copy, "a"), "1");
    cr_expect_neq(map_get(&copy, "a"), map_get(&map, "a"));
    map_done(&copy);
    map_remove(&map, "a");
    map_copy_texts(&copy, &map);
    cr_expect_not_null(copy.entries);
    map_done(&copy);
}
