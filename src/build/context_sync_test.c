#include "build/context_sync.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/memory.h"
#include "build/context_store.h"

/* One store in a directory of its own. */
struct fixture {
    char path[32];
    struct context_store *store;
};

static void fixture_open(struct fixture *fixture, int64_t limit_bytes)
{
    struct error err = {};

    strcpy(fixture->path, "/tmp/contexts-XXXXXX");
    cr_assert_not_null(mkdtemp(fixture->path));
    cr_assert_eq(context_store_open(fixture->path, limit_bytes, &fixture->store, &err), 0, "%s",
                 err.text);
}

static void fixture_done(struct fixture *fixture)
{
    context_store_close(fixture->store);
    tree_remove(fixture->path, NULL);
}
CLEANUP_VALUE(fixture_done, struct fixture)

/* "a=x b/=": files with their content (which is their identity too), directories. */
static size_t describe(const char *tree, struct context_manifest *out)
{
    CLEANUP(strv_done) struct strv words = {};
    struct str text = {};

    strv_split(&words, tree, ' ');
    for (size_t i = 0; i < words.count; i++) {
        char *word = words.items[i], *equals = strchr(word, '=');

        if (!equals)
            continue;
        bool is_directory = equals[-1] == '/';
        equals[is_directory ? -1 : 0] = 0;
        const struct context_entry entry = {
            is_directory ? CONTEXT_DIRECTORY : CONTEXT_FILE,
            is_directory ? 0755 : 0644,
            (int64_t)strlen(equals + 1),
            7,
            equals[1] ? equals + 1 : "-",
            word,
            NULL,
        };
        context_manifest_add(&text, &entry);
    }
    size_t size = text.length;
    cr_assert_eq(context_manifest_read(str_take(&text), size, out, NULL), 0, "%s", tree);
    return out->count;
}

/* Gives the content that was asked for, joined. */
static struct context_sync *bring(struct fixture *fixture, const char *key, const char *tree,
                                  const struct strv *needed, struct str *asked)
{
    CLEANUP(context_manifest_done) struct context_manifest manifest = {}, copy = {};
    struct context_sync *sync = NULL;
    struct error err = {};
    size_t count;

    describe(tree, &manifest);
    describe(tree, &copy);
    cr_assert_eq(context_sync_begin(fixture->store, key, &manifest, needed, &sync, &err), 0, "%s",
                 err.text);
    const size_t *missing = context_sync_missing(sync, &count);
    for (size_t i = 0; i < count; i++)
        str_add(asked, copy.entries[missing[i]].identity);
    CLEANUP(stream_close)
    struct stream *content = stream_from_memory(str_text(asked), asked->length);
    cr_assert_eq(context_sync_receive(sync, content, &err), 0, "%s", err.text);
    return sync;
}

static void expect_file(const struct context_sync *sync, const char *path, const char *content)
{
    CLEANUP(close) int fd = openat(context_sync_fd(sync), path, O_RDONLY | O_CLOEXEC);
    CLEANUP(str_done) struct str text = {};

    if (!content) {
        cr_expect_eq(fd, -1, "%s", path);
        return;
    }
    cr_assert_geq(fd, 0, "%s", path);
    cr_assert_eq(file_read_fd(fd, 100, &text, NULL), 0);
    cr_expect_str_eq(str_text(&text), content);
}

Test(context_store, asks_for_what_has_changed)
{
    /* clang-format off */
    static const struct { const char *tree, *asked; } rounds[] = {
        { "a=one d/= d/b=two", "onetwo" },
        { "a=one d/= d/b=two", ""       },
        { "a=one d/= d/b=TWO", "TWO"    },
        { "a/= a/x=one d=file", "onefile" }, /* kinds change */
        { "a/= a/x=one", ""             },
        { "", ""                        },
        { "z=last", "last"              },
    };
    /* clang-format on */
    CLEANUP(fixture_done) struct fixture fixture = {};

    fixture_open(&fixture, 1 << 20);
    for (size_t i = 0; i < COUNT(rounds); i++) {
        CLEANUP(str_done) struct str asked = {};
        struct context_sync *sync = bring(&fixture, "key", rounds[i].tree, NULL, &asked);

        cr_expect_str_eq(str_text(&asked), rounds[i].asked, "round %zu", i);
        expect_file(sync, "d/b", i < 2 ? "two" : i == 2 ? "TWO" : NULL);
        expect_file(sync, "a/x", i == 3 || i == 4 ? "one" : NULL);
        context_sync_end(sync);
    }
}

Test(context_store, leaves_out_what_is_not_needed)
{
    CLEANUP(fixture_done) struct fixture fixture = {};
    CLEANUP(str_done) struct str first = {}, second = {}, third = {};
    CLEANUP(strv_done) struct strv needed = {};

    fixture_open(&fixture, 1 << 20);
    strv_add(&needed, "d/b");
    struct context_sync *sync = bring(&fixture, "key", "a=one d/= d/b=two d/bc=three", &needed,
                                      &first);
    cr_expect_str_eq(str_text(&first), "two");
    context_sync_end(sync);
    context_sync_end(bring(&fixture, "key", "a=one d/= d/b=two d/bc=three", NULL, &second));
    cr_expect_str_eq(str_text(&second), "onethree");
    context_sync_end(bring(&fixture, "key", "a=one d/= d/b=two d/bc=three", &needed, &third));
    cr_expect_str_eq(str_text(&third), "");
}

Test(context_store, gives_builds_at_once_trees_of_their_own)
{
    CLEANUP(fixture_done) struct fixture fixture = {};
    CLEANUP(str_done) struct str first = {}, second = {};
    char hex[65];

    fixture_open(&fixture, 1 << 20);
    struct context_sync *one = bring(&fixture, "key", "a=one b=two", NULL, &first);
    struct known_digests known = context_sync_digests(one);
    known.learn(known.data, "a",
                "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
    struct context_sync *two = bring(&fixture, "key", "a=one b=TWO", NULL, &second);
    cr_expect_str_eq(str_text(&second), "TWO", "what the other one has is taken from there");
    expect_file(one, "b", "two");
    expect_file(two, "b", "TWO");
    known = context_sync_digests(two);
    cr_expect(known.find(known.data, "a", hex));
    cr_expect_not(known.find(known.data, "b", hex));
    context_sync_end(one);
    expect_file(two, "a", "one");
    context_sync_end(two);
}

Test(context_store, keeps_what_came_before_the_client_left)
{
    CLEANUP(fixture_done) struct fixture fixture = {};
    CLEANUP(context_manifest_done) struct context_manifest manifest = {};
    CLEANUP(stream_close) struct stream *content = stream_from_memory("onetw", 5);
    CLEANUP(str_done) struct str asked = {};
    struct context_sync *sync;
    struct error err = {};

    fixture_open(&fixture, 1 << 20);
    describe("a=one b=two c=three", &manifest);
    cr_assert_eq(context_sync_begin(fixture.store, "key", &manifest, NULL, &sync, &err), 0);
    cr_expect_eq(context_sync_receive(sync, content, &err), -1);
    cr_expect(strstr(err.text, "ends early"), "%s", err.text);
    context_sync_end(sync);
    context_sync_end(bring(&fixture, "key", "a=one b=two c=three", NULL, &asked));
    cr_expect_str_eq(str_text(&asked), "twothree");
}

Test(context_store, forgets_the_oldest_and_what_a_crash_left)
{
    CLEANUP(fixture_done) struct fixture fixture = {};
    CLEANUP(str_done) struct str asked = {};
    struct context_info *infos;
    size_t count;

    fixture_open(&fixture, 10);
    context_sync_end(bring(&fixture, "old", "a=12345678", NULL, &asked));
    str_clear(&asked);
    context_sync_end(bring(&fixture, "new", "a=abcdefgh", NULL, &asked));
    cr_assert_eq(context_store_list(fixture.store, &infos, &count, NULL), 0);
    cr_assert_eq(count, 1);
    cr_expect_eq(infos[0].size_bytes, 8);
    CLEANUP(free)
    char *index = xasprintf("%s/build-contexts/%s/index", fixture.path, infos[0].name);
    context_infos_free(infos, count);
    cr_assert_eq(unlink(index), 0);
    context_store_close(fixture.store);
    cr_assert_eq(context_store_open(fixture.path, 10, &fixture.store, NULL), 0);
    cr_assert_eq(context_store_list(fixture.store, &infos, &count, NULL), 0);
    cr_expect_eq(count, 0);
    context_infos_free(infos, count);
}
