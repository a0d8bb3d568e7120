/* Sums over many images, beside the plain way: each layer of one is looked for in each other. */
#include <criterion/criterion.h>
#include <string.h>

#include "base/memory.h"
#include "store/test_tools.h"

enum { IMAGES = 40, DEEPEST = 6 };

static struct error err;
static struct image *images[IMAGES];
static unsigned seed = 1;

static unsigned random_below(unsigned limit)
{
    seed = seed * 1103515245 + 12345;
    return (seed >> 16) % limit;
}

/* On top of some of the layers of one of the others, each of a size of its own. */
static void add_layers(size_t number, struct strv *diff_ids)
{
    unsigned count = random_below(DEEPEST + 1);

    if (number > 0 && random_below(4)) {
        const struct strv *others = &images[random_below((unsigned)number)]->config.rootfs.diff_ids;
        size_t taken = others->count ? random_below((unsigned)others->count + 1) : 0;

        for (size_t i = 0; i < taken; i++)
            strv_add(diff_ids, others->items[i]);
    }
    while (diff_ids->count < count) {
        CLEANUP(strv_done) struct strv below = {};
        CLEANUP(free)
        char *entries = xasprintf("f%zu-%zu = %.*s", number, diff_ids->count,
                                  (int)(1 + random_below(9)), "123456789");
        struct layer layer;

        image_chain_ids(diff_ids, &below);
        test_unpack(below.count ? below.items[below.count - 1] : "", entries, true, &layer);
        strv_add(diff_ids, layer.diff_id);
    }
}

static void set_up(void)
{
    test_directory_make();
    test_store_open(NULL);
    for (size_t i = 0; i < IMAGES; i++) {
        struct image_config config = { .created_ns = (int64_t)i };

        config.os = xstrdup("linux");
        config.rootfs.type = xstrdup("layers");
        strv_init_empty(&config.rootfs.diff_ids);
        add_layers(i, &config.rootfs.diff_ids);
        cr_assert_eq(store_image_create(test_store, &config, "", &images[i], &err), 0, "%s",
                     err.text);
        json_fields_done(image_config_fields, &config);
    }
}

static void tear_down(void)
{
    for (size_t i = 0; i < IMAGES; i++)
        image_unref(images[i]);
    test_store_remove();
}

TestSuite(sharing, .init = set_up, .fini = tear_down, .timeout = 120);

static int64_t size_of(const char *chain_id)
{
    struct layer layer;

    cr_assert_eq(store_layer_get(test_store, chain_id, &layer, &err), 0, "%s", err.text);
    return layer.size_bytes;
}

static bool has(const struct image *image, const char *chain_id)
{
    CLEANUP(strv_done) struct strv chain_ids = {};

    image_chain_ids(&image->config.rootfs.diff_ids, &chain_ids);
    return strv_contains(&chain_ids, chain_id);
}

static int64_t plain_shared(size_t number)
{
    CLEANUP(strv_done) struct strv chain_ids = {};
    int64_t bytes = 0;

    image_chain_ids(&images[number]->config.rootfs.diff_ids, &chain_ids);
    for (size_t i = 0; i < chain_ids.count; i++)
        for (size_t other = 0; other < IMAGES; other++)
            if (other != number && has(images[other], chain_ids.items[i])) {
                bytes += size_of(chain_ids.items[i]);
                break;
            }
    return bytes;
}

Test(sharing, is_what_others_have_too)
{
    int64_t bytes[IMAGES], sum = 0;

    store_images_shared(test_store, images, IMAGES, bytes);
    for (size_t i = 0; i < IMAGES; i++) {
        cr_expect_eq(bytes[i], plain_shared(i), "image %zu", i);
        sum += bytes[i];
    }
    cr_expect_gt(sum, 0);
}

Test(sharing, is_nothing_alone)
{
    for (size_t i = 0; i < IMAGES; i++) {
        int64_t bytes = -1;

        store_images_shared(test_store, &images[i], 1, &bytes);
        cr_expect_eq(bytes, 0);
    }
    store_images_shared(test_store, NULL, 0, NULL);
}

Test(sharing, counts_each_layer_once)
{
    CLEANUP(map_done) struct map set = {};
    int64_t bytes = 0, wanted = 0;

    map_init_empty(&set, NULL);
    for (size_t i = 0; i < IMAGES; i++)
        bytes += store_image_add_layers(test_store, images[i], &set);
    for (size_t i = 0; i < IMAGES; i++)
        cr_expect_eq(store_image_add_layers(test_store, images[i], &set), 0);
    MAP_EACH (&set, entry)
        wanted += size_of(entry->key);
    cr_expect_eq(bytes, wanted);
    cr_expect_eq(bytes, store_layers_size(test_store));
}

Test(sharing, goes_by_chain_ids)
{
    for (size_t i = 0; i < IMAGES; i++) {
        const struct strv *diff_ids = &images[i]->config.rootfs.diff_ids;
        CLEANUP(strv_done) struct strv chain_ids = {};

        image_chain_ids(diff_ids, &chain_ids);
        cr_assert_eq(chain_ids.count, diff_ids->count);
        for (size_t layers = 1; layers <= diff_ids->count; layers++) {
            char chain_id[DIGEST_TEXT_SIZE];

            image_chain_id(diff_ids, layers, chain_id);
            cr_expect_str_eq(chain_ids.items[layers - 1], chain_id);
        }
    }
}
