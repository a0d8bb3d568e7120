#include "build/context_kept.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "build/context_index.h"

#include "base/banned.h"

static char place[] = "/tmp/berth-kept-test-XXXXXX";
static struct context_store *store;

static void open_store(int64_t limit_bytes)
{
    struct error err = {};

    cr_assert_eq(context_store_open(place, limit_bytes, &store, &err), 0, "%s", err.text);
}

static void make_place(void)
{
    cr_assert_not_null(mkdtemp(place));
    open_store(1000);
}

static void remove_place(void)
{
    context_store_close(store);
    tree_remove(place, NULL);
}

TestSuite(context_kept, .init = make_place, .fini = remove_place);

static struct context_kept take(const char *key)
{
    struct context_kept kept = {};
    struct error err = {};

    cr_assert_eq(context_kept_take(store, key, &kept, &err), 0, "%s", err.text);
    return kept;
}

static size_t count_kept(void)
{
    struct context_info *infos;
    size_t count;

    cr_assert_eq(context_store_list(store, &infos, &count, NULL), 0);
    context_infos_free(infos, count);
    return count;
}

Test(context_kept, is_found_again_by_its_key_and_not_shared)
{
    struct context_kept first = take("a"), second = take("a"), other = take("b");
    CLEANUP(free) char *path = xstrdup(first.path);

    cr_expect_str_neq(first.path, second.path);
    cr_expect_str_neq(first.path, other.path);
    context_kept_give_back(store, &first, 10);
    context_kept_give_back(store, &second, 10);
    context_kept_give_back(store, &other, 10);
    first = take("a");
    cr_expect_str_eq(first.path, path);
    context_kept_give_back(store, &first, 10);
}

Test(context_kept, counts_within_the_limit_of_the_store)
{
    struct context_kept kept = take("old");

    context_kept_give_back(store, &kept, 600);
    kept = take("new");
    cr_expect_eq(context_store_remove(store, kept.name, NULL), 0, "it is in use");
    context_kept_give_back(store, &kept, 600);

    struct context_info *infos;
    size_t count;
    cr_assert_eq(context_store_list(store, &infos, &count, NULL), 0);
    cr_assert_eq(count, 1);
    cr_expect_str_eq(infos[0].description, "local source for new");
    cr_expect_eq(infos[0].size_bytes, 600);
    cr_expect_eq(context_store_remove(store, infos[0].name, NULL), 1);
    context_infos_free(infos, count);
    cr_expect_eq(count_kept(), 0);
}

Test(context_kept, outlives_the_engine_with_what_a_broken_transfer_left)
{
    struct context_kept kept = take("a");
    CLEANUP(free) char *file = path_join(kept.path, "tree");
    CLEANUP(free) char *path = xstrdup(kept.path);

    cr_assert_eq(file_write_atomic(file, "12345", 5, 0600, false, NULL), 0);
    context_kept_give_back(store, &kept, -1);

    struct context_about about = {};
    cr_assert(context_about_read(path, &about));
    cr_expect_geq(about.size_bytes, 5, "it was measured");
    cr_expect_lt(about.size_bytes, 200);
    free(about.description);
    context_store_close(store);
    open_store(1000);
    cr_expect_eq(count_kept(), 1);
    kept = take("a");
    cr_expect(file_exists(file));
    context_kept_give_back(store, &kept, -1);
}

Test(context_kept, has_one_line_of_description_however_long_its_key)
{
    CLEANUP(free) char *key = xmalloc(4001);

    memset(key, 'k', 4000);
    key[4000] = 0;
    struct context_kept kept = take(key);
    context_kept_give_back(store, &kept, 10);
    cr_expect_eq(count_kept(), 1);
    kept = take(key);
    context_kept_give_back(store, &kept, 10);
    cr_expect_eq(count_kept(), 1);
}
