#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/thread.h"
#include "codec/compress.h"
#include "codec/sha256.h"
#include "store/test_tools.h"

static struct error err;

static void set_up(void)
{
    test_directory_make();
    test_store_open(NULL);
}

static void tear_down(void)
{
    test_store_remove();
}

TestSuite(image, .init = set_up, .fini = tear_down, .timeout = 120);

/* An image of these layers, told apart by its comment. */
static struct image *create_over(const char *comment, const char *parent_id, const char *diff_id,
                                 const char *second_diff_id)
{
    struct image_config config = { .created_ns = 1000000000 };
    struct image *image = NULL;

    config.comment = xstrdup(comment);
    config.os = xstrdup("linux");
    config.rootfs.type = xstrdup("layers");
    if (diff_id)
        strv_add(&config.rootfs.diff_ids, diff_id);
    if (second_diff_id)
        strv_add(&config.rootfs.diff_ids, second_diff_id);
    cr_assert_eq(store_image_create(test_store, &config, parent_id, &image, &err), 0, "%s",
                 err.text);
    json_fields_done(image_config_fields, &config);
    return image;
}

static struct image *create(const char *comment, const char *entries)
{
    struct layer layer;

    test_unpack("", entries, true, &layer);
    return create_over(comment, "", layer.diff_id, NULL);
}

static void tag(const struct image *image, const char *name)
{
    CLEANUP(reference_done) struct reference reference = {};

    cr_assert_eq(reference_parse(name, &reference, &err), 0, "%s", err.text);
    cr_assert_eq(store_image_tag(test_store, image->id, &reference, &err), 0, "%s", err.text);
}

static int remove_image(const struct image *image, struct strv *removed)
{
    char id[DIGEST_TEXT_SIZE];

    memcpy(id, image->id, sizeof(id));
    return store_image_remove(test_store, id, NULL, NULL, removed, &err);
}

static void remove_together(struct image *const *images, size_t count, const char *wanted)
{
    CLEANUP(strv_done) struct strv removed = {}, layers = {};

    cr_assert_eq(
        store_images_remove(test_store, images, count, NULL, NULL, &removed, &layers, &err), 0,
        "%s", err.text);
    for (size_t i = 0; i < count; i++)
        cr_expect_eq(strv_contains(&removed, images[i]->id), wanted[i] == 'x', "%s: %zu", wanted,
                     i);
}

static char *list(const char *name)
{
    CLEANUP(free) char *path = path_join(test_directory, name);
    CLEANUP(close) int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    return test_describe(fd);
}

static void expect_empty(void)
{
    static const struct {
        const char *name, *wanted;
    } places[] = { { "layers", "" }, { "tmp", "" }, { "blobs", "sha256" } };

    for (size_t i = 0; i < COUNT(places); i++) {
        CLEANUP(free) char *content = list(places[i].name);
        cr_expect_str_eq(content, places[i].wanted, "%s: %s", places[i].name, content);
    }
}

static void expect_no_difference(void)
{
    CLEANUP(strv_done) struct strv differences = {};

    cr_assert_eq(store_verify(test_store, &differences, &err), 0, "%s", err.text);
    CLEANUP(free) char *text = strv_join(&differences, "; ");
    cr_expect_str_eq(text, "");
}

/* ---- several at once ---- */

Test(image, several_go_together_but_for_what_others_need)
{
    CLEANUP(image_unref) struct image *parent = create("parent", "p = 1");
    CLEANUP(image_unref) struct image *child = create_over("child", parent->id, NULL, NULL);
    CLEANUP(image_unref) struct image *other = create_over("other", parent->id, NULL, NULL);
    CLEANUP(image_unref) struct image *grandchild = create_over("grand", child->id, NULL, NULL);
    CLEANUP(image_unref) struct image *named = create("named", "n = 1");
    struct image *const all[] = { parent, child, other, grandchild, named };

    tag(named, "name"); /* Its snapshot is an old one from here on. */
    remove_together((struct image *[]){ parent, child, named }, 3, "   ");
    remove_together((struct image *[]){ parent, other, child }, 3, " x ");
    remove_together((struct image *[]){ parent, child, other, grandchild }, 4, "xx x");
    expect_no_difference();
    CLEANUP(image_unref) struct image *kept = NULL;
    cr_expect_eq(store_image_find(test_store, "name", &kept, &err), 0);
    remove_together(all, COUNT(all), "     ");
    remove_together(NULL, 0, "");
}

Test(image, several_go_with_their_names)
{
    CLEANUP(image_unref) struct image *first = create("first", "f = 1");
    CLEANUP(image_unref) struct image *second = create("second", "s = 1");
    struct image *now[2], *gone;

    tag(first, "name");
    tag(first, "other:name");
    cr_assert_eq(store_image_find(test_store, first->id, &now[0], &err), 0);
    cr_assert_eq(store_image_find(test_store, second->id, &now[1], &err), 0);
    remove_together(now, 2, "xx");
    cr_expect_eq(store_image_find(test_store, "name", &gone, &err), -1);
    image_unref(now[0]);
    image_unref(now[1]);
    expect_no_difference();
    expect_empty();
}

/* ---- creating ---- */

Test(image, is_the_digest_of_its_configuration)
{
    CLEANUP(image_unref)
    struct image *image = create("a", "a = 123"), *again = create("a", "a = 123");
    CLEANUP(str_done) struct str config = {};
    char digest[DIGEST_TEXT_SIZE];

    cr_expect_str_eq(image->id, again->id);
    cr_expect_eq(image->size_bytes, 3);
    cr_assert_eq(blob_read(test_store, image->id, 10000, &config, &err), 0, "%s", err.text);
    sha256_digest(config.data, config.length, digest);
    cr_expect_str_eq(digest, image->id);

    CLEANUP(image_unref) struct image *raw = NULL;
    str_add(&config, "\n");
    cr_assert_eq(store_image_create_raw(test_store, config.data, config.length, &raw, &err), 0,
                 "%s", err.text);
    sha256_digest(config.data, config.length, digest);
    cr_expect_str_eq(raw->id, digest);
    cr_expect_str_eq(raw->chain_id, image->chain_id);
    cr_expect_str_eq(raw->config.comment, "a");
}

static const struct {
    const char *config;
    enum error_kind kind;
} bad_configs[] = {
    { "", ERROR_INVALID },
    { "[]", ERROR_INVALID },
    { "{\"rootfs\":{\"diff_ids\":\"x\"}}", ERROR_INVALID },
    { "{\"rootfs\":{\"diff_ids\":[\"sha256:../../x\"]}}", ERROR_INVALID },
    { "{\"rootfs\":{\"diff_ids\":[\"sha256:"
      "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\"]}}",
      ERROR_NOT_FOUND },
};

Test(image, needs_a_configuration_and_its_layers)
{
    for (size_t i = 0; i < COUNT(bad_configs); i++) {
        struct image *image = NULL;

        cr_expect_eq(store_image_create_raw(test_store, bad_configs[i].config,
                                            strlen(bad_configs[i].config), &image, &err),
                     -1, "%s", bad_configs[i].config);
        cr_expect_eq(err.kind, bad_configs[i].kind, "%s: %s", bad_configs[i].config, err.text);
    }
    expect_empty();
}

Test(image, is_there_after_reopening)
{
    CLEANUP(image_unref) struct image *image = create("a", "a = 1"), *found = NULL;
    char id[DIGEST_TEXT_SIZE];

    tag(image, "x:1");
    memcpy(id, image->id, sizeof(id));
    image_unref(TAKE(image));
    test_store_close();
    test_store_open(NULL);
    cr_assert_eq(store_image_find(test_store, "x:1", &found, &err), 0, "%s", err.text);
    cr_expect_str_eq(found->id, id);
    cr_expect_str_eq(found->config.comment, "a");
    cr_expect_neq(found->tagged_ns, 0);
    expect_no_difference();
}

Test(image, gets_its_configuration_back)
{
    CLEANUP(image_unref) struct image *image = create("a", "a = 1");
    CLEANUP(free)
    char *path = xasprintf("%s/blobs/sha256/%s", test_directory, digest_hex(image->id));

    cr_assert_eq(unlink(path), 0);
    test_store_close();
    test_store_open(NULL);
    cr_expect(file_exists(path));
    expect_no_difference();
}

/* ---- names ---- */

#define HEX "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static const struct {
    const char *text; /* NULL: the id; digits: that much of the id */
    enum error_kind kind;
    const char *error;
} searches[] = {
    { "app", ERROR_NONE, NULL },
    { "app:latest", ERROR_NONE, NULL },
    { "docker.io/library/app", ERROR_NONE, NULL },
    { "app@sha256:" HEX, ERROR_NONE, NULL },
    { "app:ignored@sha256:" HEX, ERROR_NONE, NULL },
    { "%id", ERROR_NONE, NULL },
    { "%hex", ERROR_NONE, NULL },
    { "%short", ERROR_NONE, NULL },
    { "sha256:%short", ERROR_NONE, NULL },
    { "nope", ERROR_NOT_FOUND, "No such image: nope:latest" },
    { "app:2", ERROR_NOT_FOUND, "No such image: app:2" },
    { HEX, ERROR_NOT_FOUND, "No such image: sha256:" HEX },
    { "x@sha256:" HEX, ERROR_NOT_FOUND, "No such image: x@sha256:" HEX },
    { "Bad", ERROR_INVALID,
      "invalid reference format: repository name (library/Bad) must be lowercase" },
    { "", ERROR_INVALID, "invalid reference format" },
};

static char *fill_in(const char *text, const char *id)
{
    const char *percent = strchr(text, '%');
    int start = percent ? (int)(percent - text) : 0;

    if (!percent)
        return xstrdup(text);
    if (strcmp(percent, "%id") == 0)
        return xstrdup(id);
    return xasprintf("%.*s%.*s", start, text, strcmp(percent, "%hex") == 0 ? 64 : 12,
                     digest_hex(id));
}

Test(image, is_found_by_all_it_is_called)
{
    CLEANUP(image_unref) struct image *image = create("a", "a = 1");

    tag(image, "app");
    tag(image, "app@sha256:" HEX);
    for (size_t i = 0; i < COUNT(searches); i++) {
        CLEANUP(free) char *text = fill_in(searches[i].text, image->id);
        CLEANUP(image_unref) struct image *found = NULL;
        int result = store_image_find(test_store, text, &found, &err);

        cr_expect_eq(result, searches[i].error ? -1 : 0, "%s: %s", text, err.text);
        if (result == 0)
            cr_expect_str_eq(found->id, image->id);
        else
            cr_expect(err.kind == searches[i].kind && strcmp(err.text, searches[i].error) == 0,
                      "%s: %s", text, err.text);
    }
}

Test(image, is_not_guessed_among_several)
{
    struct image *images[20], *found = NULL;

    for (size_t i = 0; i < COUNT(images); i++) {
        CLEANUP(free) char *comment = xasprintf("%zu", i);
        images[i] = create_over(comment, "", NULL, NULL);
    }
    /* With more images than hex digits, two begin with the same one. */
    int ambiguous = 0;
    for (const char *digit = "0123456789abcdef"; *digit; digit++) {
        char prefix[] = { *digit, 0 };

        if (store_image_find(test_store, prefix, &found, &err) == 0)
            image_unref(found);
        else
            ambiguous += err.kind == ERROR_INVALID;
    }
    cr_expect_gt(ambiguous, 0);
    for (size_t i = 0; i < COUNT(images); i++)
        image_unref(images[i]);
}

Test(image, loses_a_name_to_another)
{
    CLEANUP(image_unref) struct image *first = create("1", "a = 1"), *second = create("2", "a = 1");
    CLEANUP(image_unref) struct image *dangling = NULL, *named = NULL;

    tag(first, "x:1");
    tag(first, "b");
    tag(first, "a");
    tag(second, "x:1");
    cr_assert_eq(store_image_find(test_store, first->id, &dangling, &err), 0);
    cr_assert_eq(store_image_find(test_store, second->id, &named, &err), 0);
    CLEANUP(free) char *first_tags = strv_join(&dangling->tags, " ");
    CLEANUP(free) char *second_tags = strv_join(&named->tags, " ");
    cr_expect_str_eq(first_tags, "a:latest b:latest");
    cr_expect_str_eq(second_tags, "x:1");
    cr_expect_eq(first->tags.count, 0, "a snapshot does not change");

    cr_assert_eq(store_image_untag(test_store, "x:1", &err), 0, "%s", err.text);
    cr_expect_eq(store_image_untag(test_store, "x:1", &err), -1);
    cr_expect_eq(err.kind, ERROR_NOT_FOUND);
    expect_no_difference();
}

/* ---- removing ---- */

Test(image, leaves_no_bytes_behind)
{
    CLEANUP(image_unref) struct image *image = create("a", "a = 1");
    CLEANUP(strv_done) struct strv removed = {};

    tag(image, "x:1");
    cr_assert_eq(remove_image(image, &removed), 0, "%s", err.text);
    cr_expect_eq(removed.count, 1);
    cr_expect_str_eq(removed.items[0], image->chain_id);
    cr_expect_str_eq(image->config.comment, "a", "a reference outlives it");
    expect_empty();
    struct image *found;
    cr_expect_eq(store_image_find(test_store, "x:1", &found, &err), -1);
    cr_expect_eq(remove_image(image, NULL), -1);
    cr_expect_eq(err.kind, ERROR_NOT_FOUND);
}

static bool is_chain(void *data, const char *chain_id)
{
    return strcmp(data, chain_id) == 0;
}

Test(image, keeps_the_layers_that_others_need)
{
    struct layer base, middle, top;

    test_unpack("", "a = 1", true, &base);
    test_unpack(base.chain_id, "b = 1", true, &middle);
    test_unpack(middle.chain_id, "c = 1", true, &top);
    CLEANUP(image_unref) struct image *lower = create_over("l", "", base.diff_id, NULL);
    CLEANUP(image_unref)
    struct image *upper = create_over("u", lower->id, base.diff_id, middle.diff_id);
    CLEANUP(strv_done) struct strv removed = {};
    struct layer there;

    cr_expect(store_image_has_children(test_store, lower->id));
    cr_expect_not(store_image_has_children(test_store, upper->id));
    cr_assert_eq(remove_image(lower, &removed), 0);
    cr_expect_eq(removed.count, 0, "the other image is on it");

    /* Nothing names the third layer yet: it stays until it is released. */
    cr_assert_eq(remove_image(upper, &removed), 0);
    cr_expect_eq(removed.count, 0);
    store_layer_hold(test_store, middle.chain_id);
    store_layer_release(test_store, top.chain_id);
    cr_assert_eq(store_collect(test_store, is_chain, base.chain_id, &err), 0);
    cr_expect_eq(store_layer_get(test_store, top.chain_id, &there, &err), -1);
    cr_expect_eq(store_layer_get(test_store, middle.chain_id, &there, &err), 0);
    store_layer_release(test_store, middle.chain_id);
    cr_assert_eq(store_collect(test_store, is_chain, base.chain_id, &err), 0);
    cr_expect_eq(store_layer_get(test_store, middle.chain_id, &there, &err), -1);
    cr_expect_eq(store_layer_get(test_store, base.chain_id, &there, &err), 0);
    cr_assert_eq(store_collect(test_store, NULL, NULL, &err), 0);
    expect_empty();
}

Test(image, goes_from_the_top_down)
{
    struct layer base, top;
    CLEANUP(strv_done) struct strv removed = {};

    test_unpack("", "a = 1", true, &base);
    test_unpack(base.chain_id, "b = 1", true, &top);
    CLEANUP(image_unref) struct image *image = create_over("i", "", base.diff_id, top.diff_id);
    cr_assert_eq(remove_image(image, &removed), 0);
    cr_assert_eq(removed.count, 2);
    cr_expect_str_eq(removed.items[0], top.chain_id);
    cr_expect_str_eq(removed.items[1], base.chain_id);
}

/* ---- layout ---- */

static void unpack_compressed(const char *entries, struct layer *out)
{
    CLEANUP(str_done) struct str plain = {}, packed = {};
    struct text_sink sink = text_sink(&packed);
    CLEANUP(stream_close)
    struct stream *deflate = stream_deflate(&sink.stream, COMPRESSION_GZIP, 1, &err);

    archive_make(&plain, entries);
    cr_assert_eq(stream_write(deflate, plain.data, plain.length, &err), 0);
    cr_assert_eq(stream_write(deflate, "", 0, &err), 0);
    CLEANUP(stream_close) struct stream *stream = stream_from_memory(packed.data, packed.length);
    cr_assert_eq(store_layer_unpack(test_store, "", stream, false, out, &err), 0, "%s", err.text);
}

Test(image, is_part_of_an_oci_layout)
{
    CLEANUP(free) char *index_path = path_join(test_directory, "index.json");
    CLEANUP(free) char *layout_path = path_join(test_directory, "oci-layout");
    struct layer layer;

    unpack_compressed("a = 1", &layer);
    CLEANUP(image_unref) struct image *image = create_over("i", "", layer.diff_id, NULL);
    tag(image, "x:1");
    {
        CLEANUP(str_done) struct str index = {};
        CLEANUP(json_free) struct json *parsed = NULL;
        CLEANUP(str_done) struct str manifest = {};

        cr_assert_eq(file_read(index_path, 10000, &index, &err), 0, "%s", err.text);
        cr_assert_eq(json_parse(index.data, index.length, &parsed, &err), 0, "%s", err.text);
        const struct json *entry = json_at(json_get(parsed, "manifests"), 0);
        cr_expect_str_eq(json_text(json_get(json_get(entry, "annotations"),
                                            "org.opencontainers.image.ref.name")),
                         "x:1");
        cr_assert_eq(
            blob_read(test_store, json_text(json_get(entry, "digest")), 10000, &manifest, &err), 0,
            "%s", err.text);
        cr_expect(strstr(str_text(&manifest), layer.blob_digest));
        cr_expect(strstr(str_text(&manifest), image->id));
        cr_expect(file_exists(layout_path));
    }
    cr_assert_eq(remove_image(image, NULL), 0);
    CLEANUP(str_done) struct str index = {};
    cr_assert_eq(file_read(index_path, 10000, &index, &err), 0);
    cr_expect(strstr(str_text(&index), "\"manifests\":[]"), "%s", str_text(&index));
    expect_empty();
}

/* ---- at once ---- */

static atomic_int failures;

static void *work(void *data)
{
    for (int i = 0; i < 15; i++) {
        struct image_config config = { .created_ns = 1 + i };
        struct image *image = NULL, **images = NULL;
        struct error mine = {};
        struct layer layer;
        size_t count;
        CLEANUP(str_done) struct str archive = {};
        CLEANUP(free) char *entries = xasprintf("shared = %d", i);

        archive_make(&archive, entries);
        CLEANUP(stream_close)
        struct stream *stream = stream_from_memory(archive.data, archive.length);
        if (store_layer_unpack(test_store, "", stream, true, &layer, &mine) < 0) {
            failures++;
            continue;
        }
        config.comment = xstrdup(data);
        strv_add(&config.rootfs.diff_ids, layer.diff_id);
        /* Another thread may remove the layer with its own image in between. */
        store_layer_hold(test_store, layer.chain_id);
        if (store_image_create(test_store, &config, "", &image, &mine) < 0 &&
            mine.kind != ERROR_NOT_FOUND)
            failures++;
        store_layer_release(test_store, layer.chain_id);
        json_fields_done(image_config_fields, &config);
        if (store_image_list(test_store, &images, &count, &mine) == 0)
            store_images_free(images, count);
        if (image && store_image_remove(test_store, image->id, NULL, NULL, NULL, &mine) < 0)
            failures++;
        image_unref(image);
    }
    return NULL;
}

Test(image, comes_and_goes_in_many_threads)
{
    static char names[4][2] = { "a", "b", "c", "d" };
    pthread_t threads[COUNT(names)];

    for (size_t i = 0; i < COUNT(threads); i++)
        cr_assert_eq(thread_start("test", work, names[i], &threads[i], &err), 0);
    for (size_t i = 0; i < COUNT(threads); i++)
        pthread_join(threads[i], NULL);
    cr_expect_eq(failures, 0);
    cr_assert_eq(store_collect(test_store, NULL, NULL, &err), 0);
    expect_empty();
}

/* ---- held images ---- */

/* Made, and held, by a build. */
static struct image *build_one(const char *comment)
{
    struct image_config config = { .comment = xstrdup(comment), .os = xstrdup("linux") };
    struct image *image = NULL;

    cr_assert_eq(store_image_create_held(test_store, &config, "", &image, &err), 0, "%s", err.text);
    json_fields_done(image_config_fields, &config);
    return image;
}

static int remove_unwanted(const struct image *image)
{
    return store_image_remove_unwanted(test_store, image->id, NULL, NULL, NULL, &err);
}

Test(image, stays_while_a_build_holds_it)
{
    CLEANUP(image_unref) struct image *image = build_one("held"), *again = build_one("held");

    cr_expect_str_eq(again->id, image->id);
    cr_expect_eq(store_image_remove(test_store, image->id, NULL, NULL, NULL, &err), -1);
    cr_expect_eq(err.kind, ERROR_CONFLICT);
    cr_expect_not(store_image_let_go(test_store, image->id, false), "the other one holds it");
    cr_expect_eq(remove_unwanted(image), -1);
    cr_expect(store_image_let_go(test_store, image->id, false), "the last one removes it");
    cr_expect_eq(remove_unwanted(image), 0, "%s", err.text);
    cr_expect_not(store_image_hold(test_store, image->id), "it is gone");
}

Test(image, stays_when_one_of_its_builds_wants_it)
{
    CLEANUP(image_unref) struct image *image = build_one("wanted"), *again = build_one("wanted");

    cr_expect_not(store_image_let_go(test_store, image->id, true));
    cr_expect_not(store_image_let_go(test_store, again->id, false));
    cr_expect_eq(remove_unwanted(image), -1);
    cr_expect_eq(err.kind, ERROR_CONFLICT);
}

Test(image, stays_when_it_was_there_before)
{
    CLEANUP(image_unref) struct image *image = build_one("before"), *again = NULL;

    cr_expect_not(store_image_let_go(test_store, image->id, true));
    again = build_one("before");
    cr_expect_not(store_image_let_go(test_store, again->id, false));
    cr_expect_eq(store_image_remove(test_store, image->id, NULL, NULL, NULL, &err), 0);
}

Test(image, is_made_once_more_before_it_goes)
{
    CLEANUP(image_unref) struct image *image = build_one("again");

    cr_expect(store_image_let_go(test_store, image->id, false));
    cr_assert(store_image_hold(test_store, image->id), "another build found it");
    cr_expect_eq(remove_unwanted(image), -1);
    cr_expect(store_image_let_go(test_store, image->id, false), "which removes it in its turn");
    tag(image, "named:1");
    cr_expect_eq(remove_unwanted(image), -1, "unless it got a name");
}
